//! State that clients name by a handle.

use std::sync::Arc;
use std::time::Duration;

use kv_core::{KeyQuery, ManualClock, Store, StoreExt as _, Timestamp};
use kv_memory::MemoryStore;
use mcp_server::axum::Extension;
use mcp_server::{Context, Principal, Server, SessionId, ToolError, tool};
use serde_json::{Value, json};

use crate::http_client::Served;

#[tool]
async fn put(
    cx: Context,
    session_id: SessionId,
    key: String,
    value: Value,
) -> Result<(), ToolError> {
    Ok(cx.session(&session_id).await?.set(&key, &value).await?)
}

#[tool]
async fn get(cx: Context, session_id: SessionId, key: String) -> Result<String, ToolError> {
    let value: Option<Value> = cx.session(&session_id).await?.get(&key).await?;
    Ok(json!(value).to_string())
}

#[tool]
async fn count(cx: Context, session_id: SessionId) -> Result<u64, ToolError> {
    let handle = cx.session(&session_id).await?;
    let count = |count: Option<u64>| count.unwrap_or_default() + 1;
    Ok(handle.update("count", count).await?)
}

#[tool]
async fn forget(cx: Context, session_id: SessionId, key: Option<String>) -> Result<(), ToolError> {
    let handle = cx.session(&session_id).await?;
    match key {
        Some(key) => drop(handle.remove(&key).await?),
        None => handle.clear().await?,
    }
    Ok(())
}

async fn serve(store: impl Store, user: Option<&Principal>) -> Served {
    let server = Server::builder("Handles")
        .storage(store)
        .session_tools()
        .tool(put)
        .tool(get)
        .tool(count)
        .tool(forget);
    let router = server.build().unwrap().into_router().unwrap();
    match user {
        Some(user) => Served::new(router.layer(Extension(user.clone()))).await,
        None => Served::new(router).await,
    }
}

async fn create(served: &Served) -> String {
    let made = served.call("create_session", json!({})).await;
    made["structuredContent"]["result"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn value(served: &Served, id: &str, key: &str) -> Value {
    let got = served
        .call("get", json!({ "session_id": id, "key": key }))
        .await;
    read(&got)
}

fn read(got: &Value) -> Value {
    let text = got["structuredContent"]["result"].as_str();
    serde_json::from_str(text.unwrap()).unwrap()
}

async fn assert_unknown(served: &Served, id: &str) {
    for (tool, mut arguments) in [
        ("get", json!({ "key": "a" })),
        ("put", json!({ "key": "a", "value": 1 })),
        ("count", json!({})),
        ("end_session", json!({})),
    ] {
        arguments["session_id"] = id.into();
        let refused = served.call(tool, arguments).await;
        assert_eq!(refused["isError"], true, "{refused}");
        let text = refused["content"][0]["text"].as_str().unwrap();
        assert!(
            text.contains("the session is unknown; create one"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn what_a_handle_names_is_there_on_every_connection() {
    let served = serve(MemoryStore::new(), None).await;
    let (first, second) = (create(&served).await, create(&served).await);
    assert_ne!(first, second);
    let arguments = json!({ "session_id": first, "key": "a", "value": { "b": [1, null] } });
    served.call("put", arguments).await;
    assert_eq!(value(&served, &first, "a").await, json!({ "b": [1, null] }));
    assert_eq!(value(&served, &second, "a").await, Value::Null);
    let session = served.handshake().await;
    let got = served
        .call_in(&session, "get", json!({ "session_id": first, "key": "a" }))
        .await;
    assert_eq!(read(&got), json!({ "b": [1, null] }));

    served.call("count", json!({ "session_id": first })).await;
    served
        .call("forget", json!({ "session_id": first, "key": "a" }))
        .await;
    assert_eq!(value(&served, &first, "a").await, Value::Null);
    assert_eq!(value(&served, &first, "count").await, 1);
    served.call("forget", json!({ "session_id": first })).await;
    assert_eq!(value(&served, &first, "count").await, Value::Null);
}

#[tokio::test]
async fn a_handle_of_another_caller_is_unknown_like_one_that_is_not_there() {
    let store = MemoryStore::new();
    let ada = Principal::user("https://id.example", "ada");
    let ada = serve(store.clone(), Some(&ada)).await;
    let bob = Principal::user("https://id.example", "bob");
    let bob = serve(store.clone(), Some(&bob)).await;
    let anybody = serve(store.clone(), None).await;
    let id = create(&ada).await;
    ada.call("count", json!({ "session_id": id })).await;
    for other in [&bob, &anybody] {
        assert_unknown(other, &id).await;
    }
    for wrong in ["", "_user", "x:y", &"x".repeat(10_000)] {
        assert_unknown(&ada, wrong).await;
    }
    assert_eq!(value(&ada, &id, "count").await, 1);
    let ended = ada.call("end_session", json!({ "session_id": id })).await;
    assert_eq!(ended["structuredContent"]["result"], "session ended");
    assert_unknown(&ada, &id).await;
}

#[tokio::test]
async fn concurrent_changes_are_all_there() {
    let served = serve(MemoryStore::new(), None).await;
    let id = create(&served).await;
    let calls = (0..100).map(|_| served.call("count", json!({ "session_id": id })));
    futures_util::future::join_all(calls).await;
    assert_eq!(value(&served, &id, "count").await, 100);
}

#[tokio::test]
async fn a_handle_lives_on_when_it_is_used() {
    let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    let served = serve(store, None).await;
    let (used, unused) = (create(&served).await, create(&served).await);
    for _ in 0..4 {
        clock.advance(Duration::from_secs(13 * 3600));
        value(&served, &used, "a").await;
    }
    assert_unknown(&served, &unused).await;
    clock.advance(Duration::from_secs(25 * 3600));
    assert_unknown(&served, &used).await;
}

#[tokio::test]
async fn the_entry_is_that_of_fastmcp() {
    let store = MemoryStore::new();
    let user = Principal::user("https://id.example", "ada").with_client_id("editor");
    let served = serve(store.clone(), Some(&user)).await;
    let id = create(&served).await;
    served.call("count", json!({ "session_id": id })).await;
    let keys = store
        .keys("fastmcp_state", KeyQuery::new())
        .await
        .unwrap()
        .keys;
    // printf '["editor","https://id.example","ada"]' | sha256sum
    let owner = "0f9f29cbfe9ab9954c449a9c5cb892f45162a744d206e117de4fb5340c47ad29";
    assert_eq!(keys.len(), 1);
    let parts: Vec<_> = keys[0].split(':').collect();
    assert_eq!((parts[0], parts[2]), ("session", &*id));
    assert_eq!(parts[1], owner);
    let stored: Value = store
        .get_value("fastmcp_state", &keys[0])
        .await
        .unwrap()
        .unwrap();
    assert!(stored["value"]["_created"].is_f64());
    assert_eq!(stored["value"]["state"], json!({ "count": 1 }));
}

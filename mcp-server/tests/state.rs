//! State between calls: which scope a caller has on which kind of connection.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use kv_core::{ManualClock, Store, StoreExt};
use kv_memory::MemoryStore;
use mcp_server::{Client, Context, Principal, Server, ServerBuilder, ToolError, axum, tool};
use serde_json::{Value, json};

use crate::http_client::Served;

#[tool]
async fn remember(cx: Context, key: String, value: String) -> Result<(), ToolError> {
    cx.state().set(&key, &value).await?;
    Ok(())
}

#[tool]
async fn recall(cx: Context, key: String) -> Result<Option<String>, ToolError> {
    Ok(cx.state().get(&key).await?)
}

#[tool]
async fn share(cx: Context, key: String, value: String) -> Result<(), ToolError> {
    cx.server_state().set(&key, &value).await?;
    Ok(())
}

#[tool]
async fn count(cx: Context) -> Result<u64, ToolError> {
    Ok(cx
        .state()
        .update("count", |count: Option<u64>| count.unwrap_or(0) + 1)
        .await?)
}

#[tool]
async fn forget(cx: Context) -> Result<(), ToolError> {
    cx.state().clear().await?;
    Ok(())
}

#[tool]
async fn remember_briefly(cx: Context, key: String) -> Result<(), ToolError> {
    cx.state()
        .set_with_ttl(&key, &key, Duration::from_secs(60))
        .await?;
    Ok(())
}

#[tool]
async fn whose_session(cx: Context) -> Option<String> {
    cx.session_id().map(str::to_owned)
}

fn builder(store: impl Store) -> ServerBuilder {
    Server::builder("State")
        .storage(store)
        .tool(remember)
        .tool(recall)
        .tool(share)
        .tool(count)
        .tool(forget)
        .tool(remember_briefly)
        .tool(whose_session)
}

fn note(value: &str) -> Value {
    json!({ "key": "note", "value": value })
}

fn key() -> Value {
    json!({ "key": "note" })
}

/// Returns what `recall` found.
fn recalled(result: &Value) -> &Value {
    &result["structuredContent"]["result"]
}

async fn serve(builder: ServerBuilder) -> Served {
    Served::new(builder.build().unwrap().into_router().unwrap()).await
}

async fn serve_as(builder: ServerBuilder, principal: Principal) -> Served {
    let router = builder.build().unwrap().into_router().unwrap();
    Served::new(router.layer(Extension(principal))).await
}

#[tokio::test]
async fn an_anonymous_caller_on_a_public_address_has_no_state_without_a_session() {
    let server = serve(builder(MemoryStore::new())).await;
    let result = server.call("remember", note("hi")).await;
    assert_eq!(result["isError"], true, "{result}");
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("authenticate"), "{text}");
}

#[tokio::test]
async fn anonymous_callers_share_their_state_when_told_to() {
    let server = serve(builder(MemoryStore::new()).shared_anonymous_state(true)).await;
    server.call("remember", note("hi")).await;
    assert_eq!(recalled(&server.call("recall", key()).await), "hi");
}

#[tokio::test]
async fn a_session_has_its_own_state() {
    let server = serve(builder(MemoryStore::new())).await;
    let (ours, theirs) = (server.handshake().await, server.handshake().await);
    server.call_in(&ours, "remember", note("hi")).await;
    assert_eq!(
        recalled(&server.call_in(&ours, "recall", key()).await),
        "hi"
    );
    assert_eq!(
        recalled(&server.call_in(&theirs, "recall", key()).await),
        &Value::Null
    );
}

#[tokio::test]
async fn a_session_header_without_a_session_opens_no_scope() {
    let store = MemoryStore::new();
    let server = serve(builder(store)).await;
    server.call("share", note("for all")).await;
    for forged in ["server", "user:anon", "anything"] {
        let headers = [("mcp-session-id", forged)]
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let params = json!({ "name": "whose_session", "arguments": {} });
        let (_, answer) = server
            .modern_with("tools/call", "whose_session", params, headers)
            .await;
        assert_eq!(
            recalled(&answer["result"]),
            &Value::Null,
            "{forged}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_user_has_one_state_on_all_connections_and_others_do_not_see_it() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let ada = || Principal::user("https://id.example", "ada");
    let first = serve_as(builder(Arc::clone(&store)), ada()).await;
    let second = serve_as(builder(Arc::clone(&store)), ada()).await;
    let bob = serve_as(builder(store), Principal::user("https://id.example", "bob")).await;
    first.call("remember", note("hi")).await;
    assert_eq!(recalled(&second.call("recall", key()).await), "hi");
    assert_eq!(recalled(&bob.call("recall", key()).await), &Value::Null);
}

#[tokio::test]
async fn a_session_is_stored_as_fastmcp_stores_it() {
    let store = MemoryStore::new();
    let server = serve(builder(store.clone())).await;
    let session = server.handshake().await;
    server.call_in(&session, "remember", note("hi")).await;
    let name = format!("{session}:note");
    let (entry, left) = store.ttl("fastmcp_state", &name).await.unwrap().unwrap();
    assert_eq!(entry.value.as_bytes(), br#"{"value":"hi"}"#);
    let day = Duration::from_secs(24 * 60 * 60);
    assert!(left.is_some_and(|left| left <= day && left > day - Duration::from_secs(60)));
}

#[tokio::test]
async fn concurrent_updates_all_count() {
    let client = Client::connect(&builder(MemoryStore::new()).build().unwrap())
        .await
        .unwrap();
    let calls = (0..50).map(|_| client.call_tool_result("count", json!({})));
    futures_util::future::try_join_all(calls).await.unwrap();
    let last = client.call_tool_result("count", json!({})).await.unwrap();
    assert_eq!(last.structured_content, Some(json!({ "result": 51 })));
}

#[tokio::test]
async fn clearing_a_scope_leaves_the_others() {
    let store = MemoryStore::new();
    let server = builder(store.clone()).build().unwrap();
    let (ours, theirs) = (
        Client::connect(&server).await.unwrap(),
        Client::connect(&server).await.unwrap(),
    );
    for client in [&ours, &theirs] {
        client
            .call_tool_result("remember", note("hi"))
            .await
            .unwrap();
    }
    ours.call_tool_result("forget", json!({})).await.unwrap();
    let mine = ours
        .call_tool_result("recall", key())
        .await
        .unwrap()
        .structured_content
        .unwrap();
    let other = theirs
        .call_tool_result("recall", key())
        .await
        .unwrap()
        .structured_content
        .unwrap();
    assert_eq!(
        (&mine["result"], &other["result"]),
        (&Value::Null, &json!("hi"))
    );
}

#[tokio::test]
async fn a_read_renews_state_that_has_less_than_half_its_time_left() {
    let clock = Arc::new(ManualClock::starting_now());
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    let client = Client::connect(&builder(store).build().unwrap())
        .await
        .unwrap();
    client
        .call_tool_result("remember", note("hi"))
        .await
        .unwrap();
    for _ in 0..5 {
        clock.advance(Duration::from_secs(13 * 60 * 60));
        let result = client.call_tool_result("recall", key()).await.unwrap();
        assert_eq!(result.structured_content, Some(json!({ "result": "hi" })));
    }
}

#[tokio::test]
async fn a_read_does_not_renew_state_set_for_a_time_of_its_own() {
    let clock = Arc::new(ManualClock::starting_now());
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    let client = Client::connect(&builder(store).build().unwrap())
        .await
        .unwrap();
    client
        .call_tool_result("remember_briefly", key())
        .await
        .unwrap();
    clock.advance(Duration::from_secs(40));
    client.call_tool_result("recall", key()).await.unwrap();
    clock.advance(Duration::from_secs(40));
    let result = client.call_tool_result("recall", key()).await.unwrap();
    assert_eq!(result.structured_content, Some(json!({ "result": null })));
}

#[tokio::test]
async fn a_key_that_is_empty_or_too_long_is_the_clients_to_mend() {
    let client = Client::connect(&builder(MemoryStore::new()).build().unwrap())
        .await
        .unwrap();
    for (key, complaint) in [(String::new(), "empty"), ("k".repeat(2000), "too long")] {
        let result = client
            .call_tool_result("recall", json!({ "key": key }))
            .await
            .unwrap();
        let text = &result.content[0].as_text().unwrap().text;
        assert!(text.contains(complaint), "{text}");
    }
}

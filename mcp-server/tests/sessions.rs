//! Sessions that several instances of a server answer, on one store.

use std::path::Path;
use std::sync::{Arc, Mutex};

use kv_disk::DiskStore;
use mcp_server::middleware::{Message, Next};
use mcp_server::{Context, Server, ServerBuilder, ServerHandle, ToolError, resource, tool};
use serde_json::json;

use crate::changes::Events;
use crate::http_client::Served;

#[tool]
async fn tell(cx: Context) {
    cx.info("hello").await;
}

#[tool]
async fn count(cx: Context) -> Result<u64, ToolError> {
    let count = |count: Option<u64>| count.unwrap_or_default() + 1;
    Ok(cx.session_state().update("count", count).await?)
}

#[tool]
async fn client(cx: Context) -> String {
    cx.client_info().unwrap().name.clone()
}

#[resource("news://today")]
async fn news() -> &'static str {
    "no news"
}

fn builder(folder: &Path) -> ServerBuilder {
    Server::builder("Test")
        .storage(
            DiskStore::builder(folder.join("data"))
                .shared()
                .build()
                .unwrap(),
        )
        .tool(tell)
        .tool(count)
        .tool(client)
        .resource(news)
}

async fn serve(builder: ServerBuilder) -> (Served, ServerHandle) {
    let server = builder.build().unwrap();
    let handle = server.handle();
    (Served::new(server.into_router().unwrap()).await, handle)
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_answer_a_session_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = serve(builder(folder.path())).await;
    let (second, _) = serve(builder(folder.path())).await;
    let session = first.handshake().await;
    for turn in 1..=10 {
        let served = if turn % 2 == 0 { &first } else { &second };
        let counted = served.call_in(&session, "count", json!({})).await;
        assert_eq!(counted["structuredContent"]["result"], turn, "{counted}");
    }
    let known = second.call_in(&session, "client", json!({})).await;
    assert_eq!(known["structuredContent"]["result"], "test");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_has_set_holds_on_all_instances() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = serve(builder(folder.path())).await;
    let (second, handle) = serve(builder(folder.path())).await;
    let session = first.handshake().await;
    let uri = json!({ "uri": "news://today" });
    first
        .ask_in(&session, "resources/subscribe", uri.clone())
        .await;
    let mut events = Events::of_session(&second, &session).await;
    handle.resource_updated("news://today");
    let told = events.next().await.unwrap();
    assert_eq!(told["method"], "notifications/resources/updated", "{told}");

    second.call_in(&session, "tell", json!({})).await;
    let told = events.next().await.unwrap();
    assert_eq!(told["params"]["data"], "hello", "{told}");

    // What is set now is known there with the next request.
    let level = json!({ "level": "error" });
    first.ask_in(&session, "logging/setLevel", level).await;
    second.call_in(&session, "tell", json!({})).await;
    handle.resource_updated("news://today");
    let told = events.next().await.unwrap();
    assert_eq!(told["method"], "notifications/resources/updated", "{told}");

    first.ask_in(&session, "resources/unsubscribe", uri).await;
    second.call_in(&session, "count", json!({})).await;
    handle.resource_updated("news://today");
    handle.remove_tool("tell");
    let told = events.next().await.unwrap();
    assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn middleware_does_not_see_that_a_session_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let watched = || {
        let seen = Arc::clone(&seen);
        builder(folder.path()).middleware(move |message: Message, next: Next| {
            seen.lock().unwrap().push(message.method().to_owned());
            next.run(message)
        })
    };
    let (first, _) = serve(watched()).await;
    let (second, _) = serve(watched()).await;
    let session = first.handshake().await;
    for served in [&first, &second] {
        served.call_in(&session, "count", json!({})).await;
    }
    let seen = seen.lock().unwrap().clone();
    let expected = [
        "initialize",
        "notifications/initialized",
        "tools/call",
        "tools/call",
    ];
    assert_eq!(seen, expected);
}

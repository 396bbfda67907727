//! The state of sessions on one Redis, by this library and by Python's FastMCP.

use std::process::Command;

use kv_core::StoreExt as _;
use kv_redis::RedisStore;
use kv_tests::services::redis;
use mcp_server::{Client, Context, Server, SessionId, ToolError, tool};
use serde_json::{Value, json};
use tokio::task;

/// Runs the Python script, and returns what it prints.
async fn python(arguments: &[&str]) -> Value {
    let script = kv_tests::workspace().join("tests/tests/python/state.py");
    let mut command = Command::new(kv_tests::python());
    command.arg(script).args(arguments);
    let output = task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

#[tool]
async fn remember(cx: Context) -> Result<Vec<String>, ToolError> {
    cx.session_state().set("color", "red").await?;
    let handle = cx.create_session().await?;
    handle.set("color", "green").await?;
    let session = cx.session_id().unwrap_or_default().to_owned();
    Ok(vec![session, handle.id().as_str().to_owned()])
}

#[tool]
async fn recall(cx: Context, session_id: SessionId) -> Result<Option<String>, ToolError> {
    Ok(cx.session(&session_id).await?.get("color").await?)
}

#[tokio::test]
async fn python_reads_what_a_session_and_a_handle_have_and_the_other_way_round() {
    let url = redis().await;
    let store = RedisStore::new(url).unwrap();
    let session = python(&["write", url]).await;
    let key = format!("{}:color", session.as_str().unwrap());
    let written: Option<Value> = store.get_value("fastmcp_state", &key).await.unwrap();
    assert_eq!(written, Some(json!({ "value": "blue" })));

    let server = Server::builder("State")
        .storage(store)
        .tool(remember)
        .tool(recall);
    let client = Client::connect(&server.build().unwrap()).await.unwrap();
    let ids: Vec<String> = client.call_tool("remember", ()).await.unwrap();
    assert_eq!(python(&["read", url, &ids[0]]).await, "red");
    assert_eq!(python(&["handle", url, &ids[1]]).await, "green");

    let handle = python(&["create", url]).await;
    let arguments = json!({ "session_id": handle });
    let color: Option<String> = client.call_tool("recall", arguments).await.unwrap();
    assert_eq!(color.as_deref(), Some("yellow"));
}

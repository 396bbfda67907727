//! Calls that become tasks, for clients that take them.

use std::time::Duration;

use mcp_server::{Context, ToolError, tool};
use serde::Deserialize;
use tokio::time::sleep;

/// Greets by name, at once.
#[tool]
pub(crate) async fn greet(name: String) -> String {
    format!("Hello, {name}!")
}

/// Computes for some seconds.
#[tool(task)]
pub(crate) async fn slow_compute(seconds: u64, label: String) -> String {
    sleep(Duration::from_secs(seconds)).await;
    format!("{label} took {seconds} s")
}

/// Fails after a second.
#[tool(task(required))]
pub(crate) async fn failing_job() -> Result<(), ToolError> {
    sleep(Duration::from_secs(1)).await;
    Err(ToolError::new("the job failed"))
}

/// Panics.
#[tool(task)]
pub(crate) async fn protocol_error_job() {
    panic!("as it was told to")
}

/// Deletes a file, once the user agrees.
#[tool(task)]
pub(crate) async fn confirm_delete(cx: Context, filename: String) -> Result<String, ToolError> {
    let sure = cx.elicit::<Sure>(format!("Delete {filename}?")).await?;
    let deleted = sure.accepted().is_some_and(|answer| answer.confirm);
    Ok(format!("{filename} deleted: {deleted}"))
}

/// Asks two questions at once.
#[tool(task)]
pub(crate) async fn multi_input(cx: Context) -> Result<String, ToolError> {
    let (first, second) = tokio::join!(
        cx.elicit::<User>("First?").key("first"),
        cx.elicit::<User>("Second?").key("second"),
    );
    let names = [first?, second?].map(|user| user.accepted().map(|user| user.name));
    Ok(format!("{names:?}"))
}

/// Asks for a name, then works on as a task.
#[tool(name = "test_tool_with_task", task(required, on_demand))]
pub(crate) async fn ask_then_work(cx: Context) -> Result<String, ToolError> {
    let user = cx
        .elicit::<User>("What is your name?")
        .key("user_name")
        .await?;
    cx.continue_as_task().await;
    let name = user
        .accepted()
        .map_or_else(|| "nobody".to_owned(), |user| user.name);
    Ok(format!("Hello, {name}!"))
}

#[derive(Deserialize, schemars::JsonSchema)]
struct User {
    name: String,
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Sure {
    confirm: bool,
}

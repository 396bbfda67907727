//! Tools that tell their client something while they run.

use std::time::Duration;

use mcp_server::{Context, Progress, tool};
use tokio::time::sleep;

/// How long a step takes.
const STEP: Duration = Duration::from_millis(50);

/// Sends three messages.
#[tool(name = "test_tool_with_logging")]
pub(crate) async fn with_logging(cx: Context) -> &'static str {
    cx.info("Tool execution started").await;
    sleep(STEP).await;
    cx.info("Tool processing data").await;
    sleep(STEP).await;
    cx.info("Tool execution completed").await;
    "Three messages were sent."
}

/// Sends a message to those who want to hear it.
#[tool(name = "test_logging_tool")]
pub(crate) async fn logging(cx: Context) -> &'static str {
    cx.info("You asked for this").await;
    "A message was sent, if you wanted it."
}

/// Says how far it is.
#[tool(name = "test_tool_with_progress")]
pub(crate) async fn with_progress(cx: Context) -> &'static str {
    for percent in [0.0, 50.0, 100.0] {
        cx.report_progress(Progress::new(percent).of(100.0)).await;
        sleep(STEP).await;
    }
    "It is done."
}

/// Takes so long that a client can lose its stream meanwhile, and take it up again.
#[tool(name = "test_reconnection")]
pub(crate) async fn reconnection() -> &'static str {
    sleep(STEP).await;
    "You are still there."
}

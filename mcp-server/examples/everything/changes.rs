//! Tools that change what the server has.

use mcp_server::{Context, ToolError, prompt, tool};

/// Comes and goes.
#[tool]
async fn passing_tool() -> &'static str {
    "You have caught me."
}

/// Comes and goes.
#[prompt]
async fn passing_prompt() -> &'static str {
    "You have caught me."
}

/// Adds a tool, or removes it when it is there.
#[tool(name = "test_trigger_tool_change")]
pub(crate) async fn trigger_tool_change(cx: Context) -> Result<&'static str, ToolError> {
    if cx.server().remove_tool("passing_tool") {
        return Ok("It is gone.");
    }
    cx.server().add_tool(passing_tool)?;
    Ok("It is there.")
}

/// Adds a prompt, or removes it when it is there.
#[tool(name = "test_trigger_prompt_change")]
pub(crate) async fn trigger_prompt_change(cx: Context) -> Result<&'static str, ToolError> {
    if cx.server().remove_prompt("passing_prompt") {
        return Ok("It is gone.");
    }
    cx.server().add_prompt(passing_prompt)?;
    Ok("It is there.")
}

/// Tells those who watch the watched resource that it has changed.
#[tool(name = "test_trigger_resource_update")]
pub(crate) async fn trigger_resource_update(cx: Context) -> &'static str {
    cx.server().resource_updated("test://watched-resource");
    "They are told."
}

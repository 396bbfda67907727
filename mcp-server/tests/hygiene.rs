//! The code that the macros write is silent and clashes with nothing.

#![deny(
    warnings,
    missing_docs,
    unused_qualifications,
    missing_debug_implementations
)]
#![deny(clippy::all, clippy::pedantic, clippy::missing_const_for_fn)]

use mcp_server::{Tool, prompt, resource, tool};

/// Not the prelude's.
#[derive(Debug)]
pub struct Result;

/// Not the prelude's.
#[derive(Debug)]
pub enum Option {
    /// Not the prelude's.
    Some,
    /// Not the prelude's.
    None,
}

/// Not the server's.
#[derive(Debug)]
pub struct Context;

/// Not the prelude's.
#[derive(Debug)]
pub struct String;

/// Takes arguments with the names of variables.
#[tool]
pub async fn names(
    cx: mcp_server::Context,
    self_: i32,
    arguments: i32,
    result: std::option::Option<i32>,
) -> std::result::Result<i32, mcp_server::ToolError> {
    let cx_is_used = format!("{cx:?}").len();
    Ok(self_ + arguments + result.unwrap_or(0) + i32::from(cx_is_used == 0))
}

/// Takes nothing.
#[tool]
pub fn unit() {}

/// Has all options.
#[resource(
    "data://options/{name}",
    mime_type = "text/plain",
    icons("https://example.com/a.png"),
    annotations(audience("user"), priority = 0.5, last_modified = "2026-01-02"),
    meta(a = 1, "b" = "c"),
    unchecked("name")
)]
pub fn all_of_a_resource(name: std::string::String) -> std::string::String {
    name
}

/// Has all options.
#[prompt(icons("https://example.com/a.png"), meta(a = 1, "b" = "c"))]
pub fn all_of_a_prompt() -> &'static str {
    ""
}

/// Has all options.
#[tool(
    icons("https://example.com/a.png"),
    meta(a = 1, "b" = "c"),
    output_schema(i32),
    enabled = true,
    inline
)]
pub fn options() -> mcp_server::ToolResult {
    mcp_server::ToolResult::default()
}

/// Waits.
#[tool(timeout = std::time::Duration::from_secs(1))]
pub async fn timed() {}

/// Does not exist.
#[tool]
#[cfg(not(test))]
pub fn left_out() -> Missing {}

/// Is there.
#[resource("data://{value}")]
pub async fn value(value: std::string::String) -> std::string::String {
    value
}

/// Says hello.
#[prompt]
#[deprecated]
pub fn hello(request: std::string::String) -> std::string::String {
    request
}

#[test]
fn names_of_variables_and_of_the_prelude_can_be_taken() {
    let schema = names.definition().input_schema;
    let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["arguments", "result", "self_"]);
    unit.call();
}

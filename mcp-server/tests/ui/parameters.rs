use mcp_server::{prompt, resource, tool};

#[tool]
fn unsupported(#[serde(flatten)] a: i64) {}

#[tool]
fn differing(#[schemars(rename = "b")] a: i64) {}

#[tool]
fn other(#[cfg(unix)] a: i64) {}

#[prompt]
fn no_schema(#[schemars(length(min = 1))] a: String) -> String {
    a
}

#[resource("data://{a}")]
fn fixed_name(#[serde(rename = "b")] a: String) -> String {
    a
}

#[tool]
fn injected(#[serde(default)] cx: mcp_server::Context) {}

#[tool]
fn same_name(a: i64, #[serde(rename = "a")] b: i64) {}

/// Adds.
#[doc = include_str!("options.rs")]
#[tool]
fn foreign_docs() {}

#[prompt]
fn nothing_to_say(#[complete()] a: String) -> String {
    a
}

fn main() {}

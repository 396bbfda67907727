use mcp_server::{prompt, resource, tool};

#[tool(nam = "a")]
fn unknown() {}

#[prompt(annotations(read_only))]
fn unknown_here() -> String {
    String::new()
}

#[tool(name = "a", name = "b")]
fn twice() {}

const NAME: &str = "a";

#[tool(name = NAME)]
fn no_literal() {}

#[tool(title = "")]
fn empty() {}

#[tool(tags(a))]
fn no_literal_tag() {}

#[tool(annotations(readonly))]
fn unknown_annotation() {}

#[tool(annotations(read_only = "yes"))]
fn no_bool() {}

#[resource]
fn no_uri() -> String {
    String::new()
}

#[resource(name = "a")]
fn no_uri_first() -> String {
    String::new()
}

#[tool]
struct NoFunction;

fn main() {}

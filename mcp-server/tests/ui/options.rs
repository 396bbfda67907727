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

#[tool(timeout = 30)]
fn no_duration() {}

#[tool(enabled = "yes")]
fn no_bool_either() {}

#[tool(inline)]
async fn inline_anyway() {}

#[tool(inline, timeout = std::time::Duration::from_secs(1))]
fn endless() {}

#[tool(meta(a = 1, a = 2))]
fn twice_meta() {}

#[tool(output_schema = u8)]
fn no_list() {}

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

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

#[resource("data://a", annotations(read_only))]
fn unknown_hint() {}

#[resource("data://a", annotations(audience("model")))]
fn unknown_audience() {}

#[resource("data://a", annotations(priority = 2))]
fn too_important() {}

#[resource("data://a", size = "3")]
fn no_size() {}

#[resource("data://{a}", size = 3)]
fn no_one_size(a: String) -> String {
    a
}

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

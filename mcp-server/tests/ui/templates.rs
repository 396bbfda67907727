use mcp_server::resource;

#[resource("data")]
fn no_scheme() -> String {
    String::new()
}

#[resource("data://{a")]
fn unbalanced(a: String) -> String {
    a
}

#[resource("data://{a}/{b}")]
fn missing(a: String) -> String {
    a
}

#[resource("data://a")]
fn too_many(a: String) -> String {
    a
}

#[resource("data://{a}{?b}")]
fn optional(a: Option<String>, b: String) -> String {
    b
}

#[resource("data://{a}", unchecked("b"))]
fn unchecked(a: String) -> String {
    a
}

fn main() {}

use mcp_server::tool;

#[tool]
fn receiver(&self) {}

#[tool]
fn generic<T: Default>(value: T) {}

#[tool]
fn implicit(value: impl ToString) -> impl ToString {
    value
}

#[tool]
fn borrowed(text: &str, list: Vec<&'static str>, cx: &mcp_server::Context) {}

#[tool]
fn pattern((a, b): (i64, i64), _: i64) {}

#[tool]
unsafe fn dangerous() {}

#[tool]
extern "C" fn foreign() {}

fn main() {}

use mcp_server::{Tool, prompt};

#[prompt]
async fn message() -> u8 {
    0
}

async fn plain() {}

fn needs(_: impl Tool) {}

fn main() {
    needs(plain);
}

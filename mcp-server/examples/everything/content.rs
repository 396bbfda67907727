//! Tools that show what a result can hold.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mcp_server::types::{ContentBlock, ResourceContents};
use mcp_server::{ToolError, ToolResult, tool};

/// One red pixel.
pub(crate) const PIXEL: &[u8] = include_bytes!("pixel.png");

/// A millisecond of silence.
const SILENCE: &[u8] = include_bytes!("silence.wav");

/// Returns a text.
#[tool(name = "test_simple_text", annotations(read_only))]
pub(crate) async fn simple_text() -> &'static str {
    "This is a simple text response for testing."
}

/// Returns an image.
#[tool(name = "test_image_content", annotations(read_only))]
pub(crate) async fn image() -> ToolResult {
    pixel().into()
}

/// Returns a sound.
#[tool(name = "test_audio_content", annotations(read_only))]
pub(crate) async fn audio() -> ToolResult {
    ContentBlock::audio(BASE64_STANDARD.encode(SILENCE), "audio/wav").into()
}

/// Returns a resource whole.
#[tool(name = "test_embedded_resource", annotations(read_only))]
pub(crate) async fn embedded_resource() -> ToolResult {
    let text = "This is an embedded resource content.";
    let contents = ResourceContents::text(text, "test://embedded-resource");
    ContentBlock::resource(contents.with_mime_type("text/plain")).into()
}

/// Returns a text, an image and a resource.
#[tool(name = "test_multiple_content_types", annotations(read_only))]
pub(crate) async fn multiple_content_types() -> ToolResult {
    let json = r#"{"test":"data","value":123}"#;
    let contents = ResourceContents::text(json, "test://mixed-content-resource");
    ToolResult::text("Multiple content types test:")
        .with_content(pixel())
        .with_content(ContentBlock::resource(
            contents.with_mime_type("application/json"),
        ))
}

/// Greets, as its old clients expect it.
#[tool(name = "greeting", version = "1.0", annotations(read_only))]
pub(crate) async fn old_greeting() -> &'static str {
    "Hello!"
}

/// Greets somebody.
#[tool(name = "greeting", version = "2.0", annotations(read_only))]
pub(crate) async fn greeting(name: String) -> String {
    format!("Good day, {name}!")
}

/// Fails.
#[tool(name = "test_error_handling")]
pub(crate) async fn error_handling() -> Result<String, ToolError> {
    Err(ToolError::new(
        "This tool intentionally returns an error for testing",
    ))
}

fn pixel() -> ContentBlock {
    ContentBlock::image(BASE64_STANDARD.encode(PIXEL), "image/png")
}

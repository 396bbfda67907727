//! Prompts: messages that a person picks.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mcp_server::types::{ContentBlock, PromptMessage, ResourceContents, Role};
use mcp_server::{BoxError, CompletionRequest, Context, PromptError, prompt};

use crate::asking::Background;
use crate::content::PIXEL;

/// Says something simple.
#[prompt(name = "test_simple_prompt")]
pub(crate) async fn simple() -> &'static str {
    "This is a simple prompt for testing."
}

/// Repeats its arguments.
#[prompt(name = "test_prompt_with_arguments")]
pub(crate) async fn with_arguments(
    /// The first
    #[complete("apple", "apricot", "banana")]
    arg1: String,
    /// The second
    #[complete(second)]
    arg2: String,
) -> String {
    format!("Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")
}

/// Suggests second arguments that go with the first.
async fn second(_cx: Context, request: CompletionRequest) -> Result<Vec<String>, BoxError> {
    let first = request.others.get("arg1").map_or("fruit", String::as_str);
    let values = ["pie", "juice"].map(|dish| format!("{first} {dish}"));
    Ok(values.into_iter().filter(|it| request.fits(it)).collect())
}

/// Shows a resource.
#[prompt(name = "test_prompt_with_embedded_resource")]
pub(crate) async fn with_embedded_resource(
    /// Where the resource is
    #[serde(rename = "resourceUri")]
    resource_uri: String,
) -> Vec<PromptMessage> {
    let text = "Embedded resource content for testing.";
    let contents = ResourceContents::text(text, resource_uri).with_mime_type("text/plain");
    vec![
        PromptMessage::new(Role::User, ContentBlock::resource(contents)),
        PromptMessage::new_text(Role::User, "Please process the embedded resource above."),
    ]
}

/// Shows an image.
#[prompt(name = "test_prompt_with_image")]
pub(crate) async fn with_image() -> Vec<PromptMessage> {
    let image = ContentBlock::image(BASE64_STANDARD.encode(PIXEL), "image/png");
    vec![
        PromptMessage::new(Role::User, image),
        PromptMessage::new_text(Role::User, "Please analyze the image above."),
    ]
}

/// Asks the user before it says anything.
#[prompt(name = "test_input_required_result_prompt")]
pub(crate) async fn with_question(cx: Context) -> Result<String, PromptError> {
    let answer = cx
        .elicit::<Background>("What context should the prompt use?")
        .key("user_context")
        .await?;
    Ok(match answer.accepted() {
        Some(background) => format!("Use this context: {}", background.context),
        None => "Use no context.".to_owned(),
    })
}

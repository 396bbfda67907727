//! What the macros write, called as the dispatcher calls it.

use std::collections::BTreeMap;
use std::num::ParseIntError;
use std::thread;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::context::States;
use crate::types::{ContentBlock, PromptMessage, ResourceContents, Role, object};
use crate::{
    Context, Prompt, PromptError, PromptResult, Resource, ResourceDefinition, ResourceError,
    ResourceRequest, ResourceResult, State, Tool, ToolError, ToolResult, prompt, resource, tool,
};

async fn run(tool: impl Tool, arguments: Value) -> Result<ToolResult, ToolError> {
    let cx = Context::of_states(States::default());
    tool.run(cx, object(arguments)).await
}

async fn refusal(tool: impl Tool, arguments: Value) -> String {
    let error = run(tool, arguments).await.unwrap_err();
    error.message().unwrap().to_owned()
}

async fn wire(tool: impl Tool, arguments: Value) -> Value {
    let result = run(tool, arguments).await.unwrap();
    serde_json::to_value(result.into_wire()).unwrap()
}

#[tool]
async fn add(a: i64, #[serde(default = "one")] b: i64, note: Option<String>) -> i64 {
    drop(note);
    a + b
}

fn one() -> i64 {
    1
}

#[tokio::test]
async fn a_tool_answers_with_text_and_structure() {
    assert_eq!(
        wire(add, json!({"a": 1, "b": 2, "note": null})).await,
        json!({
            "resultType": "complete",
            "content": [{"type": "text", "text": "3"}],
            "structuredContent": {"result": 3},
            "isError": false,
            "_meta": {"fastmcp": {"wrap_result": true}},
        })
    );
    assert_eq!(wire(add, json!({"a": 1})).await["content"][0]["text"], "2");
}

#[tokio::test]
async fn a_tool_names_every_wrong_argument() {
    assert_eq!(
        refusal(add, json!({"b": "x", "c": 1, "note": 1})).await,
        "missing argument `a` (integer)\n\
         argument `b`: expected i64\n\
         argument `note`: expected a string\n\
         unknown argument `c`; known: a, b, note"
    );
}

#[tool]
async fn nothing() {}

#[tokio::test]
async fn a_tool_without_a_result_has_no_content() {
    let result = wire(nothing, json!({})).await;
    assert_eq!(result["content"], json!([]));
    assert!(result.get("structuredContent").is_none());
    let complaint = refusal(nothing, json!({"a": 1})).await;
    assert_eq!(complaint, "unknown argument `a`; there are none");
}

#[tool]
async fn fail(visible: bool) -> Result<String, ToolError> {
    if visible {
        return Err(ToolError::new("told"));
    }
    Ok("x".parse::<u8>()?.to_string())
}

#[tool]
async fn parse(parse: String) -> Result<u8, ParseIntError> {
    parse.parse()
}

#[tool]
async fn format() -> std::fmt::Result {
    Ok(())
}

#[tokio::test]
async fn errors_are_visible_or_masked_as_the_function_says() {
    assert_eq!(refusal(fail, json!({"visible": true})).await, "told");
    let error = run(fail, json!({"visible": false})).await.unwrap_err();
    assert!(error.message().is_none());
    let error = run(parse, json!({"parse": "x"})).await.unwrap_err();
    assert!(error.source().unwrap().is::<ParseIntError>());
    assert!(run(format, json!({})).await.unwrap().content.is_empty());
}

#[derive(Serialize)]
struct Undescribed {
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
}

#[derive(Serialize, JsonSchema)]
struct Saved {
    key: String,
}

#[tool]
async fn undescribed(ratio: Option<f64>) -> Undescribed {
    Undescribed { ratio }
}

#[tool]
async fn saved() -> Result<Saved, ToolError> {
    Ok(Saved { key: "k".into() })
}

#[tool]
async fn block() -> ContentBlock {
    ContentBlock::text("b")
}

#[tool]
async fn blocks() -> Result<Vec<ContentBlock>, ToolError> {
    Ok(vec![ContentBlock::text("b"), ContentBlock::text("c")])
}

#[tool]
async fn by_hand() -> ToolResult {
    ToolResult::text("t").with_structured(json!({"n": 1}))
}

#[tool]
async fn text() -> &'static str {
    "plain \"text\""
}

#[tokio::test]
async fn a_result_is_converted_by_what_its_type_can_do() {
    let result = wire(undescribed, json!({"ratio": 0.5})).await;
    assert_eq!(result["structuredContent"], json!({"ratio": 0.5}));
    assert_eq!(result["content"][0]["text"], r#"{"ratio":0.5}"#);
    assert!(undescribed.definition().output_schema.is_none());
    let result = wire(saved, json!({})).await;
    assert_eq!(result["structuredContent"], json!({"key": "k"}));
    assert!(result.get("_meta").is_none());
    assert!(saved.definition().output_schema.is_some());
    assert_eq!(wire(block, json!({})).await["content"][0]["text"], "b");
    let result = wire(blocks, json!({})).await;
    assert_eq!(result["content"][1]["text"], "c");
    assert!(result.get("structuredContent").is_none());
    assert!(blocks.definition().output_schema.is_none());
    let result = wire(by_hand, json!({})).await;
    assert_eq!(result["structuredContent"], json!({"n": 1}));
    let result = wire(text, json!({})).await;
    assert_eq!(result["content"][0]["text"], "plain \"text\"");
    assert_eq!(result["structuredContent"]["result"], "plain \"text\"");
}

#[tool]
fn thread_name(panic: Option<bool>) -> String {
    assert!(panic.is_none(), "secret");
    format!("{:?}", thread::current().id())
}

#[tokio::test]
async fn a_plain_function_runs_elsewhere_and_may_panic() {
    let result = wire(thread_name, json!({})).await;
    let here = format!("{:?}", thread::current().id());
    assert_ne!(result["content"][0]["text"], here.as_str());
    let error = run(thread_name, json!({"panic": true})).await.unwrap_err();
    assert!(error.message().is_none());
}

struct Greeting(&'static str);

#[tool]
async fn greet(greeting: State<Greeting>, cx: Context, name: String) -> String {
    drop(cx);
    format!("{} {name}", greeting.0)
}

#[tokio::test]
async fn states_come_from_the_context() {
    let cx = Context::of_states(States::of(Greeting("Hello")));
    let result = greet.run(cx, object(json!({"name": "Ada"}))).await.unwrap();
    assert_eq!(result.content[0].as_text().unwrap().text, "Hello Ada");
    let error = run(greet, json!({"name": "Ada"})).await.unwrap_err();
    assert!(error.message().is_none());
    let definition = greet.definition();
    assert_eq!(definition.required_states().iter().count(), 1);
}

async fn read(resource: impl Resource, uri: &str) -> Result<ResourceResult, ResourceError> {
    let ResourceDefinition { uri: template, .. } = resource.definition();
    let template = crate::resources::UriTemplate::parse(&template).unwrap();
    let request = ResourceRequest::new(uri).with_parameters(template.matches(uri).unwrap());
    let cx = Context::of_states(States::default());
    resource.read(cx, request).await
}

async fn contents(resource: impl Resource, uri: &str) -> Value {
    let result = read(resource, uri).await.unwrap();
    serde_json::to_value(result.contents).unwrap()
}

#[resource("user://{user-id}/posts/{path*}{?draft}")]
async fn posts(user_id: u64, path: String, draft: Option<bool>) -> String {
    format!("{user_id} {path} {draft:?}")
}

#[tokio::test]
async fn a_resource_takes_its_parameters_from_the_uri() {
    let uri = "user://7/posts/a/b%20c?draft=yes";
    assert_eq!(
        contents(posts, uri).await,
        json!([{"uri": uri, "mimeType": "text/plain", "text": "7 a/b c Some(true)"}])
    );
    let error = read(posts, "user://x/posts/a").await.unwrap_err();
    let message = error.message().unwrap();
    assert_eq!(message, "parameter `user_id` is not a valid u64");
}

#[resource("data://bytes")]
async fn raw() -> Bytes {
    Bytes::from_static(b"hi")
}

#[resource("data://vec", mime_type = "image/png")]
fn image() -> Result<Vec<u8>, ResourceError> {
    Ok(b"hi".to_vec())
}

#[resource("data://json")]
async fn map() -> BTreeMap<String, u8> {
    BTreeMap::from([("a".to_owned(), 1)])
}

#[resource("data://html", mime_type = "text/html")]
async fn html() -> &'static str {
    "<p>"
}

#[resource("data://hand", mime_type = "text/html")]
async fn contents_by_hand() -> Vec<ResourceContents> {
    vec![
        ResourceContents::text("a", "data://1"),
        ResourceContents::blob("aGk=", "data://2"),
    ]
}

#[tokio::test]
async fn contents_are_text_blobs_or_json() {
    for (found, expected) in [
        (
            contents(raw, "data://bytes").await,
            json!({"uri": "data://bytes", "mimeType": "application/octet-stream", "blob": "aGk="}),
        ),
        (
            contents(image, "data://vec").await,
            json!({"uri": "data://vec", "mimeType": "image/png", "blob": "aGk="}),
        ),
        (
            contents(map, "data://json").await,
            json!({"uri": "data://json", "mimeType": "application/json", "text": "{\"a\":1}"}),
        ),
        (
            contents(html, "data://html").await,
            json!({"uri": "data://html", "mimeType": "text/html", "text": "<p>"}),
        ),
    ] {
        assert_eq!(found, json!([expected]));
    }
    assert_eq!(
        contents(contents_by_hand, "data://hand").await,
        json!([
            {"uri": "data://1", "mimeType": "text/plain", "text": "a"},
            {"uri": "data://2", "mimeType": "text/html", "blob": "aGk="},
        ])
    );
}

async fn render(prompt: impl Prompt, arguments: Value) -> Result<PromptResult, PromptError> {
    let cx = Context::of_states(States::default());
    prompt.render(cx, object(arguments)).await
}

#[prompt]
fn review(code: String, limit: Option<u32>, tags: Vec<String>) -> String {
    format!("{code} {limit:?} {tags:?}")
}

#[prompt]
async fn dialogue() -> Result<Vec<PromptMessage>, PromptError> {
    Ok(vec![
        PromptMessage::new_text(Role::User, "a"),
        PromptMessage::new_text(Role::Assistant, "b"),
    ])
}

#[tokio::test]
async fn a_prompt_reads_its_arguments_out_of_text() {
    let arguments = json!({"code": "12", "limit": "3", "tags": "[\"a\"]"});
    let result = render(review, arguments).await.unwrap();
    assert_eq!(
        serde_json::to_value(result.into_wire(Some("Reviews"))).unwrap(),
        json!({
            "resultType": "complete",
            "description": "Reviews",
            "messages": [
                {"role": "user", "content": {"type": "text", "text": "12 Some(3) [\"a\"]"}},
            ],
        })
    );
    assert_eq!(render(dialogue, json!({})).await.unwrap().messages.len(), 2);
}

#[tokio::test]
async fn a_prompt_names_every_wrong_argument() {
    let error = render(review, json!({"limit": "many", "x": "1"})).await;
    assert_eq!(
        error.unwrap_err().message().unwrap(),
        "missing argument `code`\n\
         argument `limit`: expected u32\n\
         missing argument `tags`\n\
         unknown argument `x`; known: code, limit, tags"
    );
}

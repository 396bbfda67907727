//! Tools as a client meets them: arguments, options, results.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use mcp_server::Client;
use mcp_server::types::{CallToolResult, Icon, JsonObject, object};
use mcp_server::{
    BoxFuture, Context, Error, Image, Server, ServerBuilder, Tool, ToolDefinition, ToolError,
    ToolResult, tool,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) async fn client(server: ServerBuilder) -> Client {
    Client::connect(&server.build().unwrap()).await.unwrap()
}

pub(crate) fn serving(tool: impl Tool) -> ServerBuilder {
    Server::builder("Test").tool(tool)
}

pub(crate) async fn call(client: &Client, tool: &str, arguments: Value) -> CallToolResult {
    client.call_tool_result(tool, arguments).await.unwrap()
}

/// Calls a tool, and returns the text of its answer.
pub(crate) async fn text(client: &Client, tool: &str, arguments: Value) -> String {
    let result = call(client, tool, arguments).await;
    result.content[0].as_text().unwrap().text.clone()
}

/// Calls a tool in vain, and returns what it says of that.
pub(crate) async fn refusal(client: &Client, tool: &str, arguments: Value) -> String {
    let result = call(client, tool, arguments).await;
    assert_eq!(result.is_error, Some(true));
    result.content[0].as_text().unwrap().text.clone()
}

pub(crate) async fn listed(client: &Client, name: &str) -> Value {
    let tools = client.list_tools().await.unwrap();
    let tool = tools.into_iter().find(|tool| tool.name == name).unwrap();
    serde_json::to_value(tool).unwrap()
}

pub(crate) fn reason(server: ServerBuilder) -> String {
    match server.build().unwrap_err() {
        Error::InvalidComponent { reason, .. } => reason,
        error => panic!("{error:?}"),
    }
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct Address {
    #[schemars(regex(pattern = "^[0-9]{5}$"))]
    zip: String,
}

#[tool]
async fn book(
    #[schemars(range(min = 1, max = 9))] seats: u8,
    #[serde(default = "nobody")]
    #[schemars(length(max = 4))]
    name: String,
    address: Option<Address>,
) -> String {
    format!(
        "{seats} {name} {}",
        address.map_or_else(String::new, |address| address.zip)
    )
}

fn nobody() -> String {
    "none".to_owned()
}

#[tokio::test]
async fn constraints_hold_before_the_function_runs() {
    let client = client(serving(book)).await;
    let arguments = json!({"seats": 12, "name": "hunter2", "address": {"zip": "x"}});
    assert_eq!(
        refusal(&client, "book", arguments).await,
        "argument `address.zip`: it does not match \"^[0-9]{5}$\"\n\
         argument `name`: it is longer than 4 characters\n\
         argument `seats`: it is greater than the maximum of 9"
    );
    assert_eq!(
        refusal(&client, "book", json!({"name": null, "seat": 1})).await,
        "argument `name`: expected string, got null\n\
         missing argument `seats` (integer)\n\
         unknown argument `seat`; known: address, name, seats"
    );
}

/// What is written to it, for all who hold it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn invalid_arguments_are_logged_without_values() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_env_filter("rmcp=off,trace")
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let client = client(serving(book)).await;
    refusal(&client, "book", json!({"seats": "hunter2", "hunter3": 1})).await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("WARN"), "{log}");
    assert!(log.contains("invalid arguments for tool 'book'"), "{log}");
    assert!(!log.contains("hunter"), "{log}");
}

#[tokio::test]
async fn defaults_and_options_show_in_the_schema_and_work() {
    let client = client(serving(book)).await;
    let schema = listed(&client, "book").await["inputSchema"].clone();
    assert_eq!(schema["required"], json!(["seats"]));
    assert_eq!(schema["properties"]["name"]["default"], "none");
    assert_eq!(schema["properties"]["seats"]["maximum"], 9);
    assert_eq!(text(&client, "book", json!({"seats": 2})).await, "2 none ");
}

#[tokio::test]
async fn values_of_other_types_are_taken_unless_the_server_is_strict() {
    let arguments = json!({"seats": "2", "address": "{\"zip\": \"12345\"}"});
    let lax = client(serving(book)).await;
    assert_eq!(text(&lax, "book", arguments.clone()).await, "2 none 12345");
    let strict = client(serving(book).strict_arguments(true)).await;
    assert_eq!(
        refusal(&strict, "book", arguments).await,
        "argument `address`: expected object or null, got string\n\
         argument `seats`: expected integer, got string"
    );
    for client in [lax, strict] {
        // JSON knows one kind of number.
        let arguments = json!({"seats": 2.0});
        assert_eq!(text(&client, "book", arguments).await, "2 none ");
    }
}

/// Knows more than its schema says.
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Even(i64);

impl<'de> Deserialize<'de> for Even {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match i64::deserialize(deserializer)? {
            even if even % 2 == 0 => Ok(Self(even)),
            _ => Err(serde::de::Error::custom("it is odd")),
        }
    }
}

#[tool]
async fn halve(number: Even) -> i64 {
    number.0 / 2
}

#[tokio::test]
async fn a_type_may_refuse_what_its_schema_allows() {
    let client = client(serving(halve)).await;
    assert_eq!(text(&client, "halve", json!({"number": 4})).await, "2");
    assert_eq!(
        refusal(&client, "halve", json!({"number": 5})).await,
        "argument `number`: it is odd"
    );
}

fn icon() -> Icon {
    Icon::new("https://example.com/b.svg").with_mime_type("image/svg+xml")
}

#[tool(
    icons("https://example.com/a.png", icon()),
    meta(level = 3, "example.com/owner" = "ops"),
    tags("x"),
    output_schema(Address),
    timeout = Duration::from_secs(30)
)]
async fn described(
    #[schemars(extend("x-mcp-header" = "Message"))] message: Option<String>,
) -> ToolResult {
    drop(message);
    ToolResult::default().with_structured(json!({"zip": "12345"}))
}

#[tokio::test]
async fn options_reach_the_list() {
    let client = client(serving(described)).await;
    let tool = listed(&client, "described").await;
    assert_eq!(
        tool["icons"],
        json!([
            {"src": "https://example.com/a.png"},
            {"src": "https://example.com/b.svg", "mimeType": "image/svg+xml"},
        ])
    );
    assert_eq!(
        tool["_meta"],
        json!({"level": 3, "example.com/owner": "ops", "fastmcp": {"tags": ["x"]}})
    );
    assert_eq!(tool["outputSchema"]["required"], json!(["zip"]));
    let message = &tool["inputSchema"]["properties"]["message"];
    assert_eq!(message["x-mcp-header"], "Message");
    let result = call(&client, "described", json!({})).await;
    assert_eq!(result.structured_content, Some(json!({"zip": "12345"})));
}

#[tool(timeout = Duration::from_millis(500))]
async fn sleep(seconds: u64) -> &'static str {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    "slept"
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_a_protocol_error() {
    let client = client(serving(sleep)).await;
    assert_eq!(text(&client, "sleep", json!({"seconds": 0})).await, "slept");
    let error = client
        .call_tool_result("sleep", json!({"seconds": 1}))
        .await;
    let error = error.unwrap_err();
    assert_eq!(error.code(), Some(-32000));
    assert_eq!(
        error.to_string(),
        "Tool 'sleep' execution timed out after 0.5s"
    );
}

#[tool(enabled = false)]
async fn off() {}

#[tokio::test]
async fn a_disabled_tool_is_not_there() {
    let client = client(serving(off).tool(book)).await;
    assert_eq!(client.list_tools().await.unwrap().len(), 1);
    let error = client.call_tool_result("off", json!({})).await.unwrap_err();
    assert_eq!(error.to_string(), "Unknown tool: 'off'");
}

#[tool(inline)]
fn here() -> String {
    format!("{:?}", thread::current().id())
}

#[tool(inline)]
fn burst_here() {
    panic!("at the disco");
}

#[tokio::test]
async fn an_inline_function_runs_where_the_call_is() {
    let client = client(serving(here).tool(burst_here)).await;
    let thread = format!("{:?}", thread::current().id());
    assert_eq!(text(&client, "here", json!({})).await, thread);
    assert_eq!(
        refusal(&client, "burst_here", json!({})).await,
        "Error calling tool 'burst_here'"
    );
}

/// A tool by hand, of any definition.
struct ByHand(ToolDefinition);

impl Tool for ByHand {
    fn definition(&self) -> ToolDefinition {
        self.0.clone()
    }

    fn run(
        &self,
        _cx: Context,
        arguments: JsonObject,
    ) -> BoxFuture<'_, Result<ToolResult, ToolError>> {
        assert!(!arguments.contains_key("panic"), "secret");
        Box::pin(async move { ToolResult::json(&arguments) })
    }
}

fn conformance_schema() -> JsonObject {
    object(json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            },
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    }))
}

#[tokio::test]
async fn a_schema_by_hand_reaches_the_list_unchanged_and_is_enforced() {
    let definition = ToolDefinition::new("by_hand").with_input_schema(conformance_schema());
    let client = client(serving(ByHand(definition))).await;
    let tool = listed(&client, "by_hand").await;
    assert_eq!(tool["inputSchema"], Value::Object(conformance_schema()));
    let arguments = json!({"address": "{\"city\": \"Rome\"}", "email": "a@b"});
    let result = call(&client, "by_hand", arguments).await;
    let address = &result.structured_content.unwrap()["address"];
    assert_eq!(*address, json!({"city": "Rome"}));
    let complaint = refusal(&client, "by_hand", json!({"contactMethod": "phone"})).await;
    assert!(
        complaint.contains("missing argument `phone` (string)"),
        "{complaint}"
    );
}

#[tokio::test]
async fn a_tool_by_hand_that_panics_is_masked() {
    let any = object(json!({"type": "object"}));
    let definition = ToolDefinition::new("by_hand").with_input_schema(any);
    let client = client(serving(ByHand(definition))).await;
    assert_eq!(
        refusal(&client, "by_hand", json!({"panic": 1})).await,
        "Error calling tool 'by_hand'"
    );
    assert_eq!(
        text(&client, "by_hand", json!({"a": 1})).await,
        r#"{"a":1}"#
    );
}

#[test]
fn a_broken_definition_is_refused_when_the_server_is_built() {
    let definition = || ToolDefinition::new("x");
    for (definition, expected) in [
        (
            definition().with_input_schema(object(json!({"type": "array"}))),
            "the input schema is not of \"type\": \"object\"",
        ),
        (
            definition().with_input_schema(object(json!({"type": "object", "required": 1}))),
            "the input schema is invalid: ",
        ),
        (
            definition().with_output_schema(object(json!({"type": "string"}))),
            "the output schema is not of \"type\": \"object\"",
        ),
        (
            definition().with_timeout(Duration::ZERO),
            "a timeout of 0 leaves no time for a call",
        ),
        (
            definition()
                .with_timeout(Duration::from_secs(1))
                .with_inline(),
            "a timeout cannot cut short an inline function",
        ),
    ] {
        let reason = reason(serving(ByHand(definition)));
        assert!(reason.starts_with(expected), "{reason}");
    }
}

#[tool]
async fn picture() -> (&'static str, Image) {
    ("a cat", Image::new(vec![0], "image/png"))
}

#[tool]
async fn half_done() -> ToolResult {
    ToolResult::error("2 of 3 sent")
        .with_content(Image::new(vec![0], "image/png"))
        .with_structured(json!({"sent": 2}))
}

#[tokio::test]
async fn contents_and_failures_reach_the_client() {
    let client = client(serving(picture).tool(half_done)).await;
    assert!(
        listed(&client, "picture")
            .await
            .get("outputSchema")
            .is_none()
    );
    let result = call(&client, "picture", json!({})).await;
    assert_eq!(
        serde_json::to_value(result.content).unwrap(),
        json!([
            {"type": "text", "text": "a cat"},
            {"type": "image", "data": "AA==", "mimeType": "image/png"},
        ])
    );
    let result = call(&client, "half_done", json!({})).await;
    assert_eq!(result.is_error, Some(true));
    assert_eq!(result.content.len(), 2);
    assert_eq!(result.structured_content, Some(json!({"sent": 2})));
}

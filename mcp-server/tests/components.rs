//! What `#[tool]`, `#[resource]` and `#[prompt]` say of a function.

use mcp_server::types::ToolAnnotations;
use mcp_server::{Context, Prompt, Resource, State, Tool, ToolError, prompt, resource, tool};
use serde_json::{Value, json};

/// Adds two numbers.
///
///  * exactly
///    * always
#[tool]
async fn add(
    /// First number
    a: i64,
    /// Second
    /// number
    b: i64,
) -> i64 {
    a + b
}

#[test]
fn a_tool_describes_its_arguments_and_result() {
    let definition = add.definition();
    assert_eq!(definition.name, "add");
    assert_eq!(
        definition.description.unwrap(),
        "Adds two numbers.\n\n * exactly\n   * always"
    );
    assert_eq!(
        Value::from(definition.input_schema),
        json!({
            "type": "object",
            "properties": {
                "a": {"type": "integer", "format": "int64", "description": "First number"},
                "b": {"type": "integer", "format": "int64", "description": "Second\nnumber"},
            },
            "required": ["a", "b"],
            "additionalProperties": false,
        })
    );
    assert_eq!(
        Value::from(definition.output_schema.unwrap()),
        json!({
            "type": "object",
            "properties": {"result": {"type": "integer", "format": "int64"}},
            "required": ["result"],
            "x-fastmcp-wrap-result": true,
        })
    );
}

#[tokio::test]
async fn the_function_stays_callable() {
    assert_eq!(add.call(1, 2).await, 3);
    assert_eq!(factorial.call(5), 120);
    assert_eq!(format!("{:?}", factorial.clone()), "factorial");
}

#[tool]
fn factorial(mut n: u64) -> u64 {
    if n > 1 {
        n *= factorial(n - 1);
    }
    n
}

/// Not this.
#[tool(
    name = "set-config",
    title = "Set it",
    description = "This.",
    tags("b", "a"),
    annotations(read_only = false, idempotent)
)]
async fn set_config(
    cx: Context,
    #[schemars(length(min = 1))] key: String,
    r#type: Option<String>,
    #[serde(rename = "new-value", default)] value: Vec<u8>,
    limit: State<u64>,
) -> Result<(), ToolError> {
    drop((cx, key, r#type, value, limit));
    Ok(())
}

#[test]
fn options_and_attributes_shape_the_definition() {
    let definition = set_config.definition();
    assert_eq!(definition.name, "set-config");
    assert_eq!(definition.title.as_deref(), Some("Set it"));
    assert_eq!(definition.description.as_deref(), Some("This."));
    assert_eq!(definition.tags, ["a", "b"].map(str::to_owned).into());
    let annotations = ToolAnnotations::new().read_only(false).idempotent(true);
    assert_eq!(definition.annotations, Some(annotations));
    assert!(definition.output_schema.is_none());
    let schema = Value::from(definition.input_schema);
    let names: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["key", "new-value", "type"]);
    assert_eq!(schema["properties"]["key"]["minLength"], 1);
    assert_eq!(
        schema["properties"]["type"]["type"],
        json!(["string", "null"])
    );
    assert_eq!(schema["properties"]["new-value"]["default"], json!([]));
    assert_eq!(schema["required"], json!(["key"]));
}

#[test]
fn a_tool_may_stand_in_a_function_and_name_itself() {
    #[tool]
    async fn echo(echo: String) -> String {
        echo
    }

    assert_eq!(echo.definition().input_schema["required"], json!(["echo"]));
}

/// A user.
#[resource(
    "user://{user-id}/{path*}{?max-items}",
    name = "user",
    title = "User",
    mime_type = "text/plain",
    tags("users")
)]
async fn user(cx: Context, path: String, user_id: u32, max_items: Option<usize>) -> String {
    drop(cx);
    format!("{user_id} {path} {max_items:?}")
}

#[tokio::test]
async fn a_resource_describes_its_template() {
    let definition = user.definition();
    assert_eq!(definition.uri, "user://{user-id}/{path*}{?max-items}");
    assert!(definition.is_template());
    assert_eq!(definition.name, "user");
    assert_eq!(definition.title.as_deref(), Some("User"));
    assert_eq!(definition.description.as_deref(), Some("A user."));
    assert_eq!(definition.mime_type.as_deref(), Some("text/plain"));
    assert!(definition.tags.contains("users"));
    assert!(!motd.definition().is_template());
    assert_eq!(motd.call(), "Good morning");
}

#[resource("text://motd")]
fn motd() -> &'static str {
    "Good morning"
}

/// Reviews code.
#[prompt(title = "Review", tags("code"))]
async fn review(
    /// The code
    code: String,
    cx: Context,
    strict: Option<bool>,
    #[serde(default)] tries: u8,
) -> String {
    drop(cx);
    format!("{code} {strict:?} {tries}")
}

#[test]
fn a_prompt_describes_its_arguments() {
    let definition = review.definition();
    assert_eq!(definition.name, "review");
    assert_eq!(definition.title.as_deref(), Some("Review"));
    assert_eq!(definition.description.as_deref(), Some("Reviews code."));
    assert_eq!(
        serde_json::to_value(definition.arguments).unwrap(),
        json!([
            {"name": "code", "description": "The code", "required": true},
            {"name": "strict", "required": false},
            {"name": "tries", "required": false},
        ])
    );
}

//! Tools whose arguments are described in other ways than by Rust types alone.

use mcp_server::types::{JsonObject, object};
use mcp_server::{BoxFuture, Context, Tool, ToolDefinition, ToolError, ToolResult, tool};
use serde_json::json;

/// Takes an argument that an HTTP client repeats in the header `Mcp-Param-Message`.
#[tool(name = "test_custom_headers")]
pub(crate) async fn custom_headers(
    /// What to say
    #[schemars(extend("x-mcp-header" = "Message"))]
    message: String,
) -> String {
    message
}

/// A tool with a schema of its own, which clients see as it is written here.
pub(crate) struct JsonSchema202012;

impl Tool for JsonSchema202012 {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::new("json_schema_2020_12_tool")
            .with_description("Tool with JSON Schema 2020-12 features")
            .with_input_schema(object(json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "$defs": {
                    "address": {
                        "$anchor": "addressDef",
                        "type": "object",
                        "properties": {
                            "street": { "type": "string" },
                            "city": { "type": "string" },
                        },
                    },
                },
                "properties": {
                    "name": { "type": "string" },
                    "address": { "$ref": "#/$defs/address" },
                    "contactMethod": { "type": "string", "enum": ["phone", "email"] },
                    "phone": { "type": "string" },
                    "email": { "type": "string" },
                },
                "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
                "if": {
                    "properties": { "contactMethod": { "const": "phone" } },
                    "required": ["contactMethod"],
                },
                "then": { "required": ["phone"] },
                "else": { "required": ["email"] },
                "additionalProperties": false,
            })))
    }

    fn run(
        &self,
        _cx: Context,
        arguments: JsonObject,
    ) -> BoxFuture<'_, Result<ToolResult, ToolError>> {
        Box::pin(async move { ToolResult::json(&arguments) })
    }
}

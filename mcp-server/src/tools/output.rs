//! From what a tool's function returns to its [`ToolResult`].

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Value, json};

use crate::types::{ContentBlock, JsonObject, MetaObject, object};
use crate::{ToolError, ToolResult};

/// The member that holds a result that is no object, since a structured result must be one.
const WRAPPED: &str = "result";

/// How the values of one type become structured results.
#[derive(Debug)]
pub enum OutputShape {
    /// No schema, or that of nothing: objects as they are, other values as text only.
    Unknown,
    /// Objects, by this schema.
    Object(JsonObject),
    /// Other values, as the member `result` of an object with this schema.
    Wrapped(JsonObject),
}

impl OutputShape {
    /// Finds the shape of `T` by its JSON Schema.
    #[must_use]
    pub fn of<T: JsonSchema>() -> Self {
        let settings = || SchemaSettings::draft2020_12().for_serialize();
        let mut schema = settings()
            .into_generator()
            .into_root_schema_for::<T>()
            .ensure_object()
            .clone();
        for noise in ["$schema", "title", "description"] {
            schema.remove(noise);
        }
        let is_nothing = schema.get("type").is_some_and(|kind| kind == "null");
        if schema.is_empty() || is_nothing {
            return Self::Unknown;
        }
        if schema.get("type").is_some_and(|kind| kind == "object") {
            return Self::Object(schema);
        }
        let mut generator = settings().into_generator();
        let inner = generator.subschema_for::<T>();
        let definitions = generator.take_definitions(true);
        let mut schema = object(json!({
            "type": "object",
            "properties": { WRAPPED: inner },
            "required": [WRAPPED],
            "x-fastmcp-wrap-result": true,
        }));
        if !definitions.is_empty() {
            schema.insert("$defs".to_owned(), definitions.into());
        }
        Self::Wrapped(schema)
    }

    /// Returns the tool's output schema.
    #[must_use]
    pub fn schema(&self) -> Option<&JsonObject> {
        match self {
            Self::Unknown => None,
            Self::Object(schema) | Self::Wrapped(schema) => Some(schema),
        }
    }

    /// Makes the result of `value`, which is of the type that this is the shape of.
    ///
    /// # Errors
    ///
    /// A masked error when `value` has no JSON.
    pub fn result<T: Serialize>(&self, value: &T) -> Result<ToolResult, ToolError> {
        let value = serde_json::to_value(value)?;
        let result = ToolResult::from(content_of(&value));
        Ok(match self {
            Self::Wrapped(_) => {
                result
                    .with_structured(json!({ WRAPPED: value }))
                    .with_meta(MetaObject(object(
                        json!({"fastmcp": {"wrap_result": true}}),
                    )))
            }
            Self::Unknown | Self::Object(_) if value.is_object() => result.with_structured(value),
            Self::Unknown | Self::Object(_) => result,
        })
    }
}

/// Returns `value` for reading: text as it is, nothing for null, other JSON as text.
fn content_of(value: &Value) -> Vec<ContentBlock> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) => vec![ContentBlock::text(text.as_str())],
        value => vec![ContentBlock::text(value.to_string())],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn texts(result: &ToolResult) -> Vec<&str> {
        let texts = result.content.iter();
        texts
            .map(|block| block.as_text().unwrap().text.as_str())
            .collect()
    }

    #[test]
    fn an_object_is_its_own_structured_result() {
        let value = BTreeMap::from([("a", 1)]);
        let shape = OutputShape::of::<BTreeMap<String, i32>>();
        assert_eq!(shape.schema().unwrap()["type"], "object");
        let result = shape.result(&value).unwrap();
        assert_eq!(texts(&result), [r#"{"a":1}"#]);
        assert_eq!(result.structured, Some(json!({"a": 1})));
        assert!(result.meta.is_none());
    }

    #[test]
    fn another_value_is_wrapped_and_says_so() {
        let shape = OutputShape::of::<Vec<i64>>();
        assert_eq!(
            Value::from(shape.schema().unwrap().clone()),
            json!({
                "type": "object",
                "properties": {
                    "result": {"type": "array", "items": {"type": "integer", "format": "int64"}},
                },
                "required": ["result"],
                "x-fastmcp-wrap-result": true,
            })
        );
        let result = shape.result(&vec![1_i64, 2]).unwrap();
        assert_eq!(texts(&result), ["[1,2]"]);
        assert_eq!(result.structured, Some(json!({"result": [1, 2]})));
        let meta = serde_json::to_value(result.meta).unwrap();
        assert_eq!(meta, json!({"fastmcp": {"wrap_result": true}}));
    }

    #[test]
    fn text_is_not_quoted_and_null_is_no_content() {
        let shape = OutputShape::of::<Option<String>>();
        let result = shape.result(&Some("a \"quote\"")).unwrap();
        assert_eq!(texts(&result), ["a \"quote\""]);
        let result = shape.result(&None::<String>).unwrap();
        assert!(result.content.is_empty());
        assert_eq!(result.structured, Some(json!({"result": null})));
    }

    #[test]
    fn a_type_that_may_be_anything_has_no_schema() {
        let shape = OutputShape::of::<Value>();
        assert!(shape.schema().is_none());
        let result = shape.result(&json!({"a": 1})).unwrap();
        assert_eq!(result.structured, Some(json!({"a": 1})));
        assert!(shape.result(&json!([1])).unwrap().structured.is_none());
    }

    #[test]
    fn the_definitions_of_a_wrapped_type_stand_at_the_root() {
        #[derive(JsonSchema)]
        struct Node {
            #[expect(dead_code, reason = "only its schema is of interest")]
            next: Option<Box<Node>>,
        }

        let shape = OutputShape::of::<Vec<Node>>();
        let schema = shape.schema().unwrap();
        assert_eq!(
            schema["properties"]["result"]["items"]["$ref"],
            "#/$defs/Node"
        );
        assert!(schema["$defs"]["Node"]["properties"]["next"].is_object());
    }
}

//! [`ToolDefinition`]: what a tool says of itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use crate::FromContext;
use crate::TaskOptions;
use crate::component::{RequiredStates, meta_of, title_of};
use crate::types::{self, JsonObject, ToolAnnotations, object};

/// What a tool says of itself: its name, what it does, what it takes and what it returns.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ToolDefinition {
    /// The name that clients call it by.
    pub name: String,
    /// The name for people; when `None`, that of the annotations, else `name` in words.
    pub title: Option<String>,
    /// What the tool does, for the model that chooses it.
    pub description: Option<String>,
    /// Labels to filter by.
    pub tags: BTreeSet<String>,
    /// Hints on what a call does to the world.
    pub annotations: Option<ToolAnnotations>,
    /// The JSON Schema of the arguments.
    pub input_schema: JsonObject,
    /// The JSON Schema of the structured result; always that of an object.
    pub output_schema: Option<JsonObject>,
    /// How calls become tasks; `None` when they do not.
    pub task: Option<TaskOptions>,
    required_states: RequiredStates,
}

impl ToolDefinition {
    /// Describes a tool that takes no arguments.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            title: None,
            description: None,
            tags: BTreeSet::new(),
            annotations: None,
            input_schema: object(json!({
                "type": "object",
                "properties": {},
                "additionalProperties": false,
            })),
            output_schema: None,
            task: None,
            required_states: RequiredStates::default(),
        }
    }

    /// Sets the name for people. Defaults to `name` in words.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Sets what the tool does. Defaults to none.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets the labels to filter by. Defaults to none.
    #[must_use]
    pub fn with_tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the hints on what a call does to the world. Defaults to none.
    #[must_use]
    pub fn with_annotations(mut self, annotations: ToolAnnotations) -> Self {
        self.annotations = Some(annotations);
        self
    }

    /// Sets the JSON Schema of the arguments. Defaults to an object without members.
    #[must_use]
    pub fn with_input_schema(mut self, schema: JsonObject) -> Self {
        self.input_schema = schema;
        self
    }

    /// Sets the JSON Schema of the structured result, which must be that of an object. Defaults to
    /// none.
    #[must_use]
    pub fn with_output_schema(mut self, schema: JsonObject) -> Self {
        self.output_schema = Some(schema);
        self
    }

    /// Lets calls become tasks. Defaults to no task.
    #[must_use]
    pub fn with_task(mut self, options: TaskOptions) -> Self {
        self.task = Some(options);
        self
    }

    /// Says that the tool takes a `P` out of its context, so that building the server fails when
    /// nothing provides it.
    #[must_use]
    pub fn with_injected<P: FromContext>(mut self) -> Self {
        self.required_states.add::<P>();
        self
    }

    /// Returns the state types that the tool takes.
    pub(crate) fn required_states(&self) -> &RequiredStates {
        &self.required_states
    }

    /// Returns the tool as `tools/list` shows it.
    pub(crate) fn to_wire(&self) -> types::Tool {
        let annotated = self.annotations.as_ref();
        let title = self
            .title
            .clone()
            .or_else(|| annotated.and_then(|annotations| annotations.title.clone()))
            .unwrap_or_else(|| title_of(&self.name));
        let mut tool = types::Tool::new_with_raw(
            self.name.clone(),
            self.description.clone().map(Into::into),
            self.input_schema.clone(),
        );
        tool.title = Some(title);
        tool.output_schema = self.output_schema.clone().map(Arc::new);
        tool.annotations = self.annotations.clone();
        tool.meta = meta_of(&self.tags);
        tool
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(definition: &ToolDefinition) -> String {
        definition.to_wire().title.unwrap()
    }

    #[test]
    fn the_given_title_wins_over_the_annotations_and_the_name() {
        let definition = ToolDefinition::new("set_config");
        assert_eq!(title(&definition), "Set Config");
        let definition = definition.with_annotations(ToolAnnotations::with_title("Annotated"));
        assert_eq!(title(&definition), "Annotated");
        let definition = definition.with_title("Given");
        assert_eq!(title(&definition), "Given");
    }

    #[test]
    fn the_wire_form_carries_everything() {
        let definition = ToolDefinition::new("add")
            .with_description("Adds")
            .with_tags(["math"])
            .with_annotations(ToolAnnotations::new().read_only(true))
            .with_output_schema(object(json!({"type": "object"})));
        let wire = serde_json::to_value(definition.to_wire()).unwrap();
        assert_eq!(
            wire,
            json!({
                "name": "add",
                "title": "Add",
                "description": "Adds",
                "inputSchema": {"type": "object", "properties": {}, "additionalProperties": false},
                "outputSchema": {"type": "object"},
                "annotations": {"readOnlyHint": true},
                "_meta": {"fastmcp": {"tags": ["math"]}},
            })
        );
    }
}

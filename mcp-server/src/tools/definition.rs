//! [`ToolDefinition`]: what a tool says of itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::FromContext;
use crate::TaskOptions;
use crate::component::{RequiredStates, meta_of, title_of};
use crate::middleware::{Chain, Middleware};
use crate::types::{self, Icon, JsonObject, MetaObject, ToolAnnotations, object};

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
    /// The version, when there may be others of the same name.
    pub version: Option<String>,
    /// Labels to filter by.
    pub tags: BTreeSet<String>,
    /// The OAuth scopes that a caller needs to see the tool and to call it.
    pub scopes: BTreeSet<String>,
    /// Hints on what a call does to the world.
    pub annotations: Option<ToolAnnotations>,
    /// The JSON Schema of the arguments.
    pub input_schema: JsonObject,
    /// The JSON Schema of the structured result; always that of an object.
    pub output_schema: Option<JsonObject>,
    /// How calls become tasks; `None` when they do not.
    pub task: Option<TaskOptions>,
    /// Pictures that stand for the tool.
    pub icons: Vec<Icon>,
    /// What else clients can read of the tool, beside its tags and its version.
    pub meta: MetaObject,
    /// How long a call may take; as long as it likes when `None`.
    pub timeout: Option<Duration>,
    /// How long [`ResponseCaching`](crate::middleware::ResponseCaching) may answer calls with a
    /// result; as it does by default when `None`, never when zero.
    pub cache: Option<Duration>,
    /// Whether clients see the tool and can call it.
    pub enabled: bool,
    required_states: RequiredStates,
    middleware: Chain,
    /// Whether a call blocks the thread that it is made on.
    is_inline: bool,
    /// What is wrong with it, as far as making it has shown.
    problem: Option<String>,
}

impl ToolDefinition {
    /// Describes a tool that takes no arguments.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            title: None,
            description: None,
            version: None,
            tags: BTreeSet::new(),
            scopes: BTreeSet::new(),
            annotations: None,
            input_schema: no_arguments(),
            output_schema: None,
            task: None,
            icons: Vec::new(),
            meta: MetaObject::new(),
            timeout: None,
            cache: None,
            enabled: true,
            required_states: RequiredStates::default(),
            middleware: Chain::default(),
            is_inline: false,
            problem: None,
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

    /// Sets how long [`ResponseCaching`](crate::middleware::ResponseCaching), if the server has it, may
    /// answer calls of the same arguments by the same caller with a result; never, when it is zero.
    /// Defaults to what that does by itself: tools that are annotated as `read_only` are cached.
    #[must_use]
    pub fn with_cache(mut self, ttl: Duration) -> Self {
        self.cache = Some(ttl);
        self
    }

    /// Sets the version. Defaults to none.
    ///
    /// Any number of different versions of one name can be there at once, if all of them have one:
    /// lists show the highest, and that is used unless a request asks for another by
    /// `_meta.fastmcp.version`, as [`Client::at_version`](crate::Client::at_version) and FastMCP's
    /// client do. They are in the order of PEP 440, with texts that are no such version after all
    /// others. A version has at most 64 visible ASCII characters, and no `@`.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets the labels to filter by. Defaults to none.
    #[must_use]
    pub fn with_tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the OAuth scopes that a caller needs, all of them, to see the tool and to call it. Defaults to
    /// none.
    ///
    /// Those of a caller are its [`Principal`](crate::Principal)'s. The one user of stdio, of an
    /// in-memory connection or of a loopback listener without authentication needs none.
    /// A caller who lacks one and calls the tool by name is told which are needed.
    #[must_use]
    pub fn with_scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
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

    /// Sets the pictures that stand for the tool. Defaults to none.
    #[must_use]
    pub fn with_icons(mut self, icons: impl IntoIterator<Item = Icon>) -> Self {
        self.icons = icons.into_iter().collect();
        self
    }

    /// Sets what else clients can read of the tool, its `_meta`; the tags and the version are added to it. Defaults
    /// to nothing.
    #[must_use]
    pub fn with_meta(mut self, meta: MetaObject) -> Self {
        self.meta = meta;
        self
    }

    /// Sets how long a call may take. Defaults to as long as it likes.
    ///
    /// A call that takes longer is dropped, and its client gets the JSON-RPC error -32000. What a
    /// plain function does on a thread of its own goes on; its result is lost.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets whether clients see the tool and can call it. Defaults to `true`.
    #[must_use]
    pub fn with_enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Says that a call blocks the thread that it is made on, so that it cannot be cut short by a
    /// timeout. Defaults to that it does not.
    #[must_use]
    pub fn with_inline(mut self) -> Self {
        self.is_inline = true;
        self
    }

    /// Says that the tool takes a `P` out of its context, so that building the server fails when
    /// nothing provides it.
    #[must_use]
    pub fn with_injected<P: FromContext>(mut self) -> Self {
        self.required_states.add::<P>();
        self
    }

    /// Adds middleware around the calls of this tool alone, within that of the server and within
    /// that which was added before. Defaults to none.
    #[must_use]
    pub fn with_middleware(mut self, middleware: impl Middleware) -> Self {
        self.middleware.push(middleware);
        self
    }

    /// Adds middleware within that which is there.
    pub(crate) fn add_middleware(&mut self, middleware: &Chain) {
        self.middleware.extend(middleware);
    }

    /// Returns the middleware around the calls of this tool.
    pub(crate) const fn middleware(&self) -> &Chain {
        &self.middleware
    }

    /// Returns the state types that the tool takes.
    pub(crate) fn required_states(&self) -> &RequiredStates {
        &self.required_states
    }

    /// Says that the definition is invalid. The first `problem` counts.
    pub(crate) fn refuse(&mut self, problem: impl Into<String>) {
        self.problem.get_or_insert(problem.into());
    }

    /// Checks what the types of the fields leave open.
    ///
    /// # Errors
    ///
    /// Says what is wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        if self.is_inline && self.timeout.is_some() {
            let reason = "a timeout cannot cut short an inline function; remove one of the two";
            return Err(reason.to_owned());
        }
        if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err("a timeout of 0 leaves no time for a call".to_owned());
        }
        let is_object =
            |schema: &JsonObject| schema.get("type").is_some_and(|kind| kind == "object");
        if !is_object(&self.input_schema) {
            return Err("the input schema is not of \"type\": \"object\"".to_owned());
        }
        if self
            .output_schema
            .as_ref()
            .is_some_and(|schema| !is_object(schema))
        {
            return Err("the output schema is not of \"type\": \"object\"".to_owned());
        }
        Ok(())
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
        tool.icons = (!self.icons.is_empty()).then(|| self.icons.clone());
        tool.meta = meta_of(&self.meta, &self.tags, self.version.as_deref());
        tool
    }
}

/// Returns the JSON Schema of no arguments at all.
pub(super) fn no_arguments() -> JsonObject {
    object(json!({
        "type": "object",
        "properties": {},
        "additionalProperties": false,
    }))
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

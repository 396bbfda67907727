//! [`PromptDefinition`]: what a prompt says of itself.

use std::collections::BTreeSet;

use crate::completion::Completions;
use crate::component::{RequiredStates, meta_of, title_of};
use crate::types::{self, Icon, MetaObject, PromptArgument};
use crate::{Complete, FromContext};

/// What a prompt says of itself: its name, what it is for and what fills it in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PromptDefinition {
    /// The name that clients ask for.
    pub name: String,
    /// The name for people; when `None`, `name` in words.
    pub title: Option<String>,
    /// What the prompt is for.
    pub description: Option<String>,
    /// What fills it in.
    pub arguments: Vec<PromptArgument>,
    /// The version, when there may be others of the same name.
    pub version: Option<String>,
    /// Labels to filter by.
    pub tags: BTreeSet<String>,
    /// The OAuth scopes that a caller needs to see the prompt and to render it.
    pub scopes: BTreeSet<String>,
    /// Pictures that stand for the prompt.
    pub icons: Vec<Icon>,
    /// What else clients can read of the prompt, beside its tags and its version.
    pub meta: MetaObject,
    completions: Completions,
    required_states: RequiredStates,
}

impl PromptDefinition {
    /// Describes a prompt that takes no arguments.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            title: None,
            description: None,
            arguments: Vec::new(),
            version: None,
            tags: BTreeSet::new(),
            scopes: BTreeSet::new(),
            icons: Vec::new(),
            meta: MetaObject::new(),
            completions: Completions::default(),
            required_states: RequiredStates::default(),
        }
    }

    /// Sets the name for people. Defaults to `name` in words.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Sets what the prompt is for. Defaults to none.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn with_argument(mut self, argument: PromptArgument) -> Self {
        self.arguments.push(argument);
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

    /// Sets the OAuth scopes that a caller needs, all of them, to see the prompt and to render it. Defaults to
    /// none.
    ///
    /// Those of a caller are its [`Principal`](crate::Principal)'s. The one user of stdio, of an
    /// in-memory connection or of a loopback listener without authentication needs none.
    /// A caller who lacks one and asks for the prompt by name is told which are needed.
    #[must_use]
    pub fn with_scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the pictures that stand for the prompt. Defaults to none.
    #[must_use]
    pub fn with_icons(mut self, icons: impl IntoIterator<Item = Icon>) -> Self {
        self.icons = icons.into_iter().collect();
        self
    }

    /// Sets what else clients can read of the prompt, its `_meta`; the tags and the version are added to it.
    /// Defaults to nothing.
    #[must_use]
    pub fn with_meta(mut self, meta: MetaObject) -> Self {
        self.meta = meta;
        self
    }

    /// Sets what suggests values for an argument. Defaults to nothing.
    #[must_use]
    pub fn with_completion(mut self, name: impl Into<String>, source: impl Complete) -> Self {
        self.completions.set(name.into(), source);
        self
    }

    /// Says that the prompt takes a `P` out of its context, so that building the server fails when
    /// nothing provides it.
    #[must_use]
    pub fn with_injected<P: FromContext>(mut self) -> Self {
        self.required_states.add::<P>();
        self
    }

    /// Returns what suggests values.
    pub(crate) fn completions(&self) -> &Completions {
        &self.completions
    }

    /// Returns the state types that the prompt takes.
    pub(crate) fn required_states(&self) -> &RequiredStates {
        &self.required_states
    }

    /// Returns the prompt as `prompts/list` shows it.
    pub(crate) fn to_wire(&self) -> types::Prompt {
        let arguments = (!self.arguments.is_empty()).then(|| self.arguments.clone());
        let mut prompt = types::Prompt::new(self.name.clone(), self.description.clone(), arguments);
        prompt.title = Some(self.title.clone().unwrap_or_else(|| title_of(&self.name)));
        prompt.icons = (!self.icons.is_empty()).then(|| self.icons.clone());
        prompt.meta = meta_of(&self.meta, &self.tags, self.version.as_deref());
        prompt
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_wire_form_carries_everything() {
        let definition = PromptDefinition::new("code_review")
            .with_description("Reviews code")
            .with_argument(PromptArgument::new("code").with_required(true))
            .with_tags(["code"]);
        assert_eq!(
            serde_json::to_value(definition.to_wire()).unwrap(),
            json!({
                "name": "code_review",
                "title": "Code Review",
                "description": "Reviews code",
                "arguments": [{"name": "code", "required": true}],
                "_meta": {"fastmcp": {"tags": ["code"]}},
            })
        );
    }
}

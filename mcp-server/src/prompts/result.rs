//! [`PromptResult`]: what a prompt becomes when it is filled in.

use crate::types::{GetPromptResult, MetaObject, PromptMessage, Role};

/// What a prompt becomes when it is filled in: one or more messages.
///
/// # Examples
///
/// ```
/// use mcp_server::PromptResult;
///
/// let result = PromptResult::from("Review this code.").with_description("A review");
/// assert_eq!(result.messages.len(), 1);
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PromptResult {
    /// What the messages are for.
    pub description: Option<String>,
    /// The messages, in order.
    pub messages: Vec<PromptMessage>,
    /// What the result says beside its messages.
    pub meta: Option<MetaObject>,
}

impl PromptResult {
    /// Sets what the messages are for. Defaults to the prompt's own description.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Adds a message.
    #[must_use]
    pub fn with_message(mut self, message: PromptMessage) -> Self {
        self.messages.push(message);
        self
    }

    /// Returns the result as `prompts/get` answers it, with the prompt's own description when it
    /// has none.
    pub(crate) fn into_wire(self, description: Option<&str>) -> GetPromptResult {
        let mut result = GetPromptResult::new(self.messages);
        result.description = self.description.or_else(|| description.map(str::to_owned));
        result.meta = self.meta;
        result
    }
}

impl From<String> for PromptResult {
    fn from(text: String) -> Self {
        PromptMessage::new_text(Role::User, text).into()
    }
}

impl From<&str> for PromptResult {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<PromptMessage> for PromptResult {
    fn from(message: PromptMessage) -> Self {
        vec![message].into()
    }
}

impl From<Vec<PromptMessage>> for PromptResult {
    fn from(messages: Vec<PromptMessage>) -> Self {
        Self {
            messages,
            ..Self::default()
        }
    }
}

impl From<GetPromptResult> for PromptResult {
    fn from(result: GetPromptResult) -> Self {
        Self {
            description: result.description,
            messages: result.messages,
            meta: result.meta,
        }
    }
}

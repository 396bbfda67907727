//! [`PromptResult`]: what a prompt becomes when it is filled in.

use crate::IntoMessage;
use crate::types::{GetPromptResult, MetaObject, PromptMessage};

/// What a prompt becomes when it is filled in: one or more messages.
///
/// # Examples
///
/// ```
/// use mcp_server::PromptResult;
///
/// let result = PromptResult::from("Review this code.").with_description("A review");
/// let result = result.with_message("Be brief.");
/// assert_eq!(result.messages.len(), 2);
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
    pub fn with_message(mut self, message: impl IntoMessage) -> Self {
        self.messages.push(message.into_message());
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

impl<M: IntoMessage> From<M> for PromptResult {
    fn from(message: M) -> Self {
        [message].into()
    }
}

impl<M: IntoMessage> From<Vec<M>> for PromptResult {
    fn from(messages: Vec<M>) -> Self {
        messages
            .into_iter()
            .fold(Self::default(), Self::with_message)
    }
}

impl<M: IntoMessage, const N: usize> From<[M; N]> for PromptResult {
    fn from(messages: [M; N]) -> Self {
        messages
            .into_iter()
            .fold(Self::default(), Self::with_message)
    }
}

/// Lets tuples of messages become a result.
macro_rules! tuples {
    ($(($($name:ident)+))+) => {$(
        impl<$($name: IntoMessage),+> From<($($name,)+)> for PromptResult {
            #[allow(non_snake_case, reason = "variables named like their types")]
            fn from(($($name,)+): ($($name,)+)) -> Self {
                Self::default() $(.with_message($name))+
            }
        }
    )+};
}

tuples! { (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H) }

impl From<GetPromptResult> for PromptResult {
    fn from(result: GetPromptResult) -> Self {
        Self {
            description: result.description,
            messages: result.messages,
            meta: result.meta,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::types::{Resource, ResourceContents, Role};
    use crate::{Audio, File, Image};

    fn messages(result: impl Into<PromptResult>) -> Value {
        serde_json::to_value(result.into().messages).unwrap()
    }

    #[test]
    fn every_kind_of_content_is_a_message_of_the_user() {
        let found = messages((
            "text",
            String::from("string"),
            Image::new(vec![1], "image/png"),
            Audio::new(vec![1], "audio/wav"),
            File::text("x://y", "z"),
            ResourceContents::text("b", "data://a"),
            Resource::new("data://a", "a"),
        ));
        let resource = |uri: &str, text: &str| {
            let resource = json!({"uri": uri, "mimeType": "text/plain", "text": text});
            json!({"type": "resource", "resource": resource})
        };
        let contents = [
            json!({"type": "text", "text": "text"}),
            json!({"type": "text", "text": "string"}),
            json!({"type": "image", "data": "AQ==", "mimeType": "image/png"}),
            json!({"type": "audio", "data": "AQ==", "mimeType": "audio/wav"}),
            resource("x://y", "z"),
            resource("data://a", "b"),
            json!({"type": "resource_link", "uri": "data://a", "name": "a"}),
        ];
        let expected = contents.map(|content| json!({"role": "user", "content": content}));
        assert_eq!(found, Value::from(expected.to_vec()));
    }

    #[test]
    fn messages_stand_alone_in_lists_and_in_arrays() {
        let two = messages(["a", "b"]);
        assert_eq!(two, messages(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(two, messages(("a", "b")));
        assert_eq!(two[0], messages("a")[0]);
        assert_eq!(messages(Vec::<PromptMessage>::new()), json!([]));
    }

    #[test]
    fn a_message_may_be_the_assistants() {
        let image = Image::new(vec![1], "image/png");
        let result =
            PromptResult::from(("a".by_assistant(), "b")).with_message(image.by_assistant());
        let roles: Vec<_> = result
            .messages
            .into_iter()
            .map(|message| message.role)
            .collect();
        assert_eq!(roles, [Role::Assistant, Role::User, Role::Assistant]);
    }
}

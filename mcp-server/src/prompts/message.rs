//! [`IntoMessage`]: what becomes a message of a prompt.

use crate::IntoContent;
use crate::types::{ContentBlock, PromptMessage, Role};

/// Becomes one message of a prompt: text or any content of the user, unless
/// [`by_assistant`](Self::by_assistant) says that it is the assistant's.
///
/// A prompt may return it alone, in a `Vec`, in an array, in a tuple of up to eight or in a
/// [`PromptResult`](crate::PromptResult). Contents are those of tools: [`Image`](crate::Image),
/// [`Audio`](crate::Audio), [`File`](crate::File), [`ContentBlock`];
/// [`ResourceContents`](crate::types::ResourceContents) are embedded, a
/// [`Resource`](crate::types::Resource) becomes a link to it.
///
/// # Examples
///
/// ```
/// use mcp_server::types::{PromptMessage, Role};
/// use mcp_server::{Image, IntoMessage, prompt};
///
/// /// Begins a talk about a picture.
/// #[prompt]
/// async fn describe(subject: String) -> (String, Image, PromptMessage) {
///     let image = Image::new(&b"GIF89a"[..], "image/gif");
///     (format!("Here is {subject}."), image, "What do you want to know?".by_assistant())
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert_eq!(describe.call("a cat".to_owned()).await.2.role, Role::Assistant);
/// # });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no message of a prompt",
    note = "return text, contents, or a `PromptMessage`; alone, in a `Vec`, an array or a tuple"
)]
pub trait IntoMessage: Sized {
    /// Makes the message.
    fn into_message(self) -> PromptMessage;

    /// Makes the message one of the assistant.
    fn by_assistant(self) -> PromptMessage {
        let mut message = self.into_message();
        message.role = Role::Assistant;
        message
    }
}

impl IntoMessage for PromptMessage {
    fn into_message(self) -> PromptMessage {
        self
    }
}

impl IntoMessage for String {
    fn into_message(self) -> PromptMessage {
        ContentBlock::text(self).into_message()
    }
}

impl IntoMessage for &str {
    fn into_message(self) -> PromptMessage {
        ContentBlock::text(self).into_message()
    }
}

impl<C: IntoContent> IntoMessage for C {
    fn into_message(self) -> PromptMessage {
        PromptMessage::new(Role::User, self.into_content())
    }
}

//! [`Prompt`]: the trait behind `#[prompt]`.

use crate::types::JsonObject;
use crate::{BoxFuture, Context, PromptDefinition, PromptError, PromptResult};

/// A message, or a conversation, that a person picks by name and a client fills in.
///
/// [`#[prompt]`](macro@crate::prompt) implements it for a function. By hand it takes the arguments
/// as they came: nothing has checked them against [`PromptDefinition::arguments`].
///
/// # Examples
///
/// ```
/// use mcp_server::types::JsonObject;
/// use mcp_server::{BoxFuture, Context, Prompt, PromptDefinition, PromptError, PromptResult};
///
/// struct Hello;
///
/// impl Prompt for Hello {
///     fn definition(&self) -> PromptDefinition {
///         PromptDefinition::new("hello").with_description("Says hello")
///     }
///
///     fn render(
///         &self,
///         _cx: Context,
///         _arguments: JsonObject,
///     ) -> BoxFuture<'_, Result<PromptResult, PromptError>> {
///         Box::pin(async { Ok("Say hello.".into()) })
///     }
/// }
/// assert_eq!(Hello.definition().name, "hello");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a prompt",
    note = "write #[prompt] above the function, or implement `Prompt`"
)]
pub trait Prompt: Send + Sync + 'static {
    /// Describes the prompt. Called once, when the prompt is added.
    fn definition(&self) -> PromptDefinition;

    /// Fills the prompt in. Arguments are strings on the wire.
    ///
    /// # Errors
    ///
    /// [`PromptError::new`] for what the client may read; any other error is masked.
    fn render(
        &self,
        cx: Context,
        arguments: JsonObject,
    ) -> BoxFuture<'_, Result<PromptResult, PromptError>>;
}

//! [`Tool`]: the trait behind `#[tool]`.

use std::sync::Arc;

use crate::types::JsonObject;
use crate::{BoxFuture, Context, ToolDefinition, ToolError, ToolResult};

/// A function that a client, or the model behind it, calls.
///
/// [`#[tool]`](macro@crate::tool) implements it for a function, and [`tool_fn`](crate::tool_fn) for
/// a closure. A server calls it with arguments that fit [`ToolDefinition::input_schema`].
///
/// # Examples
///
/// ```
/// use mcp_server::types::JsonObject;
/// use mcp_server::{BoxFuture, Context, Tool, ToolDefinition, ToolError, ToolResult};
///
/// struct Roll;
///
/// impl Tool for Roll {
///     fn definition(&self) -> ToolDefinition {
///         ToolDefinition::new("roll").with_description("Rolls a die")
///     }
///
///     fn run(
///         &self,
///         _cx: Context,
///         _arguments: JsonObject,
///     ) -> BoxFuture<'_, Result<ToolResult, ToolError>> {
///         Box::pin(async { Ok(ToolResult::text("4")) })
///     }
/// }
/// assert_eq!(Roll.definition().name, "roll");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tool",
    note = "write #[tool] above the function, or implement `Tool`"
)]
pub trait Tool: Send + Sync + 'static {
    /// Describes the tool. Called once, when the tool is added.
    fn definition(&self) -> ToolDefinition;

    /// Answers one call.
    ///
    /// # Errors
    ///
    /// [`ToolError::new`] for what the client may read; any other error is masked.
    fn run(
        &self,
        cx: Context,
        arguments: JsonObject,
    ) -> BoxFuture<'_, Result<ToolResult, ToolError>>;
}

/// Lets a pointer to a tool be one.
macro_rules! pointers {
    ($($pointer:ident)+) => {$(
        #[diagnostic::do_not_recommend]
        impl<T: Tool + ?Sized> Tool for $pointer<T> {
            fn definition(&self) -> ToolDefinition {
                (**self).definition()
            }

            fn run(
                &self,
                cx: Context,
                arguments: JsonObject,
            ) -> BoxFuture<'_, Result<ToolResult, ToolError>> {
                (**self).run(cx, arguments)
            }
        }
    )+};
}

pointers! { Arc Box }

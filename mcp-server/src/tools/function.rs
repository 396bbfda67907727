//! [`tool_fn`]: a tool from a closure.

use std::marker::PhantomData;

use futures_util::future::{FutureExt as _, ready};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::content::{Audio, File, Image};
use super::definition::no_arguments;
use super::output::OutputShape;
use crate::private::{input_schema, masked, read};
use crate::types::JsonObject;
use crate::{BoxFuture, Context, Tool, ToolDefinition, ToolError, ToolResult};

/// Makes a tool of `definition` whose calls `function` answers.
///
/// The function takes the context and the arguments as an `A`, any type with named fields: its
/// fields are the arguments, its schema is theirs unless `definition` has another. It returns a
/// `Result` of a [`ToolResult`], of an [`Image`](crate::Image), [`Audio`](crate::Audio) or
/// [`File`](crate::File), or of anything that is `Serialize` and `JsonSchema`, whose schema is the
/// output schema unless `definition` has another.
///
/// # Examples
///
/// ```
/// use mcp_server::{Server, ToolDefinition, tool_fn};
/// use schemars::JsonSchema;
/// use serde::Deserialize;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Roll {
///     /// How many sides the die has
///     #[schemars(range(min = 1))]
///     sides: u32,
/// }
///
/// let luck = 3;
/// let roll = tool_fn(
///     ToolDefinition::new("roll").with_description("Rolls a die"),
///     move |_cx, arguments: Roll| async move { Ok(luck % arguments.sides + 1) },
/// );
/// let server = Server::builder("Dice").tool(roll).build()?;
/// # Ok::<_, mcp_server::Error>(())
/// ```
pub fn tool_fn<A, R, F, Answer>(mut definition: ToolDefinition, function: F) -> impl Tool
where
    A: DeserializeOwned + JsonSchema + 'static,
    R: IntoToolResult + 'static,
    F: Fn(Context, A) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<R, ToolError>> + Send + 'static,
{
    if definition.input_schema == no_arguments() {
        definition.input_schema = input_schema::<A>();
    }
    let shape = R::shape();
    if definition.output_schema.is_none() {
        definition.output_schema = shape.schema().cloned();
    }
    FunctionTool {
        definition,
        shape,
        function,
        types: PhantomData,
    }
}

/// What the function of a [`tool_fn`] may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no result of a tool",
    note = "return a `ToolResult`, or what is `Serialize` and `JsonSchema`"
)]
pub trait IntoToolResult {
    /// Returns how values of the type become structured results.
    #[doc(hidden)]
    fn shape() -> OutputShape;

    /// Makes the result.
    #[doc(hidden)]
    fn into_result(self, shape: &OutputShape) -> Result<ToolResult, ToolError>;
}

impl<T: Serialize + JsonSchema> IntoToolResult for T {
    fn shape() -> OutputShape {
        OutputShape::of::<T>()
    }

    fn into_result(self, shape: &OutputShape) -> Result<ToolResult, ToolError> {
        shape.result(&self)
    }
}

/// Lets types of results and of their contents be returned.
macro_rules! results {
    ($($name:ident)+) => {$(
        impl IntoToolResult for $name {
            fn shape() -> OutputShape {
                OutputShape::Unknown
            }

            fn into_result(self, _: &OutputShape) -> Result<ToolResult, ToolError> {
                Ok(self.into())
            }
        }
    )+};
}

results! { ToolResult Image Audio File }

struct FunctionTool<A, F> {
    definition: ToolDefinition,
    shape: OutputShape,
    function: F,
    types: PhantomData<fn(A)>,
}

impl<A, R, F, Answer> Tool for FunctionTool<A, F>
where
    A: DeserializeOwned + 'static,
    R: IntoToolResult,
    F: Fn(Context, A) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<R, ToolError>> + Send + 'static,
{
    fn definition(&self) -> ToolDefinition {
        self.definition.clone()
    }

    fn run(
        &self,
        cx: Context,
        arguments: JsonObject,
    ) -> BoxFuture<'_, Result<ToolResult, ToolError>> {
        let given = Value::Object(arguments);
        let arguments = match read(&given) {
            Ok(arguments) => arguments,
            Err(error) => {
                let message = format!("the arguments: {}", masked(&error, &given));
                return ready(Err(ToolError::invalid_arguments(message))).boxed();
            }
        };
        (self.function)(cx, arguments)
            .map(|answer| answer?.into_result(&self.shape))
            .boxed()
    }
}

//! [`Checked`]: a tool whose arguments are checked and whose time is limited.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt as _, ready};

use super::schema::Schema;
use crate::error::Panicked;
use crate::types::JsonObject;
use crate::{BoxFuture, Context, Tool, ToolDefinition, ToolError, ToolResult};

/// A tool as a server calls it: with arguments that fit its schema, for as long as it may take.
pub(crate) struct Checked {
    tool: Arc<dyn Tool>,
    name: String,
    schema: Schema,
    timeout: Option<Duration>,
}

impl Checked {
    /// Prepares the checks of `tool`, whose definition is `definition`. Without `strict`, a value
    /// of another type is taken for the one that the schema asks for where its meaning is clear.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the definition.
    pub(crate) fn new(
        tool: Arc<dyn Tool>,
        definition: &ToolDefinition,
        strict: bool,
    ) -> Result<Self, String> {
        definition.check()?;
        Ok(Self {
            tool,
            name: definition.name.clone(),
            schema: Schema::compile(&definition.input_schema, strict)?,
            timeout: definition.timeout,
        })
    }

    fn begin(
        &self,
        cx: Context,
        arguments: JsonObject,
    ) -> Result<BoxFuture<'_, Result<ToolResult, ToolError>>, ToolError> {
        let arguments = self
            .schema
            .check(arguments)
            .map_err(ToolError::invalid_arguments)?;
        let answer = self.tool.run(cx, arguments);
        let Some(limit) = self.timeout else {
            return Ok(answer);
        };
        let answer = tokio::time::timeout(limit, answer);
        Ok(answer
            .map(move |answer| answer.unwrap_or_else(|_elapsed| Err(self.timed_out(limit))))
            .boxed())
    }

    fn timed_out(&self, limit: Duration) -> ToolError {
        let seconds = limit.as_secs_f64();
        ToolError::timed_out(format!(
            "Tool '{}' execution timed out after {seconds}s",
            self.name
        ))
    }
}

impl Tool for Checked {
    fn definition(&self) -> ToolDefinition {
        self.tool.definition()
    }

    fn run(
        &self,
        cx: Context,
        arguments: JsonObject,
    ) -> BoxFuture<'_, Result<ToolResult, ToolError>> {
        // A tool by hand may panic before it returns its future.
        catch_unwind(AssertUnwindSafe(|| self.begin(cx, arguments)))
            .unwrap_or_else(|_payload| Err(Panicked.into()))
            .unwrap_or_else(|error| ready(Err(error)).boxed())
    }
}

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checked")
            .field("name", &self.name)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

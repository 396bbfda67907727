//! [`ToolInjection`]: tools that middleware brings along.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::params::ListTools;
use super::{CallError, Message, Middleware, Next};
use crate::tools::Checked;
use crate::types::{CallToolRequestParams, CallToolResponse, ListToolsResult, Tool as Wire};
use crate::{Tool, ToolDefinition};

/// Adds tools to those of the server, for one place in the middleware: what is added after it does not
/// see their calls.
///
/// They come first in lists, and have their names before tools of the server and of what is added
/// after it. They are for every caller, in no version, and no tasks. On a stateless connection they
/// have nobody to ask.
///
/// # Examples
///
/// ```
/// use mcp_server::middleware::ToolInjection;
/// use mcp_server::{Server, tool};
///
/// /// Tells what the server can do.
/// #[tool]
/// async fn help() -> &'static str {
///     "It adds numbers."
/// }
///
/// let server = Server::builder("Helpful").middleware(ToolInjection::new().tool(help)?).build()?;
/// # Ok::<_, mcp_server::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct ToolInjection(BTreeMap<String, (Arc<Checked>, Wire)>);

impl ToolInjection {
    /// Adds nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tool, in the place of one of its name.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidComponent`](crate::Error::InvalidComponent) when its definition is broken.
    pub fn tool(mut self, tool: impl Tool) -> crate::Result<Self> {
        let definition: ToolDefinition = tool.definition();
        let wire = definition.to_wire();
        let checked = Checked::new(Arc::new(tool), &definition, false);
        let checked = checked.map_err(|reason| crate::Error::InvalidComponent {
            kind: "tool",
            name: definition.name.clone(),
            reason,
        })?;
        self.0.insert(definition.name, (Arc::new(checked), wire));
        Ok(self)
    }
}

impl Middleware for ToolInjection {
    async fn on_call_tool(
        &self,
        message: Message<CallToolRequestParams>,
        next: Next,
    ) -> Result<CallToolResponse, CallError> {
        let Some((tool, _)) = self.0.get(&*message.params.name) else {
            return next.run(message).await;
        };
        let (params, cx) = message.into_parts();
        let result = tool.run(cx, params.arguments.unwrap_or_default()).await?;
        Ok(CallToolResponse::Complete(result.into_wire()))
    }

    async fn on_list_tools(
        &self,
        message: Message<ListTools>,
        next: Next,
    ) -> Result<ListToolsResult, CallError> {
        let is_first = message.params.cursor.is_none();
        let mut list = next.run(message).await?;
        list.tools.retain(|tool| !self.0.contains_key(&*tool.name));
        if is_first {
            let ours = self.0.values().map(|(_, wire)| wire.clone());
            list.tools.splice(0..0, ours);
        }
        Ok(list)
    }
}

impl fmt::Debug for ToolInjection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

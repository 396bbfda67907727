//! [`ToolResult`]: what a tool answers.

use serde::Serialize;
use serde_json::Value;

use super::OutputShape;
use crate::ToolError;
use crate::types::{CallToolResult, ContentBlock, MetaObject};

/// What a tool answers: content for people and models, and a value for programs.
///
/// # Examples
///
/// ```
/// use mcp_server::ToolResult;
/// use mcp_server::types::ContentBlock;
///
/// let result = ToolResult::text("a cat").with_content(ContentBlock::image("aGk=", "image/png"));
/// assert_eq!(result.content.len(), 2);
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ToolResult {
    /// The content, in order.
    pub content: Vec<ContentBlock>,
    /// The result as a value, by the tool's output schema.
    pub structured: Option<Value>,
    /// What the result says beside its content.
    pub meta: Option<MetaObject>,
}

impl ToolResult {
    /// Makes a result of one text.
    pub fn text(text: impl Into<String>) -> Self {
        ContentBlock::text(text).into()
    }

    /// Makes a result of `value`: its JSON as text, and the value itself when it is an object.
    ///
    /// # Errors
    ///
    /// A masked [`ToolError`] when `value` has no JSON, such as a map with keys that are no strings.
    pub fn json(value: &impl Serialize) -> Result<Self, ToolError> {
        OutputShape::Unknown.result(value)
    }

    /// Adds a block of content.
    #[must_use]
    pub fn with_content(mut self, block: ContentBlock) -> Self {
        self.content.push(block);
        self
    }

    /// Sets the result as a value. Defaults to none.
    #[must_use]
    pub fn with_structured(mut self, value: Value) -> Self {
        self.structured = Some(value);
        self
    }

    /// Sets what the result says beside its content. Defaults to nothing.
    #[must_use]
    pub fn with_meta(mut self, meta: MetaObject) -> Self {
        self.meta = Some(meta);
        self
    }

    /// Returns the result as `tools/call` answers it.
    pub(crate) fn into_wire(self) -> CallToolResult {
        let mut result = CallToolResult::success(self.content);
        result.structured_content = self.structured;
        result.meta = self.meta;
        result
    }
}

impl From<ContentBlock> for ToolResult {
    fn from(block: ContentBlock) -> Self {
        vec![block].into()
    }
}

impl From<Vec<ContentBlock>> for ToolResult {
    fn from(content: Vec<ContentBlock>) -> Self {
        Self {
            content,
            ..Self::default()
        }
    }
}

impl From<()> for ToolResult {
    fn from((): ()) -> Self {
        Self::default()
    }
}

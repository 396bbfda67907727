//! [`ToolResult`]: what a tool answers.

use serde::Serialize;
use serde_json::Value;

use super::content::IntoContent;
use super::output::OutputShape;
use crate::ToolError;
use crate::types::{CallToolResult, ContentBlock, MetaObject};

/// What a tool answers: content for people and models, and a value for programs.
///
/// # Examples
///
/// ```
/// use mcp_server::{Image, ToolResult};
///
/// let result = ToolResult::text("a cat").with_content(Image::new(vec![0], "image/png"));
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
    /// Whether the tool failed, and the content says how.
    pub is_error: bool,
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

    /// Makes the result of a tool that failed, with a text that says how. Unlike a [`ToolError`] it
    /// may hold more content and a value.
    pub fn error(text: impl Into<String>) -> Self {
        let mut result = Self::text(text);
        result.is_error = true;
        result
    }

    /// Adds a block of content.
    #[must_use]
    pub fn with_content(mut self, content: impl IntoContent) -> Self {
        self.content.push(content.into_content());
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
        result.is_error = Some(self.is_error);
        result
    }
}

impl From<()> for ToolResult {
    fn from((): ()) -> Self {
        Self::default()
    }
}

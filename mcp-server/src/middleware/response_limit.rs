//! [`ResponseLimiting`]: no more of a tool's result than a model can take.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;

use serde::Serialize;

use super::params::ListTools;
use super::{CallError, Message, Middleware, Next};
use crate::types::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
};

/// How much room is left for what says that something is missing.
const NOTE_BYTES: usize = 200;

/// Cuts the results of tools that are too long.
///
/// A result whose JSON form is too long becomes its texts, one a line, cut at the end of a character,
/// and a note of how much there was. Everything else is left out: structured content, images,
/// resources. As such a result does not fit an output schema, lists show none for the tools that are
/// limited.
///
/// # Defaults
///
/// The results of all tools, of 1,000,000 bytes and more.
///
/// # Examples
///
/// ```
/// use mcp_server::Server;
/// use mcp_server::middleware::ResponseLimiting;
///
/// let limit = ResponseLimiting::new(50_000).tools(["read_log"]);
/// let server = Server::builder("Logs").middleware(limit).build()?;
/// # Ok::<_, mcp_server::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ResponseLimiting {
    max_bytes: usize,
    tools: Option<BTreeSet<String>>,
}

impl ResponseLimiting {
    /// Cuts results of more than so many bytes.
    #[must_use]
    pub const fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            tools: None,
        }
    }

    /// Sets whose results are cut. Default: those of all tools.
    #[must_use]
    pub fn tools(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tools = Some(names.into_iter().map(Into::into).collect());
        self
    }

    fn limits(&self, tool: &str) -> bool {
        self.tools.as_ref().is_none_or(|tools| tools.contains(tool))
    }

    fn cut(&self, result: CallToolResult) -> CallToolResult {
        let bytes = length(&result);
        if bytes <= self.max_bytes {
            return result;
        }
        let room = self.max_bytes.saturating_sub(NOTE_BYTES);
        let mut text = String::new();
        for block in &result.content {
            let Some(block) = block.as_text() else {
                continue;
            };
            if !text.is_empty() {
                text.push('\n');
            }
            let end = fitting(&block.text, room.saturating_sub(length(&text)));
            text.push_str(&block.text[..end]);
            if end < block.text.len() {
                break;
            }
        }
        let _ = write!(
            text,
            "\n[cut: the result has {bytes} bytes, of at most {}]",
            self.max_bytes
        );
        let mut short = CallToolResult::success(vec![ContentBlock::text(text)]);
        short.is_error = result.is_error;
        short
    }
}

impl Default for ResponseLimiting {
    fn default() -> Self {
        Self::new(1_000_000)
    }
}

impl Middleware for ResponseLimiting {
    async fn on_call_tool(
        &self,
        message: Message<CallToolRequestParams>,
        next: Next,
    ) -> Result<CallToolResponse, CallError> {
        let is_limited = self.limits(&message.params.name);
        match next.run(message).await {
            Ok(CallToolResponse::Complete(result)) if is_limited => {
                Ok(CallToolResponse::Complete(self.cut(result)))
            }
            Err(CallError::Tool(error)) if is_limited => match error.message() {
                Some(text) if text.len() > self.max_bytes.saturating_sub(NOTE_BYTES) => {
                    let result = CallToolResult::error(vec![ContentBlock::text(text)]);
                    Ok(CallToolResponse::Complete(self.cut(result)))
                }
                _ => Err(CallError::Tool(error)),
            },
            answer => answer,
        }
    }

    async fn on_list_tools(
        &self,
        message: Message<ListTools>,
        next: Next,
    ) -> Result<ListToolsResult, CallError> {
        let mut list = next.run(message).await?;
        for tool in &mut list.tools {
            if self.limits(&tool.name) {
                tool.output_schema = None;
            }
        }
        Ok(list)
    }
}

/// Returns how many bytes the JSON form has.
fn length(value: &impl Serialize) -> usize {
    let mut counter = Counter(0);
    // It writes to nothing that could fail.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

/// Returns how much of a text fits, in its JSON form, into so many bytes: an end of a character.
fn fitting(text: &str, room: usize) -> usize {
    let mut left = room;
    for (start, character) in text.char_indices() {
        let bytes = match character {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..='\u{1f}' => 6,
            other => other.len_utf8(),
        };
        if bytes > left {
            return start;
        }
        left -= bytes;
    }
    text.len()
}

/// Counts what is written to it.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

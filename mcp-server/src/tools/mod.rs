//! Tools: functions that a client, or the model behind it, calls.

mod definition;
mod output;
mod result;
mod tool;

pub use definition::ToolDefinition;
pub use output::OutputShape;
pub use result::ToolResult;
pub use tool::Tool;

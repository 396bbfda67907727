//! Tools: functions that a client, or the model behind it, calls.

mod checked;
mod coercion;
mod content;
mod definition;
mod function;
mod output;
mod problems;
mod result;
mod schema;
mod tool;
mod transform;

pub(crate) use checked::Checked;
pub use content::{Audio, File, Image, IntoContent};
pub use definition::ToolDefinition;
pub use function::{IntoToolResult, tool_fn};
pub use output::OutputShape;
pub(crate) use problems::{kind_of, shortened};
pub use result::ToolResult;
pub use tool::Tool;
pub use transform::{ToolExt, Transformed};

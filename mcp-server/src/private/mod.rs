//! What the code that `#[tool]`, `#[resource]` and `#[prompt]` write needs; no part of the API.

mod arguments;
mod call;
mod missing;
mod output;
mod parameters;
mod read_output;
mod text;

pub use arguments::{Arguments, input_schema, prompt_argument};
pub(crate) use arguments::{masked, read};
pub use call::{Fallible, blocking, boxed};
pub use output::{Described, Ready, Serialized, ToolOutput, meta};
pub use parameters::Parameters;
pub use read_output::{ReadOutput, ReadyContents, SerializedContents, annotations};
pub use schemars;
pub use serde_json::Value;

pub use crate::tools::OutputShape;

#[cfg(test)]
mod tests;

//! What the code that `#[tool]`, `#[resource]` and `#[prompt]` write needs; no part of the API.

mod arguments;
mod call;
mod missing;
mod output;
mod parameters;
mod read_output;
mod text;

pub use arguments::{Arguments, input_schema, prompt_argument};
pub use call::{Fallible, blocking, boxed};
pub use output::{Described, Ready, Serialized, ToolOutput};
pub use parameters::Parameters;
pub use read_output::{ReadOutput, ReadyContents, SerializedContents};
pub use schemars;

pub use crate::tools::OutputShape;

#[cfg(test)]
mod tests;

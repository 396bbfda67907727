//! Prompts: messages that a person picks and a client fills in.

mod definition;
mod message;
mod prompt;
mod result;

pub use definition::PromptDefinition;
pub use message::IntoMessage;
pub use prompt::Prompt;
pub use result::PromptResult;

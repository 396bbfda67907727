//! [`CallError`]: why a message is not answered.

use std::error::Error as StdError;

use rmcp::ErrorData;

use crate::types::ErrorCode;
use crate::{BoxError, PromptError, ResourceError, ToolError};

/// Why a message is not answered, before it becomes what the client sees of it.
///
/// A component's own error is still whole here, with the source that the client never sees. Any
/// error of the protocol becomes one by `?`.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError {
    /// The message is refused.
    Protocol(ErrorData),
    /// The tool has failed, which its client reads as a result.
    Tool(ToolError),
    /// The resource cannot be read.
    Resource(ResourceError),
    /// The prompt cannot be rendered.
    Prompt(PromptError),
}

impl CallError {
    /// Refuses the message with a JSON-RPC error.
    pub fn new(code: ErrorCode, message: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self::Protocol(ErrorData::new(code, message, None))
    }

    /// Makes an error that is logged and masked.
    pub fn internal(source: impl Into<BoxError>) -> Self {
        Self::Tool(ToolError::internal(source))
    }

    /// Returns what the client is told; `None` when the error is masked.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Protocol(error) => Some(&error.message),
            Self::Tool(error) => error.message(),
            Self::Resource(error) => error.message(),
            Self::Prompt(error) => error.message(),
        }
    }

    /// Returns what kind of error it is: `protocol`, `invalid_arguments`, `masked`, or `told` when the
    /// component has something to tell its client.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        let is_invalid = match self {
            Self::Protocol(_) => return "protocol",
            Self::Tool(error) => error.is_invalid_arguments(),
            Self::Resource(error) => error.is_invalid_arguments(),
            Self::Prompt(error) => error.is_invalid_arguments(),
        };
        match (is_invalid, self.message()) {
            (true, _) => "invalid_arguments",
            (false, Some(_)) => "told",
            (false, None) => "masked",
        }
    }

    /// Is the same error for another who has asked for the same.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Protocol(error) => Self::Protocol(error.clone()),
            Self::Tool(error) => Self::Tool(error.again()),
            Self::Resource(error) => Self::Resource(error.again()),
            Self::Prompt(error) => Self::Prompt(error.again()),
        }
    }

    /// Returns the masked error.
    #[must_use]
    pub fn source(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        match self {
            Self::Protocol(_) => None,
            Self::Tool(error) => error.source(),
            Self::Resource(error) => error.source(),
            Self::Prompt(error) => error.source(),
        }
    }
}

impl From<ErrorData> for CallError {
    fn from(error: ErrorData) -> Self {
        Self::Protocol(error)
    }
}

impl From<ToolError> for CallError {
    fn from(error: ToolError) -> Self {
        Self::Tool(error)
    }
}

impl From<ResourceError> for CallError {
    fn from(error: ResourceError) -> Self {
        Self::Resource(error)
    }
}

impl From<PromptError> for CallError {
    fn from(error: PromptError) -> Self {
        Self::Prompt(error)
    }
}

//! [`ClientError`].

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rmcp::service::ServiceError;
use serde_json::Value;

use crate::BoxError;
use crate::Error;

/// Why a client could not connect, or a call has failed.
///
/// `Display` never prints a source: print the chain of sources for that.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// What was given cannot be a server.
    #[error("{0}")]
    Target(String),

    /// A configuration file cannot be read.
    #[error("the MCP configuration {path} cannot be read")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Config {
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    /// A server of this process does not start.
    #[error("the server does not start")]
    Server(#[source] Error),

    /// There is nobody who answers as an MCP server does.
    #[error("there is no MCP server at {target}")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Connect {
        target: String,
        #[source]
        source: BoxError,
    },

    /// The server refuses a request, with a JSON-RPC error.
    #[error("{message}")]
    Refused {
        /// The JSON-RPC error code.
        code: i32,
        /// What the server says.
        message: String,
        /// What the server says beyond that.
        data: Option<Value>,
    },

    /// A tool has failed, and says why.
    #[error("{0}")]
    Tool(String),

    /// The task that a call has become was cancelled.
    #[error("the task was cancelled")]
    Cancelled,

    /// A call has taken longer than it may, and was cancelled.
    #[error("the server did not answer within {0:?}")]
    Timeout(Duration),

    /// Arguments have no JSON form that can be sent.
    #[error("the arguments cannot be sent")]
    Encode(#[source] serde_json::Error),

    /// A result is not of the type that was asked for.
    #[error("the result is of another type")]
    Decode(#[source] serde_json::Error),

    /// The connection has failed.
    #[error("the connection to the server has failed")]
    Connection(#[source] BoxError),
}

impl ClientError {
    /// Returns the JSON-RPC error code with which the server has refused.
    #[must_use]
    pub const fn code(&self) -> Option<i32> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl From<ServiceError> for ClientError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::McpError(error) => Self::Refused {
                code: error.code.0,
                message: error.message.into_owned(),
                data: error.data,
            },
            error => Self::Connection(Box::new(error)),
        }
    }
}

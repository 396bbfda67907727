//! [`AskError`]: why a client could not be asked.

use std::error::Error as StdError;
use std::sync::Arc;

use crate::types::ClientCapabilities;

/// Why a client could not be asked, or gave no answer.
///
/// By `?` it becomes the error of the tool, resource or prompt: [`Unsupported`](Self::Unsupported)
/// as the protocol's own error that names the missing capability, [`Refused`](Self::Refused) with
/// the client's words, everything else masked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The client has not declared that it can be asked this.
    #[error("the client does not support {capability}")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Unsupported {
        capability: &'static str,
        required: Box<ClientCapabilities>,
    },

    /// There is no client: the work goes on after its call, or the call is none of a client.
    #[error("there is no client to ask")]
    Nobody,

    /// The question is part of the work of [`Context::once`](crate::Context::once), which a question
    /// must not end.
    #[error("a client cannot be asked within once(..); ask before it")]
    InOnce,

    /// Two questions of one call have the same key.
    #[error("the key {key:?} is that of another question of the same call; give each its own")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    DuplicateKey { key: String },

    /// The type asked for has no form that MCP knows: an object of texts, numbers, booleans and
    /// choices.
    #[error("the type asked for cannot be a form: {reason}")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    NoForm { reason: String },

    /// The client's answer is not of the form asked for. Only of protocol 2025-11-25 and before: a
    /// later client is asked again.
    #[error("the client's answer is not of the form asked for")]
    InvalidAnswer,

    /// The client refused the question.
    #[error("the client refused to answer: {message}")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Refused { message: String },

    /// The connection failed, or ended before the answer.
    #[error("the client could not be asked")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Failed {
        source: Arc<dyn StdError + Send + Sync>,
    },
}

//! What clients get of a component that has failed, and of a message that is refused.

use std::error::Error as StdError;

use rmcp::ErrorData;

use super::refusals::quoted;
use crate::ResourceError;
use crate::error::chain;
use crate::middleware::CallError;
use crate::types::{CallToolResult, ClientCapabilities, ContentBlock, ErrorCode};

/// The error code of a tool that took too long.
const TIMED_OUT: ErrorCode = ErrorCode(-32000);

/// Returns what the client gets of the tool `name` that has failed.
///
/// # Errors
///
/// Of the protocol, where the failure is none that the model behind the client should read.
pub(super) fn of_tool(
    error: CallError,
    is_stateless: bool,
    name: &str,
) -> Result<CallToolResult, ErrorData> {
    let error = match error {
        CallError::Protocol(error) => return Err(error),
        CallError::Tool(error) => error,
        CallError::Resource(error) => error.into(),
        CallError::Prompt(error) => error.into(),
    };
    refuse_unable(is_stateless, error.missing_capabilities())?;
    if let Some(message) = error.timeout() {
        tracing::warn!("{message}");
        return Err(ErrorData::new(TIMED_OUT, message.to_owned(), None));
    }
    if error.is_invalid_arguments() {
        tracing::warn!("invalid arguments for tool {}", quoted(name));
    }
    let text = report(error.message(), error.source(), "calling tool", name);
    Ok(CallToolResult::error(vec![ContentBlock::text(text)]))
}

/// Returns what the client gets of any other message, of which `doing` and `name` say what it was.
pub(super) fn of_other(error: CallError, is_stateless: bool, doing: &str, name: &str) -> ErrorData {
    let error: ResourceError = match error {
        CallError::Protocol(error) => return error,
        CallError::Resource(error) => error,
        CallError::Prompt(error) => ResourceError::of_prompt(error),
        CallError::Tool(error) => ResourceError::of_tool(error),
    };
    if let Err(unable) = refuse_unable(is_stateless, error.missing_capabilities()) {
        return unable;
    }
    let text = report(error.message(), error.source(), doing, name);
    if error.is_invalid_arguments() {
        ErrorData::invalid_params(text, None)
    } else {
        ErrorData::internal_error(text, None)
    }
}

/// Refuses a call that failed because its client, on a stateless connection, has not declared what
/// the component needs.
fn refuse_unable(
    is_stateless: bool,
    missing: Option<&ClientCapabilities>,
) -> Result<(), ErrorData> {
    match missing {
        Some(required) if is_stateless => Err(ErrorData::missing_required_client_capability(
            required.clone(),
        )),
        _ => Ok(()),
    }
}

/// Returns what the client reads of a failed component: the message meant for it, or that it
/// failed. In the latter case the reason is logged.
fn report(
    message: Option<&str>,
    source: Option<&(dyn StdError + Send + Sync + 'static)>,
    doing: &str,
    name: &str,
) -> String {
    if let Some(message) = message {
        return message.to_owned();
    }
    let masked = format!("Error {doing} {}", quoted(name));
    let reason = source.map_or_else(String::new, |source| chain(source));
    tracing::error!(reason, "{masked}");
    masked
}

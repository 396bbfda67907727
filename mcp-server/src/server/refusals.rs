//! The errors of requests for what is not there.

use rmcp::ErrorData;
use serde_json::json;

use crate::types::ErrorCode;

/// How many characters of a client's name for something are repeated to it.
const MAX_QUOTED: usize = 200;

pub(crate) fn unknown_resource(uri: &str) -> ErrorData {
    let message = format!("Unknown resource: {}", quoted(uri));
    ErrorData::resource_not_found(message, Some(json!({ "uri": uri })))
}

pub(crate) fn unknown_method(method: &str) -> ErrorData {
    ErrorData::new(ErrorCode::METHOD_NOT_FOUND, quoted(method), None)
}

/// Quotes a name that a client sent: cut to a length fit for a message, control characters escaped.
pub(crate) fn quoted(name: &str) -> String {
    let mut short: String = name.chars().take(MAX_QUOTED).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    format!("'{}'", short.escape_debug())
}

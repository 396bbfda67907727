//! The errors of requests for what is not there, or that make no sense.

use std::collections::BTreeSet;

use rmcp::ErrorData;
use serde_json::json;

use crate::types::ErrorCode;
use crate::version::Wanted;

/// The methods that rmcp hands over as unknown when their parameters are malformed.
const KNOWN_METHODS: [&str; 18] = [
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/update",
    "tools/call",
    "tools/list",
];

/// The methods that protocol 2026-07-28 has dropped.
const DROPPED_METHODS: [&str; 5] = [
    "initialize",
    "logging/setLevel",
    "ping",
    "resources/subscribe",
    "resources/unsubscribe",
];

/// How many characters of a client's name for something are repeated to it.
const MAX_QUOTED: usize = 200;

/// The error code of a caller whose token does not allow what it asks for.
const INSUFFICIENT_SCOPE: ErrorCode = ErrorCode(-32003);

/// Refuses a request for a component that is not there, or not in the version that it wants.
pub(crate) fn unknown(kind: &str, name: &str, wanted: Option<&Wanted>) -> ErrorData {
    let message = match wanted {
        None => format!("Unknown {kind}: {}", quoted(name)),
        Some(wanted) => format!("Unknown {kind}: {} in {wanted}", quoted(name)),
    };
    ErrorData::invalid_params(message, None)
}

/// Refuses a caller that lacks scopes, and names all that are needed (RFC 6750, section 3.1).
pub(crate) fn insufficient_scope(name: &str, scopes: &BTreeSet<String>) -> ErrorData {
    let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
    let scope = scopes.join(" ");
    let message = format!("{} needs the scope {scope:?}", quoted(name));
    let data = json!({ "error": "insufficient_scope", "scope": scope });
    ErrorData::new(INSUFFICIENT_SCOPE, message, Some(data))
}

pub(crate) fn unknown_resource(uri: &str, wanted: Option<&Wanted>) -> ErrorData {
    let message = unknown("resource", uri, wanted).message;
    ErrorData::resource_not_found(message, Some(json!({ "uri": uri })))
}

/// Refuses a request that rmcp does not know, or whose parameters it cannot read.
pub(crate) fn refuse(method: &str, is_stateless: bool) -> ErrorData {
    let dropped = is_stateless && DROPPED_METHODS.contains(&method);
    if !KNOWN_METHODS.contains(&method) || dropped {
        return unknown_method(method);
    }
    let message = format!("the parameters of {method} are missing or malformed");
    ErrorData::invalid_params(message, None)
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

//! The answers that are given before a message reaches the server.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

/// JSON-RPC: the body is not JSON.
pub(super) const PARSE_ERROR: i32 = -32700;

/// JSON-RPC: the body is JSON and no valid message.
pub(super) const INVALID_REQUEST: i32 = -32600;

/// When a client that found no room may try again, in seconds.
const RETRY_AFTER_SECS: u16 = 5;

/// The longest piece of a client's text that is repeated to it or logged, in characters.
const MAX_QUOTED_CHARS: usize = 100;

/// Answers with a JSON-RPC error that belongs to no request.
pub(super) fn rpc_error(status: StatusCode, code: i32, message: &str) -> Response {
    json_response(
        status,
        &json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": message}}),
    )
}

/// Tells the client when to try again.
pub(super) fn try_later(mut response: Response) -> Response {
    let seconds = HeaderValue::from(RETRY_AFTER_SECS);
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

/// Answers with an error on a route that does not speak JSON-RPC.
pub(super) fn plain_error(status: StatusCode, message: &str) -> Response {
    json_response(status, &json!({"error": message}))
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Makes a client's text fit for an error message or a log line: printable ASCII without
/// backticks, cut to 100 characters.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::new();
    for (count, char) in text.chars().enumerate() {
        if count == MAX_QUOTED_CHARS {
            quoted.push_str("...");
            break;
        }
        match char {
            '`' | '\\' => quoted.extend(char.escape_unicode()),
            ' '..='~' => quoted.push(char),
            _ => quoted.extend(char.escape_unicode()),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn quoted_text_is_one_line_of_printable_ascii() {
        assert_eq!(quote("evil.com"), "evil.com");
        assert_eq!(quote("a\r\nb\x1b[0m`"), r"a\u{d}\u{a}b\u{1b}[0m\u{60}");
        assert_eq!(quote("\u{2028}é"), r"\u{2028}\u{e9}");
    }

    #[test]
    fn quoted_text_is_cut_to_100_characters() {
        let quoted = quote(&"x".repeat(1_000_000));
        assert_eq!(quoted, format!("{}...", "x".repeat(100)));
    }
}

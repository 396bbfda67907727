//! What a message to the MCP path must pass before rmcp reads it.

use std::error::Error as StdError;
use std::iter::successors;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::LengthLimitError;
use tokio::time::timeout;

use super::json;
use super::reply::{INVALID_REQUEST, PARSE_ERROR, rpc_error};

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Reads the body of a POST and hands on the same bytes if they are a message.
pub(super) async fn check_message(
    State(max_bytes): State<usize>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    // A page of another site can send text/plain and forms without a preflight.
    if !is_plain_json(request.headers()) {
        return rpc_error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            INVALID_REQUEST,
            "Content-Type must be application/json, without a Content-Encoding",
        );
    }
    let (parts, body) = request.into_parts();
    let bytes = match read(body, max_bytes).await {
        Ok(bytes) => bytes,
        Err(response) => return response,
    };
    if let Err(refusal) = json::check(&bytes) {
        return rpc_error(StatusCode::BAD_REQUEST, refusal.code, &refusal.message);
    }
    let response = next
        .run(Request::from_parts(parts, Body::from(bytes)))
        .await;
    // rmcp's answer to JSON that it cannot read; the media type was checked above.
    if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        return rpc_error(
            StatusCode::BAD_REQUEST,
            INVALID_REQUEST,
            "the body is no MCP message",
        );
    }
    response
}

fn is_plain_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(media_type), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = media_type.as_bytes().split(|b| *b == b';').next();
    essence.is_some_and(|e| e.trim_ascii().eq_ignore_ascii_case(b"application/json"))
        && !headers.contains_key(CONTENT_ENCODING)
}

async fn read(body: Body, max_bytes: usize) -> Result<Bytes, Response> {
    let (status, code, message) = match timeout(BODY_TIMEOUT, to_bytes(body, max_bytes)).await {
        Ok(Ok(bytes)) => return Ok(bytes),
        Ok(Err(error)) if is_too_large(&error) => (
            StatusCode::PAYLOAD_TOO_LARGE,
            INVALID_REQUEST,
            format!("the body is larger than {max_bytes} bytes"),
        ),
        Ok(Err(_)) => (
            StatusCode::BAD_REQUEST,
            PARSE_ERROR,
            "the body ends early".to_owned(),
        ),
        Err(_) => (
            StatusCode::REQUEST_TIMEOUT,
            INVALID_REQUEST,
            format!("the body took longer than {} s", BODY_TIMEOUT.as_secs()),
        ),
    };
    Err(rpc_error(status, code, &message))
}

fn is_too_large(error: &(dyn StdError + 'static)) -> bool {
    let mut causes = successors(Some(error), |&error| error.source());
    causes.any(<dyn StdError>::is::<LengthLimitError>)
}

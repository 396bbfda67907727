//! What rmcp's answers lack: the status, the form of an error, and an end when the server is to
//! stop.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use futures_util::StreamExt;
use tokio::time::sleep;

use super::edge::MCP_SESSION_ID;
use super::reply::{INVALID_REQUEST, rpc_error, try_later};
use super::sessions::{self, Refused};
use super::shutdown::Shutdown;
use crate::Principal;

/// How long a handler has to end a subscription in order when the server is to stop, before the
/// stream is cut.
const FAREWELL: Duration = Duration::from_secs(1);

/// The longest text of an error that is handed on, in bytes.
const MAX_TEXT_BYTES: usize = 4 << 10;

/// Gives rmcp's answers the status they lack, and ends streams that never end by themselves when
/// the server is to stop.
pub(super) async fn answer<N>(
    shutdown: &Shutdown,
    mut request: Request,
    next: impl FnOnce(Request) -> N,
) -> Response
where
    N: Future<Output = Response>,
{
    let mut sessions = request.headers().get_all(MCP_SESSION_ID).iter();
    if sessions.next().is_some() && sessions.next().is_some() {
        let message = "the request has two Mcp-Session-Id headers";
        return rpc_error(StatusCode::BAD_REQUEST, INVALID_REQUEST, message);
    }
    if accepts_anything(request.headers()) {
        // rmcp wants both named, whereas RFC 9110 lets a client leave it to the server.
        let both = HeaderValue::from_static("application/json, text/event-stream");
        request.headers_mut().insert(ACCEPT, both);
    }
    let endless = endless(request.method(), request.headers());
    let principal = request.extensions().get::<Principal>().cloned();
    let delete = request.method() == Method::DELETE;
    let (mut response, refused) = sessions::observe(principal.as_ref(), next(request)).await;
    if delete && response.status() == StatusCode::ACCEPTED {
        // The session has ended by now. Python's SDK takes 202 for a failure.
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    match refused {
        Some(refused) => refusal(refused),
        None if response.status().is_client_error() => rpc_form(response).await,
        None => match endless {
            Some(farewell) => response.map(|body| {
                let requested = shutdown.requested().clone();
                let stopped = async move {
                    requested.cancelled().await;
                    sleep(farewell).await;
                };
                Body::from_stream(body.into_data_stream().take_until(stopped))
            }),
            None => response,
        },
    }
}

/// Tells whether a request has no Accept header, or one with `*/*`.
fn accepts_anything(headers: &HeaderMap) -> bool {
    let mut ranges = headers
        .get_all(ACCEPT)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|range| range.split(|byte| *byte == b';').next());
    !headers.contains_key(ACCEPT) || ranges.any(|range| range.trim_ascii() == b"*/*")
}

/// Makes an error of plain text, as rmcp has for what concerns HTTP, a JSON-RPC error.
async fn rpc_form(response: Response) -> Response {
    let json = HeaderValue::from_static("application/json");
    if response.headers().get(CONTENT_TYPE) == Some(&json) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = to_bytes(body, MAX_TEXT_BYTES).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let message = match text.trim() {
        "" => parts.status.canonical_reason().unwrap_or("refused"),
        text => text,
    };
    let body = rpc_error(parts.status, INVALID_REQUEST, message).into_body();
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, json);
    Response::from_parts(parts, body)
}

fn refusal(refused: Refused) -> Response {
    let (status, message) = match refused {
        Refused::Full => (StatusCode::SERVICE_UNAVAILABLE, "all sessions are busy"),
        Refused::Gone => (StatusCode::NOT_FOUND, "the session has ended"),
        Refused::IdInUse => (
            StatusCode::BAD_REQUEST,
            "the id is in use by a request of this session that is still running",
        ),
        Refused::Busy => (
            StatusCode::TOO_MANY_REQUESTS,
            "too many requests of this session are running",
        ),
        Refused::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "the client says too much of itself for a session",
        ),
        Refused::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "sessions cannot be read or written at the moment",
        ),
    };
    let response = rpc_error(status, INVALID_REQUEST, message);
    match refused {
        Refused::Full | Refused::Busy | Refused::Unavailable => try_later(response),
        Refused::Gone | Refused::IdInUse | Refused::TooLarge => response,
    }
}

/// Returns how long the answer may last after the server is to stop, if it is a stream of whatever
/// happens. The stream of one request, resumed by an event id of the form `index/request`, is not:
/// it ends with its answer.
fn endless(method: &Method, headers: &HeaderMap) -> Option<Duration> {
    let header = |name| headers.get(name).map(HeaderValue::as_bytes);
    if method == Method::GET {
        let one_request = header("last-event-id").is_some_and(|id| id.contains(&b'/'));
        return (!one_request).then_some(Duration::ZERO);
    }
    // rmcp refuses a header that differs from the message, but in sessions it does not look.
    let subscription = header("mcp-method") == Some(b"subscriptions/listen")
        && !headers.contains_key(MCP_SESSION_ID);
    subscription.then_some(FAREWELL)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::{HeaderMap, HeaderValue, Method};

    use super::{FAREWELL, accepts_anything, endless};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_request_of_a_session_cannot_claim_to_be_a_subscription() {
        let listen = ("mcp-method", "subscriptions/listen");
        assert_eq!(endless(&Method::POST, &headers(&[listen])), Some(FAREWELL));
        let in_session = headers(&[listen, ("mcp-session-id", "id")]);
        assert_eq!(endless(&Method::POST, &in_session), None);
    }

    #[test]
    fn the_stream_of_a_session_is_endless_and_that_of_a_request_is_not() {
        let none = HeaderMap::new();
        assert_eq!(endless(&Method::POST, &none), None);
        assert_eq!(endless(&Method::GET, &none), Some(Duration::ZERO));
        let resumed = headers(&[("last-event-id", "1/2")]);
        assert_eq!(endless(&Method::GET, &resumed), None);
    }

    #[test]
    fn no_accept_header_and_any_media_type_mean_the_same() {
        assert!(accepts_anything(&HeaderMap::new()));
        for (accept, anything) in [
            ("*/*", true),
            ("text/html, */* ;q=0.1", true),
            ("text/*", false),
            ("application/json", false),
            ("", false),
        ] {
            let headers = headers(&[("accept", accept)]);
            assert_eq!(accepts_anything(&headers), anything, "{accept}");
        }
    }
}

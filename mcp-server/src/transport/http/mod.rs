//! Streamable HTTP: rmcp's service behind the checks and bounds it does not have.
//!
//! ```text
//! serve (connections) - protect (Host, Origin, CORS, size) - routes
//!                                            /mcp: answer (503, 404, stop) - check_message - rmcp
//! ```

mod body;
mod config;
mod edge;
mod host;
mod json;
mod reply;
mod serve;
mod sessions;
mod shutdown;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use futures_util::StreamExt;
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::time::sleep;

use self::body::BodyLimits;
pub(crate) use self::config::{DEFAULT_MAX_BODY_BYTES, EdgeConfig};
pub(crate) use self::edge::protect;
use self::reply::{INVALID_REQUEST, rpc_error, try_later};
pub(crate) use self::serve::{bind, serve};
use self::sessions::Refused;
pub(crate) use self::sessions::{SessionLimits, Sessions};
pub(crate) use self::shutdown::Shutdown;
use crate::Principal;

/// How long a handler has to end a subscription in order when the server is to stop, before the
/// stream is cut.
const FAREWELL: Duration = Duration::from_secs(1);

/// What [`mcp_router`] needs beside the handler.
#[derive(Clone, Debug)]
pub(crate) struct HttpOptions {
    /// Gives the path and the largest body.
    pub(crate) edge: EdgeConfig,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) shutdown: Shutdown,
}

/// Serves `handler` at the MCP path, with and without a slash at its end.
///
/// Both protocol eras share the path: a message of 2026-07-28 is answered by itself, with JSON
/// unless the handler sends more than the answer; `initialize` opens a session of an older client.
/// rmcp's own checks of Host and Origin are off, so the router is to be put behind [`protect`].
pub(crate) fn mcp_router<H: ServerHandler + Clone>(handler: H, options: HttpOptions) -> Router {
    let HttpOptions {
        edge,
        sessions,
        shutdown,
    } = options;
    let config = StreamableHttpServerConfig::default()
        .with_json_response(true)
        .with_max_request_body_bytes(edge.max_body_bytes())
        .with_cancellation_token(shutdown.finished().clone())
        .disable_allowed_hosts()
        .disable_allowed_origins();
    let service = StreamableHttpService::new(move || Ok(handler.clone()), sessions, config);
    let path = edge.mcp_path();
    let mut router = Router::new().route_service(&format!("{path}/"), service.clone());
    if !path.is_empty() {
        router = router.route_service(path, service);
    }
    router
        .route_layer(middleware::from_fn_with_state(
            BodyLimits::new(edge.max_body_bytes()),
            body::check_message,
        ))
        .route_layer(middleware::from_fn_with_state(shutdown, answer))
}

/// Gives rmcp's answers the status they lack, and ends streams that never end by themselves when
/// the server is to stop.
async fn answer(State(shutdown): State<Shutdown>, request: Request, next: Next) -> Response {
    let endless = endless(request.method(), request.headers());
    let principal = request.extensions().get::<Principal>().cloned();
    let delete = request.method() == Method::DELETE;
    let (mut response, refused) = sessions::observe(principal, next.run(request)).await;
    if delete && response.status() == StatusCode::ACCEPTED {
        // The session has ended by now. Python's SDK takes 202 for a failure.
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    match refused {
        Some(refused) => refusal(refused),
        None => match endless {
            Some(farewell) => response.map(|body| {
                let stopped = async move {
                    shutdown.requested().cancelled().await;
                    sleep(farewell).await;
                };
                Body::from_stream(body.into_data_stream().take_until(stopped))
            }),
            None => response,
        },
    }
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
    };
    let response = rpc_error(status, INVALID_REQUEST, message);
    match refused {
        Refused::Full | Refused::Busy => try_later(response),
        Refused::Gone | Refused::IdInUse => response,
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
    // rmcp refuses a header that differs from the message.
    (header("mcp-method") == Some(b"subscriptions/listen")).then_some(FAREWELL)
}

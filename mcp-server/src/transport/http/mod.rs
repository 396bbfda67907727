//! Streamable HTTP: rmcp's service behind the checks and bounds it does not have.
//!
//! ```text
//! serve (connections) - protect (Host, Origin, CORS, size) - routes
//!                                            /mcp: answer (status, stop) - check_message - rmcp
//! ```
//!
//! What stands before rmcp is plain functions that call each other: each layer of axum's costs a
//! request some allocations and copies, more than what it does here.

mod answer;
mod body;
mod config;
mod edge;
mod host;
pub(super) mod json;
mod reply;
mod serve;
mod sessions;
mod shutdown;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tower::service_fn;

use self::answer::answer;
use self::body::{BodyLimits, check_message};
pub(crate) use self::config::{DEFAULT_MAX_BODY_BYTES, EdgeConfig};
use self::edge::MCP_SESSION_ID;
pub(crate) use self::edge::protect;
pub(crate) use self::serve::{bind, serve};
pub(crate) use self::sessions::{Home, Restored, SessionLimits, Sessions};
pub(crate) use self::shutdown::Shutdown;

/// What [`mcp_router`] needs beside the handler.
#[derive(Clone, Debug)]
pub(crate) struct HttpOptions {
    /// Gives the path and the largest body.
    pub(crate) edge: EdgeConfig,
    pub(crate) sessions: Sessions,
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
    sessions.serve_by(handler.clone());
    let manager = Arc::new(sessions.clone());
    let service = StreamableHttpService::new(move || Ok(handler.clone()), manager, config);
    let limits = BodyLimits::new(edge.max_body_bytes());
    let endpoint = Arc::new((service, limits, shutdown, sessions));
    let service = service_fn(move |request: Request<Body>| {
        let endpoint = Arc::clone(&endpoint);
        async move {
            let (service, limits, shutdown, sessions) = &*endpoint;
            // Boxed here, as the future is large and would be copied with each of ours.
            let rmcp = |request: Request<_>| -> BoxFuture<'_, Response> {
                if !request.headers().contains_key(MCP_SESSION_ID) {
                    let answer: BoxFuture<'_, _> = Box::pin(service.handle(request));
                    return Box::pin(answer.map(|response| response.map(Body::new)));
                }
                Box::pin(async {
                    let (parts, body) = request.into_parts();
                    if sessions.prepare(&parts).await.is_err() {
                        return Response::default();
                    }
                    let request = Request::from_parts(parts, body);
                    service.handle(request).await.map(Body::new)
                })
            };
            let checked = |request| check_message(limits, request, rmcp);
            Ok::<_, Infallible>(answer(shutdown, request, checked).await)
        }
    });
    let path = edge.mcp_path();
    let mut router = Router::new().route_service(&format!("{path}/"), service.clone());
    if !path.is_empty() {
        router = router.route_service(path, service);
    }
    router
}

//! Streamable HTTP: rmcp's service behind the checks and bounds it does not have.
//!
//! ```text
//! serve (connections) - protect (Host, Origin, CORS, size) - routes
//!                                            /mcp: answer (status, stop) - check_message - rmcp
//! ```

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

use std::sync::Arc;

use axum::{Router, middleware};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use self::answer::answer;
use self::body::BodyLimits;
pub(crate) use self::config::{DEFAULT_MAX_BODY_BYTES, EdgeConfig};
pub(crate) use self::edge::protect;
pub(crate) use self::serve::{bind, serve};
pub(crate) use self::sessions::{SessionLimits, Sessions};
pub(crate) use self::shutdown::Shutdown;

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

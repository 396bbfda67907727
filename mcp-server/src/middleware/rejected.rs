//! [`Rejected`]: an HTTP request that never became a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::Chain;

/// An HTTP request to the MCP path that was refused before it became a message, for
/// [`Middleware::on_rejected`](super::Middleware::on_rejected): for its Host or Origin, its form or
/// size, its session or its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejected {
    /// What it was answered with.
    pub status: StatusCode,
    /// How it was made.
    pub http_method: Method,
    /// The method of MCP that its header names, as `tools/call`; `None` without one. Not to be
    /// trusted, and cut to 64 bytes.
    pub mcp_method: Option<String>,
}

/// In an HTTP request: whether it has become a message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dispatched(Arc<AtomicBool>);

impl Dispatched {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Tells middleware of a request to `path` that is refused.
pub(crate) async fn watch(
    chain: Chain,
    path: Arc<str>,
    mut request: Request,
    next: Next,
) -> Response {
    if request.uri().path().trim_end_matches('/') != path.trim_end_matches('/') {
        return next.run(request).await;
    }
    let dispatched = Dispatched::default();
    request.extensions_mut().insert(dispatched.clone());
    let http_method = request.method().clone();
    let header = request.headers().get("mcp-method");
    let mcp_method = header.and_then(|name| name.to_str().ok()).map(|name| {
        let end = name.len().min(64);
        name[..end].to_owned()
    });
    let response = next.run(request).await;
    let status = response.status();
    let is_refused = status.is_client_error() || status.is_server_error();
    if is_refused && !dispatched.0.load(Ordering::Relaxed) {
        chain.rejected(&Rejected {
            status,
            http_method,
            mcp_method,
        });
    }
    response
}

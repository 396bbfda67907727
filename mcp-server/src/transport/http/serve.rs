//! Accepting connections, the bounds on each, and a stop that loses no answer.
//!
//! `axum::serve` sets none of the bounds below, nor `TCP_NODELAY`, without which each event of a
//! stream waits 40 ms for the client's delayed acknowledgement. So connections are served by hyper
//! directly, over HTTP/1.1 and without upgrades.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::serve::{Listener, ListenerExt};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::shutdown::Shutdown;
use crate::{Error, Result};

/// How long a connection may wait for the headers of a request, the first or the next.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may leave an answer unread. It bounds how long a slow reader of a stream holds
/// up its session.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections at once; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;

/// The largest request line with headers, in bytes; more is answered with 431.
const MAX_HEADER_BYTES: usize = 32 << 10;

/// What a connection buffers in either direction, in bytes.
const MAX_BUFFER_BYTES: usize = 64 << 10;

/// Listens on the first address of `host`, IPv4 before IPv6. Port 0 takes any free port.
///
/// # Errors
///
/// [`Error::AddressInUse`] when the port is taken; [`Error::Listen`] when the host is unknown, is
/// not one of this machine, or the port needs a permission.
pub(crate) async fn bind(host: &str, port: u16) -> Result<TcpListener> {
    let host = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    let unusable = |source| Error::Listen {
        address: format!("{host}:{port}"),
        source,
    };
    let mut addresses: Vec<SocketAddr> =
        lookup_host((host, port)).await.map_err(unusable)?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let mut failure = std::io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(source) if source.kind() == std::io::ErrorKind::AddrInUse => {
                return Err(Error::AddressInUse { address, source });
            }
            Err(source) => failure = source,
        }
    }
    Err(unusable(failure))
}

/// Serves `router` until a shutdown is requested, on at most 4,096 connections at once.
///
/// Then no connection is accepted any more, idle ones are closed, streams without an end are ended
/// (see [`mcp_router`](super::mcp_router)), and the requests under way may finish for at most
/// `grace`. When it returns, `shutdown` is finished and all connections are closed.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: &Shutdown,
    grace: Duration,
) {
    serve_at_most(MAX_CONNECTIONS, listener, router, shutdown, grace).await;
}

/// Is [`serve`] with another bound on the connections.
pub(super) async fn serve_at_most(
    max: usize,
    listener: TcpListener,
    router: Router,
    shutdown: &Shutdown,
    grace: Duration,
) {
    let mut listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY cannot be set");
        }
    });
    let service = TowerToHyperService::new(
        router.map_request(|request: axum::http::Request<Incoming>| request.map(Body::new)),
    );
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.requested().cancelled() => break,
            (stream, _) = Listener::accept(&mut listener), if connections.len() < max => {
                let stop = shutdown.requested().clone();
                connections.spawn(connection(stream, service.clone(), stop));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let drained = timeout(grace, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
    shutdown.finished().cancel();
    if drained.is_err() {
        tracing::warn!("{} connections are cut after {grace:?}", connections.len());
        connections.shutdown().await;
    }
}

async fn connection<S>(stream: TcpStream, service: TowerToHyperService<S>, stop: CancellationToken)
where
    S: tower::Service<axum::http::Request<Incoming>, Response = axum::response::Response>
        + Clone
        + Send
        + 'static,
    S::Error: Into<crate::BoxError>,
    S::Future: Send,
{
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let mut connection = http1::Builder::new();
    connection
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_header_size(MAX_HEADER_BYTES)
        .max_buf_size(MAX_BUFFER_BYTES);
    let connection = connection.serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

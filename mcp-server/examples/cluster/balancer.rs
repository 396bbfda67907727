//! A load balancer that sends each request to the next instance, whatever it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use futures_util::StreamExt as _;
use mcp_server::BoxError;
use mcp_server::axum::body::{Body, to_bytes};
use mcp_server::axum::extract::{Request, State};
use mcp_server::axum::http::StatusCode;
use mcp_server::axum::http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use mcp_server::axum::response::{IntoResponse as _, Response};
use mcp_server::axum::{self, Router};
use tokio::net::TcpListener;

/// The largest body that is passed on.
const MAX_BODY: usize = 4 << 20;

/// In the answer to a request whose instance was killed while it was under way.
pub(super) const KILLED: &str = "x-instance-killed";

/// Where the instances listen, by their numbers.
pub(super) type Addresses = Arc<RwLock<BTreeMap<usize, SocketAddr>>>;

#[derive(Clone)]
pub(super) struct Balancer {
    instances: Addresses,
    killed: Arc<Mutex<BTreeSet<SocketAddr>>>,
    next: Arc<AtomicUsize>,
    client: reqwest::Client,
    address: SocketAddr,
}

impl Balancer {
    pub(super) async fn start(instances: Addresses, port: u16) -> Result<Self, BoxError> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let balancer = Self {
            instances,
            killed: Arc::default(),
            next: Arc::default(),
            // A connection that is kept may be one to an instance that is gone: then nobody knows
            // whether a request has arrived.
            client: reqwest::Client::builder()
                .pool_max_idle_per_host(0)
                .tcp_nodelay(true)
                .build()?,
            address: listener.local_addr()?,
        };
        let router = Router::new().fallback(pass).with_state(balancer.clone());
        let listener = axum::serve::ListenerExt::tap_io(listener, |connection| {
            // It makes answers faster, no more.
            let _ = connection.set_nodelay(true);
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(balancer)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Notes that an instance is about to be killed.
    pub(super) fn killed(&self, address: SocketAddr) {
        self.killed.lock().expect("not poisoned").insert(address);
        let mut instances = self.instances.write().expect("not poisoned");
        instances.retain(|_, instance| *instance != address);
    }

    pub(super) fn replace(&self, number: usize, address: SocketAddr) {
        let mut instances = self.instances.write().expect("not poisoned");
        instances.insert(number, address);
    }

    fn was_killed(&self, address: SocketAddr) -> bool {
        self.killed.lock().expect("not poisoned").contains(&address)
    }

    fn next(&self) -> Option<SocketAddr> {
        let instances = self.instances.read().expect("not poisoned");
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        instances
            .values()
            .nth(turn % instances.len().max(1))
            .copied()
    }
}

/// Passes a request on to the next instance that takes it.
async fn pass(State(balancer): State<Balancer>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    for _ in 0..100 {
        let Some(address) = balancer.next() else {
            break;
        };
        let mut headers = parts.headers.clone();
        for own in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
            headers.remove(own);
        }
        let request = balancer
            .client
            .request(parts.method.clone(), format!("http://{address}{path}"))
            .headers(headers)
            .body(body.clone());
        match request.send().await {
            Ok(answer) => return passed_back(&balancer, address, answer),
            // Nothing was sent.
            Err(error) if error.is_connect() => tokio::task::yield_now().await,
            Err(error) => {
                let mut failed = (StatusCode::BAD_GATEWAY, error.to_string()).into_response();
                if balancer.was_killed(address) {
                    let yes = "yes".parse().expect("it is a header's value");
                    failed.headers_mut().insert(KILLED, yes);
                }
                return failed;
            }
        }
    }
    (StatusCode::BAD_GATEWAY, "no instance is there").into_response()
}

fn passed_back(balancer: &Balancer, address: SocketAddr, answer: reqwest::Response) -> Response {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let balancer = balancer.clone();
    let pieces = answer.bytes_stream().map(move |piece| {
        piece.map_err(|error| {
            let killed = balancer.was_killed(address);
            format!("{error}; killed: {killed}")
        })
    });
    let mut response = Response::new(Body::from_stream(pieces));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    for own in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        response.headers_mut().remove(own);
    }
    response
}

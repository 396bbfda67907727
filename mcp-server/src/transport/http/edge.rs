//! What every request must pass, whatever its route: Host, Origin, CORS, the body's size and time.
//!
//! A page that a user merely visits can send requests to a server on the user's machine, or have
//! its own name resolve to it (DNS rebinding). Its Origin and Host headers give it away, so both
//! are compared with what the server is meant to be reached by.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use futures_util::future::{self, Either, Ready};
use http_body_util::Limited;
use tower::{Layer, Service, ServiceBuilder};
use tower_http::cors::{AllowHeaders, AllowOrigin, Cors, CorsLayer};

use super::body::timed;
use super::config::EdgeConfig;
use super::host::{Authority, Origin};
use super::reply::{INVALID_REQUEST, plain_error, quote, rpc_error};

/// How many refused hosts and origins are logged; a client can make up any number.
const MAX_LOGGED: usize = 100;

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
pub(super) const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// Puts the edge in front of all routes of `router`, also of those that do not exist.
///
/// The host and the origin are checked first, then CORS answers preflights, then the body's size
/// and time are limited. To be called last, so that no route is added behind it.
pub(crate) fn protect(router: Router, config: &EdgeConfig) -> Router {
    let edge = Arc::new(Edge {
        config: config.clone(),
        logged: Mutex::default(),
    });
    let check = |check| Checks {
        edge: Arc::clone(&edge),
        check,
    };
    // In one layer, as each costs a request some allocations and copies.
    let layers = ServiceBuilder::new()
        .layer(check(Edge::guard))
        .layer(CrossOrigin(cors(Arc::clone(&edge))))
        .layer(check(Edge::limit));
    router.layer(layers)
}

/// Lets a request pass, or answers it.
type Check = fn(&Edge, Request) -> Result<Request, Box<Response>>;

/// Puts a check in front of a service.
#[derive(Clone)]
struct Checks {
    edge: Arc<Edge>,
    check: Check,
}

impl<S> Layer<S> for Checks {
    type Service = Checked<S>;

    fn layer(&self, inner: S) -> Checked<S> {
        let checks = self.clone();
        Checked { inner, checks }
    }
}

/// A service whose requests pass a check.
#[derive(Clone)]
struct Checked<S> {
    inner: S,
    checks: Checks,
}

impl<S> Service<Request> for Checked<S>
where
    S: Service<Request, Response = Response>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response, S::Error>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Checks { edge, check } = &self.checks;
        match check(edge, request) {
            Ok(request) => Either::Right(self.inner.call(request)),
            Err(response) => Either::Left(future::ready(Ok(*response))),
        }
    }
}

/// Request headers are mirrored: `Mcp-Param-*` is an open set, and the origin is an allowed one.
fn cors(edge: Arc<Edge>) -> CorsLayer {
    let allowed = move |origin: &HeaderValue, _: &_| edge.config.allows_origin(origin);
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::GET, Method::POST, Method::DELETE, Method::OPTIONS])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([MCP_SESSION_ID, WWW_AUTHENTICATE])
}

/// Puts CORS in front of a service, except of POST requests without an Origin: none of its headers
/// is of use there, as no page asks and no cache keeps the answer. Such are nearly all messages.
#[derive(Clone)]
struct CrossOrigin(CorsLayer);

impl<S: Clone> Layer<S> for CrossOrigin {
    type Service = Steered<S>;

    fn layer(&self, inner: S) -> Steered<S> {
        let cors = self.0.layer(inner.clone());
        Steered { inner, cors }
    }
}

/// A service whose requests take the way through CORS, or past it.
#[derive(Clone)]
struct Steered<S> {
    inner: S,
    cors: Cors<S>,
}

impl<S> Service<Request> for Steered<S>
where
    S: Service<Request, Response = Response>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Either<S::Future, <Cors<S> as Service<Request>>::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        ready!(self.inner.poll_ready(context))?;
        self.cors.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if request.method() == Method::POST && !request.headers().contains_key(ORIGIN) {
            Either::Left(self.inner.call(request))
        } else {
            Either::Right(self.cors.call(request))
        }
    }
}

struct Edge {
    config: EdgeConfig,
    logged: Mutex<HashSet<String>>,
}

impl Edge {
    fn check(&self, request: &Request) -> Result<(), Refusal> {
        let headers = request.headers();
        self.check_host(request.uri(), headers)?;
        let origin = self.check_origin(headers)?;
        let cross_site = headers
            .get(SEC_FETCH_SITE)
            .is_some_and(|v| v == "cross-site");
        if cross_site && !origin && !self.is_navigation(request) {
            return Err(Refusal::forbidden(
                "a cross-site request needs an allowed Origin",
            ));
        }
        Ok(())
    }

    /// The Host header and the authority of the request target (HTTP/2, absolute form) may differ,
    /// and what is behind may look at either: each that is there must be allowed.
    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut values = headers.get_all(HOST).iter();
        let host = values.next();
        if values.next().is_some() {
            return Err(Refusal::bad("the request has two Host headers"));
        }
        let host = match host {
            Some(value) => Some(value.to_str().map_err(|_| Refusal::malformed_host())?),
            None => None,
        };
        let target = uri.authority().map(axum::http::uri::Authority::as_str);
        if host.is_none() && target.is_none() {
            return Err(Refusal::bad("the request has no Host header"));
        }
        for text in host.into_iter().chain(target) {
            let host = Authority::parse(text).ok_or_else(Refusal::malformed_host)?;
            if !self.config.allows_host(&host) {
                let name = quote(&host.host);
                return Err(Refusal::forbidden(format!(
                    "host `{name}` is not allowed; start the server with --allowed-host {name}"
                )));
            }
        }
        Ok(())
    }

    /// Returns whether the request has an origin, which is then allowed.
    fn check_origin(&self, headers: &HeaderMap) -> Result<bool, Refusal> {
        let mut values = headers.get_all(ORIGIN).iter();
        let Some(origin) = values.next() else {
            return Ok(false);
        };
        if values.next().is_some() {
            return Err(Refusal::bad("the request has two Origin headers"));
        }
        if self.config.allows_origin(origin) {
            return Ok(true);
        }
        let text = String::from_utf8_lossy(origin.as_bytes());
        let name = quote(&text);
        Err(Refusal::forbidden(if Origin::parse(&text).is_some() {
            format!("origin `{name}` is not allowed; start the server with --allowed-origin {name}")
        } else {
            format!("origin `{name}` is not allowed")
        }))
    }

    /// Following a link or a redirect from another site is harmless, and how a login comes back
    /// from an identity provider. MCP is never navigated to.
    fn is_navigation(&self, request: &Request) -> bool {
        let is = |name: HeaderName, value| request.headers().get(name).is_some_and(|v| v == value);
        request.method() == Method::GET
            && is(SEC_FETCH_MODE, "navigate")
            && is(SEC_FETCH_DEST, "document")
            && !self.config.is_mcp(request.uri())
    }

    fn error(&self, uri: &Uri, status: StatusCode, message: &str) -> Response {
        if self.config.is_mcp(uri) {
            rpc_error(status, INVALID_REQUEST, message)
        } else {
            plain_error(status, message)
        }
    }

    /// Refuses a request from elsewhere.
    fn guard(&self, request: Request) -> Result<Request, Box<Response>> {
        match self.check(&request) {
            Ok(()) => Ok(request),
            Err(Refusal { status, message }) => {
                self.log(&message);
                Err(Box::new(self.error(request.uri(), status, &message)))
            }
        }
    }

    /// Refuses a body whose length is too large at once, and cuts any other while it is read, or
    /// when that takes too long. Messages are held inside the same bounds where they are read.
    fn limit(&self, request: Request) -> Result<Request, Box<Response>> {
        let max = self.config.max_body_bytes();
        let length = request.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > max as u64) {
            let message = format!("the body is larger than {max} bytes");
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Err(Box::new(self.error(request.uri(), status, &message)));
        }
        if self.config.is_mcp(request.uri()) {
            return Ok(request);
        }
        Ok(request.map(|body| Body::new(Limited::new(timed(body), max))))
    }

    /// Logs each refused host and origin once.
    fn log(&self, message: &str) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.len() < MAX_LOGGED && logged.insert(message.to_owned()) {
            tracing::warn!("refused a request: {message}");
        }
    }
}

struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn bad(message: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.to_owned(),
        }
    }

    fn malformed_host() -> Self {
        Self::bad("the Host header is malformed")
    }

    fn forbidden(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::{Edge, EdgeConfig, MAX_LOGGED};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_refusal_is_logged_once_and_their_number_is_bounded() {
        let edge = Edge {
            config: EdgeConfig::new(None, &[], &[], 1, "/mcp").unwrap(),
            logged: Mutex::default(),
        };
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..MAX_LOGGED * 2 {
                edge.log("host `a` is not allowed");
                edge.log(&format!("host `{number}` is not allowed"));
            }
        });
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(log.matches("host `a`").count(), 1);
        assert_eq!(log.lines().count(), MAX_LOGGED);
        assert!(log.lines().all(|line| line.contains("WARN")));
    }
}

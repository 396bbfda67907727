//! [`Server`]: a built server, and the ways to run it.

mod adapter;
mod answering;
mod bus;
mod changes;
mod completing;
mod components;
mod core;
mod handle;
mod lifespan;
mod outcome;
mod pages;
mod refusals;
mod registry;
mod subscriptions;
mod switches;
mod tasks;
mod versions;
mod view;

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{process, thread};

use axum::Router;
use axum::middleware::from_fn;
use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use rmcp::service::serve_server_with_ct;
use tokio::io::DuplexStream;
use tokio_util::sync::CancellationToken;

pub(crate) use self::adapter::Adapter;
pub(crate) use self::bus::{Bus, Event, Heard};
pub(crate) use self::components::Components;
pub(crate) use self::core::Core;
pub use self::handle::ServerHandle;
pub(crate) use self::lifespan::Lifespan;
pub(crate) use self::pages::Lists;
pub(crate) use self::refusals::{insufficient_scope, quoted};
pub(crate) use self::registry::{RegisteredTool, Registry, Selection};
pub(crate) use self::view::is_stateless;
use crate::builder::{ServerBuilder, Settings};
use crate::cli::{Args, TransportKind};
use crate::transport::http::{self, EdgeConfig, HttpOptions, SessionLimits, Sessions, Shutdown};
use crate::transport::{Connection, Transport, stdio};
use crate::{Error, Result, logging, middleware, storage};

/// How long calls may take to notice that their connection has ended.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// How long the lifespan and the store may take to stop, beyond the grace period.
const EXIT_PATIENCE: Duration = Duration::from_secs(5);

/// How many bytes wait between the two ends of a connection in this process.
const PIPE_BYTES: usize = 64 * 1024;

/// A built server. Cloning is cheap, and clones are the same server.
///
/// # Examples
///
/// ```
/// use mcp_server::{Client, Server, tool};
///
/// /// Adds two numbers.
/// #[tool]
/// async fn add(a: i64, b: i64) -> i64 {
///     a + b
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::builder("Calculator").tool(add).build()?;
/// let client = Client::connect(&server).await?;
/// let sum: i64 = client.call_tool("add", serde_json::json!({ "a": 1, "b": 2 })).await?;
/// assert_eq!(sum, 3);
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Server {
    core: Arc<Core>,
    settings: Settings,
    shutdown: Shutdown,
}

// No doc comment: it would be the first line of `--help`.
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

impl Server {
    /// Starts building a server that clients know as `name`.
    #[must_use]
    pub fn builder(name: impl Into<String>) -> ServerBuilder {
        ServerBuilder::new(name.into())
    }

    pub(crate) fn new(core: Core, settings: Settings) -> Self {
        Self {
            core: Arc::new(core),
            settings,
            shutdown: Shutdown::default(),
        }
    }

    /// Runs the server as the command line says: `--transport stdio|http`, `--host`, `--port` and
    /// what else `--help` lists ([`Args`]). Starts the log ([`logging::init`]), and
    /// returns when the server has stopped: at the end of input on stdio, or after SIGINT or
    /// SIGTERM. A server that has not stopped 5 seconds after its grace period, or 5 seconds after
    /// a second signal, ends the process.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve). A command line that cannot be parsed ends the process, as clap
    /// does.
    pub async fn run(self) -> Result<()> {
        let command = Cli::command()
            .name(self.core.details.name.clone())
            .version(self.core.details.version.clone())
            .about(
                self.core
                    .details
                    .title
                    .clone()
                    .unwrap_or_else(|| self.core.details.name.clone()),
            );
        let matches = command.get_matches();
        let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        logging::init();
        self.run_with(cli.args).await
    }

    /// Runs the server as `args` say, for programs that parse their own command line.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    pub async fn run_with(mut self, args: Args) -> Result<()> {
        if let Some(text) = args.storage.filter(|text| !text.as_str().is_empty()) {
            let store = storage::open(text.as_str())?;
            tracing::info!(
                store = store.info().name,
                "--storage decides where state is kept"
            );
            Arc::get_mut(&mut self.core)
                .ok_or_else(|| Error::InvalidOption {
                    option: "--storage",
                    reason: "a clone of the server is in use; run the server itself".to_owned(),
                })?
                .store = store;
        }
        let given = |texts: Vec<String>| texts.into_iter().filter(|text| !text.is_empty());
        let base_url = args.base_url.filter(|url| !url.is_empty());
        self.settings.base_url = base_url.or(self.settings.base_url);
        self.settings
            .allowed_hosts
            .extend(given(args.allowed_hosts));
        self.settings
            .allowed_origins
            .extend(given(args.allowed_origins));
        let kind = args.transport.unwrap_or(self.settings.default_transport);
        let transport = match kind {
            TransportKind::Stdio => Transport::Stdio,
            TransportKind::Http => Transport::Http {
                host: args.host,
                port: args.port,
            },
        };
        let patience = self.settings.grace + EXIT_PATIENCE;
        self.serve_until(transport, move |requested, now| async move {
            signal().await;
            requested.cancel();
            exit_within(patience);
            signal().await;
            now.cancel();
            exit_within(EXIT_PATIENCE);
        })
        .await
    }

    /// Serves `transport` until the server is stopped: by the end of input on stdio, by SIGINT or
    /// SIGTERM, or by [`shutdown`](Self::shutdown).
    ///
    /// Opens the store and starts the lifespan before it listens. When it is stopped it accepts
    /// nothing new, lets calls in flight finish for at most the grace period, stops the lifespan
    /// and flushes the store. A second signal cuts the grace period short.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] when the store cannot be opened or flushed,
    /// [`Error::Lifespan`] when the lifespan does not start,
    /// [`Error::AddressInUse`] and
    /// [`Error::Listen`] when the address cannot be listened on.
    pub async fn serve(self, transport: Transport) -> Result<()> {
        self.serve_until(transport, stop_on_signals).await
    }

    /// Serves `transport`; `signals` is told of the tokens that end it in time and at once.
    async fn serve_until<S>(
        self,
        transport: Transport,
        signals: impl FnOnce(CancellationToken, CancellationToken) -> S,
    ) -> Result<()>
    where
        S: Future<Output = ()> + Send + 'static,
    {
        let (requested, now) = (self.shutdown.requested().clone(), CancellationToken::new());
        let signals = tokio::spawn(signals(requested.clone(), now.clone()));
        let started = tokio::select! {
            started = self.core.start() => started,
            () = requested.cancelled() => return Ok(()),
        };
        let served = match (started, transport) {
            (Err(error), _) => Err(error),
            (Ok(_), Transport::Stdio) => self.serve_stdio(&now).await,
            (Ok(_), Transport::Http { host, port }) => self.serve_http(&host, port, &now).await,
        };
        let stopped = tokio::select! {
            stopped = self.core.stop(LAST_CALLS) => stopped,
            () = now.cancelled() => Ok(()),
        };
        signals.abort();
        served.and(stopped)
    }

    /// Returns the server as axum routes, for a program that serves HTTP itself.
    ///
    /// The lifespan starts with the first request; call [`shutdown`](Self::shutdown) at the end to
    /// stop it and to flush the store. Callers count as anonymous ones on a public address, since
    /// the server does not know who can reach the program's listener. Set `TCP_NODELAY` on its
    /// connections (`axum::serve::ListenerExt::tap_io`): without it each streamed answer waits
    /// about 40 ms for the client's acknowledgement.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] as
    /// [`build`](ServerBuilder::build).
    pub fn into_router(self) -> Result<Router> {
        Ok(self.router(&self.settings.edge()?, false))
    }

    /// Returns what changes the server while it runs.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle::new(Arc::clone(&self.core.registry))
    }

    /// Stops the server: takes no more calls, waits at most the grace period for those under way,
    /// ends its connections, stops the lifespan and flushes the store.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] when the store cannot be flushed.
    pub async fn shutdown(&self) -> Result<()> {
        self.shutdown.requested().cancel();
        let stopped = self.core.stop(self.settings.grace).await;
        self.shutdown.finished().cancel();
        stopped
    }

    /// Starts a connection in this process, and returns the client's end of it.
    pub(crate) async fn connect_in_process(&self) -> Result<DuplexStream> {
        self.core.start().await?;
        let adapter = self.adapter(Connection::single());
        let stopping = self.shutdown.finished().child_token();
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        tokio::spawn(async move {
            if let Ok(service) = serve_server_with_ct(adapter, theirs, stopping).await {
                let _ = service.waiting().await;
            }
        });
        Ok(ours)
    }

    fn adapter(&self, connection: Connection) -> Adapter {
        let stopping = self.shutdown.requested().clone();
        Adapter::new(Arc::clone(&self.core), connection, Arc::new(stopping))
    }

    async fn serve_stdio(&self, now: &CancellationToken) -> Result<()> {
        let adapter = self.adapter(Connection::single());
        stdio::serve(adapter, self.shutdown.requested().clone(), now.clone()).await
    }

    async fn serve_http(&self, host: &str, port: u16, now: &CancellationToken) -> Result<()> {
        let edge = self.settings.edge()?;
        let listener = http::bind(host, port).await?;
        let address = listener.local_addr().map_err(|source| Error::Listen {
            address: format!("{host}:{port}"),
            source,
        })?;
        let local = address.ip().is_loopback() && edge.is_loopback_only();
        self.announce(address);
        if let Some(warning) = edge.warning(address) {
            tracing::warn!("{warning}");
        }
        let router = self.router(&edge, local);
        tokio::select! {
            () = http::serve(listener, router, &self.shutdown, self.settings.grace) => {}
            () = now.cancelled() => self.shutdown.finished().cancel(),
        }
        Ok(())
    }

    /// Returns all routes behind the edge. `local` tells that only this machine reaches them.
    fn router(&self, edge: &EdgeConfig, local: bool) -> Router {
        let limits = SessionLimits {
            max: self.settings.max_sessions,
            max_per_principal: self.settings.max_sessions_per_principal,
            idle: self.settings.session_idle,
            max_age: self.settings.session_max_age,
            ..SessionLimits::default()
        };
        let options = HttpOptions {
            edge: edge.clone(),
            sessions: Sessions::new(
                limits,
                Arc::clone(&self.core.store),
                self.core.registry.bus(),
                self.shutdown.finished().clone(),
            ),
            shutdown: self.shutdown.clone(),
        };
        let adapter = self.adapter(Connection::Http { local });
        let mcp = http::mcp_router(adapter, options);
        let routes = self
            .settings
            .routes
            .iter()
            .fold(mcp, |router, (path, handler)| {
                router.route(path, handler.clone())
            });
        let router = http::protect(routes, edge);
        let chain = &self.core.middleware;
        if chain.is_empty() {
            return router;
        }
        let (chain, path) = (chain.clone(), Arc::from(&*self.settings.path));
        router.layer(from_fn(move |request, next| {
            middleware::watch(chain.clone(), Arc::clone(&path), request, next)
        }))
    }

    /// Says where the server listens and how to connect, and what it will forget.
    #[expect(
        clippy::print_stderr,
        reason = "for the person who started it; stdout is for stdio"
    )]
    fn announce(&self, address: SocketAddr) {
        let name = &self.core.details.name;
        let host = match address.ip() {
            ip if ip.is_unspecified() => "localhost".to_owned(),
            ip if ip.is_ipv6() => format!("[{ip}]"),
            ip => ip.to_string(),
        };
        let url = format!("http://{host}:{}{}", address.port(), self.settings.path);
        eprintln!("{name} listens on {url}");
        eprintln!(
            "  Claude Code:     claude mcp add --transport http {} {url}",
            slug(name)
        );
        eprintln!("  Python FastMCP:  fastmcp list {url}");
        eprintln!(
            "  MCP Inspector:   npx @modelcontextprotocol/inspector --cli {url} --method tools/list"
        );
        let store = self.core.store.info();
        if !store.persistent {
            tracing::warn!(
                "the store ({}) is not persistent: logins and state will be lost at restart; \
                 give the server a DiskStore, or another persistent one, with .storage(..)",
                store.name
            );
        }
    }
}

/// Ends the process after `patience`, if it has not ended by itself: a store that hangs, or a sync
/// tool that never returns, would keep it for ever.
fn exit_within(patience: Duration) {
    thread::spawn(move || {
        thread::sleep(patience);
        tracing::error!("the server does not stop within {patience:?}; ending the process");
        process::exit(1);
    });
}

/// Cancels `stopping` at the first SIGINT or SIGTERM, and `now` at the second.
async fn stop_on_signals(stopping: CancellationToken, now: CancellationToken) {
    for token in [stopping, now] {
        signal().await;
        token.cancel();
    }
}

/// Waits for SIGINT or SIGTERM.
#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};

    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        pending().await
    }
}

/// Returns a server's name in the form of a client's configuration key.
fn slug(name: &str) -> String {
    let words = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    if slug.is_empty() {
        "server".to_owned()
    } else {
        slug
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;

    use super::*;

    /// A log in memory.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn announced(builder: ServerBuilder) -> String {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let server = builder.build().unwrap();
            server.announce("127.0.0.1:8000".parse().unwrap());
        });
        let bytes = log.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_store_that_forgets_is_warned_about_once() {
        let log = announced(Server::builder("Test"));
        assert_eq!(log.matches("will be lost at restart").count(), 1, "{log}");
    }

    #[test]
    fn a_persistent_store_is_not_warned_about() {
        let folder = tempfile::tempdir().unwrap();
        let store = kv_disk::DiskStore::new(folder.path().join("data")).unwrap();
        assert_eq!(announced(Server::builder("Test").storage(store)), "");
    }

    #[test]
    fn a_name_becomes_a_configuration_key() {
        assert_eq!(slug("My Server (v2)"), "my-server-v2");
        assert_eq!(slug("服务器"), "server");
    }
}

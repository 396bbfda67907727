//! [`ServerBuilder`]: everything a server is made of.

use std::any::Any;
use std::any::TypeId;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::MethodRouter;
use kv_core::Store;
use kv_memory::MemoryStore;

use crate::cli::TransportKind;
use crate::context::States;
use crate::middleware::{Chain, Middleware};
use crate::server::{Components, Core, Lifespan, Lists, Registry};
use crate::state::session_tools;
use crate::tasks::TaskLimits;
use crate::transport::http::{DEFAULT_MAX_BODY_BYTES, EdgeConfig};
use crate::types::{CacheScope, Icon};
use crate::{BoxError, Error, Prompt, Resource, Result, Server, ServerKeys, Tool, icon};

/// How long requests in flight may take when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// How long a handshake session may be idle before it is closed.
const SESSION_IDLE: Duration = Duration::from_secs(30 * 60);

/// How long a handshake session may live.
const SESSION_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many handshake sessions may be open at once.
const MAX_SESSIONS: usize = 10_000;

/// How many of them one principal may have.
const MAX_SESSIONS_PER_PRINCIPAL: usize = 1_000;

/// Everything a server is made of, before it is built. Made by [`Server::builder`].
pub struct ServerBuilder {
    details: Details,
    store: Option<Arc<dyn Store>>,
    tools: Vec<Arc<dyn Tool>>,
    resources: Vec<Arc<dyn Resource>>,
    prompts: Vec<Arc<dyn Prompt>>,
    states: States,
    lifespan: Lifespan,
    shared_anonymous_state: bool,
    strict_arguments: bool,
    middleware: Chain,
    keys: Option<ServerKeys>,
    settings: Settings,
}

/// What a server says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Details {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) title: Option<String>,
    pub(crate) instructions: Option<String>,
    pub(crate) website_url: Option<String>,
    pub(crate) icons: Vec<Icon>,
    pub(crate) lists: Lists,
    pub(crate) tasks: TaskLimits,
}

/// How a server is run.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) default_transport: TransportKind,
    pub(crate) path: String,
    pub(crate) base_url: Option<String>,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) max_body_bytes: usize,
    pub(crate) max_sessions: usize,
    pub(crate) max_sessions_per_principal: usize,
    pub(crate) session_idle: Duration,
    pub(crate) session_max_age: Duration,
    pub(crate) grace: Duration,
    pub(crate) routes: Vec<(String, MethodRouter)>,
}

impl ServerBuilder {
    pub(crate) fn new(name: String) -> Self {
        Self {
            details: Details {
                name,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                title: None,
                instructions: None,
                website_url: None,
                icons: Vec::new(),
                lists: Lists::new(),
                tasks: TaskLimits::default(),
            },
            store: None,
            tools: Vec::new(),
            resources: Vec::new(),
            prompts: Vec::new(),
            states: States::default(),
            lifespan: Lifespan::none(),
            shared_anonymous_state: false,
            strict_arguments: false,
            middleware: Chain::default(),
            keys: None,
            settings: Settings {
                default_transport: TransportKind::Stdio,
                path: "/mcp".to_owned(),
                base_url: None,
                allowed_hosts: Vec::new(),
                allowed_origins: Vec::new(),
                max_body_bytes: DEFAULT_MAX_BODY_BYTES,
                max_sessions: MAX_SESSIONS,
                max_sessions_per_principal: MAX_SESSIONS_PER_PRINCIPAL,
                session_idle: SESSION_IDLE,
                session_max_age: SESSION_MAX_AGE,
                grace: GRACE,
                routes: Vec::new(),
            },
        }
    }

    /// Keeps everything the server remembers in `store`. Default: in memory, lost on restart.
    #[must_use]
    pub fn storage(mut self, store: impl Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Adds a tool.
    #[must_use]
    pub fn tool(mut self, tool: impl Tool) -> Self {
        self.tools.push(Arc::new(tool));
        self
    }

    /// Adds a resource, or a resource template.
    #[must_use]
    pub fn resource(mut self, resource: impl Resource) -> Self {
        self.resources.push(Arc::new(resource));
        self
    }

    /// Adds a prompt.
    #[must_use]
    pub fn prompt(mut self, prompt: impl Prompt) -> Self {
        self.prompts.push(Arc::new(prompt));
        self
    }

    /// Adds the tools `create_session` and `end_session`, by which clients get the handles that tools
    /// take as a [`SessionId`](crate::SessionId). Default: none.
    #[must_use]
    pub fn session_tools(mut self) -> Self {
        self.tools.extend(session_tools());
        self
    }

    /// Adds middleware around all messages of clients, within that which was added before. Default:
    /// none.
    #[must_use]
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.middleware.push(middleware);
        self
    }

    /// Gives components a value of type `T` to take as [`State<T>`](crate::State). One of each
    /// type; a second one replaces the first.
    #[must_use]
    pub fn with_state<T: Send + Sync + 'static>(mut self, state: T) -> Self {
        let state: Arc<dyn Any + Send + Sync> = Arc::new(state);
        self.states = self.states.with(TypeId::of::<T>(), state);
        self
    }

    /// Opens what the server needs when it starts, and closes it when it stops.
    ///
    /// `start` runs once for the whole server, before the first call, and is given the store. What
    /// it returns is there for components as [`State<T>`](crate::State). `stop` runs once after
    /// the last call, before the store is flushed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use mcp_server::{BoxError, Server};
    ///
    /// struct Database;
    ///
    /// let builder = Server::builder("My Server").lifespan(
    ///     |_store| async { Ok::<_, BoxError>(Database) },
    ///     |_database: Arc<Database>| async {},
    /// );
    /// ```
    #[must_use]
    pub fn lifespan<T, E, Opening, Closing>(
        mut self,
        start: impl FnOnce(Arc<dyn Store>) -> Opening + Send + 'static,
        stop: impl FnOnce(Arc<T>) -> Closing + Send + 'static,
    ) -> Self
    where
        T: Send + Sync + 'static,
        E: Into<BoxError>,
        Opening: Future<Output = Result<T, E>> + Send + 'static,
        Closing: Future<Output = ()> + Send + 'static,
    {
        self.lifespan = Lifespan::new(start, stop);
        self
    }

    /// Sets the server's own version. Default: that of this crate.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.details.version = version.into();
        self
    }

    /// Sets a title for people. Default: none; clients then show the name.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.details.title = Some(title.into());
        self
    }

    /// Tells clients, and the models behind them, how to use this server. Default: nothing.
    #[must_use]
    pub fn instructions(mut self, instructions: impl Into<String>) -> Self {
        self.details.instructions = Some(instructions.into());
        self
    }

    /// Sets the address of a page about the server. Default: none.
    #[must_use]
    pub fn website_url(mut self, url: impl Into<String>) -> Self {
        self.details.website_url = Some(url.into());
        self
    }

    /// Adds a picture for the server, which clients may show beside its title. More than one are
    /// sizes or themes of the same. Default: none. [`IconExt`](crate::IconExt) makes icons of bytes
    /// and files, and tells what `build` asks of them.
    #[must_use]
    pub fn icon(mut self, icon: Icon) -> Self {
        self.details.icons.push(icon);
        self
    }

    /// Sets how many tools, resources, templates or prompts are listed at once. Default: all.
    #[must_use]
    pub fn list_page_size(mut self, size: usize) -> Self {
        self.details.lists.page_size = size;
        self
    }

    /// Tells clients of protocol 2026-07-28 and later for how long they may keep a list, and whether
    /// users may share it, which they never may while a component is for callers with certain scopes.
    /// Default: not at all, [`CacheScope::Private`].
    #[must_use]
    pub fn list_cache(mut self, ttl: Duration, scope: CacheScope) -> Self {
        self.details.lists.ttl = ttl;
        self.details.lists.scope = scope;
        self
    }

    /// Sets how clients connect when the command line does not say. Default: stdio.
    #[must_use]
    pub fn default_transport(mut self, transport: TransportKind) -> Self {
        self.settings.default_transport = transport;
        self
    }

    /// Sets the path of the MCP endpoint. Default: `/mcp`.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.settings.path = path.into();
        self
    }

    /// Adds an HTTP route beside the MCP endpoint, behind the same Host, Origin and size checks but
    /// without any authentication. One route a path. Default: none.
    #[must_use]
    pub fn route(mut self, path: impl Into<String>, handler: MethodRouter) -> Self {
        self.settings.routes.push((path.into(), handler));
        self
    }

    /// Sets the URL under which clients reach the server; requests for its host are accepted.
    /// Default: none, loopback only.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.settings.base_url = Some(url.into());
        self
    }

    /// Accepts requests for another host, as `name` (any port) or `name:port`. Default: loopback
    /// and the host of the base URL.
    #[must_use]
    pub fn allowed_host(mut self, host: impl Into<String>) -> Self {
        self.settings.allowed_hosts.push(host.into());
        self
    }

    /// Accepts requests from the pages of a web origin, such as `https://app.example`. Default:
    /// loopback and the base URL.
    #[must_use]
    pub fn allowed_origin(mut self, origin: impl Into<String>) -> Self {
        self.settings.allowed_origins.push(origin.into());
        self
    }

    /// Sets the largest HTTP body. Default: 4 MiB.
    #[must_use]
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_body_bytes = bytes;
        self
    }

    /// Sets how many handshake sessions may be open at once on this instance of the server; past that
    /// the one that was idle longest ends. Default: 10,000.
    #[must_use]
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.settings.max_sessions = sessions;
        self
    }

    /// Sets how many handshake sessions one principal may have open at once on this instance of the
    /// server; past that the one of them that was idle longest ends. Default: 1,000.
    #[must_use]
    pub fn max_sessions_per_principal(mut self, sessions: usize) -> Self {
        self.settings.max_sessions_per_principal = sessions;
        self
    }

    /// Sets how long a handshake session may have no request and no stream open before it ends.
    /// Default: 30 minutes.
    ///
    /// A session is kept in the store: with a persistent one it outlives the process, with a shared
    /// one all instances of the server answer it.
    #[must_use]
    pub fn session_idle(mut self, idle: Duration) -> Self {
        self.settings.session_idle = idle;
        self
    }

    /// Sets after what time a handshake session ends, however much it is used. Default: 7 days.
    #[must_use]
    pub fn session_max_age(mut self, age: Duration) -> Self {
        self.settings.session_max_age = age;
        self
    }

    /// Sets how many tasks may be unfinished at once on this instance of the server; past that, calls
    /// that would become one are refused. Default: 10,000.
    #[must_use]
    pub fn max_tasks(mut self, tasks: usize) -> Self {
        self.details.tasks.all = tasks;
        self
    }

    /// Sets how many tasks of one user may be unfinished at once on this instance of the server;
    /// past that, calls that would become one are refused. Anonymous callers are one user. Default:
    /// 1,000.
    #[must_use]
    pub fn max_tasks_per_user(mut self, tasks: usize) -> Self {
        self.details.tasks.per_user = tasks;
        self
    }

    /// Sets how long calls under way may take when the server stops. Default: 10 seconds. On stdio
    /// it is always 5 seconds.
    #[must_use]
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// Lets all anonymous callers on a public address share one user state. Default: they have
    /// none.
    #[must_use]
    pub fn shared_anonymous_state(mut self, shared: bool) -> Self {
        self.shared_anonymous_state = shared;
        self
    }

    /// Lets tools take no value for one of another type. Default: `false`, so that where a tool's
    /// schema asks for the second, `"10"` is 10, `"true"` and `1` are true, and the JSON text of an
    /// object or array is that.
    #[must_use]
    pub fn strict_arguments(mut self, strict: bool) -> Self {
        self.strict_arguments = strict;
        self
    }

    /// Sets the secrets that seal what clients hold for the server. Default: those of the
    /// environment variable `MCP_KEYS`, in the form of [`ServerKeys::from_base64`], or else one that
    /// the server makes and keeps in its store.
    #[must_use]
    pub fn keys(mut self, keys: ServerKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Checks everything and builds the server. Opens nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Duplicate`] for two components of one name and version, [`Error::InvalidComponent`] for one
    /// with a broken definition, [`Error::MissingState`] for one that takes a state that nothing
    /// provides, [`Error::InvalidOption`] for an option that makes no sense.
    pub fn build(self) -> Result<Server> {
        for (option, value) in [
            ("max_sessions", self.settings.max_sessions),
            (
                "max_sessions_per_principal",
                self.settings.max_sessions_per_principal,
            ),
            ("list_page_size", self.details.lists.page_size),
            ("max_tasks", self.details.tasks.all),
            ("max_tasks_per_user", self.details.tasks.per_user),
        ] {
            if value == 0 {
                let reason = "it must be at least 1".to_owned();
                return Err(Error::InvalidOption { option, reason });
            }
        }
        icon::check(&self.details.icons).map_err(|reason| Error::InvalidOption {
            option: "icon",
            reason,
        })?;
        self.settings.edge()?;
        self.settings.check_routes()?;
        let (states, lifespan) = (self.states.clone(), self.lifespan.state());
        let provided = move |id| states.contains(id) || lifespan == id;
        let mut registry = Registry::new(self.strict_arguments);
        for tool in self.tools {
            registry.add_tool(tool, &provided)?;
        }
        for resource in self.resources {
            registry.add_resource(resource, &provided)?;
        }
        for prompt in self.prompts {
            registry.add_prompt(prompt, &provided)?;
        }
        let keys = match self.keys {
            Some(keys) => Some(keys),
            None => ServerKeys::from_env()?,
        };
        let store = self.store.unwrap_or_else(|| Arc::new(MemoryStore::new()));
        let identity = (self.details.name.clone(), self.details.version.clone());
        let core = Core::new(
            self.details,
            Components::new(registry, identity, Box::new(provided)),
            store,
            self.shared_anonymous_state,
            keys,
            self.states,
            self.lifespan,
        );
        let middleware = self.middleware;
        let server = Server::new(core.within(middleware.clone()), self.settings);
        middleware.built(&server.handle());
        Ok(server)
    }
}

impl Settings {
    /// Checks the paths of the custom routes, at which axum would panic.
    fn check_routes(&self) -> Result<()> {
        let mut taken = vec![self.path.trim_end_matches('/')];
        for (path, _) in &self.routes {
            if !path.starts_with('/') {
                let reason = format!("{path:?} does not start with `/`");
                return Err(Error::InvalidOption {
                    option: "route",
                    reason,
                });
            }
            let path = path.trim_end_matches('/');
            if taken.contains(&path) {
                return Err(Error::Duplicate {
                    kind: "route",
                    name: path.to_owned(),
                });
            }
            taken.push(path);
        }
        Ok(())
    }

    /// Checks the options of the HTTP edge and returns them in its form.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] names the one that is invalid.
    pub(crate) fn edge(&self) -> Result<EdgeConfig> {
        EdgeConfig::new(
            self.base_url.as_deref(),
            &self.allowed_hosts,
            &self.allowed_origins,
            self.max_body_bytes,
            &self.path,
        )
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("details", &self.details)
            .finish_non_exhaustive()
    }
}

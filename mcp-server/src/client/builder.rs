//! [`ClientBuilder`]: who answers a server's questions, and what else a client does.
#![expect(
    deprecated,
    reason = "sampling and roots work until the protocol drops them (SEP-2577)"
)]

use std::fmt;
use std::time::Duration;

use futures_util::FutureExt as _;
use rmcp::RoleClient;
use rmcp::service::{ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _};
use rmcp::transport::IntoTransport;
use tokio::time::timeout;

use super::handlers::{Handlers, LogMessage};
use super::target::{self, Kind, Target};
use super::{Client, ClientError};
use crate::types::{
    CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams, ElicitResult,
    Implementation, ProtocolVersion, Root,
};
use crate::{LogLevel, Progress};

/// How long a server may take to start and to answer: one that is installed first takes a while.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// By which protocol a client connects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientMode {
    /// By protocol 2026-07-28, or by the handshake where the server does not know that. A server
    /// that does not answer is given 10 seconds.
    #[default]
    Auto,
    /// By protocol 2026-07-28 alone, without a handshake.
    Stateless,
    /// By the handshake of protocol 2025-11-25.
    Handshake,
}

/// Sets up a [`Client`].
///
/// The client declares to the server that it can be asked what it has a handler for, and nothing
/// else.
///
/// # Examples
///
/// ```
/// use mcp_server::client::Client;
/// use mcp_server::types::{ElicitResult, ElicitationAction};
/// use mcp_server::{Context, LogLevel, Server, ToolError, tool};
/// use serde_json::json;
///
/// /// Greets the user by a name that it asks for.
/// #[tool]
/// async fn greet(cx: Context) -> Result<String, ToolError> {
///     let name = cx.elicit::<String>("What is your name?").await?.accepted();
///     cx.info("asked").await;
///     Ok(format!("Hello {}", name.unwrap_or_default()))
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::builder("Greeter").tool(greet).build()?;
/// let client = Client::builder()
///     .elicitation_handler(|_question| async {
///         ElicitResult::new(ElicitationAction::Accept).with_content(json!({ "value": "Ada" }))
///     })
///     .log_handler(LogLevel::Info, |message| eprintln!("{}", message.data))
///     .connect(&server)
///     .await?;
/// let answer: String = client.call_tool("greet", ()).await?;
/// assert_eq!(answer, "Hello Ada");
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
#[must_use]
pub struct ClientBuilder {
    handlers: Handlers,
    mode: ClientMode,
    timeout: Option<Duration>,
    headers: Vec<(String, String)>,
}

impl ClientBuilder {
    /// Sets by which protocol the client connects. Default: the newest that the server speaks.
    pub const fn mode(mut self, mode: ClientMode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets how long a call may take, with all questions that it asks, and how long connecting may;
    /// then it is given up, and a call is cancelled. Default: calls take as long as they like,
    /// connecting 60 seconds.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends a header with every request to a URL.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends a bearer token with every request to a URL (RFC 6750).
    pub fn bearer_token(self, token: impl fmt::Display) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    /// Sets what the client calls itself. Default: `mcp-server` and its version.
    pub fn client_info(mut self, info: Implementation) -> Self {
        self.handlers.info = Some(info);
        self
    }

    /// Answers the forms and the pages that the server has for the user. In a form that the handler
    /// accepts, what it leaves out gets its default of the form (SEP-1034).
    pub fn elicitation_handler<F>(
        mut self,
        handler: impl Fn(ElicitRequestParams) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ElicitResult> + Send + 'static,
    {
        self.handlers.elicit = Some(Box::new(move |question| handler(question).boxed()));
        self
    }

    /// Answers the server's questions to a model.
    pub fn sampling_handler<F>(
        mut self,
        handler: impl Fn(CreateMessageRequestParams) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = CreateMessageResult> + Send + 'static,
    {
        self.handlers.sample = Some(Box::new(move |question| handler(question).boxed()));
        self
    }

    /// Tells the server which folders the user works in.
    pub fn roots(mut self, roots: Vec<Root>) -> Self {
        self.handlers.roots = Some(roots);
        self
    }

    /// Hears the messages of this level and above during tool calls. With the handshake the server
    /// decides what it sends.
    pub fn log_handler(
        mut self,
        level: LogLevel,
        handler: impl Fn(LogMessage) + Send + Sync + 'static,
    ) -> Self {
        self.handlers.level = Some(level);
        self.handlers.log = Some(Box::new(handler));
        self
    }

    /// Hears how far calls are.
    pub fn progress_handler(mut self, handler: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.handlers.progress = Some(Box::new(handler));
        self
    }

    /// Takes calls that become tasks (SEP-2663): [`Client::call_tool`] waits for their end,
    /// [`Client::call_tool_once`] returns them. Default: the server answers each call.
    pub const fn tasks(mut self) -> Self {
        self.handlers.tasks = true;
        self
    }

    /// Connects to a server.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`]; also [`ClientError::Target`] for a header that cannot be sent.
    pub async fn connect(self, target: impl Into<Target>) -> Result<Client, ClientError> {
        match target.into().0 {
            Kind::Server(server) => {
                let pipe = server.connect_in_process().await;
                let pipe = pipe.map_err(ClientError::Server)?;
                self.serve(pipe, "this process".to_owned()).await
            }
            Kind::Url { url, mut headers } => {
                headers.extend_from_slice(&self.headers);
                let (transport, shown) = target::http(&url, headers)?;
                self.serve(transport, shown).await
            }
            Kind::Command(command) => {
                let (transport, shown) = target::process(*command)?;
                self.serve(transport, shown).await
            }
        }
    }

    async fn serve<T, E, A>(self, transport: T, target: String) -> Result<Client, ClientError>
    where
        T: IntoTransport<RoleClient, E, A>,
        E: std::error::Error + Send + Sync + 'static,
    {
        let newest = vec![ProtocolVersion::V_2026_07_28];
        let lifecycle = match self.mode {
            ClientMode::Auto => ClientLifecycleMode::Auto {
                preferred_versions: newest,
                legacy_version: None,
            },
            ClientMode::Stateless => ClientLifecycleMode::Discover {
                preferred_versions: newest,
            },
            ClientMode::Handshake => ClientLifecycleMode::Initialize,
        };
        let served = self.handlers.serve_with_lifecycle(transport, lifecycle);
        let patience = self.timeout.unwrap_or(CONNECT_TIMEOUT);
        let running = match timeout(patience, served).await {
            Ok(Ok(running)) => running,
            Ok(Err(error)) => {
                let source = Box::<ClientInitializeError>::new(error);
                return Err(ClientError::Connect { target, source });
            }
            Err(_) => return Err(ClientError::Timeout(patience)),
        };
        let Some(server) = running.peer().peer_info() else {
            let source = "it has not said who it is".into();
            return Err(ClientError::Connect { target, source });
        };
        Ok(Client {
            running,
            server,
            timeout: self.timeout,
        })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("mode", &self.mode)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

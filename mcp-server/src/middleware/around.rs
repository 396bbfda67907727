//! [`Middleware`]: the trait.

use std::any::TypeId;
use std::sync::Arc;

use super::params::{
    Answer, AnyParams, Discover, ListPrompts, ListResourceTemplates, ListResources, ListTools,
    Notification,
};
use super::{CallError, Message, Next, Rejected};
use crate::types::{
    CallToolRequestParams, CallToolResponse, DiscoverResult, GetPromptRequestParams,
    GetPromptResponse, InitializeRequestParams, InitializeResult, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, ReadResourceRequestParams,
    ReadResourceResponse,
};
use crate::{BoxFuture, ServerHandle};

/// What happens around the messages of clients.
///
/// Each hook is given a message and the rest of its way. It may look at the message, change it,
/// pass it on by [`Next::run`], look at what comes back, change that, or answer by itself. All hooks
/// have a default that passes the message on. Those of one middleware are nested:
///
/// ```text
/// on_message ( on_request      ( on_call_tool, on_list_tools, ... ( next ) ) )
/// on_message ( on_notification ( next ) )
/// ```
///
/// Of several, the one that was added first is the outermost: its hooks are around all hooks of the
/// second. Each message passes once, as far as the protocol layer accepts it: a message that cannot
/// be read, is of an unknown protocol or has no session passes [`on_rejected`](Self::on_rejected) alone.
///
/// A closure of a [`Message`] and a [`Next`] is middleware too: it is the hook `on_message`. One that
/// captures something clones it for each message: `move |message, next| { let it = it.clone(); async
/// move { .. } }`.
///
/// # Examples
///
/// ```
/// use std::time::Instant;
///
/// use mcp_server::middleware::{CallError, Message, Middleware, Next};
/// use mcp_server::types::{CallToolRequestParams, CallToolResponse};
/// use mcp_server::{Client, Server, tool};
///
/// /// Says how long calls take.
/// struct Stopwatch;
///
/// impl Middleware for Stopwatch {
///     async fn on_call_tool(
///         &self,
///         message: Message<CallToolRequestParams>,
///         next: Next,
///     ) -> Result<CallToolResponse, CallError> {
///         let (start, cx) = (Instant::now(), message.cx().clone());
///         let answer = next.run(message).await;
///         cx.info(format!("{} us", start.elapsed().as_micros())).await;
///         answer
///     }
/// }
///
/// #[tool]
/// async fn ping() -> &'static str {
///     "pong"
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::builder("Timed")
///     .middleware(Stopwatch)
///     .middleware(async |message: Message, next: Next| next.run(message).await)
///     .tool(ping)
///     .build()?;
/// let client = Client::connect(&server).await?;
/// assert_eq!(client.call_tool::<String>("ping", ()).await?, "pong");
/// # Ok(())
/// # }
/// ```
pub trait Middleware: Send + Sync + 'static {
    /// Is told of the server that it belongs to, once, before the first message. Middleware of a
    /// single tool is not.
    fn on_build(&self, _server: &ServerHandle) {}

    /// Is told of an HTTP request that was refused before it became a message: no other hook sees it.
    /// Middleware of a single tool is not.
    fn on_rejected(&self, _rejected: &Rejected) {}

    /// Is around every message.
    fn on_message(
        &self,
        message: Message,
        next: Next,
    ) -> impl Future<Output = Result<Answer, CallError>> + Send {
        async move {
            let (params, envelope) = message.open();
            match params {
                AnyParams::Notification(params) => {
                    self.on_notification(envelope.of(params), next).await?;
                    Ok(Answer::None)
                }
                params => self.on_request(envelope.of(params), next).await,
            }
        }
    }

    /// Is around every request.
    fn on_request(
        &self,
        message: Message,
        next: Next,
    ) -> impl Future<Output = Result<Answer, CallError>> + Send {
        by_method(self, message, next)
    }

    /// Is around every notification.
    fn on_notification(
        &self,
        message: Message<Notification>,
        next: Next,
    ) -> impl Future<Output = Result<(), CallError>> + Send {
        next.run(message)
    }

    /// Is around the handshake of protocol 2025-11-25 and before.
    fn on_initialize(
        &self,
        message: Message<InitializeRequestParams>,
        next: Next,
    ) -> impl Future<Output = Result<InitializeResult, CallError>> + Send {
        next.run(message)
    }

    /// Is around `server/discover`, which takes the place of the handshake since protocol 2026-07-28.
    fn on_discover(
        &self,
        message: Message<Discover>,
        next: Next,
    ) -> impl Future<Output = Result<DiscoverResult, CallError>> + Send {
        next.run(message)
    }

    /// Is around every call of a tool, also of one that is not there. The answer can be questions to the client, or
    /// the task that the call has become.
    fn on_call_tool(
        &self,
        message: Message<CallToolRequestParams>,
        next: Next,
    ) -> impl Future<Output = Result<CallToolResponse, CallError>> + Send {
        next.run(message)
    }

    /// Is around every read of a resource.
    fn on_read_resource(
        &self,
        message: Message<ReadResourceRequestParams>,
        next: Next,
    ) -> impl Future<Output = Result<ReadResourceResponse, CallError>> + Send {
        next.run(message)
    }

    /// Is around every rendering of a prompt.
    fn on_get_prompt(
        &self,
        message: Message<GetPromptRequestParams>,
        next: Next,
    ) -> impl Future<Output = Result<GetPromptResponse, CallError>> + Send {
        next.run(message)
    }

    /// Is around every page of the tools.
    fn on_list_tools(
        &self,
        message: Message<ListTools>,
        next: Next,
    ) -> impl Future<Output = Result<ListToolsResult, CallError>> + Send {
        next.run(message)
    }

    /// Is around every page of the resources that are no templates.
    fn on_list_resources(
        &self,
        message: Message<ListResources>,
        next: Next,
    ) -> impl Future<Output = Result<ListResourcesResult, CallError>> + Send {
        next.run(message)
    }

    /// Is around every page of the resource templates.
    fn on_list_resource_templates(
        &self,
        message: Message<ListResourceTemplates>,
        next: Next,
    ) -> impl Future<Output = Result<ListResourceTemplatesResult, CallError>> + Send {
        next.run(message)
    }

    /// Is around every page of the prompts.
    fn on_list_prompts(
        &self,
        message: Message<ListPrompts>,
        next: Next,
    ) -> impl Future<Output = Result<ListPromptsResult, CallError>> + Send {
        next.run(message)
    }
}

/// Hands a request to the hook of its method.
pub(super) async fn by_method<M: Middleware + ?Sized>(
    middleware: &M,
    message: Message,
    next: Next,
) -> Result<Answer, CallError> {
    let (params, envelope) = message.open();
    match params {
        AnyParams::Initialize(params) => middleware
            .on_initialize(envelope.of(params), next)
            .await
            .map(Answer::Initialize),
        AnyParams::Discover(params) => middleware
            .on_discover(envelope.of(params), next)
            .await
            .map(Answer::Discover),
        AnyParams::CallTool(params) => middleware
            .on_call_tool(envelope.of(params), next)
            .await
            .map(Answer::CallTool),
        AnyParams::ReadResource(params) => middleware
            .on_read_resource(envelope.of(params), next)
            .await
            .map(Answer::ReadResource),
        AnyParams::GetPrompt(params) => middleware
            .on_get_prompt(envelope.of(params), next)
            .await
            .map(Answer::GetPrompt),
        AnyParams::ListTools(params) => middleware
            .on_list_tools(envelope.of(params), next)
            .await
            .map(Answer::ListTools),
        AnyParams::ListResources(params) => middleware
            .on_list_resources(envelope.of(params), next)
            .await
            .map(Answer::ListResources),
        AnyParams::ListResourceTemplates(params) => middleware
            .on_list_resource_templates(envelope.of(params), next)
            .await
            .map(Answer::ListResourceTemplates),
        AnyParams::ListPrompts(params) => middleware
            .on_list_prompts(envelope.of(params), next)
            .await
            .map(Answer::ListPrompts),
        params => next.run(envelope.of(params)).await,
    }
}

impl<F, A> Middleware for F
where
    F: Fn(Message, Next) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Answer, CallError>> + Send,
{
    fn on_message(
        &self,
        message: Message,
        next: Next,
    ) -> impl Future<Output = Result<Answer, CallError>> + Send {
        self(message, next)
    }
}

/// [`Middleware`] of any type.
pub(super) trait Erased: Send + Sync {
    /// Returns which type it is.
    fn kind(&self) -> TypeId;

    fn built(&self, server: &ServerHandle);

    fn rejected(&self, rejected: &Rejected);

    fn handle(
        self: Arc<Self>,
        message: Message,
        next: Next,
    ) -> BoxFuture<'static, Result<Answer, CallError>>;
}

impl<M: Middleware> Erased for M {
    fn kind(&self) -> TypeId {
        TypeId::of::<M>()
    }

    fn built(&self, server: &ServerHandle) {
        self.on_build(server);
    }

    fn rejected(&self, rejected: &Rejected) {
        self.on_rejected(rejected);
    }

    fn handle(
        self: Arc<Self>,
        message: Message,
        next: Next,
    ) -> BoxFuture<'static, Result<Answer, CallError>> {
        Box::pin(async move { self.on_message(message, next).await })
    }
}

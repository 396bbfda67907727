//! [`Adapter`]: the one place where rmcp's protocol layer meets this server.
#![expect(
    deprecated,
    reason = "logging and subscriptions by session work until the protocol drops them"
)]

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use axum::http::request::Parts;
use futures_util::FutureExt as _;
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio_util::sync::CancellationToken;

use super::answering::{Answered, Ending, listen, was_cancelled};
use super::core::Core;
use super::outcome;
use super::registry::Selection;
use super::subscriptions;
use super::view::{Occasion, View, is_stateless};
use crate::error::Panicked;
use crate::middleware::{
    Answer, CallError, Discover, Dispatched, ListPrompts, ListResourceTemplates, ListResources,
    ListTools, Message, NoEnd, Notification, OtherAnswer, OtherRequest,
};
use crate::transport::{Connection, Restored};
use crate::types::*;

/// What rmcp calls for the messages of one connection. A clone is for a connection of its own.
#[derive(Debug)]
pub(crate) struct Adapter(Arc<View>);

impl Adapter {
    /// `stopping` is cancelled when the server is to stop.
    pub(crate) fn new(
        core: Arc<Core>,
        connection: Connection,
        stopping: Arc<CancellationToken>,
    ) -> Self {
        Self(Arc::new(View::new(core, connection, stopping)))
    }

    pub(super) fn of(view: &Arc<View>) -> Self {
        Self(Arc::clone(view))
    }

    /// Takes a request through the middleware, if there is any, to what answers it.
    async fn answer<T>(
        &self,
        params: T,
        request: RequestContext<RoleServer>,
    ) -> Result<T::Answer, CallError>
    where
        T: Answered,
        Answer: From<T::Answer>,
    {
        let occasion = Occasion::direct(Arc::new(request));
        if self.0.core.middleware.is_empty() {
            return params.answered(&self.0, &occasion).await;
        }
        Box::pin(self.pass(params, occasion, None)).await
    }

    async fn pass<T: Answered>(
        &self,
        params: T,
        occasion: Occasion,
        subscription: Option<SubscriptionContext>,
    ) -> Result<T::Answer, CallError> {
        let request = Arc::clone(&occasion.request);
        let parts = request.extensions.get::<Parts>();
        if let Some(dispatched) = parts.and_then(|it| it.extensions.get::<Dispatched>()) {
            dispatched.set();
        }
        let cx = self.0.around(&occasion).await?;
        let end = Arc::new(Ending {
            view: Arc::clone(&self.0),
            occasion,
            subscription: Mutex::new(subscription),
        });
        let passing = self
            .0
            .core
            .middleware
            .before(end)
            .run(Message::new(params, cx));
        let passing = AssertUnwindSafe(passing).catch_unwind();
        tokio::select! {
            biased;
            () = request.ct.cancelled() => Err(was_cancelled().into()),
            answer = passing => answer.unwrap_or_else(|_payload| Err(CallError::internal(Panicked))),
        }
    }

    /// Answers a request that has no name.
    async fn plain<T>(
        &self,
        params: T,
        request: RequestContext<RoleServer>,
    ) -> Result<T::Answer, ErrorData>
    where
        T: Answered,
        Answer: From<T::Answer>,
    {
        let (is_stateless, method) = (is_stateless(&request), params.method().to_owned());
        let answer = self.answer(params, request).await;
        answer.map_err(|error| outcome::of_other(error, is_stateless, "answering", &method))
    }

    async fn other(
        &self,
        params: OtherRequest,
        request: RequestContext<RoleServer>,
    ) -> Result<OtherAnswer, ErrorData> {
        self.plain(params, request).await
    }

    async fn notify(&self, content: ClientNotification, context: NotificationContext<RoleServer>) {
        let is_initialized = matches!(content, ClientNotification::InitializedNotification(_));
        if is_initialized {
            let watcher = self.0.core.registry.watch();
            let peer = context.peer.clone();
            self.0.subscriptions.tell(self.0.settings(), watcher, peer);
        }
        let is_restored = context.extensions.get::<Restored>().is_some();
        if is_restored || self.0.core.middleware.is_empty() {
            return;
        }
        let passing = async {
            let cx = self.0.context_of_notification(&context).await?;
            let message = Message::new(Notification::new(content), cx);
            self.0
                .core
                .middleware
                .before(Arc::new(NoEnd))
                .run(message)
                .await
        };
        match AssertUnwindSafe(passing).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(?error, "middleware refuses a notification"),
            Err(_payload) => tracing::error!("middleware panicked at a notification"),
        }
    }
}

impl Clone for Adapter {
    fn clone(&self) -> Self {
        Self::new(
            Arc::clone(&self.0.core),
            self.0.connection.clone(),
            Arc::clone(&self.0.stopping),
        )
    }
}

impl ServerHandler for Adapter {
    fn get_info(&self) -> ServerConfig {
        let details = &self.0.core.details;
        let mut implementation = Implementation::new(&details.name, &details.version);
        implementation.title.clone_from(&details.title);
        implementation.website_url.clone_from(&details.website_url);
        implementation.icons = (!details.icons.is_empty()).then(|| details.icons.clone());
        let mut capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_resources_subscribe()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_logging()
            .build();
        if self.0.core.registry.has_tasks() {
            let extensions = capabilities.extensions.get_or_insert_default();
            extensions.insert(TASKS_EXTENSION_ID.to_owned(), JsonObject::new());
        }
        if self.0.core.registry.has_completions() {
            capabilities.completions = Some(JsonObject::new());
        }
        let mut info = ServerConfig::new(capabilities).with_server_info(implementation);
        info.instructions.clone_from(&details.instructions);
        info
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        // Called for every message, for the schema alone.
        let schema = self.0.core.registry.header_schema(name)?;
        Some(Tool::new(name.to_owned(), "", schema))
    }

    async fn initialize(
        &self,
        params: InitializeRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        self.0.enter(&request.extensions);
        if request.extensions.get::<Restored>().is_some() {
            // The client does not know that it begins again: neither does middleware.
            request.peer.set_peer_info(params.clone());
            return self.negotiate_initialize(&params);
        }
        self.plain(params, request).await
    }

    async fn discover(
        &self,
        request: RequestContext<RoleServer>,
    ) -> Result<DiscoverResult, ErrorData> {
        self.plain(Discover::default(), request).await
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        request: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.plain(ListTools::from(page), request).await
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let (is_stateless, name) = (is_stateless(&request), params.name.clone());
        match self.answer(params, request).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                outcome::of_tool(error, is_stateless, &name).map(CallToolResponse::Complete)
            }
        }
    }

    async fn list_resources(
        &self,
        page: Option<PaginatedRequestParams>,
        request: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.plain(ListResources::from(page), request).await
    }

    async fn list_resource_templates(
        &self,
        page: Option<PaginatedRequestParams>,
        request: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        self.plain(ListResourceTemplates::from(page), request).await
    }

    async fn read_resource(
        &self,
        params: ReadResourceRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let (is_stateless, uri) = (is_stateless(&request), params.uri.clone());
        let answer = self.answer(params, request).await;
        answer.map_err(|error| outcome::of_other(error, is_stateless, "reading resource", &uri))
    }

    async fn list_prompts(
        &self,
        page: Option<PaginatedRequestParams>,
        request: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        self.plain(ListPrompts::from(page), request).await
    }

    async fn get_prompt(
        &self,
        params: GetPromptRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let (is_stateless, name) = (is_stateless(&request), params.name.clone());
        let answer = self.answer(params, request).await;
        answer.map_err(|error| outcome::of_other(error, is_stateless, "rendering prompt", &name))
    }

    async fn complete(
        &self,
        params: CompleteRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        match self.other(OtherRequest::Complete(params), request).await? {
            OtherAnswer::Complete(suggested) => Ok(suggested),
            _ => Err(another()),
        }
    }

    async fn ping(&self, request: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        self.other(OtherRequest::Ping, request).await.map(drop)
    }

    async fn subscribe(
        &self,
        params: SubscribeRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.other(OtherRequest::Subscribe(params), request)
            .await
            .map(drop)
    }

    async fn unsubscribe(
        &self,
        params: UnsubscribeRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.other(OtherRequest::Unsubscribe(params), request)
            .await
            .map(drop)
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        let registry = &self.0.core.registry;
        self.0.subscriptions.prepare(registry.watch());
        let exists = |uri: &str| registry.resource(uri, Selection::any()).is_some();
        Some(subscriptions::accept(requested, exists))
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        let listening = if self.0.core.middleware.is_empty() {
            listen(&self.0, Some(subscription)).await.map(drop)
        } else {
            let request = Arc::new(subscription.request_context().clone());
            let wanted = OtherRequest::Listen(subscription.requested().clone());
            let passing = self.pass(wanted, Occasion::direct(request), Some(subscription));
            Box::pin(passing).await.map(drop)
        };
        let method = "subscriptions/listen";
        listening.map_err(|error| outcome::of_other(error, true, "answering", method))
    }

    async fn get_task(
        &self,
        params: GetTaskParams,
        request: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        match self.other(OtherRequest::GetTask(params), request).await? {
            OtherAnswer::GetTask(task) => Ok(task),
            _ => Err(another()),
        }
    }

    async fn update_task(
        &self,
        params: UpdateTaskParams,
        request: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.other(OtherRequest::UpdateTask(params), request)
            .await
            .map(drop)
    }

    async fn cancel_task(
        &self,
        params: CancelTaskParams,
        request: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.other(OtherRequest::CancelTask(params), request)
            .await
            .map(drop)
    }

    async fn set_level(
        &self,
        params: SetLevelRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.other(OtherRequest::SetLevel(params), request)
            .await
            .map(drop)
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        match self.other(OtherRequest::Custom(request), context).await? {
            OtherAnswer::Custom(answer) => Ok(answer),
            _ => Err(another()),
        }
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let content = ClientNotification::InitializedNotification(Default::default());
        self.notify(content, context).await;
    }

    async fn on_cancelled(
        &self,
        params: CancelledNotificationParam,
        context: NotificationContext<RoleServer>,
    ) {
        let content = CancelledNotification::new(params);
        self.notify(ClientNotification::CancelledNotification(content), context)
            .await;
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        context: NotificationContext<RoleServer>,
    ) {
        let content = ProgressNotification::new(params);
        self.notify(ClientNotification::ProgressNotification(content), context)
            .await;
    }

    async fn on_roots_list_changed(&self, context: NotificationContext<RoleServer>) {
        let content = ClientNotification::RootsListChangedNotification(Default::default());
        self.notify(content, context).await;
    }

    async fn on_custom_notification(
        &self,
        content: CustomNotification,
        context: NotificationContext<RoleServer>,
    ) {
        self.notify(ClientNotification::CustomNotification(content), context)
            .await;
    }
}

/// The error of middleware that gives the answer to another request.
fn another() -> ErrorData {
    tracing::error!("middleware answers a request with the answer to another");
    ErrorData::internal_error("the answer is that of another method", None)
}

//! [`Adapter`]: the one place where rmcp's protocol layer meets this server.
#![expect(
    deprecated,
    reason = "logging and subscriptions by session work until the protocol drops them"
)]

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::request::Parts;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio_util::sync::CancellationToken;

use super::completing;
use super::core::Core;
use super::pages::{self, Listed, Page};
use super::refusals::{
    insufficient_scope, quoted, refuse, unknown, unknown_method, unknown_resource,
};
use super::registry::{Registry, Selection};
use super::subscriptions::{self, Subscriptions};
use super::tasks::task_options;
use crate::ask::{self, Asker, Chain, Known, Replay, Step, Way};
use crate::auth::{Caller, Principal};
use crate::context::{Call, Listener, Message, States};
use crate::error::{Asks, Panicked, chain};
use crate::state::RequestState;
use crate::transport::{Connection, SessionMark};
use crate::types::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ClientCapabilities,
    CompleteRequestParams, CompleteResult, ContentBlock, CustomRequest, CustomResult, ErrorCode,
    GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult, Implementation,
    InputRequiredResult, InputResponses, JsonObject, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities,
    ServerConfig, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter,
    TASKS_EXTENSION_ID, Tool as WireTool, UnsubscribeRequestParams, UpdateTaskParams,
};
use crate::version::Wanted;
use crate::{Context, LogLevel, ServerHandle, ToolError, ToolResult};

/// The error code of a tool that took too long.
const TIMED_OUT: ErrorCode = ErrorCode(-32000);

/// One connection's view of the server, as rmcp wants it. A clone is for a connection of its own.
#[derive(Debug)]
pub(crate) struct Adapter {
    pub(super) core: Arc<Core>,
    connection: Connection,
    /// Behind an `Arc`, as a token's own count takes a lock.
    stopping: Arc<CancellationToken>,
    /// The least grave message that the client of a session wants to hear.
    level: Mutex<LogLevel>,
    subscriptions: Subscriptions,
}

impl Adapter {
    /// `stopping` is cancelled when the server is to stop.
    pub(crate) fn new(
        core: Arc<Core>,
        connection: Connection,
        stopping: Arc<CancellationToken>,
    ) -> Self {
        Self {
            core,
            connection,
            stopping,
            level: Mutex::new(LogLevel::Info),
            subscriptions: Subscriptions::default(),
        }
    }

    /// Begins a call: collects what its component may know, and what the calls before it, that this
    /// one answers questions of, have left.
    async fn begin<'a>(
        &'a self,
        caller: Caller,
        request: &Arc<RequestContext<RoleServer>>,
        call: Asked<'_>,
    ) -> Result<Begun<'a>, ErrorData> {
        let states = self.states().await?;
        let may_be_task = call.may_be_task;
        let mut setting = self.setting(caller, request);
        let owner = setting.caller.segment();
        let round = if is_stateless(request) {
            Some(self.round(&owner, call).await?)
        } else {
            None
        };
        if may_be_task {
            // A task outlives the request.
            setting.cancelled = CancellationToken::new();
        }
        let cancelled = setting.cancelled.clone();
        let way = match &round {
            Some(round) => Way::Replay(Arc::clone(&round.replay)),
            None => Way::Request(request.peer.clone()),
        };
        let cx = self.context(request, states, setting, way);
        Ok(Begun {
            cx,
            round,
            owner,
            cancelled,
        })
    }

    pub(super) async fn states(&self) -> Result<States, ErrorData> {
        self.core.start().await.map_err(|error| {
            tracing::error!(error = %chain(&error), "the server cannot start");
            ErrorData::internal_error("the server cannot start", None)
        })
    }

    /// Tells who calls.
    pub(super) fn caller(&self, request: &RequestContext<RoleServer>) -> Caller {
        let parts = request.extensions.get::<Parts>();
        let principal = parts.and_then(|parts| parts.extensions.get::<Principal>());
        let is_local = match &self.connection {
            Connection::Single { .. } => true,
            Connection::Http { local } => *local,
        };
        match principal {
            Some(principal) => Caller::Authenticated(principal.clone()),
            None if is_local => Caller::Local,
            None => Caller::Anonymous,
        }
    }

    /// Tells where `caller` calls.
    pub(super) fn setting(&self, caller: Caller, request: &RequestContext<RoleServer>) -> Setting {
        let session_id = match &self.connection {
            Connection::Single { session } => Some(Arc::clone(session)),
            Connection::Http { .. } => {
                let session = request.extensions.get::<SessionMark>();
                session.map(|mark| Arc::clone(&mark.0))
            }
        };
        Setting {
            caller,
            session_id,
            cancelled: request.ct.clone(),
        }
    }

    pub(super) fn context(
        &self,
        request: &Arc<RequestContext<RoleServer>>,
        states: States,
        setting: Setting,
        way: Way,
    ) -> Context {
        let level = match &way {
            Way::Request(_) => Some(self.level()),
            Way::Replay(_) | Way::Nobody => request.meta.log_level().map(Into::into),
        };
        Context::new(Call {
            server: ServerHandle::new(Arc::clone(&self.core.registry)),
            store: Arc::clone(&self.core.store),
            states,
            message: Message::new(Arc::clone(request)),
            session_id: setting.session_id,
            caller: setting.caller,
            shared_anonymous_state: self.core.shared_anonymous_state,
            cancelled: setting.cancelled,
            request_state: RequestState::default(),
            listener: Listener {
                peer: Some(request.peer.clone()),
                level,
                progress: request.meta.get_progress_token(),
            },
            asker: Asker {
                way,
                request: Some(Arc::clone(request)),
            },
        })
    }

    /// Takes up a call where its client was asked.
    async fn round(&self, caller: &str, call: Asked<'_>) -> Result<Round<'_>, ErrorData> {
        let chain = Chain::new(&self.core, caller, call.method, call.name, call.arguments);
        let mut known = Known::default();
        if let Some(state) = call.state {
            let found = Box::pin(chain.resume(&state))
                .await
                .map_err(|error| unusable(&error))?;
            known = found.ok_or_else(|| {
                let message = "the requestState is not that of this call, or is older than 10 \
                               minutes; make the call again without it";
                ErrorData::invalid_params(message, None)
            })?;
        }
        known.learn(call.responses.unwrap_or_default());
        let replay = Replay::new(known, call.may_be_task);
        Ok(Round { chain, replay })
    }

    /// Returns the page of a list that the client asks for.
    fn list<T, R: From<Listed<T>>>(
        &self,
        page: Option<PaginatedRequestParams>,
        request: &RequestContext<RoleServer>,
        list: impl Fn(&Registry, Option<&str>, usize, &Caller) -> Page<T>,
    ) -> Result<R, ErrorData> {
        let after = pages::after(page)?;
        let lists = self.core.details.lists;
        let registry = self.core.registry.current();
        let caller = self.caller(request);
        let page = list(&registry, after.as_deref(), lists.page_size, &caller);
        // Older clients are not told how long they may keep it.
        let hints = is_stateless(request).then_some(lists);
        Ok(Listed { page, hints }.into())
    }

    fn level(&self) -> LogLevel {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for Adapter {
    fn clone(&self) -> Self {
        Self::new(
            Arc::clone(&self.core),
            self.connection.clone(),
            Arc::clone(&self.stopping),
        )
    }
}

/// What a client asks for, as far as it says whether two calls are the same.
struct Asked<'a> {
    method: &'static str,
    name: &'a str,
    arguments: Option<&'a JsonObject>,
    responses: Option<InputResponses>,
    state: Option<String>,
    may_be_task: bool,
}

/// Who calls, and where.
pub(super) struct Setting {
    pub(super) caller: Caller,
    pub(super) session_id: Option<Arc<str>>,
    pub(super) cancelled: CancellationToken,
}

/// A call that has begun.
pub(super) struct Begun<'a> {
    pub(super) cx: Context,
    pub(super) round: Option<Round<'a>>,
    /// Whose call it is.
    pub(super) owner: String,
    /// Cancels what the call does.
    pub(super) cancelled: CancellationToken,
}

/// One of the times that a call on a stateless connection is made until its questions are answered.
pub(super) struct Round<'a> {
    pub(super) chain: Chain<'a>,
    pub(super) replay: Arc<Replay>,
}

impl Round<'_> {
    /// Returns what became of a component; `None` when it is to go on as a task.
    pub(super) async fn after<T, E: Asks>(
        &self,
        step: Step<Result<T, E>>,
    ) -> Result<Option<Ran<Result<T, E>>>, ErrorData> {
        let (requests, known) = match step {
            Step::WantsTask => return Ok(None),
            Step::Asks(requests, known) => (requests, known),
            Step::Ended(answer) => match answer.as_ref().err().and_then(Asks::questions) {
                Some(by_hand) => self.replay.end_by_hand(by_hand),
                None => return Ok(Some(Ran::Ended(answer))),
            },
        };
        let questions = Box::pin(self.chain.suspend(requests, known)).await;
        questions
            .map(|questions| Some(Ran::Asks(questions)))
            .map_err(|error| unusable(&error))
    }
}

/// What became of a component.
pub(super) enum Ran<T> {
    Ended(T),
    /// Its client is asked.
    Asks(InputRequiredResult),
}

impl ServerHandler for Adapter {
    fn get_info(&self) -> ServerConfig {
        let details = &self.core.details;
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
        if self.core.registry.has_tasks() {
            let extensions = capabilities.extensions.get_or_insert_default();
            extensions.insert(TASKS_EXTENSION_ID.to_owned(), JsonObject::new());
        }
        if self.core.registry.has_completions() {
            capabilities.completions = Some(JsonObject::new());
        }
        let mut info = ServerConfig::new(capabilities).with_server_info(implementation);
        info.instructions.clone_from(&details.instructions);
        info
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        request: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.list(page, &request, Registry::list_tools)
    }

    fn get_tool(&self, name: &str) -> Option<WireTool> {
        // Called for every message, for the schema alone.
        let entry = self.core.registry.tool(name, Selection::any())?;
        let schema = Arc::clone(&entry.wire.input_schema);
        Some(WireTool::new(name.to_owned(), "", schema))
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let request = Arc::new(request);
        let (caller, wanted) = (self.caller(&request), wanted(&request)?);
        let selection = Selection::new(wanted.as_ref(), &caller);
        let entry = self.core.registry.tool(&params.name, selection);
        let entry = entry.ok_or_else(|| unknown("tool", &params.name, wanted.as_ref()))?;
        check_scopes(&params.name, &entry.scopes, &caller)?;
        let task = task_options(&entry, &request)?;
        let _call = self.core.count_call();
        let asked = Asked {
            method: "tools/call",
            name: &entry.identity(&params.name),
            arguments: params.arguments.as_ref(),
            responses: params.input_responses,
            state: params.request_state,
            may_be_task: task.is_some(),
        };
        let begun = self.begin(caller, &request, asked).await?;
        let arguments = params.arguments.unwrap_or_default();
        if let Some(options) = task {
            // Boxed, as are the other rare parts: room for them would be copied with every call.
            let task = self.call_for_task(&request, &entry, options, begun, arguments);
            return Box::pin(task).await;
        }
        let Begun { cx, round, .. } = begun;
        let is_stateless = round.is_some();
        match guarded(&request, round, entry.component.run(cx, arguments)).await? {
            Ran::Ended(answer) => {
                tool_result(answer, is_stateless, &params.name).map(CallToolResponse::Complete)
            }
            Ran::Asks(questions) => Ok(CallToolResponse::InputRequired(questions)),
        }
    }

    async fn list_resources(
        &self,
        page: Option<PaginatedRequestParams>,
        request: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.list(page, &request, Registry::list_resources)
    }

    async fn list_resource_templates(
        &self,
        page: Option<PaginatedRequestParams>,
        request: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        self.list(page, &request, Registry::list_templates)
    }

    async fn read_resource(
        &self,
        params: ReadResourceRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let request = Arc::new(request);
        let (caller, wanted) = (self.caller(&request), wanted(&request)?);
        let selection = Selection::new(wanted.as_ref(), &caller);
        let found = self.core.registry.resource(&params.uri, selection);
        let found = found.ok_or_else(|| unknown_resource(&params.uri, wanted.as_ref()))?;
        check_scopes(&params.uri, &found.scopes, &caller)?;
        let _call = self.core.count_call();
        let call = Asked {
            method: "resources/read",
            name: &found.identity,
            arguments: None,
            responses: params.input_responses,
            state: params.request_state,
            may_be_task: false,
        };
        let Begun { cx, round, .. } = self.begin(caller, &request, call).await?;
        match guarded(&request, round, found.component.read(cx, found.request)).await? {
            Ran::Asks(questions) => Ok(ReadResourceResponse::InputRequired(questions)),
            Ran::Ended(Ok(result)) => Ok(ReadResourceResponse::Complete(result.into_wire())),
            Ran::Ended(Err(error)) => {
                refuse_unable(is_stateless(&request), error.missing_capabilities())?;
                Err(rejection(
                    error.is_invalid_arguments(),
                    report(
                        error.message(),
                        error.source(),
                        "reading resource",
                        &params.uri,
                    ),
                ))
            }
        }
    }

    async fn list_prompts(
        &self,
        page: Option<PaginatedRequestParams>,
        request: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        self.list(page, &request, Registry::list_prompts)
    }

    async fn get_prompt(
        &self,
        params: GetPromptRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let request = Arc::new(request);
        let (caller, wanted) = (self.caller(&request), wanted(&request)?);
        let selection = Selection::new(wanted.as_ref(), &caller);
        let entry = self.core.registry.prompt(&params.name, selection);
        let entry = entry.ok_or_else(|| unknown("prompt", &params.name, wanted.as_ref()))?;
        check_scopes(&params.name, &entry.scopes, &caller)?;
        let _call = self.core.count_call();
        let asked = Asked {
            method: "prompts/get",
            name: &entry.identity(&params.name),
            arguments: params.arguments.as_ref(),
            responses: params.input_responses,
            state: params.request_state,
            may_be_task: false,
        };
        let Begun { cx, round, .. } = self.begin(caller, &request, asked).await?;
        let arguments = params.arguments.unwrap_or_default();
        match guarded(&request, round, entry.component.render(cx, arguments)).await? {
            Ran::Asks(questions) => Ok(GetPromptResponse::InputRequired(questions)),
            Ran::Ended(Ok(result)) => Ok(GetPromptResponse::Complete(
                result.into_wire(entry.wire.description.as_deref()),
            )),
            Ran::Ended(Err(error)) => {
                refuse_unable(is_stateless(&request), error.missing_capabilities())?;
                Err(rejection(
                    error.is_invalid_arguments(),
                    report(
                        error.message(),
                        error.source(),
                        "rendering prompt",
                        &params.name,
                    ),
                ))
            }
        }
    }

    async fn complete(
        &self,
        params: CompleteRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let request = Arc::new(request);
        if !self.core.registry.has_completions() {
            return Err(unknown_method("completion/complete"));
        }
        let (caller, wanted) = (self.caller(&request), wanted(&request)?);
        let selection = Selection::new(wanted.as_ref(), &caller);
        let Some(source) = completing::find(&self.core.registry, &params, selection)? else {
            return Ok(CompleteResult::default());
        };
        let _call = self.core.count_call();
        let asked = Asked {
            method: "completion/complete",
            name: &params.argument.name,
            arguments: None,
            responses: None,
            state: None,
            may_be_task: false,
        };
        let Begun { cx, .. } = self.begin(caller, &request, asked).await?;
        tokio::select! {
            biased;
            () = request.ct.cancelled() => Err(cancelled()),
            answer = completing::complete(&*source, cx.detached(), params) => answer,
        }
    }

    async fn on_initialized(&self, session: NotificationContext<RoleServer>) {
        let watcher = self.core.registry.watch();
        self.subscriptions.tell(watcher, session.peer);
    }

    async fn subscribe(
        &self,
        params: SubscribeRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let caller = self.caller(&request);
        let selection = Selection::new(None, &caller);
        let found = self.core.registry.resource(&params.uri, selection);
        let found = found.ok_or_else(|| unknown_resource(&params.uri, None))?;
        check_scopes(&params.uri, &found.scopes, &caller)?;
        self.subscriptions.add(params.uri)
    }

    async fn unsubscribe(
        &self,
        params: UnsubscribeRequestParams,
        _request: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.subscriptions.remove(&params.uri);
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        let registry = &self.core.registry;
        self.subscriptions.prepare(registry.watch());
        let exists = |uri: &str| registry.resource(uri, Selection::any()).is_some();
        Some(subscriptions::accept(requested, exists))
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        // A stop waits for it, so that the client is told of the end.
        let _call = self.core.count_call();
        let prepared = self.subscriptions.prepared();
        let watcher = prepared.unwrap_or_else(|| self.core.registry.watch());
        let caller = self.caller(subscription.request_context());
        let registry = &self.core.registry;
        let may_read = |uri: &str| {
            let found = registry.resource(uri, Selection::new(None, &caller));
            found.is_none_or(|found| caller.may(&found.scopes))
        };
        subscriptions::listen(&subscription, watcher, may_read, &self.stopping).await;
        Ok(())
    }

    async fn get_task(
        &self,
        params: GetTaskParams,
        request: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.show_task(&params.task_id, &request).await
    }

    async fn update_task(
        &self,
        params: UpdateTaskParams,
        request: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let answers = params.input_responses;
        self.answer_task(&params.task_id, answers, &request).await
    }

    async fn cancel_task(
        &self,
        params: CancelTaskParams,
        request: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.end_task(&params.task_id, &request).await
    }

    async fn set_level(
        &self,
        params: SetLevelRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if is_stateless(&request) {
            return Err(unknown_method("logging/setLevel"));
        }
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = params.level.into();
        Ok(())
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        Err(refuse(&request.method, is_stateless(&context)))
    }
}

/// Returns which version of a component a request asks for.
fn wanted(request: &RequestContext<RoleServer>) -> Result<Option<Wanted>, ErrorData> {
    Wanted::of(&request.meta).map_err(|reason| ErrorData::invalid_params(reason, None))
}

fn check_scopes(name: &str, scopes: &BTreeSet<String>, caller: &Caller) -> Result<(), ErrorData> {
    if caller.may(scopes) {
        return Ok(());
    }
    Err(insufficient_scope(name, scopes))
}

pub(super) fn is_stateless(request: &RequestContext<RoleServer>) -> bool {
    let version = request.protocol_version();
    version.is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

/// Returns what clients get of a tool that has ended.
pub(super) fn tool_result(
    answer: Result<ToolResult, ToolError>,
    is_stateless: bool,
    name: &str,
) -> Result<CallToolResult, ErrorData> {
    let error = match answer {
        Ok(result) => return Ok(result.into_wire()),
        Err(error) => error,
    };
    refuse_unable(is_stateless, error.missing_capabilities())?;
    if let Some(message) = error.timeout() {
        tracing::warn!("{message}");
        return Err(ErrorData::new(TIMED_OUT, message.to_owned(), None));
    }
    if error.is_invalid_arguments() {
        tracing::warn!("invalid arguments for tool {}", quoted(name));
    }
    let text = report(error.message(), error.source(), "calling tool", name);
    Ok(CallToolResult::error(vec![ContentBlock::text(text)]))
}

/// Runs a component until it answers, has questions for its client, or the client cancels the call.
/// A panic is an error to mask.
async fn guarded<T, E: From<Panicked> + Asks>(
    request: &RequestContext<RoleServer>,
    round: Option<Round<'_>>,
    answer: BoxFuture<'_, Result<T, E>>,
) -> Result<Ran<Result<T, E>>, ErrorData> {
    let answer = AssertUnwindSafe(answer)
        .catch_unwind()
        .map(|answer| answer.unwrap_or_else(|_payload| Err(Panicked.into())));
    let ran = async {
        let Some(round) = round else {
            return Ok(Ran::Ended(answer.await));
        };
        let _over = round.replay.end_with();
        let mut answer = pin!(answer);
        let step = ask::run(&round.replay, answer.as_mut()).await;
        match round.after(step).await? {
            Some(ran) => Ok(ran),
            // It is not asked whether it may.
            None => Ok(Ran::Ended(answer.await)),
        }
    };
    tokio::select! {
        biased;
        () = request.ct.cancelled() => Err(cancelled()),
        ran = ran => ran,
    }
}

fn cancelled() -> ErrorData {
    ErrorData::internal_error("the request was cancelled", None)
}

/// The error of a call whose state cannot be kept or read, which is the server's fault.
fn unusable(error: &crate::Error) -> ErrorData {
    tracing::error!(error = %chain(error), "the state of a call cannot be kept");
    ErrorData::internal_error("the state of the call cannot be kept", None)
}

/// Refuses a call that failed because its client, on a stateless connection, has not declared what
/// the component needs.
fn refuse_unable(
    is_stateless: bool,
    missing: Option<&ClientCapabilities>,
) -> Result<(), ErrorData> {
    match missing {
        Some(required) if is_stateless => Err(ErrorData::missing_required_client_capability(
            required.clone(),
        )),
        _ => Ok(()),
    }
}

/// Returns what the client reads of a failed component: the message meant for it, or that it
/// failed. In the latter case the reason is logged.
fn report(
    message: Option<&str>,
    source: Option<&(dyn StdError + Send + Sync + 'static)>,
    doing: &str,
    name: &str,
) -> String {
    if let Some(message) = message {
        return message.to_owned();
    }
    let masked = format!("Error {doing} {}", quoted(name));
    let reason = source.map_or_else(String::new, |source| chain(source));
    tracing::error!(reason, "{masked}");
    masked
}

/// Makes the JSON-RPC error of a failed resource or prompt.
fn rejection(invalid_arguments: bool, message: String) -> ErrorData {
    if invalid_arguments {
        ErrorData::invalid_params(message, None)
    } else {
        ErrorData::internal_error(message, None)
    }
}

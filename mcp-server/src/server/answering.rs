//! What answers the messages of clients, at the end of their way through the middleware.
#![expect(
    deprecated,
    reason = "setting a level works until the protocol drops it"
)]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler as _};

use super::adapter::Adapter;
use super::completing;
use super::pages::{self, Listed, Page};
use super::refusals::{insufficient_scope, refuse, unknown, unknown_method, unknown_resource};
use super::registry::{RegisteredTool, Registry, Selection};
use super::subscriptions::{self, not_kept};
use super::tasks::task_options;
use super::view::{Asked, Begun, Occasion, Ran, Round, View, is_stateless};
use crate::ask;
use crate::auth::Caller;
use crate::error::{Asks, Panicked};
use crate::middleware::{
    Answer, AnyParams, CallError, Discover, End, ListPrompts, ListResourceTemplates, ListResources,
    ListTools, Message, OtherAnswer, OtherRequest, Params,
};
use crate::types::{
    CacheScope, CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult,
    DiscoverResult, GetPromptRequestParams, GetPromptResponse, InitializeRequestParams,
    InitializeResult, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    ListToolsResult, ReadResourceRequestParams, ReadResourceResponse, SubscribeRequestParams,
};
use crate::version::Wanted;

/// What this server answers itself.
pub(super) trait Answered: Params {
    fn answered(
        self,
        view: &Arc<View>,
        occasion: &Occasion,
    ) -> impl Future<Output = Result<Self::Answer, CallError>> + Send;
}

/// The end of the way of a request.
pub(super) struct Ending {
    pub(super) view: Arc<View>,
    pub(super) occasion: Occasion,
    /// Of `subscriptions/listen`; it can be answered once.
    pub(super) subscription: Mutex<Option<SubscriptionContext>>,
}

impl Ending {
    fn take_subscription(&self) -> Option<SubscriptionContext> {
        let mut subscription = self
            .subscription
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        subscription.take()
    }
}

impl End for Ending {
    fn answer(self: Arc<Self>, message: Message) -> BoxFuture<'static, Result<Answer, CallError>> {
        Box::pin(async move {
            let (params, cx) = message.into_parts();
            let (view, occasion) = (&self.view, &self.occasion.after(cx));
            match params {
                AnyParams::Initialize(params) => answer(params, view, occasion).await,
                AnyParams::Discover(params) => answer(params, view, occasion).await,
                AnyParams::CallTool(params) => answer(params, view, occasion).await,
                AnyParams::ReadResource(params) => answer(params, view, occasion).await,
                AnyParams::GetPrompt(params) => answer(params, view, occasion).await,
                AnyParams::ListTools(params) => answer(params, view, occasion).await,
                AnyParams::ListResources(params) => answer(params, view, occasion).await,
                AnyParams::ListResourceTemplates(params) => answer(params, view, occasion).await,
                AnyParams::ListPrompts(params) => answer(params, view, occasion).await,
                AnyParams::Other(OtherRequest::Listen(_)) => {
                    listen(view, self.take_subscription()).await
                }
                AnyParams::Other(params) => answer(params, view, occasion).await,
                AnyParams::Notification(_) => Ok(Answer::None),
            }
        })
    }
}

async fn answer<T>(params: T, view: &Arc<View>, occasion: &Occasion) -> Result<Answer, CallError>
where
    T: Answered,
    Answer: From<T::Answer>,
{
    params.answered(view, occasion).await.map(Answer::from)
}

/// The end of the way of a call within the middleware of its tool.
struct ToolEnding {
    view: Arc<View>,
    occasion: Occasion,
    tool: Arc<RegisteredTool>,
}

impl End for ToolEnding {
    fn answer(self: Arc<Self>, message: Message) -> BoxFuture<'static, Result<Answer, CallError>> {
        Box::pin(async move {
            let (params, cx) = message.into_parts();
            let AnyParams::CallTool(params) = params else {
                let reason = "the middleware of a tool passes on something else than its call";
                return Err(ErrorData::internal_error(reason, None).into());
            };
            let occasion = self.occasion.after(cx);
            let answer = call(&self.view, &self.tool, params, &occasion).await;
            answer.map(Answer::CallTool)
        })
    }
}

impl Answered for InitializeRequestParams {
    async fn answered(
        self,
        view: &Arc<View>,
        occasion: &Occasion,
    ) -> Result<InitializeResult, CallError> {
        occasion.request.peer.set_peer_info(self.clone());
        Ok(Adapter::of(view).negotiate_initialize(&self)?)
    }
}

impl Answered for Discover {
    async fn answered(
        self,
        view: &Arc<View>,
        _occasion: &Occasion,
    ) -> Result<DiscoverResult, CallError> {
        let adapter = Adapter::of(view);
        let versions = adapter.supported_protocol_versions().into_owned();
        Ok(DiscoverResult::from_server_info(
            versions,
            adapter.get_info(),
        ))
    }
}

impl Answered for CallToolRequestParams {
    async fn answered(
        self,
        view: &Arc<View>,
        occasion: &Occasion,
    ) -> Result<CallToolResponse, CallError> {
        let request = &occasion.request;
        let (caller, wanted) = (view.caller(request), wanted(request)?);
        let selection = Selection::new(wanted.as_ref(), &caller);
        let tool = view.core.registry.tool(&self.name, selection);
        let tool = tool.ok_or_else(|| unknown("tool", &self.name, wanted.as_ref()))?;
        check_scopes(&self.name, &tool.scopes, &caller)?;
        if tool.details.middleware.is_empty() {
            return call(view, &tool, self, occasion).await;
        }
        Box::pin(async {
            let cx = view.around(occasion).await?;
            let message = Message::new(self, cx);
            let middleware = tool.details.middleware.clone();
            let end = Arc::new(ToolEnding {
                view: Arc::clone(view),
                occasion: occasion.clone(),
                tool,
            });
            middleware.before(end).run(message).await
        })
        .await
    }
}

/// Calls a tool, or makes its call a task.
async fn call(
    view: &View,
    tool: &RegisteredTool,
    params: CallToolRequestParams,
    occasion: &Occasion,
) -> Result<CallToolResponse, CallError> {
    let task = task_options(tool, &occasion.request)?;
    let _call = view.core.count_call();
    let asked = Asked {
        method: "tools/call",
        name: &tool.identity(&params.name),
        arguments: params.arguments.as_ref(),
        responses: params.input_responses,
        state: params.request_state,
        may_be_task: task.is_some(),
    };
    let begun = view.begin(occasion, asked).await?;
    let arguments = params.arguments.unwrap_or_default();
    if let Some(options) = task {
        // Boxed, as are the other rare parts: room for them would be copied with every call.
        let task = view.call_for_task(occasion, tool, options, begun, arguments);
        return Box::pin(task).await;
    }
    let Begun { cx, round, .. } = begun;
    match guarded(occasion, round, tool.component.run(cx, arguments)).await? {
        Ran::Ended(answer) => Ok(CallToolResponse::Complete(answer?.into_wire())),
        Ran::Asks(questions) => Ok(CallToolResponse::InputRequired(questions)),
    }
}

impl Answered for ReadResourceRequestParams {
    async fn answered(
        self,
        view: &Arc<View>,
        occasion: &Occasion,
    ) -> Result<ReadResourceResponse, CallError> {
        let request = &occasion.request;
        let (caller, wanted) = (view.caller(request), wanted(request)?);
        let selection = Selection::new(wanted.as_ref(), &caller);
        let found = view.core.registry.resource(&self.uri, selection);
        let found = found.ok_or_else(|| unknown_resource(&self.uri, wanted.as_ref()))?;
        check_scopes(&self.uri, &found.scopes, &caller)?;
        let _call = view.core.count_call();
        let asked = Asked {
            method: "resources/read",
            name: &found.identity,
            arguments: None,
            responses: self.input_responses,
            state: self.request_state,
            may_be_task: false,
        };
        let Begun { cx, round, .. } = view.begin(occasion, asked).await?;
        match guarded(occasion, round, found.component.read(cx, found.request)).await? {
            Ran::Asks(questions) => Ok(ReadResourceResponse::InputRequired(questions)),
            Ran::Ended(result) => Ok(ReadResourceResponse::Complete(result?.into_wire())),
        }
    }
}

impl Answered for GetPromptRequestParams {
    async fn answered(
        self,
        view: &Arc<View>,
        occasion: &Occasion,
    ) -> Result<GetPromptResponse, CallError> {
        let request = &occasion.request;
        let (caller, wanted) = (view.caller(request), wanted(request)?);
        let selection = Selection::new(wanted.as_ref(), &caller);
        let prompt = view.core.registry.prompt(&self.name, selection);
        let prompt = prompt.ok_or_else(|| unknown("prompt", &self.name, wanted.as_ref()))?;
        check_scopes(&self.name, &prompt.scopes, &caller)?;
        let _call = view.core.count_call();
        let asked = Asked {
            method: "prompts/get",
            name: &prompt.identity(&self.name),
            arguments: self.arguments.as_ref(),
            responses: self.input_responses,
            state: self.request_state,
            may_be_task: false,
        };
        let Begun { cx, round, .. } = view.begin(occasion, asked).await?;
        let arguments = self.arguments.unwrap_or_default();
        match guarded(occasion, round, prompt.component.render(cx, arguments)).await? {
            Ran::Asks(questions) => Ok(GetPromptResponse::InputRequired(questions)),
            Ran::Ended(result) => Ok(GetPromptResponse::Complete(
                result?.into_wire(prompt.wire.description.as_deref()),
            )),
        }
    }
}

macro_rules! lists {
    ($($params:ident -> $result:ident by $list:ident),*) => {$(
        impl Answered for $params {
            async fn answered(
                self,
                view: &Arc<View>,
                occasion: &Occasion,
            ) -> Result<$result, CallError> {
                Ok(list(view, self.cursor.as_deref(), occasion, Registry::$list)?)
            }
        }
    )*};
}

lists!(
    ListTools -> ListToolsResult by list_tools,
    ListResources -> ListResourcesResult by list_resources,
    ListResourceTemplates -> ListResourceTemplatesResult by list_templates,
    ListPrompts -> ListPromptsResult by list_prompts
);

/// Returns the page of a list that the client asks for.
fn list<T, R: From<Listed<T>>>(
    view: &View,
    cursor: Option<&str>,
    occasion: &Occasion,
    list: impl Fn(&Registry, Option<&str>, usize, &Caller) -> Page<T>,
) -> Result<R, ErrorData> {
    let after = pages::after(cursor)?;
    let mut lists = view.core.details.lists;
    let registry = view.core.registry.current();
    if lists.scope == CacheScope::Public && registry.has_scopes() {
        // What one caller sees is not for another.
        lists.scope = CacheScope::Private;
    }
    let caller = view.caller(&occasion.request);
    let page = list(&registry, after.as_deref(), lists.page_size, &caller);
    // Older clients are not told how long they may keep it.
    let hints = is_stateless(&occasion.request).then_some(lists);
    Ok(Listed { page, hints }.into())
}

impl Answered for OtherRequest {
    async fn answered(
        self,
        view: &Arc<View>,
        occasion: &Occasion,
    ) -> Result<OtherAnswer, CallError> {
        let request = &occasion.request;
        match self {
            Self::Complete(params) => {
                let suggested = complete(view, params, occasion).await?;
                return Ok(OtherAnswer::Complete(suggested));
            }
            Self::GetTask(params) => {
                let task = view.show_task(&params.task_id, request).await?;
                return Ok(OtherAnswer::GetTask(task));
            }
            Self::UpdateTask(params) => {
                let answers = params.input_responses;
                view.answer_task(&params.task_id, answers, request).await?;
            }
            Self::CancelTask(params) => view.end_task(&params.task_id, request).await?,
            Self::Subscribe(params) => subscribe(view, params, request).await?,
            Self::Unsubscribe(params) => {
                let removed = view.settings().change(|chosen| {
                    chosen.subscriptions.remove(&params.uri);
                    Ok::<_, Infallible>(())
                });
                removed.await.map(drop).map_err(|error| not_kept(&error))?;
            }
            Self::SetLevel(_) if is_stateless(request) => {
                return Err(unknown_method("logging/setLevel").into());
            }
            Self::SetLevel(params) => {
                let set = view.settings().change(|chosen| {
                    chosen.level = Some(params.level);
                    Ok::<_, Infallible>(())
                });
                set.await.map(drop).map_err(|error| not_kept(&error))?;
            }
            Self::Ping => {}
            // It has an answer of its own.
            Self::Listen(_) => return Err(unknown_method("subscriptions/listen").into()),
            Self::Custom(custom) => {
                return Err(refuse(&custom.method, is_stateless(request)).into());
            }
        }
        Ok(OtherAnswer::Done)
    }
}

async fn complete(
    view: &View,
    params: CompleteRequestParams,
    occasion: &Occasion,
) -> Result<CompleteResult, ErrorData> {
    if !view.core.registry.has_completions() {
        return Err(unknown_method("completion/complete"));
    }
    let (caller, wanted) = (view.caller(&occasion.request), wanted(&occasion.request)?);
    let selection = Selection::new(wanted.as_ref(), &caller);
    let Some(source) = completing::find(&view.core.registry, &params, selection)? else {
        return Ok(CompleteResult::default());
    };
    let _call = view.core.count_call();
    let asked = Asked {
        method: "completion/complete",
        name: &params.argument.name,
        arguments: None,
        responses: None,
        state: None,
        may_be_task: false,
    };
    let Begun { cx, .. } = view.begin(occasion, asked).await?;
    tokio::select! {
        biased;
        () = occasion.cancelled().cancelled() => Err(was_cancelled()),
        answer = completing::complete(&*source, cx.detached(), params) => answer,
    }
}

async fn subscribe(
    view: &View,
    params: SubscribeRequestParams,
    request: &RequestContext<RoleServer>,
) -> Result<(), ErrorData> {
    let caller = view.caller(request);
    let found = view
        .core
        .registry
        .resource(&params.uri, Selection::new(None, &caller));
    let found = found.ok_or_else(|| unknown_resource(&params.uri, None))?;
    check_scopes(&params.uri, &found.scopes, &caller)?;
    subscriptions::add(view.settings(), params.uri).await
}

/// Tells a subscription of changes until it ends.
pub(super) async fn listen(
    view: &View,
    subscription: Option<SubscriptionContext>,
) -> Result<Answer, CallError> {
    let Some(subscription) = subscription else {
        let reason = "a subscription is answered once";
        return Err(ErrorData::internal_error(reason, None).into());
    };
    // A stop waits for it, so that the client is told of the end.
    let _call = view.core.count_call();
    let prepared = view.subscriptions.prepared();
    let watcher = prepared.unwrap_or_else(|| view.core.registry.watch());
    let caller = view.caller(subscription.request_context());
    let registry = &view.core.registry;
    let may_read = |uri: &str| {
        let found = registry.resource(uri, Selection::new(None, &caller));
        found.is_some_and(|found| caller.may(&found.scopes))
    };
    subscriptions::listen(&subscription, watcher, may_read, &view.stopping).await;
    Ok(Answer::Other(OtherAnswer::Done))
}

/// Runs a component until it answers, has questions for its client, or the client cancels the call.
/// A panic is an error to mask.
async fn guarded<T, E: From<Panicked> + Asks>(
    occasion: &Occasion,
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
        let ran = match round.after(step).await? {
            Some(ran) => ran,
            // It is not asked whether it may.
            None => Ran::Ended(answer.await),
        };
        if let Ran::Ended(Err(_)) = ran {
            occasion.keep(&round.replay);
        }
        Ok(ran)
    };
    tokio::select! {
        biased;
        () = occasion.cancelled().cancelled() => Err(was_cancelled()),
        ran = ran => ran,
    }
}

pub(super) fn was_cancelled() -> ErrorData {
    ErrorData::internal_error("the request was cancelled", None)
}

/// Returns which version of a component a request asks for.
fn wanted(request: &RequestContext<RoleServer>) -> Result<Option<Wanted>, ErrorData> {
    Wanted::of(&request.meta).map_err(|reason| ErrorData::invalid_params(reason, None))
}

pub(super) fn check_scopes(
    name: &str,
    scopes: &BTreeSet<String>,
    caller: &Caller,
) -> Result<(), ErrorData> {
    if caller.may(scopes) {
        return Ok(());
    }
    Err(insufficient_scope(name, scopes))
}

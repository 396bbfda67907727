//! [`Context`]: what a tool, resource or prompt knows of the call it answers, and [`State`].

mod log;
mod message;

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::HeaderMap;
use kv_core::Store;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::ask::{AskError, Asker, Elicit, ElicitUrl, ListRoots, Sample};
use crate::auth::{Caller, Principal};
use crate::server::{Selection, quoted};
use crate::state::{RequestState, Scope, ScopedState, SessionId, StateError, StateHandle};
use crate::tasks::TaskRun;
use crate::types::{Implementation, JsonObject};
use crate::{PromptError, PromptResult, ResourceError, ResourceResult, ServerHandle};

pub(crate) use log::Listener;
pub use log::{LogLevel, Progress};
pub(crate) use message::Message;

/// The call that a tool, resource or prompt answers, and the server behind it.
///
/// Take it as a parameter of any name: `async fn my_tool(cx: Context, ..)`. Cloning is cheap, and
/// clones share the [`request_state`](Self::request_state).
///
/// # State
///
/// Four scopes keep values between calls; [`state`](Self::state) picks the right one of the
/// caller's own.
///
/// | scope | whose | kept |
/// | --- | --- | --- |
/// | [`request_state`](Self::request_state) | this call's | until it ends, in memory, any type |
/// | [`session_state`](Self::session_state) | this connection's | 24 h |
/// | [`user_state`](Self::user_state) | this caller's, on all connections | 90 days; 24 h when anonymous |
/// | [`server_state`](Self::server_state) | all callers' | for ever |
#[derive(Clone)]
pub struct Context(Arc<Call>);

/// One call, as the adapter sees it.
pub(crate) struct Call {
    pub(crate) server: ServerHandle,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) states: States,
    pub(crate) message: Message,
    pub(crate) session_id: Option<Arc<str>>,
    pub(crate) caller: Caller,
    pub(crate) shared_anonymous_state: bool,
    pub(crate) cancelled: CancellationToken,
    pub(crate) request_state: RequestState,
    pub(crate) listener: Listener,
    pub(crate) asker: Asker,
    /// Is told when the call looks at what is not its caller's alone, but of this very request.
    pub(crate) personal: Option<Arc<AtomicBool>>,
}

impl Context {
    pub(crate) fn new(call: Call) -> Self {
        Self(Arc::new(call))
    }

    /// Returns the state of the caller: of the session where the connection has one, else of the
    /// user. A value set in one call is there in the caller's next, on every kind of connection.
    ///
    /// An anonymous caller on a public address without a session has none: its methods then fail
    /// with [`StateError::NoPrincipal`].
    #[must_use]
    pub fn state(&self) -> ScopedState {
        if self.0.session_id.is_some() {
            self.session_state()
        } else {
            self.user_state()
        }
    }

    /// Returns the state of this connection. Only its own calls reach it, and it is kept for 24 h
    /// from the last call that renews it; another connection of the same caller has its own.
    ///
    /// Stdio, in-memory and handshake connections have a session; stateless ones (protocol
    /// 2026-07-28 and later) do not: its methods then fail with [`StateError::NoSession`].
    #[must_use]
    pub fn session_state(&self) -> ScopedState {
        self.is_personal();
        let scope = self
            .0
            .session_id
            .as_deref()
            .map(Scope::session)
            .ok_or(StateError::NoSession);
        self.scoped(scope)
    }

    /// Returns the state of the caller on all its connections. The one local user of stdio, of an
    /// in-memory connection and of a loopback listener counts as one caller.
    ///
    /// An anonymous caller on a public address has none: its methods then fail with
    /// [`StateError::NoPrincipal`].
    #[must_use]
    pub fn user_state(&self) -> ScopedState {
        self.scoped(Scope::user(&self.0.caller, self.0.shared_anonymous_state))
    }

    /// Returns the state that all callers share.
    #[must_use]
    pub fn server_state(&self) -> ScopedState {
        self.scoped(Ok(Scope::server()))
    }

    /// Makes state that the caller names by a handle, in any later call; see [`StateHandle`].
    ///
    /// # Errors
    ///
    /// [`StateError::Store`] when the store fails.
    pub async fn create_session(&self) -> Result<StateHandle, StateError> {
        self.is_personal();
        StateHandle::create(&self.0.store, &self.0.caller).await
    }

    /// Finds the state that the caller names by a handle.
    ///
    /// # Errors
    ///
    /// [`StateError::UnknownSession`] when it was not made for this caller or has ended, which the
    /// client reads; [`StateError::Store`] when the store fails.
    pub async fn session(&self, id: &SessionId) -> Result<StateHandle, StateError> {
        self.is_personal();
        StateHandle::find(&self.0.store, &self.0.caller, id).await
    }

    /// Returns the values of this call, which middleware and tools can pass each other.
    #[must_use]
    pub fn request_state(&self) -> &RequestState {
        &self.0.request_state
    }

    /// Returns the server's store, for entries of the program's own. Its collections `fastmcp_*`
    /// and `mcp_*` are the server's.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// Returns the server, to add and remove components and to tell that a resource has changed.
    #[must_use]
    pub fn server(&self) -> &ServerHandle {
        &self.0.server
    }

    /// Returns the JSON-RPC id of the request.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.is_personal();
        self.0.message.id()
    }

    /// Returns the id of the connection's session; `None` on a stateless connection.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.is_personal();
        self.0.session_id.as_deref()
    }

    /// Returns the authenticated caller; `None` for an anonymous one.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        match &self.0.caller {
            Caller::Authenticated(principal) => Some(principal),
            Caller::Local | Caller::Anonymous => None,
        }
    }

    /// Returns what the client says of itself. Not to be trusted.
    #[must_use]
    pub fn client_info(&self) -> Option<&Implementation> {
        self.is_personal();
        self.0.message.client()
    }

    /// Returns the headers of the HTTP request that makes the call; `None` where there is none, as
    /// on stdio. They hold what the client authenticates with: do not log them. A task that runs again
    /// has those of the request that found it.
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.is_personal();
        self.0.message.headers()
    }

    /// Returns a token that is cancelled when the call is: by the client's word, by the end of the
    /// connection on stdio and in memory, and on a stateless connection by the client's leaving.
    /// In a session over HTTP a client that only leaves may come back for the answer.
    ///
    /// The call's future is dropped then; the token is for work that it has spawned.
    #[must_use]
    pub fn cancellation_token(&self) -> &CancellationToken {
        &self.0.cancelled
    }

    /// Asks the user, by a form for a `T`: an object of texts, numbers, booleans and choices, or one
    /// of these. Its schema comes from `T`, the descriptions from its doc comments.
    ///
    /// It is written once for all clients. One of protocol 2025-11-25 or before is asked while the
    /// call goes on. A later one cannot be: the call ends with the question, the client makes it
    /// again with the answer, and **what stands before the question runs again**. So ask before you
    /// act, or act in [`once`](Self::once). Several questions by `tokio::join!` are asked together.
    /// What is known goes to the client and back, sealed by the [server's keys](crate::ServerKeys)
    /// for this caller and this call, for 10 minutes. An answer to a question that has changed, or
    /// that is not of the form, is not taken: the client is asked again.
    ///
    /// # Errors
    ///
    /// [`AskError`]; among them `Unsupported` when the client has not declared `elicitation`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mcp_server::{Context, ToolError, tool};
    ///
    /// /// Deletes a file, once the user agrees.
    /// #[tool]
    /// async fn delete(cx: Context, path: String) -> Result<String, ToolError> {
    ///     let sure = cx.elicit::<bool>(format!("Delete {path}?")).key("sure").await?;
    ///     if sure.accepted() != Some(true) {
    ///         return Ok("It stays.".to_owned());
    ///     }
    ///     // ..
    ///     Ok(format!("{path} is gone."))
    /// }
    /// ```
    pub fn elicit<T>(&self, message: impl Into<String>) -> Elicit<'_, T> {
        self.is_personal();
        Elicit::new(self, message.into())
    }

    /// Asks the user to visit a page, for what must not pass through the client, such as a password.
    /// The answer says whether the user agreed, not whether it was visited. Else as
    /// [`elicit`](Self::elicit).
    pub fn elicit_url(&self, message: impl Into<String>, url: impl Into<String>) -> ElicitUrl<'_> {
        self.is_personal();
        ElicitUrl::new(self, message.into(), url.into())
    }

    /// Asks the client's model, beginning with what the user says (SEP-2577 deprecates it). It goes
    /// as for [`elicit`](Self::elicit).
    ///
    /// # Examples
    ///
    /// ```
    /// use mcp_server::{Context, ToolError, tool};
    ///
    /// /// Sums a text up.
    /// #[tool]
    /// async fn sum_up(cx: Context, text: String) -> Result<String, ToolError> {
    ///     let question = format!("Sum this up in one sentence: {text}");
    ///     Ok(cx.sample(question).max_tokens(200).await?.text())
    /// }
    /// ```
    pub fn sample(&self, text: impl Into<String>) -> Sample<'_> {
        self.is_personal();
        Sample::new(self, Vec::new()).user(text)
    }

    /// Asks for the folders that the client works in (SEP-2577 deprecates it). It goes as for
    /// [`elicit`](Self::elicit).
    pub fn list_roots(&self) -> ListRoots<'_> {
        self.is_personal();
        ListRoots::new(self)
    }

    /// Does `work` once, however often the call is made again with answers: later runs get what it
    /// came to. A call is not ended by a question while it runs. A client that repeats a step, for
    /// instance because the answer was lost on the way, repeats the work of that step.
    /// A task that [resumes](crate::TaskOptions::resume) keeps in its record what the work has come
    /// to; a server that dies in the middle of the work leaves it to the next run.
    ///
    /// `key` names it among the questions of the call. On a connection of protocol 2025-11-25 or
    /// before nothing runs twice anyway.
    ///
    /// # Errors
    ///
    /// [`AskError::DuplicateKey`]. Questions in `work` fail with [`AskError::InOnce`]. In a task that
    /// resumes, [`AskError::Nobody`] when another server has taken it over, and
    /// [`AskError::Failed`] when the store does not answer.
    pub async fn once<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        work: impl Future<Output = T>,
    ) -> Result<T, AskError> {
        self.0.asker.once(key, work).await
    }

    /// Returns the client's answer to the question of this key that a run before has asked by an
    /// [`InputRequired`](crate::ask::InputRequired), as it came: check it.
    #[must_use]
    pub fn answer(&self, key: &str) -> Option<Value> {
        self.is_personal();
        self.0.asker.answer(key)
    }

    /// Returns what the run before has handed this one by
    /// [`InputRequired::carry`](crate::ask::InputRequired::carry); `None` when that is nothing, or
    /// no `T`.
    #[must_use]
    pub fn carried<T: DeserializeOwned>(&self) -> Option<T> {
        self.is_personal();
        serde_json::from_value(self.0.asker.carried()?).ok()
    }

    /// Lets the call go on as a task (SEP-2663), for a tool whose
    /// [`TaskOptions`](crate::TaskOptions) say `on_demand`: the client gets the task's id now. What
    /// was asked before was answered in the call, what is asked later is asked by the task. For a
    /// client that has not declared the extension, and in a task, it does nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use mcp_server::{Context, ToolError, tool};
    ///
    /// /// Copies a disk, once the user agrees.
    /// #[tool(task(on_demand))]
    /// async fn copy(cx: Context, disk: String) -> Result<String, ToolError> {
    ///     if cx.elicit::<bool>(format!("Copy {disk}?")).await?.accepted() != Some(true) {
    ///         return Ok("Nothing was copied.".to_owned());
    ///     }
    ///     cx.continue_as_task().await;
    ///     // What takes long.
    ///     Ok(format!("{disk} is copied."))
    /// }
    /// ```
    pub async fn continue_as_task(&self) {
        self.0.asker.continue_as_task().await;
    }

    /// Returns the id of the task that the call goes on as; `None` while it is a call like others.
    #[must_use]
    pub fn task_id(&self) -> Option<&str> {
        self.0.asker.task().map(TaskRun::id)
    }

    /// Reads a resource of this server, in this call: what it asks is asked of this call's client.
    ///
    /// # Errors
    ///
    /// Those of the resource, and a message that names `uri` when there is none for this caller.
    ///
    /// # Examples
    ///
    /// ```
    /// use mcp_server::{Context, ToolError, tool};
    ///
    /// /// Counts the parts of the day's news.
    /// #[tool]
    /// async fn count_news(cx: Context) -> Result<usize, ToolError> {
    ///     Ok(cx.read_resource("news://today").await?.contents.len())
    /// }
    /// ```
    pub async fn read_resource(&self, uri: &str) -> Result<ResourceResult, ResourceError> {
        let components = self.0.server.components();
        let found = components.resource(uri, self.highest());
        let Some(found) = found.filter(|found| self.0.caller.may(&found.scopes)) else {
            let message = format!("Unknown resource: {}", quoted(uri));
            return Err(ResourceError::new(message));
        };
        found.component.read(self.clone(), found.request).await
    }

    /// Renders a prompt of this server with arguments that are texts, in this call.
    ///
    /// # Errors
    ///
    /// Those of the prompt, and a message that names it when there is none for this caller.
    pub async fn get_prompt(
        &self,
        name: &str,
        arguments: JsonObject,
    ) -> Result<PromptResult, PromptError> {
        let components = self.0.server.components();
        let prompt = components.prompt(name, self.highest());
        let Some(prompt) = prompt.filter(|prompt| self.0.caller.may(&prompt.scopes)) else {
            let message = format!("Unknown prompt: {}", quoted(name));
            return Err(PromptError::new(message));
        };
        prompt.component.render(self.clone(), arguments).await
    }

    /// Returns a context for work that outlives the call: it is not cancelled with it, has nobody to
    /// ask or to tell, and request state of its own. Whose call it was stays the same.
    #[must_use]
    pub fn detached(&self) -> Self {
        let call = &self.0;
        Self::new(Call {
            server: call.server.clone(),
            store: Arc::clone(&call.store),
            states: call.states.clone(),
            message: call.message.detached(),
            session_id: call.session_id.clone(),
            caller: call.caller.clone(),
            shared_anonymous_state: call.shared_anonymous_state,
            cancelled: CancellationToken::new(),
            request_state: RequestState::default(),
            listener: Listener::nobody(),
            asker: Asker::nobody(),
            personal: call.personal.clone(),
        })
    }

    /// Is the same call, which goes on when its client leaves. `personal` becomes true when it looks
    /// at what another call of the same caller may not have: its session, its headers, its answers.
    pub(crate) fn outliving(&self, personal: Arc<AtomicBool>) -> Self {
        let call = &self.0;
        Self::new(Call {
            server: call.server.clone(),
            store: Arc::clone(&call.store),
            states: call.states.clone(),
            message: call.message.again(),
            session_id: call.session_id.clone(),
            caller: call.caller.clone(),
            shared_anonymous_state: call.shared_anonymous_state,
            cancelled: CancellationToken::new(),
            request_state: call.request_state.clone(),
            listener: call.listener.clone(),
            asker: call.asker.clone(),
            personal: Some(personal),
        })
    }

    pub(crate) fn personal(&self) -> Option<&Arc<AtomicBool>> {
        self.0.personal.as_ref()
    }

    /// Notes that the call looks at what another one of the same caller may not have.
    fn is_personal(&self) {
        if let Some(personal) = &self.0.personal {
            personal.store(true, Ordering::Relaxed);
        }
    }

    /// Returns what tells apart callers who may get different answers: who it is and what it may do.
    pub(crate) fn partition(&self) -> String {
        let scopes = match &self.0.caller {
            Caller::Authenticated(principal) => Some(principal.scopes()),
            Caller::Local | Caller::Anonymous => None,
        };
        let client = self.principal().and_then(|it| it.client_id.as_deref());
        serde_json::json!([self.0.caller.segment(), client, scopes]).to_string()
    }

    /// Tells whether the request is one of a stateless connection.
    pub(crate) fn is_stateless(&self) -> bool {
        self.0.message.is_stateless()
    }

    /// Returns what the request says of itself beside its parameters.
    pub(crate) fn request_meta(&self) -> Option<&JsonObject> {
        self.0.message.meta()
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// Returns what tells the caller from others: who it is if that is known, else its session.
    pub(crate) fn caller_key(&self) -> String {
        match (&self.0.caller, &self.0.session_id) {
            (Caller::Authenticated(principal), _) => principal.segment(),
            (_, Some(session)) => format!("session:{session}"),
            (caller, None) => caller.segment(),
        }
    }

    /// Tells whether a tool says that another call does no harm.
    pub(crate) fn is_repeatable(&self, tool: &str) -> bool {
        let tool = self.0.server.components().tool(tool, self.highest());
        let hints = tool
            .as_ref()
            .and_then(|tool| tool.wire.annotations.as_ref());
        hints.is_some_and(|hints| {
            hints.read_only_hint == Some(true) || hints.idempotent_hint == Some(true)
        })
    }

    /// Tells whether the work outlives the call.
    pub(crate) fn is_detached(&self) -> bool {
        self.0.message.is_none()
    }

    pub(crate) fn asker(&self) -> &Asker {
        &self.0.asker
    }

    /// Selects the highest version that the caller may use.
    fn highest(&self) -> Selection<'_> {
        Selection::new(None, &self.0.caller)
    }

    fn scoped(&self, scope: Result<Scope, StateError>) -> ScopedState {
        ScopedState::new(Arc::clone(&self.0.store), scope)
    }
}

#[cfg(test)]
impl Context {
    /// Makes the context of a local call, with these states and a store of its own.
    pub(crate) fn of_states(states: States) -> Self {
        Self::new(Call {
            server: ServerHandle::of_nothing(),
            store: Arc::new(kv_memory::MemoryStore::new()),
            states,
            message: Message::none(),
            session_id: None,
            caller: Caller::Local,
            shared_anonymous_state: false,
            cancelled: CancellationToken::new(),
            request_state: RequestState::default(),
            listener: Listener::nobody(),
            asker: Asker::nobody(),
            personal: None,
        })
    }
}

#[cfg(test)]
impl States {
    pub(crate) fn of<T: Send + Sync + 'static>(state: T) -> Self {
        Self::default().with(TypeId::of::<T>(), Arc::new(state))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("request_id", &self.0.message.id())
            .finish_non_exhaustive()
    }
}

/// The values that `.with_state(..)` and the lifespan gave, by type.
#[derive(Clone, Default)]
pub(crate) struct States(Arc<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl States {
    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Arc::clone(self.0.get(&TypeId::of::<T>())?).downcast().ok()
    }

    /// Returns these values and `value`, which replaces another of its type.
    pub(crate) fn with(&self, id: TypeId, value: Arc<dyn Any + Send + Sync>) -> Self {
        let mut values = (*self.0).clone();
        values.insert(id, value);
        Self(Arc::new(values))
    }

    pub(crate) fn contains(&self, id: TypeId) -> bool {
        self.0.contains_key(&id)
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "States({})", self.0.len())
    }
}

/// A value that the server was built with, shared by all calls: what `.with_state(..)` or the
/// lifespan gave.
///
/// # Examples
///
/// ```
/// use mcp_server::State;
///
/// struct Greeting(String);
///
/// async fn greet(greeting: State<Greeting>, name: String) -> String {
///     format!("{} {name}", greeting.0)
/// }
/// ```
pub struct State<T>(Arc<T>);

impl<T> State<T> {
    /// Wraps a value, to call a component by hand.
    #[must_use]
    pub fn new(value: impl Into<Arc<T>>) -> Self {
        Self(value.into())
    }
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State<{}>", type_name::<T>())
    }
}

/// A parameter that comes from the [`Context`] and not from the client's arguments.
///
/// `#[tool]`, `#[resource]` and `#[prompt]` recognise [`Context`] and [`State`] by name.
pub trait FromContext: Sized + Send {
    /// Takes the value out of `cx`.
    ///
    /// # Errors
    ///
    /// [`MissingState`] when nothing provides it.
    fn from_context(cx: &Context) -> Result<Self, MissingState>;

    /// Names the state type that must have been given to the builder, so that building the server
    /// fails and not the first call.
    #[must_use]
    fn required_state() -> Option<(TypeId, &'static str)> {
        None
    }
}

impl FromContext for Context {
    fn from_context(cx: &Context) -> Result<Self, MissingState> {
        Ok(cx.clone())
    }
}

impl<T: Send + Sync + 'static> FromContext for State<T> {
    fn from_context(cx: &Context) -> Result<Self, MissingState> {
        cx.0.states.get().map(Self).ok_or(MissingState {
            state: type_name::<T>(),
        })
    }

    fn required_state() -> Option<(TypeId, &'static str)> {
        Some((TypeId::of::<T>(), type_name::<T>()))
    }
}

/// A component asked for a state that nothing provides.
#[derive(Debug, thiserror::Error)]
#[error("nothing provides State<{state}>; add .with_state(..) or a .lifespan(..) that returns it")]
#[non_exhaustive]
pub struct MissingState {
    /// The type asked for.
    pub state: &'static str,
}

//! [`View`]: the server as one connection sees it.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::http::request::Parts;
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{ErrorData, RoleServer};
use tokio_util::sync::CancellationToken;

use super::core::Core;
use super::subscriptions::Subscriptions;
use crate::ask::{Asker, Chain, Known, Replay, Step, Way};
use crate::auth::{Caller, Principal};
use crate::context::{Call, Listener, Message, States};
use crate::error::{Asks, chain};
use crate::state::RequestState;
use crate::transport::{Connection, SessionMark, Settings};
use crate::types::{Extensions, InputRequiredResult, InputResponses, JsonObject, ProtocolVersion};
use crate::{Context, ServerHandle};

/// The server as one connection sees it.
#[derive(Debug)]
pub(crate) struct View {
    pub(super) core: Arc<Core>,
    pub(super) connection: Connection,
    /// Behind an `Arc`, as a token's own count takes a lock.
    pub(super) stopping: Arc<CancellationToken>,
    /// What the client has set. That of an HTTP session comes with its first message.
    settings: OnceLock<Arc<Settings>>,
    pub(super) subscriptions: Subscriptions,
}

impl View {
    /// `stopping` is cancelled when the server is to stop.
    pub(super) fn new(
        core: Arc<Core>,
        connection: Connection,
        stopping: Arc<CancellationToken>,
    ) -> Self {
        Self {
            core,
            connection,
            stopping,
            settings: OnceLock::new(),
            subscriptions: Subscriptions::default(),
        }
    }

    /// Returns what the client has set; on a stateless connection, nothing.
    pub(super) fn settings(&self) -> &Arc<Settings> {
        self.settings.get_or_init(Arc::default)
    }

    /// Takes up the session of a message.
    pub(super) fn enter(&self, extensions: &Extensions) {
        if let Some(mark) = extensions.get::<SessionMark>() {
            let _ = self.settings.set(Arc::clone(&mark.settings));
        }
    }

    /// Begins a call: collects what its component may know, and what the calls before it, that this
    /// one answers questions of, have left.
    pub(super) async fn begin<'a>(
        &'a self,
        occasion: &Occasion,
        call: Asked<'_>,
    ) -> Result<Begun<'a>, ErrorData> {
        let states = self.states().await?;
        let request = &occasion.request;
        let caller = self.caller(request);
        let may_be_task = call.may_be_task;
        let mut setting = self.setting(caller, request);
        occasion.add_to(&mut setting);
        let owner = setting.caller.segment();
        let round = if is_stateless(request) {
            let before = occasion.known();
            Some(self.round(&owner, call, before).await?)
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
            None if setting.is_detached => Way::Nobody,
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
        self.caller_of(&request.extensions)
    }

    fn caller_of(&self, extensions: &Extensions) -> Caller {
        let parts = extensions.get::<Parts>();
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
        Setting {
            caller,
            session_id: self.session_of(&request.extensions),
            cancelled: request.ct.clone(),
            request_state: RequestState::default(),
            is_detached: false,
            personal: None,
        }
    }

    fn session_of(&self, extensions: &Extensions) -> Option<Arc<str>> {
        match &self.connection {
            Connection::Single { session } => Some(Arc::clone(session)),
            Connection::Http { .. } => {
                let session = extensions.get::<SessionMark>();
                session.map(|mark| Arc::clone(&mark.id))
            }
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
            Way::Request(_) => Some(self.settings().level()),
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
            request_state: setting.request_state,
            listener: if setting.is_detached {
                Listener::nobody()
            } else {
                Listener {
                    peer: Some(request.peer.clone()),
                    level,
                    progress: request.meta.get_progress_token(),
                }
            },
            asker: Asker {
                way,
                request: Some(Arc::clone(request)),
            },
            personal: setting.personal,
        })
    }

    /// Returns what middleware knows of a request.
    pub(super) async fn around(&self, occasion: &Occasion) -> Result<Context, ErrorData> {
        if let Some(around) = &occasion.around {
            return Ok(around.clone());
        }
        let request = &occasion.request;
        let way = if is_stateless(request) {
            Way::Nobody
        } else {
            Way::Request(request.peer.clone())
        };
        let setting = self.setting(self.caller(request), request);
        Ok(self.context(request, self.states().await?, setting, way))
    }

    /// Returns what middleware knows of a notification.
    pub(super) async fn context_of_notification(
        &self,
        notification: &NotificationContext<RoleServer>,
    ) -> Result<Context, ErrorData> {
        let extensions = &notification.extensions;
        Ok(Context::new(Call {
            server: ServerHandle::new(Arc::clone(&self.core.registry)),
            store: Arc::clone(&self.core.store),
            states: self.states().await?,
            message: Message::none(),
            session_id: self.session_of(extensions),
            caller: self.caller_of(extensions),
            shared_anonymous_state: self.core.shared_anonymous_state,
            cancelled: CancellationToken::new(),
            request_state: RequestState::default(),
            listener: Listener {
                peer: Some(notification.peer.clone()),
                level: Some(self.settings().level()),
                progress: None,
            },
            asker: Asker::nobody(),
            personal: None,
        }))
    }

    /// Takes up a call where its client was asked.
    async fn round(
        &self,
        caller: &str,
        call: Asked<'_>,
        before: Option<Known>,
    ) -> Result<Round<'_>, ErrorData> {
        let chain = Chain::new(&self.core, caller, call.method, call.name, call.arguments);
        let is_again = before.is_some();
        let mut known = before.unwrap_or_default();
        if let Some(state) = call.state.filter(|_| !is_again) {
            let found = Box::pin(chain.resume(&state))
                .await
                .map_err(|error| unusable(&error))?;
            known = found.ok_or_else(|| {
                let message = "the requestState is not that of this call, or is older than 10 \
                               minutes; make the call again without it";
                ErrorData::invalid_params(message, None)
            })?;
        }
        if !is_again {
            known.learn(call.responses.unwrap_or_default());
        }
        let replay = Replay::new(known, call.may_be_task);
        Ok(Round { chain, replay })
    }
}

/// What a client asks for, as far as it says whether two calls are the same.
pub(super) struct Asked<'a> {
    pub(super) method: &'static str,
    pub(super) name: &'a str,
    pub(super) arguments: Option<&'a JsonObject>,
    pub(super) responses: Option<InputResponses>,
    pub(super) state: Option<String>,
    pub(super) may_be_task: bool,
}

/// Who calls, and where.
pub(super) struct Setting {
    pub(super) caller: Caller,
    pub(super) session_id: Option<Arc<str>>,
    pub(super) cancelled: CancellationToken,
    pub(super) request_state: RequestState,
    /// Whether the call goes on without its client.
    pub(super) is_detached: bool,
    /// Is told when the call looks at what is of this very request.
    pub(super) personal: Option<Arc<AtomicBool>>,
}

/// A request, and what the middleware that it has passed has made of it.
#[derive(Clone)]
pub(super) struct Occasion {
    pub(super) request: Arc<RequestContext<RoleServer>>,
    /// What the middleware knows of the call; `None` without middleware.
    around: Option<Context>,
    /// What a run of this request before, which has failed, has come to know.
    known: Arc<Mutex<Option<Known>>>,
}

impl Occasion {
    pub(super) fn direct(request: Arc<RequestContext<RoleServer>>) -> Self {
        Self {
            request,
            around: None,
            known: Arc::default(),
        }
    }

    /// Is the same request after middleware.
    pub(super) fn after(&self, around: Context) -> Self {
        Self {
            request: Arc::clone(&self.request),
            around: Some(around),
            known: Arc::clone(&self.known),
        }
    }

    /// Returns what cancels the call.
    pub(super) fn cancelled(&self) -> &CancellationToken {
        let around = self.around.as_ref();
        around.map_or(&self.request.ct, Context::cancellation_token)
    }

    fn add_to(&self, setting: &mut Setting) {
        if let Some(around) = &self.around {
            setting.cancelled = around.cancellation_token().clone();
            setting.request_state = around.request_state().clone();
            setting.is_detached = around.is_detached();
            setting.personal = around.personal().map(Arc::clone);
        }
    }

    fn known(&self) -> Option<Known> {
        self.around.as_ref()?;
        lock(&self.known).clone()
    }

    /// Keeps what a run has come to know, for another run of the same request.
    pub(super) fn keep(&self, replay: &Replay) {
        if self.around.is_some() {
            *lock(&self.known) = Some(replay.known());
        }
    }
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

pub(crate) fn is_stateless(request: &RequestContext<RoleServer>) -> bool {
    let version = request.protocol_version();
    version.is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

/// The error of a call whose state cannot be kept or read, which is the server's fault.
fn unusable(error: &crate::Error) -> ErrorData {
    tracing::error!(error = %chain(error), "the state of a call cannot be kept");
    ErrorData::internal_error("the state of the call cannot be kept", None)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

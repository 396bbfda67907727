//! The sessions of clients that open with `initialize`: how many there may be, and when they end.
//!
//! rmcp keeps a worker for each session (55 KiB when idle) and by itself bounds neither their
//! number nor tells an abandoned session from a busy one. Here every request and stream of a
//! session is counted; the worker of a session with none open is closed after a time, or earlier
//! when room is needed.
//!
//! Session ids are rmcp's: version 4 UUIDs, 122 random bits. A client that
//! reads its stream slowly can hold back 16 messages of it (rmcp's channel) and 16 more for
//! resumption, then the worker of its own session waits until [`serve`](super::serve()) cuts the
//! connection.

mod asking;
mod table;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::poll_fn;
use futures_util::{Stream, StreamExt};
use rmcp::model::{ClientJsonRpcMessage, GetExtensions as _, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_server::SessionManager;
use rmcp::transport::streamable_http_server::session::local::{
    LocalSessionManager, LocalSessionManagerError, SessionError, SessionTransport,
};
use rmcp::transport::streamable_http_server::session::{ServerSseMessage, SessionId};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub(super) use self::asking::{Refused, observe};
use self::table::{Table, Use};
use crate::transport::SessionMark;

/// How often abandoned sessions are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How many sessions there may be and how long they live with nothing open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionLimits {
    /// Sessions at once.
    pub(crate) max: usize,
    /// From the end of the last request or stream.
    pub(crate) idle: Duration,
    /// From `initialize`, when nothing follows it.
    pub(crate) init: Duration,
}

/// 10,000 sessions, 30 minutes, 60 seconds.
impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            max: 10_000,
            idle: Duration::from_secs(30 * 60),
            init: Duration::from_secs(60),
        }
    }
}

/// rmcp's sessions, counted and bounded.
#[derive(Debug)]
pub(crate) struct Sessions(Arc<Inner>);

struct Inner {
    manager: LocalSessionManager,
    limits: SessionLimits,
    shutdown: CancellationToken,
    table: Mutex<Table>,
}

/// Why a request found no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionsError {
    #[error("all {0} sessions are busy")]
    Full(usize),
    #[error("the session has ended")]
    Gone,
    #[error("the id is in use by a request of this session that is still running")]
    IdInUse,
    #[error("all {0} requests that a session may have at once are running")]
    Busy(usize),
    #[error(transparent)]
    Local(LocalSessionManagerError),
}

impl Sessions {
    /// Makes room for sessions. The task that ends abandoned ones starts with the first session
    /// and ends with `shutdown`.
    pub(crate) fn new(limits: SessionLimits, shutdown: CancellationToken) -> Self {
        let mut manager = LocalSessionManager::default();
        // rmcp counts a running request as idle time.
        manager.session_config.keep_alive = None;
        manager.session_config.init_timeout = Some(limits.init);
        Self(Arc::new(Inner {
            manager,
            limits,
            shutdown,
            table: Mutex::default(),
        }))
    }

    /// Returns the number of sessions.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.table().len()
    }

    fn start_sweeping(&self) {
        let mut table = self.0.table();
        if !table.sweeping {
            table.sweeping = true;
            tokio::spawn(sweep(Arc::downgrade(&self.0), self.0.shutdown.clone()));
        }
    }
}

async fn sweep(inner: Weak<Inner>, shutdown: CancellationToken) {
    let mut ticks = interval(SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let Some(inner) = inner.upgrade() else { return };
        inner.close_abandoned();
    }
}

impl Inner {
    /// Never held across an await: one session cannot delay another.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close_abandoned(self: &Arc<Self>) {
        let expired = self.table().remove_abandoned(&self.limits);
        for id in expired {
            self.close_worker(id);
        }
    }

    /// Tells a session's worker to end, without waiting: it may be busy with a slow reader.
    fn close_worker(self: &Arc<Self>, id: SessionId) {
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = inner.manager.close_session(&id).await {
                tracing::debug!(%error, "a session's worker did not close");
            }
        });
    }

    /// Takes a place for a new session, if need be that of an idle one.
    fn reserve(self: &Arc<Self>) -> Result<Reserved, SessionsError> {
        let evicted = self.table().reserve(self.limits.max)?;
        if let Some(id) = evicted {
            self.close_worker(id);
        }
        Ok(Reserved(Arc::clone(self)))
    }

    /// Counts a request or stream of a session until the guard is dropped.
    fn open(self: &Arc<Self>, id: &SessionId, usage: Use) -> Result<Open, SessionsError> {
        self.table().open(id, &usage)?;
        Ok(Open {
            inner: Arc::clone(self),
            id: SessionId::clone(id),
            usage,
        })
    }
}

/// A place that becomes a session, or is given back.
struct Reserved(Arc<Inner>);

impl Reserved {
    fn fill(self, id: SessionId) {
        self.0.table().insert(id);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.0.table().release();
    }
}

/// A request or stream that is under way.
struct Open {
    inner: Arc<Inner>,
    id: SessionId,
    usage: Use,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.inner.table().close(&self.id, &self.usage);
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("limits", &self.limits)
            .field("sessions", &self.table().len())
            .finish_non_exhaustive()
    }
}

fn report<T>(result: Result<T, SessionsError>) -> Result<T, SessionsError> {
    match &result {
        Err(SessionsError::Full(_)) => asking::refuse(Refused::Full),
        Err(SessionsError::Gone) => asking::refuse(Refused::Gone),
        Err(SessionsError::IdInUse) => asking::refuse(Refused::IdInUse),
        Err(SessionsError::Busy(_)) => asking::refuse(Refused::Busy),
        _ => {}
    }
    result
}

impl From<LocalSessionManagerError> for SessionsError {
    fn from(error: LocalSessionManagerError) -> Self {
        match error {
            // The session ended between rmcp's look for it and the use.
            LocalSessionManagerError::SessionNotFound(_)
            | LocalSessionManagerError::SessionError(SessionError::SessionServiceTerminated) => {
                Self::Gone
            }
            error => Self::Local(error),
        }
    }
}

/// Keeps `open` until the stream ends or is dropped.
fn hold<S: Stream>(stream: S, open: Open) -> impl Stream<Item = S::Item> + use<S> {
    let mut open = Some(open);
    stream.chain(poll_fn(move |_| {
        drop(open.take());
        Poll::Ready(None)
    }))
}

impl SessionManager for Sessions {
    type Error = SessionsError;
    type Transport = SessionTransport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        let place = report(self.0.reserve())?;
        let (id, transport) = self.0.manager.create_session().await?;
        place.fill(SessionId::clone(&id));
        self.start_sweeping();
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        let _open = report(self.0.open(id, Use::Initialize))?;
        let answer = self.0.manager.initialize_session(id, message).await;
        report(answer.map_err(Into::into))
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        Ok(self.0.table().touch(id))
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        if !self.0.table().remove(id) {
            let _ = report::<()>(Err(SessionsError::Gone));
            return Ok(());
        }
        self.0.close_worker(SessionId::clone(id));
        Ok(())
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        mut message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let mut usage = Use::Other;
        if let ClientJsonRpcMessage::Request(request) = &mut message {
            let mark = SessionMark(SessionId::clone(id));
            request.request.extensions_mut().insert(mark);
            usage = Use::Request(request.id.clone());
        }
        let open = report(self.0.open(id, usage))?;
        let stream = self.0.manager.create_stream(id, message).await;
        Ok(hold(report(stream.map_err(Into::into))?, open))
    }

    async fn accept_message(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<(), Self::Error> {
        let _open = report(self.0.open(id, Use::Other))?;
        let accepted = self.0.manager.accept_message(id, message).await;
        report(accepted.map_err(Into::into))
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let open = report(self.0.open(id, Use::Other))?;
        let stream = self.0.manager.create_standalone_stream(id).await;
        Ok(hold(report(stream.map_err(Into::into))?, open))
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let open = report(self.0.open(id, Use::Other))?;
        let stream = self.0.manager.resume(id, last_event_id).await;
        Ok(hold(report(stream.map_err(Into::into))?, open))
    }
}

//! The sessions of clients that open with `initialize`: how many there may be, when they end, and
//! how they outlive the process that opened them.
//!
//! A session is a record in the store. rmcp keeps a worker for each one that it answers (55 KiB when
//! idle) and by itself bounds neither their number nor tells an abandoned session from a busy one.
//! Here every request and stream of a session is counted; the worker of a session with none open is
//! stopped after a minute, and the next request makes another from the record, on whatever instance
//! it arrives.
//!
//! ```text
//! initialize:  create_session - worker - handshake - record
//! a request:   prepare: worker here? - no: record - worker - handshake
//!              has_session: record still there? - the worker's
//! ```
//!
//! Session ids are rmcp's: version 4 UUIDs, 122 random bits. A client that
//! reads its stream slowly can hold back 16 messages of it (rmcp's channel) and 16 more for
//! resumption, then the worker of its own session waits until [`serve`](super::serve()) cuts the
//! connection.

mod asking;
mod elsewhere;
mod record;
mod restore;
mod streams;
mod table;
mod worker;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::{self, poll_fn};
use futures_util::{Stream, StreamExt};
use kv_core::{Error as StoreError, Store};
use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, GetExtensions, InitializeRequestParams,
    ServerJsonRpcMessage,
};
use rmcp::transport::streamable_http_server::SessionManager;
use rmcp::transport::streamable_http_server::session::local::{
    LocalSessionHandle, LocalSessionManager, LocalSessionManagerError, SessionError,
};
use rmcp::transport::streamable_http_server::session::{ServerSseMessage, SessionId};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub(super) use self::asking::{Refused, observe};
pub(crate) use self::record::Home;
use self::record::{Record, Records};
pub(crate) use self::restore::Restored;
use self::restore::Restoring;
use self::streams::{EventId, EventStream, Streams, Tracked};
use self::table::{Opened, Table, Use};
use self::worker::SessionTransport;
use crate::error::chain;
use crate::server::Bus;
use crate::transport::{Chosen, SessionMark, Settings};

/// How often abandoned sessions are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How many records are renewed at once.
const RENEWALS: usize = 16;

/// How many sessions there may be and how long they live with nothing open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionLimits {
    /// Sessions at once that were opened or used here.
    pub(crate) max: usize,
    /// Those of one principal among them.
    pub(crate) max_per_principal: usize,
    /// From the end of the last request or stream.
    pub(crate) idle: Duration,
    /// From `initialize`, however much it is used.
    pub(crate) max_age: Duration,
    /// From `initialize`, when nothing follows it.
    pub(crate) init: Duration,
    /// From the end of the last request or stream until its worker is stopped.
    pub(crate) park: Duration,
}

/// 10,000 sessions, 1,000 of one principal, 30 minutes, 7 days, 60 seconds, 60 seconds.
impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            max: 10_000,
            max_per_principal: 1_000,
            idle: Duration::from_secs(30 * 60),
            max_age: Duration::from_secs(7 * 24 * 60 * 60),
            init: Duration::from_secs(60),
            park: Duration::from_secs(60),
        }
    }
}

/// The sessions of a server, counted and bounded.
#[derive(Clone, Debug)]
pub(crate) struct Sessions(Arc<Inner>);

struct Inner {
    manager: LocalSessionManager,
    records: Records,
    bus: Arc<Bus>,
    limits: SessionLimits,
    shutdown: CancellationToken,
    table: Mutex<Table>,
    restoring: Restoring,
    streams: Streams,
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
    #[error("the client says too much of itself")]
    TooLarge,
    #[error("the session cannot be read or written")]
    Store(#[source] StoreError),
    #[error(transparent)]
    Local(LocalSessionManagerError),
}

impl Sessions {
    /// Makes room for sessions, whose records are in `store`; what concerns other instances goes
    /// over `bus`. The tasks that end abandoned ones and hear others start with the first session and
    /// end with `shutdown`.
    pub(crate) fn new(
        limits: SessionLimits,
        store: Arc<dyn Store>,
        bus: &Arc<Bus>,
        shutdown: CancellationToken,
    ) -> Self {
        let mut manager = LocalSessionManager::default();
        // rmcp counts a running request as idle time.
        manager.session_config.keep_alive = None;
        manager.session_config.init_timeout = Some(limits.init);
        Self(Arc::new(Inner {
            manager,
            records: Records::new(store, Arc::clone(bus), &limits),
            bus: Arc::clone(bus),
            limits,
            shutdown,
            table: Mutex::default(),
            restoring: Restoring::default(),
            streams: Streams::default(),
        }))
    }

    /// Returns the number of sessions that were opened or used here.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.table().len()
    }

    /// Returns the number of sessions that have a worker here.
    #[cfg(test)]
    pub(crate) fn workers(&self) -> usize {
        self.0.table().workers()
    }

    fn start_sweeping(&self) {
        self.0.bus.open(self.0.records.store());
        let mut table = self.0.table();
        if !table.sweeping {
            table.sweeping = true;
            tokio::spawn(sweep(Arc::downgrade(&self.0), self.0.shutdown.clone()));
            if self.0.records.are_shared() {
                let listening = elsewhere::listen(Arc::downgrade(&self.0), self.0.bus.listen());
                let over = self.0.shutdown.clone();
                tokio::spawn(over.run_until_cancelled_owned(listening));
            }
        }
    }

    /// Takes note of a session whose worker rmcp has just made.
    fn begin(
        &self,
        id: &SessionId,
        local: <LocalSessionManager as SessionManager>::Transport,
        record: Option<&Record>,
    ) -> (SessionTransport, Arc<Settings>) {
        let chosen = record.map_or_else(Chosen::default, |record| record.chosen.clone());
        let settings = Arc::new(Settings::new(self.0.records.home(id), chosen));
        let owner = match record {
            Some(record) => record.owner.clone(),
            None => asking::owner(),
        };
        let generation = self.0.table().insert(
            SessionId::clone(id),
            owner,
            Arc::clone(&settings),
            record.map(Record::ends),
        );
        self.start_sweeping();
        let id = SessionId::clone(id);
        let transport = SessionTransport::new(local, &self.0, id, generation);
        (transport, settings)
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
        inner.sweep().await;
    }
}

impl Inner {
    /// Never held across an await: one session cannot delay another.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sweep(self: &Arc<Self>) {
        self.streams.sweep();
        let mut to_renew = Vec::new();
        self.stop(|table| {
            let swept = table.sweep(&self.limits);
            to_renew = swept.to_renew;
            swept.stopped
        })
        .await;
        stream::iter(to_renew)
            .for_each_concurrent(RENEWALS, |(id, ends)| async move {
                match self.records.renew(&id, ends).await {
                    Ok(true) => {}
                    Ok(false) => self.end_here(&id).await,
                    Err(error) => {
                        tracing::warn!(error = chain(&error), "a session was not renewed");
                    }
                }
            })
            .await;
    }

    /// Stops the workers of the sessions that `pick` takes out of the table, or takes the worker
    /// from. Workers come and go under both locks, so that none is taken for another of its session.
    async fn stop<I>(&self, pick: impl FnOnce(&mut Table) -> I)
    where
        I: IntoIterator<Item = SessionId>,
    {
        let mut handles = self.manager.sessions.write().await;
        let picked = pick(&mut self.table());
        let stopped: Vec<_> = picked
            .into_iter()
            .filter_map(|id| handles.remove(&id))
            .collect();
        drop(handles);
        for handle in stopped {
            close(handle);
        }
    }

    /// Ends a session that has ended elsewhere.
    async fn end_here(&self, id: &SessionId) {
        self.stop(|table| table.forget(id).then(|| SessionId::clone(id)))
            .await;
    }

    /// Takes note that a worker has ended by itself.
    async fn worker_ended(&self, id: &SessionId, generation: u64) {
        self.stop(|table| {
            let has_ended = table.worker_ended(id, generation);
            has_ended.then(|| SessionId::clone(id))
        })
        .await;
    }

    /// Takes a place for a session, if need be that of an idle one, which ends.
    async fn reserve(
        self: &Arc<Self>,
        owner: Option<&record::Owner>,
    ) -> Result<Reserved, SessionsError> {
        let mut reserved = Ok(None);
        self.stop(|table| {
            reserved = table.reserve(&self.limits, owner);
            reserved.as_ref().ok().cloned().flatten()
        })
        .await;
        if let Some(id) = reserved? {
            let inner = Arc::clone(self);
            tokio::spawn(async move {
                if let Err(error) = inner.records.remove(&id).await {
                    tracing::warn!(
                        error = chain(&error),
                        "a session that gave way is in the store"
                    );
                }
            });
        }
        Ok(Reserved(Arc::clone(self)))
    }

    /// Counts a request or stream of a session until the guard is dropped.
    async fn open(self: &Arc<Self>, id: &SessionId, usage: Use) -> Result<Open, SessionsError> {
        let opened = self.table().open(id, &usage)?;
        let open = Open {
            inner: Arc::clone(self),
            id: SessionId::clone(id),
            usage,
            opened,
        };
        if opened.is_first {
            // The client has the session: it lives on from now.
            self.renew(id).await?;
        }
        Ok(open)
    }

    /// Lets the record of a session live on.
    async fn renew(&self, id: &SessionId) -> Result<(), SessionsError> {
        let ends = self.table().ends(id).ok_or(SessionsError::Gone)?;
        let is_there = self
            .records
            .renew(id, ends)
            .await
            .map_err(SessionsError::Store)?;
        if is_there {
            return Ok(());
        }
        self.end_here(id).await;
        Err(SessionsError::Gone)
    }
}

/// Tells a session's worker to end, without waiting: it may be busy with a slow reader.
fn close(handle: LocalSessionHandle) {
    tokio::spawn(async move {
        // One that has ended by itself does not listen.
        let _ = handle.close().await;
    });
}

/// A place that becomes a session, or is given back.
struct Reserved(Arc<Inner>);

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
    opened: Opened,
}

impl Open {
    /// Returns what tells the worker from others of the session.
    const fn generation(&self) -> u64 {
        self.opened.generation
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut table = self.inner.table();
        table.close(&self.id, &self.usage, self.opened);
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn report<T>(result: Result<T, SessionsError>) -> Result<T, SessionsError> {
    match &result {
        Err(SessionsError::Full(_)) => asking::refuse(Refused::Full),
        Err(SessionsError::Gone) => asking::refuse(Refused::Gone),
        Err(SessionsError::IdInUse) => asking::refuse(Refused::IdInUse),
        Err(SessionsError::Busy(_)) => asking::refuse(Refused::Busy),
        Err(SessionsError::TooLarge) => asking::refuse(Refused::TooLarge),
        Err(SessionsError::Store(error)) => {
            tracing::error!(error = chain(error), "a session cannot be read or written");
            asking::refuse(Refused::Unavailable);
        }
        Ok(_) | Err(SessionsError::Local(_)) => {}
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

impl From<StoreError> for SessionsError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TooLarge { .. } => Self::TooLarge,
            error => Self::Store(error),
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

/// Returns what a client says of itself in `initialize`.
fn of_initialize(message: &ClientJsonRpcMessage) -> Option<InitializeRequestParams> {
    match message {
        ClientJsonRpcMessage::Request(request) => match &request.request {
            ClientRequest::InitializeRequest(initialize) => Some(initialize.params.clone()),
            _ => None,
        },
        _ => None,
    }
}

impl SessionManager for Sessions {
    type Error = SessionsError;
    type Transport = SessionTransport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        let _place = report(self.0.reserve(asking::owner().as_ref()).await)?;
        let (id, local) = self.0.manager.create_session().await?;
        let (transport, _) = self.begin(&id, local, None);
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        mut message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        let _open = report(self.0.open(id, Use::Initialize).await)?;
        let initialize = of_initialize(&message);
        self.mark(id, &mut message);
        let answer = self.0.manager.initialize_session(id, message).await;
        let answer = report(answer.map_err(Into::into))?;
        if let Some(initialize) = initialize
            && matches!(answer, ServerJsonRpcMessage::Response(_))
        {
            let created = self.0.records.create(id, asking::owner(), initialize).await;
            match report(created.map_err(Into::into)) {
                Ok(ends) => self.0.table().make_usable(id, Some(ends)),
                Err(error) => {
                    self.0.end_here(id).await;
                    return Err(error);
                }
            }
        }
        Ok(answer)
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        let Some(settings) = self.0.table().touch(id) else {
            return Ok(false);
        };
        if !self.0.records.are_shared() {
            return Ok(true);
        }
        let entry = report(self.0.records.get(id).await.map_err(Into::into))?;
        let Some(entry) = entry else {
            self.0.end_here(id).await;
            return Ok(false);
        };
        settings.follow(entry.revision.as_ref(), || {
            let record: Record = entry.value.decode().ok()?;
            Some(record.chosen)
        });
        Ok(true)
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        if !asking::is_client() {
            // The worker has ended by itself, of which its transport tells.
            return Ok(());
        }
        let found = report(self.0.find(id).await)?;
        if found.is_none() {
            let _ = report::<()>(Err(SessionsError::Gone));
            return Ok(());
        }
        self.0.bus.open(self.0.records.store());
        report(self.0.records.remove(id).await.map_err(Into::into))?;
        self.0.end_here(id).await;
        Ok(())
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        mut message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let usage = match &message {
            ClientJsonRpcMessage::Request(request) => Use::Request(request.id.clone()),
            _ => Use::Other,
        };
        self.mark(id, &mut message);
        let open = report(self.0.open(id, usage).await)?;
        let stream = self.0.manager.create_stream(id, message).await;
        Ok(Tracked::new(report(stream.map_err(Into::into))?, open))
    }

    async fn accept_message(
        &self,
        id: &SessionId,
        mut message: ClientJsonRpcMessage,
    ) -> Result<(), Self::Error> {
        self.mark(id, &mut message);
        let _open = report(self.0.open(id, Use::Other).await)?;
        if report(self.0.relay(id, &message).await)? {
            return Ok(());
        }
        let accepted = self.0.manager.accept_message(id, message).await;
        report(accepted.map_err(Into::into))
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let open = report(self.0.open(id, Use::Other).await)?;
        let stream = self.0.manager.create_standalone_stream(id).await;
        Ok(self.0.own_stream(report(stream.map_err(Into::into))?, open))
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let open = report(self.0.open(id, Use::Other).await)?;
        report(self.0.resume(id, &last_event_id, open).await)
    }
}

impl Inner {
    /// Returns the events of the stream of a session itself.
    fn own_stream(
        &self,
        stream: impl Stream<Item = ServerSseMessage> + Send + Sync + 'static,
        open: Open,
    ) -> EventStream {
        let (generation, instance) = (open.generation(), Arc::clone(self.bus.instance()));
        let named = stream.map(move |mut event| {
            streams::name(&mut event, generation, &instance);
            event
        });
        Box::pin(hold(named, open))
    }

    /// Returns what comes after an event: on this worker, of a stream that is read on without its
    /// client, or of one of another instance.
    async fn resume(
        self: &Arc<Self>,
        id: &SessionId,
        last_event_id: &str,
        open: Open,
    ) -> Result<EventStream, SessionsError> {
        let after = EventId::parse(last_event_id);
        let is_here = after.as_ref().is_some_and(|after| {
            *after.instance == **self.bus.instance() && after.generation == open.generation()
        });
        let Some(after) = after else {
            let stream = self.manager.create_standalone_stream(id).await?;
            return Ok(self.own_stream(stream, open));
        };
        match &after.request {
            Some(request) => {
                if let Some(rest) = self.kept_here(id, request, &after) {
                    return Ok(Box::pin(hold(rest, open)));
                }
                if !is_here {
                    let rest = self.kept_elsewhere(id, request, &after);
                    return Ok(Box::pin(hold(rest, open)));
                }
                let stream = self.manager.resume(id, after.local()).await?;
                Ok(Box::pin(Tracked::new(stream, open)))
            }
            None if is_here => {
                let stream = self.manager.resume(id, after.local()).await?;
                Ok(self.own_stream(stream, open))
            }
            // What was told on the stream of another worker is not known here.
            None => {
                let stream = self.manager.create_standalone_stream(id).await?;
                Ok(self.own_stream(stream, open))
            }
        }
    }
}

impl Sessions {
    /// Puts the session into a message of its client.
    fn mark(&self, id: &SessionId, message: &mut ClientJsonRpcMessage) {
        let extensions = match message {
            ClientJsonRpcMessage::Request(request) => request.request.extensions_mut(),
            ClientJsonRpcMessage::Notification(it) => it.notification.extensions_mut(),
            _ => return,
        };
        if let Some(settings) = self.0.table().settings(id) {
            let id = SessionId::clone(id);
            extensions.insert(SessionMark { id, settings });
        }
    }
}

impl Inner {
    /// Returns the record of a session of the caller.
    async fn find(
        &self,
        id: &SessionId,
    ) -> Result<Option<(kv_core::Entry, Record)>, SessionsError> {
        let Some(entry) = self.records.get(id).await? else {
            return Ok(None);
        };
        let record: Record = entry.value.decode()?;
        let is_callers = asking::is_asked_by(record.owner.as_ref());
        Ok(is_callers.then_some((entry, record)))
    }
}

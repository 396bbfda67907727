//! Streams of calls whose client has gone away: it may come back for the rest, to any instance.
//!
//! A stream that is read to its end leaves nothing behind. One that is dropped before is read on here,
//! in memory, and in the store if others share it. An event's id tells whose stream it is from:
//! `index/request.generation.instance`, without the request for the stream of the session itself.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{BoxStream, poll_fn, unfold};
use futures_util::{Stream, StreamExt as _};
use kv_core::StoreExt as _;
use rmcp::transport::streamable_http_server::session::{ServerSseMessage, SessionId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::{Inner, Open};
use crate::error::chain;

/// The collection of events.
const COLLECTION: &str = "mcp_events";

/// How much of a stream is kept: so many events, and so many bytes of their messages.
const MAX_EVENTS: usize = 256;
const MAX_BYTES: usize = 4 << 20;

/// How many streams are kept.
const MAX_STREAMS: usize = 10_000;

/// How long a stream is kept after its end.
const AFTER_END: Duration = Duration::from_secs(60);

/// How long the store keeps one whose instance gives no sign of life, and how often it gives one.
const TTL: Duration = Duration::from_secs(60);
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);

/// How often the events of another instance are looked for.
const LOOK: Duration = Duration::from_millis(200);

/// Whose stream it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct StreamId {
    session: SessionId,
    request: String,
    generation: u64,
}

/// An id of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EventId {
    pub(super) index: usize,
    /// `None` for the stream of the session itself.
    pub(super) request: Option<String>,
    pub(super) generation: u64,
    pub(super) instance: String,
}

impl EventId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.rsplitn(3, '.');
        let (instance, generation) = (parts.next()?, parts.next()?.parse().ok()?);
        let local = parts.next()?;
        let (index, request) = match local.split_once('/') {
            Some((index, request)) => (index, Some(request.to_owned())),
            None => (local, None),
        };
        Some(Self {
            index: index.parse().ok()?,
            request,
            generation,
            instance: instance.to_owned(),
        })
    }

    /// Returns rmcp's own id.
    pub(super) fn local(&self) -> String {
        match &self.request {
            Some(request) => format!("{}/{request}", self.index),
            None => self.index.to_string(),
        }
    }
}

/// Gives an event an id that is one of its own among those of all instances.
pub(super) fn name(event: &mut ServerSseMessage, generation: u64, instance: &str) {
    if let Some(id) = &mut event.event_id {
        *id = format!("{id}.{generation}.{instance}");
    }
}

fn index_of(event: &ServerSseMessage) -> Option<usize> {
    Some(EventId::parse(event.event_id.as_deref()?)?.index)
}

/// The stream of a call, on its way to its client.
pub(super) struct Tracked {
    inner: Option<EventStream>,
    sessions: Arc<Inner>,
    open: Option<Open>,
    session: SessionId,
    generation: u64,
    /// What has passed.
    events: VecDeque<ServerSseMessage>,
}

/// Events, as rmcp takes them.
pub(super) type EventStream = Pin<Box<dyn Stream<Item = ServerSseMessage> + Send + Sync>>;

/// Passes events on from a task of their own.
fn forward(mut events: BoxStream<'static, ServerSseMessage>) -> EventStream {
    let (tell, mut told) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                // Who waits for them has gone away.
                () = tell.closed() => return,
                event = events.next() => {
                    let Some(event) = event else { return };
                    if tell.send(event).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
    Box::pin(poll_fn(move |cx| told.poll_recv(cx)))
}

impl Tracked {
    pub(super) fn new(
        inner: impl Stream<Item = ServerSseMessage> + Send + Sync + 'static,
        open: Open,
    ) -> Self {
        Self {
            inner: Some(Box::pin(inner)),
            sessions: Arc::clone(&open.inner),
            session: SessionId::clone(&open.id),
            generation: open.generation(),
            open: Some(open),
            events: VecDeque::new(),
        }
    }
}

impl Stream for Tracked {
    type Item = ServerSseMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ServerSseMessage>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        match inner.as_mut().poll_next(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(mut event)) => {
                name(&mut event, self.generation, self.sessions.bus.instance());
                if self.events.len() >= MAX_EVENTS {
                    self.events.pop_front();
                }
                self.events.push_back(event.clone());
                Poll::Ready(Some(event))
            }
            Poll::Ready(None) => {
                self.inner = None;
                self.open = None;
                Poll::Ready(None)
            }
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let (Some(inner), Some(open)) = (self.inner.take(), self.open.take()) else {
            return;
        };
        let request = self.events.iter().find_map(|event| {
            let id = EventId::parse(event.event_id.as_deref()?)?;
            id.request
        });
        let (Some(request), Ok(runtime)) = (request, tokio::runtime::Handle::try_current()) else {
            return;
        };
        let id = StreamId {
            session: SessionId::clone(&self.session),
            request,
            generation: self.generation,
        };
        let kept = Arc::new(Kept::new(std::mem::take(&mut self.events)));
        if self.sessions.streams.add(id.clone(), Arc::clone(&kept)) {
            let sessions = Arc::clone(&self.sessions);
            runtime.spawn(keep(sessions, id, kept, inner, open));
        }
    }
}

/// A stream that is read on without its client.
struct Kept {
    state: Mutex<KeptState>,
    /// Counts the changes.
    changes: watch::Sender<u64>,
}

struct KeptState {
    events: VecDeque<ServerSseMessage>,
    bytes: usize,
    ended: Option<Instant>,
}

impl Kept {
    fn new(events: VecDeque<ServerSseMessage>) -> Self {
        let bytes = events.iter().map(size).sum();
        Self {
            state: Mutex::new(KeptState {
                events,
                bytes,
                ended: None,
            }),
            changes: watch::Sender::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, KeptState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, event: ServerSseMessage) {
        let mut state = self.state();
        state.bytes += size(&event);
        state.events.push_back(event);
        while state.events.len() > MAX_EVENTS || state.bytes > MAX_BYTES && state.events.len() > 1 {
            if let Some(oldest) = state.events.pop_front() {
                state.bytes -= size(&oldest);
            }
        }
        drop(state);
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn end(&self) {
        self.state().ended = Some(Instant::now());
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Returns the next event after one, and whether there will be no other.
    fn after(&self, index: Option<usize>) -> (Option<ServerSseMessage>, bool) {
        let state = self.state();
        let is_new = |event: &&ServerSseMessage| index_of(event) > index;
        let next = state.events.iter().find(is_new).cloned();
        (next, state.ended.is_some())
    }
}

fn size(event: &ServerSseMessage) -> usize {
    let message = event.message.as_ref();
    message.map_or(0, |message| {
        serde_json::to_string(&**message).map_or(0, |text| text.len())
    })
}

/// The streams that are read on without their clients.
#[derive(Default)]
pub(super) struct Streams(Mutex<HashMap<StreamId, Arc<Kept>>>);

impl Streams {
    fn all(&self) -> MutexGuard<'_, HashMap<StreamId, Arc<Kept>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, id: StreamId, kept: Arc<Kept>) -> bool {
        let mut all = self.all();
        if all.len() >= MAX_STREAMS {
            tracing::warn!(
                "the stream of a client that has gone away is not kept: there are too many"
            );
            return false;
        }
        all.insert(id, kept);
        true
    }

    /// Drops the streams that ended some time ago.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        self.all().retain(|_, kept| {
            let ended = kept.state().ended;
            ended.is_none_or(|ended| now.duration_since(ended) < AFTER_END)
        });
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").finish_non_exhaustive()
    }
}

/// Reads a stream to its end.
async fn keep(
    sessions: Arc<Inner>,
    id: StreamId,
    kept: Arc<Kept>,
    mut inner: EventStream,
    open: Open,
) {
    let is_shared = sessions.records.are_shared();
    loop {
        if is_shared {
            sessions.write_events(&id, &kept, TTL).await;
        }
        match timeout(SIGN_OF_LIFE, inner.next()).await {
            Ok(Some(mut event)) => {
                name(&mut event, id.generation, sessions.bus.instance());
                kept.add(event);
            }
            Ok(None) => break,
            Err(_still_running) => {}
        }
    }
    drop(open);
    kept.end();
    if is_shared {
        sessions.write_events(&id, &kept, AFTER_END).await;
    }
}

/// A stream, as the store has it.
#[derive(Serialize, Deserialize)]
struct Stored {
    events: Vec<StoredEvent>,
    has_ended: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredEvent {
    id: Option<String>,
    message: Value,
}

impl StoredEvent {
    fn read(self) -> ServerSseMessage {
        let message = serde_json::from_value(self.message).ok().map(Arc::new);
        let mut event = ServerSseMessage::retry(Duration::from_secs(3));
        event.retry = None;
        event.event_id = self.id;
        event.message = message;
        event
    }
}

/// Returns the key of a stream's events.
fn key(session: &SessionId, request: &str, generation: u64, instance: &str) -> String {
    let session = super::record::key(session);
    format!("{session}.{instance}.{generation}.{request}")
}

impl Inner {
    async fn write_events(&self, id: &StreamId, kept: &Kept, ttl: Duration) {
        let stored = {
            let state = kept.state();
            let events = state.events.iter().map(|event| StoredEvent {
                id: event.event_id.clone(),
                message: event.message.as_ref().map_or(Value::Null, |it| json!(**it)),
            });
            Stored {
                events: events.collect(),
                has_ended: state.ended.is_some(),
            }
        };
        let key = key(&id.session, &id.request, id.generation, self.bus.instance());
        let store = self.records.store();
        if let Err(error) = store.put_value(COLLECTION, &key, &stored, Some(ttl)).await {
            tracing::warn!(
                error = chain(&error),
                "a stream can be resumed on this instance alone"
            );
        }
    }

    /// Returns the rest of a stream that is read on here, if it is.
    pub(super) fn kept_here(
        &self,
        session: &SessionId,
        request: &str,
        after: &EventId,
    ) -> Option<EventStream> {
        let id = StreamId {
            session: SessionId::clone(session),
            request: request.to_owned(),
            generation: after.generation,
        };
        let kept = Arc::clone(self.streams.all().get(&id)?);
        let changes = kept.changes.subscribe();
        let state = (kept, changes, Some(after.index));
        let rest = unfold(state, |(kept, mut changes, index)| async move {
            loop {
                changes.mark_unchanged();
                match kept.after(index) {
                    (Some(event), _) => {
                        let index = index_of(&event).or(index);
                        return Some((event, (kept, changes, index)));
                    }
                    (None, true) => return None,
                    (None, false) => changes.changed().await.ok()?,
                }
            }
        });
        Some(forward(rest.boxed()))
    }

    /// Returns the rest of a stream of another instance: what the store has of it, and what comes.
    pub(super) fn kept_elsewhere(
        self: &Arc<Self>,
        session: &SessionId,
        request: &str,
        after: &EventId,
    ) -> EventStream {
        let key = key(session, request, after.generation, &after.instance);
        let state = (
            Arc::clone(self),
            key,
            Some(after.index),
            VecDeque::new(),
            false,
        );
        let rest = unfold(
            state,
            |(sessions, key, mut index, mut ready, mut is_last)| async move {
                loop {
                    if let Some(event) = ready.pop_front() {
                        index = index_of(&event).or(index);
                        return Some((event, (sessions, key, index, ready, is_last)));
                    }
                    if is_last {
                        return None;
                    }
                    let stored = sessions.read_events(&key).await?;
                    is_last = stored.has_ended;
                    let events = stored.events.into_iter().map(StoredEvent::read);
                    ready.extend(events.filter(|event| index_of(event) > index));
                    if ready.is_empty() && !is_last {
                        sleep(LOOK).await;
                    }
                }
            },
        );
        forward(rest.boxed())
    }

    /// Returns what the store has of a stream; `None` when its instance is gone.
    async fn read_events(&self, key: &str) -> Option<Stored> {
        let mut is_first = true;
        loop {
            match self.records.store().get_fresh(COLLECTION, key).await {
                Ok(Some(entry)) => return entry.value.decode().ok(),
                // Its instance may not have noticed yet that the client is gone.
                Ok(None) if is_first => sleep(LOOK * 5).await,
                Ok(None) => return None,
                Err(error) => {
                    tracing::warn!(error = chain(&error), "a stream cannot be resumed");
                    return None;
                }
            }
            is_first = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_tells_whose_it_is() {
        let id = EventId::parse("3/7.2.abc").unwrap();
        assert_eq!((id.index, id.request.as_deref()), (3, Some("7")));
        assert_eq!((id.generation, &*id.instance), (2, "abc"));
        assert_eq!(id.local(), "3/7");
        let id = EventId::parse("3.2.abc").unwrap();
        assert_eq!((id.index, id.request.as_deref()), (3, None));
        assert_eq!(id.local(), "3");
        for wrong in ["", "0", "1/2", "a.b", "x/1.2.i", "1.x.i", ".."] {
            assert_eq!(EventId::parse(wrong), None, "{wrong}");
        }
    }
}

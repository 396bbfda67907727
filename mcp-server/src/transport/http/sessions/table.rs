//! What is known of each session beside rmcp's worker, and which one ends when room is needed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use kv_core::Timestamp;
use rmcp::model::RequestId;
use rmcp::transport::streamable_http_server::session::SessionId;
use tokio::time::Instant;

use super::record::{Owner, key};
use super::{SessionLimits, SessionsError, asking};
use crate::transport::Settings;

/// No session is ended for another before this age: a client must get to use what it opened,
/// however many others open sessions.
const PROTECTED_AGE: Duration = Duration::from_secs(10);

/// Requests of one session at once.
const MAX_RUNNING: usize = 64;

#[derive(Default)]
pub(super) struct Table {
    sessions: HashMap<SessionId, Session>,
    /// Places taken by sessions that rmcp is about to create.
    reserved: usize,
    /// Of the worker that was made last.
    generation: u64,
    pub(super) sweeping: bool,
}

/// A session that was opened or used here.
pub(super) struct Session {
    /// That of its record.
    key: Box<str>,
    owner: Option<Owner>,
    opened: Instant,
    used: Instant,
    /// When the store was last told that it is used.
    renewed: Instant,
    /// When it ends at the latest; `None` until its record is there.
    ends: Option<Timestamp>,
    /// Whether anything followed `initialize`.
    ready: bool,
    /// Requests and streams under way.
    open: usize,
    /// The requests among them. rmcp finds the stream for an answer by the request's id, so no two
    /// may have the same.
    running: HashSet<RequestId>,
    /// Tells it from the same session before its worker was replaced.
    generation: u64,
    worker: Worker,
    pub(super) settings: Arc<Settings>,
}

/// What answers the messages of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worker {
    /// The handshake is under way.
    Starting,
    Running,
    /// It has none, as nothing is open.
    None,
}

/// What [`Table::open`] has counted.
#[derive(Clone, Copy)]
pub(super) struct Opened {
    /// Of the worker.
    pub(super) generation: u64,
    /// Whether it is the first thing that follows the handshake.
    pub(super) is_first: bool,
}

/// What is under way in a session.
pub(super) enum Use {
    Initialize,
    Request(RequestId),
    Other,
}

/// What the sweep has found.
#[derive(Default)]
pub(super) struct Sweep {
    /// These have a worker no longer.
    pub(super) stopped: Vec<SessionId>,
    /// These must be renewed in the store.
    pub(super) to_renew: Vec<(SessionId, Timestamp)>,
}

impl Table {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    #[cfg(test)]
    pub(super) fn workers(&self) -> usize {
        let sessions = self.sessions.values();
        sessions
            .filter(|session| session.worker != Worker::None)
            .count()
    }

    /// Takes a place for a session of `owner`. When there is none, the session idle longest gives
    /// way, one that nothing followed first; it is removed and returned. When `owner` has as many as
    /// a principal may have, it is one of its own.
    pub(super) fn reserve(
        &mut self,
        limits: &SessionLimits,
        owner: Option<&Owner>,
    ) -> Result<Option<SessionId>, SessionsError> {
        let mut of_owner = None;
        if let Some(owner) = owner {
            let is_owners = |session: &&Session| session.owner.as_ref() == Some(owner);
            let count = self.sessions.values().filter(is_owners).count();
            of_owner = (count >= limits.max_per_principal).then_some(owner);
        }
        let mut evicted = None;
        if of_owner.is_some() || self.sessions.len() + self.reserved >= limits.max {
            let now = Instant::now();
            let idle = self.sessions.iter().filter(|(_, session)| {
                session.open == 0
                    && now.duration_since(session.opened) >= PROTECTED_AGE
                    && of_owner.is_none_or(|owner| session.owner.as_ref() == Some(owner))
            });
            let oldest = idle.min_by_key(|(_, session)| (session.ready, session.used));
            let Some(id) = oldest.map(|(id, _)| SessionId::clone(id)) else {
                let max = of_owner.map_or(limits.max, |_| limits.max_per_principal);
                return Err(SessionsError::Full(max));
            };
            self.sessions.remove(&id);
            evicted = Some(id);
        }
        self.reserved += 1;
        Ok(evicted)
    }

    /// Gives a place back that [`reserve`](Self::reserve) took.
    pub(super) fn release(&mut self) {
        self.reserved -= 1;
    }

    /// Adds a session of `owner` that has a worker now, and returns the worker's generation.
    pub(super) fn insert(
        &mut self,
        id: SessionId,
        owner: Option<Owner>,
        settings: Arc<Settings>,
        ends: Option<Timestamp>,
    ) -> u64 {
        let now = Instant::now();
        self.generation += 1;
        let session = Session {
            key: key(&id).into(),
            owner,
            opened: now,
            used: now,
            renewed: now,
            // One that comes from the store has been used before.
            ready: ends.is_some(),
            ends,
            open: 0,
            running: HashSet::new(),
            generation: self.generation,
            worker: Worker::Starting,
            settings,
        };
        self.sessions.insert(id, session);
        self.generation
    }

    /// Notes that the handshake of a session is over, and when it ends at the latest.
    pub(super) fn make_usable(&mut self, id: &SessionId, ends: Option<Timestamp>) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.ends = ends.or(session.ends);
        if session.worker == Worker::Starting {
            session.worker = Worker::Running;
        }
    }

    /// Tells whether a session has a worker.
    pub(super) fn is_served(&self, id: &SessionId) -> bool {
        let session = self.sessions.get(id);
        session.is_some_and(|session| session.worker == Worker::Running)
    }

    /// Starts the time of a session anew if it has a worker: a request is about to use it. Returns
    /// what its client has set.
    pub(super) fn touch(&mut self, id: &SessionId) -> Option<Arc<Settings>> {
        let session = self.find(id)?;
        if session.worker != Worker::Running {
            return None;
        }
        session.used = Instant::now();
        Some(Arc::clone(&session.settings))
    }

    /// Counts a request or stream of a session.
    pub(super) fn open(&mut self, id: &SessionId, usage: &Use) -> Result<Opened, SessionsError> {
        let session = self.find(id).ok_or(SessionsError::Gone)?;
        if let Use::Request(request) = usage {
            if session.running.contains(request) {
                return Err(SessionsError::IdInUse);
            }
            if session.running.len() >= MAX_RUNNING {
                return Err(SessionsError::Busy(MAX_RUNNING));
            }
            session.running.insert(request.clone());
        }
        session.open += 1;
        let is_first = !session.ready && !matches!(usage, Use::Initialize);
        session.ready |= is_first;
        Ok(Opened {
            generation: session.generation,
            is_first,
        })
    }

    /// Counts down what [`open`](Self::open) counted.
    pub(super) fn close(&mut self, id: &SessionId, usage: &Use, opened: Opened) {
        let session = self.sessions.get_mut(id);
        if let Some(session) = session.filter(|it| it.generation == opened.generation) {
            if let Use::Request(request) = usage {
                session.running.remove(request);
            }
            session.open -= 1;
            session.used = Instant::now();
        }
    }

    /// Removes a session, and tells whether it was there.
    pub(super) fn forget(&mut self, id: &SessionId) -> bool {
        self.sessions.remove(id).is_some()
    }

    /// Returns the session whose record has this key, if it has a worker.
    pub(super) fn find_by_key(&self, key: &str) -> Option<SessionId> {
        let mut sessions = self.sessions.iter();
        let found = sessions.find(|(_, it)| &*it.key == key && it.worker == Worker::Running);
        found.map(|(id, _)| SessionId::clone(id))
    }

    /// Returns the sessions that have a worker.
    pub(super) fn served(&self) -> Vec<SessionId> {
        let sessions = self.sessions.iter();
        let served = sessions.filter(|(_, session)| session.worker == Worker::Running);
        served.map(|(id, _)| SessionId::clone(id)).collect()
    }

    /// Tells whether a request of a session is under way here.
    pub(super) fn is_running(&self, id: &SessionId, request: &RequestId) -> bool {
        let session = self.sessions.get(id);
        session.is_some_and(|session| session.running.contains(request))
    }

    /// Returns when a session ends at the latest.
    pub(super) fn ends(&self, id: &SessionId) -> Option<Timestamp> {
        self.sessions.get(id)?.ends
    }

    /// Returns what the client of a session has set.
    pub(super) fn settings(&self, id: &SessionId) -> Option<Arc<Settings>> {
        let session = self.sessions.get(id)?;
        Some(Arc::clone(&session.settings))
    }

    /// Notes that a worker has ended, unless another has taken its place.
    pub(super) fn worker_ended(&mut self, id: &SessionId, generation: u64) -> bool {
        let Some(session) = self.sessions.get_mut(id) else {
            return false;
        };
        let is_that = session.generation == generation && session.worker != Worker::None;
        if is_that {
            session.worker = Worker::None;
        }
        is_that
    }

    /// Returns a session of the caller.
    fn find(&mut self, id: &SessionId) -> Option<&mut Session> {
        let session = self.sessions.get_mut(id);
        session.filter(|session| asking::is_asked_by(session.owner.as_ref()))
    }

    /// Stops the workers of sessions with nothing open, forgets the sessions that were not used for
    /// too long, and finds those whose record must not expire.
    pub(super) fn sweep(&mut self, limits: &SessionLimits) -> Sweep {
        let now = Instant::now();
        let mut sweep = Sweep::default();
        self.sessions.retain(|id, session| {
            let unused = now.duration_since(session.used);
            let limit = if session.ready {
                limits.idle
            } else {
                limits.init
            };
            if session.open == 0 && unused >= limit {
                if session.worker != Worker::None {
                    sweep.stopped.push(SessionId::clone(id));
                }
                return false;
            }
            let is_used = session.open > 0 || session.used > session.renewed;
            let mut must_renew = is_used && now.duration_since(session.renewed) >= limits.idle / 4;
            if session.open == 0
                && session.ready
                && unused >= limits.park
                && session.worker != Worker::None
            {
                session.worker = Worker::None;
                sweep.stopped.push(SessionId::clone(id));
                // It may be long before it is used again.
                must_renew = is_used;
            }
            if let Some(ends) = session.ends.filter(|_| must_renew && session.ready) {
                session.renewed = now;
                sweep.to_renew.push((SessionId::clone(id), ends));
            }
            true
        });
        sweep
    }
}

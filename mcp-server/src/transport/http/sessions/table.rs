//! What is known of each session beside rmcp's worker, and which one ends when room is needed.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rmcp::model::RequestId;
use rmcp::transport::streamable_http_server::session::SessionId;
use tokio::time::Instant;

use super::{SessionLimits, SessionsError, asking};
use crate::Principal;

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
    pub(super) sweeping: bool,
}

pub(super) struct Session {
    /// Who sent `initialize`. To anybody else the session is unknown.
    owner: Option<Principal>,
    opened: Instant,
    used: Instant,
    /// Whether anything followed `initialize`.
    ready: bool,
    /// Requests and streams under way.
    open: usize,
    /// The requests among them. rmcp finds the stream for an answer by the request's id, so no two
    /// may have the same.
    running: HashSet<RequestId>,
}

/// What is under way in a session.
pub(super) enum Use {
    Initialize,
    Request(RequestId),
    Other,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Takes a place for a new session. When there is none, the session idle longest gives way,
    /// one that nothing followed first; it is removed and returned.
    pub(super) fn reserve(&mut self, max: usize) -> Result<Option<SessionId>, SessionsError> {
        let mut evicted = None;
        if self.sessions.len() + self.reserved >= max {
            let now = Instant::now();
            let idle = self.sessions.iter().filter(|(_, session)| {
                session.open == 0 && now.duration_since(session.opened) >= PROTECTED_AGE
            });
            let oldest = idle.min_by_key(|(_, session)| (session.ready, session.used));
            let Some(id) = oldest.map(|(id, _)| SessionId::clone(id)) else {
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

    /// Adds a session of the caller.
    pub(super) fn insert(&mut self, id: SessionId) {
        let now = Instant::now();
        let session = Session {
            owner: asking::principal(),
            opened: now,
            used: now,
            ready: false,
            open: 0,
            running: HashSet::new(),
        };
        self.sessions.insert(id, session);
    }

    /// Starts the time of a session anew, if it is there: a request is about to use it.
    pub(super) fn touch(&mut self, id: &SessionId) -> bool {
        self.find(id).is_some_and(|session| {
            session.used = Instant::now();
            true
        })
    }

    /// Counts a request or stream of a session.
    pub(super) fn open(&mut self, id: &SessionId, usage: &Use) -> Result<(), SessionsError> {
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
        session.ready |= !matches!(usage, Use::Initialize);
        Ok(())
    }

    /// Counts down what [`open`](Self::open) counted.
    pub(super) fn close(&mut self, id: &SessionId, usage: &Use) {
        if let Some(session) = self.sessions.get_mut(id) {
            if let Use::Request(request) = usage {
                session.running.remove(request);
            }
            session.open -= 1;
            session.used = Instant::now();
        }
    }

    /// Removes a session, if it is there.
    pub(super) fn remove(&mut self, id: &SessionId) -> bool {
        self.find(id).is_some() && self.sessions.remove(id).is_some()
    }

    /// Returns a session of the caller.
    fn find(&mut self, id: &SessionId) -> Option<&mut Session> {
        let session = self.sessions.get_mut(id);
        session.filter(|session| asking::is_asked_by(session.owner.as_ref()))
    }

    /// Removes and returns the sessions with nothing open for too long.
    pub(super) fn remove_abandoned(&mut self, limits: &SessionLimits) -> Vec<SessionId> {
        let now = Instant::now();
        let abandoned = |_: &SessionId, session: &mut Session| {
            let limit = if session.ready {
                limits.idle
            } else {
                limits.init
            };
            session.open == 0 && now.duration_since(session.used) >= limit
        };
        let abandoned = self.sessions.extract_if(abandoned);
        abandoned.map(|(id, _)| id).collect()
    }
}

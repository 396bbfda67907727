//! [`Node`]: one server, and the connection to it while there is one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use kv_core::Result;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, PushInfo, RedisError, RedisResult, Value};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use super::dial::Dial;
use super::group::Group;
use super::{Limits, policy};
use crate::error::{Failure, Kind, answer, unavailable};

/// One server. Connects when it is first asked, and again after the connection broke.
pub(crate) struct Node {
    dial: Arc<Dial>,
    limits: Limits,
    /// Whether some node of the store has been asked for its eviction policy.
    policy_checked: Arc<AtomicBool>,
    state: Mutex<State>,
    group: Group,
}

enum State {
    Closed,
    /// It is over at this time, if the runtime that it is on goes on.
    Dialing(Dialing, Instant),
    Open(Line),
}

/// An attempt to connect, for all that wait for it. It goes on when none is left.
type Dialing = Shared<BoxFuture<'static, Result<Line>>>;

/// A connection, and what is known of its health.
#[derive(Clone)]
struct Line {
    connection: MultiplexedConnection,
    health: Arc<Health>,
}

/// What is known of a connection.
struct Health {
    broken: AtomicBool,
    opened: Instant,
    /// When the first request was sent that was given up unanswered since the last answer: in
    /// milliseconds after it was opened, and one; 0 when there is none.
    abandoned: AtomicU64,
}

impl Health {
    fn new() -> Self {
        Self {
            broken: AtomicBool::new(false),
            opened: Instant::now(),
            abandoned: AtomicU64::new(0),
        }
    }

    fn answered(&self) {
        // Reads first, as all requests share this and few find it set.
        if self.abandoned.load(Ordering::Relaxed) != 0 {
            self.abandoned.store(0, Ordering::Relaxed);
        }
    }

    fn give_up(&self) {
        self.broken.store(true, Ordering::Release);
    }

    /// Tells whether to use the connection: no request was abandoned that waits for longer than
    /// `patience`.
    fn is_good(&self, patience: Duration) -> bool {
        let is_silent = || match self.abandoned.load(Ordering::Relaxed) {
            0 => false,
            since => self.opened + Duration::from_millis(since) + patience < Instant::now(),
        };
        !self.broken.load(Ordering::Acquire) && !is_silent()
    }
}

/// A request that waits for its answer. Dropped meanwhile, it is abandoned: its caller has gone.
struct Waiting<'a> {
    health: &'a Health,
    since: Option<Instant>,
}

impl<'a> Waiting<'a> {
    const fn new(health: &'a Health, since: Instant) -> Self {
        Self {
            health,
            since: Some(since),
        }
    }

    /// Ends the wait, with whatever came of it.
    fn end(mut self) {
        self.since = None;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(since) = self.since else {
            return;
        };
        let since = since.saturating_duration_since(self.health.opened);
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX - 1);
        let abandoned = &self.health.abandoned;
        // Fails when an earlier one is waiting, which counts.
        let _ = abandoned.compare_exchange(0, millis + 1, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Gives up a line when the driver drops it, which it does as it ends.
struct Alarm(Arc<Health>);

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

impl Node {
    pub(crate) fn new(dial: Dial, limits: Limits, policy_checked: Arc<AtomicBool>) -> Self {
        Self {
            dial: Arc::new(dial),
            limits,
            policy_checked,
            state: Mutex::new(State::Closed),
            group: Group::default(),
        }
    }

    /// Returns what is about to be asked together.
    pub(super) const fn group(&self) -> &Group {
        &self.group
    }

    /// Returns the way to the server, for a connection of another use.
    pub(crate) fn dial(&self) -> Arc<Dial> {
        Arc::clone(&self.dial)
    }

    /// Sends `request` once, and waits for its answer until `deadline`.
    pub(crate) async fn attempt(&self, request: &Cmd, deadline: Instant) -> Result<Value, Failure> {
        let mut line = self.line(deadline).await?;
        let (now, end) = self.window(deadline)?;
        let waiting = Waiting::new(&line.health, now);
        let sent = line.connection.send_packed_command(request);
        let result = timeout_at(end, sent).await;
        waiting.end();
        let value = received(&line, end - now, result)?;
        answer(value).inspect_err(|failure| leave(&line, failure))
    }

    /// Sends `request` once, which only reads, together with what others read in the same moment.
    pub(crate) async fn read(
        self: &Arc<Self>,
        request: &Cmd,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let (_reading, are_few) = self.group.enter();
        if !are_few
            && let Some(answer) = Group::join(self, request, deadline)
            && let Ok(answer) = answer.await
        {
            return answer;
        }
        // In a box, as it is large and mostly not needed.
        Box::pin(self.attempt(request, deadline)).await
    }

    /// Sends `requests` once, together, and waits for their answers until `deadline`.
    pub(crate) async fn attempt_all(
        &self,
        requests: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Result<Value, Failure>>, Failure> {
        let mut line = self.line(deadline).await?;
        let (now, end) = self.window(deadline)?;
        let waiting = Waiting::new(&line.health, now);
        let sent = line
            .connection
            .send_packed_commands(requests, 0, requests.len());
        let result = timeout_at(end, sent).await;
        waiting.end();
        let values = received(&line, end - now, result)?;
        let check = |value| answer(value).inspect_err(|failure| leave(&line, failure));
        Ok(values.into_iter().map(check).collect())
    }

    /// Returns the time now and until when to wait for an answer; an error when none is left.
    fn window(&self, deadline: Instant) -> Result<(Instant, Instant), Failure> {
        let now = Instant::now();
        if deadline <= now {
            let error = unavailable("no time was left to ask it", None);
            return Err(Failure::not_sent(error));
        }
        Ok((now, deadline.min(now + self.limits.response_timeout)))
    }

    /// Returns the open line, or opens one, for which it waits until `deadline`.
    async fn line(&self, deadline: Instant) -> Result<Line, Failure> {
        let dialing = match self.open_or_dialing() {
            Ok(line) => return Ok(line),
            Err(dialing) => dialing,
        };
        let Ok(dialed) = timeout_at(deadline, dialing.clone()).await else {
            let error = unavailable("it did not let itself be connected to in time", None);
            return Err(Failure::not_sent(error));
        };
        let mut state = self.state();
        if matches!(&*state, State::Dialing(current, _) if current.ptr_eq(&dialing)) {
            *state = match &dialed {
                Ok(line) => State::Open(line.clone()),
                Err(_) => State::Closed,
            };
        }
        drop(state);
        dialed.map_err(Failure::not_sent)
    }

    fn open_or_dialing(&self) -> Result<Line, Dialing> {
        let mut state = self.state();
        match &*state {
            State::Open(line) if self.is_good(line) => return Ok(line.clone()),
            State::Dialing(dialing, end) => {
                // What an attempt came to when nobody waited any more may not hold now, and one on
                // a runtime that rests comes to nothing.
                let goes_on = match dialing.clone().now_or_never() {
                    Some(Ok(line)) => self.is_good(&line),
                    Some(Err(_)) => false,
                    None => Instant::now() < *end,
                };
                if goes_on {
                    return Err(dialing.clone());
                }
            }
            State::Open(_) | State::Closed => {}
        }
        let dialing = self.dialing();
        let end = Instant::now() + self.dial.longest(self.limits.connect_timeout);
        *state = State::Dialing(dialing.clone(), end);
        Err(dialing)
    }

    /// Starts to connect, on a task of its own, so that no caller's end ends it.
    fn dialing(&self) -> Dialing {
        let (dial, limits) = (Arc::clone(&self.dial), self.limits);
        let policy_checked = Arc::clone(&self.policy_checked);
        let dialing = tokio::spawn(async move {
            let line = open(&dial, limits).await?;
            if !policy_checked.swap(true, Ordering::Relaxed) {
                let connection = line.connection.clone();
                tokio::spawn(policy::check(connection, limits.response_timeout));
            }
            Ok(line)
        });
        let dialing = dialing
            .map(|ended| ended.unwrap_or_else(|_| Err(unavailable("the runtime ends", None))));
        dialing.boxed().shared()
    }

    fn is_good(&self, line: &Line) -> bool {
        line.health.is_good(self.limits.response_timeout)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives up the line when the answer did not come: later ones may not come either.
fn received<T>(
    line: &Line,
    wait: Duration,
    result: Result<RedisResult<T>, Elapsed>,
) -> Result<T, Failure> {
    let failure = match result {
        Ok(Ok(value)) => {
            line.health.answered();
            return Ok(value);
        }
        Ok(Err(error)) => Failure::lost(error),
        Err(_) => Failure::late(wait),
    };
    line.health.give_up();
    Err(failure)
}

/// Gives up the line to a server that was made a replica, as its name, or the sentinels, may lead to
/// the new master; and one whose answers are none, as the next may be that of another request.
fn leave(line: &Line, failure: &Failure) {
    if matches!(failure.kind, Kind::ReadOnly | Kind::Lost) {
        line.health.give_up();
    }
}

async fn open(dial: &Dial, limits: Limits) -> Result<Line> {
    let health = Arc::new(Health::new());
    let alarm = Alarm(Arc::clone(&health));
    let on_push = move |_: PushInfo| -> Result<(), RedisError> {
        let _alarm = &alarm;
        Ok(())
    };
    let connection = dial.open(limits, on_push).await?;
    Ok(Line { connection, health })
}

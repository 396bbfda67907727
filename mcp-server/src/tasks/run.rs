//! [`TaskRun`]: a task that runs here, and [`Tasks`]: all of them.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kv_core::Store;
use rmcp::ErrorData;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::TaskOptions;
use super::record::{Beginning, LEASE, Outcome, Record, lease_from};
use super::running::{Running, TaskLimits};
use crate::ask::{AskError, Known};
use crate::types::{DetailedTask, InputRequest, JsonObject};

/// How often a runner looks for answers, and for the word to stop.
const LOOK: Duration = Duration::from_secs(1);

/// How long a runner waits for the store at one look.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// How long a runner waits before it writes again what its tool waits for, each time.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(600),
    Duration::from_secs(1),
];

/// The longest message that a task shows, in characters.
const MAX_MESSAGE: usize = 1000;

/// How often a question is asked whose answers cannot be read.
const TRIES: usize = 3;

/// How long a runner tries to write how its task has ended.
const PERSISTENCE: Duration = LEASE;

/// The tasks that run here.
pub(crate) struct Tasks {
    limits: TaskLimits,
    running: Mutex<Running>,
    /// Tells those that can run again elsewhere to stop, and then all others.
    pub(crate) yielding: CancellationToken,
    pub(crate) stopping: CancellationToken,
}

/// A task that runs here.
pub(crate) struct TaskRun {
    pub(super) id: String,
    pub(super) owner: String,
    runner: String,
    resume: bool,
    store: Arc<dyn Store>,
    /// What is known of the client's answers.
    known: Mutex<Known>,
    /// The known answers have changed.
    news: Notify,
    /// There is something to see in the record, or to write into it.
    due: Notify,
    pending: Mutex<Pending>,
    /// Cancelled when the task has ended, or is not to go on here.
    cancelled: CancellationToken,
}

/// What is to be written at the next look.
#[derive(Clone, Default)]
struct Pending {
    message: Option<String>,
    withdrawn: Vec<String>,
}

/// Why a task does not go on here.
enum Halt {
    Cancelled,
    /// Another runner has it, or it has run out.
    Gone,
    /// The server stops.
    Stopped,
}

impl Tasks {
    pub(crate) fn new(limits: TaskLimits) -> Self {
        Self {
            limits,
            running: Mutex::default(),
            yielding: CancellationToken::new(),
            stopping: CancellationToken::new(),
        }
    }

    /// Makes a task, which is in the store when this returns.
    pub(crate) async fn begin(
        &self,
        store: &Arc<dyn Store>,
        beginning: Beginning,
        options: &TaskOptions,
        cancelled: CancellationToken,
    ) -> Result<(Arc<TaskRun>, DetailedTask), ErrorData> {
        let known = beginning.known.clone();
        let record = Record::new(beginning, options, random_id()?, store.clock().now());
        let run = self.enter(random_id()?, &record, known, store, cancelled)?;
        if let Err(error) = record.create(&**store, &run.id).await {
            self.leave(&run);
            return Err(unusable(&error));
        }
        let task = record.to_wire(&run.id);
        Ok((run, task))
    }

    /// Takes over the task of a runner that has died. Returns the record as it is then, and the task
    /// when it is to run again here. An instance that lacks the tool, that is full or that stops
    /// leaves a task that is to run again to another.
    pub(crate) async fn take_over(
        &self,
        store: &Arc<dyn Store>,
        id: &str,
        has_tool: bool,
        cancelled: CancellationToken,
    ) -> Result<Option<(Record, Option<Arc<TaskRun>>)>, ErrorData> {
        let runner = random_id()?;
        let now = store.clock().now();
        let can_run = has_tool && !self.yielding.is_cancelled();
        let take_over = |record: &mut Record| {
            let can_run = can_run && self.has_room_for(&record.owner);
            (can_run || !record.is_to_run_again()) && record.take_over(&runner, now)
        };
        let taken = Record::change(&**store, id, take_over).await;
        let Some(record) = taken.map_err(|error| unusable(&error))? else {
            return Ok(None);
        };
        if record.outcome.is_some() {
            return Ok(Some((record, None)));
        }
        let run = self.enter(
            id.to_owned(),
            &record,
            record.known.clone(),
            store,
            cancelled,
        )?;
        Ok(Some((record, Some(run))))
    }

    fn enter(
        &self,
        id: String,
        record: &Record,
        known: Known,
        store: &Arc<dyn Store>,
        cancelled: CancellationToken,
    ) -> Result<Arc<TaskRun>, ErrorData> {
        let run = Arc::new(TaskRun {
            id,
            owner: record.owner.clone(),
            runner: record.runner.clone(),
            resume: record.resume,
            store: Arc::clone(store),
            known: Mutex::new(known),
            news: Notify::new(),
            due: Notify::new(),
            pending: Mutex::default(),
            cancelled,
        });
        let mut running = lock(&self.running);
        if self.stopping.is_cancelled() {
            let message = "the server stops; try again later";
            return Err(ErrorData::internal_error(message, None));
        }
        running.check_room(&run.owner, self.limits)?;
        running.add(&run);
        Ok(run)
    }

    /// Looks at a task at once, if it runs here.
    pub(crate) fn look(&self, id: &str) {
        if let Some(run) = lock(&self.running).get(id) {
            run.due.notify_one();
        }
    }

    fn has_room_for(&self, owner: &str) -> bool {
        lock(&self.running).check_room(owner, self.limits).is_ok()
    }

    /// Tells whether `runner` of this task is here, and so has not died, whatever the clock says.
    pub(crate) fn has(&self, id: &str, runner: &str) -> bool {
        lock(&self.running)
            .get(id)
            .is_some_and(|run| run.runner == runner)
    }

    fn leave(&self, run: &TaskRun) {
        lock(&self.running).remove(run);
    }

    /// Runs `work` as the task, to its end or as long as it may go on here.
    pub(crate) async fn run(
        &self,
        run: &TaskRun,
        work: impl Future<Output = Result<JsonObject, ErrorData>>,
    ) {
        let _leaving = Leaving { tasks: self, run };
        let halted = tokio::select! {
            biased;
            result = work => Err(result),
            () = self.stopping.cancelled() => Ok(Halt::Stopped),
            () = self.yielding.cancelled(), if run.resume => Ok(Halt::Stopped),
            halt = run.attend() => Ok(halt),
        };
        run.cancelled.cancel();
        match halted {
            Err(Ok(result)) => run.end(Outcome::Completed(result)).await,
            Err(Err(error)) => run.end(Outcome::failed(&error)).await,
            Ok(Halt::Cancelled) => run.end(Outcome::Cancelled).await,
            Ok(Halt::Stopped) => run.give_up().await,
            Ok(Halt::Gone) => {}
        }
    }
}

impl TaskRun {
    /// Asks the client by the task, and waits for the answer.
    pub(crate) async fn ask<T>(
        &self,
        key: &str,
        question: &str,
        request: &InputRequest,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, AskError> {
        for attempt in 0..TRIES {
            // A key is asked once in the life of a task. What the question is belongs to the key, so
            // that it is none that the tool has given to another.
            let key = match attempt {
                0 => key.to_owned(),
                again => format!("{key}~{again}:{question}"),
            };
            let said = match self.answer(&key, question) {
                Some(said) => said,
                None => self.wait_for(key, question, request).await?,
            };
            if let Some(answer) = read(&said) {
                return Ok(answer);
            }
        }
        Err(AskError::InvalidAnswer)
    }

    async fn wait_for(
        &self,
        key: String,
        question: &str,
        request: &InputRequest,
    ) -> Result<Value, AskError> {
        let mut open = Open {
            run: self,
            key,
            is_answered: false,
        };
        let ask = |record: &mut Record| record.ask(&open.key, question, request);
        if !self.insist(ask).await.map_err(failed)? {
            return Err(AskError::Nobody);
        }
        loop {
            let news = self.news.notified();
            if let Some(said) = self.answer(&open.key, question) {
                open.is_answered = true;
                return Ok(said);
            }
            tokio::select! {
                () = news => {}
                () = self.cancelled.cancelled() => return Err(AskError::Nobody),
            }
        }
    }

    /// Returns the id that the client knows the task by.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    fn answer(&self, key: &str, question: &str) -> Option<Value> {
        lock(&self.known).answer_to(key, question).cloned()
    }

    /// Looks whether the task is still this runner's, before work that is to be done once: a runner
    /// that was stalled for longer than its lease may have been replaced.
    ///
    /// # Errors
    ///
    /// [`AskError::Nobody`] when it is not.
    pub(crate) async fn check(&self) -> Result<(), AskError> {
        if !self.resume {
            return Ok(());
        }
        let record = Record::read(&*self.store, &self.id).await.map_err(failed)?;
        match record {
            Some(record) if record.is_run_by(&self.runner) => Ok(()),
            _ => Err(AskError::Nobody),
        }
    }

    /// Keeps what work has come to, for a run that may follow this one.
    ///
    /// # Errors
    ///
    /// [`AskError::Nobody`] when the task is not this runner's any more.
    pub(crate) async fn keep(&self, key: &str, result: &Value) -> Result<(), AskError> {
        if !self.resume {
            return Ok(());
        }
        let keep = |record: &mut Record| record.known.keep(key, result.clone());
        match self.insist(keep).await.map_err(failed)? {
            true => Ok(()),
            false => Err(AskError::Nobody),
        }
    }

    /// Shows how far the task is.
    pub(crate) fn say(&self, mut message: String) {
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
            message.truncate(end);
        }
        lock(&self.pending).message = Some(message);
    }

    /// Changes the record, unless the task is not this runner's any more.
    async fn change(&self, mut change: impl FnMut(&mut Record) + Send) -> kv_core::Result<bool> {
        let changed = Record::change(&*self.store, &self.id, |record| {
            let is_ours = record.is_run_by(&self.runner);
            if is_ours {
                change(record);
            }
            is_ours
        });
        Ok(changed.await?.is_some())
    }

    /// Changes the record as [`change`](Self::change) does, again after some pauses when the store
    /// fails for the moment. `change` must do no harm when it is done twice.
    async fn insist(&self, mut change: impl FnMut(&mut Record) + Send) -> kv_core::Result<bool> {
        for pause in PAUSES {
            match self.change(&mut change).await {
                Err(error) if error.is_retryable() || is_unknown(&error) => {
                    tracing::warn!(%error, "what a task waits for cannot be written yet");
                }
                changed => return changed,
            }
            sleep(pause).await;
        }
        self.change(change).await
    }

    /// Looks at the record again and again, until the task must not go on.
    async fn attend(&self) -> Halt {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lease_end = lease_from(self.store.clock().now());
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = self.due.notified() => {}
            }
            let after = LONGEST_LOOK;
            let look = timeout(after, self.look()).await;
            match look.unwrap_or(Err(kv_core::Error::Timeout { after })) {
                Ok(ControlFlow::Continue(end)) => lease_end = end,
                Ok(ControlFlow::Break(halt)) => return halt,
                Err(error) => {
                    tracing::warn!(%error, "a task's record cannot be read or written");
                    // Another instance may have begun to run it.
                    if self.resume && lease_end <= self.store.clock().now().as_micros() {
                        return Halt::Gone;
                    }
                }
            }
        }
    }

    /// Looks at the record, and writes what is due. Returns when the lease ends.
    async fn look(&self) -> kv_core::Result<ControlFlow<Halt, i64>> {
        let Some(record) = Record::read(&*self.store, &self.id).await? else {
            return Ok(ControlFlow::Break(Halt::Gone));
        };
        if !record.is_run_by(&self.runner) {
            return Ok(ControlFlow::Break(Halt::Gone));
        }
        if record.cancel {
            return Ok(ControlFlow::Break(Halt::Cancelled));
        }
        let now = self.store.clock().now();
        let lease = record.lease_left(now);
        *lock(&self.known) = record.known;
        self.news.notify_waiters();
        let Pending { message, withdrawn } = lock(&self.pending).clone();
        // A lease is longer after the clock was set back.
        let is_fresh = lease > LEASE * 2 / 3 && lease <= LEASE;
        if is_fresh && message.is_none() && withdrawn.is_empty() {
            return Ok(ControlFlow::Continue(record.lease_end));
        }
        let is_ours = self.change(|record| {
            record.renew(now);
            if let Some(message) = &message {
                record.say(message.clone());
            }
            for key in &withdrawn {
                record.withdraw(key);
            }
        });
        if !is_ours.await? {
            return Ok(ControlFlow::Break(Halt::Gone));
        }
        let mut pending = lock(&self.pending);
        pending.withdrawn.drain(..withdrawn.len());
        if pending.message == message {
            pending.message = None;
        }
        Ok(ControlFlow::Continue(lease_from(now)))
    }

    /// Writes how the task has ended.
    async fn end(&self, outcome: Outcome) {
        let message = lock(&self.pending).message.take();
        let mut outcome = outcome;
        let start = Instant::now();
        loop {
            let ended = self.change(|record| {
                if let Some(message) = &message {
                    record.say(message.clone());
                }
                record.end(outcome.clone());
            });
            match ended.await {
                Ok(_) => return,
                Err(kv_core::Error::TooLarge { .. }) if !matches!(outcome, Outcome::Failed(_)) => {
                    let message = "the task's result is too large to be kept";
                    outcome = Outcome::failed(&ErrorData::internal_error(message, None));
                }
                Err(error) if start.elapsed() > PERSISTENCE => {
                    tracing::error!(%error, "how a task has ended cannot be written");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "how a task has ended cannot be written yet");
                    sleep(LOOK).await;
                }
            }
        }
    }

    /// Leaves the task to another runner, or ends it.
    async fn give_up(&self) {
        let now = self.store.clock().now();
        let left = self.change(|record| record.give_up(now)).await;
        if let Err(error) = left {
            tracing::warn!(%error, "a task that does not go on cannot be given up");
        }
    }
}

/// Removes a task from those that run here, even when its work panics as it is dropped.
struct Leaving<'a> {
    tasks: &'a Tasks,
    run: &'a TaskRun,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.tasks.leave(self.run);
    }
}

/// A question that is withdrawn when its caller goes away.
struct Open<'a> {
    run: &'a TaskRun,
    key: String,
    is_answered: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            lock(&self.run.pending).withdrawn.push(self.key.clone());
            self.run.due.notify_one();
        }
    }
}

/// Tells whether a write may have been made, or not.
fn is_unknown(error: &kv_core::Error) -> bool {
    matches!(error, kv_core::Error::OutcomeUnknown { .. })
}

fn failed(error: kv_core::Error) -> AskError {
    AskError::Failed {
        source: Arc::new(error),
    }
}

/// The error of a request whose task cannot be written or read, which is the server's fault, unless
/// the client has sent too much.
pub(crate) fn unusable(error: &kv_core::Error) -> ErrorData {
    if matches!(error, kv_core::Error::TooLarge { .. }) {
        let message = "this is too large to be kept with the task";
        return ErrorData::invalid_params(message, None);
    }
    tracing::error!(error = %crate::error::chain(error), "a task cannot be kept or read");
    ErrorData::internal_error("the task cannot be kept or read", None)
}

fn random_id() -> Result<String, ErrorData> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|_| ErrorData::internal_error("the system gave no random bytes", None))?;
    Ok(bytes
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}")))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code panics while it holds one of these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for TaskRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskRun").finish_non_exhaustive()
    }
}

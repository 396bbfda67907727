//! [`Replay`]: questions to a client that is answered by ending the call, and asked by repeating it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Poll;

use futures_util::task::AtomicWaker;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{AskError, InputRequired};
use crate::tasks::TaskRun;
use crate::types::{InputRequest, InputRequests, InputResponses};

/// What one run of a component asks its client, and knows from the runs before.
///
/// A question whose answer is known is answered at once. Any other leaves the run waiting for ever:
/// [`run`] gives it up once it can go no further, the client is told all open questions, and makes
/// the call again with the answers.
#[derive(Default)]
pub(crate) struct Replay {
    round: Mutex<Round>,
    waker: AtomicWaker,
    /// The run has ended: nobody answers the tasks that it has left behind.
    over: CancellationToken,
    /// The task that the call goes on as.
    task: OnceLock<Arc<TaskRun>>,
    /// The call goes on as a task; `None` when it may not.
    is_task: Option<CancellationToken>,
}

#[derive(Default)]
struct Round {
    /// How many questions this run has asked.
    count: usize,
    /// The keys that this run has used.
    used: BTreeSet<String>,
    known: Known,
    /// The questions of this run that have no answer.
    open: BTreeMap<String, (String, InputRequest)>,
    /// How many pieces of work run that must not be given up halfway.
    working: usize,
    /// The component wants to go on as a task.
    wants_task: bool,
}

/// What is known from the runs before, and goes to the client and back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// The questions that the client was last asked, by key: what each was.
    #[serde(rename = "q")]
    asked: BTreeMap<String, String>,
    /// The answers, by key: what was asked and what was said.
    #[serde(rename = "a")]
    answers: BTreeMap<String, (String, Value)>,
    /// What work that runs once has come to, by key.
    #[serde(rename = "o", default, skip_serializing_if = "BTreeMap::is_empty")]
    results: BTreeMap<String, Value>,
    /// What the component has handed itself.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    carried: Option<Value>,
    /// What the client has said without being asked, by key, in case that this run asks it.
    #[serde(skip)]
    early: BTreeMap<String, Value>,
}

impl Known {
    /// Takes down what the client is asked.
    pub(crate) fn ask(&mut self, key: &str, question: &str) {
        self.asked.insert(key.to_owned(), question.to_owned());
    }

    /// Tells whether the client was asked this, and has not answered.
    pub(crate) fn has_asked(&self, key: &str) -> bool {
        self.asked.contains_key(key)
    }

    /// Takes back what the client was asked.
    pub(crate) fn withdraw(&mut self, key: &str) {
        self.asked.remove(key);
    }

    /// Adds the answers to what was asked. Others are answers to what the next run asks first.
    pub(crate) fn learn(&mut self, responses: InputResponses) {
        self.early.clear();
        for (key, response) in responses {
            if let Some(question) = self.asked.remove(&key) {
                self.answers.insert(key, (question, response));
            } else {
                self.early.insert(key, response);
            }
        }
    }

    /// Takes what was said early with this key as an answer to this question.
    fn expect(&mut self, key: &str, question: &str) {
        if !self.answers.contains_key(key)
            && let Some(said) = self.early.remove(key)
        {
            self.answers
                .insert(key.to_owned(), (question.to_owned(), said));
        }
    }

    /// Returns the answer with this key, if it is one to this question.
    pub(crate) fn answer_to(&self, key: &str, question: &str) -> Option<&Value> {
        let (asked, said) = self.answers.get(key)?;
        (asked == question).then_some(said)
    }

    /// Keeps what work that runs once has come to.
    pub(crate) fn keep(&mut self, key: &str, result: Value) {
        self.results.insert(key.to_owned(), result);
    }
}

impl Replay {
    pub(crate) fn new(known: Known, may_be_task: bool) -> Arc<Self> {
        let round = Round {
            known,
            ..Round::default()
        };
        Arc::new(Self {
            round: Mutex::new(round),
            is_task: may_be_task.then(CancellationToken::new),
            ..Self::default()
        })
    }

    /// Returns the answer to `request`, or waits until the run has ended, and was given up with its
    /// component unless a task of its own asks. An answer that cannot be read is none.
    pub(super) async fn ask<T>(
        &self,
        key: Option<String>,
        request: InputRequest,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, AskError> {
        let question = fingerprint(&request);
        let key = {
            let mut round = self.round();
            let key = key.unwrap_or_else(|| format!("#{}:{question}", round.count));
            round.count += 1;
            let key = round.take(key)?;
            round.known.expect(&key, &question);
            let said = round.known.answer_to(&key, &question);
            if let Some(answer) = said.and_then(&read) {
                return Ok(answer);
            }
            key
        };
        if let Some(task) = self.task() {
            return task.ask(&key, &question, &request, read).await;
        }
        let asked = (question, request);
        self.round().open.insert(key.clone(), asked);
        let open = Open { replay: self, key };
        self.waker.wake();
        self.over.cancelled().await;
        drop(open);
        Err(AskError::Nobody)
    }

    /// Returns the answer with this key, whatever was asked.
    pub(super) fn answer(&self, key: &str) -> Option<Value> {
        let round = self.round();
        round.known.answers.get(key).map(|(_, said)| said.clone())
    }

    /// Returns what the run before has handed this one.
    pub(super) fn carried(&self) -> Option<Value> {
        self.round().known.carried.clone()
    }

    /// Returns the questions that a component has made by hand, and what is to be known next.
    pub(crate) fn end_by_hand(&self, by_hand: &InputRequired) -> (InputRequests, Known) {
        let mut known = self.round().known.clone();
        known.carried.clone_from(&by_hand.carried);
        known.asked.clear();
        for (key, request) in &by_hand.requests {
            known.asked.insert(key.clone(), fingerprint(request));
        }
        (by_hand.requests.clone(), known)
    }

    /// Does `work`, unless a run before has done it, and returns what it came to.
    pub(crate) async fn once<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        work: impl Future<Output = T>,
    ) -> Result<T, AskError> {
        {
            let mut round = self.round();
            let key = round.take(key.to_owned())?;
            let result = round.known.results.get(&key);
            if let Some(result) = result.and_then(|result| T::deserialize(result).ok()) {
                return Ok(result);
            }
            round.working += 1;
        }
        let working = Working(self);
        if let Some(task) = self.task() {
            task.check().await?;
        }
        let result = work.await;
        if let Ok(value) = serde_json::to_value(&result) {
            if let Some(task) = self.task() {
                task.keep(key, &value).await?;
            }
            self.round().known.keep(key, value);
        }
        drop(working);
        Ok(result)
    }

    /// Goes on as a task, if the client takes one: returns when that is so.
    pub(crate) async fn continue_as_task(&self) {
        let Some(is_task) = self.is_task.as_ref().filter(|_| self.task().is_none()) else {
            return;
        };
        self.round().wants_task = true;
        self.waker.wake();
        tokio::select! {
            () = is_task.cancelled() => {}
            () = self.over.cancelled() => {}
        }
    }

    /// Lets the run go on as a task.
    pub(crate) fn become_task(&self, task: Arc<TaskRun>) {
        // It becomes one once.
        let _ = self.task.set(task);
        if let Some(is_task) = &self.is_task {
            is_task.cancel();
        }
    }

    /// Returns the task that the call goes on as.
    pub(crate) fn task(&self) -> Option<&Arc<TaskRun>> {
        self.task.get()
    }

    /// Returns what is known.
    pub(crate) fn known(&self) -> Known {
        self.round().known.clone()
    }

    /// Ends the run when it is dropped, after the component.
    pub(crate) fn end_with(&self) -> DropGuard {
        self.over.clone().drop_guard()
    }

    /// Tells whether the run can be given up: it has questions, and no work that must end first.
    fn is_waiting(&self) -> bool {
        let round = self.round();
        !round.open.is_empty() && round.working == 0
    }

    /// Tells whether the run is to go on as a task: what it has asked before is answered first.
    fn wants_task(&self) -> bool {
        let round = self.round();
        round.open.is_empty() && round.wants_task
    }

    /// Returns the open questions, and what is to be known in the next run.
    fn end(&self) -> (InputRequests, Known) {
        let mut round = self.round();
        let mut known = round.known.clone();
        known.asked.clear();
        let mut requests = InputRequests::new();
        for (key, (question, request)) in std::mem::take(&mut round.open) {
            known.asked.insert(key.clone(), question);
            requests.insert(key, request);
        }
        (requests, known)
    }

    fn round(&self) -> MutexGuard<'_, Round> {
        // No code panics while it holds the lock.
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Round {
    fn take(&mut self, key: String) -> Result<String, AskError> {
        if self.used.insert(key.clone()) {
            Ok(key)
        } else {
            Err(AskError::DuplicateKey { key })
        }
    }
}

/// A question that is not asked any more when its caller goes away.
struct Open<'a> {
    replay: &'a Replay,
    key: String,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.replay.round().open.remove(&self.key);
    }
}

/// Work that must end before the run is given up.
struct Working<'a>(&'a Replay);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.round().working -= 1;
        self.0.waker.wake();
    }
}

/// How far [`run`] has come.
pub(crate) enum Step<T> {
    Ended(T),
    /// It can go no further without answers: what to ask, and what the next run is to know.
    Asks(InputRequests, Known),
    /// It is to go on as a task.
    WantsTask,
}

/// Runs a component until it ends, can go no further without answers, or wants to be a task.
pub(crate) async fn run<T>(
    replay: &Replay,
    mut component: Pin<&mut (impl Future<Output = T> + ?Sized)>,
) -> Step<T> {
    poll_fn(|cx| {
        replay.waker.register(cx.waker());
        if let Poll::Ready(answer) = component.as_mut().poll(cx) {
            return Poll::Ready(Step::Ended(answer));
        }
        if replay.is_waiting() {
            // Before the component is dropped, and with it its questions.
            let (requests, known) = replay.end();
            return Poll::Ready(Step::Asks(requests, known));
        }
        if replay.wants_task() {
            return Poll::Ready(Step::WantsTask);
        }
        Poll::Pending
    })
    .await
}

/// Returns what tells a question from another: a part of its hash.
fn fingerprint(request: &InputRequest) -> String {
    let text = serde_json::to_vec(request).unwrap_or_default();
    let hash = Sha256::digest(text);
    hash[..8]
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").finish_non_exhaustive()
    }
}

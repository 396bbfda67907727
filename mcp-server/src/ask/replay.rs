//! [`Replay`]: questions to a client that is answered by ending the call, and asked by repeating it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_util::task::AtomicWaker;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{AskError, InputRequired};
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
}

impl Known {
    /// Adds the answers to what was asked. Others are ignored.
    pub(crate) fn learn(&mut self, responses: InputResponses) {
        let mut asked = std::mem::take(&mut self.asked);
        for (key, response) in responses {
            if let Some(question) = asked.remove(&key) {
                self.answers.insert(key, (question, response));
            }
        }
    }
}

impl Replay {
    pub(crate) fn new(known: Known) -> Arc<Self> {
        let round = Round {
            known,
            ..Round::default()
        };
        Arc::new(Self {
            round: Mutex::new(round),
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
        let open = {
            let mut round = self.round();
            let key = key.unwrap_or_else(|| format!("#{}:{question}", round.count));
            round.count += 1;
            let key = round.take(key)?;
            let answer = round.known.answers.get(&key);
            if let Some((_, said)) = answer.filter(|(asked, _)| *asked == question)
                && let Some(answer) = read(said)
            {
                return Ok(answer);
            }
            round.open.insert(key.clone(), (question, request));
            Open { replay: self, key }
        };
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
        let result = work.await;
        if let Ok(value) = serde_json::to_value(&result) {
            self.round().known.results.insert(key.to_owned(), value);
        }
        drop(working);
        Ok(result)
    }

    /// Tells whether the run can be given up: it has questions, and no work that must end first.
    fn is_waiting(&self) -> bool {
        let round = self.round();
        !round.open.is_empty() && round.working == 0
    }

    /// Returns the open questions, and what is to be known in the next run.
    fn end(&self) -> (InputRequests, Known) {
        let mut round = self.round();
        let mut known = round.known.clone();
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

/// Runs a component until it ends, or can go no further without answers: then returns what to ask,
/// and what the next run is to know.
pub(crate) async fn run<T>(
    replay: &Replay,
    component: impl Future<Output = T>,
) -> Result<T, (InputRequests, Known)> {
    // Dropped after the component.
    let _over = replay.over.clone().drop_guard();
    let mut component = pin!(component);
    poll_fn(|cx| {
        replay.waker.register(cx.waker());
        if let Poll::Ready(answer) = component.as_mut().poll(cx) {
            return Poll::Ready(Ok(answer));
        }
        if replay.is_waiting() {
            // Before the component is dropped, and with it its questions.
            return Poll::Ready(Err(replay.end()));
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

//! [`Record`]: what the store knows of a task.

use std::collections::BTreeSet;
use std::time::Duration;

use kv_core::{Store, StoreExt as _, Timestamp};
use rmcp::ErrorData;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::TaskOptions;
use crate::ask::Known;
use crate::types::{
    DetailedTask, InputRequest, InputRequests, InputResponses, JsonObject, Task, TaskPayload,
    TaskStatus,
};

/// Where tasks are, by their id.
const COLLECTION: &str = "mcp_tasks";

/// How long a task counts as running after its runner was last seen.
pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// How long a task is kept, at most: not all stores can hold an end that is as far as any time.
const LONGEST_TTL: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What the store knows of a task. Every change is one atomic update.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The segment of the caller that made it: nobody else learns of it.
    pub(crate) owner: String,
    pub(crate) session: Option<String>,
    pub(crate) tool: String,
    /// That of the tool, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// What its caller must be allowed to do.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) scopes: BTreeSet<String>,
    /// Of a task that may run again.
    pub(crate) arguments: JsonObject,
    /// Whether it runs again when its runner has died.
    pub(crate) resume: bool,
    /// In microseconds since 1970, as all times here.
    created: i64,
    updated: i64,
    ttl_ms: u64,
    poll_ms: u64,
    /// Who runs it, and until when it is taken to do so.
    pub(crate) runner: String,
    pub(crate) lease_end: i64,
    message: Option<String>,
    /// The questions that have no answer.
    open: InputRequests,
    pub(crate) known: Known,
    pub(crate) cancel: bool,
    pub(crate) outcome: Option<Outcome>,
}

/// How a task has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Completed(JsonObject),
    Failed(JsonObject),
    Cancelled,
}

impl Outcome {
    /// The end of a task whose runner has died.
    fn died() -> Self {
        let message = "the server that ran the task has stopped";
        Self::failed(&ErrorData::internal_error(message, None))
    }

    pub(crate) fn failed(error: &ErrorData) -> Self {
        match serde_json::to_value(error) {
            Ok(Value::Object(error)) => Self::Failed(error),
            // It has a code and a message.
            _ => Self::Failed(JsonObject::new()),
        }
    }
}

/// What a new task is made of.
pub(crate) struct Beginning {
    pub(crate) owner: String,
    pub(crate) session: Option<String>,
    pub(crate) tool: String,
    pub(crate) version: Option<String>,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) arguments: JsonObject,
    pub(crate) known: Known,
}

impl Record {
    pub(super) fn new(
        beginning: Beginning,
        options: &TaskOptions,
        runner: String,
        start: Timestamp,
    ) -> Self {
        let millis = |time: Duration| {
            let millis = time.min(LONGEST_TTL).as_millis();
            u64::try_from(millis).unwrap_or(u64::MAX).max(1)
        };
        let now = start.as_micros();
        Self {
            owner: beginning.owner,
            session: beginning.session,
            tool: beginning.tool,
            version: beginning.version,
            scopes: beginning.scopes,
            arguments: beginning.arguments,
            resume: options.resume,
            created: now,
            updated: now,
            ttl_ms: millis(options.ttl),
            poll_ms: millis(options.poll_interval),
            runner,
            lease_end: lease_from(start),
            message: None,
            open: InputRequests::new(),
            known: beginning.known,
            cancel: false,
            outcome: None,
        }
    }

    pub(super) async fn create(&self, store: &dyn Store, id: &str) -> kv_core::Result<()> {
        let ttl = Duration::from_millis(self.ttl_ms);
        store.put_value(COLLECTION, id, self, Some(ttl)).await
    }

    pub(crate) async fn read(store: &dyn Store, id: &str) -> kv_core::Result<Option<Self>> {
        match store.get_value(COLLECTION, id).await {
            Err(kv_core::Error::InvalidName { .. }) => Ok(None),
            read => read,
        }
    }

    /// Changes a task atomically, and returns it as it is then; `None` when there is none, or
    /// `change` says that it must not be changed.
    pub(crate) async fn change(
        store: &dyn Store,
        id: &str,
        mut change: impl FnMut(&mut Self) -> bool + Send,
    ) -> kv_core::Result<Option<Self>> {
        let clock = store.clock();
        // What is written keeps the expiry: a task that has run out comes back for a moment only.
        let mut left = Duration::from_millis(1);
        if let Some((_, Some(ttl))) = store.ttl(COLLECTION, id).await? {
            left = ttl.max(left);
        }
        store
            .update(COLLECTION, id, Some(left), |record: Option<Self>| {
                let mut record = record?;
                if !change(&mut record) {
                    return None;
                }
                record.updated = clock.now().as_micros();
                Some(record)
            })
            .await
    }

    /// Tells whether `runner` may go on with the task.
    pub(super) fn is_run_by(&self, runner: &str) -> bool {
        self.runner == runner && self.outcome.is_none()
    }

    pub(super) fn renew(&mut self, now: Timestamp) {
        self.lease_end = lease_from(now);
    }

    pub(super) fn say(&mut self, message: String) {
        self.message = Some(message);
    }

    pub(super) fn ask(&mut self, key: &str, asked: &str, request: &InputRequest) {
        // The answer to the question of a run before may have come in between.
        if self.known.answer_to(key, asked).is_none() {
            self.open.insert(key.to_owned(), request.clone());
            self.known.ask(key, asked);
        }
    }

    pub(super) fn withdraw(&mut self, key: &str) {
        self.open.remove(key);
        self.known.withdraw(key);
    }

    /// Takes the answers to questions that are open, or were when their runner died. Others are
    /// ignored.
    pub(crate) fn learn(&mut self, mut answers: InputResponses) {
        answers.retain(|key, _| self.open.remove(key).is_some() || self.known.has_asked(key));
        self.known.learn(answers);
    }

    pub(super) fn end(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
        self.open.clear();
        self.known = Known::default();
        self.arguments = JsonObject::new();
    }

    /// Tells whether the runner has died. Then the task has ended, or is to run again.
    pub(crate) fn is_orphaned(&self, now: Timestamp) -> bool {
        self.outcome.is_none() && self.lease_end <= now.as_micros()
    }

    pub(super) fn lease_left(&self, now: Timestamp) -> Duration {
        Timestamp::from_micros(self.lease_end).saturating_since(now)
    }

    /// Leaves the task of a runner that stops to another, or ends it.
    pub(super) fn give_up(&mut self, now: Timestamp) {
        if self.is_to_run_again() {
            self.lease_end = now.as_micros();
        } else {
            self.end_with_runner();
        }
    }

    /// Gives the task of a dead runner to another, or ends it.
    pub(super) fn take_over(&mut self, runner: &str, now: Timestamp) -> bool {
        if !self.is_orphaned(now) {
            return false;
        }
        if self.is_to_run_again() {
            runner.clone_into(&mut self.runner);
            self.renew(now);
            // The next run asks again what it still wants to know.
            self.open.clear();
        } else {
            self.end_with_runner();
        }
        true
    }

    /// Tells whether another runner goes on with the task when its own does not.
    pub(super) fn is_to_run_again(&self) -> bool {
        self.resume && !self.cancel
    }

    fn end_with_runner(&mut self) {
        self.end(if self.cancel {
            Outcome::Cancelled
        } else {
            Outcome::died()
        });
    }

    /// Returns the task as clients see it.
    pub(crate) fn to_wire(&self, id: &str) -> DetailedTask {
        let payload = match &self.outcome {
            Some(Outcome::Completed(result)) => TaskPayload::Completed {
                result: result.clone(),
            },
            Some(Outcome::Failed(error)) => TaskPayload::Failed {
                error: error.clone(),
            },
            Some(Outcome::Cancelled) => TaskPayload::Cancelled,
            None if !self.open.is_empty() => TaskPayload::InputRequired {
                input_requests: self.open.clone(),
            },
            None => TaskPayload::Working,
        };
        let time = |micros| Timestamp::from_micros(micros).to_string();
        let status = TaskStatus::Working;
        let mut task = Task::new(id, status, time(self.created), time(self.updated))
            .with_ttl_ms(self.ttl_ms)
            .with_poll_interval_ms(self.poll_ms);
        task.status_message.clone_from(&self.message);
        DetailedTask::new(task, payload)
    }
}

/// Returns when a lease ends that is given at `now`.
pub(super) fn lease_from(now: Timestamp) -> i64 {
    now.checked_add(LEASE).unwrap_or(Timestamp::MAX).as_micros()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(options: &TaskOptions) -> Record {
        let beginning = Beginning {
            owner: String::new(),
            session: None,
            tool: String::new(),
            version: None,
            scopes: BTreeSet::new(),
            arguments: JsonObject::new(),
            known: Known::default(),
        };
        Record::new(beginning, options, String::new(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_cancelled_task_is_so_when_its_server_stops_or_dies() {
        let options = TaskOptions::new();
        for options in [options.clone().resume(), options] {
            let mut stopped = record(&options);
            stopped.cancel = true;
            let mut dead = stopped.clone();
            stopped.give_up(Timestamp::UNIX_EPOCH);
            assert!(matches!(stopped.outcome, Some(Outcome::Cancelled)));
            assert!(dead.take_over("", Timestamp::MAX));
            assert!(matches!(dead.outcome, Some(Outcome::Cancelled)));
        }
    }
}

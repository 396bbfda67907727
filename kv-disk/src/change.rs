//! What waits in the queue: [`Change`]s, which share transactions, and what runs alone.

use kv_core::{Error, Result};
use tokio::sync::oneshot;

use crate::error::Fault;
use crate::transaction::Transaction;

/// An operation on the tables. It may be applied several times, until a commit succeeds, and is
/// answered once.
pub(crate) trait Change: Send {
    /// Does the operation, or its next step, and keeps the answer to itself.
    fn apply(&mut self, tables: &mut Transaction<'_>) -> Result<(), Fault>;

    /// Tells that what was applied last is committed. Answers the caller, or returns that there is
    /// another step.
    fn committed(&mut self) -> Progress;

    /// Tells the caller that the operation failed.
    fn failed(&mut self, error: Error);
}

/// Whether a change is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    AnotherStep,
}

/// A change in one step.
pub(crate) struct Single<T, F> {
    run: F,
    answer: Option<Result<T>>,
    reply: Option<oneshot::Sender<Result<T>>>,
}

impl<T, F> Single<T, F>
where
    F: FnMut(&mut Transaction<'_>) -> Result<Result<T>, Fault>,
{
    pub(crate) fn new(reply: oneshot::Sender<Result<T>>, run: F) -> Self {
        Self {
            run,
            answer: None,
            reply: Some(reply),
        }
    }
}

impl<T, F> Change for Single<T, F>
where
    T: Send,
    F: FnMut(&mut Transaction<'_>) -> Result<Result<T>, Fault> + Send,
{
    fn apply(&mut self, tables: &mut Transaction<'_>) -> Result<(), Fault> {
        self.answer = Some((self.run)(tables)?);
        Ok(())
    }

    fn committed(&mut self) -> Progress {
        if let (Some(answer), Some(reply)) = (self.answer.take(), self.reply.take()) {
            answer_with(reply, answer);
        }
        Progress::Done
    }

    fn failed(&mut self, error: Error) {
        if let Some(reply) = self.reply.take() {
            answer_with(reply, Err(error));
        }
    }
}

/// A removal in bounded steps, which counts what it removed. `P` is where the next step begins.
pub(crate) struct Steps<P, F> {
    run: F,
    position: P,
    removed: u64,
    applied: Option<(u64, Option<P>)>,
    reply: Option<oneshot::Sender<Result<u64>>>,
}

impl<P, F> Steps<P, F>
where
    F: FnMut(&mut Transaction<'_>, &P) -> Result<(u64, Option<P>), Fault>,
{
    /// Makes a removal from `position` on. Without a `reply` nobody waits for it.
    pub(crate) fn new(reply: Option<oneshot::Sender<Result<u64>>>, position: P, run: F) -> Self {
        Self {
            run,
            position,
            removed: 0,
            applied: None,
            reply,
        }
    }
}

impl<P, F> Change for Steps<P, F>
where
    P: Send,
    F: FnMut(&mut Transaction<'_>, &P) -> Result<(u64, Option<P>), Fault> + Send,
{
    fn apply(&mut self, tables: &mut Transaction<'_>) -> Result<(), Fault> {
        self.applied = Some((self.run)(tables, &self.position)?);
        Ok(())
    }

    fn committed(&mut self) -> Progress {
        if let Some((removed, next)) = self.applied.take() {
            self.removed += removed;
            if let Some(position) = next {
                self.position = position;
                return Progress::AnotherStep;
            }
        }
        if let Some(reply) = self.reply.take() {
            answer_with(reply, Ok(self.removed));
        }
        Progress::Done
    }

    fn failed(&mut self, error: Error) {
        match self.reply.take() {
            Some(reply) => answer_with(reply, Err(error)),
            None => tracing::warn!(%error, "expired entries could not be removed"),
        }
    }
}

/// Answers a caller, who may have gone: what was done stays done.
pub(crate) fn answer_with<T>(reply: oneshot::Sender<Result<T>>, answer: Result<T>) {
    let _ = reply.send(answer);
}

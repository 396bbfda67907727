//! [`Group`]: reads of many callers that are sent together.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{Cmd, Pipeline, Value};
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use tokio::task;
use tokio::time::Instant;

use super::Node;
use crate::error::Failure;

/// How many callers wait for answers of a server before more of them are sent together: below, each
/// request goes out at once.
const FEW: usize = 16;

/// How many requests are sent together. More would save little and let the first wait for the last.
const MOST: usize = 32;

/// What the callers of a server's [`Node`] are about to ask it.
///
/// Each request that is sent by itself costs the driver a channel, a timer and two wake-ups. The
/// callers that run in the same moment share them: all whose answers have come together, for one.
#[derive(Default)]
pub(crate) struct Group {
    reading: AtomicUsize,
    open: Mutex<Option<Open>>,
}

/// Requests that wait for the others of their moment.
struct Open {
    /// Where the task runs that will send them. A caller on another runtime does not wait for it,
    /// as that runtime may rest.
    runtime: runtime::Id,
    requests: Requests,
}

type Requests = Vec<(Cmd, oneshot::Sender<Result<Value, Failure>>)>;

/// An answer that will come. It fails when the runtime ends before.
pub(crate) type Answer = oneshot::Receiver<Result<Value, Failure>>;

/// A caller that waits for an answer.
pub(crate) struct Reading<'a>(&'a AtomicUsize);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Group {
    /// Counts a caller until it has its answer, and tells whether there are few.
    pub(crate) fn enter(&self) -> (Reading<'_>, bool) {
        let others = self.reading.fetch_add(1, Ordering::Relaxed);
        (Reading(&self.reading), others < FEW)
    }

    /// Adds a request to those that `node` is about to be sent. `None` when others wait on another
    /// runtime.
    pub(crate) fn join(node: &Arc<Node>, request: &Cmd, deadline: Instant) -> Option<Answer> {
        let runtime = Handle::current();
        let (sender, answer) = oneshot::channel();
        let mut slot = node.group().lock();
        let is_first = slot.is_none();
        let open = slot.get_or_insert_with(|| Open {
            runtime: runtime.id(),
            requests: Vec::with_capacity(MOST),
        });
        if open.runtime != runtime.id() {
            return None;
        }
        open.requests.push((request.clone(), sender));
        let full = (open.requests.len() >= MOST).then(|| mem::take(&mut open.requests));
        drop(slot);
        if let Some(requests) = full {
            runtime.spawn(send(Arc::clone(node), requests, deadline));
        }
        if is_first {
            let turn = Turn(Some(Arc::clone(node)));
            runtime.spawn(async move {
                // Whoever is ready to run asks before this goes on.
                task::yield_now().await;
                if let Some((node, requests)) = turn.take() {
                    send(node, requests, deadline).await;
                }
            });
        }
        Some(answer)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        // No code panics while it holds the lock.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever has it closes the group, at the latest when it is dropped: the runtime ends.
struct Turn(Option<Arc<Node>>);

impl Turn {
    fn take(mut self) -> Option<(Arc<Node>, Requests)> {
        let node = self.0.take()?;
        let open = node.group().lock().take()?;
        Some((node, open.requests))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(node) = self.0.take() {
            let open = node.group().lock().take();
            drop(open);
        }
    }
}

/// Sends requests together, and hands out the answers.
async fn send(node: Arc<Node>, mut requests: Requests, deadline: Instant) {
    requests.retain(|(_, asker)| !asker.is_closed());
    if requests.is_empty() {
        return;
    }
    let mut pipeline = Pipeline::with_capacity(requests.len());
    let mut askers = Vec::with_capacity(requests.len());
    for (request, asker) in requests {
        pipeline.add_command(request);
        askers.push(asker);
    }
    let answers = match node.attempt_all(&pipeline, deadline).await {
        Ok(answers) => answers,
        Err(failure) => vec![Err(failure); askers.len()],
    };
    for (asker, answer) in askers.into_iter().zip(answers) {
        // Fails when the caller has gone.
        let _ = asker.send(answer);
    }
}

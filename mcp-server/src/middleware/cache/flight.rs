//! [`Flights`]: calls that are made once for all who make them at the same time.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::middleware::{Answer, CallError};

/// What a call has come to, for those who have waited for it.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Answer(Box<Answer>),
    Error(Arc<CallError>),
    /// It is for the one who has made it, and no other.
    Alone,
}

/// The calls under way.
#[derive(Default)]
pub(super) struct Flights {
    calls: Mutex<HashMap<String, Flight>>,
}

struct Flight {
    /// How often something had been taken out of the cache when it was begun.
    count: u64,
    outcome: watch::Receiver<Option<Outcome>>,
    id: Arc<()>,
}

/// Who makes a call, and who waits for it.
pub(super) enum Role {
    Leader(Lead),
    Follower(watch::Receiver<Option<Outcome>>),
}

impl Flights {
    /// Joins the call of this key, if it is still good, or begins one.
    pub(super) fn join(
        self: &Arc<Self>,
        key: &str,
        count: u64,
        good: impl Fn(u64) -> bool,
    ) -> Role {
        let mut calls = self.calls();
        if let Some(flight) = calls.get(key).filter(|flight| good(flight.count)) {
            return Role::Follower(flight.outcome.clone());
        }
        let (tell, outcome) = watch::channel(None);
        let id = Arc::new(());
        let flight = Flight {
            count,
            outcome,
            id: Arc::clone(&id),
        };
        calls.insert(key.to_owned(), flight);
        Role::Leader(Lead {
            flights: Arc::clone(self),
            key: key.to_owned(),
            id,
            tell,
        })
    }

    /// Tells whether a call of this key is under way.
    pub(super) fn is_under_way(&self, key: &str) -> bool {
        self.calls().contains_key(key)
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<String, Flight>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one who makes a call. Without a word of it, those who wait make it themselves.
pub(super) struct Lead {
    flights: Arc<Flights>,
    key: String,
    id: Arc<()>,
    tell: watch::Sender<Option<Outcome>>,
}

impl Lead {
    pub(super) fn end(self, outcome: Outcome) {
        self.tell.send_replace(Some(outcome));
    }

    /// Tells whether others wait for the outcome, by now.
    pub(super) fn has_followers(&self) -> bool {
        // One is the table's.
        self.tell.receiver_count() > 1
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let mut calls = self.flights.calls();
        let is_this = |flight: &Flight| Arc::ptr_eq(&flight.id, &self.id);
        if calls.get(&self.key).is_some_and(is_this) {
            calls.remove(&self.key);
        }
    }
}

/// Waits for what a call comes to; `None` when nothing is said of it.
pub(super) async fn outcome(mut flight: watch::Receiver<Option<Outcome>>) -> Option<Outcome> {
    let outcome = flight.wait_for(Option::is_some).await.ok()?;
    outcome.clone()
}

/// Runs in the place of its caller, and goes on by itself when that leaves: what it asks of the client
/// is asked in the client's own request.
pub(super) struct Outliving<T: Send + 'static>(Option<BoxFuture<'static, T>>);

impl<T: Send + 'static> Outliving<T> {
    pub(super) fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl<T: Send + 'static> Future for Outliving<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(work) = &mut self.0 else {
            return Poll::Pending;
        };
        let done = work.as_mut().poll(cx);
        if done.is_ready() {
            self.0 = None;
        }
        done
    }
}

impl<T: Send + 'static> Drop for Outliving<T> {
    fn drop(&mut self) {
        if let Some(work) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(work);
        }
    }
}

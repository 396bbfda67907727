//! [`FaultStore`]: a store that fails, waits or loses its answer when a test wants it to.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::wrappers::Operation;
use crate::wrappers::forward::forward;
use crate::{
    Change, CollectionPage, Entry, Error, KeyPage, KeyQuery, PutMode, Result, Revision, Store,
    Watch,
};

/// Counts the calls of a store, and lets those fail that a test chooses.
///
/// Without faults it passes everything on. Clones share faults and counts.
///
/// # Examples
///
/// ```
/// use kv_core::conformance::{Fault, FaultStore};
/// use kv_core::wrappers::Operation;
/// use kv_core::{Error, Store, StoreExt};
/// use kv_memory::MemoryStore;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let store = FaultStore::new(MemoryStore::new());
/// store.inject(Fault::outcome_unknown().on(Operation::Put).after(1));
/// let put = async |key| store.put_value("notes", key, &serde_json::json!({}), None).await;
/// assert!(put("a").await.is_ok());
/// assert!(matches!(put("b").await, Err(Error::OutcomeUnknown { .. })));
/// assert!(matches!(store.get("notes", "b").await, Ok(Some(_))));
/// assert_eq!(store.calls(Operation::Put), 2);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FaultStore<S> {
    inner: S,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<Operation>,
    faults: Vec<Fault>,
    /// Those who watch; `None` when nobody can.
    watchers: Option<Vec<UnboundedSender<Change>>>,
}

impl<S> FaultStore<S> {
    /// Makes a form of `inner` that has no faults yet.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            state: Arc::default(),
        }
    }

    /// Adds a fault. Where several concern one call all of them act: first those that wait.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Lets the store be watched, for changes that a test makes up: see [`tell`](Self::tell).
    #[must_use]
    pub fn watchable(self) -> Self {
        self.state().watchers.get_or_insert_default();
        self
    }

    /// Tells `change` to those who watch now.
    pub fn tell(&self, change: &Change) {
        let mut state = self.state();
        let watchers = state.watchers.iter_mut().flatten();
        watchers.for_each(|watcher| drop(watcher.send(change.clone())));
    }

    /// Removes all faults. Calls that are held stay so.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Returns how often `operation` was called so far, dropped and failed calls included.
    #[must_use]
    pub fn calls(&self, operation: Operation) -> usize {
        let state = self.state();
        let calls = state.calls.iter().filter(|call| **call == operation);
        calls.count()
    }

    /// Returns how often any operation was called so far.
    #[must_use]
    pub fn all_calls(&self) -> usize {
        self.state().calls.len()
    }

    /// Breaks bulk operations into single ones, each with the faults of its own kind, as a backend
    /// without bulk calls does.
    #[must_use]
    pub fn without_bulk(self) -> WithoutBulk<Self> {
        WithoutBulk { inner: self }
    }

    /// Counts a call, and returns what is to become of it.
    fn plan(&self, operation: Operation) -> Plan {
        let mut state = self.state();
        state.calls.push(operation);
        let mut plan = Plan::default();
        for fault in &mut state.faults {
            fault.add_to(&mut plan, operation);
        }
        plan
    }

    async fn call<T>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let plan = self.plan(operation);
        if !plan.delay.is_zero() {
            tokio::time::sleep(plan.delay).await;
        }
        if plan.pauses {
            tokio::task::yield_now().await;
        }
        if let Some(error) = plan.refusal {
            return Err(error);
        }
        let result = work.await;
        if plan.pauses {
            tokio::task::yield_now().await;
        }
        if plan.holds {
            std::future::pending::<()>().await;
        }
        match plan.lost {
            Some(error) => Err(error),
            None => result,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for FaultStore<S> {
    forward!(clock, info);

    fn watch(&self, prefix: &str) -> Result<Watch> {
        let (sender, receiver) = unbounded_channel();
        let mut state = self.state();
        let watchers = state.watchers.as_mut().ok_or(Error::Unsupported {
            what: "watching for changes",
        })?;
        watchers.push(sender);
        let prefix = prefix.to_owned();
        let told = stream::unfold(receiver, |mut receiver| async {
            Some((receiver.recv().await?, receiver))
        });
        let told = told.filter(move |change| {
            let is_inside = match change {
                Change::Entry { collection, .. } => collection.starts_with(&prefix),
                Change::Watching | Change::Lost => true,
            };
            std::future::ready(is_inside)
        });
        let begun = stream::once(std::future::ready(Change::Watching));
        Ok(begun.chain(told).boxed())
    }

    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let work = self.inner.get(collection, key);
        self.call(Operation::Get, work).await
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let work = self.inner.get_fresh(collection, key);
        self.call(Operation::GetFresh, work).await
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        let work = self.inner.put(collection, key, entry, mode);
        self.call(Operation::Put, work).await
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        let work = self.inner.delete(collection, key);
        self.call(Operation::Delete, work).await
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let work = self.inner.take(collection, key);
        self.call(Operation::Take, work).await
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        let work = self.inner.get_many(collection, keys);
        self.call(Operation::GetMany, work).await
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        let work = self.inner.put_many(collection, entries);
        self.call(Operation::PutMany, work).await
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        let work = self.inner.delete_many(collection, keys);
        self.call(Operation::DeleteMany, work).await
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        let work = self.inner.keys(collection, query);
        self.call(Operation::Keys, work).await
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        let work = self.inner.collections(query);
        self.call(Operation::Collections, work).await
    }

    async fn cull(&self) -> Result<u64> {
        self.call(Operation::Cull, self.inner.cull()).await
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        let work = self.inner.clear(collection);
        self.call(Operation::Clear, work).await
    }

    async fn destroy(&self) -> Result<()> {
        self.call(Operation::Destroy, self.inner.destroy()).await
    }

    async fn flush(&self) -> Result<()> {
        self.call(Operation::Flush, self.inner.flush()).await
    }
}

/// What goes wrong, in which operation, and how often. Default: once, in the next call of any
/// operation.
///
/// `Debug` shows no key and no value.
#[derive(Clone, Debug)]
pub struct Fault {
    kind: Kind,
    operation: Option<Operation>,
    /// How many calls go well before the next one fails.
    well: usize,
    every: usize,
    times: usize,
}

#[derive(Clone, Debug)]
enum Kind {
    Refuse(Error),
    Lose(Error),
    Delay(Duration),
    Pause,
    Hold,
}

impl Fault {
    /// Fails with `error`, without asking the store.
    #[must_use]
    pub const fn refuse(error: Error) -> Self {
        Self::new(Kind::Refuse(error))
    }

    /// Does the work, and then fails with `error`: the answer is lost.
    #[must_use]
    pub const fn lose(error: Error) -> Self {
        Self::new(Kind::Lose(error))
    }

    /// Fails with [`Error::Unavailable`], without asking the store.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::refuse(Error::Unavailable {
            store: "fault",
            reason: "a test broke it".to_owned(),
            source: None,
        })
    }

    /// Does the work, and then fails with [`Error::OutcomeUnknown`].
    #[must_use]
    pub const fn outcome_unknown() -> Self {
        Self::lose(Error::OutcomeUnknown {
            store: "fault",
            source: None,
        })
    }

    /// Waits for `delay` of tokio's time, and then asks the store.
    #[must_use]
    pub const fn delay(delay: Duration) -> Self {
        Self::new(Kind::Delay(delay))
    }

    /// Lets other tasks run before and after the work, so that the call can be dropped there.
    #[must_use]
    pub const fn pause() -> Self {
        Self::new(Kind::Pause)
    }

    /// Does the work, and then never answers.
    #[must_use]
    pub const fn hold() -> Self {
        Self::new(Kind::Hold)
    }

    /// Sets the operation that it concerns. Default: all.
    #[must_use]
    pub const fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Sets how many of the calls that it concerns go well first. Default: 0.
    #[must_use]
    pub const fn after(mut self, calls: usize) -> Self {
        self.well = calls;
        self
    }

    /// Lets it befall only each n-th of the calls that it concerns, without end. Default: 1, each.
    #[must_use]
    pub const fn every(mut self, n: usize) -> Self {
        self.every = n;
        self.always()
    }

    /// Sets how many calls it befalls. Default: 1.
    #[must_use]
    pub const fn times(mut self, calls: usize) -> Self {
        self.times = calls;
        self
    }

    /// Lets it befall each call, until [`FaultStore::heal`].
    #[must_use]
    pub const fn always(self) -> Self {
        self.times(usize::MAX)
    }

    const fn new(kind: Kind) -> Self {
        Self {
            kind,
            operation: None,
            well: 0,
            every: 1,
            times: 1,
        }
    }

    /// Adds to what becomes of a call of `operation`, if the fault befalls it.
    fn add_to(&mut self, plan: &mut Plan, operation: Operation) {
        if self.operation.is_some_and(|only| only != operation) {
            return;
        }
        if self.well > 0 {
            self.well -= 1;
            return;
        }
        if self.times == 0 {
            return;
        }
        self.times -= 1;
        self.well = self.every.saturating_sub(1);
        match &self.kind {
            Kind::Refuse(error) => plan.refusal = Some(error.clone()),
            Kind::Lose(error) => plan.lost = Some(error.clone()),
            Kind::Delay(delay) => plan.delay += *delay,
            Kind::Pause => plan.pauses = true,
            Kind::Hold => plan.holds = true,
        }
    }
}

/// What becomes of one call.
#[derive(Default)]
struct Plan {
    delay: Duration,
    pauses: bool,
    refusal: Option<Error>,
    holds: bool,
    lost: Option<Error>,
}

/// Does bulk operations one by one: see [`FaultStore::without_bulk`].
#[derive(Clone, Debug)]
pub struct WithoutBulk<S> {
    inner: S,
}

#[async_trait]
impl<S: Store> Store for WithoutBulk<S> {
    forward!(
        get,
        get_fresh,
        put,
        delete,
        take,
        keys,
        collections,
        cull,
        clear,
        destroy,
        flush,
        watch,
        clock,
        info
    );
}

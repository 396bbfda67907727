//! [`Probe`]: a reference store that notes its calls, and can be held, broken or scripted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use kv_core::{
    Clock, CollectionPage, Entry, Error, KeyPage, KeyQuery, ManualClock, PutMode, Result, Revision,
    Store, StoreInfo, Watch,
};
use tokio::sync::watch;

use crate::support::ReferenceStore;

/// What a call does once its work is done.
#[derive(Clone, Debug)]
pub(crate) enum After {
    Return,
    /// Waits until [`Probe::release`].
    Hold,
    Fail(Error),
    Panic,
    /// Panics in a get before it has returned its future.
    PanicAtOnce,
}

/// Does what the reference store does, and then what the test wants.
#[derive(Debug)]
pub(crate) struct Probe {
    store: ReferenceStore,
    pub(crate) clock: Arc<ManualClock>,
    calls: Mutex<Vec<&'static str>>,
    pages: Mutex<VecDeque<Result<KeyPage>>>,
    after: Mutex<watch::Sender<After>>,
}

/// Holds calls until it is dropped.
pub(crate) struct Gate(watch::Sender<After>);

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.send_replace(After::Return);
    }
}

impl Probe {
    pub(crate) fn new() -> Arc<Self> {
        let clock = Arc::new(ManualClock::starting_now());
        Arc::new(Self {
            store: ReferenceStore::new(Arc::clone(&clock)),
            clock,
            calls: Mutex::default(),
            pages: Mutex::default(),
            after: Mutex::new(watch::Sender::new(After::Return)),
        })
    }

    /// Sets what each call does after its work, those that are held now too.
    pub(crate) fn then(&self, after: After) {
        self.after.lock().unwrap().send_replace(after);
    }

    /// Lets calls from now on return; those that are held stay so until the gate is dropped.
    pub(crate) fn hold_these(&self) -> Gate {
        let next = watch::Sender::new(After::Return);
        Gate(std::mem::replace(&mut *self.after.lock().unwrap(), next))
    }

    /// Lets the calls that are held go on, and holds no more.
    pub(crate) fn release(&self) {
        self.then(After::Return);
    }

    /// Sets the pages that `keys` returns before it asks the store.
    pub(crate) fn script_keys(&self, pages: impl IntoIterator<Item = Result<KeyPage>>) {
        self.pages.lock().unwrap().extend(pages);
    }

    /// Returns the names of the operations called since the last time.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    fn note(&self, operation: &'static str) {
        self.calls.lock().unwrap().push(operation);
    }

    async fn finish<T>(&self, result: Result<T>) -> Result<T> {
        let mut after = self.after.lock().unwrap().subscribe();
        let decided = |after: &After| !matches!(after, After::Hold);
        let after = after.wait_for(decided).await.unwrap().clone();
        match after {
            After::Fail(error) => Err(error),
            After::Panic => panic!("as the test told it"),
            After::Return | After::Hold | After::PanicAtOnce => result,
        }
    }
}

/// Notes the call, makes it, and finishes as the test wants.
macro_rules! probe {
    ($self:ident.$method:ident($($arg:expr),*)) => {{
        $self.note(stringify!($method));
        let result = $self.store.$method($($arg),*).await;
        $self.finish(result).await
    }};
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Store for Probe {
    // As `async_trait` writes it, to be able to panic outside the future.
    fn get<'s, 'c, 'k, 'f>(
        &'s self,
        collection: &'c str,
        key: &'k str,
    ) -> BoxFuture<'f, Result<Option<Entry>>>
    where
        's: 'f,
        'c: 'f,
        'k: 'f,
        Self: 'f,
    {
        let after = self.after.lock().unwrap().borrow().clone();
        assert!(!matches!(after, After::PanicAtOnce), "as the test told it");
        Box::pin(async move { probe!(self.get(collection, key)) })
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        probe!(self.get_fresh(collection, key))
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        probe!(self.put(collection, key, entry, mode))
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        probe!(self.delete(collection, key))
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        probe!(self.take(collection, key))
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        probe!(self.get_many(collection, keys))
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        probe!(self.put_many(collection, entries))
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        probe!(self.delete_many(collection, keys))
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        let scripted = self.pages.lock().unwrap().pop_front();
        if let Some(page) = scripted {
            return page;
        }
        probe!(self.keys(collection, query))
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        probe!(self.collections(query))
    }

    async fn cull(&self) -> Result<u64> {
        probe!(self.cull())
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        probe!(self.clear(collection))
    }

    async fn destroy(&self) -> Result<()> {
        probe!(self.destroy())
    }

    async fn flush(&self) -> Result<()> {
        probe!(self.flush())
    }

    fn watch(&self, prefix: &str) -> Result<Watch> {
        self.note("watch");
        self.store.watch(prefix)
    }

    fn clock(&self) -> &dyn Clock {
        self.store.clock()
    }

    fn info(&self) -> StoreInfo {
        StoreInfo::new("probe").with_max_value_bytes(Some(1000))
    }
}

//! [`SingleFlight`]: a store that reads a key once for all who ask at the same time.

use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use super::forward::forward;
use crate::{Entry, Error, PutMode, Result, Revision, Store};

/// How many flights there are at the same time when no number is set.
const DEFAULT_MAX_FLIGHTS: usize = 10_000;

/// Lets concurrent [`get`](Store::get)s of one key share one read of the store, a *flight*.
///
/// All who share a flight get its result, an error too. When the one who began it is cancelled, the
/// others carry it on; when it panics, all get [`Error::Backend`]. Other reads are passed on,
/// [`get_fresh`](Store::get_fresh) too.
///
/// A get may return what was live at any time since its flight began. It sees every write that
/// finished through this wrapper before it started: a get that starts after such a write never
/// joins a flight begun before. Of a write by another process, or past this wrapper, it may miss
/// the last moments.
///
/// Clones share their flights. So make one, and clone it or wrap it further, rather than one for
/// each request.
///
/// # Examples
///
/// ```
/// use kv_core::{Store, StoreExt};
/// use kv_memory::MemoryStore;
/// use serde_json::json;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kv_core::Result<()> {
/// let store = MemoryStore::new().single_flight();
/// store.put_value("notes", "todo", &json!({ "n": 1 }), None).await?;
/// // At most one read of the store inside.
/// let (a, b) = tokio::join!(store.get("notes", "todo"), store.get("notes", "todo"));
/// assert_eq!(a?, b?);
/// # Ok(())
/// # }
/// ```
pub struct SingleFlight<S> {
    inner: Arc<S>,
    flights: Arc<Flights>,
}

impl<S> SingleFlight<S> {
    /// Shares the reads of `inner`.
    pub fn new(inner: S) -> Self {
        Self {
            inner: Arc::new(inner),
            flights: Arc::new(Flights::new(DEFAULT_MAX_FLIGHTS)),
        }
    }

    /// Sets how many flights there are at the same time; a get beyond them goes to the store by
    /// itself. Default: 10,000. The flights so far are not shared with the result.
    #[must_use]
    pub fn with_max_flights(mut self, max: usize) -> Self {
        self.flights = Arc::new(Flights::new(max));
        self
    }
}

impl<S> SingleFlight<S> {
    pub(super) const fn flights(&self) -> &Arc<Flights> {
        &self.flights
    }

    /// Shares the reads of `inner`, another form of the same store, with those of this one.
    pub(super) fn with_inner(&self, inner: S) -> Self {
        Self {
            inner: Arc::new(inner),
            flights: Arc::clone(&self.flights),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for SingleFlight<S> {
    forward!(
        get_fresh,
        get_many,
        keys,
        collections,
        cull,
        flush,
        watch,
        clock,
        info
    );

    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let Some(flight) = self.flights.join_or_begin(&self.inner, collection, key) else {
            return self.inner.get(collection, key).await;
        };
        let entry = flight.await?;
        // The read may be older than this call, and the entry may have ended in between.
        Ok(entry.filter(|entry| !entry.is_expired(self.clock().now())))
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        let _forget = self.flights.forget_after(Scope::Key(collection, key));
        self.inner.put(collection, key, entry, mode).await
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        let _forget = self.flights.forget_after(Scope::Key(collection, key));
        self.inner.delete(collection, key).await
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let _forget = self.flights.forget_after(Scope::Key(collection, key));
        self.inner.take(collection, key).await
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        let _forget = self.flights.forget_after(Scope::Collection(collection));
        self.inner.put_many(collection, entries).await
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        let _forget = self.flights.forget_after(Scope::Collection(collection));
        self.inner.delete_many(collection, keys).await
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        let _forget = self.flights.forget_after(Scope::Collection(collection));
        self.inner.clear(collection).await
    }

    async fn destroy(&self) -> Result<()> {
        let _forget = self.flights.forget_after(Scope::All);
        self.inner.destroy().await
    }
}

impl<S> Clone for SingleFlight<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            flights: Arc::clone(&self.flights),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for SingleFlight<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight")
            .field("inner", &self.inner)
            .field("max_flights", &self.flights.max)
            .finish_non_exhaustive()
    }
}

/// A read under way. Whoever waits for it drives it.
type Flight = Shared<BoxFuture<'static, Result<Option<Entry>>>>;

/// The flights that a get may join.
pub(super) struct Flights {
    max: usize,
    table: Mutex<Table>,
}

/// Flights by collection and key.
///
/// It holds them weakly: a flight that nobody waits for any more is dropped and begins no later get
/// with an old answer. No flight may be dropped while the table is locked, as it locks the table in
/// turn ([`Landing`]).
#[derive(Default)]
struct Table {
    by_collection: HashMap<String, HashMap<String, (u64, WeakFlight)>>,
    len: usize,
    last_id: u64,
}

type WeakFlight = WeakShared<BoxFuture<'static, Result<Option<Entry>>>>;

impl Flights {
    fn new(max: usize) -> Self {
        Self {
            max,
            table: Mutex::default(),
        }
    }

    /// Returns the flight of `key`, a new one when there is none; `None` when there are too many.
    fn join_or_begin<S: Store>(
        self: &Arc<Self>,
        inner: &Arc<S>,
        collection: &str,
        key: &str,
    ) -> Option<Flight> {
        let mut table = self.lock();
        if let Some(flight) = table.find(collection, key) {
            return Some(flight);
        }
        if table.len >= self.max {
            return None;
        }
        let landing = Landing {
            flights: Arc::clone(self),
            id: table.last_id + 1,
            collection: collection.to_owned(),
            key: key.to_owned(),
        };
        let inner = Arc::clone(inner);
        let flight = async move {
            // The call itself may panic too, before it returns its future.
            let read = async { inner.get(&landing.collection, &landing.key).await };
            let result = AssertUnwindSafe(read).catch_unwind().await;
            result.unwrap_or_else(|_| Err(Error::backend(inner.info().name, "get", Panicked)))
        };
        let flight = flight.boxed().shared();
        if let Some(weak) = flight.downgrade() {
            table.add(collection, key, weak);
        }
        Some(flight)
    }

    /// Ends the joining of the flight of `key`.
    pub(super) fn forget(&self, collection: &str, key: &str) {
        drop(self.forget_after(Scope::Key(collection, key)));
    }

    /// Ends the joining of flights in `scope` when the guard is dropped: after a write, whether it
    /// succeeded, failed or was cancelled.
    fn forget_after<'a>(&'a self, scope: Scope<'a>) -> Forget<'a> {
        Forget {
            flights: self,
            scope,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn find(&self, collection: &str, key: &str) -> Option<Flight> {
        let (_, flight) = self.by_collection.get(collection)?.get(key)?;
        flight.upgrade()
    }

    fn add(&mut self, collection: &str, key: &str, flight: WeakFlight) {
        self.last_id += 1;
        let flights = self.by_collection.entry(collection.to_owned()).or_default();
        // A flight that was dropped may not have left the table yet.
        let replaced = flights.insert(key.to_owned(), (self.last_id, flight));
        self.len += usize::from(replaced.is_none());
    }

    /// Removes the flight of `key` if it has the given id, or whatever its id is.
    fn remove(&mut self, collection: &str, key: &str, id: Option<u64>) {
        let Some(flights) = self.by_collection.get_mut(collection) else {
            return;
        };
        let Some((found, _)) = flights.get(key) else {
            return;
        };
        if id.is_none_or(|id| id == *found) {
            flights.remove(key);
            self.len -= 1;
        }
        if flights.is_empty() {
            self.by_collection.remove(collection);
        }
    }
}

/// Part of each flight: takes it off the table when it ends or is dropped.
struct Landing {
    flights: Arc<Flights>,
    id: u64,
    collection: String,
    key: String,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut table = self.flights.lock();
        table.remove(&self.collection, &self.key, Some(self.id));
    }
}

/// Which flights a write makes stale.
enum Scope<'a> {
    Key(&'a str, &'a str),
    Collection(&'a str),
    All,
}

/// Takes the flights of a scope off the table when it is dropped. They go on for those who wait.
struct Forget<'a> {
    flights: &'a Flights,
    scope: Scope<'a>,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let mut table = self.flights.lock();
        match self.scope {
            Scope::Key(collection, key) => table.remove(collection, key, None),
            Scope::Collection(collection) => {
                let removed = table.by_collection.remove(collection);
                table.len -= removed.map_or(0, |flights| flights.len());
            }
            Scope::All => {
                table.by_collection.clear();
                table.len = 0;
            }
        }
    }
}

/// What those get whose flight panicked.
#[derive(Debug, thiserror::Error)]
#[error("the read panicked")]
struct Panicked;

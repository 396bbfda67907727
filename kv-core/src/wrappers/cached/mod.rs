//! [`Cached`]: a store whose reads are kept in a nearer one.

mod fills;
mod listener;
mod loader;
mod record;
mod reloads;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::listener::Listener;
use self::loader::{Known, Loader, Times};
use self::reloads::Reloads;
use super::SingleFlight;
use super::forward::forward;
use crate::{Entry, Result, Store, name};

/// How long a copy is used when no time is set: 30 minutes.
const DEFAULT_MAX_TTL: Duration = Duration::from_secs(30 * 60);

/// Keeps copies of what is read from a store in a nearer one, `local`.
///
/// A get that finds no copy loads the entry, once for all who ask at the same time, and keeps it
/// until its own end or for 30 minutes ([`with_max_ttl`](Self::with_max_ttl)). Writes,
/// [`get_fresh`](Store::get_fresh) and listings go to the store; each write drops the copy,
/// whatever its outcome, and what was read meanwhile is not kept. `clear` and `destroy` drop all
/// copies. So a caller never reads what was there before a write through this wrapper or a clone
/// of it had returned. `get_fresh` drops the copy too, unless the store did not answer: no later
/// get is older than what it returned. An error is never kept, and a failure of `local` is a miss.
///
/// A write that was cancelled or has an [unknown outcome](crate::Error::OutcomeUnknown) may be
/// applied later, after its copy was dropped. It is then seen as a write by others is.
///
/// # Writes by others
///
/// A store that can be [watched](Store::watch), as Redis can, tells what other processes write, and
/// the copy is dropped within milliseconds. A task on the runtime of the first get listens, until
/// the last clone is dropped. It hears nothing while that runtime's threads are blocked, nor on a
/// runtime of one thread while a loop of gets that all find copies never yields. While changes are
/// known to go unseen, as when the connection is lost, no copy is used or kept, and afterwards all
/// are forgotten.
///
/// With any other store, a write by another process or past this wrapper is seen only when the copy
/// ends.
///
/// # What must not be cached
///
/// - What has one winner: tokens to take, authorization codes, locks, counters that decide. Take
///   them from the store itself, whose conditional writes pass through this wrapper unchanged.
/// - Credentials that another process may revoke, unless the store can be watched and about
///   3 seconds are soon enough. So long goes a cut of the connection unnoticed of which no end is
///   told, with `kv-redis`'s defaults: 1 second of silence, and its `response_timeout` of 2 seconds.
/// - Secrets, where `local` is less protected than the store. `FernetStore::new(store.cached(local),
///   keys)` keeps ciphertext; `FernetStore::new(store, keys).cached(local)` keeps plaintext.
///
/// # The local store
///
/// It belongs to one `Cached` alone, as it holds records of its own form under the same names, and
/// goes by the same clock as the store. Bound it, as copies are removed only when they end:
/// `MemoryStore::builder().capacity(10_000)`. Copies count only for the `Cached` that made them and
/// its clones, so one that is persistent starts cold.
///
/// It must apply the writes of a key in the order in which they began, also those whose caller has
/// gone, as a store in memory or on a disk does: a put that lands after a later delete would be an
/// old copy. Gets and writes wait for it, so give one that may hang a [`Timeout`](super::Timeout).
///
/// # Examples
///
/// ```
/// use kv_core::{Store, StoreExt};
/// use kv_memory::MemoryStore;
/// use serde_json::json;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kv_core::Result<()> {
/// let far = MemoryStore::new();
/// let store = far.clone().cached(MemoryStore::new());
/// store.put_value("notes", "todo", &json!({ "n": 1 }), None).await?;
/// let loaded = store.get("notes", "todo").await?;
/// // Past the wrapper, so the copy still answers.
/// far.delete("notes", "todo").await?;
/// assert_eq!(store.get("notes", "todo").await?, loaded);
/// # Ok(())
/// # }
/// ```
pub struct Cached<S, L> {
    loader: Loader<S, L>,
    inner: SingleFlight<Loader<S, L>>,
    listener: Arc<Listener>,
    reloads: Arc<Reloads>,
}

impl<S: Store, L: Store> Cached<S, L> {
    /// Keeps copies of what is read from `inner` in `local`.
    pub fn new(inner: S, local: L) -> Self {
        let times = Times {
            max_ttl: DEFAULT_MAX_TTL,
            negative_ttl: Duration::ZERO,
            stale: Duration::ZERO,
        };
        let loader = Loader::new(inner, local, times);
        Self {
            inner: SingleFlight::new(loader.clone()),
            loader,
            listener: Arc::default(),
            reloads: Arc::default(),
        }
    }

    /// Sets how long a copy is used at most. Default: 30 minutes. Zero keeps none.
    #[must_use]
    pub fn with_max_ttl(self, max: Duration) -> Self {
        self.with_times(|times| times.max_ttl = max)
    }

    /// Sets how long it is remembered that a key has no entry. Default: zero, not at all.
    #[must_use]
    pub fn with_negative_ttl(self, ttl: Duration) -> Self {
        self.with_times(|times| times.negative_ttl = ttl)
    }

    /// Sets for how long after its time a copy is still handed out, while a new one is loaded in
    /// the background. Default: zero, not at all.
    ///
    /// Never beyond the entry's own end. When the load fails, the copy is used until its time is
    /// over, and a get tries again a second later. Without an async runtime the caller loads. In a
    /// tokio runtime whose timer is not enabled the task whose load failed panics, which no caller
    /// notices, and the next get tries again at once.
    #[must_use]
    pub fn with_stale_while_revalidate(self, stale: Duration) -> Self {
        self.with_times(|times| times.stale = stale)
    }

    fn with_times(self, change: impl FnOnce(&mut Times)) -> Self {
        let mut loader = self.loader;
        change(&mut loader.times);
        Self {
            // A clone that has other times may be there, and each ends the loads of the other.
            inner: self.inner.with_inner(loader.clone()),
            loader,
            listener: self.listener,
            reloads: self.reloads,
        }
    }

    fn listen(&self) {
        let (fills, local) = (&self.loader.fills, &self.loader.local);
        let watch = || self.loader.watch("");
        self.listener
            .start(fills, watch, local, self.inner.flights());
    }

    /// Returns what a copy says, and sees to a new one where that is due; `None` when there is
    /// nothing to go by.
    fn use_copy(&self, collection: &str, key: &str, known: Option<Known>) -> Option<Option<Entry>> {
        let Known { entry, is_stale } = known?;
        let load = |(collection, key): (String, String)| {
            let flights = self.inner.clone();
            async move { flights.get(&collection, &key).await.is_ok() }
        };
        if is_stale && !self.reloads.start(collection, key, load) {
            return None;
        }
        Some(entry)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store, L: Store> Store for Cached<S, L> {
    forward!(
        put,
        delete,
        take,
        put_many,
        delete_many,
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

    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.listen();
        let known = self.loader.find(collection, key).await;
        match self.use_copy(collection, key, known) {
            Some(entry) => Ok(entry),
            None => self.inner.get(collection, key).await,
        }
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let result = self.inner.get_fresh(collection, key).await;
        // A flight that began before may bring something older.
        self.inner.flights().forget(collection, key);
        result
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        name::check_all(collection, keys.iter().copied())?;
        self.listen();
        let known = self.loader.find_many(collection, keys).await;
        let found = keys.iter().zip(known);
        let found = found.map(|(key, known)| self.use_copy(collection, key, known));
        let found: Vec<_> = found.collect();
        let missing = keys.iter().zip(&found).filter(|(_, found)| found.is_none());
        let missing: Vec<&str> = missing.map(|(key, _)| *key).collect();
        let mut loaded = Vec::new();
        if !missing.is_empty() {
            loaded = self.inner.get_many(collection, &missing).await?;
        }
        let mut loaded = loaded.into_iter();
        let entries = found.into_iter().map(|found| match found {
            Some(entry) => Some(Ok(entry)),
            None => loaded.next(),
        });
        Ok(entries.flatten().collect())
    }
}

impl<S, L> Clone for Cached<S, L> {
    fn clone(&self) -> Self {
        Self {
            loader: self.loader.clone(),
            inner: self.inner.clone(),
            listener: Arc::clone(&self.listener),
            reloads: Arc::clone(&self.reloads),
        }
    }
}

impl<S: fmt::Debug, L: fmt::Debug> fmt::Debug for Cached<S, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cached").field(&self.loader).finish()
    }
}

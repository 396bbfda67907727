//! [`Cached`]: a store whose reads are kept in a nearer one.

mod fills;
mod loader;
mod record;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use self::loader::Loader;
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
/// of it had returned. An error is never kept, and a failure of `local` is a miss.
///
/// A write by another process, or past this wrapper, is seen only when the copy ends: after up to
/// the longest time set. So do not cache what must have one winner (tokens to take, authorization
/// codes, locks, counters that decide), nor credentials that another process revokes. Do not cache
/// secrets in a `local` that is less protected than the store: encryption belongs above the cache.
///
/// Copies count only for the `Cached` that made them and its clones, so a persistent `local`
/// starts cold. Its expiry must go by the same clock as the store's. It belongs to one `Cached`
/// alone, as it holds records of its own form under the same names.
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
}

impl<S: Store, L: Store> Cached<S, L> {
    /// Keeps copies of what is read from `inner` in `local`.
    pub fn new(inner: S, local: L) -> Self {
        Self::of(Loader::new(inner, local, DEFAULT_MAX_TTL))
    }

    /// Sets how long a copy is used at most. Default: 30 minutes. Zero keeps none.
    #[must_use]
    pub fn with_max_ttl(self, max: Duration) -> Self {
        Self::of(self.loader.with_max_ttl(max))
    }

    /// Sets how long it is remembered that a key has no entry. Default: zero, not at all.
    #[must_use]
    pub fn with_negative_ttl(self, ttl: Duration) -> Self {
        Self::of(self.loader.with_negative_ttl(ttl))
    }

    fn of(loader: Loader<S, L>) -> Self {
        Self {
            inner: SingleFlight::new(loader.clone()),
            loader,
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store, L: Store> Store for Cached<S, L> {
    forward!(
        get_fresh,
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
        if let Some(known) = self.loader.find(collection, key).await {
            return Ok(known);
        }
        self.inner.get(collection, key).await
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        name::check_all(collection, keys.iter().copied())?;
        self.loader.get_many(collection, keys).await
    }
}

impl<S, L> Clone for Cached<S, L> {
    fn clone(&self) -> Self {
        Self {
            loader: self.loader.clone(),
            inner: self.inner.clone(),
        }
    }
}

impl<S: fmt::Debug, L: fmt::Debug> fmt::Debug for Cached<S, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cached").field(&self.loader).finish()
    }
}

//! [`TtlClamp`]: a store that holds the TTL of what is written inside bounds.

use std::time::Duration;

use async_trait::async_trait;

use super::forward::forward;
use crate::{Entry, Error, PutMode, Result, Revision, Store, Timestamp};

/// Holds the TTL of every write inside a shortest and a longest one.
///
/// The TTL of a write is the time from now to the entry's expiry, so what keeps or renews an
/// expiry, as [`touch`](crate::StoreExt::touch) and [`increment`](crate::StoreExt::increment) do,
/// is held inside the bounds once more. An entry whose expiry has been reached before it is written
/// stays expired. Entries without an expiry stay so, unless a TTL for them is set. One whose time of
/// creation lies so far ahead that its expiry would not come after it is [`Error::InvalidTtl`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use kv_core::StoreExt;
/// use kv_memory::MemoryStore;
/// use serde_json::json;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kv_core::Result<()> {
/// let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
/// let store = MemoryStore::new().clamp_ttl(minute, hour)?;
/// store.put_value("notes", "todo", &json!({}), Some(24 * hour)).await?;
/// let (_, left) = store.ttl("notes", "todo").await?.unwrap();
/// assert!(left.unwrap() <= hour);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TtlClamp<S> {
    inner: S,
    min: Duration,
    max: Duration,
    missing: Option<Duration>,
}

impl<S> TtlClamp<S> {
    /// Holds the TTLs of `inner` between `min` and `max`, both included.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidTtl`] when `max` is zero or shorter than `min`.
    pub fn new(inner: S, min: Duration, max: Duration) -> Result<Self> {
        if max.is_zero() || max < min {
            return Err(Error::InvalidTtl {
                reason: "the longest TTL must not be zero or shorter than the shortest",
            });
        }
        Ok(Self {
            inner,
            min,
            max,
            missing: None,
        })
    }

    /// Sets the TTL of entries that come without an expiry; it is held inside the bounds too.
    /// Default: `None`, they never expire. Zero, where zero is the shortest TTL too, refuses each such
    /// write with [`Error::InvalidTtl`].
    #[must_use]
    pub fn with_missing(mut self, ttl: impl Into<Option<Duration>>) -> Self {
        self.missing = ttl.into();
        self
    }

    /// Moves the expiry of an entry that is written at `now` inside the bounds.
    fn clamp(&self, entry: Entry, now: Timestamp) -> Result<Entry> {
        // Checked first, so that no bound turns an invalid expiry into a valid one.
        let entry = entry.prepared(now)?;
        if entry.is_expired(now) {
            return Ok(entry);
        }
        // From now, whatever the creation: a writer who chose one in the future would outlive `max`.
        let after = |ttl| now.checked_add(ttl).unwrap_or(Timestamp::MAX);
        let expires_at = entry.expires_at.or(self.missing.map(after));
        let clamped = expires_at.map(|end| end.clamp(after(self.min), after(self.max)));
        Ok(entry.with_expires_at(clamped))
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for TtlClamp<S> {
    forward!(
        get,
        get_fresh,
        delete,
        take,
        get_many,
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

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        let entry = self.clamp(entry, self.clock().now())?;
        self.inner.put(collection, key, entry, mode).await
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        let now = self.clock().now();
        let entries = entries
            .into_iter()
            .map(|(key, entry)| Ok((key, self.clamp(entry, now)?)))
            .collect::<Result<_>>()?;
        self.inner.put_many(collection, entries).await
    }
}

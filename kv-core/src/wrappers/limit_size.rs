//! [`LimitSize`]: a store that refuses values that are too long or too short.

use async_trait::async_trait;

use super::forward::forward;
use crate::{Entry, Error, PutMode, Result, Revision, Store, StoreInfo};

/// Refuses to write values over or under a size. Reads are not limited.
///
/// The size is that of the value's JSON text in bytes, without the record around it. A bulk write
/// with one value outside the limits writes nothing. A refused value is always an error: a write
/// that was dropped in silence would have no revision and leave an older value in place.
///
/// # Examples
///
/// ```
/// use kv_core::{Error, StoreExt};
/// use kv_memory::MemoryStore;
/// use serde_json::json;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kv_core::Result<()> {
/// let store = MemoryStore::new().limit_size(10);
/// store.put_value("notes", "a", &json!({ "n": 1 }), None).await?;
/// let long = store.put_value("notes", "b", &json!({ "n": 10_000 }), None).await;
/// assert!(matches!(long, Err(Error::TooLarge { limit: 10, size: 11 })));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct LimitSize<S> {
    inner: S,
    min: u64,
    max: u64,
}

impl<S> LimitSize<S> {
    /// Limits the values of `inner` to `max` bytes.
    pub const fn new(inner: S, max: u64) -> Self {
        Self { inner, min: 0, max }
    }

    /// Sets the size of the shortest value. Default: 0 bytes. One above the longest leaves no value
    /// that could be written: each is refused.
    #[must_use]
    pub const fn with_min(mut self, min: u64) -> Self {
        self.min = min;
        self
    }

    /// Checks the size of a value that is to be written.
    fn check(&self, entry: &Entry) -> Result<()> {
        let size = entry.value.len() as u64;
        if size > self.max {
            let limit = self.max;
            return Err(Error::TooLarge { limit, size });
        }
        if size < self.min {
            let limit = self.min;
            return Err(Error::TooSmall { limit, size });
        }
        Ok(())
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for LimitSize<S> {
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
        clock
    );

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        self.check(&entry)?;
        self.inner.put(collection, key, entry, mode).await
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        entries
            .iter()
            .try_for_each(|(_, entry)| self.check(entry))?;
        self.inner.put_many(collection, entries).await
    }

    fn info(&self) -> StoreInfo {
        let info = self.inner.info();
        let limit = info
            .max_value_bytes
            .map_or(self.max, |limit| limit.min(self.max));
        info.with_max_value_bytes(Some(limit))
    }
}

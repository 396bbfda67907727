//! [`Loader`]: the part of `Cached` below its shared flights.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::fills::{Fill, Fills, ForgetAll, Write};
use super::record::Record;
use crate::wrappers::forward::forward;
use crate::{Entry, Error, PutMode, Result, Revision, Store};

/// Loads on each get, and drops copies after each write.
pub(super) struct Loader<S, L> {
    inner: Arc<S>,
    local: Arc<L>,
    fills: Arc<Fills>,
    max_ttl: Duration,
    negative_ttl: Duration,
}

impl<S: Store, L: Store> Loader<S, L> {
    pub(super) fn new(inner: S, local: L, max_ttl: Duration) -> Self {
        Self {
            inner: Arc::new(inner),
            local: Arc::new(local),
            fills: Arc::new(Fills::new()),
            max_ttl,
            negative_ttl: Duration::ZERO,
        }
    }

    pub(super) const fn with_max_ttl(mut self, max: Duration) -> Self {
        self.max_ttl = max;
        self
    }

    pub(super) const fn with_negative_ttl(mut self, ttl: Duration) -> Self {
        self.negative_ttl = ttl;
        self
    }

    /// Returns what is known locally of `key`; the inner `None` is a remembered miss.
    pub(super) async fn find(&self, collection: &str, key: &str) -> Option<Option<Entry>> {
        if !self.fills.may_read(collection, key) {
            return None;
        }
        let epoch = self.fills.epoch();
        let record = self.local.get(collection, key).await.ok()??;
        let record = Record::decode(record.value)?;
        let now = self.inner.clock().now();
        // Before `from` the clock was set back, and nobody knows how old the copy is.
        let is_live = record.epoch == epoch && record.from <= now && now < record.until;
        is_live.then_some(record.entry)
    }

    /// Keeps what a fill has read, if no write came meanwhile.
    async fn keep(&self, mut fill: Fill<'_>, collection: &str, key: &str, entry: Option<&Entry>) {
        let Some(copy) = self.copy_of(entry, fill.epoch) else {
            return;
        };
        if fill.may_put() {
            let put = self.local.put(collection, key, copy, PutMode::Overwrite);
            // Where it failed the key has no copy, or an older one of the same value.
            drop(put.await);
            fill.has_put();
        }
    }

    /// Makes the local entry for what was read; `None` when it is not to be kept.
    fn copy_of(&self, entry: Option<&Entry>, epoch: u64) -> Option<Entry> {
        let now = self.inner.clock().now();
        let ttl = if entry.is_some() {
            self.max_ttl
        } else {
            self.negative_ttl
        };
        // A time too long for a timestamp ends with the entry.
        let longest = now
            .plus_ttl(ttl.min(Duration::from_secs(365 * 24 * 3600)))
            .ok()?;
        let until = match entry.and_then(|entry| entry.expires_at) {
            Some(end) => longest.min(end),
            None => longest,
        };
        if until <= now {
            return None;
        }
        let record = Record {
            epoch,
            from: now,
            until,
            entry: entry.cloned(),
        };
        let copy = Entry::new(record.encode()?).with_created_at(now);
        Some(copy.with_expires_at(until))
    }

    /// Deletes the local copy after a write.
    async fn drop_copy(&self, mut write: Write<'_>, collection: &str) {
        if is_gone(&self.local.delete(collection, write.key()).await) {
            write.deleted();
        }
    }
}

/// Tells whether no copy is left after a delete; a name that `local` refuses never had one.
fn is_gone<T>(deleted: &Result<T>) -> bool {
    matches!(deleted, Ok(_) | Err(Error::InvalidName { .. }))
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store, L: Store> Store for Loader<S, L> {
    forward!(get_fresh, keys, collections, flush, watch, clock, info);

    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let fill = self.fills.begin_fill(collection, key);
        if fill.is_to_clean() && is_gone(&self.local.delete(collection, key).await) {
            fill.cleaned();
        }
        let entry = self.inner.get(collection, key).await?;
        self.keep(fill, collection, key, entry.as_ref()).await;
        Ok(entry)
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.push(self.find(collection, key).await);
        }
        let missing = || keys.iter().zip(&found).filter(|(_, found)| found.is_none());
        let missing: Vec<&str> = missing().map(|(key, _)| *key).collect();
        let mut loaded = Vec::new();
        if !missing.is_empty() {
            let begin = |key: &&str| self.fills.begin_fill(collection, key);
            let fills: Vec<_> = missing.iter().map(begin).collect();
            loaded = self.inner.get_many(collection, &missing).await?;
            for ((fill, key), entry) in fills.into_iter().zip(&missing).zip(&loaded) {
                if let Ok(entry) = entry {
                    self.keep(fill, collection, key, entry.as_ref()).await;
                }
            }
        }
        let mut loaded = loaded.into_iter();
        let entries = found.into_iter().map(|found| match found {
            Some(known) => Some(Ok(known)),
            None => loaded.next(),
        });
        Ok(entries.flatten().collect())
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        let write = self.fills.begin_write(collection, key);
        let result = self.inner.put(collection, key, entry, mode).await;
        self.drop_copy(write, collection).await;
        result
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        let write = self.fills.begin_write(collection, key);
        let result = self.inner.delete(collection, key).await;
        self.drop_copy(write, collection).await;
        result
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let write = self.fills.begin_write(collection, key);
        let result = self.inner.take(collection, key).await;
        self.drop_copy(write, collection).await;
        result
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        let begin = |(key, _): &(String, Entry)| self.fills.begin_write(collection, key);
        let writes: Vec<_> = entries.iter().map(begin).collect();
        let result = self.inner.put_many(collection, entries).await;
        for write in writes {
            self.drop_copy(write, collection).await;
        }
        result
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        let begin = |key: &&str| self.fills.begin_write(collection, key);
        let writes: Vec<_> = keys.iter().map(begin).collect();
        let result = self.inner.delete_many(collection, keys).await;
        for write in writes {
            self.drop_copy(write, collection).await;
        }
        result
    }

    async fn cull(&self) -> Result<u64> {
        // What `local` reclaims is no business of the caller.
        drop(self.local.cull().await);
        self.inner.cull().await
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        let _forget = ForgetAll(&self.fills);
        self.inner.clear(collection).await
    }

    async fn destroy(&self) -> Result<()> {
        let _forget = ForgetAll(&self.fills);
        self.inner.destroy().await
    }
}

impl<S, L> Clone for Loader<S, L> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            local: Arc::clone(&self.local),
            fills: Arc::clone(&self.fills),
            max_ttl: self.max_ttl,
            negative_ttl: self.negative_ttl,
        }
    }
}

impl<S: fmt::Debug, L: fmt::Debug> fmt::Debug for Loader<S, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("inner", &self.inner)
            .field("local", &self.local)
            .field("max_ttl", &self.max_ttl)
            .field("negative_ttl", &self.negative_ttl)
            .finish_non_exhaustive()
    }
}

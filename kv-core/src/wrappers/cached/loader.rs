//! [`Loader`]: the part of `Cached` below its shared flights.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;

use super::fills::{Fill, Fills, ForgetAll, Write};
use super::record::Record;
use crate::wrappers::forward::forward;
use crate::{Entry, Error, PutMode, Result, Revision, Store, Timestamp};

/// Loads on each get, and drops copies after each write.
pub(super) struct Loader<S, L> {
    inner: Arc<S>,
    pub(super) local: Arc<L>,
    pub(super) fills: Arc<Fills>,
    pub(super) times: Times,
}

/// How long copies are used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) max_ttl: Duration,
    pub(super) negative_ttl: Duration,
    /// How much longer while a new one is loaded.
    pub(super) stale: Duration,
}

/// What a copy says.
pub(super) struct Known {
    /// The entry; `None` for a remembered miss.
    pub(super) entry: Option<Entry>,
    /// Whether a new one is due.
    pub(super) is_stale: bool,
}

impl<S: Store, L: Store> Loader<S, L> {
    pub(super) fn new(inner: S, local: L, times: Times) -> Self {
        Self {
            inner: Arc::new(inner),
            local: Arc::new(local),
            fills: Arc::new(Fills::new()),
            times,
        }
    }

    /// Returns what a copy says of `key`; `None` when there is none to go by.
    pub(super) async fn find(&self, collection: &str, key: &str) -> Option<Known> {
        if !self.fills.may_read(collection, key) {
            return None;
        }
        let epoch = self.fills.epoch();
        let copy = self.local.get(collection, key).await.ok()??;
        self.read(copy, epoch)
    }

    /// Does what [`find`](Self::find) does for each of `keys`.
    pub(super) async fn find_many(&self, collection: &str, keys: &[&str]) -> Vec<Option<Known>> {
        let may_read = keys.iter().map(|key| self.fills.may_read(collection, key));
        let may_read: Vec<_> = may_read.collect();
        // After those: where all were forgotten in between, the copies have the epoch of before.
        let epoch = self.fills.epoch();
        let Ok(copies) = self.local.get_many(collection, keys).await else {
            return keys.iter().map(|_| None).collect();
        };
        let known = copies.into_iter().zip(may_read).map(|(copy, may_read)| {
            let copy = copy.ok()?.filter(|_| may_read)?;
            self.read(copy, epoch)
        });
        known.collect()
    }

    fn read(&self, copy: Entry, epoch: u64) -> Option<Known> {
        let record = Record::decode(copy.value, epoch)?;
        let now = self.inner.clock().now();
        // Before `from` the clock was set back, and nobody knows how old the copy is.
        let is_live = record.from <= now && now < record.until;
        is_live.then_some(Known {
            entry: record.entry,
            is_stale: record.fresh_until <= now,
        })
    }

    /// Keeps what a fill has read, if no write came meanwhile.
    async fn keep(&self, mut fill: Fill<'_>, collection: &str, key: &str, entry: Option<&Entry>) {
        let Some(copy) = self.copy_of(entry, fill.epoch) else {
            // A copy that is stale must not outlive the news.
            if !self.times.stale.is_zero() && fill.may_put() {
                let deleted = self.local.delete(collection, key).await;
                if is_gone(&deleted) {
                    fill.has_put();
                }
            }
            return;
        };
        if fill.may_put() {
            let put = self.local.put(collection, key, copy, PutMode::Overwrite);
            // Where it failed the key has no copy, or an older one that ends as it would have. Where
            // it may yet land, it is as one that was cancelled.
            if !matches!(put.await, Err(Error::OutcomeUnknown { .. })) {
                fill.has_put();
            }
        }
    }

    /// Makes the local entry for what was read; `None` when it is not to be kept.
    fn copy_of(&self, entry: Option<&Entry>, epoch: u64) -> Option<Entry> {
        let Times {
            max_ttl,
            negative_ttl,
            stale,
        } = self.times;
        let (ttl, stale) = match entry {
            Some(_) => (max_ttl, stale),
            None => (negative_ttl, Duration::ZERO),
        };
        let now = self.inner.clock().now();
        let end = entry.and_then(|entry| entry.expires_at);
        // A TTL that no timestamp holds is as long as the entry's.
        let after = |ttl| now.plus_ttl(ttl).unwrap_or(Timestamp::MAX);
        let bounded = |time: Timestamp| end.map_or(time, |end| time.min(end));
        if ttl.is_zero() || end.is_some_and(|end| end <= now) {
            return None;
        }
        let until = bounded(after(ttl.saturating_add(stale)));
        let record = Record {
            epoch,
            from: now,
            fresh_until: bounded(after(ttl)),
            until,
            entry: entry.cloned(),
        };
        let copy = Entry::new(record.encode()?).with_created_at(now);
        Some(copy.with_expires_at(until))
    }

    /// Deletes what may be an old copy of a key that is read anew.
    async fn clean(&self, fill: &Fill<'_>, collection: &str, key: &str) {
        if fill.is_to_clean() && is_gone(&self.local.delete(collection, key).await) {
            fill.cleaned();
        }
    }

    /// Deletes the local copy after a write.
    async fn drop_copy(&self, mut write: Write<'_>, collection: &str) {
        if is_gone(&self.local.delete(collection, write.key()).await) {
            write.deleted();
        }
    }
}

/// Deletes the local copy where there is one. Most often there is none, and a delete may be slow.
pub(super) async fn drop_any_copy<L: Store>(local: &L, mut write: Write<'_>, collection: &str) {
    // A copy that is put from now on is one of a fill under way, which the end of this write makes
    // dirty.
    let has_none = matches!(local.get(collection, write.key()).await, Ok(None));
    if has_none || is_gone(&local.delete(collection, write.key()).await) {
        write.deleted();
    }
}

/// Tells whether no copy is left after a delete; a name that `local` refuses never had one.
fn is_gone<T>(deleted: &Result<T>) -> bool {
    matches!(deleted, Ok(_) | Err(Error::InvalidName { .. }))
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store, L: Store> Store for Loader<S, L> {
    forward!(keys, collections, flush, watch, clock, info);

    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let fill = self.fills.begin_fill(collection, key);
        self.clean(&fill, collection, key).await;
        let entry = self.inner.get(collection, key).await?;
        self.keep(fill, collection, key, entry.as_ref()).await;
        Ok(entry)
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let result = self.inner.get_fresh(collection, key).await;
        let is_answered = !result.as_ref().is_err_and(Error::is_retryable);
        if is_answered {
            // Only now: what a fill reads from here on is not older, and any other is not kept.
            let write = self.fills.begin_write(collection, key);
            drop_any_copy(&*self.local, write, collection).await;
        }
        result
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        let begin = |key: &&str| self.fills.begin_fill(collection, key);
        let fills: Vec<_> = keys.iter().map(begin).collect();
        let clean = fills.iter().zip(keys);
        join_all(clean.map(|(fill, key)| self.clean(fill, collection, key))).await;
        let loaded = self.inner.get_many(collection, keys).await?;
        let keep = fills.into_iter().zip(keys).zip(&loaded);
        let keep = keep.filter_map(|((fill, key), entry)| {
            let entry = entry.as_ref().ok()?.as_ref();
            Some(self.keep(fill, collection, key, entry))
        });
        join_all(keep).await;
        Ok(loaded)
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
            times: self.times,
        }
    }
}

impl<S: fmt::Debug, L: fmt::Debug> fmt::Debug for Loader<S, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("inner", &self.inner)
            .field("local", &self.local)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

//! [`Retry`]: a store that tries again what has failed for the moment.

mod batch;

use std::time::Duration;

use async_trait::async_trait;

use self::batch::Batch;
use super::forward::forward;
use crate::{CollectionPage, Entry, Error, KeyPage, KeyQuery, PutMode, Result, Revision, Store};

/// Repeats an operation that failed for the moment, after a random pause.
///
/// A read is repeated after [`Error::Unavailable`] and [`Error::Timeout`], and so are
/// [`cull`](Store::cull) and [`flush`](Store::flush). A write, of whatever mode, is repeated only
/// after `Unavailable`: then nothing was applied. After [`Error::OutcomeUnknown`] none is, not even
/// an overwrite: it would undo what another writer did in between.
///
/// [`get_many`](Store::get_many) asks again only for the keys that failed.
/// [`put_many`](Store::put_many) after [`Error::Incomplete`] writes only what is left, if its source
/// says `Unavailable`, so that none of that was applied. Such a failure names no revisions of what
/// was written, so they are read back; the revision of an entry that somebody changed since, or that
/// cannot be read, is one that matches nothing. So is each whose expiry a
/// [`TtlClamp`](super::TtlClamp) inside changed: put that around.
///
/// The pause before retry number n, counted from zero, is random between zero and
/// `initial_delay * 2^n`, at most `max_delay` ("full jitter").
///
/// # Panics
///
/// When a pause is due outside a tokio runtime with its timer enabled.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use kv_core::StoreExt;
/// use kv_core::conformance::{Fault, FaultStore};
/// use kv_memory::MemoryStore;
/// use serde_json::json;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kv_core::Result<()> {
/// let flaky = FaultStore::new(MemoryStore::new());
/// flaky.inject(Fault::unavailable().times(2));
/// let store = flaky.clone().retry().with_initial_delay(Duration::from_millis(1));
/// store.put_value("notes", "todo", &json!({ "n": 1 }), None).await?;
/// assert_eq!(flaky.all_calls(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: S,
    max_retries: u32,
    initial_delay: Duration,
    max_delay: Duration,
}

impl<S> Retry<S> {
    /// Repeats operations of `inner` up to 3 times, after pauses of at most 100 ms, 200 ms and
    /// 400 ms.
    pub const fn new(inner: S) -> Self {
        Self {
            inner,
            max_retries: 3,
            initial_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(10),
        }
    }

    /// Sets how often an operation is repeated. Default: 3, so it is tried 4 times.
    #[must_use]
    pub const fn with_max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }

    /// Sets the longest pause before the first retry. Default: 100 ms. Zero means no pauses: only
    /// other tasks get their turn.
    #[must_use]
    pub const fn with_initial_delay(mut self, delay: Duration) -> Self {
        self.initial_delay = delay;
        self
    }

    /// Sets the longest pause before any retry. Default: 10 s.
    #[must_use]
    pub const fn with_max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Returns the longest pause before retry number `retry`, counted from zero.
    fn longest_pause(&self, retry: u32) -> Duration {
        let factor = 2_u32.saturating_pow(retry);
        let longest = self.initial_delay.saturating_mul(factor);
        longest.min(self.max_delay)
    }

    /// Pauses before the next retry, and tells whether there is one.
    async fn pause(&self, retries: &mut u32) -> bool {
        if *retries >= self.max_retries {
            return false;
        }
        let pause = self.longest_pause(*retries).mul_f64(fastrand::f64());
        *retries += 1;
        if pause.is_zero() {
            // Else a store that fails at once would keep the thread from all other tasks.
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(pause).await;
        }
        true
    }

    async fn repeat<T, F>(
        &self,
        is_repeatable: fn(&Error) -> bool,
        operation: impl Fn() -> F + Send,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let mut retries = 0;
        loop {
            let error = match operation().await {
                Err(error) if is_repeatable(&error) => error,
                result => return result,
            };
            if !self.pause(&mut retries).await {
                return Err(error);
            }
        }
    }

    /// Repeats what only reads, or may be done twice.
    async fn read<T, F>(&self, operation: impl Fn() -> F + Send) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        self.repeat(Error::is_retryable, operation).await
    }

    /// Repeats what was certainly not applied.
    async fn write<T, F>(&self, operation: impl Fn() -> F + Send) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        self.repeat(was_not_applied, operation).await
    }
}

impl<S: Store> Retry<S> {
    /// Fills in the revisions of entries whose writes named none, from what is stored now.
    async fn read_back(&self, collection: &str, batch: &mut Batch) {
        let unnamed = batch.unnamed();
        if unnamed.is_empty() {
            return;
        }
        let keys: Vec<_> = unnamed.iter().map(|place| batch.key(*place)).collect();
        // What cannot be read stays unnamed.
        let Ok(rows) = self.get_many(collection, &keys).await else {
            return;
        };
        for (place, row) in unnamed.into_iter().zip(rows) {
            if let Ok(Some(stored)) = row {
                batch.name(place, stored);
            }
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for Retry<S> {
    forward!(watch, clock, info);

    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.read(|| self.inner.get(collection, key)).await
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.read(|| self.inner.get_fresh(collection, key)).await
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        // Prepared once, so that every try writes the same times.
        let entry = entry.prepared(self.clock().now())?;
        let put = || self.inner.put(collection, key, entry.clone(), mode.clone());
        self.write(put).await
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        self.write(|| self.inner.delete(collection, key)).await
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.write(|| self.inner.take(collection, key)).await
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        let mut retries = 0;
        let mut rows = loop {
            let error = match self.inner.get_many(collection, keys).await {
                Ok(rows) => break rows,
                Err(error) => error,
            };
            if !error.is_retryable() || !self.pause(&mut retries).await {
                return Err(error);
            }
        };
        loop {
            let failed: Vec<_> = rows
                .iter_mut()
                .zip(keys)
                .filter(|(row, _)| row.as_ref().is_err_and(Error::is_retryable))
                .collect();
            if failed.is_empty() || !self.pause(&mut retries).await {
                return Ok(rows);
            }
            let (failed, keys): (Vec<_>, Vec<_>) = failed.into_iter().unzip();
            // When the whole call fails, each row keeps the error it has.
            if let Ok(answers) = self.inner.get_many(collection, &keys).await {
                for (row, answer) in failed.into_iter().zip(answers) {
                    *row = answer;
                }
            }
        }
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        let mut batch = Batch::new(entries, self.clock().now())?;
        let mut retries = 0;
        loop {
            let error = match self.inner.put_many(collection, batch.left()).await {
                Ok(revisions) => {
                    batch.finish(revisions);
                    break;
                }
                Err(error) => error,
            };
            if !batch.can_go_on_after(&error) || !self.pause(&mut retries).await {
                return Err(batch.of_the_whole(error));
            }
        }
        self.read_back(collection, &mut batch).await;
        Ok(batch.into_revisions())
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        self.write(|| self.inner.delete_many(collection, keys))
            .await
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        self.read(|| self.inner.keys(collection, query.clone()))
            .await
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        self.read(|| self.inner.collections(query.clone())).await
    }

    async fn cull(&self) -> Result<u64> {
        self.read(|| self.inner.cull()).await
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        self.write(|| self.inner.clear(collection)).await
    }

    async fn destroy(&self) -> Result<()> {
        self.write(|| self.inner.destroy()).await
    }

    async fn flush(&self) -> Result<()> {
        self.read(|| self.inner.flush()).await
    }
}

/// Whether a write that failed so certainly changed nothing.
const fn was_not_applied(error: &Error) -> bool {
    matches!(error, Error::Unavailable { .. })
}

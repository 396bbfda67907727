//! [`Timeout`]: a store that answers in bounded time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::forward::forward;
use crate::{CollectionPage, Entry, Error, KeyPage, KeyQuery, PutMode, Result, Revision, Store};

/// Gives up on an operation that takes longer than a limit.
///
/// A read is then [`Error::Timeout`], and so are [`cull`](Store::cull) and [`flush`](Store::flush),
/// which may be repeated like a read. Any other write is [`Error::OutcomeUnknown`] with the
/// `Timeout` as its source: it may have been applied whole, or may still be. The limit holds for
/// each call, however much there is to do: [`clear`](Store::clear) and [`destroy`](Store::destroy)
/// of a large store go better to the store inside.
///
/// # Panics
///
/// The operations panic outside a tokio runtime with its timer enabled.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use kv_core::{Store, StoreExt};
/// use kv_memory::MemoryStore;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kv_core::Result<()> {
/// let store = MemoryStore::new().timeout(Duration::from_secs(5));
/// match store.get("notes", "todo").await {
///     Ok(found) => assert_eq!(found, None),
///     Err(error) => assert!(error.is_retryable()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    inner: S,
    after: Duration,
}

impl<S> Timeout<S> {
    /// Limits each operation of `inner` to `after`.
    pub const fn new(inner: S, after: Duration) -> Self {
        Self { inner, after }
    }
}

impl<S: Store> Timeout<S> {
    /// Runs what may be repeated.
    async fn read<T>(&self, operation: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let after = self.after;
        match tokio::time::timeout(after, operation).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout { after }),
        }
    }

    /// Runs what must not be repeated unseen.
    async fn write<T>(&self, operation: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let after = self.after;
        match tokio::time::timeout(after, operation).await {
            Ok(result) => result,
            Err(_) => Err(Error::OutcomeUnknown {
                store: self.inner.info().name,
                source: Some(Arc::new(Error::Timeout { after })),
            }),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for Timeout<S> {
    forward!(watch, clock, info);

    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.read(self.inner.get(collection, key)).await
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.read(self.inner.get_fresh(collection, key)).await
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        self.write(self.inner.put(collection, key, entry, mode))
            .await
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        self.write(self.inner.delete(collection, key)).await
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.write(self.inner.take(collection, key)).await
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        self.read(self.inner.get_many(collection, keys)).await
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        self.write(self.inner.put_many(collection, entries)).await
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        self.write(self.inner.delete_many(collection, keys)).await
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        self.read(self.inner.keys(collection, query)).await
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        self.read(self.inner.collections(query)).await
    }

    async fn cull(&self) -> Result<u64> {
        self.read(self.inner.cull()).await
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        self.write(self.inner.clear(collection)).await
    }

    async fn destroy(&self) -> Result<()> {
        self.write(self.inner.destroy()).await
    }

    async fn flush(&self) -> Result<()> {
        self.read(self.inner.flush()).await
    }
}

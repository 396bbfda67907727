//! [`Traced`]: a store whose operations are spans of the `tracing` crate.

use async_trait::async_trait;
use tracing::field::Empty;
use tracing::{Instrument as _, Level, Span};

use super::forward::forward;
use super::operation::{Answer, Operation};
use crate::{CollectionPage, Entry, KeyPage, KeyQuery, PutMode, Result, Revision, Store};

/// Makes a span named `kv_operation` of each operation, from its first poll to its end.
///
/// | field | holds |
/// | --- | --- |
/// | `store` | the backend's name |
/// | `operation` | the method, such as `get_many` |
/// | `collection` | the collection, unless it is an operation on the whole store |
/// | `key` | the key of an operation on one, only [`with_keys`](Self::with_keys) |
/// | `keys` | how many keys or entries a bulk operation was given |
/// | `outcome` | `ok`, or the variant of [`Error`](crate::Error); missing when the call was dropped |
/// | `hits`, `misses` | how many keys were found and how many not, where it looked for some |
///
/// Values are never shown, nor the text of an error. The names of collections are. The target is
/// `kv_core::wrappers::traced`. Where no subscriber takes spans of the level, a call costs a check
/// and the forwarding; events of the store inside are inside the span.
///
/// # Examples
///
/// ```
/// use kv_core::{Store, StoreExt};
/// use kv_memory::MemoryStore;
/// use tracing::Level;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kv_core::Result<()> {
/// let store = MemoryStore::new().traced().with_level(Level::TRACE);
/// assert_eq!(store.get("notes", "todo").await?, None);
/// // A subscriber sees: kv_operation{store="memory" operation="get" collection="notes"
/// //                                 outcome="ok" hits=0 misses=1}
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Traced<S> {
    inner: S,
    level: Level,
    shows_keys: bool,
}

impl<S> Traced<S> {
    /// Makes spans of the operations of `inner`.
    pub const fn new(inner: S) -> Self {
        Self {
            inner,
            level: Level::DEBUG,
            shows_keys: false,
        }
    }

    /// Sets the level of the spans. Default: `DEBUG`.
    #[must_use]
    pub const fn with_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Sets whether spans show keys, which can be tokens or personal data. Default: they do not.
    #[must_use]
    pub const fn with_keys(mut self, shown: bool) -> Self {
        self.shows_keys = shown;
        self
    }
}

impl<S: Store> Traced<S> {
    /// Makes a call in a span of its own.
    async fn trace<T: Answer>(
        &self,
        operation: Operation,
        target: Target<'_>,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let span = self.span(operation, target);
        if span.is_disabled() {
            return call.await;
        }
        let result = call.instrument(span.clone()).await;
        match &result {
            Ok(answer) => {
                span.record("outcome", "ok");
                let found = answer.found();
                if found.hits + found.misses > 0 {
                    span.record("hits", found.hits);
                    span.record("misses", found.misses);
                }
            }
            Err(error) => {
                span.record("outcome", error.variant());
            }
        }
        result
    }

    fn span(&self, operation: Operation, target: Target<'_>) -> Span {
        // The level of a span is a constant of its place in the code.
        macro_rules! span_at {
            ($($level:ident),+) => {
                match self.level {
                    $(Level::$level => tracing::span!(
                        Level::$level,
                        "kv_operation",
                        store = self.inner.info().name,
                        operation = operation.name(),
                        collection = target.collection,
                        key = target.key.filter(|_| self.shows_keys),
                        keys = target.keys,
                        outcome = Empty,
                        hits = Empty,
                        misses = Empty,
                    ),)+
                }
            };
        }
        span_at!(ERROR, WARN, INFO, DEBUG, TRACE)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for Traced<S> {
    forward!(watch, clock, info);

    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let call = async { self.inner.get(collection, key).await };
        let target = Target::key(collection, key);
        self.trace(Operation::Get, target, call).await
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let call = async { self.inner.get_fresh(collection, key).await };
        let target = Target::key(collection, key);
        self.trace(Operation::GetFresh, target, call).await
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        let call = async { self.inner.put(collection, key, entry, mode).await };
        let target = Target::key(collection, key);
        self.trace(Operation::Put, target, call).await
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        let call = async { self.inner.delete(collection, key).await };
        let target = Target::key(collection, key);
        self.trace(Operation::Delete, target, call).await
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let call = async { self.inner.take(collection, key).await };
        let target = Target::key(collection, key);
        self.trace(Operation::Take, target, call).await
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        let call = async { self.inner.get_many(collection, keys).await };
        let target = Target::keys(collection, keys.len());
        self.trace(Operation::GetMany, target, call).await
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        let target = Target::keys(collection, entries.len());
        let call = async { self.inner.put_many(collection, entries).await };
        self.trace(Operation::PutMany, target, call).await
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        let call = async { self.inner.delete_many(collection, keys).await };
        let target = Target::keys(collection, keys.len());
        self.trace(Operation::DeleteMany, target, call).await
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        let call = async { self.inner.keys(collection, query).await };
        let target = Target::collection(collection);
        self.trace(Operation::Keys, target, call).await
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        let call = async { self.inner.collections(query).await };
        self.trace(Operation::Collections, Target::WHOLE, call)
            .await
    }

    async fn cull(&self) -> Result<u64> {
        let call = async { self.inner.cull().await };
        self.trace(Operation::Cull, Target::WHOLE, call).await
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        let call = async { self.inner.clear(collection).await };
        let target = Target::collection(collection);
        self.trace(Operation::Clear, target, call).await
    }

    async fn destroy(&self) -> Result<()> {
        let call = async { self.inner.destroy().await };
        self.trace(Operation::Destroy, Target::WHOLE, call).await
    }

    async fn flush(&self) -> Result<()> {
        let call = async { self.inner.flush().await };
        self.trace(Operation::Flush, Target::WHOLE, call).await
    }
}

/// What a span says of a call before its end.
#[derive(Clone, Copy)]
struct Target<'a> {
    collection: Option<&'a str>,
    key: Option<&'a str>,
    keys: Option<usize>,
}

impl<'a> Target<'a> {
    const WHOLE: Self = Self {
        collection: None,
        key: None,
        keys: None,
    };

    fn collection(collection: &'a str) -> Self {
        Self {
            collection: Some(collection),
            ..Self::WHOLE
        }
    }

    fn key(collection: &'a str, key: &'a str) -> Self {
        Self {
            key: Some(key),
            ..Self::collection(collection)
        }
    }

    fn keys(collection: &'a str, count: usize) -> Self {
        Self {
            keys: Some(count),
            ..Self::collection(collection)
        }
    }
}

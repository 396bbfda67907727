//! [`Stats`]: a store that counts and times its operations.

mod board;
mod snapshot;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use self::board::Board;
use super::forward::forward;
use super::operation::{Answer, Operation};
use crate::{CollectionPage, Entry, KeyPage, KeyQuery, PutMode, Result, Revision, Store};

pub use self::snapshot::{Latency, OperationStats, StatsSnapshot};

/// How many collections are named when no number is set.
const DEFAULT_MAX_COLLECTIONS: usize = 100;

/// Counts the operations of a store and how long they take, by collection and operation.
///
/// The figures are in [`snapshot`](Self::snapshot), and go to the recorder of the `metrics` crate
/// that the program has set, at any time; without one, that costs next to nothing.
///
/// | metric | labels | counts |
/// | --- | --- | --- |
/// | `kv_operations_total` | `store`, `collection`, `operation`, `outcome` | calls: `outcome` is `ok`, or the variant of [`Error`](crate::Error), such as `Unavailable`, or `Cancelled` |
/// | `kv_keys_total` | the same | keys that `get`, `get_fresh`, `take`, `delete` and the bulk forms looked for: `outcome` is `hit`, `miss`, or the error of one key of `get_many` |
/// | `kv_operation_duration_seconds` | `store`, `collection`, `operation` | a histogram of the calls' time |
///
/// A call that was dropped before its end, or panicked, counts as `Cancelled`. Operations on the
/// whole store, such as [`cull`](Store::cull), have an empty `collection`. Keys and values go
/// nowhere, and the names of collections into the labels: see
/// [`with_max_collections`](Self::with_max_collections). Texts that describe the metrics reach a
/// recorder that is set before the wrapper is made.
///
/// Clones share their figures. Around [`SingleFlight`](super::SingleFlight), a prefix or a timeout
/// it counts what callers see; inside, what the store is asked.
///
/// # Examples
///
/// ```
/// use kv_core::StoreExt;
/// use kv_core::wrappers::Operation;
/// use kv_memory::MemoryStore;
/// use serde_json::{Value, json};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kv_core::Result<()> {
/// let store = MemoryStore::new().stats();
/// store.put_value("notes", "todo", &json!({}), None).await?;
/// let _: Option<Value> = store.get_value("notes", "todo").await?;
/// let _: Option<Value> = store.get_value("notes", "done").await?;
///
/// let snapshot = store.snapshot();
/// let gets = snapshot.of("notes", Operation::Get).unwrap();
/// assert_eq!((gets.calls, gets.hits, gets.misses), (2, 1, 1));
/// assert!(gets.latency.quantile(0.5) <= Some(gets.latency.max));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Stats<S> {
    inner: S,
    board: Arc<Board>,
}

impl<S: Store> Stats<S> {
    /// Counts the operations of `inner`.
    pub fn new(inner: S) -> Self {
        metrics::describe_counter!(board::OPERATIONS, "Calls of a store, by how they ended.");
        metrics::describe_counter!(
            board::KEYS,
            "Keys looked for in a store, by what was found."
        );
        metrics::describe_histogram!(
            board::DURATION,
            metrics::Unit::Seconds,
            "The time that calls of a store took."
        );
        let board = Board::new(inner.info().name.into(), DEFAULT_MAX_COLLECTIONS);
        let board = Arc::new(board);
        Self { inner, board }
    }
}

impl<S> Stats<S> {
    /// Sets the label `store`, to tell two stores of a kind apart. Default: the backend's name. The
    /// figures so far are not shared with the result.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        let max = self.board.max_collections();
        self.board = Arc::new(Board::new(name.into(), max));
        self
    }

    /// Sets how many collections have figures of their own: the first ones used. The others, and
    /// names that are not valid, are counted together as `other`. Default: 100; with 0 no name
    /// shows. The figures so far are not shared with the result.
    #[must_use]
    pub fn with_max_collections(mut self, max: usize) -> Self {
        self.board = Arc::new(Board::new(self.board.store(), max));
        self
    }

    /// Returns what was counted so far.
    #[must_use]
    pub fn snapshot(&self) -> StatsSnapshot {
        self.board.snapshot()
    }

    /// Makes and counts a call on `collection`, or on the whole store.
    async fn count<T: Answer, F: Future<Output = Result<T>> + Send>(
        &self,
        operation: Operation,
        collection: impl Into<Option<&str>>,
        call: impl FnOnce() -> F + Send,
    ) -> Result<T> {
        let collection = collection.into();
        let mut running = Running {
            board: Some(&self.board),
            operation,
            collection,
            start: Instant::now(),
        };
        let result = call().await;
        let time = running.start.elapsed();
        running.board = None;
        self.board.count(operation, collection, time, Some(&result));
        result
    }
}

/// A call under way, which counts as cancelled when it is dropped.
struct Running<'a> {
    /// `None` when the call has ended.
    board: Option<&'a Board>,
    operation: Operation,
    collection: Option<&'a str>,
    start: Instant,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(board) = self.board {
            let time = self.start.elapsed();
            board.count::<()>(self.operation, self.collection, time, None);
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for Stats<S> {
    forward!(clock, info);

    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let call = || self.inner.get(collection, key);
        self.count(Operation::Get, collection, call).await
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let call = || self.inner.get_fresh(collection, key);
        self.count(Operation::GetFresh, collection, call).await
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        let call = || self.inner.put(collection, key, entry, mode);
        self.count(Operation::Put, collection, call).await
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        let call = || self.inner.delete(collection, key);
        self.count(Operation::Delete, collection, call).await
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let call = || self.inner.take(collection, key);
        self.count(Operation::Take, collection, call).await
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        let call = || self.inner.get_many(collection, keys);
        self.count(Operation::GetMany, collection, call).await
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        let call = || self.inner.put_many(collection, entries);
        self.count(Operation::PutMany, collection, call).await
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        let call = || self.inner.delete_many(collection, keys);
        self.count(Operation::DeleteMany, collection, call).await
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        let call = || self.inner.keys(collection, query);
        self.count(Operation::Keys, collection, call).await
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        let call = || self.inner.collections(query);
        self.count(Operation::Collections, None, call).await
    }

    async fn cull(&self) -> Result<u64> {
        let call = || self.inner.cull();
        self.count(Operation::Cull, None, call).await
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        let call = || self.inner.clear(collection);
        self.count(Operation::Clear, collection, call).await
    }

    async fn destroy(&self) -> Result<()> {
        let call = || self.inner.destroy();
        self.count(Operation::Destroy, None, call).await
    }

    async fn flush(&self) -> Result<()> {
        let call = || self.inner.flush();
        self.count(Operation::Flush, None, call).await
    }
}

impl<S: fmt::Debug> fmt::Debug for Stats<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stats")
            .field("inner", &self.inner)
            .field("max_collections", &self.board.max_collections())
            .finish_non_exhaustive()
    }
}

//! [`Stats`]: a store that counts and times its operations.

mod board;
mod snapshot;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
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

    /// Begins a call on `collection`, or on the whole store.
    fn begin<'a>(
        &'a self,
        operation: Operation,
        collection: impl Into<Option<&'a str>>,
    ) -> Call<'a> {
        Call {
            board: &self.board,
            operation,
            collection: collection.into(),
            start: Instant::now(),
            has_ended: false,
        }
    }
}

/// A call under way, which counts as cancelled when it is dropped before its end.
struct Call<'a> {
    board: &'a Board,
    operation: Operation,
    collection: Option<&'a str>,
    start: Instant,
    has_ended: bool,
}

impl Call<'_> {
    /// Counts the call by its result.
    fn end<T: Answer>(mut self, result: Result<T>) -> Result<T> {
        self.has_ended = true;
        let time = self.start.elapsed();
        self.board
            .count(self.operation, self.collection, time, Some(&result));
        result
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            let time = self.start.elapsed();
            self.board
                .count::<()>(self.operation, self.collection, time, None);
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for Stats<S> {
    forward!(watch, clock, info);

    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let call = self.begin(Operation::Get, collection);
        call.end(self.inner.get(collection, key).await)
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let call = self.begin(Operation::GetFresh, collection);
        call.end(self.inner.get_fresh(collection, key).await)
    }

    // Written out, because an `async fn` moves the entry twice more: into its future and out of it.
    fn put<'s, 'c, 'k, 'async_trait>(
        &'s self,
        collection: &'c str,
        key: &'k str,
        entry: Entry,
        mode: PutMode,
    ) -> BoxFuture<'async_trait, Result<Revision>>
    where
        's: 'async_trait,
        'c: 'async_trait,
        'k: 'async_trait,
        Self: 'async_trait,
    {
        let put = self.inner.put(collection, key, entry, mode);
        Box::pin(async move {
            let call = self.begin(Operation::Put, collection);
            call.end(put.await)
        })
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        let call = self.begin(Operation::Delete, collection);
        call.end(self.inner.delete(collection, key).await)
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let call = self.begin(Operation::Take, collection);
        call.end(self.inner.take(collection, key).await)
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        let call = self.begin(Operation::GetMany, collection);
        call.end(self.inner.get_many(collection, keys).await)
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        let call = self.begin(Operation::PutMany, collection);
        call.end(self.inner.put_many(collection, entries).await)
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        let call = self.begin(Operation::DeleteMany, collection);
        call.end(self.inner.delete_many(collection, keys).await)
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        let call = self.begin(Operation::Keys, collection);
        call.end(self.inner.keys(collection, query).await)
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        let call = self.begin(Operation::Collections, None);
        call.end(self.inner.collections(query).await)
    }

    async fn cull(&self) -> Result<u64> {
        let call = self.begin(Operation::Cull, None);
        call.end(self.inner.cull().await)
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        let call = self.begin(Operation::Clear, collection);
        call.end(self.inner.clear(collection).await)
    }

    async fn destroy(&self) -> Result<()> {
        let call = self.begin(Operation::Destroy, None);
        call.end(self.inner.destroy().await)
    }

    async fn flush(&self) -> Result<()> {
        let call = self.begin(Operation::Flush, None);
        call.end(self.inner.flush().await)
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

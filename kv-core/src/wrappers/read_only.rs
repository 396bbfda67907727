//! [`ReadOnly`]: a store that can be read and not written.

use async_trait::async_trait;

use super::forward::forward;
use crate::{Entry, Error, PutMode, Result, Revision, Store};

/// Answers every write with [`Error::ReadOnly`], without asking the store.
///
/// Writes are [`put`](Store::put), [`delete`](Store::delete), [`take`](Store::take),
/// [`clear`](Store::clear), [`destroy`](Store::destroy) and the bulk forms, also with empty input.
/// [`cull`](Store::cull) does nothing and returns 0, so that maintenance code need not know.
/// [`flush`](Store::flush) is passed on.
///
/// # Examples
///
/// ```
/// use kv_core::{Error, Store, StoreExt};
/// use kv_memory::MemoryStore;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kv_core::Result<()> {
/// let store = MemoryStore::new().read_only();
/// assert!(matches!(store.delete("notes", "todo").await, Err(Error::ReadOnly)));
/// assert_eq!(store.get("notes", "todo").await?, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ReadOnly<S> {
    inner: S,
}

impl<S> ReadOnly<S> {
    /// Makes `inner` read-only.
    pub const fn new(inner: S) -> Self {
        Self { inner }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for ReadOnly<S> {
    forward!(
        get,
        get_fresh,
        get_many,
        keys,
        collections,
        flush,
        watch,
        clock,
        info
    );

    async fn put(&self, _: &str, _: &str, _: Entry, _: PutMode) -> Result<Revision> {
        Err(Error::ReadOnly)
    }

    async fn delete(&self, _: &str, _: &str) -> Result<bool> {
        Err(Error::ReadOnly)
    }

    async fn take(&self, _: &str, _: &str) -> Result<Option<Entry>> {
        Err(Error::ReadOnly)
    }

    async fn put_many(&self, _: &str, _: Vec<(String, Entry)>) -> Result<Vec<Revision>> {
        Err(Error::ReadOnly)
    }

    async fn delete_many(&self, _: &str, _: &[&str]) -> Result<Vec<bool>> {
        Err(Error::ReadOnly)
    }

    async fn cull(&self) -> Result<u64> {
        Ok(0)
    }

    async fn clear(&self, _: &str) -> Result<u64> {
        Err(Error::ReadOnly)
    }

    async fn destroy(&self) -> Result<()> {
        Err(Error::ReadOnly)
    }
}

//! [`DefaultValue`]: a value for keys that hold none.

use std::time::Duration;

use async_trait::async_trait;

use super::forward::forward;
use crate::ext::entry_with_ttl;
use crate::{Entry, Result, Store, Value};

#[cfg(doc)]
use crate::{Error, PutMode, StoreExt};

/// Answers reads of absent keys with a default value, which is never stored.
///
/// [`get`](Store::get), [`get_fresh`](Store::get_fresh) and [`get_many`](Store::get_many) answer it,
/// as an entry made at that moment and without a revision. An error, such as that of an undecodable
/// record, is not replaced.
///
/// The default is no entry: [`keys`](Store::keys) and [`collections`](Store::collections) do not
/// list it, [`take`](Store::take) and [`delete`](Store::delete) find nothing, and
/// [`PutMode::Create`] stores. What [`StoreExt::update_entry`] and all built on it make of the
/// default is stored as a new entry, unless another writer was faster:
/// [`increment`](StoreExt::increment) counts on from it, and [`touch`](StoreExt::touch) stores it.
///
/// # Defaults
///
/// The default value never expires; see [`with_ttl`](Self::with_ttl).
///
/// # Examples
///
/// ```
/// use kv_core::{StoreExt, Value};
/// use kv_memory::MemoryStore;
/// use serde_json::json;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kv_core::Result<()> {
/// let settings = MemoryStore::new().default_value(Value::encode(&json!({ "theme": "dark" }))?);
/// let ada: Option<serde_json::Value> = settings.get_value("settings", "ada").await?;
/// assert_eq!(ada, Some(json!({ "theme": "dark" })));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DefaultValue<S> {
    inner: S,
    value: Value,
    ttl: Option<Duration>,
}

impl<S> DefaultValue<S> {
    /// Answers `value` for what `inner` does not hold.
    pub const fn new(inner: S, value: Value) -> Self {
        Self {
            inner,
            value,
            ttl: None,
        }
    }
}

impl<S: Store> DefaultValue<S> {
    /// Lets the default value expire `ttl` after each read that answers it: for those who keep what
    /// they read. Default: never.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidTtl`] when `ttl` is zero or ends past the year 9999; also on reads, once it
    /// does.
    pub fn with_ttl(mut self, ttl: Duration) -> Result<Self> {
        self.ttl = Some(ttl);
        self.default_entry()?;
        Ok(self)
    }

    /// Makes the entry that is answered for one that is not there.
    fn default_entry(&self) -> Result<Entry> {
        entry_with_ttl(self.value.clone(), self.inner.clock().now(), self.ttl)
    }

    /// Puts the default in the place of an absent entry.
    fn filled(&self, entry: Option<Entry>) -> Result<Option<Entry>> {
        entry.map_or_else(|| self.default_entry(), Ok).map(Some)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for DefaultValue<S> {
    forward!(
        put,
        delete,
        take,
        put_many,
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

    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.filled(self.inner.get(collection, key).await?)
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.filled(self.inner.get_fresh(collection, key).await?)
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        let rows = self.inner.get_many(collection, keys).await?;
        let filled = rows.into_iter().map(|row| self.filled(row?));
        Ok(filled.collect())
    }
}

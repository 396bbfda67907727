//! [`PrefixCollections`]: a part of a store whose collections all have a prefix.

use async_trait::async_trait;

use super::forward::forward;
use super::prefix::Prefix;
use super::remove::remove_collections;
use super::rename::inside;
use crate::{
    CollectionPage, Entry, KeyPage, KeyQuery, PutMode, Result, Revision, Store, Watch, name,
};

#[cfg(doc)]
use crate::Error;

/// Stores `collection` as `prefix__collection`: one store for several programs or tenants.
///
/// Listing, [`clear`](Store::clear) and [`destroy`](Store::destroy) stay inside the prefix, other
/// collections are neither shown nor touched. The limit of 2048 bytes holds for
/// `prefix__collection`. [`cull`](Store::cull) is that of the whole store.
///
/// # Examples
///
/// ```
/// use kv_core::{Store, StoreExt};
/// use kv_memory::MemoryStore;
/// use serde_json::json;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kv_core::Result<()> {
/// let store = MemoryStore::new();
/// let blue = store.clone().prefixed("blue")?;
/// let green = store.clone().prefixed("green")?;
/// blue.put_value("notes", "todo", &json!({ "text": "rest" }), None).await?;
/// green.destroy().await?;
/// assert!(store.get("blue__notes", "todo").await?.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PrefixCollections<S> {
    inner: S,
    prefix: Prefix,
}

impl<S> PrefixCollections<S> {
    /// Narrows `inner` to the collections with `prefix`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] when `prefix` is empty, holds `__` or `::`, ends in `_`, or is so
    /// long that no collection fits behind it: more than 2045 bytes.
    pub fn new(inner: S, prefix: &str) -> Result<Self> {
        let prefix = Prefix::new(prefix, name::check_collection)?;
        Ok(Self { inner, prefix })
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for PrefixCollections<S> {
    forward!(cull, flush, clock, info);

    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.inner.get(&self.prefix.add(collection)?, key).await
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let collection = self.prefix.add(collection)?;
        self.inner.get_fresh(&collection, key).await
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        let collection = self.prefix.add(collection)?;
        self.inner.put(&collection, key, entry, mode).await
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        self.inner.delete(&self.prefix.add(collection)?, key).await
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.inner.take(&self.prefix.add(collection)?, key).await
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        let collection = self.prefix.add(collection)?;
        self.inner.get_many(&collection, keys).await
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        let collection = self.prefix.add(collection)?;
        self.inner.put_many(&collection, entries).await
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        let collection = self.prefix.add(collection)?;
        self.inner.delete_many(&collection, keys).await
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        self.inner.keys(&self.prefix.add(collection)?, query).await
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        let page = self.inner.collections(self.prefix.query(query)).await?;
        let collections = self.prefix.strip_all(&page.collections);
        Ok(CollectionPage::new(collections, page.next))
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        self.inner.clear(&self.prefix.add(collection)?).await
    }

    async fn destroy(&self) -> Result<()> {
        let mut removed = 0;
        let destroyed = remove_collections(self, &mut removed).await;
        destroyed.map_err(|error| error.of_the_whole(removed > 0, self.info().name))
    }

    fn watch(&self, prefix: &str) -> Result<Watch> {
        let changes = self.inner.watch(&self.prefix.begin(prefix))?;
        let names = self.prefix.clone();
        Ok(inside(changes, move |collection, key| {
            Some((names.strip(&collection)?, key))
        }))
    }
}

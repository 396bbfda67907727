//! [`PrefixKeys`]: a part of a store whose keys all have a prefix.

use async_trait::async_trait;

use super::forward::forward;
use super::prefix::Prefix;
use super::rename::{as_strs, inside};
use crate::{
    CollectionPage, Entry, Error, KeyPage, KeyQuery, PutMode, Result, Revision, Store, Watch, name,
};

/// How many keys to ask for when only their existence matters. Not one: a backend that scans would
/// then go through its keys one by one.
const PROBE_PAGE_SIZE: usize = 100;

/// Stores `key` as `prefix__key`, in the same collection.
///
/// Listing, [`clear`](Store::clear) and [`destroy`](Store::destroy) stay inside the prefix: other
/// keys of the same collections are neither shown nor touched. The limit of 1024 bytes holds for
/// `prefix__key`.
///
/// Prefer [`PrefixCollections`](super::PrefixCollections) where you can: it clears a collection in
/// one call. Here `clear` and `destroy` list the keys and delete them page by page, and
/// [`collections`](Store::collections) looks into each collection for a key with the prefix.
/// [`cull`](Store::cull) is that of the whole store.
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
/// let ada = store.clone().prefixed_keys("ada")?;
/// ada.put_value("notes", "todo", &json!({ "text": "rest" }), None).await?;
/// assert!(store.get("notes", "ada__todo").await?.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PrefixKeys<S> {
    inner: S,
    prefix: Prefix,
}

impl<S> PrefixKeys<S> {
    /// Narrows `inner` to the keys with `prefix`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] when `prefix` is empty, holds `__`, ends in `_`, or is so long that
    /// no key fits behind it: more than 1021 bytes.
    pub fn new(inner: S, prefix: &str) -> Result<Self> {
        let prefix = Prefix::new(prefix, name::check_key)?;
        Ok(Self { inner, prefix })
    }
}

impl<S: Store> PrefixKeys<S> {
    /// Tells whether `collection` holds a live entry with the prefix.
    async fn holds_any(&self, collection: &str) -> Result<bool> {
        let mut query = KeyQuery::new().with_page_size(PROBE_PAGE_SIZE);
        loop {
            let page = self.keys(collection, query.clone()).await?;
            if !page.keys.is_empty() {
                return Ok(true);
            }
            let Some(next) = page.next else {
                return Ok(false);
            };
            query.cursor = Some(next);
        }
    }

    /// Does the work of `clear`, adding to `removed` also when it fails.
    async fn clear_counting(&self, collection: &str, removed: &mut u64) -> Result<()> {
        let mut query = KeyQuery::new();
        loop {
            let page = self.keys(collection, query.clone()).await?;
            let deleted = self.delete_many(collection, &as_strs(&page.keys)).await?;
            *removed += deleted.into_iter().map(u64::from).sum::<u64>();
            let Some(next) = page.next else {
                return Ok(());
            };
            query.cursor = Some(next);
        }
    }

    /// Does the work of `destroy`, adding to `removed` also when it fails.
    async fn destroy_counting(&self, removed: &mut u64) -> Result<()> {
        let mut query = KeyQuery::new();
        loop {
            let page = self.inner.collections(query.clone()).await?;
            for collection in page.collections {
                self.clear_counting(&collection, removed).await?;
            }
            let Some(next) = page.next else {
                return Ok(());
            };
            query.cursor = Some(next);
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for PrefixKeys<S> {
    forward!(cull, flush, clock, info);

    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.inner.get(collection, &self.prefix.add(key)?).await
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let key = self.prefix.add(key)?;
        self.inner.get_fresh(collection, &key).await
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        let key = self.prefix.add(key)?;
        self.inner.put(collection, &key, entry, mode).await
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        self.inner.delete(collection, &self.prefix.add(key)?).await
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.inner.take(collection, &self.prefix.add(key)?).await
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        let keys = self.prefix.add_all(keys)?;
        self.inner.get_many(collection, &as_strs(&keys)).await
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        let entries = entries
            .into_iter()
            .map(|(key, entry)| Ok((self.prefix.add(&key)?, entry)))
            .collect::<Result<_>>()?;
        let result = self.inner.put_many(collection, entries).await;
        result.map_err(|error| match error {
            Error::Incomplete { keys, source } => Error::Incomplete {
                keys: self.prefix.strip_all(&keys),
                source,
            },
            other => other,
        })
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        let keys = self.prefix.add_all(keys)?;
        self.inner.delete_many(collection, &as_strs(&keys)).await
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        let query = self.prefix.query(query);
        let page = self.inner.keys(collection, query).await?;
        Ok(KeyPage::new(self.prefix.strip_all(&page.keys), page.next))
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        let page = self.inner.collections(query).await?;
        let mut collections = Vec::new();
        for collection in page.collections {
            if self.holds_any(&collection).await? {
                collections.push(collection);
            }
        }
        Ok(CollectionPage::new(collections, page.next))
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        let mut removed = 0;
        let cleared = self.clear_counting(collection, &mut removed).await;
        cleared.map_err(|error| error.of_the_whole(removed > 0, self.info().name))?;
        Ok(removed)
    }

    async fn destroy(&self) -> Result<()> {
        let mut removed = 0;
        let destroyed = self.destroy_counting(&mut removed).await;
        destroyed.map_err(|error| error.of_the_whole(removed > 0, self.info().name))
    }

    fn watch(&self, prefix: &str) -> Result<Watch> {
        let names = self.prefix.clone();
        let changes = self.inner.watch(prefix)?;
        Ok(inside(changes, move |collection, key| {
            Some((collection, names.strip(&key)?))
        }))
    }
}

//! [`SingleCollection`]: all collections inside one.

use std::collections::HashSet;

use async_trait::async_trait;

use super::forward::forward;
use super::rename::{as_strs, inside};
use crate::{
    CollectionPage, Entry, Error, KeyPage, KeyQuery, PutMode, Result, Revision, Store, Watch, name,
};

/// Stores `key` of `collection` as `collection__key` in one collection, as Python's py-key-value
/// does.
///
/// The first separator of a stored key ends its collection. So a collection that holds the
/// separator, or whose end runs into it as that of `notes_` does, is [`Error::InvalidName`]; a key
/// may hold it. With the separator `::` no collection is refused. The limit of 1024 bytes holds for
/// `collection__key`.
///
/// Stored keys without a separator, and other collections of the store, are neither shown nor
/// touched. [`clear`](Store::clear) and [`destroy`](Store::destroy) list the keys and delete them
/// page by page. [`collections`](Store::collections) goes through all keys, so it takes as long as
/// listing them, and of its pages many may be empty or show what others showed before.
/// [`cull`](Store::cull) is that of the whole store.
///
/// # Defaults
///
/// The separator is `__`.
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
/// let app = store.clone().single_collection("app")?;
/// app.put_value("notes", "todo", &json!({ "text": "rest" }), None).await?;
/// assert!(store.get("app", "notes__todo").await?.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SingleCollection<S> {
    inner: S,
    collection: String,
    names: Names,
}

impl<S> SingleCollection<S> {
    /// Puts everything into `collection` of `inner`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] when `collection` is no name for a collection.
    pub fn new(inner: S, collection: &str) -> Result<Self> {
        name::check_collection(collection)?;
        Ok(Self {
            inner,
            collection: collection.to_owned(),
            names: Names {
                separator: "__".to_owned(),
            },
        })
    }

    /// Puts `separator` between collection and key. Default: `__`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] when it is empty, or so long that nothing fits around it: more than
    /// 1022 bytes.
    pub fn with_separator(mut self, separator: &str) -> Result<Self> {
        let reason = match separator.len() {
            0 => "it is empty",
            1..=LONGEST_SEPARATOR => {
                separator.clone_into(&mut self.names.separator);
                return Ok(self);
            }
            _ => "it is longer than 1022 bytes",
        };
        Err(Error::InvalidName {
            kind: "separator",
            reason,
        })
    }
}

impl<S: Store> SingleCollection<S> {
    /// Lists a page of stored keys.
    async fn page(&self, query: KeyQuery) -> Result<KeyPage> {
        self.inner.keys(&self.collection, query).await
    }

    /// Removes the entries whose stored keys begin with `start`, adding to `removed` also when it
    /// fails.
    async fn remove(&self, start: &str, removed: &mut u64) -> Result<()> {
        let mut query = KeyQuery::new().with_prefix(start);
        loop {
            let page = self.page(query.clone()).await?;
            let keys = page.keys.iter().map(String::as_str);
            let ours: Vec<_> = keys.filter(|key| self.names.split(key).is_some()).collect();
            let deleted = self.inner.delete_many(&self.collection, &ours).await;
            let deleted = deleted?.into_iter().map(u64::from);
            *removed += deleted.sum::<u64>();
            let Some(next) = page.next else {
                return Ok(());
            };
            query.cursor = Some(next);
        }
    }
}

/// The longest separator with a byte before and one behind it in a key of 1024 bytes.
const LONGEST_SEPARATOR: usize = name::MAX_KEY_BYTES - 2;

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for SingleCollection<S> {
    forward!(cull, flush, clock, info);

    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let key = self.names.stored(collection, key)?;
        self.inner.get(&self.collection, &key).await
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let key = self.names.stored(collection, key)?;
        self.inner.get_fresh(&self.collection, &key).await
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        let key = self.names.stored(collection, key)?;
        self.inner.put(&self.collection, &key, entry, mode).await
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        let key = self.names.stored(collection, key)?;
        self.inner.delete(&self.collection, &key).await
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let key = self.names.stored(collection, key)?;
        self.inner.take(&self.collection, &key).await
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        let keys = self.names.stored_all(collection, keys)?;
        self.inner.get_many(&self.collection, &as_strs(&keys)).await
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        let start = self.names.start(collection)?;
        let stored = |(key, entry): (String, Entry)| {
            name::check_key(&key)?;
            Ok(([&start, key.as_str()].concat(), entry))
        };
        let entries = entries.into_iter().map(stored).collect::<Result<_>>()?;
        let result = self.inner.put_many(&self.collection, entries).await;
        result.map_err(|error| match error {
            Error::Incomplete { keys, source } => Error::Incomplete {
                keys: strip_all(&keys, &start),
                source,
            },
            other => other,
        })
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        let keys = self.names.stored_all(collection, keys)?;
        let keys = as_strs(&keys);
        self.inner.delete_many(&self.collection, &keys).await
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        let start = self.names.start(collection)?;
        let prefix = format!("{start}{}", query.prefix);
        let page = self.page(query.with_prefix(prefix)).await?;
        Ok(KeyPage::new(strip_all(&page.keys, &start), page.next))
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        // A key whose collection begins with the prefix does so itself, but not the other way round.
        let prefix = query.prefix.clone();
        let page = self.page(query).await?;
        let names = page
            .keys
            .iter()
            .filter_map(|key| Some(self.names.split(key)?.0));
        let names: HashSet<_> = names.filter(|name| name.starts_with(&prefix)).collect();
        let names = names.into_iter().map(str::to_owned).collect();
        Ok(CollectionPage::new(names, page.next))
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        let start = self.names.start(collection)?;
        let mut removed = 0;
        let cleared = self.remove(&start, &mut removed).await;
        cleared.map_err(|error| error.of_the_whole(removed > 0, self.info().name))?;
        Ok(removed)
    }

    async fn destroy(&self) -> Result<()> {
        let mut removed = 0;
        let destroyed = self.remove("", &mut removed).await;
        destroyed.map_err(|error| error.of_the_whole(removed > 0, self.info().name))
    }

    fn watch(&self, prefix: &str) -> Result<Watch> {
        let changes = self.inner.watch(&self.collection)?;
        let (prefix, single) = (prefix.to_owned(), self.collection.clone());
        let names = self.names.clone();
        Ok(inside(changes, move |outer, stored| {
            let (collection, key) = names.split(&stored)?;
            let is_inside = outer == single && collection.starts_with(&prefix);
            is_inside.then(|| (collection.to_owned(), key.to_owned()))
        }))
    }
}

/// The stored keys of keys.
#[derive(Clone, Debug)]
struct Names {
    separator: String,
}

impl Names {
    /// Returns how the stored keys of `collection` begin.
    fn start(&self, collection: &str) -> Result<String> {
        self.join(collection, "")
    }

    /// Returns the stored key of `key`.
    fn stored(&self, collection: &str, key: &str) -> Result<String> {
        name::check_key(key)?;
        self.join(collection, key)
    }

    /// Puts the separator between `collection` and `key`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] for a collection that the stored key would not give back.
    fn join(&self, collection: &str, key: &str) -> Result<String> {
        name::check_collection(collection)?;
        let stored = [collection, &self.separator, key].concat();
        if stored.find(&self.separator) != Some(collection.len()) {
            return Err(Error::InvalidName {
                kind: "collection",
                reason: "it holds the separator of the single collection, or runs into it",
            });
        }
        Ok(stored)
    }

    /// Returns the stored keys of `keys`.
    fn stored_all(&self, collection: &str, keys: &[&str]) -> Result<Vec<String>> {
        let start = self.start(collection)?;
        let stored = |key: &&str| {
            name::check_key(key)?;
            Ok([&start, *key].concat())
        };
        keys.iter().map(stored).collect()
    }

    /// Splits a stored key into collection and key; `None` when it is none of ours.
    fn split<'k>(&self, stored: &'k str) -> Option<(&'k str, &'k str)> {
        let (collection, key) = stored.split_once(&self.separator)?;
        name::check(collection, key).ok()?;
        Some((collection, key))
    }
}

/// Returns what follows `start` in those stored keys that are keys behind it.
fn strip_all(stored: &[String], start: &str) -> Vec<String> {
    let keys = stored.iter().filter_map(|key| key.strip_prefix(start));
    let keys = keys.filter(|key| name::check_key(key).is_ok());
    keys.map(str::to_owned).collect()
}

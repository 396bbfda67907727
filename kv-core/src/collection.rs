//! [`Collection`]: a typed handle to one collection, with a default TTL; and [`Items`].

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ext::entry_with_ttl;
use crate::{KeyQuery, Result, Store, StoreExt, Value};

#[cfg(doc)]
use crate::Error;

/// One collection of a store, whose values are of type `T` and end after a default TTL.
///
/// Made by [`StoreExt::collection`]. Cloning clones the store, so give it a handle that is cheap to
/// clone and shares its data, such as `Arc<dyn Store>`.
///
/// `T` must serialize to a JSON object; use [`Items`] for anything else.
///
/// # Errors
///
/// Each method returns the errors of the [`Store`] call of its name. A value that is not a `T` is
/// [`Error::Decode`], one that is not an object [`Error::NotAnObject`], a TTL of zero or past the
/// year 9999 [`Error::InvalidTtl`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use kv_core::StoreExt;
/// use kv_memory::MemoryStore;
/// use serde::{Deserialize, Serialize};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kv_core::Result<()> {
/// #[derive(Serialize, Deserialize)]
/// struct Session { user: String, visits: u32 }
///
/// let store = MemoryStore::new();
/// let sessions = store.collection::<Session>("sessions").with_ttl(Duration::from_secs(3600));
/// sessions.put("s1", &Session { user: "ada".into(), visits: 0 }).await?;
/// sessions.update("s1", |old| old.map(|old| Session { visits: old.visits + 1, ..old })).await?;
/// let session = sessions.take("s1").await?.unwrap();
/// assert_eq!((session.user.as_str(), session.visits), ("ada", 1));
/// # Ok(())
/// # }
/// ```
pub struct Collection<T, S = Arc<dyn Store>> {
    store: S,
    name: String,
    ttl: Option<Duration>,
    values: PhantomData<fn(T) -> T>,
}

impl<T, S> Collection<T, S> {
    /// Makes a handle to the collection `name` of `store`, without a TTL. The store checks the name
    /// on each call.
    pub fn new(store: S, name: impl Into<String>) -> Self {
        Self {
            store,
            name: name.into(),
            ttl: None,
            values: PhantomData,
        }
    }

    /// Sets how long an entry lives after it was put. Default: `None`, for ever.
    #[must_use]
    pub fn with_ttl(mut self, ttl: impl Into<Option<Duration>>) -> Self {
        self.ttl = ttl.into();
        self
    }

    /// Returns the collection's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the store.
    pub const fn store(&self) -> &S {
        &self.store
    }
}

impl<T, S: Store> Collection<T, S> {
    /// Removes `key`, and tells whether a live entry went.
    pub async fn delete(&self, key: &str) -> Result<bool> {
        self.store.delete(&self.name, key).await
    }

    /// Removes `keys`, and tells of each whether a live entry went.
    pub async fn delete_many(&self, keys: &[&str]) -> Result<Vec<bool>> {
        self.store.delete_many(&self.name, keys).await
    }

    /// Starts the default TTL of the live entry of `key` anew, and tells whether there was one.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] after 100 tries that lost to other writers.
    pub async fn touch(&self, key: &str) -> Result<bool> {
        self.store.touch(&self.name, key, self.ttl).await
    }

    /// Lists the keys, each once. See [`StoreExt::keys_stream`] for what that costs.
    pub fn keys(&self, query: KeyQuery) -> impl Stream<Item = Result<String>> + Send + Unpin {
        self.store.keys_stream(&self.name, query)
    }

    /// Removes every entry of the collection, and returns how many.
    pub async fn clear(&self) -> Result<u64> {
        self.store.clear(&self.name).await
    }
}

impl<T: DeserializeOwned, S: Store> Collection<T, S> {
    /// Returns the value of `key`; `None` when there is no live entry.
    pub async fn get(&self, key: &str) -> Result<Option<T>> {
        self.store.get_value(&self.name, key).await
    }

    /// Returns the values of `keys`, in their order. A value that is not a `T` is an error in its
    /// own place.
    pub async fn get_many(&self, keys: &[&str]) -> Result<Vec<Result<Option<T>>>> {
        let entries = self.store.get_many(&self.name, keys).await?;
        Ok(entries
            .into_iter()
            .map(|entry| entry?.map(|entry| entry.value.decode()).transpose())
            .collect())
    }

    /// Returns the value of `key` and the time it has left: `None` when there is no live entry,
    /// `Some((value, None))` when it never expires.
    pub async fn ttl(&self, key: &str) -> Result<Option<(T, Option<Duration>)>> {
        let found = self.store.ttl(&self.name, key).await?;
        found
            .map(|(entry, ttl)| Ok((entry.value.decode()?, ttl)))
            .transpose()
    }

    /// Removes and returns the value of `key` in one step. Of any number of callers one gets it.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] when it is not a `T`; it is gone all the same.
    pub async fn take(&self, key: &str) -> Result<Option<T>> {
        let entry = self.store.take(&self.name, key).await?;
        entry.map(|entry| entry.value.decode()).transpose()
    }
}

impl<T: Serialize + Sync, S: Store> Collection<T, S> {
    /// Stores `value` under `key` with the default TTL, replacing what is there.
    pub async fn put(&self, key: &str, value: &T) -> Result<()> {
        self.put_with_ttl(key, value, self.ttl).await
    }

    /// Stores `value` under `key` with a TTL of its own, replacing what is there; `None` never
    /// expires.
    pub async fn put_with_ttl(&self, key: &str, value: &T, ttl: Option<Duration>) -> Result<()> {
        self.store.put_value(&self.name, key, value, ttl).await
    }

    /// Stores `value` with the default TTL only when `key` has no live entry, and tells whether it
    /// did. Of any number of callers one is told `true`.
    pub async fn put_if_absent(&self, key: &str, value: &T) -> Result<bool> {
        self.store
            .put_if_absent(&self.name, key, value, self.ttl)
            .await
    }

    /// Stores all `entries` with the default TTL, replacing what is there. The last of duplicates
    /// wins.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`] names the keys that were not written, or may not have been, when some
    /// were.
    pub async fn put_many(&self, entries: &[(&str, &T)]) -> Result<()> {
        let now = self.store.clock().now();
        let entries = entries
            .iter()
            .map(|(key, value)| {
                let entry = entry_with_ttl(Value::encode(value)?, now, self.ttl)?;
                Ok(((*key).to_owned(), entry))
            })
            .collect::<Result<_>>()?;
        self.store.put_many(&self.name, entries).await?;
        Ok(())
    }
}

impl<T: Serialize + DeserializeOwned + Send, S: Store> Collection<T, S> {
    /// Changes the value of `key` atomically: `change` is given the live value and returns the one
    /// to store with the default TTL, or `None` to leave everything as it is.
    ///
    /// Returns the value that was stored, or `None` when none was. When another writer was faster,
    /// `change` is called again with what that one left, so it must not have effects of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] after 100 tries that lost to other writers.
    pub async fn update(
        &self,
        key: &str,
        change: impl FnMut(Option<T>) -> Option<T> + Send,
    ) -> Result<Option<T>> {
        self.store.update(&self.name, key, self.ttl, change).await
    }
}

impl<T, S: Clone> Clone for Collection<T, S> {
    fn clone(&self) -> Self {
        Self::new(self.store.clone(), self.name.clone()).with_ttl(self.ttl)
    }
}

impl<T, S: fmt::Debug> fmt::Debug for Collection<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collection")
            .field("store", &self.store)
            .field("name", &self.name)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// A value that is not a JSON object, stored as `{"items": value}`.
///
/// That is how Python's py-key-value adapters store lists and plain values.
///
/// # Examples
///
/// ```
/// use kv_core::{Items, Value};
///
/// let value = Value::encode(&Items::new([1, 2, 3]))?;
/// assert_eq!(value.as_bytes(), br#"{"items":[1,2,3]}"#);
/// assert_eq!(value.decode::<Items<Vec<u8>>>()?.items, [1, 2, 3]);
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Items<T> {
    /// The value.
    pub items: T,
}

impl<T> Items<T> {
    /// Wraps a value.
    pub const fn new(items: T) -> Self {
        Self { items }
    }
}

impl<T> From<T> for Items<T> {
    fn from(items: T) -> Self {
        Self::new(items)
    }
}

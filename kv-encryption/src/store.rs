//! [`FernetStore`], the wrapper.

use std::sync::Arc;

use async_trait::async_trait;
use kv_core::{
    Clock, CollectionPage, Entry, Error, KeyPage, KeyQuery, PutMode, Result, Revision, Store,
    StoreInfo, Watch, aside,
};

use crate::KeyRing;
use crate::seal::{Found, Policy};

/// How many bytes are encrypted or decrypted where the caller runs, which takes up to 0.2 ms.
const MAX_INLINE_BYTES: usize = 64 * 1024;

/// What an entry costs besides its value: as much as so many bytes of one.
const ENTRY_COST: usize = 512;

/// What an encrypted value looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// The ciphertext holds names and times with the value. Nobody without a key can move it to
    /// another record, give it another name or another expiry. Only this crate reads it.
    #[default]
    Bound,
    /// What Python's `FernetEncryptionWrapper` of py-key-value writes and reads. Who can write to
    /// the store inside can put one record's ciphertext into another.
    PythonCompatible,
}

/// Encrypts the values of a store with Fernet (AES-128-CBC and HMAC-SHA256).
///
/// Collections, keys, times and the lengths of values stay readable inside. Put it directly on the
/// backend: what renames entries or changes their TTL goes outside of it, as a
/// [`Bound`](Format::Bound) record is of one name and one expiry.
///
/// A record that was changed, moved, renamed, given another expiry, or that is plaintext, is
/// [`Error::Decrypt`], for that entry alone. It counts as present: `Create` does not replace it,
/// an `Overwrite` or `delete` does, and `take` removes it and fails. What is *not* noticed is that
/// somebody puts back an older record of the same name and expiry, or removes one.
///
/// # Errors
///
/// Besides those of the store inside, [`Error::Decrypt`] on reads: `UnknownKey` when the record's
/// key is not in the ring; `Authentication` when it is not authentic under its key; `Moved`;
/// `NotEncrypted` unless [allowed](Self::allow_plaintext); `Unbound` for a record of the other
/// format unless [allowed](Self::allow_unbound); `UnsupportedVersion`. [`Error::Corrupted`] when it
/// is of no form. When the runtime shuts down while it works on a large value, a read or a write is
/// [`Error::Unavailable`]; a [`take`](Store::take), whose entry is gone by then,
/// [`Error::OutcomeUnknown`]. [`Error::TooLarge`] from about 3/4 of the inner limit on, 9/16 in
/// Python's format: encrypted values are longer.
///
/// # Examples
///
/// ```
/// use kv_core::{Store, StoreExt};
/// use kv_encryption::{FernetKey, FernetStore, KeyRing};
/// use kv_memory::MemoryStore;
/// use serde_json::json;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let inside = MemoryStore::new();
/// let keys = KeyRing::new(FernetKey::generate()?);
/// let store = FernetStore::new(inside.clone(), keys);
/// store.put_value("tokens", "t1", &json!({ "secret": "hunter2" }), None).await?;
///
/// let stored = inside.get("tokens", "t1").await?.expect("it was stored");
/// assert!(stored.value.as_bytes().starts_with(br#"{"__encrypted_data__":"#));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FernetStore<S> {
    pub(crate) inner: S,
    pub(crate) policy: Policy,
}

impl<S> FernetStore<S> {
    /// Encrypts what goes into `inner` with the primary key of `keys`.
    pub const fn new(inner: S, keys: KeyRing) -> Self {
        Self {
            inner,
            policy: Policy {
                keys,
                format: Format::Bound,
                allow_plaintext: false,
                allow_unbound: false,
            },
        }
    }

    /// Sets the format of what is written. Default: [`Format::Bound`].
    ///
    /// Both are read in a store of [`Format::PythonCompatible`].
    #[must_use]
    pub const fn with_format(mut self, format: Format) -> Self {
        self.policy.format = format;
        self
    }

    /// Hands out values that are not encrypted as they are. Default: they are
    /// [`Error::Decrypt`].
    ///
    /// For the time in which a store that was plaintext is encrypted. While it is allowed, whoever
    /// can write to the store inside can plant entries.
    #[must_use]
    pub const fn allow_plaintext(mut self) -> Self {
        self.policy.allow_plaintext = true;
        self
    }

    /// Reads values of [`Format::PythonCompatible`] in a store of [`Format::Bound`]. Default: they
    /// are [`Error::Decrypt`].
    ///
    /// For the time in which the entries that Python wrote are replaced. While it is allowed,
    /// whoever can write to the store inside can put one such entry in another's place.
    #[must_use]
    pub const fn allow_unbound(mut self) -> Self {
        self.policy.allow_unbound = true;
        self
    }
}

impl<S: Store> FernetStore<S> {
    /// Checks an entry that is to be stored, and gives it its times.
    fn prepare(&self, entry: Entry) -> Result<Entry> {
        if let Some(limit) = self.info().max_value_bytes {
            let size = entry.value.len() as u64;
            if size > limit {
                return Err(Error::TooLarge { limit, size });
            }
        }
        entry.prepared(self.clock().now())
    }

    /// Encrypts an entry whose times are final.
    pub(crate) async fn seal_as(
        &self,
        format: Format,
        collection: &str,
        key: &str,
        entry: Entry,
    ) -> Result<Entry> {
        if entry.value.len() <= MAX_INLINE_BYTES {
            return self.policy.seal(format, collection, key, entry);
        }
        let (collection, key) = (collection.to_owned(), key.to_owned());
        self.aside(move |policy| policy.seal(format, &collection, &key, entry))
            .await?
    }

    /// Decrypts an entry that was read, and tells what it was.
    pub(crate) async fn open(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
    ) -> Result<(Entry, Found)> {
        if entry.value.len() <= MAX_INLINE_BYTES {
            return self.policy.open(collection, key, entry);
        }
        let (collection, key) = (collection.to_owned(), key.to_owned());
        self.aside(move |policy| policy.open(&collection, &key, entry))
            .await?
    }

    async fn open_found(
        &self,
        collection: &str,
        key: &str,
        entry: Option<Entry>,
    ) -> Result<Option<Entry>> {
        match entry {
            Some(entry) => Ok(Some(self.open(collection, key, entry).await?.0)),
            None => Ok(None),
        }
    }

    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Policy) -> T + Send + 'static,
    ) -> Result<T> {
        let policy = self.policy.clone();
        aside(self.inner.info().name, move || work(&policy)).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for FernetStore<S> {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let entry = self.inner.get(collection, key).await?;
        self.open_found(collection, key, entry).await
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let entry = self.inner.get_fresh(collection, key).await?;
        self.open_found(collection, key, entry).await
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        let entry = self.prepare(entry)?;
        let format = self.policy.format;
        let entry = self.seal_as(format, collection, key, entry).await?;
        self.inner.put(collection, key, entry, mode).await
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        self.inner.delete(collection, key).await
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let entry = self.inner.take(collection, key).await?;
        let taken = self.open_found(collection, key, entry).await;
        taken.map_err(|error| match error {
            // The entry is gone by now.
            Error::Unavailable { store, .. } => Error::OutcomeUnknown {
                store,
                source: Some(Arc::new(error)),
            },
            error => error,
        })
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        let read = self.inner.get_many(collection, keys).await?;
        let size: usize = read.iter().map(size).sum();
        if size <= MAX_INLINE_BYTES {
            return Ok(self.policy.open_all(collection, keys, read));
        }
        let collection = collection.to_owned();
        let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
        self.aside(move |policy| policy.open_all(&collection, &keys, read))
            .await
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        let prepare = |(key, entry)| Ok((key, self.prepare(entry)?));
        let entries: Vec<_> = entries.into_iter().map(prepare).collect::<Result<_>>()?;
        let cost = |(_, entry): &(_, Entry)| ENTRY_COST + entry.value.len();
        let size: usize = entries.iter().map(cost).sum();
        let sealed = if size <= MAX_INLINE_BYTES {
            self.policy.seal_all(collection, entries)?
        } else {
            let collection = collection.to_owned();
            self.aside(move |policy| policy.seal_all(&collection, entries))
                .await??
        };
        self.inner.put_many(collection, sealed).await
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        self.inner.delete_many(collection, keys).await
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        self.inner.keys(collection, query).await
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        self.inner.collections(query).await
    }

    async fn cull(&self) -> Result<u64> {
        self.inner.cull().await
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        self.inner.clear(collection).await
    }

    async fn destroy(&self) -> Result<()> {
        self.inner.destroy().await
    }

    async fn flush(&self) -> Result<()> {
        self.inner.flush().await
    }

    fn watch(&self, prefix: &str) -> Result<Watch> {
        self.inner.watch(prefix)
    }

    fn clock(&self) -> &dyn Clock {
        self.inner.clock()
    }

    fn info(&self) -> StoreInfo {
        let info = self.inner.info();
        let longest = info.max_value_bytes;
        info.with_max_value_bytes(longest.map(|limit| self.policy.longest_value(limit)))
    }
}

/// Returns the size of what was read.
fn size(read: &Result<Option<Entry>>) -> usize {
    match read {
        Ok(Some(entry)) => entry.value.len(),
        _ => 0,
    }
}

//! [`FernetStore`], the wrapper.

use async_trait::async_trait;
use kv_core::{
    Clock, CollectionPage, Entry, Error, KeyPage, KeyQuery, PutMode, Result, Revision, Store,
    StoreInfo, Watch,
};

use crate::KeyRing;
use crate::seal::Policy;

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
/// is of no form. [`Error::TooLarge`] from about 9/16 of the inner limit on: encrypted values are
/// longer.
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
    fn seal(&self, collection: &str, key: &str, entry: Entry) -> Result<Entry> {
        if let Some(limit) = self.info().max_value_bytes {
            let size = entry.value.len() as u64;
            if size > limit {
                return Err(Error::TooLarge { limit, size });
            }
        }
        let entry = entry.prepared(self.clock().now())?;
        self.policy.seal(collection, key, entry)
    }

    fn open(&self, collection: &str, key: &str, entry: Option<Entry>) -> Result<Option<Entry>> {
        entry
            .map(|entry| self.policy.open(collection, key, entry))
            .transpose()
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for FernetStore<S> {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let entry = self.inner.get(collection, key).await?;
        self.open(collection, key, entry)
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let entry = self.inner.get_fresh(collection, key).await?;
        self.open(collection, key, entry)
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        let entry = self.seal(collection, key, entry)?;
        self.inner.put(collection, key, entry, mode).await
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        self.inner.delete(collection, key).await
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let entry = self.inner.take(collection, key).await?;
        self.open(collection, key, entry)
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        let entries = self.inner.get_many(collection, keys).await?;
        let opened = keys.iter().zip(entries);
        Ok(opened
            .map(|(key, entry)| self.open(collection, key, entry?))
            .collect())
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        let seal = |(key, entry): (String, Entry)| {
            let entry = self.seal(collection, &key, entry)?;
            Ok((key, entry))
        };
        let sealed = entries.into_iter().map(seal).collect::<Result<_>>()?;
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

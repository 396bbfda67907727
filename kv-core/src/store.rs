//! [`Store`]: the trait that every backend and wrapper implements, and its contract.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Clock, CollectionPage, Entry, Error, KeyPage, KeyQuery, Result, Revision, Watch, name,
};

/// A key-value store: JSON objects with an expiry, grouped in collections.
///
/// This page is the contract. Each sentence of it is a case of the `conformance` suite, which every
/// backend and wrapper runs. Application code mostly uses [`StoreExt`](crate::StoreExt) and
/// [`Collection`](crate::Collection), which add types and TTLs.
///
/// # Names
///
/// A key has 1 to 1024 bytes and a collection 1 to 2048 bytes of any UTF-8; a collection holds no
/// `::` and does not end in `:`. Anything else is [`Error::InvalidName`], in every operation. The
/// limits hold for the names as they are stored, after wrappers have added their prefixes. Names
/// that another program wrote outside these rules are neither listed nor addressable.
///
/// # Expiry
///
/// Liveness is decided on every read by [`clock`](Self::clock) alone: an entry is absent from the
/// moment `expires_at <= now`, everywhere, also while it is still stored. A backend's own expiry
/// only reclaims space. Overwriting without an expiry clears the old one.
///
/// # Atomicity
///
/// Each operation on one key is atomic: among any number of callers and processes,
/// [`PutMode::Create`], [`PutMode::Update`], [`delete`](Self::delete) and [`take`](Self::take) have
/// one winner each. Bulk operations are not atomic across keys unless the backend says so. They
/// keep the order and length of their input and repeat duplicates; with duplicates the last write
/// wins; empty input does nothing. A name or time that is invalid fails the whole bulk call before
/// anything is written.
///
/// # Undecodable records
///
/// A stored record that cannot be read is [`Error::Corrupted`] (or [`Error::Decrypt`]), never a
/// silent miss. It counts as present: `Create` is refused, `Overwrite` and `delete` work.
///
/// # Cancel safety
///
/// Dropping a future never leaves half a write: the write has been applied whole, will be, or not
/// at all.
///
/// # Errors
///
/// Reads that cannot be answered are `Unavailable` or `Timeout`. Writes are `Unavailable` when
/// nothing was applied and [`Error::OutcomeUnknown`] when something may have been, as when
/// `delete_many`, `clear` or `destroy` fails halfway. An ability that a backend lacks is
/// [`Error::Unsupported`].
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// Returns the live entry of `key`, with its revision; `None` when there is none.
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>>;

    /// Returns the live entry of `key` as [`get`](Self::get) does, but never from a local copy or
    /// from a read that began before this call.
    ///
    /// It is what a conditional write is based on: an older answer would only be refused again.
    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.get(collection, key).await
    }

    /// Stores `entry` under `key` as `mode` allows, and returns the revision of this write.
    ///
    /// `created_at` is filled in when it is `None`; `revision` is ignored.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`] for `Create` on a live entry, [`Error::Conflict`] for `Update` when
    /// the live entry has another revision or there is none, [`Error::InvalidTtl`] when
    /// `expires_at` is not after `created_at`, [`Error::TooLarge`] over the backend's limit.
    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision>;

    /// Removes `key`, and tells whether a live entry (or an undecodable record) went.
    async fn delete(&self, collection: &str, key: &str) -> Result<bool>;

    /// Removes and returns the live entry of `key` in one step.
    ///
    /// An undecodable record is removed and reported as its error.
    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>>;

    /// Returns the live entries of `keys`, in their order.
    ///
    /// One undecodable record is an error in its own place and does not fail the others.
    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        name::check_all(collection, keys.iter().copied())?;
        let mut entries = Vec::with_capacity(keys.len());
        for key in keys {
            entries.push(self.get(collection, key).await);
        }
        Ok(entries)
    }

    /// Stores all `entries`, replacing what is there, and returns their revisions in order.
    ///
    /// Where a key stands twice, the revision of its last place is the live one.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`] names the keys that were not written, or may not have been, when some
    /// were.
    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        name::check_all(collection, entries.iter().map(|(key, _)| key.as_str()))?;
        let now = self.clock().now();
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(key, entry)| Ok((key, entry.prepared(now)?)))
            .collect::<Result<_>>()?;
        let mut revisions = Vec::with_capacity(entries.len());
        let mut entries = entries.into_iter();
        while let Some((key, entry)) = entries.next() {
            match self.put(collection, &key, entry, PutMode::Overwrite).await {
                Ok(revision) => revisions.push(revision),
                Err(error) if revisions.is_empty() => return Err(error),
                Err(error) => {
                    let keys = std::iter::once(key)
                        .chain(entries.map(|(key, _)| key))
                        .collect();
                    return Err(Error::Incomplete {
                        keys,
                        source: Some(Arc::new(error)),
                    });
                }
            }
        }
        Ok(revisions)
    }

    /// Removes `keys`, and tells of each whether a live entry went.
    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        name::check_all(collection, keys.iter().copied())?;
        let mut deleted = Vec::with_capacity(keys.len());
        for key in keys {
            let result = self.delete(collection, key).await;
            deleted.push(result.map_err(|error| {
                let in_part = deleted.contains(&true);
                error.of_the_whole(in_part, self.info().name)
            })?);
        }
        Ok(deleted)
    }

    /// Lists the keys of the live entries of `collection`, a page at a time.
    ///
    /// The order is unspecified, and the page size a hint. A key that is there throughout is
    /// listed at least once over all pages and at most once in a page; one that comes or goes
    /// meanwhile may be listed or not. A page may be empty while `next` is set.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCursor`], or some page, for a cursor that this store did not hand out.
    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage>;

    /// Lists the collections that hold a live entry, a page at a time, as [`keys`](Self::keys)
    /// lists keys.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCursor`], or some page, for a cursor that this store did not hand out.
    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage>;

    /// Reclaims the space of expired entries now, and returns how many were removed.
    ///
    /// Never needed for correctness. A backend whose service expires by itself returns 0.
    async fn cull(&self) -> Result<u64>;

    /// Removes every entry of `collection` that [`keys`](Self::keys) would list, and returns how
    /// many. Neighbouring collections are untouched.
    async fn clear(&self, collection: &str) -> Result<u64>;

    /// Removes every entry that the store's own listing shows. The store stays usable.
    ///
    /// Through a scoping wrapper these are only the entries of its scope.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] on a backend that must be told first that this is allowed.
    async fn destroy(&self) -> Result<()>;

    /// Waits until everything that was acknowledged is as durable as the store can make it.
    async fn flush(&self) -> Result<()>;

    /// Tells which entries change, by whatever program, in the collections that begin with
    /// `prefix`; in all of them when it is empty.
    ///
    /// The watch begins when the stream is first polled: its first item is
    /// [`Change::Watching`](crate::Change::Watching) once changes are told. A change is told after it was made, as a
    /// rule within milliseconds, at least once, and in any order with those of other keys. Where
    /// the connection to the service is lost, [`Change::Lost`](crate::Change::Lost) says so.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] when the store cannot tell; that is the default.
    fn watch(&self, prefix: &str) -> Result<Watch> {
        let _ = prefix;
        Err(Error::Unsupported {
            what: "watching for changes",
        })
    }

    /// Returns the clock that decides which entries are live.
    fn clock(&self) -> &dyn Clock;

    /// Describes the store.
    fn info(&self) -> StoreInfo;
}

/// On which condition [`Store::put`] writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutMode {
    /// Always.
    #[default]
    Overwrite,
    /// Only when the key has no live entry; else [`Error::AlreadyExists`].
    Create,
    /// Only when the live entry still has this revision; else [`Error::Conflict`].
    Update(Revision),
}

/// What a store is, for warnings, limits and choices at start-up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreInfo {
    /// The backend's short name, such as `disk`.
    pub name: &'static str,
    /// Whether entries survive a restart of the process.
    pub persistent: bool,
    /// Whether other processes can use the same entries at the same time.
    pub shared: bool,
    /// The longest value in bytes; `None` when there is no limit.
    pub max_value_bytes: Option<u64>,
}

impl StoreInfo {
    /// Describes a store that forgets on restart, is used by one process and has no value limit.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            persistent: false,
            shared: false,
            max_value_bytes: None,
        }
    }

    /// Sets whether entries survive a restart.
    #[must_use]
    pub const fn with_persistent(mut self, persistent: bool) -> Self {
        self.persistent = persistent;
        self
    }

    /// Sets whether other processes can use the same entries.
    #[must_use]
    pub const fn with_shared(mut self, shared: bool) -> Self {
        self.shared = shared;
        self
    }

    /// Sets the longest value in bytes.
    #[must_use]
    pub const fn with_max_value_bytes(mut self, limit: Option<u64>) -> Self {
        self.max_value_bytes = limit;
        self
    }

    /// Returns what this store and `other` have in common, under the name of this one.
    pub(crate) fn weaker(self, other: &Self) -> Self {
        let limits = [self.max_value_bytes, other.max_value_bytes];
        Self {
            name: self.name,
            persistent: self.persistent && other.persistent,
            shared: self.shared && other.shared,
            max_value_bytes: limits.into_iter().flatten().min(),
        }
    }
}

/// Forwards every operation to the store behind a smart pointer.
macro_rules! forward {
    ($($pointer:ident),+) => {$(
        #[deny(clippy::missing_trait_methods)]
        #[async_trait]
        impl<S: Store + ?Sized> Store for $pointer<S> {
            // As `async_trait` writes it, but handing on the inner future: a read from memory is
            // so short that boxing it once more would show.
            fn get<'s, 'c, 'k, 'f>(
                &'s self,
                collection: &'c str,
                key: &'k str,
            ) -> Pin<Box<dyn Future<Output = Result<Option<Entry>>> + Send + 'f>>
            where
                's: 'f,
                'c: 'f,
                'k: 'f,
                Self: 'f,
            {
                (**self).get(collection, key)
            }

            async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
                (**self).get_fresh(collection, key).await
            }

            async fn put(
                &self,
                collection: &str,
                key: &str,
                entry: Entry,
                mode: PutMode,
            ) -> Result<Revision> {
                (**self).put(collection, key, entry, mode).await
            }

            async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
                (**self).delete(collection, key).await
            }

            async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
                (**self).take(collection, key).await
            }

            async fn get_many(
                &self,
                collection: &str,
                keys: &[&str],
            ) -> Result<Vec<Result<Option<Entry>>>> {
                (**self).get_many(collection, keys).await
            }

            async fn put_many(
                &self,
                collection: &str,
                entries: Vec<(String, Entry)>,
            ) -> Result<Vec<Revision>> {
                (**self).put_many(collection, entries).await
            }

            async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
                (**self).delete_many(collection, keys).await
            }

            async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
                (**self).keys(collection, query).await
            }

            async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
                (**self).collections(query).await
            }

            async fn cull(&self) -> Result<u64> {
                (**self).cull().await
            }

            async fn clear(&self, collection: &str) -> Result<u64> {
                (**self).clear(collection).await
            }

            async fn destroy(&self) -> Result<()> {
                (**self).destroy().await
            }

            async fn flush(&self) -> Result<()> {
                (**self).flush().await
            }

            fn watch(&self, prefix: &str) -> Result<Watch> {
                (**self).watch(prefix)
            }

            fn clock(&self) -> &dyn Clock {
                (**self).clock()
            }

            fn info(&self) -> StoreInfo {
                (**self).info()
            }
        }
    )+};
}

forward!(Arc, Box);

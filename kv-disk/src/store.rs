//! [`DiskStore`], the handle of a store on disk.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use kv_core::{
    Clock, CollectionPage, Entry, Error, KeyPage, KeyQuery, PutMode, Result, Revision, Store,
    StoreInfo, Watch, name,
};
use tokio::sync::oneshot;

use crate::builder::Config;
use crate::change::{Change, Single, Steps, answer_with};
use crate::database::Database;
use crate::engine::Handle;
use crate::error::{Fault, STORE};
use crate::queue::Task;
use crate::transaction::Transaction;
use crate::{DiskStoreBuilder, Durability, integrity, table};

/// A store in a folder on disk. Clones share it.
///
/// The folder is made with mode 0700 and the files in it with 0600. One process at a time can use
/// it, unless every one of them [shares](DiskStoreBuilder::shared) it.
///
/// `put_many` and `delete_many` are one transaction: all of it or nothing is applied, also across
/// a crash, and readers see all of it or nothing. `clear`, `destroy` and `cull` go in steps of 256
/// rows, between which the writes of others are done.
///
/// Dropping the last clone commits what is queued and closes the file, for which the dropping
/// thread waits.
///
/// # Cancel safety
///
/// A write whose future is dropped has been queued, and will be applied whole, or has not, and
/// nothing happens.
///
/// # Examples
///
/// ```
/// use kv_core::{Entry, PutMode, Store, Value};
/// use kv_disk::DiskStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let store = DiskStore::new(folder)?;
/// let entry = Entry::new(Value::from_json(r#"{"name":"Ada"}"#)?);
/// store.put("users", "ada", entry, PutMode::Create).await?;
/// drop(store);
///
/// let store = DiskStore::new(folder)?;
/// let entry = store.get("users", "ada").await?.expect("it was stored");
/// assert_eq!(entry.value.as_bytes(), br#"{"name":"Ada"}"#);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DiskStore {
    handle: Arc<Handle>,
}

impl DiskStore {
    /// Makes a store in the folder `path` with the defaults of [`DiskStoreBuilder`].
    ///
    /// Opens and creates nothing: the first operation does, or [`open`](Self::open).
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the path is empty, or it or a parent is no folder.
    pub fn new(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder(path).build()
    }

    /// Starts to set up a store in the folder `path`.
    pub fn builder(path: impl AsRef<Path>) -> DiskStoreBuilder {
        DiskStoreBuilder::new(path.as_ref())
    }

    pub(crate) fn from_config(config: Config) -> Self {
        Self {
            handle: Arc::new(Handle::new(config)),
        }
    }

    /// Opens the store now, making it if there is none. Does nothing when it is open.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyOpen`] when another process has it for itself alone,
    /// [`Error::Corrupted`] when the file is damaged or no store, [`Error::Unsupported`] when a
    /// newer version wrote it, [`Error::Unavailable`] with the path and what to do when the folder
    /// or file cannot be made, read or written, [`Error::Full`] when there is no room to make it.
    pub async fn open(&self) -> Result<()> {
        self.handle.engine().await.map(drop)
    }

    /// Gives free space inside the file back to the file system, and tells whether there was any.
    ///
    /// Reads and writes wait meanwhile: about 40 ms for a file of 50 MB.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when another process is reading from a shared store.
    pub async fn compact(&self) -> Result<bool> {
        self.alone(|database| database.alone(|db| Ok(db.compact()?)))
            .await
    }

    /// Checks the whole file: the checksum of every page, the hash of every record, and that the
    /// expiry table names exactly the entries that expire.
    ///
    /// Returns whether everything was in order; `false` means that what was not has been repaired
    /// without losing an entry. Writes wait meanwhile, and reads for the first part.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupted`] when something is damaged.
    pub async fn check_integrity(&self) -> Result<bool> {
        self.alone(|database| {
            let intact = database.alone(|db| Ok(db.check_integrity()?))?;
            database.read(integrity::check_records)?;
            Ok(intact)
        })
        .await
    }

    /// Returns the store's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.handle.config.path
    }

    #[cfg(test)]
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.handle.config)
    }

    /// Runs `run` on the writer thread, alone.
    async fn alone<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Database) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let engine = self.handle.engine().await?;
        engine
            .submit(0, false, |reply| {
                Task::Alone(Box::new(move |database| answer_with(reply, run(database))))
            })
            .await
    }

    /// Runs `run` in a transaction that it may share with others.
    async fn change<T: Send + 'static>(
        &self,
        bytes: usize,
        adds: bool,
        run: impl FnMut(&mut Transaction<'_>) -> Result<Result<T>, Fault> + Send + 'static,
    ) -> Result<T> {
        let engine = self.handle.engine().await?;
        engine
            .submit(bytes, adds, |reply| {
                Task::Change(Box::new(Single::new(reply, run)))
            })
            .await
    }

    /// Queues a removal in steps.
    async fn remove(
        &self,
        steps: impl FnOnce(Option<oneshot::Sender<Result<u64>>>) -> Box<dyn Change> + Send,
    ) -> Result<u64> {
        let engine = self.handle.engine().await?;
        engine
            .submit(0, false, |reply| Task::Change(steps(Some(reply))))
            .await
    }

    /// Checks an entry before it is queued and fills in its time of creation.
    fn prepare(&self, entry: Entry) -> Result<Entry> {
        let limit = self.handle.config.max_value_bytes;
        let size = entry.value.len() as u64;
        if size > limit {
            return Err(Error::TooLarge { limit, size });
        }
        entry.prepared(self.clock().now())
    }

    fn now(&self) -> i64 {
        self.clock().now().as_micros()
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Store for DiskStore {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        name::check(collection, key)?;
        let engine = self.handle.engine().await?;
        let now = self.now();
        let read = move |database: &Database, collection: &str, key: &str| {
            database.read(|open| table::get(open, collection, key, now))
        };
        if let Some(entry) = engine.read_in_place(|database| read(database, collection, key)) {
            return entry;
        }
        let (collection, key) = (collection.to_owned(), key.to_owned());
        engine
            .read_on_pool(move |database| read(database, &collection, &key))
            .await
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.get(collection, key).await
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        name::check(collection, key)?;
        let entry = self.prepare(entry)?;
        let (collection, key) = (collection.to_owned(), key.to_owned());
        self.change(
            stored_bytes(&collection, &key, &entry),
            true,
            move |tables| tables.put(&collection, &key, &entry, &mode),
        )
        .await
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        name::check(collection, key)?;
        let (collection, key) = (collection.to_owned(), key.to_owned());
        self.change(collection.len() + key.len(), false, move |tables| {
            tables.delete(&collection, &key).map(Ok)
        })
        .await
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        name::check(collection, key)?;
        let (collection, key) = (collection.to_owned(), key.to_owned());
        self.change(collection.len() + key.len(), false, move |tables| {
            tables.take(&collection, &key)
        })
        .await
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        name::check_all(collection, keys.iter().copied())?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let engine = self.handle.engine().await?;
        let now = self.now();
        let in_place = engine.read_in_place(|database| {
            database.read(|open| table::get_many(open, collection, keys, now))
        });
        if let Some(entries) = in_place {
            return entries;
        }
        let (collection, keys) = (collection.to_owned(), owned(keys));
        engine
            .read_on_pool(move |database| {
                database.read(|open| table::get_many(open, &collection, &keys, now))
            })
            .await
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        name::check_all(collection, entries.iter().map(|(key, _)| key.as_str()))?;
        let entries: Vec<(String, Entry)> = entries
            .into_iter()
            .map(|(key, entry)| Ok((key, self.prepare(entry)?)))
            .collect::<Result<_>>()?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let collection = collection.to_owned();
        let bytes = entries
            .iter()
            .map(|(key, entry)| stored_bytes(&collection, key, entry))
            .sum();
        self.change(bytes, true, move |tables| {
            let put = |(key, entry): &(String, Entry)| {
                tables.put(&collection, key, entry, &PutMode::Overwrite)
            };
            entries.iter().map(put).collect()
        })
        .await
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        name::check_all(collection, keys.iter().copied())?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (collection, keys) = (collection.to_owned(), owned(keys));
        let bytes = keys.iter().map(|key| collection.len() + key.len()).sum();
        self.change(bytes, false, move |tables| {
            let delete = |key: &String| tables.delete(&collection, key);
            keys.iter().map(delete).collect::<Result<_, _>>().map(Ok)
        })
        .await
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        name::check_collection(collection)?;
        let engine = self.handle.engine().await?;
        let (collection, now) = (collection.to_owned(), self.now());
        let read = move |database: &Database| {
            database.read(|open| table::keys(open, &collection, &query, now))
        };
        match engine.read_in_place(&read) {
            Some(page) => page,
            None => engine.read_on_pool(read).await,
        }
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        let engine = self.handle.engine().await?;
        let now = self.now();
        let read =
            move |database: &Database| database.read(|open| table::collections(open, &query, now));
        match engine.read_in_place(&read) {
            Some(page) => page,
            None => engine.read_on_pool(read).await,
        }
    }

    async fn cull(&self) -> Result<u64> {
        let now = self.now();
        self.remove(|reply| Box::new(sweep(reply, now))).await
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        name::check_collection(collection)?;
        let collection = collection.to_owned();
        self.remove(|reply| {
            let start = (collection.clone().into_bytes(), Vec::new());
            Box::new(Steps::new(reply, start, move |tables, after| {
                tables.clear_step(Some(&collection), after)
            }))
        })
        .await
    }

    async fn destroy(&self) -> Result<()> {
        self.remove(|reply| {
            let start = (Vec::new(), Vec::new());
            Box::new(Steps::new(reply, start, |tables, after| {
                tables.clear_step(None, after)
            }))
        })
        .await
        .map(drop)
    }

    async fn flush(&self) -> Result<()> {
        if self.handle.config.durability == Durability::Immediate {
            return Ok(());
        }
        self.alone(Database::flush).await
    }

    fn watch(&self, _: &str) -> Result<Watch> {
        Err(Error::Unsupported {
            what: "watching for changes",
        })
    }

    fn clock(&self) -> &dyn Clock {
        &*self.handle.config.clock
    }

    fn info(&self) -> StoreInfo {
        StoreInfo::new(STORE)
            .with_persistent(true)
            .with_shared(self.handle.config.shared)
            .with_max_value_bytes(Some(self.handle.config.max_value_bytes))
    }
}

impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskStore")
            .field("path", &self.handle.config.path)
            .field("shared", &self.handle.config.shared)
            .field("durability", &self.handle.config.durability)
            .finish_non_exhaustive()
    }
}

/// Makes the removal of everything that has expired by `now`.
pub(crate) fn sweep(
    reply: Option<oneshot::Sender<Result<u64>>>,
    now: i64,
) -> impl Change + 'static {
    Steps::new(reply, (), move |tables, ()| {
        let (removed, more) = tables.sweep_step(now)?;
        Ok((removed, more.then_some(())))
    })
}

fn owned(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|&key| key.to_owned()).collect()
}

/// Returns about how many bytes an entry takes in the file.
fn stored_bytes(collection: &str, key: &str, entry: &Entry) -> usize {
    const RECORD_BYTES: usize = 64;
    collection.len() + key.len() + entry.value.len() + RECORD_BYTES
}

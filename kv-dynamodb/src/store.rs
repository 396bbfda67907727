//! [`DynamoDbStore`], the handle of a store in a table.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use kv_core::{
    Clock, CollectionPage, Entry, Error, KeyPage, KeyQuery, PutMode, Result, Revision, Store,
    StoreInfo, Watch, name,
};
use tokio::time::Instant;

use crate::builder::Config;
use crate::error::{STORE, of_the_whole};
use crate::item::{self, MAX_VALUE_BYTES, Record};
use crate::link::Link;
use crate::{DynamoDbStoreBuilder, batch, listing, single};

/// How many entries `delete_many` removes at once.
const CONCURRENT_DELETES: usize = 16;

/// A store in a DynamoDB table. Clones share it, and any number of processes the table.
///
/// `get_many` and `put_many` are batches of 100 and 25; nothing is atomic across keys. Two callers
/// of `put_many` may leave the entries of one for some keys and of the other for others.
///
/// The value of an entry has at most 399 KiB, and its item, with the names twice, 400 KiB.
///
/// # Cancel safety
///
/// A write whose future is dropped has been sent, and will be applied whole, or has not, and
/// nothing happens.
///
/// # Examples
///
/// ```no_run
/// use kv_core::{Entry, PutMode, Store, Value};
/// use kv_dynamodb::DynamoDbStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = DynamoDbStore::new("my-server")?;
/// let entry = Entry::new(Value::from_json(r#"{"name":"Ada"}"#)?);
/// store.put("users", "ada", entry, PutMode::Create).await?;
///
/// let entry = store.get("users", "ada").await?.expect("it was stored");
/// assert_eq!(entry.value.as_bytes(), br#"{"name":"Ada"}"#);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DynamoDbStore {
    link: Arc<Link>,
}

impl DynamoDbStore {
    /// How long [`open`](Self::open) waits for a table that is being made.
    const OPEN_TIMEOUT: Duration = Duration::from_secs(60);

    /// Makes a store in `table` with the defaults of [`DynamoDbStoreBuilder`]: credentials and
    /// region from the environment, and the table made if there is none.
    ///
    /// Connects to nothing: the first operation does, or [`open`](Self::open).
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`](kv_core::Error::InvalidName) as for
    /// [`build`](DynamoDbStoreBuilder::build).
    pub fn new(table: impl Into<String>) -> Result<Self> {
        Self::builder(table).build()
    }

    /// Starts to set up a store in `table`.
    pub fn builder(table: impl Into<String>) -> DynamoDbStoreBuilder {
        DynamoDbStoreBuilder::new(table.into())
    }

    pub(crate) fn from_config(config: Config) -> Self {
        Self {
            link: Arc::new(Link::new(config)),
        }
    }

    /// Connects now, makes the table if there is none, waits up to 60 s until it can be used, and
    /// reads from it once.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`](kv_core::Error::Unavailable) when the service or the table cannot be
    /// reached, or the table is not ready in time;
    /// [`Error::Unsupported`](kv_core::Error::Unsupported) when the table's keys are others than
    /// `collection` and `key`; [`Error::Backend`](kv_core::Error::Backend), with the service's code
    /// in an [`AwsError`](crate::AwsError), when credentials are missing, wrong or allow too little.
    pub async fn open(&self) -> Result<()> {
        let deadline = Instant::now() + Self::OPEN_TIMEOUT;
        let call = self.link.call_until(deadline).await?;
        let row = item::row(name::DEFAULT_COLLECTION, "open");
        let read = single::read(&call, &row, false).await;
        read.map(drop)
            .map_err(|failure| failure.of_read("open its table"))
    }

    /// Returns the table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.link.config.table
    }

    async fn read(&self, collection: &str, key: &str, consistent: bool) -> Result<Option<Entry>> {
        name::check(collection, key)?;
        let call = self.link.call().await?;
        let row = item::row(collection, key);
        let item = single::read(&call, &row, consistent)
            .await
            .map_err(|failure| failure.of_read("read an entry"))?;
        item.map_or(Ok(None), |item| item::decode(item, self.clock().now()))
    }

    /// Removes an entry; an error of the second kind is that of a record that went and could not
    /// be read.
    async fn remove(&self, collection: &str, key: &str) -> Result<Result<Option<Entry>>> {
        name::check(collection, key)?;
        let call = self.link.call().await?;
        let item = single::remove(&call, &item::row(collection, key)).await?;
        Ok(item.map_or(Ok(None), |item| item::decode(item, self.clock().now())))
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Store for DynamoDbStore {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.read(collection, key, self.link.config.consistent_reads)
            .await
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.read(collection, key, true).await
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        name::check(collection, key)?;
        let entry = entry.prepared(self.clock().now())?;
        let record = Record::encode(collection, key, &entry)?;
        let call = self.link.call().await?;
        match mode {
            PutMode::Create => single::create(&call, record).await,
            PutMode::Update(revision) => {
                single::update(&call, record, &revision, self.clock().now()).await
            }
            _ => single::overwrite(&call, record).await,
        }
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        let removed = self.remove(collection, key).await?;
        Ok(!matches!(removed, Ok(None)))
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.remove(collection, key).await?
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        name::check_all(collection, keys.iter().copied())?;
        batch::get_many(&self.link, collection, keys).await
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        name::check_all(collection, entries.iter().map(|(key, _)| key.as_str()))?;
        let now = self.clock().now();
        let mut revisions = Vec::with_capacity(entries.len());
        // One request must not hold a key twice, and of two entries the last one wins.
        let mut records = HashMap::with_capacity(entries.len());
        for (key, entry) in entries {
            let record = Record::encode(collection, &key, &entry.prepared(now)?)?;
            revisions.push(record.revision.clone());
            records.insert(key, record);
        }
        batch::put_many(&self.link, records.into_values().collect()).await?;
        Ok(revisions)
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        name::check_all(collection, keys.iter().copied())?;
        let mut deleted = HashMap::with_capacity(keys.len());
        // A batch would not tell which of them were there.
        for chunk in batch::unique(keys).chunks(CONCURRENT_DELETES) {
            let deletes = chunk.iter().map(|key| self.delete(collection, key));
            let mut failed = None;
            for (key, result) in chunk.iter().zip(join_all(deletes).await) {
                match result {
                    Ok(was_there) => {
                        deleted.insert(*key, was_there);
                    }
                    // One of unknown outcome says more than any other.
                    Err(_) if matches!(failed, Some(Error::OutcomeUnknown { .. })) => {}
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed {
                let in_part = deleted.values().any(|was_there| *was_there);
                return Err(of_the_whole(error, in_part));
            }
        }
        // Only the first of two equal keys finds its entry.
        let keys = keys.iter();
        Ok(keys.map(|key| deleted.remove(key) == Some(true)).collect())
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        name::check_collection(collection)?;
        listing::keys(&self.link, collection, &query).await
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        listing::collections(&self.link, &query).await
    }

    /// Returns 0: DynamoDB reclaims what has expired by itself.
    async fn cull(&self) -> Result<u64> {
        Ok(0)
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        name::check_collection(collection)?;
        listing::clear(&self.link, collection).await
    }

    async fn destroy(&self) -> Result<()> {
        listing::destroy(&self.link).await
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn watch(&self, _: &str) -> Result<Watch> {
        Err(Error::Unsupported {
            what: "watching for changes",
        })
    }

    fn clock(&self) -> &dyn Clock {
        &*self.link.config.clock
    }

    fn info(&self) -> StoreInfo {
        StoreInfo::new(STORE)
            .with_persistent(true)
            .with_shared(true)
            .with_max_value_bytes(Some(MAX_VALUE_BYTES))
    }
}

impl fmt::Debug for DynamoDbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoDbStore")
            .field("table", &self.link.config.table)
            .field("endpoint", &self.link.config.endpoint)
            .field("region", &self.link.config.region)
            .finish_non_exhaustive()
    }
}

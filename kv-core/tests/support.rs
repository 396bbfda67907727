//! [`ReferenceStore`]: the contract in its plainest form, for tests of the suite and of wrappers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use kv_core::conformance::Fixture;
use kv_core::{
    Clock, CollectionPage, Cursor, Entry, Error, KeyPage, KeyQuery, ManualClock, PutMode, Result,
    Revision, Store, StoreInfo, name,
};

/// Makes the reference store, as `conformance_tests!` asks for.
#[allow(clippy::unused_async, reason = "the suite awaits its maker")]
pub(crate) async fn make(clock: Arc<ManualClock>) -> Fixture<ReferenceStore> {
    Fixture::new(ReferenceStore::new(clock))
}

/// Makes the reference store with a spoiler, as `undecodable_tests!` asks for.
#[allow(clippy::unused_async, reason = "the suite awaits its maker")]
pub(crate) async fn make_spoilable(clock: Arc<ManualClock>) -> Fixture<Arc<ReferenceStore>> {
    let store = Arc::new(ReferenceStore::new(clock));
    let spoiled = Arc::clone(&store);
    Fixture::new(store).with_spoiler(move |collection, key| {
        spoiled.spoil(&collection, &key);
        async {}
    })
}

/// A sorted map behind a lock. An expired entry stays stored until it is culled.
#[derive(Debug)]
pub(crate) struct ReferenceStore {
    id: [u8; 16],
    clock: Arc<dyn Clock>,
    rows: Mutex<Rows>,
}

#[derive(Default)]
struct Rows {
    entries: BTreeMap<(String, String), Record>,
    writes: u64,
}

enum Record {
    Entry(Entry),
    Undecodable,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} entries", self.entries.len())
    }
}

impl ReferenceStore {
    /// Makes an empty store that lives by `clock`.
    pub(crate) fn new(clock: impl Clock) -> Self {
        Self {
            id: fastrand::u128(..).to_le_bytes(),
            clock: Arc::new(clock),
            rows: Mutex::default(),
        }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap()
    }

    /// Makes the record of `key` undecodable.
    pub(crate) fn spoil(&self, collection: &str, key: &str) {
        let row = row(collection, key);
        self.rows().entries.insert(row, Record::Undecodable);
    }

    /// What a read of `record` answers.
    fn read(&self, record: Option<&Record>) -> Result<Option<Entry>> {
        match record {
            Some(Record::Entry(entry)) if !entry.is_expired(self.clock.now()) => {
                Ok(Some(entry.clone()))
            }
            Some(Record::Entry(_)) | None => Ok(None),
            Some(Record::Undecodable) => Err(Error::Corrupted {
                reason: "a test spoiled it",
                source: None,
            }),
        }
    }

    /// Whether `record` counts as present.
    fn is_present(&self, record: &Record) -> bool {
        !matches!(self.read(Some(record)), Ok(None))
    }

    /// The sorted live names of one kind, from the query's cursor on, and one more than a page.
    fn page(
        &self,
        query: &KeyQuery,
        name_of: impl Fn(&(String, String)) -> Option<&String>,
    ) -> (Vec<String>, Option<Cursor>) {
        let rows = self.rows();
        let live = rows
            .entries
            .iter()
            .filter(|(_, record)| self.is_present(record));
        let mut names: Vec<_> = live
            .filter_map(|(row, _)| name_of(row))
            .filter(|name| name.starts_with(&query.prefix))
            .filter(|name| {
                let cursor = query.cursor.as_ref();
                cursor.is_none_or(|cursor| name.as_str() > cursor.as_str())
            })
            .cloned()
            .collect();
        names.dedup();
        let more = names.len() > query.page_size();
        names.truncate(query.page_size());
        let next = names.last().filter(|_| more).map(Cursor::new);
        (names, next)
    }
}

fn row(collection: &str, key: &str) -> (String, String) {
    (collection.to_owned(), key.to_owned())
}

#[async_trait]
impl Store for ReferenceStore {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        name::check(collection, key)?;
        self.read(self.rows().entries.get(&row(collection, key)))
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        name::check(collection, key)?;
        let entry = entry.prepared(self.clock.now())?;
        let mut rows = self.rows();
        let live = self.read(rows.entries.get(&row(collection, key)));
        match mode {
            PutMode::Create if !matches!(live, Ok(None)) => return Err(Error::AlreadyExists),
            PutMode::Update(expected) => {
                let live = live.ok().flatten().and_then(|entry| entry.revision);
                if live != Some(expected) {
                    return Err(Error::Conflict);
                }
            }
            _ => {}
        }
        rows.writes += 1;
        let revision = Revision::from_counter(self.id, rows.writes);
        let entry = entry.with_revision(revision.clone());
        rows.entries
            .insert(row(collection, key), Record::Entry(entry));
        Ok(revision)
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        name::check(collection, key)?;
        let removed = self.rows().entries.remove(&row(collection, key));
        Ok(removed.is_some_and(|record| self.is_present(&record)))
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        name::check(collection, key)?;
        let removed = self.rows().entries.remove(&row(collection, key));
        self.read(removed.as_ref())
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        name::check_collection(collection)?;
        let (keys, next) = self.page(&query, |row| (row.0 == collection).then_some(&row.1));
        Ok(KeyPage::new(keys, next))
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        let (collections, next) = self.page(&query, |row| Some(&row.0));
        Ok(CollectionPage::new(collections, next))
    }

    async fn cull(&self) -> Result<u64> {
        let mut rows = self.rows();
        let before = rows.entries.len();
        rows.entries.retain(|_, record| self.is_present(record));
        Ok((before - rows.entries.len()) as u64)
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        name::check_collection(collection)?;
        let mut cleared = 0;
        self.rows().entries.retain(|row, record| {
            let goes = row.0 == collection;
            cleared += u64::from(goes && self.is_present(record));
            !goes
        });
        Ok(cleared)
    }

    async fn destroy(&self) -> Result<()> {
        self.rows().entries.clear();
        Ok(())
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    fn info(&self) -> StoreInfo {
        StoreInfo::new("reference")
    }
}

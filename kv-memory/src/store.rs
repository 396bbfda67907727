//! [`MemoryStore`]: the store itself.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use foldhash::quality::RandomState;
use kv_core::{
    Clock, CollectionPage, Cursor, Entry, Error, KeyPage, KeyQuery, PutMode, Result, Revision,
    Store, StoreInfo, SystemClock, Timestamp, Value, name,
};
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::MemoryStoreBuilder;
use crate::index::{self, Index, Mark};
use crate::locks::Locks;
use crate::name::{Name, NameRef, SEPARATOR};
use crate::sweep::Sweeper;

/// How many names a walk over the store takes at a time, before it lets other tasks run.
const STEP: usize = 256;

/// How many expired entries a put removes in passing.
const SHARE: usize = 2;

/// How long ago an entry must have ended to be removed in passing or by the sweeper: a clock that is
/// set back by less brings back what is live again.
const SLACK: Duration = Duration::from_secs(60);

/// How many names a listing of collections looks at, before it lets other tasks and writers run.
const LOOKS: usize = 1000;

/// How many bytes of values may be written or removed before the cache is told to free what its log
/// of them holds.
const MAX_UNFREED: u64 = 1 << 20;

/// A store in the memory of this process. Clones share the entries.
///
/// Everything is gone when the last clone is dropped. It needs no async runtime.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kv_core::Result<()> {
/// use kv_core::{Entry, PutMode, Store, Value};
/// use kv_memory::MemoryStore;
///
/// let store = MemoryStore::new();
/// let entry = Entry::new(Value::from_json(r#"{"visits":1}"#)?);
/// store.put("pages", "home", entry, PutMode::Create).await?;
/// assert!(store.clone().get("pages", "home").await?.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryStore(Arc<Inner>);

struct Inner {
    entries: Cache<Name, Stored, RandomState>,
    /// Held while a name is written or removed, so that conditions hold and the index keeps step.
    locks: Locks,
    index: Arc<Index>,
    clock: Arc<dyn Clock>,
    /// Only under the system's clock.
    sweeper: Option<Sweeper>,
    max_value_bytes: Option<u64>,
    /// What sets this store's revisions apart from any other's.
    id: [u8; 16],
    /// The number of the next write.
    count: AtomicU64,
    /// How many bytes of values were written or removed since the cache was last told to free them.
    unfreed: AtomicU64,
}

/// An [`Entry`] without its name, and with the number of its write instead of a revision.
#[derive(Clone)]
struct Stored {
    value: Value,
    created_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    count: u64,
}

impl Stored {
    fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

impl MemoryStore {
    /// Makes an unbounded store on the system's clock.
    ///
    /// # Panics
    ///
    /// When the system has no source of randomness.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Starts a store with other settings.
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder::default()
    }

    pub(crate) fn from_builder(builder: MemoryStoreBuilder) -> Self {
        Self::with_sweep_interval(builder, Sweeper::INTERVAL)
    }

    fn with_sweep_interval(builder: MemoryStoreBuilder, interval: Duration) -> Self {
        let mut id = [0; 16];
        getrandom::fill(&mut id).expect("the system has a source of randomness");
        let index = Arc::<Index>::default();
        let mut entries = Cache::builder().eviction_policy(EvictionPolicy::lru());
        if let Some(capacity) = builder.capacity {
            let index = Arc::clone(&index);
            entries = entries.max_capacity(capacity).eviction_listener(
                move |name: Arc<Name>, stored: Stored, cause| {
                    if cause == RemovalCause::Size {
                        index.unmark(name.text(), stored.count);
                    }
                },
            );
        }
        Self(Arc::new(Inner {
            entries: entries.build_with_hasher(RandomState::default()),
            locks: Locks::new(),
            index,
            sweeper: builder.clock.is_none().then(|| Sweeper::new(interval)),
            clock: builder
                .clock
                .unwrap_or_else(|| Arc::new(SystemClock::default())),
            max_value_bytes: builder.max_value_bytes,
            id,
            count: AtomicU64::new(0),
            unfreed: AtomicU64::new(0),
        }))
    }

    /// Removes every entry whose name starts with `prefix`, and returns how many were live.
    ///
    /// It goes in steps, so that neither other tasks nor other writers wait for the whole.
    async fn remove_all(&self, prefix: &str) -> u64 {
        let inner = &*self.0;
        let mut removed = 0;
        let mut after = None;
        loop {
            let names = inner.index.scan(prefix, after.as_deref(), STEP);
            for (name, _) in &names {
                let stored = inner.remove(&Name::from_text(Arc::clone(name)), |_| true);
                removed += u64::from(stored.is_some_and(|stored| inner.is_live(&stored)));
            }
            match names.last() {
                Some((last, _)) if names.len() == STEP => after = Some(Arc::clone(last)),
                _ => return removed,
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Inner {
    /// Removes what is stored under `name` if it is `doomed`, and returns it.
    fn remove(&self, name: &Name, doomed: impl FnOnce(&Stored) -> bool) -> Option<Stored> {
        let lock = self.locks.lock(name);
        let stored = self.entries.get(name).filter(doomed)?;
        self.entries.invalidate(name);
        self.index.unmark(name.text(), stored.count);
        drop(lock);
        self.free(stored.value.len());
        Some(stored)
    }

    /// Has the cache free what is no longer stored, once `bytes` more make that worthwhile. By itself
    /// it would keep up to 64 values until somebody uses the store again.
    fn free(&self, bytes: usize) {
        let bytes = bytes as u64;
        if self.unfreed.fetch_add(bytes, Ordering::Relaxed) + bytes >= MAX_UNFREED {
            self.unfreed.store(0, Ordering::Relaxed);
            self.entries.run_pending_tasks();
        }
    }

    /// Removes up to `limit` entries that have ended at `time`, and returns how many; `None` when
    /// there are no more.
    fn cull(&self, time: Timestamp, limit: usize) -> Option<u64> {
        let names = self.index.claim_expired(time, limit);
        if names.is_empty() {
            return None;
        }
        let culled = names.into_iter().filter_map(|name| {
            // What is there by now was expired at `time`, or a later write that ends later.
            self.remove(&Name::from_text(name), |stored| stored.is_expired(time))
        });
        Some(culled.count() as u64)
    }

    /// Removes up to `limit` entries that ended long enough ago; `false` when there are no more.
    fn cull_in_passing(&self, limit: usize) -> bool {
        let slack = i64::try_from(SLACK.as_micros()).unwrap_or(i64::MAX);
        let micros = self.clock.now().as_micros().saturating_sub(slack);
        self.cull(Timestamp::from_micros(micros), limit).is_some()
    }

    /// Removes `name`, and returns its entry if that was live.
    fn remove_live(&self, name: NameRef<'_>) -> Option<Stored> {
        let stored = self.remove(&name.to_name(), |_| true)?;
        self.is_live(&stored).then_some(stored)
    }

    fn is_live(&self, stored: &Stored) -> bool {
        stored.expires_at.is_none() || !stored.is_expired(self.clock.now())
    }

    const fn revision(&self, count: u64) -> Revision {
        Revision::from_counter(self.id, count)
    }

    fn entry(&self, stored: Stored) -> Entry {
        Entry::new(stored.value)
            .with_created_at(stored.created_at)
            .with_expires_at(stored.expires_at)
            .with_revision(self.revision(stored.count))
    }

    /// Checks the condition of a put against what is stored.
    fn check(&self, mode: &PutMode, stored: Option<Stored>) -> Result<()> {
        let live = stored.filter(|stored| self.is_live(stored));
        match mode {
            PutMode::Overwrite => Ok(()),
            PutMode::Create if live.is_none() => Ok(()),
            PutMode::Create => Err(Error::AlreadyExists),
            PutMode::Update(revision) => match live {
                Some(stored) if self.revision(stored.count) == *revision => Ok(()),
                _ => Err(Error::Conflict),
            },
            _ => Err(Error::Unsupported {
                what: "this put mode",
            }),
        }
    }

    /// Sees to it that what has expired goes, as a put of an entry that will expire does.
    fn reclaim(self: &Arc<Self>) {
        let Some(sweeper) = &self.sweeper else {
            return;
        };
        // Writers give back as much as they take, however far the sweeper is behind.
        self.cull_in_passing(SHARE);
        let store = Arc::downgrade(self);
        sweeper.start(move || {
            if let Some(store) = Weak::upgrade(&store) {
                while store.cull_in_passing(STEP) {}
                store.entries.run_pending_tasks();
            }
        });
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let inner = &*self.0;
        // Only valid names are stored, so a hit needs no check.
        let Some(stored) = inner.entries.get(&NameRef::new(collection, key)) else {
            name::check(collection, key)?;
            return Ok(None);
        };
        Ok(inner.is_live(&stored).then(|| inner.entry(stored)))
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        let inner = &self.0;
        name::check(collection, key)?;
        let Entry {
            value,
            created_at,
            expires_at,
            ..
        } = entry.prepared(inner.clock.now())?;
        let size = value.len();
        if let Some(limit) = inner.max_value_bytes
            && size as u64 > limit
        {
            let size = size as u64;
            return Err(Error::TooLarge { limit, size });
        }
        if expires_at.is_some() {
            inner.reclaim();
        }
        let name = NameRef::new(collection, key).to_name();
        let lock = inner.locks.lock(&name);
        if mode != PutMode::Overwrite {
            inner.check(&mode, inner.entries.get(&name))?;
        }
        let count = inner.count.fetch_add(1, Ordering::Relaxed);
        inner.index.mark(name.text(), Mark { count, expires_at });
        inner.entries.insert(
            name,
            Stored {
                value,
                created_at,
                expires_at,
                count,
            },
        );
        drop(lock);
        inner.free(size);
        Ok(inner.revision(count))
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        name::check(collection, key)?;
        Ok(self.0.remove_live(NameRef::new(collection, key)).is_some())
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        name::check(collection, key)?;
        let stored = self.0.remove_live(NameRef::new(collection, key));
        Ok(stored.map(|stored| self.0.entry(stored)))
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        name::check_collection(collection)?;
        let start = format!("{collection}{SEPARATOR}");
        let prefix = format!("{start}{}", query.prefix);
        let after = query
            .cursor
            .as_ref()
            .map(|cursor| format!("{start}{}", cursor.as_str()));
        let names = self
            .0
            .index
            .scan(&prefix, after.as_deref(), query.page_size());
        let next = names
            .last()
            .filter(|_| names.len() == query.page_size())
            .map(|(name, _)| Cursor::new(&name[start.len()..]));
        let now = self.0.clock.now();
        let keys = names
            .iter()
            .filter(|(_, mark)| !mark.is_expired(now))
            .map(|(name, _)| name[start.len()..].to_owned())
            .collect();
        Ok(KeyPage::new(keys, next))
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        let (prefix, limit) = (&query.prefix, query.page_size());
        let now = self.0.clock.now();
        let index = &self.0.index;
        let mut collections = Vec::new();
        let mut start = match &query.cursor {
            None => prefix.clone(),
            Some(cursor) => index::end_of(cursor.as_str()),
        };
        // A page may have to pass any number of expired names.
        while let Some(next) =
            index.collections(prefix, &start, LOOKS, now, limit, &mut collections)
        {
            start = next;
            tokio::task::yield_now().await;
        }
        let next = collections
            .last()
            .filter(|_| collections.len() == query.page_size())
            .map(Cursor::new);
        Ok(CollectionPage::new(collections, next))
    }

    async fn cull(&self) -> Result<u64> {
        let mut removed = 0;
        while let Some(step) = self.0.cull(self.0.clock.now(), STEP) {
            removed += step;
            tokio::task::yield_now().await;
        }
        self.0.entries.run_pending_tasks();
        Ok(removed)
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        name::check_collection(collection)?;
        Ok(self.remove_all(&format!("{collection}{SEPARATOR}")).await)
    }

    async fn destroy(&self) -> Result<()> {
        self.remove_all("").await;
        Ok(())
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    fn info(&self) -> StoreInfo {
        StoreInfo::new("memory").with_max_value_bytes(self.0.max_value_bytes)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("entries", &self.0.index.len())
            .field("max_value_bytes", &self.0.max_value_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use super::*;

    fn entry(end: Option<Timestamp>) -> Entry {
        Entry::new(Value::from_json("{}").unwrap()).with_expires_at(end)
    }

    /// An entry that ended long ago.
    fn past() -> Entry {
        entry(Some(Timestamp::from_micros(1))).with_created_at(Timestamp::UNIX_EPOCH)
    }

    #[tokio::test]
    async fn what_has_just_ended_stays_for_a_clock_that_is_set_back() {
        let clock = Arc::new(kv_core::ManualClock::starting_now());
        let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
        let start = clock.now();
        let mortal = entry(start.checked_add(SLACK));
        let put = store.put("reclaim", "key", mortal, PutMode::Create);
        put.await.unwrap();
        clock.advance(SLACK + SLACK - Duration::from_micros(1));
        assert!(!store.0.cull_in_passing(STEP));
        assert_eq!(store.get("reclaim", "key").await.unwrap(), None);
        clock.set(start);
        assert!(store.get("reclaim", "key").await.unwrap().is_some());
        clock.advance(SLACK + SLACK);
        assert!(store.0.cull_in_passing(STEP));
        clock.set(start);
        assert_eq!(store.get("reclaim", "key").await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_expired_entry_is_reclaimed_though_nobody_asks_for_it() {
        let store = MemoryStore::with_sweep_interval(MemoryStore::builder(), SHORT);
        for (key, entry) in [("mortal", past()), ("immortal", entry(None))] {
            let put = store.put("reclaim", key, entry, PutMode::Create);
            put.await.unwrap();
        }
        let patience = Instant::now() + Duration::from_secs(60);
        while store.0.index.len() > 1 {
            assert!(Instant::now() < patience, "the entry is still there");
            thread::sleep(SHORT);
        }
        assert!(store.get("reclaim", "immortal").await.unwrap().is_some());
    }

    const SHORT: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn writers_reclaim_when_the_sweeper_is_behind() {
        let never = Duration::from_secs(3600);
        let store = MemoryStore::with_sweep_interval(MemoryStore::builder(), never);
        for number in 0..1000 {
            let key = number.to_string();
            let put = store.put("reclaim", &key, past(), PutMode::Create);
            put.await.unwrap();
        }
        assert!(store.0.index.len() <= 2, "{store:?}");
    }

    #[tokio::test]
    async fn the_cache_and_the_index_hold_the_same_names_after_every_kind_of_removal() {
        let store = MemoryStore::new();
        for number in 0..100 {
            let key = number.to_string();
            let put = store.put("a", &key, entry(None), PutMode::Create);
            put.await.unwrap();
        }
        store.delete("a", "1").await.unwrap();
        store.take("a", "2").await.unwrap();
        store.0.entries.run_pending_tasks();
        assert_eq!(
            (store.0.index.len(), store.0.entries.entry_count()),
            (98, 98)
        );
        store.destroy().await.unwrap();
        store.0.entries.run_pending_tasks();
        assert_eq!((store.0.index.len(), store.0.entries.entry_count()), (0, 0));
    }

    #[tokio::test]
    async fn the_thread_goes_with_the_store() {
        let store = MemoryStore::new();
        let end = store.clock().now().checked_add(Duration::from_secs(60));
        let put = store.put("a", "key", entry(end), PutMode::Create);
        put.await.unwrap();
        let inner = Arc::downgrade(&store.0);
        drop(store);
        assert!(inner.upgrade().is_none(), "the thread holds the store");
    }
}

//! [`Fixture`]: what a maker hands to the suite, and [`Subject`]: what a case works on.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;

use super::canary::{self, CANARY};
use crate::{
    CollectionPage, Entry, KeyPage, KeyQuery, ManualClock, PutMode, Result, Revision, Store,
    Timestamp, Value, name,
};

/// The life of an entry that a case lets expire. A service that expires by its own clock must not
/// do so while the case still runs.
pub(super) const LIFE: Duration = Duration::from_secs(3600);

/// One tick of the clock.
pub(super) const MICROSECOND: Duration = Duration::from_micros(1);

/// A store to test, and what must live as long as it does.
///
/// Dereferences to the store.
#[derive(Debug)]
pub struct Fixture<S> {
    store: S,
    longest_collection: usize,
    longest_key: usize,
    spoiler: Option<Spoiler>,
    guard: Box<dyn Any + Send>,
}

/// Makes the record of a collection and a key undecodable.
struct Spoiler(Box<dyn Fn(String, String) -> BoxFuture<'static, ()> + Send + Sync>);

impl fmt::Debug for Spoiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spoiler")
    }
}

impl<S> Fixture<S> {
    /// Makes a fixture that needs nothing beside the store.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self::with_guard(store, ())
    }

    /// Makes a fixture that drops `guard`, such as a temporary folder, after the store.
    #[must_use]
    pub fn with_guard(store: S, guard: impl Any + Send) -> Self {
        Self {
            store,
            longest_collection: name::MAX_COLLECTION_BYTES,
            longest_key: name::MAX_KEY_BYTES,
            spoiler: None,
            guard: Box::new(guard),
        }
    }

    /// Sets the lengths in bytes of the longest names that fit, for a wrapper that adds to them.
    /// Default: 2048 and 1024, the limits of the contract.
    #[must_use]
    pub fn with_longest_names(mut self, collection: usize, key: usize) -> Self {
        self.longest_collection = collection;
        self.longest_key = key;
        self
    }

    /// Sets what makes the stored record of a collection and a key undecodable, behind the store's
    /// back. Default: nothing; [`undecodable_tests!`](crate::undecodable_tests) needs it.
    #[must_use]
    pub fn with_spoiler<F>(
        mut self,
        spoil: impl Fn(String, String) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let spoil =
            move |collection, key| -> BoxFuture<'static, ()> { Box::pin(spoil(collection, key)) };
        self.spoiler = Some(Spoiler(Box::new(spoil)));
        self
    }

    /// Wraps the store, keeping the rest.
    #[must_use]
    pub fn map<T>(self, wrap: impl FnOnce(S) -> T) -> Fixture<T> {
        Fixture {
            store: wrap(self.store),
            longest_collection: self.longest_collection,
            longest_key: self.longest_key,
            spoiler: self.spoiler,
            guard: self.guard,
        }
    }
}

impl<S> Deref for Fixture<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.store
    }
}

/// What one case works on: a store, its clock, and a collection that no other case uses.
///
/// The store stands behind `dyn`, so that the cases are compiled once for all stores.
#[derive(Debug)]
pub struct Subject {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) collection: String,
    pub(super) longest_collection: usize,
    pub(super) longest_key: usize,
    spoiler: Option<Spoiler>,
    _guard: Box<dyn Any + Send>,
}

impl Subject {
    /// Makes the fixture of one case, with a clock that starts at the system's present.
    pub async fn make<S: Store>(make: impl AsyncFnOnce(Arc<ManualClock>) -> Fixture<S>) -> Self {
        canary::watch_the_logs();
        let clock = Arc::new(ManualClock::starting_now());
        let fixture = make(Arc::clone(&clock)).await;
        Self {
            store: Arc::new(fixture.store),
            clock,
            collection: format!("conformance-{:016x}", fastrand::u64(..)),
            longest_collection: fixture.longest_collection,
            longest_key: fixture.longest_key,
            spoiler: fixture.spoiler,
            _guard: fixture.guard,
        }
    }

    /// Removes what the case has left in its collection, from a service that outlives the tests.
    pub async fn finish(self) {
        // Whether `clear` works is another case's claim.
        self.store.clear(&self.collection).await.ok();
        canary::assert_unseen();
    }

    pub(super) fn now(&self) -> Timestamp {
        self.store.clock().now()
    }

    /// The time `after` from now.
    pub(super) fn later(&self, after: Duration) -> Timestamp {
        self.now().checked_add(after).unwrap()
    }

    /// The time `before` now.
    pub(super) fn earlier(&self, before: Duration) -> Timestamp {
        let micros = i64::try_from(before.as_micros()).unwrap();
        Timestamp::from_micros(self.now().as_micros() - micros)
    }

    /// The name of a second collection of this case.
    pub(super) fn neighbour(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.collection)
    }

    /// An entry that ends a [`LIFE`] from now.
    pub(super) fn mortal(&self, n: u64) -> Entry {
        entry(n).with_expires_at(self.later(LIFE))
    }

    /// Moves the clock to the end of what [`mortal`](Self::mortal) made.
    pub(super) fn expire(&self) {
        self.clock.advance(LIFE);
    }

    pub(super) async fn put(&self, key: &str, entry: Entry) -> Revision {
        self.try_put(key, entry, PutMode::Overwrite).await.unwrap()
    }

    pub(super) async fn try_put(&self, key: &str, entry: Entry, mode: PutMode) -> Result<Revision> {
        self.store.put(&self.collection, key, entry, mode).await
    }

    pub(super) async fn put_in(&self, collection: &str, key: &str, entry: Entry) -> Revision {
        let put = self.store.put(collection, key, entry, PutMode::Overwrite);
        put.await.unwrap()
    }

    pub(super) async fn put_all(&self, keys: &[String]) {
        for chunk in keys.chunks(500) {
            let entries = chunk.iter().map(|key| (key.clone(), entry(0))).collect();
            let revisions = self.store.put_many(&self.collection, entries).await;
            assert_eq!(revisions.unwrap().len(), chunk.len());
        }
    }

    pub(super) async fn get(&self, key: &str) -> Option<Entry> {
        self.store.get(&self.collection, key).await.unwrap()
    }

    /// The number in the live entry of `key`.
    pub(super) async fn number(&self, key: &str) -> Option<u64> {
        self.get(key).await.as_ref().map(number)
    }

    pub(super) async fn number_in(&self, collection: &str, key: &str) -> Option<u64> {
        let entry = self.store.get(collection, key).await.unwrap();
        entry.as_ref().map(number)
    }

    /// The numbers in the live entries of `keys`.
    pub(super) async fn numbers(&self, keys: &[&str]) -> Vec<Option<u64>> {
        let entries = self.store.get_many(&self.collection, keys).await.unwrap();
        let entries = entries.into_iter().map(Result::unwrap);
        entries.map(|entry| entry.as_ref().map(number)).collect()
    }

    pub(super) async fn take(&self, key: &str) -> Option<Entry> {
        self.store.take(&self.collection, key).await.unwrap()
    }

    pub(super) async fn delete(&self, key: &str) -> bool {
        self.store.delete(&self.collection, key).await.unwrap()
    }

    pub(super) async fn clear(&self) -> u64 {
        self.store.clear(&self.collection).await.unwrap()
    }

    pub(super) async fn spoil(&self, key: &str) {
        let spoiler = self.spoiler.as_ref();
        let Spoiler(spoil) = spoiler.expect("the maker calls `Fixture::with_spoiler`");
        spoil(self.collection.clone(), key.to_owned()).await;
    }

    pub(super) async fn page(&self, query: KeyQuery) -> KeyPage {
        let page = self.store.keys(&self.collection, query).await.unwrap();
        check_page(&page.keys);
        page
    }

    pub(super) async fn collection_page(&self, query: KeyQuery) -> CollectionPage {
        let page = self.store.collections(query).await.unwrap();
        check_page(&page.collections);
        page
    }

    /// All keys, sorted, without those repeated on a later page.
    pub(super) async fn keys(&self) -> Vec<String> {
        self.keys_of(KeyQuery::new()).await
    }

    /// The keys that `query` lists over all pages, sorted, without those repeated on a later page.
    pub(super) async fn keys_of(&self, query: KeyQuery) -> Vec<String> {
        let mut keys = Vec::new();
        let mut query = query;
        for _ in 0..MAX_PAGES {
            let page = self.page(query.clone()).await;
            keys.extend(page.keys);
            match page.next {
                Some(next) => query = query.with_cursor(next),
                None => return sorted(keys),
            }
        }
        panic!("the listing does not end");
    }

    /// The collections that `query` lists over all pages, sorted, without repeats.
    pub(super) async fn collections_of(&self, query: KeyQuery) -> Vec<String> {
        let mut collections = Vec::new();
        let mut query = query;
        for _ in 0..MAX_PAGES {
            let page = self.collection_page(query.clone()).await;
            collections.extend(page.collections);
            match page.next {
                Some(next) => query = query.with_cursor(next),
                None => return sorted(collections),
            }
        }
        panic!("the listing does not end");
    }

    /// The collections whose names start with the collection of this case.
    pub(super) async fn own_collections(&self) -> Vec<String> {
        let query = KeyQuery::new().with_prefix(&self.collection);
        self.collections_of(query).await
    }
}

/// A listing that goes on for longer than this never ends.
const MAX_PAGES: usize = 100_000;

fn check_page(names: &[String]) {
    assert!(names.len() <= KeyQuery::MAX_PAGE_SIZE, "a page is too long");
    let distinct = sorted(names.to_vec());
    assert_eq!(distinct.len(), names.len(), "a page repeats a name");
}

pub(super) fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}

pub(super) fn object(value: &serde_json::Value) -> Value {
    Value::encode(value).unwrap()
}

/// An entry without an expiry that holds a number.
pub(super) fn entry(n: u64) -> Entry {
    Entry::new(object(&json!({ "n": n, "secret": CANARY })))
}

/// The number in an entry.
pub(super) fn number(entry: &Entry) -> u64 {
    let value: serde_json::Value = entry.value.decode().unwrap();
    value["n"].as_u64().unwrap()
}

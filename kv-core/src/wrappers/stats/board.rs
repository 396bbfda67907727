//! [`Board`]: where the figures are kept, and how they reach a recorder.

use std::array;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::BuildHasher as _;
use std::iter;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use metrics::{Key, Label, Level, Metadata, SharedString};

use super::super::operation::{Answer, Found, Operation};
use super::{Latency, OperationStats, StatsSnapshot};
use crate::{Result, name};

pub(super) const OPERATIONS: &str = "kv_operations_total";
pub(super) const KEYS: &str = "kv_keys_total";
pub(super) const DURATION: &str = "kv_operation_duration_seconds";

/// The collection of those that have no row of their own.
const OTHER: &str = "other";

/// The error of a call that did not end.
const CANCELLED: &str = "Cancelled";

static METADATA: Metadata<'static> =
    Metadata::new("kv_core", Level::INFO, Some("kv_core::wrappers"));

/// How many lists the collections are spread over at most.
const MAX_LISTS: usize = 1024;

/// The figures of one store.
pub(super) struct Board {
    store: Arc<str>,
    max_collections: usize,
    /// How many collections have rows.
    collections: AtomicUsize,
    /// Lists by the hash of the collection. They only grow, so no reader waits for another.
    lists: Box<[OnceLock<Box<Rows>>]>,
    hasher: RandomState,
    /// Of the collections past the limit.
    other: Rows,
    /// Of the operations on no collection.
    whole: Rows,
}

impl Board {
    pub(super) fn new(store: Arc<str>, max_collections: usize) -> Self {
        let lists = max_collections.clamp(1, MAX_LISTS);
        Self {
            store,
            max_collections,
            collections: AtomicUsize::default(),
            lists: (0..lists).map(|_| OnceLock::new()).collect(),
            hasher: RandomState::default(),
            other: Rows::new(OTHER),
            whole: Rows::new(""),
        }
    }

    pub(super) fn store(&self) -> Arc<str> {
        Arc::clone(&self.store)
    }

    pub(super) const fn max_collections(&self) -> usize {
        self.max_collections
    }

    /// Counts a call that took `time`.
    pub(super) fn count<T: Answer>(
        &self,
        operation: Operation,
        collection: Option<&str>,
        time: Duration,
        result: Option<&Result<T>>,
    ) {
        let (found, error) = match result {
            Some(Ok(answer)) => (answer.found(), None),
            Some(Err(error)) => (Found::default(), Some(error.variant())),
            None => (Found::default(), Some(CANCELLED)),
        };
        let rows = collection.map_or(&self.whole, |name| self.rows(name));
        let row = rows.row(operation, &self.store);
        row.count(time, &found, error);
        row.report(time, &found, error);
    }

    pub(super) fn snapshot(&self) -> StatsSnapshot {
        let named = self.lists.iter().flat_map(|list| {
            iter::successors(list.get(), |rows| rows.next.get()).map(|rows| &**rows)
        });
        let all = named.chain([&self.whole, &self.other]);
        let mut rows: Vec<_> = all.flat_map(Rows::snapshot).collect();
        rows.sort_by(|a, b| (&a.collection, a.operation).cmp(&(&b.collection, b.operation)));
        StatsSnapshot { rows }
    }

    /// Returns the rows of `collection`: its own, while there is room for them.
    fn rows(&self, collection: &str) -> &Rows {
        let hash = self.hasher.hash_one(collection) as usize;
        let mut end = &self.lists[hash % self.lists.len()];
        while let Some(rows) = end.get() {
            if *rows.collection == *collection {
                return rows;
            }
            end = &rows.next;
        }
        if collection == OTHER || name::check_collection(collection).is_err() || !self.reserve() {
            return &self.other;
        }
        loop {
            let mut is_new = false;
            let rows = end.get_or_init(|| {
                is_new = true;
                Box::new(Rows::new(collection))
            });
            if is_new {
                return rows;
            }
            // Another call was faster, for the same collection or one of the same list.
            if *rows.collection == *collection {
                self.collections.fetch_sub(1, Relaxed);
                return rows;
            }
            end = &rows.next;
        }
    }

    /// Takes a place for one more collection, if there is one.
    fn reserve(&self) -> bool {
        let max = self.max_collections;
        let one_more = |taken| (taken < max).then_some(taken + 1);
        self.collections
            .fetch_update(Relaxed, Relaxed, one_more)
            .is_ok()
    }
}

/// The rows of one collection.
struct Rows {
    collection: Arc<str>,
    by_operation: [OnceLock<Box<Row>>; Operation::ALL.len()],
    /// The next collection of the same list.
    next: OnceLock<Box<Self>>,
}

impl Rows {
    fn new(collection: &str) -> Self {
        Self {
            collection: collection.into(),
            by_operation: array::from_fn(|_| OnceLock::new()),
            next: OnceLock::new(),
        }
    }

    fn row(&self, operation: Operation, store: &Arc<str>) -> &Row {
        self.by_operation[operation as usize]
            .get_or_init(|| Box::new(Row::new(store, &self.collection, operation)))
    }

    fn snapshot(&self) -> impl Iterator<Item = OperationStats> {
        let rows = self.by_operation.iter().zip(Operation::ALL);
        rows.filter_map(|(row, operation)| {
            let row = row.get()?;
            Some(row.snapshot(self.collection.as_ref().to_owned(), operation))
        })
    }
}

/// The figures of one operation on one collection.
struct Row {
    hits: AtomicU64,
    misses: AtomicU64,
    errors: Mutex<BTreeMap<&'static str, u64>>,
    nanos: AtomicU64,
    longest: AtomicU64,
    steps: [AtomicU64; Latency::STEPS],
    labels: [Label; 3],
    // Made once, as making one takes longer than a call may.
    ok_key: Key,
    hit_key: Key,
    miss_key: Key,
    duration_key: Key,
}

impl Row {
    fn new(store: &Arc<str>, collection: &Arc<str>, operation: Operation) -> Self {
        let labels = [
            Label::new("store", SharedString::from_shared(Arc::clone(store))),
            Label::new(
                "collection",
                SharedString::from_shared(Arc::clone(collection)),
            ),
            Label::new("operation", operation.name()),
        ];
        Self {
            hits: AtomicU64::default(),
            misses: AtomicU64::default(),
            errors: Mutex::default(),
            nanos: AtomicU64::default(),
            longest: AtomicU64::default(),
            steps: array::from_fn(|_| AtomicU64::default()),
            ok_key: key_with(OPERATIONS, &labels, "ok"),
            hit_key: key_with(KEYS, &labels, "hit"),
            miss_key: key_with(KEYS, &labels, "miss"),
            duration_key: Key::from_parts(DURATION, labels.to_vec()),
            labels,
        }
    }

    /// Adds a call to the figures of the snapshot.
    fn count(&self, time: Duration, found: &Found, error: Option<&'static str>) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.steps[Latency::step(nanos)].fetch_add(1, Relaxed);
        self.nanos.fetch_add(nanos, Relaxed);
        if nanos > self.longest.load(Relaxed) {
            self.longest.fetch_max(nanos, Relaxed);
        }
        if found.hits > 0 {
            self.hits.fetch_add(found.hits, Relaxed);
        }
        if found.misses > 0 {
            self.misses.fetch_add(found.misses, Relaxed);
        }
        if error.is_some() || !found.errors.is_empty() {
            let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
            for variant in error.iter().chain(&found.errors) {
                *errors.entry(variant).or_default() += 1;
            }
        }
    }

    /// Hands a call to the recorder of the moment, as one may be set at any time.
    fn report(&self, time: Duration, found: &Found, error: Option<&'static str>) {
        metrics::with_recorder(|recorder| {
            let add = |key: &Key, count| {
                if count > 0 {
                    recorder.register_counter(key, &METADATA).increment(count);
                }
            };
            let ended = error.map_or(Cow::Borrowed(&self.ok_key), |variant| {
                Cow::Owned(key_with(OPERATIONS, &self.labels, variant))
            });
            add(&ended, 1);
            add(&self.hit_key, found.hits);
            add(&self.miss_key, found.misses);
            for variant in &found.errors {
                add(&key_with(KEYS, &self.labels, variant), 1);
            }
            recorder
                .register_histogram(&self.duration_key, &METADATA)
                .record(time);
        });
    }

    fn snapshot(&self, collection: String, operation: Operation) -> OperationStats {
        let steps: Vec<_> = self.steps.iter().map(|step| step.load(Relaxed)).collect();
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        OperationStats {
            collection,
            operation,
            calls: steps.iter().sum(),
            hits: self.hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            errors: errors.clone(),
            latency: Latency {
                sum: Duration::from_nanos(self.nanos.load(Relaxed)),
                max: Duration::from_nanos(self.longest.load(Relaxed)),
                steps,
            },
        }
    }
}

/// Makes the key of a counter by outcome.
fn key_with(counter: &'static str, labels: &[Label; 3], outcome: &'static str) -> Key {
    let mut labels = labels.to_vec();
    labels.push(Label::new("outcome", outcome));
    Key::from_parts(counter, labels)
}

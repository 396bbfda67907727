//! [`Board`]: where the figures are kept, and how they reach a recorder.

use std::array;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
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

/// The figures of one store.
pub(super) struct Board {
    store: Arc<str>,
    max_collections: usize,
    // Too few entries for names that collide to matter, so the fastest hash will do.
    by_collection: RwLock<HashMap<Arc<str>, Arc<Rows>, RandomState>>,
    /// Of the collections past the limit.
    other: Arc<Rows>,
    /// Of the operations on no collection.
    whole: Arc<Rows>,
}

impl Board {
    pub(super) fn new(store: Arc<str>, max_collections: usize) -> Self {
        Self {
            store,
            max_collections,
            by_collection: RwLock::default(),
            other: Arc::new(Rows::new(OTHER.into())),
            whole: Arc::new(Rows::new("".into())),
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
        let rows = collection.map_or_else(|| Arc::clone(&self.whole), |name| self.rows(name));
        let row = rows.row(operation, &self.store);
        row.count(time, &found, error);
        row.report(time, &found, error);
    }

    pub(super) fn snapshot(&self) -> StatsSnapshot {
        let all = {
            let by_collection = self.by_collection.read();
            let by_collection = by_collection.unwrap_or_else(PoisonError::into_inner);
            let named = by_collection.values().map(Arc::clone);
            let rest = [Arc::clone(&self.whole), Arc::clone(&self.other)];
            named.chain(rest).collect::<Vec<_>>()
        };
        let mut rows: Vec<_> = all.iter().flat_map(|rows| rows.snapshot()).collect();
        rows.sort_by(|a, b| (&a.collection, a.operation).cmp(&(&b.collection, b.operation)));
        StatsSnapshot { rows }
    }

    /// Returns the rows of `collection`: its own, while there is room for them.
    fn rows(&self, collection: &str) -> Arc<Rows> {
        let by_collection = self.by_collection.read();
        let by_collection = by_collection.unwrap_or_else(PoisonError::into_inner);
        if let Some(rows) = by_collection.get(collection) {
            return Arc::clone(rows);
        }
        let is_full = by_collection.len() >= self.max_collections;
        drop(by_collection);
        if is_full || collection == OTHER || name::check_collection(collection).is_err() {
            return Arc::clone(&self.other);
        }
        let by_collection = self.by_collection.write();
        let mut by_collection = by_collection.unwrap_or_else(PoisonError::into_inner);
        if by_collection.len() >= self.max_collections && !by_collection.contains_key(collection) {
            return Arc::clone(&self.other);
        }
        let name: Arc<str> = collection.into();
        let rows = by_collection
            .entry(Arc::clone(&name))
            .or_insert_with(|| Arc::new(Rows::new(name)));
        Arc::clone(rows)
    }
}

/// The rows of one collection.
struct Rows {
    collection: Arc<str>,
    by_operation: [OnceLock<Box<Row>>; Operation::ALL.len()],
}

impl Rows {
    fn new(collection: Arc<str>) -> Self {
        Self {
            collection,
            by_operation: array::from_fn(|_| OnceLock::new()),
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

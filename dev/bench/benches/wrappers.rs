//! What each wrapper adds to a call, over the memory store, both through `Arc<dyn Store>`.
//!
//! Run with: cargo bench -p kv-bench --bench wrappers

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kv_bench::{VALUE_BYTES, compare_added, time, value};
use kv_core::{Entry, PutMode, Result, Store, StoreExt, Value};
use kv_memory::MemoryStore;
use tokio::runtime::{Builder, Runtime};

const COLLECTION: &str = "sessions";
const ENTRIES: u64 = 1000;
const LIFE: Duration = Duration::from_secs(3600);
const ROUNDS: usize = 101;
const OPERATIONS: usize = 5000;

/// The most that the simple wrappers may add, in nanoseconds.
const GOAL: Option<f64> = Some(150.0);

/// A wrapper, and what it may add.
type Wrapper = (&'static str, Option<f64>, fn(MemoryStore) -> Arc<dyn Store>);

const WRAPPERS: [Wrapper; 17] = [
    ("nothing", None, |store| Arc::new(store)),
    ("prefixed", GOAL, |store| wrapped(store.prefixed("app"))),
    ("prefixed_keys", GOAL, |store| {
        wrapped(store.prefixed_keys("app"))
    }),
    ("read_only", GOAL, |store| Arc::new(store.read_only())),
    ("limit_size", GOAL, |store| {
        Arc::new(store.limit_size(VALUE_BYTES as u64))
    }),
    ("clamp_ttl", GOAL, |store| {
        wrapped(store.clamp_ttl(Duration::ZERO, 2 * LIFE))
    }),
    ("stats", GOAL, |store| Arc::new(store.stats())),
    ("traced", None, |store| Arc::new(store.traced())),
    ("timeout", None, |store| Arc::new(store.timeout(LIFE))),
    ("retry", None, |store| Arc::new(store.retry())),
    ("single_flight", None, |store| {
        Arc::new(store.single_flight())
    }),
    // Hits: the copies are in a second memory store.
    ("cached", None, |store| {
        Arc::new(store.cached(MemoryStore::new()))
    }),
    ("single_collection", None, |store| {
        wrapped(store.single_collection("app"))
    }),
    ("routing", None, |store| {
        let rest = MemoryStore::new();
        Arc::new(rest.routing().with_route([COLLECTION], store))
    }),
    ("default_value", None, |store| {
        Arc::new(store.default_value(Value::from_stored(value(0))))
    }),
    ("fallback", None, |store| {
        Arc::new(store.fallback(MemoryStore::new()))
    }),
    ("compressed", None, |store| {
        Arc::new(store.compressed().with_min_size(VALUE_BYTES as u64 + 1))
    }),
];

fn main() {
    // `Timeout` needs the timer.
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    for (name, goal, wrap) in WRAPPERS {
        let store = MemoryStore::new();
        let ours = wrap(store.clone());
        let theirs: Arc<dyn Store> = Arc::new(store);
        let all = || (0..ENTRIES).map(|number| (key(number), value(number)));
        put(&runtime, &theirs, all().collect());
        if name != "read_only" {
            put(&runtime, &ours, all().collect());
        }

        let keys = || -> Vec<String> {
            let random = (0..OPERATIONS).map(|_| fastrand::u64(0..ENTRIES));
            random.map(key).collect()
        };
        compare_added(
            &format!("get, {name}"),
            goal,
            ROUNDS,
            OPERATIONS,
            |_| get(&runtime, &ours, &keys()),
            |_| get(&runtime, &theirs, &keys()),
        );

        if name == "read_only" {
            continue;
        }
        let writes = |round: usize| -> Vec<(String, Bytes)> {
            let first = (round * OPERATIONS) as u64;
            let writes = (first..).zip(keys());
            writes.map(|(number, key)| (key, value(number))).collect()
        };
        compare_added(
            &format!("put, {name}"),
            goal,
            ROUNDS,
            OPERATIONS,
            |round| put(&runtime, &ours, writes(round)),
            |round| put(&runtime, &theirs, writes(round)),
        );
    }
}

fn wrapped(store: Result<impl Store>) -> Arc<dyn Store> {
    Arc::new(store.expect("valid options"))
}

fn get(runtime: &Runtime, store: &Arc<dyn Store>, keys: &[String]) -> Duration {
    time(|| {
        runtime.block_on(async {
            for key in keys {
                let entry = store.get(COLLECTION, key).await.expect("an answer");
                black_box(entry.expect("an entry"));
            }
        });
    })
}

fn put(runtime: &Runtime, store: &Arc<dyn Store>, writes: Vec<(String, Bytes)>) -> Duration {
    let end = store.clock().now().checked_add(LIFE);
    time(|| {
        runtime.block_on(async {
            for (key, value) in writes {
                let entry = Entry::new(Value::from_stored(value)).with_expires_at(end);
                let put = store.put(COLLECTION, &key, entry, PutMode::Overwrite);
                black_box(put.await.expect("room"));
            }
        });
    })
}

fn key(number: u64) -> String {
    format!("user-{number:08}")
}

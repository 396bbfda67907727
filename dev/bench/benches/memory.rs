//! The memory store through `Arc<dyn Store>` against the cache it is built on, at three sizes.
//!
//! Both hold values of 1 KiB that end in an hour, under the same names, found by a borrowed key and
//! the same hasher.
//!
//! Run with: cargo bench -p kv-bench --bench memory

use std::hash::{Hash, Hasher};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use equivalent::Equivalent;
use foldhash::quality::RandomState;
use kv_bench::{Figure, Goal, compare, time, value};
use kv_core::{Entry, PutMode, Store, Value};
use kv_memory::MemoryStore;
use moka::Expiry;
use moka::sync::Cache;
use tokio::runtime::{Builder, Runtime};

const COLLECTION: &str = "sessions";
const LIFE: Duration = Duration::from_secs(3600);
const ROUNDS: usize = 101;
const OPERATIONS: usize = 5000;

fn main() {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    for (entries, goal) in [(1000, 1.25), (100_000, 1.25), (1_000_000, 1.15)] {
        let ours: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let theirs = Cache::builder()
            .expire_after(AfterLife)
            .build_with_hasher(RandomState::default());
        for number in 0..entries {
            put_ours(&runtime, &ours, vec![(key(number), value(number))]);
            put_theirs(&theirs, vec![(key(number), value(number))]);
        }
        let figure = |name: &'static str, against, goal| Figure {
            name,
            against,
            size: entries,
            goal,
        };

        let keys = || -> Vec<String> {
            (0..OPERATIONS)
                .map(|_| key(fastrand::u64(0..entries)))
                .collect()
        };
        compare(
            figure("memory: get", "moka: get", Goal::AtMost(goal)),
            ROUNDS,
            OPERATIONS,
            |_| get_ours(&runtime, &ours, &keys()),
            |_| get_theirs(&theirs, &keys()),
        );

        let writes = |round: usize| -> Vec<(String, Bytes)> {
            let first = (round * OPERATIONS) as u64;
            (first..)
                .zip(keys())
                .map(|(number, key)| (key, value(entries + number)))
                .collect()
        };
        compare(
            figure("memory: put over an entry", "moka: insert", Goal::Open),
            ROUNDS,
            OPERATIONS,
            |round| put_ours(&runtime, &ours, writes(round)),
            |round| put_theirs(&theirs, writes(round)),
        );
    }
}

fn get_ours(runtime: &Runtime, store: &Arc<dyn Store>, keys: &[String]) -> Duration {
    time(|| {
        runtime.block_on(async {
            for key in keys {
                let entry = store.get(COLLECTION, key).await.expect("an answer");
                black_box(entry.expect("an entry"));
            }
        });
    })
}

fn get_theirs(cache: &Moka, keys: &[String]) -> Duration {
    time(|| {
        for key in keys {
            black_box(cache.get(&PairRef(COLLECTION, key)).expect("an entry"));
        }
    })
}

fn put_ours(runtime: &Runtime, store: &Arc<dyn Store>, writes: Vec<(String, Bytes)>) -> Duration {
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

fn put_theirs(cache: &Moka, writes: Vec<(String, Bytes)>) -> Duration {
    time(|| {
        for (key, value) in writes {
            cache.insert(Pair(COLLECTION.into(), key.into()), value);
        }
    })
}

fn key(number: u64) -> String {
    format!("user-{number:08}")
}

type Moka = Cache<Pair, Bytes, RandomState>;

#[derive(PartialEq, Eq, Hash)]
struct Pair(Box<str>, Box<str>);

struct PairRef<'a>(&'a str, &'a str);

impl Hash for PairRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
        self.1.hash(state);
    }
}

impl Equivalent<Pair> for PairRef<'_> {
    fn equivalent(&self, pair: &Pair) -> bool {
        *self.1 == *pair.1 && *self.0 == *pair.0
    }
}

struct AfterLife;

impl Expiry<Pair, Bytes> for AfterLife {
    fn expire_after_create(&self, _: &Pair, _: &Bytes, _: Instant) -> Option<Duration> {
        Some(LIFE)
    }
}

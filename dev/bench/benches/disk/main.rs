//! The disk store against redb as it is, against a bare log, and against the disk's own sync.
//!
//! The files lie in cargo's target folder, so that is the disk that is measured.
//!
//! Run with: cargo bench -p kv-bench --bench disk

mod log;
mod raw;

use std::fs::File;
use std::future::Future;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kv_bench::{Figure, Goal, compare, compare_rates, time, value};
use kv_core::{Entry, ManualClock, PutMode, Store, Value};
use kv_disk::DiskStore;
use rustix::fs::fdatasync;
use tokio::runtime::{Builder, Runtime};

use crate::log::Log;
use crate::raw::Raw;

pub(crate) const COLLECTION: &str = "sessions";
pub(crate) const CACHE_BYTES: usize = 512 << 20;
const PRELOADED: u64 = 100_000;
const ROUNDS: usize = 5;

fn main() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let folder = folder.path();

    let raw = Raw::create(&folder.join("raw.redb"));
    raw.put_all((0..PRELOADED).map(|number| (key(number), value(number))));
    let log = Log::create(&folder.join("log"));
    for (name, shared) in [("exclusive", false), ("shared", true)] {
        let mut builder = DiskStore::builder(folder.join(name)).cache_bytes(CACHE_BYTES);
        if shared {
            builder = builder.shared();
        }
        let store: Arc<dyn Store> = Arc::new(builder.build().expect("a store"));
        runtime.block_on(fill(&*store, 0..PRELOADED, value));
        puts(&runtime, name, &store, &raw, &log);
        one_group(&runtime, name, &store, &raw);
        one_put(&runtime, name, &store, folder);
        gets(&runtime, name, &store, &raw);
    }
    drop(raw);
    for entries in [100_000, 1_000_000] {
        culls(&runtime, entries, folder);
    }
}

/// Durable puts at a growing number of writers.
fn puts(runtime: &Runtime, name: &str, store: &Arc<dyn Store>, raw: &Raw, log: &Log) {
    let [per_put, bare_log] = ["redb, transaction a put", "bare log, group commit"];
    for (writers, operations, against_raw, against_log) in [
        (1, 300, Goal::Open, Goal::Open),
        (16, 3200, Goal::AtLeast(5.0), Goal::AtLeast(0.4)),
        (128, 12_800, Goal::AtLeast(12.0), Goal::AtLeast(0.25)),
    ] {
        let name = format!("disk {name}: puts, writers");
        let figure = |against, goal| Figure {
            name: &name,
            against,
            size: writers,
            goal,
        };
        let ours = |_| rate(runtime, writers, operations, &put_into(store));
        compare_rates(figure(per_put, against_raw), ROUNDS, ours, |_| {
            let raw = raw.clone();
            let put = move |key, value| boxed(raw.clone().put(key, value));
            rate(runtime, writers, 640, &put)
        });
        compare_rates(figure(bare_log, against_log), ROUNDS, ours, |_| {
            let log = log.clone();
            let append = move |_, value| boxed(log.clone().append(value));
            rate(runtime, writers, operations, &append)
        });
    }
}

/// Transactions of the size that 128 writers share, against redb's own: what group commit on redb
/// can reach on this disk.
fn one_group(runtime: &Runtime, name: &str, store: &Arc<dyn Store>, raw: &Raw) {
    const GROUP: usize = 128;
    const OPERATIONS: usize = 20;
    let group = || -> Vec<(String, Bytes)> {
        let numbers = (0..GROUP).map(|_| fastrand::u64(PRELOADED..));
        numbers
            .map(|number| (key(number % PRELOADED), value(number)))
            .collect()
    };
    let groups = || -> Vec<_> { (0..OPERATIONS).map(|_| group()).collect() };
    compare(
        Figure {
            name: &format!("disk {name}: put_many"),
            against: "redb: the same transaction",
            size: GROUP as u64,
            goal: Goal::Open,
        },
        ROUNDS,
        OPERATIONS,
        |_| {
            let groups = groups();
            time(|| {
                for group in groups {
                    let entries = group
                        .into_iter()
                        .map(|(key, value)| (key, Entry::new(Value::from_stored(value))));
                    let put = store.put_many(COLLECTION, entries.collect());
                    runtime.block_on(put).expect("room");
                }
            })
        },
        |_| {
            let groups = groups();
            time(|| groups.into_iter().for_each(|group| raw.put_all(group)))
        },
    );
}

/// One durable put after the other, against the sync of one overwritten block.
fn one_put(runtime: &Runtime, name: &str, store: &Arc<dyn Store>, folder: &Path) {
    const OPERATIONS: usize = 200;
    let block = File::create(folder.join("block")).expect("a new file");
    compare(
        Figure {
            name: &format!("disk {name}: one put"),
            against: "write + fdatasync of 4 KiB",
            size: 1,
            goal: if name == "exclusive" {
                Goal::AtMost(2.5)
            } else {
                Goal::Open
            },
        },
        2 * ROUNDS,
        OPERATIONS,
        |_| {
            time(|| {
                rate(runtime, 1, OPERATIONS as u64, &put_into(store));
            })
        },
        |round| {
            time(|| {
                for operation in 0..OPERATIONS {
                    let fill = (round * OPERATIONS + operation).to_le_bytes().repeat(512);
                    block.write_all_at(&fill, 0).expect("room");
                    fdatasync(&block).expect("a working disk");
                }
            })
        },
    );
}

/// Gets of entries that are in the cache.
fn gets(runtime: &Runtime, name: &str, store: &Arc<dyn Store>, raw: &Raw) {
    const OPERATIONS: usize = 5000;
    let keys = || -> Vec<String> {
        (0..OPERATIONS)
            .map(|_| key(fastrand::u64(0..PRELOADED)))
            .collect()
    };
    compare(
        Figure {
            name: &format!("disk {name}: get"),
            against: "redb: begin, open, get, copy",
            size: PRELOADED,
            goal: if name == "exclusive" {
                Goal::AtMost(1.3)
            } else {
                Goal::Open
            },
        },
        41,
        OPERATIONS,
        |_| {
            let (store, keys) = (Arc::clone(store), keys());
            let work = async move {
                let start = Instant::now();
                for key in &keys {
                    let entry = store.get(COLLECTION, key).await.expect("an answer");
                    black_box(entry.expect("an entry"));
                }
                start.elapsed()
            };
            runtime.block_on(runtime.spawn(work)).expect("no panic")
        },
        |_| {
            let keys = keys();
            time(|| {
                for key in &keys {
                    black_box(raw.get(key).expect("an entry"));
                }
            })
        },
    );
}

/// Culls with nothing expired and with 1 % expired, against reading every entry once.
fn culls(runtime: &Runtime, entries: u64, folder: &Path) {
    const LIFE: Duration = Duration::from_secs(60);
    let raw = Raw::create(&folder.join(format!("raw-{entries}.redb")));
    let clock = Arc::new(ManualClock::starting_now());
    let own_clock = Arc::clone(&clock);
    let store = DiskStore::builder(folder.join(format!("cull-{entries}")))
        .cache_bytes(CACHE_BYTES)
        .clock(own_clock)
        .build()
        .expect("a store");
    raw.put_all((0..entries).map(|number| (key(number), small(number))));
    runtime.block_on(fill(&store, 0..entries, small));
    for (name, expired) in [
        ("disk: cull, none expired", 0),
        ("disk: cull, 1 % expired", entries / 100),
    ] {
        compare(
            Figure {
                name,
                against: "redb: read every entry",
                size: entries,
                goal: Goal::Open,
            },
            ROUNDS,
            1,
            |_| {
                runtime.block_on(async {
                    let end = store.clock().now().checked_add(LIFE);
                    let mortal = (0..expired).map(|number| {
                        let entry = Entry::new(Value::from_stored(small(number)));
                        (format!("mortal-{number}"), entry.with_expires_at(end))
                    });
                    let mortal = store.put_many(COLLECTION, mortal.collect()).await;
                    mortal.expect("room");
                    clock.advance(LIFE);
                    let start = Instant::now();
                    let culled = store.cull().await.expect("a working disk");
                    assert_eq!(culled, expired);
                    start.elapsed()
                })
            },
            |_| {
                time(|| {
                    black_box(raw.scan());
                })
            },
        );
    }
}

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

fn boxed(work: impl Future<Output = ()> + Send + 'static) -> Boxed {
    Box::pin(work)
}

fn put_into(store: &Arc<dyn Store>) -> impl Fn(String, Bytes) -> Boxed + Clone + Send + 'static {
    let store = Arc::clone(store);
    move |key, value| {
        let store = Arc::clone(&store);
        boxed(async move {
            let entry = Entry::new(Value::from_stored(value));
            let put = store.put(COLLECTION, &key, entry, PutMode::Overwrite);
            put.await.expect("room");
        })
    }
}

/// Has `writers` tasks `put` new values under random keys, `operations` in all, and returns how
/// many were done a second.
fn rate(
    runtime: &Runtime,
    writers: u64,
    operations: u64,
    put: &(impl Fn(String, Bytes) -> Boxed + Clone + Send + 'static),
) -> f64 {
    let start = Instant::now();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..writers)
            .map(|_| {
                let put = put.clone();
                tokio::spawn(async move {
                    for _ in 0..operations / writers {
                        let number = fastrand::u64(PRELOADED..);
                        put(key(number % PRELOADED), value(number)).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
    });
    operations as f64 / start.elapsed().as_secs_f64()
}

async fn fill(store: &dyn Store, numbers: std::ops::Range<u64>, value: fn(u64) -> Bytes) {
    const BATCH: usize = 10_000;
    for first in numbers.clone().step_by(BATCH) {
        let batch = (first..numbers.end)
            .take(BATCH)
            .map(|number| (key(number), Entry::new(Value::from_stored(value(number)))));
        let batch = store.put_many(COLLECTION, batch.collect());
        batch.await.expect("room");
    }
}

fn small(number: u64) -> Bytes {
    format!(r#"{{"number":{number},"fill":"{}"}}"#, "x".repeat(170)).into()
}

fn key(number: u64) -> String {
    format!("user-{number:08}")
}

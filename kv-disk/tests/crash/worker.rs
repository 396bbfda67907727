//! The child: workers that write without end, each to a collection of its own, and report.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use kv_core::{Error, ManualClock, PutMode, Store, Timestamp};
use kv_disk::{DiskStore, Durability};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use super::script::{KEYS, Mode, Op, Outcome, Report, entry, key_name, seq_of};
use crate::role;

/// How long entries that expire have left. No child runs as long by its own clock, which stands.
pub(crate) const TTL_MICROS: i64 = 500_000_000;

/// The interval between durable commits in [`Access::Interval`].
const INTERVAL: Duration = Duration::from_millis(10);

/// The largest batch.
const BATCH: u16 = 100;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) folder: PathBuf,
    pub(crate) access: Access,
    /// Tells this child's collections from those of another.
    pub(crate) name: String,
    pub(crate) workers: u8,
    /// What the child's clock shows, in microseconds.
    pub(crate) now: i64,
    /// The number of the first value. The next million is this child's too.
    pub(crate) first_seq: u64,
    pub(crate) seed: u64,
}

/// How a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Access {
    Exclusive,
    Shared,
    Interval,
}

impl Orders {
    pub(crate) fn collection(&self, worker: u8) -> String {
        format!("{}-{worker}", self.name)
    }

    /// Makes the store, and the clock that it follows.
    pub(crate) fn store(&self) -> (DiskStore, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(self.now)));
        let builder = DiskStore::builder(&self.folder).clock(Arc::<ManualClock>::clone(&clock));
        let builder = match self.access {
            Access::Exclusive => builder,
            Access::Shared => builder.shared(),
            Access::Interval => builder.durability(Durability::Interval(INTERVAL)),
        };
        (builder.build().unwrap(), clock)
    }
}

/// A child that puts one entry, acknowledged before it is durable, and then only waits.
pub(crate) fn put_once(folder: &Path) {
    Runtime::new().unwrap().block_on(async {
        let store = DiskStore::builder(folder)
            .durability(Durability::Interval(INTERVAL))
            .build()
            .unwrap();
        store
            .put("c", "k", entry(1, None), PutMode::Create)
            .await
            .unwrap();
        role::report(&());
        role::command::<()>();
    });
}

pub(crate) fn child(orders: &Orders) {
    role::end_with_the_parent();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (store, _clock) = orders.store();
        let mut rng = Rng::with_seed(orders.seed);
        let workers: Vec<_> = (0..orders.workers)
            .map(|number| {
                let worker = Worker {
                    store: store.clone(),
                    collection: orders.collection(number),
                    number,
                    rng: rng.fork(),
                    orders: orders.clone(),
                    next_seq: orders.first_seq,
                };
                tokio::spawn(worker.run())
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
    });
}

struct Worker {
    store: DiskStore,
    collection: String,
    number: u8,
    rng: Rng,
    orders: Orders,
    next_seq: u64,
}

impl Worker {
    async fn run(mut self) {
        loop {
            let (op, mode) = self.choose().await;
            let worker = self.number;
            role::report(&Report::Starts {
                worker,
                op: op.clone(),
            });
            let outcome = self.perform(op, mode).await;
            role::report(&Report::Acknowledged { worker, outcome });
        }
    }

    /// Chooses an operation, with the condition for a single put.
    async fn choose(&mut self) -> (Op, PutMode) {
        let key = self.rng.u16(0..KEYS);
        let few = self.rng.u16(2..=8);
        let few_from = self.rng.u16(0..=KEYS - few);
        let op = match self.rng.u8(0..100) {
            0..40 => self.put(key, 1, Mode::Overwrite),
            40..48 => return (self.put(key, 1, Mode::Create), PutMode::Create),
            48..56 => {
                let found = self.store.get(&self.collection, &key_name(key)).await;
                return match found.unwrap().and_then(|entry| entry.revision) {
                    Some(seen) => (self.put(key, 1, Mode::Update), PutMode::Update(seen)),
                    None => (self.put(key, 1, Mode::Create), PutMode::Create),
                };
            }
            56..68 => self.put(few_from, few, Mode::Overwrite),
            68..72 => self.put(KEYS - BATCH, BATCH, Mode::Overwrite),
            72..82 => Op::Delete {
                first: key,
                count: 1,
            },
            82..88 => Op::Delete {
                first: few_from,
                count: few,
            },
            88..96 => Op::Take { key },
            96..98 if self.orders.access == Access::Interval => Op::Flush,
            98 if self.number == 0 => Op::Cull,
            99 if self.number == 0 => Op::Compact,
            _ => self.put(key, 1, Mode::Overwrite),
        };
        (op, PutMode::Overwrite)
    }

    fn put(&mut self, first: u16, count: u16, mode: Mode) -> Op {
        let seq = self.next_seq;
        self.next_seq += u64::from(count);
        Op::Put {
            first,
            count,
            seq,
            mode,
            expires_at: (self.rng.u8(..) < 64).then_some(self.orders.now + TTL_MICROS),
        }
    }

    async fn perform(&self, op: Op, put_mode: PutMode) -> Outcome {
        let (store, collection) = (&self.store, self.collection.as_str());
        let names = |first: u16, count: u16| (first..first + count).map(key_name);
        match op {
            Op::Put {
                first,
                count: 1,
                seq,
                expires_at,
                ..
            } => {
                let entry = entry(seq, expires_at);
                match store
                    .put(collection, &key_name(first), entry, put_mode)
                    .await
                {
                    Ok(_) => Outcome::Wrote,
                    Err(Error::AlreadyExists) => Outcome::AlreadyExists,
                    Err(error) => panic!("put: {error:?}"),
                }
            }
            Op::Put {
                first,
                count,
                seq,
                expires_at,
                ..
            } => {
                let entries = (seq..).map(|seq| entry(seq, expires_at));
                let entries = names(first, count).zip(entries).collect();
                store.put_many(collection, entries).await.unwrap();
                Outcome::Wrote
            }
            Op::Delete { first, count: 1 } => {
                let deleted = store.delete(collection, &key_name(first)).await;
                Outcome::Deleted(vec![deleted.unwrap()])
            }
            Op::Delete { first, count } => {
                let keys: Vec<String> = names(first, count).collect();
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                Outcome::Deleted(store.delete_many(collection, &keys).await.unwrap())
            }
            Op::Take { key } => {
                let taken = store.take(collection, &key_name(key)).await.unwrap();
                Outcome::Took(taken.map(|entry| seq_of(&entry.value)))
            }
            Op::Cull => {
                store.cull().await.unwrap();
                Outcome::Done
            }
            Op::Flush => {
                store.flush().await.unwrap();
                Outcome::Done
            }
            Op::Compact => {
                match store.compact().await {
                    Ok(_) => {}
                    // Another process reads.
                    Err(Error::Unavailable { .. }) if self.orders.access == Access::Shared => {}
                    Err(error) => panic!("compact: {error:?}"),
                }
                Outcome::Done
            }
        }
    }
}

//! Random reads, writes and cancellations on two threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use kv_core::conformance::Fault;
use kv_core::wrappers::{Cached, Operation};
use kv_core::{Change, Entry, PutMode, Store};
use tokio::task::yield_now;

use super::super::{entry, number, put};
use super::{Faulty, Setup, setup};

const KEYS: usize = 3;
const READERS: usize = 4;
const SEEDS: u64 = 12;
const STEPS: usize = 300;

type Tiers = Cached<Faulty, Faulty>;

/// The least that a get of each key may find: what a write that has returned wrote, or what a fresh
/// get has answered.
type Least = Arc<[AtomicU64; KEYS]>;

/// Drops `work` when it is not done after so many turns.
async fn within<T>(turns: u32, work: impl Future<Output = T>) -> Option<T> {
    let patience = async {
        for _ in 0..turns {
            yield_now().await;
        }
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = patience => None,
    }
}

/// Mostly for ever, else a few turns.
fn some_turns(random: &mut fastrand::Rng) -> u32 {
    if random.u8(..4) == 0 {
        random.u32(..12)
    } else {
        u32::MAX
    }
}

/// The only one who writes its key, some of it past the cache, so what it writes only grows.
async fn write(store: Tiers, far: Faulty, key: usize, least: Least, mut random: fastrand::Rng) {
    let name = key.to_string();
    for n in 1..=STEPS as u64 {
        let turns = some_turns(&mut random);
        let is_written = match random.u8(..8) {
            0 => {
                // As another process does.
                put(&far, "c", &name, n).await;
                false
            }
            1..6 => {
                let put = store.put("c", &name, entry(n), PutMode::Overwrite);
                within(turns, put).await.is_some()
            }
            6 => {
                let entries = vec![("x".to_owned(), entry(n)), (name.clone(), entry(n))];
                let put = store.put_many("c", entries);
                within(turns, put).await.is_some()
            }
            _ => {
                let replace = store.put("c", &name, entry(n), PutMode::Overwrite);
                let is_written = replace.await.is_ok();
                // Forgets other keys' copies under way, and no entry.
                store.clear("none").await.unwrap();
                is_written
            }
        };
        if is_written {
            least[key].fetch_max(n, Ordering::SeqCst);
        }
        for _ in 0..random.u32(..8) {
            yield_now().await;
        }
    }
}

fn number_in(entry: Option<Entry>) -> Option<u64> {
    let value = entry?.value.decode::<serde_json::Value>().unwrap();
    value["n"].as_u64()
}

async fn read(store: Tiers, least: Least, mut random: fastrand::Rng) {
    for _ in 0..3 * STEPS {
        let turns = some_turns(&mut random);
        let key = random.usize(..KEYS);
        let names = [key.to_string(), "x".to_owned()];
        let at_least = least[key].load(Ordering::SeqCst);
        let is_fresh = random.u8(..6) == 0;
        let found = if is_fresh {
            let fresh = within(turns, store.get_fresh("c", &names[0])).await;
            fresh.map(|entry| number_in(entry.unwrap()))
        } else if random.bool() {
            within(turns, number(&store, "c", &names[0])).await
        } else {
            let names = [names[1].as_str(), &names[0]];
            let found = within(turns, store.get_many("c", &names)).await;
            found.map(|found| number_in(found.unwrap().remove(1).unwrap()))
        };
        if let Some(found) = found {
            let found = found.unwrap_or(0);
            assert!(found >= at_least, "read {found} after {at_least}");
            if is_fresh {
                least[key].fetch_max(found, Ordering::SeqCst);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_never_sees_less_than_a_write_or_a_fresh_get_before_it() {
    for seed in 0..SEEDS {
        let Setup {
            far, near, store, ..
        } = setup();
        let store = store.with_negative_ttl(Duration::from_secs(60));
        far.inject(Fault::pause().every(2));
        near.inject(Fault::pause().every(3));
        near.inject(Fault::unavailable().every(17));
        let least = Least::default();
        let mut random = fastrand::Rng::with_seed(seed);
        let writers = (0..KEYS).map(|key| {
            let work = write(
                store.clone(),
                far.clone(),
                key,
                Arc::clone(&least),
                random.fork(),
            );
            tokio::spawn(work)
        });
        let mut tasks: Vec<_> = writers.collect();
        let readers = (0..READERS)
            .map(|_| tokio::spawn(read(store.clone(), Arc::clone(&least), random.fork())));
        tasks.extend(readers);
        for done in join_all(tasks).await {
            done.unwrap();
        }
        // No key is left that is never cached again.
        far.heal();
        near.heal();
        for key in 0..KEYS {
            let name = key.to_string();
            number(&store, "c", &name).await;
            let reads = far.calls(Operation::Get);
            number(&store, "c", &name).await;
            assert_eq!(far.calls(Operation::Get), reads, "with seed {seed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_read_across_the_return_of_a_watch_sees_no_copy_from_before() {
    let Setup { far, store, .. } = setup();
    let far = far.watchable();
    // A write under way, so that each key is looked up among those that are bypassed.
    far.inject(Fault::hold().on(Operation::Put));
    let mut held = store.put("c", "held", entry(1), PutMode::Overwrite);
    assert!((&mut held).now_or_never().is_none());
    let mut random = fastrand::Rng::with_seed(7);
    let mut keys: Vec<_> = (0..300).map(|n| n.to_string()).collect();
    keys.push("k".to_owned());
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let read = async || {
        let read = store.get_many("c", &keys).await.unwrap().pop();
        read.unwrap().unwrap().unwrap().value
    };
    for n in 1..100 {
        put(&far, "c", "k", n).await;
        far.tell(&Change::Lost);
        while number(&store, "c", "k").await != Some(n) {
            yield_now().await;
        }
        let teller = far.clone();
        let delay = random.u64(..200);
        let told = tokio::spawn(async move {
            let start = std::time::Instant::now();
            while start.elapsed() < Duration::from_micros(delay) {
                std::hint::spin_loop();
            }
            teller.tell(&Change::Watching);
        });
        while !told.is_finished() {
            assert_eq!(read().await, entry(n).value);
        }
        told.await.unwrap();
        // Until there is a copy that the next round may find wrongly.
        loop {
            let reads = far.calls(Operation::Get);
            assert_eq!(number(&store, "c", "k").await, Some(n));
            if far.calls(Operation::Get) == reads {
                break;
            }
            yield_now().await;
        }
    }
}

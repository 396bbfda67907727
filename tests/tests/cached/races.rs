//! Reads while other processes write: none goes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kv_core::Store;
use kv_redis::RedisStore;
use kv_tests::services::RedisServer;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{sleep, timeout};

use super::other::Other;
use super::raw::command;
use super::{COLLECTION, HOUR, KEYS, PATIENCE, cache, follows, number, number_in, put};

const READERS: usize = 4;

/// What was last seen of each key: twice its number, and one more once there is no entry.
type Ranks = Arc<[AtomicU64; KEYS as usize]>;

#[tokio::test(flavor = "multi_thread")]
async fn no_read_goes_back_while_two_others_change_and_delete() {
    const STEPS: u64 = 800;

    let server = RedisServer::start(&[]);
    let store = cache(&server.url()).with_negative_ttl(HOUR);
    for key in 0..KEYS {
        put(&store, &format!("k{key}"), 0).await;
    }
    let writers = [1, 2].map(|seed| {
        let mut other = Other::start(&server.url());
        spawn_blocking(move || {
            other.order(&format!("race {STEPS} {seed}"));
            other
        })
    });
    let ranks = Ranks::default();
    let done = Arc::new(AtomicBool::new(false));
    let readers = [(); READERS].map(|()| {
        let (store, ranks, done) = (store.clone(), Arc::clone(&ranks), Arc::clone(&done));
        tokio::spawn(async move {
            while !done.load(Ordering::SeqCst) {
                read(&store, &ranks).await;
                yield_now().await;
            }
        })
    });
    let mut others = Vec::new();
    for writer in writers {
        others.push(writer.await.unwrap());
    }
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
    for other in &mut others {
        agree(&server.url(), &store, other).await;
    }
}

/// Reads a key, and asserts that nobody who had read it before saw anything newer.
async fn read(store: &dyn Store, ranks: &Ranks) {
    let key = fastrand::usize(..ranks.len());
    let (name, rank) = (format!("k{key}"), &ranks[key]);
    let least = rank.load(Ordering::SeqCst);
    let is_fresh = fastrand::u8(..8) == 0;
    let found = if is_fresh {
        store.get_fresh(COLLECTION, &name).await
    } else {
        store.get(COLLECTION, &name).await
    };
    // Nothing comes later than all that was seen until now.
    let now = found.unwrap().map_or(least | 1, |e| 2 * number_in(&e));
    assert!(
        now >= least,
        "{name} was {least} and is {now}, fresh: {is_fresh}"
    );
    rank.fetch_max(now, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_read_goes_back_while_others_write_and_connections_are_killed() {
    const WRITES: u64 = 2000;

    let server = RedisServer::start(&[]);
    let (url, store) = (server.url(), cache(&server.url()));
    let mut other = Other::start(&url);
    let writer = spawn_blocking(move || {
        for n in 1..=WRITES {
            other.order(&format!("put k{} {n}", fastrand::u64(..KEYS)));
            if n % 400 == 0 {
                // That of this process's cache, and those of both processes' stores.
                command(&server.url(), &["CLIENT", "KILL", "TYPE", "normal"]);
            }
        }
        (other, server)
    });
    let mut seen = [None; KEYS as usize];
    let read = async |seen: &mut [Option<u64>]| {
        for (key, seen) in seen.iter_mut().enumerate() {
            // Without a connection there is no answer, which is none that is old.
            let Ok(entry) = store.get(COLLECTION, &format!("k{key}")).await else {
                continue;
            };
            let now = entry.as_ref().map(number_in);
            assert!(now >= *seen, "k{key} was {seen:?} and is {now:?}");
            *seen = now;
        }
    };
    while !writer.is_finished() {
        read(&mut seen).await;
    }
    let (mut other, server) = writer.await.unwrap();
    agree(&server.url(), &store, &mut other).await;
}

/// Asserts that both caches come to answer what the server holds.
async fn agree(url: &str, store: &dyn Store, other: &mut Other) {
    let redis = RedisStore::new(url).unwrap();
    for key in 0..KEYS {
        let key = format!("k{key}");
        let last = number(&redis, &key).await;
        follows(store, &key, last).await;
        let agrees = timeout(PATIENCE, async {
            while other.order(&format!("get {key}")) != format!("{last:?}") {
                sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(agrees.await.is_ok(), "{key} is not {last:?} there");
    }
}

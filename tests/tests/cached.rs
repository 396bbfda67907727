//! `Cached` over Redis: what one process keeps follows what others write.

mod lost;
mod other;
mod races;
mod raw;

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kv_core::wrappers::Cached;
use kv_core::{Entry, Error, PutMode, Store, StoreExt, Value};
use kv_memory::MemoryStore;
use kv_redis::RedisStore;
use kv_tests::services::RedisServer;
use serde_json::json;
use tokio::time::{sleep, timeout};

use self::other::Other;
use self::raw::{command, gets};
use crate::interop;

const COLLECTION: &str = "cached";

/// How many keys the writers of a race share: `k0`, `k1` and so on.
const KEYS: u64 = 5;

/// Far longer than it takes to hear of a change.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longer than a test.
const HOUR: Duration = Duration::from_secs(3600);

type Tiers = Cached<RedisStore, MemoryStore>;

/// A cache whose copies do not end during a test.
fn cache(url: &str) -> Tiers {
    let store = RedisStore::new(url).unwrap().cached(MemoryStore::new());
    store.with_max_ttl(HOUR)
}

fn entry(n: u64) -> Entry {
    Entry::new(Value::encode(&json!({ "n": n })).unwrap())
}

fn number_in(entry: &Entry) -> u64 {
    let value: serde_json::Value = entry.value.decode().unwrap();
    value["n"].as_u64().unwrap()
}

async fn put(store: &dyn Store, key: &str, n: u64) {
    let put = store.put(COLLECTION, key, entry(n), PutMode::Overwrite);
    put.await.unwrap();
}

async fn number(store: &dyn Store, key: &str) -> Option<u64> {
    let found = store.get(COLLECTION, key).await.unwrap();
    found.as_ref().map(number_in)
}

/// Waits until a read of `key` finds `expected`, and returns how long that took.
async fn follows(store: &dyn Store, key: &str, expected: Option<u64>) -> Duration {
    let start = Instant::now();
    let followed = timeout(PATIENCE, async {
        while number(store, key).await != expected {
            tokio::task::yield_now().await;
        }
    });
    assert!(followed.await.is_ok(), "{key} is not {expected:?} yet");
    start.elapsed()
}

/// Reads `key` until a copy of it is used.
async fn is_kept(store: &dyn Store, url: &str, key: &str) {
    let kept = timeout(PATIENCE, async {
        loop {
            let before = gets(url);
            drop(store.get(COLLECTION, key).await);
            if gets(url) == before {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
    });
    assert!(kept.await.is_ok(), "no copy of {key} is used");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_writes_is_read_within_moments() {
    let server = RedisServer::start(&[]);
    let (store, mut other) = (cache(&server.url()), Other::start(&server.url()));
    let mut took = Vec::new();
    put(&store, "k", 0).await;
    for n in 1..=200 {
        is_kept(&store, &server.url(), "k").await;
        other.order(&format!("put k {n}"));
        took.push(follows(&store, "k", Some(n)).await);
    }
    took.sort_unstable();
    let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
    writeln!(
        std::io::stderr(),
        "read after {median:?}, at most {longest:?}"
    )
    .unwrap();
    assert!(longest < Duration::from_secs(2), "{longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_removes_is_gone_within_moments() {
    let server = RedisServer::start(&[]);
    let (store, mut other) = (cache(&server.url()), Other::start(&server.url()));
    for (order, answer) in [("delete k", "true"), ("take k", "true"), ("clear", "1")] {
        put(&store, "k", 1).await;
        is_kept(&store, &server.url(), "k").await;
        assert_eq!(other.order(order), answer);
        follows(&store, "k", None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_python_writes_and_removes_is_read_within_moments() {
    let server = RedisServer::start(&[]);
    let (url, store) = (server.url(), cache(&server.url()));
    let python = |step: serde_json::Value| {
        let arguments = ["redis".to_owned(), server.url()];
        interop::python(&arguments, &[step])
    };
    for n in [1, 2] {
        python(json!(["put", COLLECTION, "k", { "n": n }, null]));
        follows(&store, "k", Some(n)).await;
        is_kept(&store, &url, "k").await;
    }
    python(json!(["delete", COLLECTION, "k"]));
    follows(&store, "k", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_cost_the_server_no_request() {
    let server = RedisServer::start(&[]);
    let (url, store) = (server.url(), cache(&server.url()));
    put(&store, "k", 1).await;
    is_kept(&store, &url, "k").await;
    let before = gets(&url);
    for _ in 0..1000 {
        assert_eq!(number(&store, "k").await, Some(1));
    }
    assert_eq!(gets(&url), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_creates_is_found_where_it_was_missing() {
    let server = RedisServer::start(&[]);
    let (store, mut other) = (cache(&server.url()), Other::start(&server.url()));
    let store = store.with_negative_ttl(HOUR);
    for n in 1..=10 {
        // Of a miss.
        is_kept(&store, &server.url(), "k").await;
        assert_eq!(number(&store, "k").await, None);
        other.order(&format!("put k {n}"));
        follows(&store, "k", Some(n)).await;
        assert_eq!(other.order("delete k"), "true");
        follows(&store, "k", None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_a_plain_client_sets_is_read_and_garbage_is_corrupted() {
    let server = RedisServer::start(&[]);
    let (url, store) = (server.url(), cache(&server.url()));
    put(&store, "k", 1).await;
    let first = command(&url, &["GET", "cached::k"]);
    let second = first.replace("\"n\":1", "\"n\":2");
    assert_ne!(first, second);
    for (record, n) in [(&second, 2), (&first, 1)] {
        is_kept(&store, &url, "k").await;
        assert_eq!(command(&url, &["SET", "cached::k", record]), "OK");
        follows(&store, "k", Some(n)).await;
        is_kept(&store, &url, "k").await;
        assert_eq!(command(&url, &["SET", "cached::k", "garbage"]), "OK");
        let is_seen = timeout(PATIENCE, async {
            while store.get(COLLECTION, "k").await.is_ok() {
                sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(is_seen.await.is_ok(), "the copy is still used");
        for _ in 0..3 {
            let found = store.get(COLLECTION, "k").await;
            assert!(matches!(found, Err(Error::Corrupted { .. })), "{found:?}");
        }
        assert_eq!(command(&url, &["SET", "cached::k", record]), "OK");
        follows(&store, "k", Some(n)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_prefix_the_changes_inside_are_told_and_none_outside() {
    let server = RedisServer::start(&[]);
    let (url, redis) = (server.url(), RedisStore::new(server.url()).unwrap());
    let collections = redis.clone().prefixed("app").unwrap();
    let keys = redis.clone().prefixed_keys("app").unwrap();
    let stores: [(Arc<dyn Store>, _, _); 2] = [
        (
            Arc::new(collections),
            ["app__cached", "cached", "apps__cached"],
            ["", "", ""],
        ),
        (
            Arc::new(keys),
            ["cached", "cached", "cached"],
            ["app__", "", "apps__"],
        ),
    ];
    for (inside, collections, prefixes) in stores {
        let store = inside.cached(MemoryStore::new());
        let write = async |place: usize, key: &str, n| {
            let key = [prefixes[place], key].concat();
            let put = redis.put(collections[place], &key, entry(n), PutMode::Overwrite);
            put.await.unwrap();
        };
        for key in ["k", "last"] {
            write(0, key, 1).await;
            is_kept(&store, &url, key).await;
        }
        for outside in [1, 2] {
            write(outside, "k", 2).await;
        }
        // Of what the server tells in turn, so that the others would have been told before.
        write(0, "last", 2).await;
        follows(&store, "last", Some(2)).await;
        let before = gets(&url);
        for _ in 0..100 {
            assert_eq!(number(&store, "k").await, Some(1));
        }
        assert_eq!(gets(&url), before, "the copy is still there");
        write(0, "k", 3).await;
        follows(&store, "k", Some(3)).await;
    }
}

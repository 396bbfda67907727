//! What others write while nothing is told: no copy answers for long.

use std::time::Duration;

use kv_core::{Store, StoreExt as _};
use kv_memory::MemoryStore;
use kv_redis::RedisStore;
use kv_tests::services::RedisServer;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::other::Other;
use super::raw::{command, gets, kill_watches};
use super::{COLLECTION, PATIENCE, cache, follows, is_kept, number, put};

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_writes_as_the_watch_is_cut_is_read_within_two_seconds() {
    let server = RedisServer::start(&[]);
    let (url, mut other) = (server.url(), Other::start(&server.url()));
    let store = cache(&url);
    put(&store, "k", 0).await;
    for n in 1..=10 {
        is_kept(&store, &url, "k").await;
        assert_eq!(kill_watches(&url), 1);
        other.order(&format!("put k {n}"));
        let took = follows(&store, "k", Some(n)).await;
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_read_goes_to_the_server_while_it_refuses_to_tell() {
    for is_refused_later in [false, true] {
        let server = RedisServer::start(&[]);
        let url = server.url();
        let allow = |permissions: &[&str]| {
            let user = ["ACL", "SETUSER", "app", "on", ">secret", "~*"];
            command(&url, &[&user, permissions].concat());
        };
        allow(&["+@all"]);
        let redis = RedisStore::builder(&url).username("app").password("secret");
        let store = redis.build().unwrap().cached(MemoryStore::new());
        put(&store, "k", 0).await;
        if is_refused_later {
            is_kept(&store, &url, "k").await;
            allow(&["-client|tracking"]);
            assert_eq!(kill_watches(&url), 1);
        } else {
            allow(&["-client|tracking"]);
        }
        let asks = timeout(PATIENCE, async {
            let before = gets(&url);
            while gets(&url) == before {
                number(&store, "k").await;
                yield_now().await;
            }
        });
        assert!(asks.await.is_ok(), "its copy is still used");
        let other = RedisStore::new(&url).unwrap();
        for n in 1..=50 {
            put(&other, "k", n).await;
            let before = gets(&url);
            assert_eq!(number(&store, "k").await, Some(n));
            assert_eq!(number(&store, "k").await, Some(n));
            assert_eq!(gets(&url), before + 2, "refused later: {is_refused_later}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_flushed_or_lost_in_a_restart_is_gone() {
    let mut server = RedisServer::start(&["--save", ""]);
    let (url, store) = (server.url(), cache(&server.url()));
    for restarts in [false, true] {
        put(&store, "k", 1).await;
        is_kept(&store, &url, "k").await;
        if restarts {
            server.kill();
            server.restart();
        } else {
            assert_eq!(command(&url, &["FLUSHDB"]), "OK");
        }
        let gone = timeout(PATIENCE, async {
            while !matches!(store.get(COLLECTION, "k").await, Ok(None)) {
                sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(gone.await.is_ok(), "after a restart: {restarts}");
    }
}

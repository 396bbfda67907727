//! A master with a replica, and a sentinel that puts the one in the other's place.

use std::time::{Duration, Instant};

use kv_core::Error;
use kv_redis::RedisStore;
use kv_tests::services::{RedisServer, SENTINEL_MASTER};

use crate::support::{command, command_that_lasts, create, get, put, server, value};

pub(crate) struct Watched {
    pub(crate) master: RedisServer,
    pub(crate) replica: RedisServer,
    pub(crate) sentinels: Vec<RedisServer>,
}

impl Watched {
    pub(crate) async fn start() -> Self {
        let master = server();
        let port = master.port().to_string();
        let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &port]);
        let sentinels: Vec<_> = (0..3).map(|_| RedisServer::sentinel(&master, 2)).collect();
        let watched = Self {
            master,
            replica,
            sentinels,
        };
        let started = Instant::now();
        while !watched.is_ready() {
            assert!(started.elapsed() < Duration::from_secs(60));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        watched
    }

    /// The sentinels know the replica and each other, and the replica has all that the master has.
    fn is_ready(&self) -> bool {
        let info: String = command(&self.replica.url(), &["INFO", "replication"]).unwrap();
        info.contains("master_link_status:up")
            && self.sentinels.iter().all(|sentinel| {
                let info: String = command(&sentinel.url(), &["INFO", "sentinel"]).unwrap();
                info.contains("slaves=1,sentinels=3")
            })
    }

    fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(RedisServer::url).collect()
    }

    pub(crate) fn store(&self) -> RedisStore {
        RedisStore::sentinel(self.urls(), SENTINEL_MASTER)
            .build()
            .unwrap()
    }

    /// Waits until the replica has what was written.
    pub(crate) fn replicate(&self) {
        let url = self.replica.url();
        let started = Instant::now();
        while command::<i64>(&url, &["EXISTS", "c::k"]).unwrap() == 0 {
            assert!(started.elapsed() < Duration::from_secs(30));
        }
    }

    /// Has the replica made the master.
    pub(crate) async fn fail_over(&self) {
        let sentinel = &self.sentinels[0];
        let failover = ["SENTINEL", "FAILOVER", SENTINEL_MASTER];
        let started = Instant::now();
        // It first has to find the replica fit.
        while command::<()>(&sentinel.url(), &failover).is_err() {
            assert!(started.elapsed() < Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let started = Instant::now();
        while !is_master(&self.replica) {
            assert!(started.elapsed() < Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn assert_writable_within(store: &RedisStore, limit: Duration) {
    let start = Instant::now();
    while let Err(error) = put(store, "after", "v").await {
        let honest = matches!(error, Error::OutcomeUnknown { .. }) || error.is_retryable();
        assert!(honest, "{error:?}");
        assert!(start.elapsed() < limit, "{error:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_killed_master_is_replaced() {
    let mut watched = Watched::start().await;
    let store = watched.store();
    put(&store, "k", "v").await.unwrap();
    watched.replicate();
    watched.master.kill();
    assert_writable_within(&store, Duration::from_secs(30)).await;
    assert_eq!(get(&store, "k").await, Some(value("v")));
    let held: i64 = command(&watched.replica.url(), &["EXISTS", "c::after"]).unwrap();
    assert_eq!(held, 1);
}

#[tokio::test]
async fn a_master_that_was_told_to_follow_is_left() {
    let watched = Watched::start().await;
    let store = watched.store();
    put(&store, "k", "v").await.unwrap();
    watched.replicate();
    watched.fail_over().await;
    assert_writable_within(&store, Duration::from_secs(15)).await;
    assert_eq!(get(&store, "k").await, Some(value("v")));
}

pub(crate) fn is_master(server: &RedisServer) -> bool {
    let info: String = command_that_lasts(&server.url(), &["INFO", "replication"]);
    info.contains("role:master")
}

#[tokio::test]
async fn one_sentinel_that_answers_is_enough() {
    let mut watched = Watched::start().await;
    watched.sentinels[0].kill();
    watched.sentinels[1].suspend();
    let store = watched.store();
    put(&store, "k", "v").await.unwrap();
}

#[tokio::test]
async fn a_connection_that_broke_while_idle_is_made_anew_past_a_sentinel_that_hangs() {
    let watched = Watched::start().await;
    let store = watched.store();
    put(&store, "k", "v").await.unwrap();
    watched.sentinels[0].suspend();
    for n in 0..2 {
        let _ = command::<i64>(&watched.master.url(), &["CLIENT", "KILL", "TYPE", "normal"]);
        tokio::time::sleep(Duration::from_millis(100)).await;
        create(&store, &n.to_string(), "v").await.unwrap();
    }
}

#[tokio::test]
async fn a_master_that_no_sentinel_knows_is_unavailable() {
    let master = server();
    let sentinel = RedisServer::sentinel(&master, 1);
    let store = RedisStore::sentinel([sentinel.url()], "another")
        .build()
        .unwrap();
    let error = put(&store, "k", "v").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

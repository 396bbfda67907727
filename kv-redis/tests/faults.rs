//! Servers that are killed, suspended, paused, full, read-only, or will not let anybody in.

use std::time::{Duration, Instant};

use kv_core::{Error, Store};
use kv_redis::RedisStore;
use kv_tests::services::RedisServer;

use crate::proxy::{Fault, Proxy};
use crate::support::{SLACK, command, create, entry, get, hasty, put, server, store, value};

/// What [`hasty`] allows an operation in all.
const DEADLINE: Duration = Duration::from_millis(600);

/// How soon a store must work again.
const HEALTHY: Duration = Duration::from_secs(1);

async fn assert_healthy_soon(store: &RedisStore) {
    let back = Instant::now();
    while put(store, "healthy", "v").await.is_err() || get_healthy(store).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(back.elapsed() < HEALTHY, "{:?}", back.elapsed());
}

async fn get_healthy(store: &RedisStore) -> kv_core::Result<()> {
    store.get("c", "healthy").await.map(drop)
}

/// Reads and writes, which must fail as they should, and in time.
async fn assert_fails_in_time(store: &RedisStore) {
    let start = Instant::now();
    let read = store.get("c", "k").await.unwrap_err();
    assert!(read.is_retryable(), "{read:?}");
    assert!(start.elapsed() < DEADLINE + SLACK, "{:?}", start.elapsed());
    for key in ["a", "b"] {
        let start = Instant::now();
        let written = create(store, key, "v").await.unwrap_err();
        let honest = matches!(written, Error::OutcomeUnknown { .. }) || written.is_retryable();
        assert!(honest, "{written:?}");
        assert!(start.elapsed() < DEADLINE + SLACK, "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_killed_server_is_unavailable_and_writes_to_it_are_not_applied() {
    let mut server = server();
    let store = hasty(server.url()).build().unwrap();
    put(&store, "k", "v").await.unwrap();
    server.kill();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_fails_in_time(&store).await;
    let written = put(&store, "k", "v").await.unwrap_err();
    assert!(matches!(written, Error::Unavailable { .. }), "{written:?}");
    server.restart();
    assert_healthy_soon(&store).await;
}

#[tokio::test]
async fn a_server_that_came_back_while_the_store_was_idle_is_not_noticed() {
    let mut server = server();
    let store = store(&server);
    put(&store, "k", "v").await.unwrap();
    for n in 0..3 {
        server.restart();
        tokio::time::sleep(Duration::from_millis(50)).await;
        create(&store, &n.to_string(), "v").await.unwrap();
    }
}

#[tokio::test]
async fn a_store_can_be_made_before_its_server() {
    let mut server = server();
    let store = hasty(server.url()).build().unwrap();
    server.kill();
    assert_fails_in_time(&store).await;
    server.restart();
    assert_healthy_soon(&store).await;
}

#[tokio::test]
async fn a_suspended_server_is_given_up_in_time_and_used_again_when_it_is_back() {
    let server = server();
    let store = hasty(server.url()).build().unwrap();
    put(&store, "k", "v").await.unwrap();
    server.suspend();
    assert_fails_in_time(&store).await;
    server.resume();
    assert_healthy_soon(&store).await;
    assert_eq!(get(&store, "k").await, Some(value("v")));
}

#[tokio::test]
async fn an_attempt_to_connect_that_failed_unseen_is_not_held_against_the_server() {
    let server = server();
    let store = RedisStore::builder(server.url())
        .connect_timeout(Duration::from_millis(200))
        .operation_timeout(Duration::from_millis(100))
        .retries(0)
        .build()
        .unwrap();
    server.suspend();
    let error = put(&store, "k", "v").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.resume();
    tokio::time::sleep(Duration::from_millis(50)).await;
    put(&store, "k", "v").await.unwrap();
}

#[tokio::test]
async fn a_connection_that_was_made_and_broke_unseen_is_not_used() {
    let server = server();
    let proxy = Proxy::start(server.port()).await;
    let store = RedisStore::builder(proxy.url())
        .operation_timeout(Duration::from_millis(50))
        .retries(0)
        .build()
        .unwrap();
    proxy.once(Fault::Delay(Duration::from_millis(100)));
    let error = put(&store, "k", "v").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    proxy.cut();
    tokio::time::sleep(Duration::from_millis(50)).await;
    create(&store, "k", "v").await.unwrap();
}

#[tokio::test]
async fn a_paused_server_is_given_up_in_time_and_used_again_when_it_is_back() {
    let server = server();
    let store = hasty(server.url()).build().unwrap();
    put(&store, "k", "v").await.unwrap();
    let paused = Instant::now();
    command::<()>(&server.url(), &["CLIENT", "PAUSE", "3000", "ALL"]).unwrap();
    assert_fails_in_time(&store).await;
    tokio::time::sleep(Duration::from_secs(3).saturating_sub(paused.elapsed())).await;
    assert_healthy_soon(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_killed_under_load_give_no_wrong_answer() {
    let server = server();
    let store = store(&server);
    for n in 0..16 {
        put(&store, &n.to_string(), &n.to_string()).await.unwrap();
    }
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..16 {
        let store = store.clone();
        tasks.spawn(async move {
            let text = n.to_string();
            for _ in 0..300 {
                match store.get("c", &text).await {
                    Ok(read) => assert_eq!(read.unwrap().value, value(&text)),
                    // It was killed at every attempt.
                    Err(error) => assert!(error.is_retryable(), "{error:?}"),
                }
                if let Err(error) = put(&store, &text, &text).await {
                    let unknown = matches!(error, Error::OutcomeUnknown { .. });
                    assert!(unknown || error.is_retryable(), "{error:?}");
                }
            }
        });
    }
    let url = server.url();
    let killer = tokio::task::spawn_blocking(move || {
        for _ in 0..20 {
            // It kills the connection that it is asked on too.
            let _ = command::<i64>(&url, &["CLIENT", "KILL", "TYPE", "normal"]);
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    tasks.join_all().await;
    killer.await.unwrap();
}

#[tokio::test]
async fn a_full_server_takes_no_more_and_gives_what_it_has() {
    let server = RedisServer::start(&["--maxmemory", "3mb"]);
    let store = store(&server);
    let large = "x".repeat(100_000);
    let mut stored = 0;
    let error = loop {
        match put(&store, &stored.to_string(), &large).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 100);
    };
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
    let batch = vec![
        ("x".to_owned(), entry(&large)),
        ("y".to_owned(), entry(&large)),
    ];
    let error = store.put_many("c", batch).await.unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
    assert_eq!(get(&store, "0").await, Some(value(&large)));
    for n in 0..stored {
        assert!(store.delete("c", &n.to_string()).await.unwrap());
    }
    assert_healthy_soon(&store).await;
}

#[tokio::test]
async fn a_replica_takes_no_writes_until_it_is_made_the_master() {
    let (master, replica) = (server(), server());
    let store = store(&replica);
    let revision = put(&store, "k", "v").await.unwrap();
    let port = master.port().to_string();
    command::<()>(&replica.url(), &["REPLICAOF", "127.0.0.1", &port]).unwrap();
    for error in [
        put(&store, "k", "w").await.unwrap_err(),
        create(&store, "l", "w").await.unwrap_err(),
        store
            .put("c", "k", entry("w"), kv_core::PutMode::Update(revision))
            .await
            .unwrap_err(),
        store.delete("c", "k").await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    }
    command::<()>(&replica.url(), &["REPLICAOF", "NO", "ONE"]).unwrap();
    assert_healthy_soon(&store).await;
}

#[tokio::test]
async fn a_server_that_cannot_save_takes_no_writes_for_now() {
    let server = RedisServer::start(&["--enable-protected-configs", "yes"]);
    let store = store(&server);
    put(&store, "k", "v").await.unwrap();
    let gone = tempfile::tempdir().unwrap();
    let url = server.url();
    let folder = gone.path().to_str().unwrap();
    command::<()>(&url, &["CONFIG", "SET", "dir", folder, "save", "1 1"]).unwrap();
    gone.close().unwrap();
    command::<()>(&url, &["BGSAVE"]).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let error = put(&store, "k", "w").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert_eq!(get(&store, "k").await, Some(value("v")));
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_unavailable() {
    let server = server();
    let held = store(&server);
    put(&held, "k", "v").await.unwrap();
    command::<()>(&server.url(), &["CONFIG", "SET", "maxclients", "1"]).unwrap();
    let error = put(&store(&server), "k", "w").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert_eq!(get(&held, "k").await, Some(value("v")));
}

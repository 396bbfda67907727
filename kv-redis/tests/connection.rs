//! The ways to a server.

use std::time::Duration;

use futures_util::FutureExt;
use kv_core::{Error, Store};
use kv_redis::RedisStore;
use kv_tests::services::RedisServer;

use crate::support::{command, get, put, server, value};

#[tokio::test]
async fn a_store_connects_to_nothing_before_it_is_used() {
    let store = RedisStore::new("redis://127.0.0.1:1").unwrap();
    assert_eq!(store.info().name, "redis");
    assert!(store.info().persistent && store.info().shared);
    let error = store.get("c", "k").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

#[test]
fn a_cluster_has_one_database() {
    let in_the_url = RedisStore::cluster(["redis://127.0.0.1/3"]);
    let set = RedisStore::cluster(["redis://127.0.0.1"]).db(3);
    for builder in [in_the_url, set] {
        let error = builder.clone().build().unwrap_err();
        assert!(error.to_string().contains("database"), "{error}");
        builder.db(0).build().unwrap();
    }
}

#[test]
fn a_store_can_be_made_without_a_runtime() {
    RedisStore::new("redis://127.0.0.1").unwrap();
    RedisStore::new("rediss://127.0.0.1").unwrap();
    RedisStore::cluster(["redis://127.0.0.1"]).build().unwrap();
    RedisStore::sentinel(["redis://127.0.0.1"], "m")
        .build()
        .unwrap();
}

#[tokio::test]
async fn a_store_works_on_a_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redis.sock");
    let path = path.to_str().unwrap();
    let _server = RedisServer::start(&["--unixsocket", path]);
    let store = RedisStore::new(format!("redis+unix://{path}")).unwrap();
    put(&store, "k", "v").await.unwrap();
    assert_eq!(get(&store, "k").await, Some(value("v")));
}

#[tokio::test]
async fn a_store_works_on_the_callers_client() {
    let server = RedisServer::start(&["--requirepass", "correct"]);
    let url = format!("redis://:correct@127.0.0.1:{}/3", server.port());
    let client = redis::Client::open(url.as_str()).unwrap();
    let store = RedisStore::client(&client).build().unwrap();
    put(&store, "k", "v").await.unwrap();
    let held: i64 = command(&url, &["EXISTS", "c::k"]).unwrap();
    assert_eq!(held, 1);
}

#[tokio::test]
async fn clones_and_tasks_share_one_connection() {
    let server = server();
    let store = RedisStore::new(server.url()).unwrap();
    let puts = (0..64).map(|n| {
        let store = store.clone();
        async move { put(&store, &n.to_string(), "v").await }
    });
    for written in futures_util::future::join_all(puts).await {
        written.unwrap();
    }
    let info: String = command(&server.url(), &["INFO", "stats"]).unwrap();
    // The second one asked.
    assert!(info.contains("total_connections_received:2\r"), "{info}");
}

#[test]
fn a_store_works_on_the_runtime_that_uses_it_after_the_one_before() {
    let server = server();
    let store = RedisStore::new(server.url()).unwrap();
    for n in 0..3 {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async { put(&store, &n.to_string(), "v").await.unwrap() });
    }
}

#[test]
fn an_attempt_to_connect_on_a_runtime_that_rests_does_not_hold_up_another() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let server = server();
    let store = RedisStore::builder(server.url())
        .connect_timeout(Duration::from_millis(300))
        .operation_timeout(Duration::from_millis(600))
        .build()
        .unwrap();
    let resting = runtime();
    resting.block_on(async {
        // It is dropped when it has begun to connect.
        let begun = put(&store, "k", "v").now_or_never();
        assert!(begun.is_none());
    });
    runtime().block_on(async {
        // It waits for what was begun, as long as that may take.
        let _ = put(&store, "k", "v").await;
        put(&store, "k", "v").await.unwrap();
    });
}

#[tokio::test]
async fn an_operation_without_time_sends_nothing() {
    let server = server();
    let timeless = RedisStore::builder(server.url()).operation_timeout(Duration::ZERO);
    let timeless = timeless.build().unwrap();
    for _ in 0..10 {
        let error = put(&timeless, "k", "v").await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        get(&RedisStore::new(server.url()).unwrap(), "k").await,
        None
    );
}

#[tokio::test]
async fn a_time_without_end_is_one() {
    let server = server();
    let store = RedisStore::builder(server.url())
        .connect_timeout(Duration::MAX)
        .response_timeout(Duration::MAX)
        .operation_timeout(Duration::MAX)
        .build()
        .unwrap();
    put(&store, "k", "v").await.unwrap();
    let sentinel = RedisServer::sentinel(&server, 1);
    let store = RedisStore::sentinel([sentinel.url()], kv_tests::services::SENTINEL_MASTER)
        .connect_timeout(Duration::MAX)
        .build()
        .unwrap();
    assert_eq!(get(&store, "k").await, Some(value("v")));
}

#[tokio::test]
async fn a_value_over_the_limit_is_not_sent() {
    let server = server();
    let store = RedisStore::builder(server.url())
        .max_value_bytes(20)
        .build()
        .unwrap();
    let error = put(&store, "k", "longer than twenty bytes")
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooLarge {
                limit: 20,
                size: 35
            }
        ),
        "{error:?}"
    );
    put(&store, "k", "12345").await.unwrap();
}

#[tokio::test]
async fn a_host_that_does_not_answer_costs_no_more_than_the_time_to_connect() {
    // A listener whose queue nobody serves does not answer.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for scheme in ["redis", "rediss"] {
        let store = RedisStore::builder(format!("{scheme}://{address}"))
            .connect_timeout(Duration::from_millis(200))
            .retries(0)
            .build()
            .unwrap();
        let start = std::time::Instant::now();
        let error = put(&store, "k", "v").await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        let took = start.elapsed();
        assert!(took < Duration::from_millis(300), "{scheme} {took:?}");
    }
}

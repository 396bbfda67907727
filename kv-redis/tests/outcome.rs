//! Answers that do not come, come late, or come in part.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use kv_core::{Error, PutMode, Store};
use kv_redis::RedisStore;
use kv_tests::services::RedisServer;

use crate::proxy::{Fault, Proxy};
use crate::support::{SLACK, command, create, entry, get, hasty, put, server, store, value};

/// What [`hasty`] allows an operation in all.
const DEADLINE: Duration = Duration::from_millis(600);

/// A store behind a faulty wire, connected.
async fn behind_a_proxy(server: &RedisServer) -> (RedisStore, Proxy) {
    let proxy = Proxy::start(server.port()).await;
    let store = hasty(proxy.url()).build().unwrap();
    put(&store, "first", "v").await.unwrap();
    // The question for the eviction policy is over.
    tokio::time::sleep(Duration::from_millis(50)).await;
    command::<()>(&server.url(), &["CONFIG", "RESETSTAT"]).unwrap();
    (store, proxy)
}

/// How often the server has carried out a command since the store is connected.
fn calls(server: &RedisServer, name: &str) -> u64 {
    let stats: String = command(&server.url(), &["INFO", "commandstats"]).unwrap();
    let start = format!("cmdstat_{name}:calls=");
    let line = stats.lines().find_map(|line| line.strip_prefix(&start));
    line.map_or(0, |line| line.split_once(',').unwrap().0.parse().unwrap())
}

fn assert_unknown<T: Debug>(result: &kv_core::Result<T>) {
    assert!(
        matches!(result, Err(Error::OutcomeUnknown { .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn an_overwrite_whose_answer_was_lost_is_found_applied_and_is_sent_once() {
    let server = server();
    let (store, proxy) = behind_a_proxy(&server).await;
    for fault in [
        Fault::DropReply,
        Fault::TruncateReply,
        Fault::HalfClose,
        Fault::Swallow,
    ] {
        proxy.once(fault);
        let revision = put(&store, "k", "v").await.unwrap();
        let read = store.get("c", "k").await.unwrap().unwrap();
        assert_eq!(read.revision, Some(revision), "{fault:?}");
    }
    assert_eq!(calls(&server, "set"), 4);
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_found_applied_and_is_sent_once() {
    let server = server();
    let (store, proxy) = behind_a_proxy(&server).await;
    proxy.once(Fault::DropReply);
    let revision = create(&store, "k", "v").await.unwrap();
    let read = store.get("c", "k").await.unwrap().unwrap();
    assert_eq!(read.revision, Some(revision));
    assert_eq!(calls(&server, "set"), 1);
}

#[tokio::test]
async fn an_update_whose_answer_was_lost_is_found_applied_and_is_sent_once() {
    let server = server();
    let (store, proxy) = behind_a_proxy(&server).await;
    let mut revision = put(&store, "k", "0").await.unwrap();
    let update = PutMode::Update(revision);
    revision = store.put("c", "k", entry("1"), update).await.unwrap();
    proxy.once(Fault::DropReply);
    let update = PutMode::Update(revision);
    store.put("c", "k", entry("2"), update).await.unwrap();
    assert_eq!(get(&store, "k").await, Some(value("2")));
    assert_eq!(calls(&server, "eval") + calls(&server, "evalsha"), 3);
}

#[tokio::test]
async fn a_write_that_did_not_arrive_is_of_unknown_outcome_and_is_not_sent_again() {
    let server = server();
    let (store, proxy) = behind_a_proxy(&server).await;
    proxy.once(Fault::CutRequest);
    assert_unknown(&put(&store, "k", "v").await);
    proxy.once(Fault::CutRequest);
    assert_unknown(&create(&store, "k", "v").await);
    assert_eq!(calls(&server, "set"), 0);
    assert_eq!(get(&store, "k").await, None);
}

#[tokio::test]
async fn a_removal_whose_answer_was_lost_is_of_unknown_outcome_and_is_sent_once() {
    let server = server();
    let (store, proxy) = behind_a_proxy(&server).await;
    for fault in [Fault::DropReply, Fault::TruncateReply, Fault::Swallow] {
        put(&store, "k", "v").await.unwrap();
        proxy.once(fault);
        assert_unknown(&store.take("c", "k").await);
        put(&store, "k", "v").await.unwrap();
        proxy.once(fault);
        assert_unknown(&store.delete("c", "k").await);
        assert_eq!(get(&store, "k").await, None);
    }
    assert_eq!(calls(&server, "getdel"), 6);
}

#[tokio::test]
async fn a_read_whose_answer_was_lost_is_repeated() {
    let server = server();
    let (store, proxy) = behind_a_proxy(&server).await;
    put(&store, "k", "v").await.unwrap();
    for fault in [
        Fault::CutRequest,
        Fault::DropReply,
        Fault::TruncateReply,
        Fault::HalfClose,
    ] {
        proxy.once(fault);
        assert_eq!(get(&store, "k").await, Some(value("v")), "{fault:?}");
        proxy.once(fault);
        let read = store.get_many("c", &["k", "x", "k"]).await.unwrap();
        assert!(
            matches!(&read[..], [Ok(Some(_)), Ok(None), Ok(Some(_))]),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_never_answers_costs_no_more_than_the_deadline() {
    let server = server();
    let (store, proxy) = behind_a_proxy(&server).await;
    for fault in [
        Fault::Swallow,
        Fault::DropReply,
        Fault::CutRequest,
        Fault::HalfClose,
    ] {
        proxy.always(fault);
        for _ in 0..2 {
            let start = Instant::now();
            let read = store.get("c", "k").await.unwrap_err();
            assert!(read.is_retryable(), "{fault:?} {read:?}");
            assert!(
                start.elapsed() < DEADLINE + SLACK,
                "{fault:?} {:?}",
                start.elapsed()
            );

            let start = Instant::now();
            let written = put(&store, "k", "v").await.unwrap_err();
            let honest = matches!(written, Error::OutcomeUnknown { .. }) || written.is_retryable();
            assert!(honest, "{fault:?} {written:?}");
            assert!(
                start.elapsed() < DEADLINE + SLACK,
                "{fault:?} {:?}",
                start.elapsed()
            );
        }
        proxy.always(None);
        let back = Instant::now();
        while store.get("c", "k").await.is_err() {}
        assert!(back.elapsed() < Duration::from_secs(1), "{fault:?}");
    }
}

#[tokio::test]
async fn a_late_answer_never_reaches_another_request() {
    let server = server();
    let (store, proxy) = behind_a_proxy(&server).await;
    for n in 0..20 {
        put(&store, &n.to_string(), &n.to_string()).await.unwrap();
    }
    for round in 0..5 {
        proxy.once_after(round, Fault::Delay(Duration::from_millis(350)));
        let reads = (0..2000).map(|n| {
            let (store, n) = (&store, n % 20);
            async move { (n, store.get("c", &n.to_string()).await) }
        });
        for (n, read) in futures_util::future::join_all(reads).await {
            match read {
                Ok(read) => assert_eq!(read.unwrap().value, value(&n.to_string())),
                Err(error) => assert!(error.is_retryable(), "{error:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_lost_step_of_a_bulk_write_is_found_applied() {
    let server = server();
    let (store, proxy) = behind_a_proxy(&server).await;
    proxy.once(Fault::DropReply);
    let entries = (0..50).map(|n| (n.to_string(), entry("v"))).collect();
    let revisions = store.put_many("c", entries).await.unwrap();
    let read = store.get("c", "49").await.unwrap().unwrap();
    assert_eq!(read.revision.as_ref(), revisions.last());
    assert_eq!(calls(&server, "set"), 50);
}

#[tokio::test]
async fn a_bulk_write_that_stops_says_which_keys_may_not_be_written() {
    let server = server();
    let (store, proxy) = behind_a_proxy(&server).await;
    proxy.once(Fault::CutRequest);
    let one = vec![("k".to_owned(), entry("v"))];
    assert_unknown(&store.put_many("c", one).await);

    // The wire takes a step of 256 entries in one or more pieces.
    let entries: Vec<_> = (0..600).map(|n| (n.to_string(), entry("v"))).collect();
    proxy.once_after(1, Fault::CutRequest);
    let Err(Error::Incomplete { keys, .. }) = store.put_many("c", entries).await else {
        panic!("a step is missing");
    };
    for n in 0..600 {
        let key = n.to_string();
        let written = get(&store, &key).await.is_some();
        assert!(written || keys.contains(&key), "{key}");
    }
    assert!(keys.contains(&"599".to_owned()) && !keys.contains(&"0".to_owned()));
}

#[tokio::test]
async fn a_connection_that_broke_while_idle_costs_nobody_anything() {
    let server = server();
    let (store, proxy) = behind_a_proxy(&server).await;
    for n in 0..10 {
        proxy.cut();
        tokio::time::sleep(Duration::from_millis(20)).await;
        create(&store, &n.to_string(), "v").await.unwrap();
        proxy.cut();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(store.take("c", &n.to_string()).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn one_winner_stays_one_when_answers_are_lost() {
    let server = server();
    let direct = store(&server);
    let (faulty, proxy) = behind_a_proxy(&server).await;
    for round in 0..20 {
        let key = round.to_string();
        proxy.once(Fault::DropReply);
        let creates = (0..8).map(|n| {
            let (direct, faulty, key) = (&direct, &faulty, &key);
            async move {
                let text = n.to_string();
                if n % 2 == 0 {
                    create(faulty, key, &text).await
                } else {
                    create(direct, key, &text).await
                }
            }
        });
        let results = futures_util::future::join_all(creates).await;
        let live = direct.get("c", &key).await.unwrap().unwrap();
        let won: Vec<_> = results.iter().flatten().collect();
        assert!(won.len() <= 1, "{results:?}");
        assert!(
            won.iter()
                .all(|revision| live.revision.as_ref() == Some(*revision))
        );
        for result in &results {
            let known = matches!(
                result,
                Ok(_) | Err(Error::AlreadyExists | Error::OutcomeUnknown { .. })
            );
            assert!(known, "{result:?}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_went_dead_is_given_up_also_when_no_caller_waits_that_long() {
    let server = server();
    let (store, proxy) = behind_a_proxy(&server).await;
    proxy.once(Fault::Stall);
    let start = Instant::now();
    // Each call is given up long before the store would.
    let within = Duration::from_millis(50);
    while tokio::time::timeout(within, put(&store, "k", "v"))
        .await
        .is_err()
    {
        assert!(start.elapsed() < Duration::from_secs(2));
    }
    assert_eq!(get(&store, "k").await, Some(value("v")));
}

//! A server that is killed and restarted under load, again and again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kv_core::{Error, PutMode, Revision, Store};
use kv_redis::RedisStore;
use kv_tests::services::RedisServer;

use crate::support::{SLACK, create, entry, put};

/// How often the server is killed.
const RESTARTS: u64 = 200;

const WRITERS: u64 = 8;
const DEADLINE: Duration = Duration::from_secs(1);

/// What became of each key that a writer created.
#[derive(Default)]
struct Ledger {
    applied: HashMap<String, Revision>,
    refused: Vec<String>,
    unknown: u64,
    counted: u64,
    maybe_counted: u64,
}

async fn write(store: RedisStore, writer: u64, stop: Arc<AtomicBool>) -> Ledger {
    let mut ledger = Ledger::default();
    for n in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("{writer}-{n}");
        let start = Instant::now();
        match create(&store, &key, &key).await {
            Ok(revision) => drop(ledger.applied.insert(key, revision)),
            Err(Error::OutcomeUnknown { .. }) => ledger.unknown += 1,
            Err(Error::Unavailable { .. }) => ledger.refused.push(key),
            Err(error) => panic!("{error:?}"),
        }
        assert!(start.elapsed() < DEADLINE + SLACK, "{:?}", start.elapsed());
        count(&store, &format!("counter-{writer}"), &mut ledger).await;
    }
    ledger
}

/// Adds one to a number by compare-and-swap.
async fn count(store: &RedisStore, key: &str, ledger: &mut Ledger) {
    let Ok(read) = store.get("c", key).await else {
        return;
    };
    let (number, mode) = match read {
        None => (0, PutMode::Create),
        Some(read) => {
            let value: serde_json::Value = read.value.decode().unwrap();
            let number: u64 = value["text"].as_str().unwrap().parse().unwrap();
            (number, PutMode::Update(read.revision.unwrap()))
        }
    };
    match store
        .put("c", key, entry(&(number + 1).to_string()), mode)
        .await
    {
        Ok(_) => ledger.counted += 1,
        Err(Error::OutcomeUnknown { .. }) => ledger.maybe_counted += 1,
        Err(Error::Unavailable { .. }) => {}
        // Nobody else writes it: an earlier write of unknown outcome came through late.
        Err(Error::Conflict | Error::AlreadyExists) => assert!(ledger.maybe_counted > 0),
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_is_applied_twice_over_many_restarts() {
    let mut server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = RedisStore::builder(server.url())
        .connect_timeout(Duration::from_millis(300))
        .response_timeout(Duration::from_millis(500))
        .operation_timeout(DEADLINE)
        .build()
        .unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(store.clone(), writer, Arc::clone(&stop))))
        .collect();
    let slowest = AtomicU64::new(0);
    for _ in 0..RESTARTS {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(5..60))).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..40))).await;
        server = tokio::task::spawn_blocking(move || {
            server.restart();
            server
        })
        .await
        .unwrap();
        let back = Instant::now();
        while put(&store, "healthy", "v").await.is_err() {}
        let took = u64::try_from(back.elapsed().as_millis()).unwrap();
        slowest.fetch_max(took, Ordering::Relaxed);
    }
    stop.store(true, Ordering::Relaxed);
    let slowest = slowest.into_inner();
    assert!(slowest < 1000, "healthy after {slowest} ms");

    for (writer, ledger) in writers.into_iter().enumerate() {
        let ledger = ledger.await.unwrap();
        assert!(!ledger.applied.is_empty());
        for (key, revision) in &ledger.applied {
            let read = store
                .get("c", key)
                .await
                .unwrap()
                .expect("it was acknowledged");
            assert_eq!(read.revision.as_ref(), Some(revision));
        }
        for key in &ledger.refused {
            assert!(
                store.get("c", key).await.unwrap().is_none(),
                "{key} was refused"
            );
        }
        let counter = store
            .get("c", &format!("counter-{writer}"))
            .await
            .unwrap()
            .unwrap();
        let value: serde_json::Value = counter.value.decode().unwrap();
        let number: u64 = value["text"].as_str().unwrap().parse().unwrap();
        let most = ledger.counted + ledger.maybe_counted;
        assert!(
            (ledger.counted..=most).contains(&number),
            "{number} of {most}"
        );
    }
}

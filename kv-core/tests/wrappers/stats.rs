//! `Stats`: every call is counted once, where it belongs.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use kv_core::wrappers::{Operation, OperationStats, Stats};
use kv_core::{Error, KeyQuery, PutMode, Store, StoreExt};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use super::{entry, put};
use crate::probe::{After, Probe};

fn counted() -> (Arc<Probe>, Stats<Arc<Probe>>) {
    let store = Probe::new();
    (Arc::clone(&store), store.stats())
}

fn row(store: &Stats<Arc<Probe>>, collection: &str, operation: Operation) -> OperationStats {
    let snapshot = store.snapshot();
    snapshot.of(collection, operation).unwrap().clone()
}

fn unavailable() -> Error {
    Error::Unavailable {
        store: "probe",
        reason: "the test says so".to_owned(),
        source: None,
    }
}

fn recorder() -> PrometheusRecorder {
    PrometheusBuilder::new().build_recorder()
}

/// Calls every operation once.
async fn call_all(store: &dyn Store) {
    put(store, "c", "k", 1).await;
    store.get("c", "k").await.unwrap();
    store.get_fresh("c", "k").await.unwrap();
    store.take("c", "k").await.unwrap();
    store.delete("c", "k").await.unwrap();
    let entries = vec![("a".to_owned(), entry(1)), ("b".to_owned(), entry(2))];
    store.put_many("c", entries).await.unwrap();
    store.get_many("c", &["a", "b", "x"]).await.unwrap();
    store.delete_many("c", &["a", "x"]).await.unwrap();
    store.keys("c", KeyQuery::new()).await.unwrap();
    store.collections(KeyQuery::new()).await.unwrap();
    store.cull().await.unwrap();
    store.clear("c").await.unwrap();
    store.destroy().await.unwrap();
    store.flush().await.unwrap();
}

#[tokio::test]
async fn every_operation_is_counted_once_with_the_keys_it_found() {
    let (_, store) = counted();
    call_all(&store).await;
    let rows = store.snapshot().rows;
    let row = |row: &OperationStats| {
        assert_eq!((row.calls, row.errors.len()), (1, 0), "{row:?}");
        let (name, collection) = (row.operation.name(), row.collection.clone());
        (collection, name, row.hits, row.misses)
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    let rows: Vec<_> = rows
        .iter()
        .map(|row| (&*row.0, row.1, row.2, row.3))
        .collect();
    let expected = [
        ("", "collections", 0, 0),
        ("", "cull", 0, 0),
        ("", "destroy", 0, 0),
        ("", "flush", 0, 0),
        ("c", "get", 1, 0),
        ("c", "get_fresh", 1, 0),
        ("c", "put", 0, 0),
        ("c", "delete", 0, 1),
        ("c", "take", 1, 0),
        ("c", "get_many", 2, 1),
        ("c", "put_many", 0, 0),
        ("c", "delete_many", 1, 1),
        ("c", "keys", 0, 0),
        ("c", "clear", 0, 0),
    ];
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn errors_are_counted_by_kind_and_passed_on() {
    let (probe, store) = counted();
    probe.then(After::Fail(unavailable()));
    for _ in 0..2 {
        let error = store.get("c", "k").await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    }
    probe.release();
    put(&store, "c", "k", 1).await;
    let create = store.put("c", "k", entry(1), PutMode::Create).await;
    create.unwrap_err();
    let gets = row(&store, "c", Operation::Get);
    assert_eq!((gets.calls, gets.hits, gets.misses), (2, 0, 0));
    assert_eq!(gets.hit_rate(), None);
    assert_eq!(
        gets.errors.into_iter().collect::<Vec<_>>(),
        [("Unavailable", 2)]
    );
    let puts = row(&store, "c", Operation::Put);
    assert_eq!(puts.calls, 2);
    assert_eq!(
        puts.errors.into_iter().collect::<Vec<_>>(),
        [("AlreadyExists", 1)]
    );
}

#[tokio::test]
async fn an_undecodable_record_of_many_is_counted_as_an_error() {
    let reference = Arc::new(crate::support::ReferenceStore::new(
        kv_core::ManualClock::starting_now(),
    ));
    reference.spoil("c", "bad");
    let store = reference.stats();
    put(&store, "c", "good", 1).await;
    store.get_many("c", &["good", "bad", "none"]).await.unwrap();
    let snapshot = store.snapshot();
    let gets = snapshot.of("c", Operation::GetMany).unwrap();
    assert_eq!((gets.calls, gets.hits, gets.misses), (1, 1, 1));
    assert_eq!(gets.hit_rate(), Some(0.5));
    assert_eq!(gets.errors.get("Corrupted"), Some(&1));
}

#[tokio::test]
async fn a_call_that_is_dropped_or_panics_is_counted_as_cancelled() {
    let (probe, store) = counted();
    drop(store.get("c", "k"));
    assert_eq!(store.snapshot().rows, []);
    probe.then(After::Hold);
    assert!(store.get("c", "k").now_or_never().is_none());
    probe.then(After::Panic);
    let get = std::panic::AssertUnwindSafe(store.get("c", "k"));
    get.catch_unwind().await.unwrap_err();
    let gets = row(&store, "c", Operation::Get);
    assert_eq!((gets.calls, gets.misses), (2, 0));
    assert_eq!(gets.errors.get("Cancelled"), Some(&2));
}

#[tokio::test(start_paused = true)]
async fn latency_is_the_time_to_the_answer() {
    let (probe, store) = counted();
    for seconds in [1, 3] {
        probe.then(After::Hold);
        let release = async {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            probe.release();
        };
        let (found, ()) = tokio::join!(store.get("c", "k"), release);
        found.unwrap();
    }
    let latency = row(&store, "c", Operation::Get).latency;
    // Tokio's timer is exact to a millisecond.
    let about = |time: Option<Duration>| time.unwrap().as_millis() / 10 * 10;
    assert_eq!(about(Some(latency.sum)), 4000);
    assert_eq!(about(latency.mean()), 2000);
    assert_eq!(about(Some(latency.max)), 3000);
    assert_eq!(latency.quantile(1.0), Some(latency.max));
    let half = latency.quantile(0.5).unwrap();
    assert!(
        half >= Duration::from_secs(1) && half < Duration::from_secs(2),
        "{half:?}"
    );
    assert_eq!(latency.quantile(0.0), Some(half));
}

#[tokio::test]
async fn collections_past_the_limit_are_counted_together() {
    let (_, store) = counted();
    let store = store.with_max_collections(2);
    for collection in ["a", "b", "c", "d", "a", "not::valid", "other"] {
        let _ = store.get(collection, "k").await;
    }
    let rows = store.snapshot().rows;
    let rows: Vec<_> = rows
        .iter()
        .map(|row| (&*row.collection, row.calls))
        .collect();
    assert_eq!(rows, [("a", 2), ("b", 1), ("other", 4)]);
    let store = store.with_max_collections(0);
    store.get("a", "k").await.unwrap();
    assert_eq!(row(&store, "other", Operation::Get).calls, 1);
}

#[tokio::test]
async fn a_name_that_is_not_valid_has_no_figures_of_its_own() {
    let (_, store) = counted();
    store.get("not::valid", "k").await.unwrap_err();
    store.get("", "k").await.unwrap_err();
    let other = row(&store, "other", Operation::Get);
    assert_eq!((other.calls, other.errors["InvalidName"]), (2, 2));
}

#[tokio::test]
async fn clones_share_their_figures() {
    let (_, store) = counted();
    store.clone().get("c", "k").await.unwrap();
    assert_eq!(row(&store, "c", Operation::Get).calls, 1);
}

#[tokio::test]
async fn a_recorder_is_told_every_call() {
    let recorder = recorder();
    let (probe, store) = counted();
    let store = store.with_name("sessions");
    // Set after the wrapper was made and used.
    store.get("c", "k").await.unwrap();
    let _guard = metrics::set_default_local_recorder(&recorder);
    call_all(&store).await;
    probe.then(After::Fail(unavailable()));
    store.get("c", "k").await.unwrap_err();
    let text = recorder.handle().render();
    for line in [
        r#"kv_operations_total{store="sessions",collection="c",operation="get",outcome="ok"} 1"#,
        r#"kv_operations_total{store="sessions",collection="c",operation="get",outcome="Unavailable"} 1"#,
        r#"kv_operations_total{store="sessions",collection="",operation="cull",outcome="ok"} 1"#,
        r#"kv_keys_total{store="sessions",collection="c",operation="get_many",outcome="hit"} 2"#,
        r#"kv_keys_total{store="sessions",collection="c",operation="get_many",outcome="miss"} 1"#,
        r#"kv_operation_duration_seconds_count{store="sessions",collection="c",operation="get"} 2"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn no_key_reaches_a_recorder_the_snapshot_or_debug() {
    let recorder = recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let (_, store) = counted();
    put(&store, "c", "hunter2", 1).await;
    store.get_many("c", &["hunter2"]).await.unwrap();
    let (text, snapshot) = (recorder.handle().render(), store.snapshot());
    assert!(text.contains("kv_keys_total"));
    let all = format!("{text}{snapshot:?}{store:?}");
    assert!(!all.contains("hunter2"), "{all}");
}

#[test]
fn threads_that_race_for_the_last_places_lose_no_call() {
    const PLACES: usize = 10;
    const THREADS: u64 = 8;
    let (_, store) = counted();
    let store = store.with_max_collections(PLACES);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for number in 0..50 {
                    let collection = format!("c{number}");
                    store.get(&collection, "k").now_or_never().unwrap().unwrap();
                }
            });
        }
    });
    let rows = store.snapshot().rows;
    assert_eq!(rows.iter().map(|row| row.calls).sum::<u64>(), THREADS * 50);
    let named = rows.iter().filter(|row| row.collection != "other");
    assert_eq!(named.count(), PLACES);
}

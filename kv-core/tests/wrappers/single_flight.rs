//! `SingleFlight`: one read for all, which nobody can spoil for the others, and never an old answer
//! to whom has written.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use kv_core::wrappers::SingleFlight;
use kv_core::{Entry, Error, PutMode, Result, Store, StoreExt};
use tokio::task::{JoinHandle, yield_now};

use super::{entry, number, put};
use crate::probe::{After, Probe};

type Stores = (Arc<Probe>, Arc<SingleFlight<Arc<Probe>>>);
type Get = JoinHandle<Result<Option<Entry>>>;

/// A store with one entry whose answers are held, and its single-flight form.
async fn held() -> Stores {
    let store = Probe::new();
    put(&store, "c", "k", 1).await;
    store.calls();
    store.then(After::Hold);
    let shared = Arc::new(Arc::clone(&store).single_flight());
    (store, shared)
}

/// Starts a get in a task of its own, and lets it run until it is held.
async fn start_get(store: &Arc<SingleFlight<Arc<Probe>>>, key: &'static str) -> Get {
    let store = Arc::clone(store);
    let get = tokio::spawn(async move { store.get("c", key).await });
    // Once for the task itself, and again for those it wakes.
    yield_now().await;
    yield_now().await;
    get
}

fn number_in(entry: &Entry) -> u64 {
    let value: serde_json::Value = entry.value.decode().unwrap();
    value["n"].as_u64().unwrap()
}

/// The number under `k`, from a read that no held flight delays.
fn number_at_once(store: &SingleFlight<Arc<Probe>>) -> Option<u64> {
    let number = number(store, "c", "k").now_or_never();
    number.expect("it does not join the flight that is held")
}

async fn result(get: Get) -> Option<u64> {
    let entry = get.await.unwrap().unwrap();
    entry.as_ref().map(number_in)
}

#[tokio::test]
async fn ten_thousand_gets_of_one_key_are_one_read() {
    let (store, shared) = held().await;
    let mut gets: Vec<_> = (0..10_000).map(|_| shared.get("c", "k")).collect();
    for get in &mut gets {
        assert!(get.now_or_never().is_none());
    }
    store.release();
    for get in gets {
        assert_eq!(number_in(&get.await.unwrap().unwrap()), 1);
    }
    assert_eq!(store.calls(), ["get"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn gets_on_many_threads_all_end() {
    let store = Probe::new();
    put(&store, "c", "k", 1).await;
    let shared = Arc::new(Arc::clone(&store).single_flight());
    let gets = (0..64).map(|_| {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            for _ in 0..200 {
                assert_eq!(number(&shared, "c", "k").await, Some(1));
                yield_now().await;
            }
        })
    });
    for get in join_all(gets).await {
        get.unwrap();
    }
}

#[tokio::test]
async fn gets_of_different_keys_are_reads_of_their_own() {
    let (store, shared) = held().await;
    let gets = [start_get(&shared, "k").await, start_get(&shared, "l").await];
    store.release();
    let [k, l] = gets;
    assert_eq!(result(k).await, Some(1));
    assert_eq!(result(l).await, None);
    assert_eq!(store.calls(), ["get", "get"]);
}

#[tokio::test]
async fn a_get_after_the_end_of_a_flight_reads_anew() {
    let (store, shared) = held().await;
    store.release();
    assert_eq!(number(&shared, "c", "k").await, Some(1));
    put(&store, "c", "k", 2).await;
    assert_eq!(number(&shared, "c", "k").await, Some(2));
}

#[tokio::test]
async fn the_others_go_on_when_the_first_is_cancelled() {
    let (store, shared) = held().await;
    let first = start_get(&shared, "k").await;
    let second = start_get(&shared, "k").await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    store.release();
    assert_eq!(result(second).await, Some(1));
    assert_eq!(store.calls(), ["get"]);
}

#[tokio::test]
async fn a_flight_that_all_left_gives_no_old_answer() {
    let (store, shared) = held().await;
    let only = start_get(&shared, "k").await;
    only.abort();
    assert!(only.await.unwrap_err().is_cancelled());
    store.release();
    put(&store, "c", "k", 2).await;
    assert_eq!(number(&shared, "c", "k").await, Some(2));
}

#[tokio::test]
async fn all_get_an_error_when_the_read_panics_and_the_next_get_works() {
    let (store, shared) = held().await;
    let first = start_get(&shared, "k").await;
    let second = start_get(&shared, "k").await;
    store.then(After::Panic);
    for get in [first, second] {
        let error = get.await.unwrap().unwrap_err();
        let expected = matches!(
            error,
            Error::Backend {
                store: "probe",
                operation: "get",
                ..
            }
        );
        assert!(expected, "{error:?}");
    }
    store.release();
    assert_eq!(number(&shared, "c", "k").await, Some(1));
}

#[tokio::test]
async fn a_panic_before_the_read_returns_its_future_is_an_error_too() {
    let store = Probe::new();
    store.then(After::PanicAtOnce);
    let shared = Arc::clone(&store).single_flight();
    let error = shared.get("c", "k").await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Backend {
                operation: "get",
                ..
            }
        ),
        "{error:?}"
    );
    store.release();
    assert_eq!(number(&shared, "c", "k").await, None);
}

#[tokio::test]
async fn all_get_the_error_of_the_read() {
    let (store, shared) = held().await;
    let first = start_get(&shared, "k").await;
    let second = start_get(&shared, "k").await;
    let after = Duration::from_secs(1);
    store.then(After::Fail(Error::Timeout { after }));
    for get in [first, second] {
        let error = get.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
    }
}

/// What each write leaves under the key.
async fn write(shared: &SingleFlight<Arc<Probe>>, how: &str) -> Option<u64> {
    let new = || entry(2);
    let many = || vec![("k".to_owned(), new())];
    match how {
        "put" => drop(
            shared
                .put("c", "k", new(), PutMode::Overwrite)
                .await
                .unwrap(),
        ),
        "put_many" => drop(shared.put_many("c", many()).await.unwrap()),
        "delete" => assert!(shared.delete("c", "k").await.unwrap()),
        "take" => assert!(shared.take("c", "k").await.unwrap().is_some()),
        "delete_many" => assert_eq!(shared.delete_many("c", &["k"]).await.unwrap(), [true]),
        "clear" => assert_eq!(shared.clear("c").await.unwrap(), 1),
        "destroy" => shared.destroy().await.unwrap(),
        other => panic!("no write is called {other}"),
    }
    how.starts_with("put").then_some(2)
}

#[tokio::test]
async fn a_get_after_a_write_does_not_join_a_flight_begun_before() {
    for how in [
        "put",
        "put_many",
        "delete",
        "take",
        "delete_many",
        "clear",
        "destroy",
    ] {
        let (store, shared) = held().await;
        let before = start_get(&shared, "k").await;
        // The flight has read the old value and stays held; the write is not.
        let held = store.hold_these();
        let expected = write(&shared, how).await;
        assert_eq!(number_at_once(&shared), expected, "after {how}");
        drop(held);
        assert_eq!(result(before).await, Some(1), "the flight before {how}");
    }
}

#[tokio::test]
async fn a_get_after_a_cancelled_write_does_not_join_a_flight_begun_before() {
    let (store, shared) = held().await;
    let before = start_get(&shared, "k").await;
    let mut write = Box::pin(shared.put("c", "k", entry(2), PutMode::Overwrite));
    assert!(
        (&mut write).now_or_never().is_none(),
        "it is held after its work"
    );
    drop(write);
    let held = store.hold_these();
    assert_eq!(number_at_once(&shared), Some(2));
    drop(held);
    assert_eq!(result(before).await, Some(1));
}

#[tokio::test]
async fn an_update_is_based_on_what_another_writer_left_during_an_older_flight() {
    let (store, shared) = held().await;
    let before = start_get(&shared, "k").await;
    let held = store.hold_these();
    // Past the wrapper, as another process writes: a get may still join the older flight.
    put(&store, "c", "k", 2).await;
    let mut seen = Vec::new();
    let update = shared.update_entry("c", "k", |old| {
        seen.push(old.map(number_in));
        Ok(Some(entry(3)))
    });
    let updated = update.now_or_never().expect("it does not join the flight");
    assert!(updated.unwrap().is_some());
    assert_eq!(seen, [Some(2)]);
    let touch = shared.touch("c", "k", None).now_or_never();
    assert!(touch.expect("it does not join the flight").unwrap());
    drop(held);
    assert_eq!(result(before).await, Some(1));
}

#[tokio::test]
async fn the_end_of_an_old_flight_leaves_the_new_one_to_join() {
    let (store, shared) = held().await;
    let old = start_get(&shared, "k").await;
    let held = store.hold_these();
    put(&shared, "c", "k", 2).await;
    store.then(After::Hold);
    let new = start_get(&shared, "k").await;
    drop(held);
    assert_eq!(result(old).await, Some(1));
    store.calls();
    let joined = start_get(&shared, "k").await;
    store.release();
    assert_eq!(result(new).await, Some(2));
    assert_eq!(result(joined).await, Some(2));
    assert_eq!(store.calls(), [""; 0]);
}

#[tokio::test]
async fn an_entry_that_ended_during_its_flight_is_absent() {
    let (store, shared) = held().await;
    let life = Duration::from_secs(60);
    let ends = store.clock().now().plus_ttl(life).unwrap();
    store.release();
    let mortal = entry(1).with_expires_at(ends);
    store
        .put("c", "k", mortal, PutMode::Overwrite)
        .await
        .unwrap();
    store.then(After::Hold);
    let get = start_get(&shared, "k").await;
    store.clock.advance(life);
    store.release();
    assert_eq!(result(get).await, None);
}

#[tokio::test]
async fn gets_beyond_the_largest_number_of_flights_read_by_themselves() {
    let store = Probe::new();
    put(&store, "c", "k", 1).await;
    store.calls();
    store.then(After::Hold);
    let shared = Arc::clone(&store).single_flight().with_max_flights(1);
    let shared = Arc::new(shared);
    let gets = [
        start_get(&shared, "k").await,
        start_get(&shared, "k").await,
        start_get(&shared, "l").await,
        start_get(&shared, "l").await,
    ];
    store.release();
    join_all(gets).await;
    assert_eq!(store.calls(), ["get"; 3]);
    // The flight has landed, so there is room again.
    store.then(After::Hold);
    let gets = [start_get(&shared, "l").await, start_get(&shared, "l").await];
    store.release();
    join_all(gets).await;
    assert_eq!(store.calls(), ["get"]);
}

#[tokio::test]
async fn clones_share_their_flights() {
    let (store, shared) = held().await;
    let clone = Arc::new(SingleFlight::clone(&shared));
    let gets = [start_get(&shared, "k").await, start_get(&clone, "k").await];
    store.release();
    join_all(gets).await;
    assert_eq!(store.calls(), ["get"]);
}

#[tokio::test]
async fn debug_names_no_key() {
    let (_, shared) = held().await;
    let _get = start_get(&shared, "secret").await;
    assert!(!format!("{shared:?}").contains("secret"));
}

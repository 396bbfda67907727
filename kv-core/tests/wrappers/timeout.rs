//! `Timeout`: each operation ends in time, and says what may have happened.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use kv_core::wrappers::Timeout;
use kv_core::{Error, KeyQuery, PutMode, Result, Store, StoreExt};
use tokio::time::Instant;

use super::{entry, number, put};
use crate::probe::{After, Probe};

const LIMIT: Duration = Duration::from_secs(5);

/// A store that does its work and then never answers, and its form that gives up.
async fn stuck() -> (Arc<Probe>, Timeout<Arc<Probe>>) {
    let store = Probe::new();
    put(&store, "c", "k", 1).await;
    store.then(After::Hold);
    let timeout = Arc::clone(&store).timeout(LIMIT);
    (store, timeout)
}

fn assert_timeout<T: std::fmt::Debug>(result: Result<T>) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Timeout { after: LIMIT }), "{error}");
}

fn assert_unknown<T: std::fmt::Debug>(result: Result<T>) {
    let error = result.unwrap_err();
    assert!(
        matches!(error, Error::OutcomeUnknown { store: "probe", .. }),
        "{error:?}"
    );
    assert_eq!(error.source().unwrap().to_string(), "no answer within 5s");
}

#[tokio::test(start_paused = true)]
async fn what_may_be_repeated_times_out() {
    let (_, store) = stuck().await;
    assert_timeout(store.get("c", "k").await);
    assert_timeout(store.get_fresh("c", "k").await);
    assert_timeout(store.get_many("c", &["k"]).await);
    assert_timeout(store.keys("c", KeyQuery::new()).await);
    assert_timeout(store.collections(KeyQuery::new()).await);
    assert_timeout(store.cull().await);
    assert_timeout(store.flush().await);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_takes_too_long_has_an_unknown_outcome() {
    let (_, store) = stuck().await;
    assert_unknown(store.put("c", "k", entry(2), PutMode::Overwrite).await);
    assert_unknown(store.put_many("c", vec![("k".to_owned(), entry(2))]).await);
    assert_unknown(store.take("c", "k").await);
    assert_unknown(store.delete("c", "k").await);
    assert_unknown(store.delete_many("c", &["k"]).await);
    assert_unknown(store.clear("c").await);
    assert_unknown(store.destroy().await);
}

#[tokio::test(start_paused = true)]
async fn a_write_of_unknown_outcome_may_have_been_applied() {
    let (store, timeout) = stuck().await;
    assert_unknown(timeout.put("c", "k", entry(2), PutMode::Overwrite).await);
    store.release();
    assert_eq!(number(&timeout, "c", "k").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn an_operation_ends_at_the_limit() {
    let (_, store) = stuck().await;
    let start = Instant::now();
    assert_timeout(store.get("c", "k").await);
    assert!(start.elapsed() < LIMIT + Duration::from_millis(2));
    assert!(start.elapsed() >= LIMIT);
}

#[tokio::test(start_paused = true)]
async fn what_answers_in_time_passes_with_its_errors() {
    let (store, timeout) = stuck().await;
    store.then(After::Fail(Error::Overflow));
    let error = timeout.get("c", "k").await.unwrap_err();
    assert!(matches!(error, Error::Overflow), "{error}");
    let error = timeout.delete("c", "k").await.unwrap_err();
    assert!(matches!(error, Error::Overflow), "{error}");
}

/// The read of one who comes after four seconds, and is answered after six.
async fn read_of_a_latecomer(
    store: Arc<dyn Store>,
    probe: Arc<Probe>,
) -> Result<Option<kv_core::Entry>> {
    let first = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.get("c", "k").await })
    };
    tokio::time::sleep(Duration::from_secs(4)).await;
    let latecomer = tokio::spawn(async move { store.get("c", "k").await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    probe.release();
    assert_timeout(first.await.unwrap());
    latecomer.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn around_single_flight_each_caller_has_its_own_time() {
    let (probe, _) = stuck().await;
    let store = Arc::clone(&probe).single_flight().timeout(LIMIT);
    let read = read_of_a_latecomer(Arc::new(store), probe).await;
    assert!(matches!(read, Ok(Some(_))), "{read:?}");
}

#[tokio::test(start_paused = true)]
async fn inside_single_flight_a_latecomer_times_out_with_the_first() {
    let (probe, _) = stuck().await;
    let store = Arc::clone(&probe).timeout(LIMIT).single_flight();
    assert_timeout(read_of_a_latecomer(Arc::new(store), probe).await);
}

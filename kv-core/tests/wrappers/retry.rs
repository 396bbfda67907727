//! `Retry`: it repeats what was certainly not done, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use kv_core::conformance::{Fault, FaultStore};
use kv_core::wrappers::{Operation, Retry};
use kv_core::{Entry, Error, KeyQuery, PutMode, Result, Revision, Store, StoreExt, SystemClock};
use tokio::time::Instant;

use super::{entry, number, put};
use crate::support::ReferenceStore;

type Faults = FaultStore<Arc<ReferenceStore>>;

/// A store with one entry, and its form that retries without pauses.
async fn stores() -> (Faults, Retry<Faults>) {
    let store = FaultStore::new(Arc::new(ReferenceStore::new(SystemClock::default())));
    put(&store, "c", "k", 1).await;
    let retry = store.clone().retry().with_initial_delay(Duration::ZERO);
    (store, retry)
}

fn timeout() -> Fault {
    Fault::lose(Error::Timeout {
        after: Duration::from_secs(5),
    })
}

fn batch(keys: &[&str]) -> Vec<(String, Entry)> {
    let keys = keys.iter().zip(10..);
    keys.map(|(key, n)| ((*key).to_owned(), entry(n))).collect()
}

/// Calls every operation that writes.
async fn write_all(store: &dyn Store) -> Vec<Result<()>> {
    let live = store.get("c", "k").await.unwrap().unwrap().revision;
    let update = PutMode::Update(live.unwrap());
    vec![
        store.put("c", "k", entry(2), update).await.map(drop),
        store
            .put("c", "k", entry(3), PutMode::Overwrite)
            .await
            .map(drop),
        store
            .put("c", "new", entry(1), PutMode::Create)
            .await
            .map(drop),
        store.put_many("c", batch(&["a", "b"])).await.map(drop),
        store.delete_many("c", &["a", "b"]).await.map(drop),
        store.delete("c", "new").await.map(drop),
        store.take("c", "k").await.map(drop),
        store.clear("c").await.map(drop),
        store.destroy().await,
    ]
}

const WRITES: [Operation; 7] = [
    Operation::Put,
    Operation::PutMany,
    Operation::DeleteMany,
    Operation::Delete,
    Operation::Take,
    Operation::Clear,
    Operation::Destroy,
];

/// Calls every operation that may be repeated.
async fn read_all(store: &dyn Store) -> Vec<Result<()>> {
    vec![
        store.get("c", "k").await.map(drop),
        store.get_fresh("c", "k").await.map(drop),
        store.get_many("c", &["k"]).await.map(drop),
        store.keys("c", KeyQuery::new()).await.map(drop),
        store.collections(KeyQuery::new()).await.map(drop),
        store.cull().await.map(drop),
        store.flush().await,
    ]
}

#[tokio::test]
async fn what_fails_three_times_succeeds_the_fourth_time() {
    let (faults, store) = stores().await;
    faults.inject(Fault::unavailable().on(Operation::Get).times(3));
    assert_eq!(number(&store, "c", "k").await, Some(1));
    assert_eq!(faults.calls(Operation::Get), 4);
}

#[tokio::test]
async fn what_fails_four_times_fails() {
    let (faults, store) = stores().await;
    faults.inject(Fault::unavailable().times(4));
    let error = store.get("c", "k").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert_eq!(faults.calls(Operation::Get), 4);
}

#[tokio::test]
async fn without_retries_each_operation_is_tried_once() {
    let (faults, store) = stores().await;
    let store = store.with_max_retries(0);
    faults.inject(Fault::unavailable());
    assert!(store.get("c", "k").await.is_err());
    assert_eq!(faults.calls(Operation::Get), 1);
}

#[tokio::test]
async fn every_operation_is_repeated_when_the_store_was_unavailable() {
    let (faults, store) = stores().await;
    faults.inject(Fault::unavailable().every(2));
    for result in read_all(&store).await {
        assert!(result.is_ok(), "{result:?}");
    }
    for result in write_all(&store).await {
        assert!(result.is_ok(), "{result:?}");
    }
    assert_eq!(faults.calls(Operation::Destroy), 2);
}

#[tokio::test]
async fn reads_are_repeated_after_a_timeout() {
    let (faults, store) = stores().await;
    faults.inject(timeout().every(2));
    for result in read_all(&store).await {
        assert!(result.is_ok(), "{result:?}");
    }
}

#[tokio::test]
async fn a_write_that_may_have_been_applied_is_never_repeated() {
    for fault in [Fault::outcome_unknown(), timeout()] {
        let (faults, store) = stores().await;
        for operation in WRITES {
            faults.inject(fault.clone().on(operation).always());
        }
        for result in write_all(&store).await {
            assert!(result.is_err());
        }
        let calls = WRITES.map(|operation| faults.calls(operation));
        // One put made the entry, three are of the three modes.
        assert_eq!(calls, [4, 1, 1, 1, 1, 1, 1]);
    }
}

#[tokio::test]
async fn what_another_try_cannot_mend_is_not_repeated() {
    for error in [Error::Conflict, Error::ReadOnly, Error::Overflow] {
        let (faults, store) = stores().await;
        faults.inject(Fault::refuse(error));
        assert!(store.get("c", "k").await.is_err());
        assert_eq!(faults.calls(Operation::Get), 1);
    }
}

#[tokio::test]
async fn a_create_that_is_repeated_still_has_one_winner() {
    let (faults, store) = stores().await;
    faults.inject(Fault::unavailable().on(Operation::Put).times(3));
    assert!(
        store
            .put("c", "new", entry(1), PutMode::Create)
            .await
            .is_ok()
    );
    let second = store.put("c", "new", entry(2), PutMode::Create).await;
    assert!(matches!(second, Err(Error::AlreadyExists)), "{second:?}");
}

#[tokio::test]
async fn every_try_writes_the_same_times() {
    let (faults, store) = stores().await;
    faults.inject(Fault::unavailable().on(Operation::Put).times(3));
    let short = Some(Duration::from_micros(1));
    let value = serde_json::json!({});
    store.put_value("c", "k", &value, short).await.unwrap();
    assert_eq!(store.get("c", "k").await.unwrap(), None);
}

#[tokio::test]
async fn get_many_asks_again_only_for_the_keys_that_failed() {
    let (faults, _) = stores().await;
    let store = faults.clone().without_bulk().retry();
    let store = store.with_initial_delay(Duration::ZERO);
    put(&store, "c", "l", 2).await;
    faults.inject(Fault::unavailable().on(Operation::Get).after(1).times(2));
    let rows = store.get_many("c", &["k", "l", "none", "k"]).await.unwrap();
    let found: Vec<_> = rows.into_iter().map(|row| row.unwrap().is_some()).collect();
    assert_eq!(found, [true, true, false, true]);
    assert_eq!(faults.calls(Operation::Get), 4 + 2);
}

#[tokio::test]
async fn a_key_that_keeps_failing_is_an_error_in_its_own_place() {
    let (faults, _) = stores().await;
    let store = faults.clone().without_bulk().retry();
    let store = store.with_initial_delay(Duration::ZERO);
    faults.inject(Fault::unavailable().on(Operation::Get).after(1).always());
    let rows = store.get_many("c", &["k", "l"]).await.unwrap();
    assert!(rows[0].is_ok() && rows[1].is_err(), "{rows:?}");
    assert_eq!(faults.calls(Operation::Get), 2 + 3);
}

/// A store that writes one by one, and its form that retries without pauses.
async fn one_by_one() -> (Faults, impl Store) {
    let (faults, _) = stores().await;
    let store = faults.clone().without_bulk().retry();
    (faults, store.with_initial_delay(Duration::ZERO))
}

async fn update(store: &dyn Store, key: &str, revision: &Revision) -> Result<Revision> {
    let mode = PutMode::Update(revision.clone());
    store.put("c", key, entry(99), mode).await
}

#[tokio::test]
async fn put_many_goes_on_with_what_is_left() {
    let (faults, store) = one_by_one().await;
    faults.inject(Fault::unavailable().on(Operation::Put).after(2));
    let keys = ["a", "b", "c", "d"];
    let revisions = store.put_many("c", batch(&keys)).await.unwrap();
    // One put made the entry; of the batch none was written twice.
    assert_eq!(faults.calls(Operation::Put), 1 + 4 + 1);
    assert_eq!(revisions.len(), 4);
    for (key, revision) in keys.iter().zip(&revisions) {
        assert!(update(&store, key, revision).await.is_ok(), "{key}");
    }
}

#[tokio::test]
async fn of_a_key_that_stands_twice_the_last_place_is_live_after_a_failure() {
    for well in 1..4 {
        let (faults, store) = one_by_one().await;
        faults.inject(Fault::unavailable().on(Operation::Put).after(well));
        let revisions = store.put_many("c", batch(&["a", "b", "a"])).await.unwrap();
        assert_eq!(number(&store, "c", "a").await, Some(12));
        let stale = update(&store, "a", &revisions[0]).await;
        assert!(matches!(stale, Err(Error::Conflict)), "{stale:?}");
        assert!(update(&store, "a", &revisions[2]).await.is_ok());
    }
}

#[tokio::test]
async fn what_another_writer_replaced_meanwhile_gets_no_revision_of_that_one() {
    let (faults, store) = one_by_one().await;
    faults.inject(Fault::unavailable().on(Operation::Put).after(1));
    faults.inject(Fault::pause().on(Operation::Put).after(2));
    let mut puts = Box::pin(store.put_many("c", batch(&["a", "b"])));
    assert!((&mut puts).now_or_never().is_none());
    put(&faults, "c", "a", 7).await;
    let revisions = puts.await.unwrap();
    let stale = update(&faults, "a", &revisions[0]).await;
    assert!(matches!(stale, Err(Error::Conflict)), "{stale:?}");
    assert_eq!(number(&faults, "c", "a").await, Some(7));
}

#[tokio::test]
async fn a_batch_of_which_one_may_have_been_written_is_not_gone_on_with() {
    let (faults, store) = one_by_one().await;
    faults.inject(Fault::outcome_unknown().on(Operation::Put).after(1));
    let error = store.put_many("c", batch(&["a", "b", "c"])).await;
    let Err(Error::Incomplete { keys, .. }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(keys, ["b", "c"]);
    assert_eq!(faults.calls(Operation::Put), 1 + 2);
}

#[tokio::test]
async fn a_batch_that_is_given_up_names_what_is_left_and_why() {
    for (fault, reason) in [
        (
            Fault::unavailable(),
            "fault is unavailable: a test broke it",
        ),
        (
            Fault::outcome_unknown(),
            "the write to fault may or may not have been applied",
        ),
    ] {
        let (faults, store) = one_by_one().await;
        faults.inject(Fault::unavailable().on(Operation::Put).after(1));
        faults.inject(fault.on(Operation::Put).after(2).always());
        let error = store.put_many("c", batch(&["a", "b", "c"])).await;
        let Err(Error::Incomplete { keys, source }) = error else {
            panic!("{error:?}");
        };
        assert_eq!(keys, ["b", "c"]);
        assert_eq!(source.unwrap().to_string(), reason);
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_double_up_to_the_longest_and_are_random_below() {
    let (faults, store) = stores().await;
    let store = store
        .with_max_retries(10)
        .with_initial_delay(Duration::from_secs(1))
        .with_max_delay(Duration::from_secs(4));
    faults.inject(Fault::unavailable().on(Operation::Get).always());
    let mut totals = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        assert!(store.get("c", "k").await.is_err());
        totals.push(start.elapsed());
    }
    // 1 + 2 + 8 * 4 seconds at most, and never all of it twenty times.
    let most = Duration::from_millis(35_000 + 10);
    assert!(totals.iter().all(|total| *total <= most), "{totals:?}");
    assert!(totals.iter().max() > Some(&Duration::from_secs(7)));
    totals.dedup();
    assert!(totals.len() > 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_in_a_pause_asks_no_more() {
    let (faults, store) = stores().await;
    let store = store.with_initial_delay(Duration::from_secs(60));
    faults.inject(Fault::unavailable().on(Operation::Put).always());
    let call = store.put("c", "k", entry(2), PutMode::Overwrite);
    assert!(call.now_or_never().is_none());
    faults.heal();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(faults.calls(Operation::Put), 2);
    assert_eq!(number(&store, "c", "k").await, Some(1));
}

#[tokio::test]
async fn without_pauses_other_tasks_and_timers_get_their_turn() {
    let (faults, store) = stores().await;
    let store = store.with_max_retries(1_000_000);
    for operation in [Operation::Get, Operation::GetMany, Operation::PutMany] {
        faults.inject(Fault::unavailable().on(operation).always());
    }
    assert!(store.get("c", "k").now_or_never().is_none());
    assert!(store.get_many("c", &["k"]).now_or_never().is_none());
    let puts = store.put_many("c", batch(&["a"]));
    assert!(puts.now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn delays_and_retries_of_any_size_do_not_overflow() {
    for (initial, max) in [
        (Duration::MAX, Duration::from_nanos(1)),
        (Duration::from_nanos(1), Duration::MAX),
        (Duration::MAX, Duration::ZERO),
    ] {
        let (faults, store) = stores().await;
        let store = store.with_initial_delay(initial).with_max_delay(max);
        let store = store.with_max_retries(u32::MAX);
        faults.inject(Fault::unavailable().on(Operation::Get).times(40));
        let call = tokio::time::timeout(Duration::from_secs(3600), store.get("c", "k"));
        assert!(!matches!(call.await, Ok(Err(_))));
    }
    let (faults, store) = stores().await;
    let store = store
        .with_initial_delay(Duration::MAX)
        .with_max_delay(Duration::MAX);
    faults.inject(Fault::unavailable().on(Operation::Get));
    let call = tokio::time::timeout(Duration::from_secs(3600), store.get("c", "k"));
    assert!(call.await.is_err());
}

//! `FaultStore`: it keeps the contract without faults, and breaks it just where it is told to.

use std::time::Duration;

use futures_util::FutureExt as _;
use kv_core::conformance::{Fault, FaultStore};
use kv_core::wrappers::Operation;
use kv_core::{Entry, Error, KeyQuery, PutMode, Result, Store, SystemClock, Value};

use crate::support::ReferenceStore;

mod without_faults {
    use std::sync::Arc;

    use kv_core::conformance::Fixture;
    use kv_core::{ManualClock, Store};

    use super::FaultStore;

    async fn make(clock: Arc<ManualClock>) -> Fixture<impl Store> {
        crate::support::make(clock).await.map(FaultStore::new)
    }

    async fn make_without_bulk(clock: Arc<ManualClock>) -> Fixture<impl Store> {
        make(clock)
            .await
            .map(|store| FaultStore::new(store).without_bulk())
    }

    mod with_bulk {
        kv_core::conformance_tests!(super::make);
    }

    mod bulk_by_singles {
        kv_core::conformance_tests!(super::make_without_bulk);
    }
}

fn store() -> FaultStore<ReferenceStore> {
    FaultStore::new(ReferenceStore::new(SystemClock::default()))
}

fn entry() -> Entry {
    Entry::new(Value::from_json("{}").unwrap())
}

async fn put(store: &dyn Store, key: &str) -> Result<()> {
    let put = store.put("c", key, entry(), PutMode::Overwrite);
    put.await.map(drop)
}

async fn holds(store: &dyn Store, key: &str) -> bool {
    store.get("c", key).await.unwrap().is_some()
}

#[tokio::test]
async fn a_refusal_befalls_the_calls_it_is_told_to_and_applies_nothing() {
    let store = store();
    let fault = Fault::unavailable().on(Operation::Put);
    store.inject(fault.after(1).times(2));
    let mut results = Vec::new();
    for key in ["a", "b", "c", "d"] {
        results.push(put(&store, key).await.is_ok());
        assert_eq!(holds(&store, key).await, *results.last().unwrap());
    }
    assert_eq!(results, [true, false, false, true]);
    assert_eq!(store.calls(Operation::Put), 4);
    assert_eq!(store.all_calls(), 8);
}

#[tokio::test]
async fn a_fault_of_every_third_call_goes_on_without_end() {
    let store = store();
    store.inject(Fault::unavailable().every(3));
    let mut results = Vec::new();
    for _ in 0..7 {
        results.push(put(&store, "a").await.is_ok());
    }
    assert_eq!(results, [false, true, true, false, true, true, false]);
}

#[tokio::test]
async fn a_lost_answer_is_of_a_write_that_was_applied() {
    let store = store();
    store.inject(Fault::outcome_unknown());
    let error = put(&store, "a").await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    assert!(holds(&store, "a").await);
}

#[tokio::test(start_paused = true)]
async fn a_delay_comes_before_the_work() {
    let store = store();
    let delay = Duration::from_secs(5);
    store.inject(Fault::delay(delay).on(Operation::Put));
    let start = tokio::time::Instant::now();
    assert!(
        tokio::time::timeout(delay / 2, put(&store, "a"))
            .await
            .is_err()
    );
    assert!(!holds(&store, "a").await);
    store.inject(Fault::delay(delay).on(Operation::Put));
    put(&store, "a").await.unwrap();
    assert!(start.elapsed() >= delay + delay / 2);
}

#[tokio::test]
async fn a_held_call_has_done_its_work_and_never_answers() {
    let store = store();
    store.inject(Fault::hold());
    assert!(put(&store, "a").now_or_never().is_none());
    assert!(holds(&store, "a").await);
}

#[tokio::test]
async fn a_call_can_be_dropped_at_its_pauses() {
    let store = store();
    store.inject(Fault::pause().on(Operation::Put).always());
    assert!(put(&store, "a").now_or_never().is_none());
    assert!(!holds(&store, "a").await);
    let mut second = Box::pin(put(&store, "a"));
    assert!((&mut second).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    drop(second);
    assert!(holds(&store, "a").await);
}

#[tokio::test]
async fn healing_ends_all_faults() {
    let store = store();
    store.inject(Fault::unavailable().always());
    assert!(put(&store, "a").await.is_err());
    assert!(store.keys("c", KeyQuery::new()).await.is_err());
    store.heal();
    assert!(put(&store, "a").await.is_ok());
}

#[tokio::test]
async fn clones_share_faults_and_counts() {
    let store = FaultStore::new(std::sync::Arc::new(ReferenceStore::new(
        SystemClock::default(),
    )));
    store.clone().inject(Fault::unavailable());
    assert!(put(&store, "a").await.is_err());
    assert_eq!(store.clone().calls(Operation::Put), 1);
}

#[tokio::test]
async fn bulk_operations_by_singles_fail_key_by_key() {
    let faults = FaultStore::new(std::sync::Arc::new(ReferenceStore::new(
        SystemClock::default(),
    )));
    let store = faults.clone().without_bulk();
    put(&store, "a").await.unwrap();
    faults.inject(Fault::unavailable().on(Operation::Get).after(1));
    let rows = store.get_many("c", &["a", "a", "a"]).await.unwrap();
    let found: Vec<_> = rows.iter().map(Result::is_ok).collect();
    assert_eq!(found, [true, false, true]);
    assert_eq!(faults.calls(Operation::GetMany), 0);
}

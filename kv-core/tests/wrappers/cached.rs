//! `Cached`: what it keeps, and what it must not.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use kv_core::conformance::{Fault, FaultStore, Fixture};
use kv_core::wrappers::{Cached, Operation};
use kv_core::{ManualClock, PutMode, Store, StoreExt};

use super::{entry, number, put};
use crate::support::ReferenceStore;

type Faulty = FaultStore<Arc<ReferenceStore>>;

struct Setup {
    clock: Arc<ManualClock>,
    far: Faulty,
    near: Faulty,
    store: Cached<Faulty, Faulty>,
}

fn setup() -> Setup {
    let clock = Arc::new(ManualClock::starting_now());
    let make = || FaultStore::new(Arc::new(ReferenceStore::new(Arc::clone(&clock))));
    let (far, near) = (make(), make());
    let store = far.clone().cached(near.clone());
    Setup {
        clock,
        far,
        near,
        store,
    }
}

mod conformance {
    use super::*;

    async fn make(clock: Arc<ManualClock>) -> Fixture<impl Store> {
        let inner = ReferenceStore::new(Arc::clone(&clock));
        Fixture::new(inner.cached(ReferenceStore::new(clock)))
    }

    kv_core::conformance_tests!(make);
}

mod conformance_with_a_broken_local_store {
    use super::*;

    async fn make(clock: Arc<ManualClock>) -> Fixture<impl Store> {
        let inner = ReferenceStore::new(Arc::clone(&clock));
        let local = FaultStore::new(ReferenceStore::new(clock));
        local.inject(Fault::unavailable().every(3));
        Fixture::new(inner.cached(local))
    }

    kv_core::conformance_tests!(make);
}

#[tokio::test]
async fn a_hit_makes_no_inner_call() {
    let Setup { far, store, .. } = setup();
    put(&store, "c", "k", 1).await;
    assert_eq!(number(&store, "c", "k").await, Some(1));
    let calls = far.all_calls();
    assert_eq!(number(&store, "c", "k").await, Some(1));
    assert_eq!(far.all_calls(), calls);
}

#[tokio::test]
async fn ten_thousand_waiters_on_a_cold_key_make_one_read() {
    let Setup { far, store, .. } = setup();
    put(&far, "c", "k", 1).await;
    far.inject(Fault::pause().on(Operation::Get));
    let gets = (0..10_000).map(|_| store.get("c", "k"));
    assert!(
        join_all(gets)
            .await
            .iter()
            .all(|got| matches!(got, Ok(Some(_))))
    );
    assert_eq!(far.calls(Operation::Get), 1);
}

#[tokio::test]
async fn a_fill_that_raced_a_write_is_discarded() {
    let Setup { near, store, .. } = setup();
    put(&store, "c", "k", 1).await;
    // The read is done, its local put too, but not known to be.
    near.inject(Fault::hold().on(Operation::Put));
    let mut fill = store.get("c", "k").boxed();
    assert!((&mut fill).now_or_never().is_none());
    put(&store, "c", "k", 2).await;
    assert_eq!(number(&store, "c", "k").await, Some(2));
    drop(fill);
    assert_eq!(number(&store, "c", "k").await, Some(2));
    assert_eq!(number(&store, "c", "k").await, Some(2));
}

#[tokio::test]
async fn a_cancelled_write_leaves_no_old_copy() {
    let Setup { far, store, .. } = setup();
    put(&store, "c", "k", 1).await;
    assert_eq!(number(&store, "c", "k").await, Some(1));
    far.inject(Fault::hold().on(Operation::Put));
    let write = store.put("c", "k", entry(2), PutMode::Overwrite);
    assert!(write.now_or_never().is_none());
    assert_eq!(number(&store, "c", "k").await, Some(2));
}

#[tokio::test]
async fn a_failed_local_delete_leaves_no_old_copy() {
    let Setup {
        far, near, store, ..
    } = setup();
    put(&store, "c", "k", 1).await;
    assert_eq!(number(&store, "c", "k").await, Some(1));
    near.inject(Fault::unavailable().on(Operation::Delete).times(2));
    put(&store, "c", "k", 2).await;
    for _ in 0..3 {
        assert_eq!(number(&store, "c", "k").await, Some(2));
    }
    let reads = far.calls(Operation::Get);
    assert_eq!(number(&store, "c", "k").await, Some(2));
    assert_eq!(far.calls(Operation::Get), reads, "it is cached again");
}

#[tokio::test]
async fn a_copy_ends_after_the_longest_time_and_when_the_clock_is_set_back() {
    let Setup {
        clock, far, store, ..
    } = setup();
    let start = kv_core::Clock::now(&*clock);
    put(&store, "c", "k", 1).await;
    assert_eq!(number(&store, "c", "k").await, Some(1));
    put(&far, "c", "k", 2).await;
    clock.advance(Duration::from_secs(30 * 60) - Duration::from_micros(1));
    assert_eq!(number(&store, "c", "k").await, Some(1));
    clock.advance(Duration::from_micros(1));
    assert_eq!(number(&store, "c", "k").await, Some(2));
    put(&far, "c", "k", 3).await;
    clock.set(start);
    assert_eq!(number(&store, "c", "k").await, Some(3));
}

#[tokio::test]
async fn a_remembered_miss_is_dropped_by_a_create() {
    let Setup { far, store, .. } = setup();
    let store = store.with_negative_ttl(Duration::from_secs(60));
    assert_eq!(number(&store, "c", "k").await, None);
    let reads = far.calls(Operation::Get);
    assert_eq!(number(&store, "c", "k").await, None);
    assert_eq!(far.calls(Operation::Get), reads);
    store
        .put("c", "k", entry(1), PutMode::Create)
        .await
        .unwrap();
    assert_eq!(number(&store, "c", "k").await, Some(1));
}

#[tokio::test]
async fn a_new_cache_ignores_what_a_local_store_kept() {
    let Setup {
        far, near, store, ..
    } = setup();
    put(&store, "c", "k", 1).await;
    assert_eq!(number(&store, "c", "k").await, Some(1));
    put(&far, "c", "k", 2).await;
    let after_restart = far.cached(near);
    assert_eq!(number(&after_restart, "c", "k").await, Some(2));
}

//! `Cached`: what it keeps, and what it must not.

mod races;
mod random;
mod stale;
mod watched;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use kv_core::conformance::{Fault, FaultStore, Fixture};
use kv_core::wrappers::{Cached, Operation};
use kv_core::{Error, ManualClock, PutMode, Store, StoreExt};

use super::{entry, number, put};
use crate::support::{ReferenceStore, make_spoilable};

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

/// The number that a fresh get of `k` answers.
async fn fresh(store: &dyn Store) -> kv_core::Result<Option<u64>> {
    let entry = store.get_fresh("c", "k").await?;
    let value = entry.map(|entry| entry.value.decode::<serde_json::Value>().unwrap());
    Ok(value.and_then(|value| value["n"].as_u64()))
}

mod conformance {
    use super::*;

    type Tiers = Cached<Arc<ReferenceStore>, ReferenceStore>;

    async fn make(clock: Arc<ManualClock>) -> Fixture<Tiers> {
        let fixture = make_spoilable(Arc::clone(&clock)).await;
        let inner = Arc::clone(&fixture);
        let fixture = fixture.map(|store| store.cached(ReferenceStore::new(clock)));
        fixture.with_spoiler(move |collection: String, key: String| {
            inner.spoil(&collection, &key);
            std::future::ready(())
        })
    }

    kv_core::conformance_tests!(make);
    kv_core::undecodable_tests!(make);
}

mod conformance_with_every_option {
    use super::*;

    async fn make(clock: Arc<ManualClock>) -> Fixture<impl Store> {
        let inner = FaultStore::new(ReferenceStore::new(Arc::clone(&clock)));
        let inner = inner.watchable().without_bulk();
        let cached = inner.cached(ReferenceStore::new(clock));
        let cached = cached.with_negative_ttl(Duration::from_secs(60));
        Fixture::new(cached.with_stale_while_revalidate(Duration::from_secs(60)))
    }

    kv_core::conformance_tests!(make);
}

mod conformance_without_a_local_store_that_works {
    use super::*;

    async fn make(clock: Arc<ManualClock>) -> Fixture<impl Store> {
        let inner = ReferenceStore::new(Arc::clone(&clock));
        let local = FaultStore::new(ReferenceStore::new(clock));
        local.inject(Fault::unavailable().always());
        Fixture::new(inner.cached(local))
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
async fn a_bulk_read_lets_a_key_be_cached_again_after_a_failed_local_delete() {
    let Setup {
        far, near, store, ..
    } = setup();
    near.inject(Fault::unavailable().on(Operation::Delete));
    put(&store, "c", "k", 1).await;
    let read = async || store.get_many("c", &["k"]).await.unwrap().remove(0);
    assert!(read().await.unwrap().is_some());
    assert!(read().await.unwrap().is_some());
    assert_eq!(far.calls(Operation::GetMany), 1);
}

#[tokio::test]
async fn a_local_put_of_unknown_outcome_that_lands_after_a_write_is_not_read() {
    let Setup { near, store, .. } = setup();
    put(&store, "c", "k", 1).await;
    near.inject(Fault::outcome_unknown().on(Operation::Put));
    assert_eq!(number(&store, "c", "k").await, Some(1));
    let late = near.get("c", "k").await.unwrap().unwrap();
    put(&store, "c", "k", 2).await;
    let lands = near.put("c", "k", late, PutMode::Overwrite);
    lands.await.unwrap();
    assert_eq!(number(&store, "c", "k").await, Some(2));
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
async fn a_get_is_not_older_than_what_a_fresh_get_answered() {
    let Setup { far, store, .. } = setup();
    let store = store.with_negative_ttl(Duration::from_secs(60));
    assert_eq!(number(&store, "c", "k").await, None);
    for n in [1, 2] {
        put(&far, "c", "k", n).await;
        assert_eq!(fresh(&store).await.unwrap(), Some(n));
        assert_eq!(number(&store, "c", "k").await, Some(n));
    }
    far.delete("c", "k").await.unwrap();
    assert_eq!(fresh(&store).await.unwrap(), None);
    assert_eq!(number(&store, "c", "k").await, None);
}

#[tokio::test]
async fn a_fresh_get_that_finds_a_spoiled_record_drops_the_copy_and_one_without_answer_does_not() {
    let clock = Arc::new(ManualClock::starting_now());
    let inner = Arc::new(ReferenceStore::new(Arc::clone(&clock)));
    let far = FaultStore::new(Arc::clone(&inner));
    let store = far.clone().cached(ReferenceStore::new(clock));
    put(&store, "c", "k", 1).await;
    assert_eq!(number(&store, "c", "k").await, Some(1));
    inner.spoil("c", "k");
    far.inject(Fault::unavailable().on(Operation::GetFresh).times(1));
    assert!(matches!(
        fresh(&store).await,
        Err(Error::Unavailable { .. })
    ));
    assert_eq!(number(&store, "c", "k").await, Some(1));
    assert!(matches!(fresh(&store).await, Err(Error::Corrupted { .. })));
    assert!(matches!(
        store.get("c", "k").await,
        Err(Error::Corrupted { .. })
    ));
}

#[tokio::test]
async fn a_fresh_get_of_what_has_no_copy_writes_nothing_locally() {
    let Setup {
        far, near, store, ..
    } = setup();
    put(&far, "c", "k", 1).await;
    assert_eq!(fresh(&store).await.unwrap(), Some(1));
    assert_eq!(near.calls(Operation::Delete), 0);
    assert_eq!(number(&store, "c", "k").await, Some(1));
    let reads = far.calls(Operation::Get);
    assert_eq!(number(&store, "c", "k").await, Some(1));
    assert_eq!(far.calls(Operation::Get), reads, "it is cached");
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

#[tokio::test]
async fn a_copy_ends_with_its_entry() {
    let Setup {
        clock, far, store, ..
    } = setup();
    let end = kv_core::Clock::now(&*clock).checked_add(Duration::from_secs(10));
    let mortal = entry(1).with_expires_at(end);
    let put = store.put("c", "k", mortal, PutMode::Create);
    put.await.unwrap();
    assert_eq!(number(&store, "c", "k").await, Some(1));
    far.delete("c", "k").await.unwrap();
    clock.advance(Duration::from_secs(10) - Duration::from_micros(1));
    assert_eq!(number(&store, "c", "k").await, Some(1));
    clock.advance(Duration::from_micros(1));
    assert_eq!(number(&store, "c", "k").await, None);
}

#[tokio::test]
async fn the_others_go_on_when_the_first_is_cancelled() {
    let Setup { far, store, .. } = setup();
    put(&far, "c", "k", 1).await;
    far.inject(Fault::pause().on(Operation::Get));
    let mut first = store.get("c", "k");
    assert!((&mut first).now_or_never().is_none());
    let mut others = join_all((0..20).map(|_| store.get("c", "k")));
    assert!((&mut others).now_or_never().is_none());
    drop(first);
    assert!(others.await.iter().all(|got| matches!(got, Ok(Some(_)))));
    assert_eq!(far.calls(Operation::Get), 1);
}

#[tokio::test]
async fn a_bulk_read_asks_the_store_once_for_what_has_no_copy() {
    let Setup { far, store, .. } = setup();
    for (n, key) in ["a", "b", "c"].into_iter().enumerate() {
        put(&far, "c", key, n as u64).await;
    }
    assert_eq!(number(&store, "c", "b").await, Some(1));
    let keys = ["c", "b", "none", "a", "b"];
    for calls in [1, 2] {
        let read = store.get_many("c", &keys).await.unwrap();
        let read = read.into_iter().map(Result::unwrap);
        let found: Vec<_> = read.map(|entry| entry.map(|entry| entry.value)).collect();
        let expected = [Some(2), Some(1), None, Some(0), Some(1)];
        let expected = expected.map(|n| n.map(|n| entry(n).value));
        assert_eq!(found, expected);
        // The second time for the miss alone.
        assert_eq!(far.calls(Operation::GetMany), calls);
    }
    assert_eq!(far.calls(Operation::Get), 1);
}

#[tokio::test]
async fn increments_by_two_caches_of_one_store_are_all_counted() {
    let Setup { far, .. } = setup();
    let caches = [0, 1].map(|_| far.clone().cached(setup().near));
    let add = |n: usize| {
        let cache = caches[n % 2].clone();
        tokio::spawn(async move {
            drop(cache.get("c", "k").await);
            cache.increment("c", "k", 1, None).await.unwrap();
        })
    };
    for added in join_all((0..100).map(add)).await {
        added.unwrap();
    }
    assert_eq!(far.increment("c", "k", 0, None).await.unwrap(), 100);
}

#[tokio::test]
async fn ten_thousand_cancelled_writes_are_remembered_by_forgetting_all() {
    let Setup { far, store, .. } = setup();
    put(&store, "c", "other", 1).await;
    assert_eq!(number(&store, "c", "other").await, Some(1));
    far.inject(Fault::hold().on(Operation::Put).always());
    for n in 0..=10_000 {
        let key = n.to_string();
        let write = store.put("c", &key, entry(n), PutMode::Overwrite);
        assert!(write.now_or_never().is_none());
    }
    let reads = far.calls(Operation::Get);
    assert_eq!(number(&store, "c", "other").await, Some(1));
    assert_eq!(far.calls(Operation::Get), reads + 1);
    assert_eq!(number(&store, "c", "7").await, Some(7));
}

#[tokio::test]
async fn a_bulk_write_of_ten_thousand_keys_forgets_no_other() {
    let Setup { far, store, .. } = setup();
    put(&store, "c", "other", 1).await;
    assert_eq!(number(&store, "c", "other").await, Some(1));
    let entries = (0..10_100).map(|n| (n.to_string(), entry(n)));
    store.put_many("c", entries.collect()).await.unwrap();
    let reads = far.calls(Operation::Get);
    assert_eq!(number(&store, "c", "other").await, Some(1));
    assert_eq!(far.calls(Operation::Get), reads);
}

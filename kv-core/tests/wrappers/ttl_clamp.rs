//! `TtlClamp`: every TTL that is written lies inside the bounds.

use std::sync::Arc;
use std::time::Duration;

use kv_core::wrappers::TtlClamp;
use kv_core::{Clock, Error, PutMode, Store, StoreExt, Timestamp};

use super::entry;
use crate::probe::Probe;

const SECOND: Duration = Duration::from_secs(1);
const MIN: Duration = Duration::from_secs(10);
const MAX: Duration = Duration::from_secs(100);

fn clamped() -> (Arc<Probe>, TtlClamp<Arc<Probe>>) {
    let store = Probe::new();
    let clamped = Arc::clone(&store).clamp_ttl(MIN, MAX).unwrap();
    (store, clamped)
}

/// Puts an entry with `ttl`, and returns the TTL it got.
async fn put(store: &dyn Store, ttl: Option<Duration>) -> Option<Duration> {
    store
        .put_value("c", "k", &serde_json::json!({}), ttl)
        .await
        .unwrap();
    store.ttl("c", "k").await.unwrap().unwrap().1
}

#[tokio::test]
async fn a_ttl_inside_the_bounds_stays() {
    let (_, store) = clamped();
    for ttl in [MIN, MIN + SECOND, MAX] {
        assert_eq!(put(&store, Some(ttl)).await, Some(ttl));
    }
}

#[tokio::test]
async fn a_ttl_outside_the_bounds_becomes_the_nearer_one() {
    let (_, store) = clamped();
    assert_eq!(put(&store, Some(SECOND)).await, Some(MIN));
    assert_eq!(put(&store, Some(MAX + SECOND)).await, Some(MAX));
}

#[tokio::test]
async fn a_missing_ttl_stays_missing() {
    let (_, store) = clamped();
    assert_eq!(put(&store, None).await, None);
}

#[tokio::test]
async fn a_missing_ttl_is_replaced_when_one_is_set_and_held_inside_the_bounds() {
    let (_, store) = clamped();
    let store = store.with_missing(MIN + SECOND);
    assert_eq!(put(&store, None).await, Some(MIN + SECOND));
    let store = store.with_missing(MAX + SECOND);
    assert_eq!(put(&store, None).await, Some(MAX));
}

#[tokio::test]
async fn a_bulk_write_is_held_inside_the_bounds_entry_by_entry() {
    let (probe, store) = clamped();
    let in_a_second = probe.clock.now().plus_ttl(SECOND).unwrap();
    let entries = vec![
        ("short".to_owned(), entry(1).with_expires_at(in_a_second)),
        ("never".to_owned(), entry(1)),
    ];
    store.put_many("c", entries).await.unwrap();
    let found = store.ttl_many("c", &["short", "never"]).await.unwrap();
    let left: Vec<_> = found.into_iter().map(|f| f.unwrap().unwrap().1).collect();
    assert_eq!(left, [Some(MIN), None]);
    assert_eq!(probe.calls(), ["put_many", "get_many"]);
}

#[tokio::test]
async fn touch_is_held_inside_the_bounds_from_now_on() {
    let (probe, store) = clamped();
    put(&store, Some(MAX)).await;
    probe.clock.advance(MAX / 2);
    assert!(store.touch("c", "k", Some(2 * MAX)).await.unwrap());
    assert_eq!(store.ttl("c", "k").await.unwrap().unwrap().1, Some(MAX));
}

#[tokio::test]
async fn an_invalid_expiry_is_not_made_valid() {
    let (probe, store) = clamped();
    let created = probe.clock.now().plus_ttl(MAX).unwrap();
    let ends = probe.clock.now().plus_ttl(MIN).unwrap();
    let dead = entry(1).with_created_at(created).with_expires_at(ends);
    let error = store.put("c", "k", dead, PutMode::Overwrite).await;
    assert!(matches!(error, Err(Error::InvalidTtl { .. })), "{error:?}");
}

#[tokio::test]
async fn an_entry_that_has_expired_is_not_brought_back_to_life() {
    let (probe, store) = clamped();
    let now = probe.clock.now();
    let expired = entry(1)
        .with_created_at(Timestamp::UNIX_EPOCH)
        .with_expires_at(now);
    store
        .put("c", "k", expired, PutMode::Overwrite)
        .await
        .unwrap();
    assert_eq!(store.get("c", "k").await.unwrap(), None);
}

#[tokio::test]
async fn an_entry_created_in_the_future_is_clamped_from_now() {
    let (probe, store) = clamped();
    let now = probe.clock.now();
    let early = entry(1)
        .with_created_at(now.plus_ttl(SECOND).unwrap())
        .with_expires_at(now.plus_ttl(2 * MAX).unwrap());
    store
        .put("c", "k", early, PutMode::Overwrite)
        .await
        .unwrap();
    let stored = store.get("c", "k").await.unwrap().unwrap();
    assert_eq!(stored.expires_at, now.checked_add(MAX));
}

#[tokio::test]
async fn an_entry_created_beyond_the_longest_ttl_is_refused() {
    let (probe, store) = clamped();
    let created = probe.clock.now().plus_ttl(MAX).unwrap();
    let ends = created.plus_ttl(MIN).unwrap();
    let early = entry(1).with_created_at(created).with_expires_at(ends);
    let error = store.put("c", "k", early.clone(), PutMode::Overwrite).await;
    assert!(matches!(error, Err(Error::InvalidTtl { .. })), "{error:?}");
    let error = store.put_many("c", vec![("k".to_owned(), early)]).await;
    assert!(matches!(error, Err(Error::InvalidTtl { .. })), "{error:?}");
    assert_eq!(probe.get("c", "k").await.unwrap(), None);
}

#[tokio::test]
async fn bounds_that_hold_no_ttl_are_refused() {
    for (min, max) in [(MAX, MIN), (Duration::ZERO, Duration::ZERO)] {
        let error = Probe::new().clamp_ttl(min, max).unwrap_err();
        assert!(matches!(error, Error::InvalidTtl { .. }), "{error}");
    }
}

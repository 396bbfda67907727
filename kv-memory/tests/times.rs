//! Expiry, where the cache has a clock of its own.

use std::sync::Arc;
use std::time::Duration;

use kv_core::{Error, ManualClock, PutMode, Store, Timestamp};
use kv_memory::MemoryStore;

use crate::support::{all_keys, entry};

const MINUTE: Duration = Duration::from_secs(60);

fn store_on(clock: &Arc<ManualClock>) -> MemoryStore {
    let clock = Arc::clone(clock);
    MemoryStore::builder().clock(clock).build()
}

#[tokio::test]
async fn an_entry_that_ends_with_time_itself_is_kept() {
    let store = MemoryStore::new();
    let entry = entry().with_expires_at(Timestamp::MAX);
    let put = store.put("times", "key", entry, PutMode::Create);
    put.await.unwrap();
    assert!(store.get("times", "key").await.unwrap().is_some());
}

#[tokio::test]
async fn a_clock_that_is_set_back_brings_an_entry_back() {
    let clock = Arc::new(ManualClock::starting_now());
    let store = store_on(&clock);
    let start = store.clock().now();
    let entry = entry().with_expires_at(start.checked_add(MINUTE));
    let put = store.put("times", "key", entry, PutMode::Create);
    put.await.unwrap();
    clock.advance(MINUTE);
    assert_eq!(store.get("times", "key").await.unwrap(), None);
    clock.set(start);
    assert!(store.get("times", "key").await.unwrap().is_some());
}

#[tokio::test]
async fn cull_counts_and_removes_only_what_has_expired() {
    let clock = Arc::new(ManualClock::starting_now());
    let store = store_on(&clock);
    let now = store.clock().now();
    for number in 0..1000 {
        let end = (number % 4 == 0).then(|| now.checked_add(MINUTE)).flatten();
        let entry = entry().with_expires_at(end);
        let key = number.to_string();
        let put = store.put("times", &key, entry, PutMode::Create);
        put.await.unwrap();
    }
    assert_eq!(store.cull().await.unwrap(), 0);
    clock.advance(MINUTE);
    assert_eq!(store.cull().await.unwrap(), 250);
    assert_eq!(store.cull().await.unwrap(), 0);
    assert_eq!(all_keys(&store, "times").await.len(), 750);
    assert!(format!("{store:?}").contains("entries: 750"));
}

#[tokio::test]
async fn a_value_at_the_limit_is_stored_and_a_longer_one_refused() {
    let store = MemoryStore::builder().max_value_bytes(2).build();
    let put = store.put("times", "key", entry(), PutMode::Create);
    put.await.unwrap();
    let longer = kv_core::Entry::new(kv_core::Value::from_json("{ }").unwrap());
    let put = store.put("times", "key", longer, PutMode::Overwrite);
    let error = put.await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 2, size: 3 }));
}

#[test]
fn a_store_is_made_without_a_runtime() {
    let store = MemoryStore::default();
    assert!(format!("{store:?}").contains("entries: 0"));
}

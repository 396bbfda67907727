//! A store with a capacity.

use kv_core::{PutMode, Store};
use kv_memory::MemoryStore;

use crate::support::{all_keys, block_on, entry, on_threads};

async fn put(store: &MemoryStore, key: &str) {
    let put = store.put("capacity", key, entry(), PutMode::Overwrite);
    put.await.unwrap();
}

#[tokio::test]
async fn an_entry_just_written_is_there_however_full_the_store_is() {
    for capacity in [0, 1, 10] {
        let store = MemoryStore::builder().capacity(capacity).build();
        for number in 0..5000 {
            let key = number.to_string();
            put(&store, &key).await;
            assert!(
                store.get("capacity", &key).await.unwrap().is_some(),
                "{key}"
            );
        }
    }
}

#[tokio::test]
async fn an_entry_in_use_stays_and_the_others_go() {
    let store = MemoryStore::builder().capacity(100).build();
    put(&store, "in use").await;
    for number in 0..5000 {
        put(&store, &number.to_string()).await;
        let used = store.get("capacity", "in use").await.unwrap();
        assert!(used.is_some(), "gone after {number} writes");
    }
    store.cull().await.unwrap();
    let keys = all_keys(&store, "capacity").await;
    assert_eq!(keys.len(), 100);
    assert!(keys.contains(&"in use".to_owned()));
}

#[test]
fn what_is_listed_is_what_is_stored_after_eviction_has_raced_with_writes() {
    let store = MemoryStore::builder().capacity(50).build();
    let stored = race(&store);
    assert_eq!(stored, 50);
}

#[test]
fn what_is_listed_is_what_is_stored_after_removals_have_raced_with_writes() {
    let stored = race(&MemoryStore::new());
    assert!((1..=211).contains(&stored), "{stored}");
}

/// Writes and deletes on many threads, compares the listing with the entries, and returns how many
/// there are.
fn race(store: &MemoryStore) -> usize {
    on_threads(8, |thread| {
        block_on(async {
            for number in 0..5000 {
                let key = (number * (thread + 1) % 211).to_string();
                if number % 7 == thread % 7 {
                    store.delete("capacity", &key).await.unwrap();
                } else {
                    put(store, &key).await;
                }
            }
        });
    });
    block_on(async {
        store.cull().await.unwrap();
        let mut listed = all_keys(store, "capacity").await;
        let mut stored = Vec::new();
        for number in 0..211 {
            let key = number.to_string();
            if store.get("capacity", &key).await.unwrap().is_some() {
                stored.push(key);
            }
        }
        listed.sort();
        stored.sort();
        assert_eq!(listed, stored);
        stored.len()
    })
}

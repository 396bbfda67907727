//! Listing, where the store differs from a plain map: a name stands in two places.

use std::sync::atomic::{AtomicBool, Ordering};

use kv_core::{CollectionPage, KeyQuery, PutMode, Store};
use kv_memory::MemoryStore;

use crate::support::{all_keys, block_on, entry, on_threads};

#[test]
fn keys_that_are_there_throughout_are_listed_while_others_come_and_go() {
    let store = MemoryStore::new();
    let done = AtomicBool::new(false);
    block_on(async {
        for number in 0..3000 {
            let key = format!("steady-{number}");
            let put = store.put("listing", &key, entry(), PutMode::Create);
            put.await.unwrap();
        }
    });
    on_threads(3, |thread| {
        block_on(async {
            if thread == 0 {
                for _ in 0..20 {
                    let mut keys = all_keys(&store, "listing").await;
                    keys.retain(|key| key.starts_with("steady"));
                    keys.sort();
                    keys.dedup();
                    assert_eq!(keys.len(), 3000);
                }
                done.store(true, Ordering::Relaxed);
                return;
            }
            for number in (0..3000).cycle() {
                let steady = format!("steady-{number}");
                let put = store.put("listing", &steady, entry(), PutMode::Overwrite);
                put.await.unwrap();
                let passing = format!("passing-{thread}-{number}");
                let put = store.put("listing", &passing, entry(), PutMode::Create);
                put.await.unwrap();
                assert!(store.delete("listing", &passing).await.unwrap());
                if done.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
    });
}

#[tokio::test]
async fn a_hundred_thousand_collections_leave_nothing_behind() {
    let store = MemoryStore::new();
    for number in 0..100_000 {
        let collection = number.to_string();
        let put = store.put(&collection, "key", entry(), PutMode::Create);
        put.await.unwrap();
        assert!(store.delete(&collection, "key").await.unwrap());
    }
    let page = store.collections(KeyQuery::new()).await.unwrap();
    assert_eq!(page, CollectionPage::default());
    assert!(format!("{store:?}").contains("entries: 0"));
}

#[tokio::test]
async fn collections_whose_names_begin_alike_are_kept_apart() {
    let store = MemoryStore::new();
    let collections = ["a", "a-b", "a:b", "a;", "aa", ":a"];
    for collection in collections {
        for key in ["k", ":k", "::k", "\u{10ffff}"] {
            let put = store.put(collection, key, entry(), PutMode::Create);
            put.await.unwrap();
        }
    }
    let mut listed = Vec::new();
    let mut query = KeyQuery::new().with_page_size(1);
    while let CollectionPage {
        collections,
        next: Some(next),
        ..
    } = store.collections(query.clone()).await.unwrap()
    {
        listed.extend(collections);
        query = query.with_cursor(next);
    }
    listed.sort();
    let mut all = collections.map(str::to_owned);
    all.sort();
    assert_eq!(listed, all);
    for collection in collections {
        assert_eq!(all_keys(&store, collection).await.len(), 4);
        assert_eq!(store.clear(collection).await.unwrap(), 4);
    }
}

#[tokio::test]
async fn debug_shows_neither_names_nor_values() {
    let store = MemoryStore::new();
    let value = kv_core::Value::from_json(r#"{"password":"hunter2"}"#).unwrap();
    let entry = kv_core::Entry::new(value);
    let put = store.put("secret-collection", "secret-key", entry, PutMode::Create);
    put.await.unwrap();
    let shown = format!("{store:?}");
    assert!(
        !shown.contains("secret") && !shown.contains("hunter2"),
        "{shown}"
    );
}

//! The end of a store, and its life across restarts.

use std::time::Duration;

use kv_core::{Error, PutMode, Store};
use kv_disk::{DiskStore, Durability};

use crate::support::{entry, folder, get, open, put, value};

#[tokio::test]
async fn entries_with_all_their_parts_survive_a_restart() {
    let folder = folder();
    let store = open(folder.path());
    let end = store.clock().now().checked_add(Duration::from_secs(3600));
    let mortal = entry("v").with_expires_at(end);
    let revision = store.put("c", "k", mortal, PutMode::Create).await.unwrap();
    let before = store.get("c", "k").await.unwrap().unwrap();
    assert_eq!(before.revision, Some(revision));
    drop(store);
    assert_eq!(
        open(folder.path()).get("c", "k").await.unwrap(),
        Some(before)
    );
}

#[tokio::test]
async fn a_revision_is_not_used_again_after_a_restart() {
    let folder = folder();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let store = open(folder.path());
        for _ in 0..5 {
            store.delete("c", "k").await.unwrap();
            let revision = put(&store, "k", "v").await.unwrap();
            assert!(!seen.contains(&revision));
            seen.push(revision);
        }
    }
}

#[tokio::test]
async fn revisions_of_two_stores_differ() {
    let (one, other) = (folder(), folder());
    let one = put(&open(one.path()), "k", "v").await.unwrap();
    let other = put(&open(other.path()), "k", "v").await.unwrap();
    assert_ne!(one, other);
}

#[tokio::test]
async fn the_last_handle_dropped_on_an_async_thread_makes_the_interval_durable() {
    let folder = folder();
    let store = DiskStore::builder(folder.path())
        .durability(Durability::Interval(Duration::from_secs(3600)))
        .build()
        .unwrap();
    for key in 0..100 {
        put(&store, &key.to_string(), "v").await.unwrap();
    }
    let clone = store.clone();
    drop(store);
    put(&clone, "last", "v").await.unwrap();
    tokio::spawn(async move { drop(clone) }).await.unwrap();
    assert_eq!(get(&open(folder.path()), "last").await, Some(value("v")));
}

#[test]
fn the_last_handle_can_outlive_its_runtime() {
    let folder = folder();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = open(folder.path());
    runtime.block_on(put(&store, "k", "v")).unwrap();
    drop(runtime);
    drop(store);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(runtime.block_on(get(&open(folder.path()), "k")).is_some());
}

#[tokio::test]
async fn a_second_store_in_the_process_is_refused_and_told_the_way_out() {
    let folder = folder();
    let first = open(folder.path());
    first.open().await.unwrap();
    let error = open(folder.path()).open().await.unwrap_err();
    assert!(matches!(error, Error::AlreadyOpen { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(folder.path().to_str().unwrap()), "{text}");
    assert!(text.contains(".shared()"), "{text}");
    drop(first);
    open(folder.path()).open().await.unwrap();
}

#[tokio::test]
async fn an_opening_that_is_given_up_does_not_stand_in_the_way_of_the_next() {
    let folder = folder();
    let store = open(folder.path());
    for _ in 0..20 {
        let given_up = tokio::time::timeout(Duration::ZERO, store.open()).await;
        drop(given_up);
    }
    store.open().await.unwrap();
    put(&store, "k", "v").await.unwrap();
}

#[tokio::test]
async fn values_over_the_limit_are_refused_before_anything_is_written() {
    let folder = folder();
    let store = DiskStore::builder(folder.path())
        .max_value_bytes(100)
        .build()
        .unwrap();
    let batch = vec![
        ("small".to_owned(), entry("v")),
        ("large".to_owned(), entry(&"x".repeat(100))),
    ];
    let error = store.put_many("c", batch).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooLarge {
                limit: 100,
                size: 111
            }
        ),
        "{error:?}"
    );
    assert!(get(&store, "small").await.is_none());
    assert_eq!(store.info().max_value_bytes, Some(100));
}

#[tokio::test]
async fn a_value_of_the_default_limit_is_stored() {
    let folder = folder();
    let store = open(folder.path());
    let limit = usize::try_from(store.info().max_value_bytes.unwrap()).unwrap();
    let text = "x".repeat(limit - value("").len());
    put(&store, "k", &text).await.unwrap();
    assert_eq!(get(&store, "k").await.unwrap().len(), limit);
}

#[tokio::test]
async fn compaction_gives_space_back_and_keeps_every_entry() {
    let folder = folder();
    let store = open(folder.path());
    let text = "x".repeat(10_000);
    for key in 0..200 {
        put(&store, &key.to_string(), &text).await.unwrap();
    }
    for key in (0..200).filter(|key| key % 10 != 0) {
        store.delete("c", &key.to_string()).await.unwrap();
    }
    let size = || {
        std::fs::metadata(crate::support::database(folder.path()))
            .unwrap()
            .len()
    };
    let before = size();
    assert!(store.compact().await.unwrap());
    assert!(size() < before / 2, "{} of {before}", size());
    assert_eq!(get(&store, "10").await, Some(value(&text)));
    assert!(store.check_integrity().await.unwrap());
}

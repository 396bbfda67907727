//! Operations on the whole store: cull, flush, info and destroy.

use super::Subject;
use super::subject::entry;
use crate::{Error, KeyQuery, PutMode};

pub async fn cull_keeps_every_live_entry(t: &Subject) {
    t.put("a", t.mortal(1)).await;
    t.put("b", entry(2)).await;
    let before = (t.get("a").await, t.get("b").await);
    t.store.cull().await.unwrap();
    assert_eq!((t.get("a").await, t.get("b").await), before);
    assert_eq!(t.keys().await, ["a", "b"]);
}

pub async fn cull_leaves_expired_entries_absent(t: &Subject) {
    t.put("a", t.mortal(1)).await;
    t.put("b", entry(2)).await;
    t.expire();
    t.store.cull().await.unwrap();
    assert_eq!(t.numbers(&["a", "b"]).await, [None, Some(2)]);
    assert_eq!(t.keys().await, ["b"]);
    assert!(!t.delete("a").await);
    assert!(t.try_put("a", entry(3), PutMode::Create).await.is_ok());
}

pub async fn cull_keeps_an_entry_that_was_given_a_new_life(t: &Subject) {
    t.put("a", t.mortal(1)).await;
    t.put("b", t.mortal(1)).await;
    t.expire();
    t.put("a", t.mortal(2)).await;
    t.put("b", entry(2)).await;
    t.store.cull().await.unwrap();
    assert_eq!(t.numbers(&["a", "b"]).await, [Some(2), Some(2)]);
}

pub async fn cull_counts_at_most_the_expired_entries_and_these_once(t: &Subject) {
    for n in 0..5 {
        t.put(&format!("mortal-{n}"), t.mortal(n)).await;
        t.put(&format!("immortal-{n}"), entry(n)).await;
    }
    assert_eq!(t.store.cull().await.unwrap(), 0);
    t.expire();
    assert!(t.store.cull().await.unwrap() <= 5);
    assert_eq!(t.store.cull().await.unwrap(), 0);
    assert_eq!(t.keys().await.len(), 5);
}

pub async fn flush_keeps_every_entry(t: &Subject) {
    t.store.flush().await.unwrap();
    t.put("a", t.mortal(1)).await;
    let before = t.get("a").await;
    t.store.flush().await.unwrap();
    assert_eq!(t.get("a").await, before);
}

pub async fn info_is_steady_and_names_the_store(t: &Subject) {
    let info = t.store.info();
    assert!(!info.name.is_empty());
    assert_ne!(info.max_value_bytes, Some(0));
    t.put("k", entry(1)).await;
    assert_eq!(t.store.info(), info);
}

pub async fn debug_shows_no_key_and_no_value(t: &Subject) {
    t.put("hunter2", entry(1_234_567_890)).await;
    t.get("hunter2").await;
    let text = format!("{:?}", t.store);
    assert!(!text.contains("hunter2") && !text.contains("1234567890"));
}

pub async fn a_new_store_lists_no_collection(t: &Subject) {
    assert!(t.collections_of(KeyQuery::new()).await.is_empty());
}

pub async fn collections_lists_just_those_that_hold_a_live_entry(t: &Subject) {
    let other = t.neighbour("-other");
    t.put("a", t.mortal(1)).await;
    t.put_in(&other, "b", entry(2)).await;
    let all = [t.collection.clone(), other.clone()];
    assert_eq!(t.collections_of(KeyQuery::new()).await, all);
    t.expire();
    let listed = t.collections_of(KeyQuery::new()).await;
    assert_eq!(listed, [other]);
}

pub async fn destroy_removes_every_entry(t: &Subject) {
    let other = t.neighbour("-other");
    t.put("a", entry(1)).await;
    t.put("b", t.mortal(2)).await;
    t.put_in(&other, "a", entry(3)).await;
    t.store.destroy().await.unwrap();
    assert_eq!(t.numbers(&["a", "b"]).await, [None, None]);
    assert_eq!(t.number_in(&other, "a").await, None);
    assert!(t.keys().await.is_empty());
    assert!(t.collections_of(KeyQuery::new()).await.is_empty());
}

pub async fn destroy_of_an_empty_store_does_nothing(t: &Subject) {
    t.store.destroy().await.unwrap();
    t.store.destroy().await.unwrap();
    assert!(t.collections_of(KeyQuery::new()).await.is_empty());
}

pub async fn a_destroyed_store_stays_usable(t: &Subject) {
    t.put("k", t.mortal(1)).await;
    t.store.destroy().await.unwrap();
    assert!(t.try_put("k", entry(2), PutMode::Create).await.is_ok());
    t.expire();
    assert_eq!(t.number("k").await, Some(2));
    assert_eq!(t.keys().await, ["k"]);
}

pub async fn a_revision_is_not_used_again_after_a_destroy(t: &Subject) {
    let written = entry(1).with_created_at(t.now());
    let old = t.put("k", written.clone()).await;
    t.store.destroy().await.unwrap();
    assert_ne!(t.put("k", written).await, old);
    let update = t.try_put("k", entry(2), PutMode::Update(old)).await;
    assert!(matches!(update, Err(Error::Conflict)), "{update:?}");
}

pub async fn destroy_removes_more_entries_than_a_page_lists(t: &Subject) {
    let keys: Vec<_> = (0..1100).map(|n| format!("key-{n}")).collect();
    t.put_all(&keys).await;
    t.store.destroy().await.unwrap();
    assert!(t.keys().await.is_empty());
}

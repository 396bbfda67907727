//! Operations on many keys at once.

use super::Subject;
use super::subject::{LIFE, entry, sorted};
use crate::{Entry, Error, Revision};

pub async fn get_many_keeps_the_order(t: &Subject) {
    for (n, key) in (1..).zip(["a", "b", "c"]) {
        t.put(key, entry(n)).await;
    }
    let numbers = t.numbers(&["c", "a", "b"]).await;
    assert_eq!(numbers, [Some(3), Some(1), Some(2)]);
}

pub async fn get_many_says_none_in_the_place_of_a_missing_key(t: &Subject) {
    t.put("a", entry(1)).await;
    t.put("c", entry(3)).await;
    let numbers = t.numbers(&["x", "a", "b", "c", "y"]).await;
    assert_eq!(numbers, [None, Some(1), None, Some(3), None]);
}

pub async fn get_many_repeats_a_key_that_stands_twice(t: &Subject) {
    t.put("a", entry(1)).await;
    t.put("b", entry(2)).await;
    let numbers = t.numbers(&["a", "b", "a", "x", "x", "a"]).await;
    assert_eq!(numbers, [Some(1), Some(2), Some(1), None, None, Some(1)]);
}

pub async fn get_many_of_no_keys_is_empty(t: &Subject) {
    assert!(t.numbers(&[]).await.is_empty());
}

pub async fn get_many_reads_what_get_reads(t: &Subject) {
    t.put("a", t.mortal(1)).await;
    t.put("b", entry(2)).await;
    let many = t.store.get_many(&t.collection, &["a", "b"]).await.unwrap();
    let many: Vec<_> = many.into_iter().map(Result::unwrap).collect();
    assert_eq!(many, [t.get("a").await, t.get("b").await]);
}

pub async fn get_many_reads_only_its_collection(t: &Subject) {
    t.put_in(&t.neighbour("-other"), "a", entry(1)).await;
    assert_eq!(t.numbers(&["a"]).await, [None]);
}

pub async fn put_many_stores_every_entry(t: &Subject) {
    put_many(t, &[("a", entry(1)), ("b", t.mortal(2))]).await;
    assert_eq!(t.numbers(&["a", "b"]).await, [Some(1), Some(2)]);
    assert_eq!(t.get("a").await.unwrap().expires_at, None);
    assert_eq!(t.get("b").await.unwrap().expires_at, Some(t.later(LIFE)));
    assert_eq!(t.keys().await, ["a", "b"]);
}

pub async fn put_many_returns_the_revisions_in_order(t: &Subject) {
    let entries = [("b", entry(1)), ("a", entry(2)), ("c", entry(3))];
    let revisions = put_many(t, &entries).await;
    for ((key, _), revision) in entries.iter().zip(revisions) {
        assert_eq!(t.get(key).await.unwrap().revision, Some(revision), "{key}");
    }
}

pub async fn put_many_replaces_live_entries(t: &Subject) {
    let old = t.put("a", entry(1)).await;
    let new = put_many(t, &[("a", entry(2)), ("b", entry(3))]).await;
    assert_eq!(t.numbers(&["a", "b"]).await, [Some(2), Some(3)]);
    assert_ne!(new[0], old);
}

pub async fn the_last_of_two_entries_for_one_key_wins(t: &Subject) {
    let entries = [
        ("a", entry(1)),
        ("b", entry(2)),
        ("a", t.mortal(3)),
        ("a", entry(4)),
    ];
    let revisions = put_many(t, &entries).await;
    let live = t.get("a").await.unwrap();
    assert_eq!(live.revision.as_ref(), revisions.last());
    assert_eq!(live.expires_at, None);
    assert_eq!(t.numbers(&["a", "b"]).await, [Some(4), Some(2)]);
    let read = t.get("b").await.unwrap().revision;
    assert_eq!(read.as_ref(), Some(&revisions[1]));
    assert_eq!(t.keys().await, ["a", "b"]);
}

pub async fn put_many_fills_in_and_keeps_times_of_creation(t: &Subject) {
    let created = t.earlier(LIFE);
    let given = entry(2).with_created_at(created);
    put_many(t, &[("a", entry(1)), ("b", given)]).await;
    assert_eq!(t.get("a").await.unwrap().created_at, Some(t.now()));
    assert_eq!(t.get("b").await.unwrap().created_at, Some(created));
}

pub async fn put_many_of_nothing_does_nothing(t: &Subject) {
    t.put("k", entry(1)).await;
    assert!(put_many(t, &[]).await.is_empty());
    assert_eq!(t.keys().await, ["k"]);
}

pub async fn put_many_with_an_invalid_key_writes_nothing(t: &Subject) {
    t.put("a", entry(1)).await;
    let entries = ["a", "b", "", "c"].map(|key| (key.to_owned(), entry(2)));
    let put = t.store.put_many(&t.collection, entries.to_vec()).await;
    assert!(matches!(put, Err(Error::InvalidName { .. })), "{put:?}");
    assert_eq!(t.numbers(&["a", "b", "c"]).await, [Some(1), None, None]);
    assert_eq!(t.keys().await, ["a"]);
}

pub async fn put_many_with_an_invalid_expiry_writes_nothing(t: &Subject) {
    t.put("a", entry(1)).await;
    let ended = entry(2).with_expires_at(t.now());
    let entries = [("a", entry(2)), ("b", entry(2)), ("c", ended)];
    let entries = entries.map(|(key, entry)| (key.to_owned(), entry));
    let put = t.store.put_many(&t.collection, entries.to_vec()).await;
    assert!(matches!(put, Err(Error::InvalidTtl { .. })), "{put:?}");
    assert_eq!(t.numbers(&["a", "b", "c"]).await, [Some(1), None, None]);
}

pub async fn put_many_writes_only_its_collection(t: &Subject) {
    let other = t.neighbour("-other");
    t.put_in(&other, "a", entry(1)).await;
    put_many(t, &[("a", entry(2))]).await;
    assert_eq!(t.number_in(&other, "a").await, Some(1));
}

pub async fn delete_many_tells_of_each_key_in_order(t: &Subject) {
    t.put("a", entry(1)).await;
    t.put("c", entry(3)).await;
    t.put("left", entry(4)).await;
    assert_eq!(
        delete_many(t, &["x", "c", "b", "a"]).await,
        [false, true, false, true]
    );
    assert_eq!(delete_many(t, &["c", "a"]).await, [false, false]);
    assert_eq!(t.keys().await, ["left"]);
}

pub async fn delete_many_is_true_once_for_a_key_that_stands_twice(t: &Subject) {
    t.put("a", entry(1)).await;
    t.put("b", entry(2)).await;
    let deleted = delete_many(t, &["a", "b", "a", "a"]).await;
    assert_eq!(deleted, [true, true, false, false]);
}

pub async fn delete_many_of_no_keys_does_nothing(t: &Subject) {
    t.put("a", entry(1)).await;
    assert!(delete_many(t, &[]).await.is_empty());
    assert_eq!(t.keys().await, ["a"]);
}

pub async fn delete_many_with_an_invalid_key_removes_nothing(t: &Subject) {
    t.put("a", entry(1)).await;
    let deleted = t.store.delete_many(&t.collection, &["a", ""]).await;
    assert!(matches!(deleted, Err(Error::InvalidName { .. })));
    assert_eq!(t.number("a").await, Some(1));
}

pub async fn delete_many_removes_only_from_its_collection(t: &Subject) {
    let other = t.neighbour("-other");
    t.put_in(&other, "a", entry(1)).await;
    assert_eq!(delete_many(t, &["a"]).await, [false]);
    assert_eq!(t.number_in(&other, "a").await, Some(1));
}

pub async fn a_thousand_entries_pass_through_every_bulk_operation(t: &Subject) {
    let keys: Vec<_> = (0..1000).map(|n| format!("key-{n}")).collect();
    let entries = (0..).zip(&keys).map(|(n, key)| (key.clone(), entry(n)));
    let put = t.store.put_many(&t.collection, entries.collect()).await;
    assert_eq!(put.unwrap().len(), 1000);
    let names: Vec<_> = keys.iter().map(String::as_str).collect();
    let expected: Vec<_> = (0..1000).map(Some).collect();
    assert_eq!(t.numbers(&names).await, expected);
    assert_eq!(t.keys().await, sorted(keys.clone()));
    assert_eq!(delete_many(t, &names).await, [true; 1000]);
    assert!(t.keys().await.is_empty());
}

async fn put_many(t: &Subject, entries: &[(&str, Entry)]) -> Vec<Revision> {
    let entries = entries.iter().cloned();
    let entries = entries.map(|(key, entry)| (key.to_owned(), entry));
    let put = t.store.put_many(&t.collection, entries.collect()).await;
    put.unwrap()
}

async fn delete_many(t: &Subject, keys: &[&str]) -> Vec<bool> {
    t.store.delete_many(&t.collection, keys).await.unwrap()
}

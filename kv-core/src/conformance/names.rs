//! Which names a store takes.

use super::Subject;
use super::subject::entry;
use crate::{Error, KeyQuery, PutMode, Result};

pub async fn a_key_of_one_byte_is_kept(t: &Subject) {
    assert_key_works(t, "k").await;
}

pub async fn the_longest_key_is_kept(t: &Subject) {
    assert_key_works(t, &"k".repeat(t.longest_key)).await;
}

pub async fn the_longest_key_of_wide_characters_is_kept(t: &Subject) {
    let mut key = "€".repeat(t.longest_key / 3);
    key.push_str(&"k".repeat(t.longest_key % 3));
    assert_key_works(t, &key).await;
}

pub async fn long_keys_that_differ_in_the_last_byte_are_two_entries(t: &Subject) {
    let stem = "k".repeat(t.longest_key - 1);
    t.put(&format!("{stem}a"), entry(1)).await;
    t.put(&format!("{stem}b"), entry(2)).await;
    assert_eq!(t.number(&format!("{stem}a")).await, Some(1));
    assert_eq!(t.number(&format!("{stem}b")).await, Some(2));
}

pub async fn the_longest_collection_is_kept(t: &Subject) {
    let filler = "c".repeat(t.longest_collection - t.collection.len());
    let collection = t.neighbour(&filler);
    t.put_in(&collection, "k", entry(1)).await;
    assert_eq!(t.number_in(&collection, "k").await, Some(1));
    assert_eq!(t.own_collections().await, [collection.as_str()]);
    assert_eq!(t.store.clear(&collection).await.unwrap(), 1);
}

pub async fn an_empty_key_is_invalid_in_every_operation(t: &Subject) {
    assert_key_invalid(t, "").await;
}

pub async fn a_key_over_1024_bytes_is_invalid_in_every_operation(t: &Subject) {
    assert_key_invalid(t, &"k".repeat(1025)).await;
}

pub async fn a_key_is_measured_in_bytes_and_not_in_characters(t: &Subject) {
    assert_key_invalid(t, &"€".repeat(342)).await;
}

pub async fn an_empty_collection_is_invalid_in_every_operation(t: &Subject) {
    assert_collection_invalid(t, "").await;
}

pub async fn a_collection_over_2048_bytes_is_invalid_in_every_operation(t: &Subject) {
    assert_collection_invalid(t, &"c".repeat(2049)).await;
    assert_collection_invalid(t, &"€".repeat(683)).await;
}

pub async fn a_collection_that_holds_the_separator_is_invalid_in_every_operation(t: &Subject) {
    for collection in ["a::b", "::a", "a:::b"] {
        assert_collection_invalid(t, collection).await;
    }
}

pub async fn a_collection_that_ends_in_a_colon_is_invalid_in_every_operation(t: &Subject) {
    for collection in ["a:", ":", "::", "a:b:"] {
        assert_collection_invalid(t, collection).await;
    }
}

pub async fn a_collection_may_hold_single_colons(t: &Subject) {
    let collection = format!(":{}:a:b", t.collection);
    t.put_in(&collection, "k", entry(1)).await;
    assert_eq!(t.number_in(&collection, "k").await, Some(1));
    assert_eq!(t.store.clear(&collection).await.unwrap(), 1);
}

pub async fn a_key_may_hold_the_separator(t: &Subject) {
    for key in [":", "::", "a::b", "a:", ":a", "::a", "a::"] {
        assert_key_works(t, key).await;
    }
}

pub async fn an_invalid_name_is_not_repeated_in_the_error(t: &Subject) {
    let secret = "hunter2".repeat(200);
    let error = t.store.get(&t.collection, &secret).await.unwrap_err();
    assert!(!error.to_string().contains("hunter2"));
    assert!(!format!("{error:?}").contains("hunter2"));
}

/// One entry under `key` passes through every operation.
async fn assert_key_works(t: &Subject, key: &str) {
    let created = t.try_put(key, entry(1), PutMode::Create).await.unwrap();
    let update = t.try_put(key, entry(2), PutMode::Update(created)).await;
    assert!(update.is_ok(), "{key:?}");
    assert_eq!(t.number(key).await, Some(2), "{key:?}");
    assert_eq!(t.keys().await, [key]);
    assert!(t.take(key).await.is_some(), "{key:?}");
    let entries = vec![(key.to_owned(), entry(3))];
    t.store.put_many(&t.collection, entries).await.unwrap();
    assert_eq!(t.numbers(&[key]).await, [Some(3)], "{key:?}");
    let deleted = t.store.delete_many(&t.collection, &[key]).await;
    assert_eq!(deleted.unwrap(), [true], "{key:?}");
    assert!(!t.delete(key).await, "{key:?}");
}

async fn assert_key_invalid(t: &Subject, key: &str) {
    let revision = t.put("good", entry(1)).await;
    assert_entry_operations_refuse(t, &t.collection, key, PutMode::Update(revision)).await;
    let keys = ["good", key];
    assert_invalid(&t.store.get_many(&t.collection, &keys).await);
    assert_invalid(&t.store.delete_many(&t.collection, &keys).await);
    let entries = keys.map(|key| (key.to_owned(), entry(2))).to_vec();
    assert_invalid(&t.store.put_many(&t.collection, entries).await);
    assert_eq!(t.number("good").await, Some(1));
    assert_eq!(t.keys().await, ["good"]);
}

async fn assert_collection_invalid(t: &Subject, collection: &str) {
    let revision = t.put("good", entry(1)).await;
    assert_entry_operations_refuse(t, collection, "k", PutMode::Update(revision)).await;
    assert_invalid(&t.store.get_many(collection, &["k"]).await);
    assert_invalid(&t.store.delete_many(collection, &["k"]).await);
    let entries = vec![("k".to_owned(), entry(2))];
    assert_invalid(&t.store.put_many(collection, entries).await);
    assert_invalid(&t.store.keys(collection, KeyQuery::new()).await);
    assert_invalid(&t.store.clear(collection).await);
}

async fn assert_entry_operations_refuse(t: &Subject, collection: &str, key: &str, update: PutMode) {
    for mode in [PutMode::Overwrite, PutMode::Create, update] {
        assert_invalid(&t.store.put(collection, key, entry(2), mode).await);
    }
    assert_invalid(&t.store.get(collection, key).await);
    assert_invalid(&t.store.get_fresh(collection, key).await);
    assert_invalid(&t.store.take(collection, key).await);
    assert_invalid(&t.store.delete(collection, key).await);
}

fn assert_invalid<T: std::fmt::Debug>(result: &Result<T>) {
    assert!(
        matches!(result, Err(Error::InvalidName { .. })),
        "{result:?}"
    );
}

//! Stored records that cannot be read.

use super::Subject;
use super::subject::{entry, number};
use crate::{Error, PutMode};

pub async fn reading_an_undecodable_record_is_an_error(t: &Subject) {
    spoil(t, "k").await;
    assert_undecodable(&t.store.get(&t.collection, "k").await.unwrap_err());
}

pub async fn get_many_tells_of_an_undecodable_record_in_its_place(t: &Subject) {
    t.put("a", entry(1)).await;
    spoil(t, "b").await;
    t.put("c", entry(3)).await;
    let keys = ["a", "b", "x", "c"];
    let read = t.store.get_many(&t.collection, &keys).await.unwrap();
    let [Ok(Some(a)), Err(b), Ok(None), Ok(Some(c))] = &read[..] else {
        panic!("{read:?}");
    };
    assert_undecodable(b);
    assert_eq!((number(a), number(c)), (1, 3));
}

pub async fn create_on_an_undecodable_record_is_refused(t: &Subject) {
    spoil(t, "k").await;
    let create = t.try_put("k", entry(2), PutMode::Create).await;
    assert!(matches!(create, Err(Error::AlreadyExists)), "{create:?}");
    assert_undecodable(&t.store.get(&t.collection, "k").await.unwrap_err());
}

pub async fn update_of_an_undecodable_record_is_a_conflict(t: &Subject) {
    let revision = t.put("k", entry(1)).await;
    spoil(t, "k").await;
    let update = t.try_put("k", entry(2), PutMode::Update(revision)).await;
    assert!(matches!(update, Err(Error::Conflict)), "{update:?}");
}

pub async fn overwriting_an_undecodable_record_replaces_it(t: &Subject) {
    spoil(t, "k").await;
    let revision = t.put("k", entry(2)).await;
    let read = t.get("k").await.unwrap();
    assert_eq!((number(&read), read.revision), (2, Some(revision)));
}

pub async fn put_many_over_an_undecodable_record_replaces_it(t: &Subject) {
    spoil(t, "a").await;
    let entries = vec![("a".to_owned(), entry(1)), ("b".to_owned(), entry(2))];
    t.store.put_many(&t.collection, entries).await.unwrap();
    assert_eq!(t.numbers(&["a", "b"]).await, [Some(1), Some(2)]);
}

pub async fn deleting_an_undecodable_record_is_true(t: &Subject) {
    spoil(t, "k").await;
    assert!(t.delete("k").await);
    assert_eq!(t.get("k").await, None);
    assert!(!t.delete("k").await);
}

pub async fn delete_many_of_an_undecodable_record_is_true(t: &Subject) {
    spoil(t, "a").await;
    t.put("b", entry(2)).await;
    let deleted = t.store.delete_many(&t.collection, &["a", "x", "b"]).await;
    assert_eq!(deleted.unwrap(), [true, false, true]);
    assert_eq!(t.numbers(&["a", "b"]).await, [None, None]);
}

pub async fn taking_an_undecodable_record_is_an_error_and_removes_it(t: &Subject) {
    spoil(t, "k").await;
    assert_undecodable(&t.store.take(&t.collection, "k").await.unwrap_err());
    assert_eq!(t.take("k").await, None);
    assert_eq!(t.get("k").await, None);
}

pub async fn an_undecodable_record_does_not_hide_its_neighbours(t: &Subject) {
    t.put("a", entry(1)).await;
    spoil(t, "b").await;
    t.put("c", entry(3)).await;
    t.store.cull().await.unwrap();
    let mut keys = t.keys().await;
    keys.retain(|key| key != "b");
    assert_eq!(keys, ["a", "c"]);
    assert_eq!(t.own_collections().await, [t.collection.as_str()]);
    assert!(t.clear().await >= 2);
    assert!(t.keys().await.is_empty());
}

/// Stores an entry and makes its record undecodable.
async fn spoil(t: &Subject, key: &str) {
    t.put(key, entry(99)).await;
    t.spoil(key).await;
}

fn assert_undecodable(error: &Error) {
    assert!(
        matches!(error, Error::Corrupted { .. } | Error::Decrypt(_)),
        "{error:?}"
    );
}

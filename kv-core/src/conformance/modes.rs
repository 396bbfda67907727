//! On which condition a put writes.

use super::Subject;
use super::subject::{entry, number};
use crate::{Error, PutMode};

pub async fn get_of_a_missing_key_is_none(t: &Subject) {
    assert_eq!(t.get("k").await, None);
}

pub async fn put_then_get_returns_the_value(t: &Subject) {
    t.put("k", entry(1)).await;
    assert_eq!(t.get("k").await.unwrap().value, entry(1).value);
}

pub async fn get_fresh_reads_what_get_reads(t: &Subject) {
    t.put("k", t.mortal(1)).await;
    for key in ["k", "missing"] {
        let fresh = t.store.get_fresh(&t.collection, key).await.unwrap();
        assert_eq!(fresh, t.get(key).await);
    }
}

pub async fn overwrite_replaces_the_value(t: &Subject) {
    t.put("k", entry(1)).await;
    t.put("k", entry(2)).await;
    assert_eq!(t.number("k").await, Some(2));
    assert_eq!(t.keys().await, ["k"]);
}

pub async fn overwrite_stores_where_nothing_is(t: &Subject) {
    let put = t.try_put("k", entry(1), PutMode::Overwrite).await;
    assert!(put.is_ok());
    assert_eq!(t.number("k").await, Some(1));
}

pub async fn create_on_a_missing_key_stores(t: &Subject) {
    let revision = t.try_put("k", entry(1), PutMode::Create).await.unwrap();
    let read = t.get("k").await.unwrap();
    assert_eq!((number(&read), read.revision), (1, Some(revision)));
}

pub async fn create_on_a_live_entry_is_refused_and_changes_nothing(t: &Subject) {
    t.put("k", t.mortal(1)).await;
    let before = t.get("k").await;
    let create = t.try_put("k", entry(2), PutMode::Create).await;
    assert!(matches!(create, Err(Error::AlreadyExists)), "{create:?}");
    assert_eq!(t.get("k").await, before);
}

pub async fn create_after_a_delete_stores(t: &Subject) {
    t.put("k", entry(1)).await;
    t.delete("k").await;
    assert!(t.try_put("k", entry(2), PutMode::Create).await.is_ok());
    assert_eq!(t.number("k").await, Some(2));
}

pub async fn create_after_a_take_stores(t: &Subject) {
    t.put("k", entry(1)).await;
    t.take("k").await;
    assert!(t.try_put("k", entry(2), PutMode::Create).await.is_ok());
    assert_eq!(t.number("k").await, Some(2));
}

pub async fn update_with_the_live_revision_stores(t: &Subject) {
    t.put("k", entry(1)).await;
    let live = t.get("k").await.unwrap().revision.unwrap();
    let revision = t.try_put("k", entry(2), PutMode::Update(live)).await;
    let read = t.get("k").await.unwrap();
    assert_eq!((number(&read), read.revision), (2, Some(revision.unwrap())));
}

pub async fn update_with_the_revision_of_the_last_update_stores(t: &Subject) {
    let mut revision = t.try_put("k", entry(0), PutMode::Create).await.unwrap();
    for n in 1..=5 {
        let update = t.try_put("k", entry(n), PutMode::Update(revision)).await;
        revision = update.unwrap();
    }
    assert_eq!(t.number("k").await, Some(5));
}

pub async fn update_with_an_older_revision_is_a_conflict_and_changes_nothing(t: &Subject) {
    let old = t.put("k", entry(1)).await;
    t.put("k", t.mortal(2)).await;
    let before = t.get("k").await;
    assert_conflict(t, "k", PutMode::Update(old)).await;
    assert_eq!(t.get("k").await, before);
}

pub async fn update_twice_with_one_revision_is_a_conflict(t: &Subject) {
    let revision = t.put("k", entry(1)).await;
    let update = PutMode::Update(revision);
    assert!(t.try_put("k", entry(2), update.clone()).await.is_ok());
    assert_conflict(t, "k", update).await;
    assert_eq!(t.number("k").await, Some(2));
}

pub async fn update_of_a_missing_key_is_a_conflict(t: &Subject) {
    let revision = t.put("other", entry(1)).await;
    assert_conflict(t, "k", PutMode::Update(revision)).await;
    assert_eq!(t.get("k").await, None);
}

pub async fn update_after_a_delete_is_a_conflict(t: &Subject) {
    let revision = t.put("k", entry(1)).await;
    t.delete("k").await;
    assert_conflict(t, "k", PutMode::Update(revision)).await;
    assert_eq!(t.get("k").await, None);
}

pub async fn update_after_a_rewrite_of_the_same_value_is_a_conflict(t: &Subject) {
    let written = t.mortal(1).with_created_at(t.now());
    let old = t.put("k", written.clone()).await;
    t.put("k", written).await;
    assert_conflict(t, "k", PutMode::Update(old)).await;
    assert_eq!(t.number("k").await, Some(1));
}

pub async fn update_after_a_delete_and_a_create_of_the_same_value_is_a_conflict(t: &Subject) {
    let written = t.mortal(1).with_created_at(t.now());
    let old = t.put("k", written.clone()).await;
    t.delete("k").await;
    t.try_put("k", written, PutMode::Create).await.unwrap();
    assert_conflict(t, "k", PutMode::Update(old)).await;
    assert_eq!(t.number("k").await, Some(1));
}

pub async fn update_with_the_revision_of_another_key_is_a_conflict(t: &Subject) {
    t.put("k", entry(1)).await;
    let other = t.put("other", entry(1)).await;
    assert_conflict(t, "k", PutMode::Update(other)).await;
    assert_eq!(t.number("k").await, Some(1));
}

async fn assert_conflict(t: &Subject, key: &str, mode: PutMode) {
    let put = t.try_put(key, entry(99), mode).await;
    assert!(matches!(put, Err(Error::Conflict)), "{put:?}");
}

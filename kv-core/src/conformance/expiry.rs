//! When an entry is absent.

use std::time::Duration;

use super::Subject;
use super::subject::{LIFE, MICROSECOND, entry, number};
use crate::{Error, PutMode, Timestamp};

/// Ten years, as a clock that was wrong is set right.
const DECADE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

pub async fn an_entry_is_live_a_microsecond_before_its_end(t: &Subject) {
    t.put("k", t.mortal(1)).await;
    t.clock.advance(LIFE - MICROSECOND);
    assert_eq!(t.number("k").await, Some(1));
    assert_eq!(t.keys().await, ["k"]);
    assert_eq!(t.numbers(&["k"]).await, [Some(1)]);
}

pub async fn an_entry_is_absent_at_its_end(t: &Subject) {
    t.put("k", t.mortal(1)).await;
    t.clock.advance(LIFE);
    assert_eq!(t.get("k").await, None);
}

pub async fn an_entry_is_absent_a_microsecond_after_its_end(t: &Subject) {
    t.put("k", t.mortal(1)).await;
    t.clock.advance(LIFE + MICROSECOND);
    assert_eq!(t.get("k").await, None);
}

pub async fn an_entry_without_an_expiry_never_ends(t: &Subject) {
    t.put("k", entry(1)).await;
    t.clock.set(Timestamp::MAX);
    let read = t.get("k").await.unwrap();
    assert_eq!((number(&read), read.expires_at), (1, None));
}

pub async fn the_end_of_one_entry_leaves_the_others(t: &Subject) {
    t.put("a", t.mortal(1)).await;
    t.put("b", entry(2)).await;
    t.put("c", entry(3).with_expires_at(t.later(LIFE + MICROSECOND)))
        .await;
    t.expire();
    assert_eq!(t.numbers(&["a", "b", "c"]).await, [None, Some(2), Some(3)]);
    assert_eq!(t.keys().await, ["b", "c"]);
}

pub async fn overwriting_without_an_expiry_clears_the_old_one(t: &Subject) {
    t.put("k", t.mortal(1)).await;
    t.put("k", entry(2)).await;
    assert_eq!(t.get("k").await.unwrap().expires_at, None);
    t.expire();
    assert_eq!(t.number("k").await, Some(2));
}

pub async fn overwriting_with_a_later_expiry_extends_the_life(t: &Subject) {
    t.put("k", t.mortal(1)).await;
    t.put("k", entry(2).with_expires_at(t.later(LIFE * 2)))
        .await;
    t.expire();
    assert_eq!(t.number("k").await, Some(2));
    t.expire();
    assert_eq!(t.number("k").await, None);
}

pub async fn overwriting_with_an_earlier_expiry_shortens_the_life(t: &Subject) {
    t.put("k", entry(1).with_expires_at(t.later(LIFE * 2)))
        .await;
    t.put("k", t.mortal(2)).await;
    t.expire();
    assert_eq!(t.number("k").await, None);
}

pub async fn updating_without_an_expiry_clears_the_old_one(t: &Subject) {
    let revision = t.put("k", t.mortal(1)).await;
    let update = t.try_put("k", entry(2), PutMode::Update(revision)).await;
    assert!(update.is_ok());
    t.expire();
    assert_eq!(t.number("k").await, Some(2));
}

pub async fn put_many_without_an_expiry_clears_the_old_ones(t: &Subject) {
    t.put("a", t.mortal(1)).await;
    t.put("b", t.mortal(1)).await;
    let entries = vec![("a".into(), entry(2)), ("b".into(), t.mortal(2))];
    t.store.put_many(&t.collection, entries).await.unwrap();
    t.expire();
    assert_eq!(t.numbers(&["a", "b"]).await, [Some(2), None]);
}

pub async fn an_expired_entry_is_absent_in_get_many(t: &Subject) {
    t.put("a", t.mortal(1)).await;
    t.put("b", entry(2)).await;
    t.expire();
    assert_eq!(t.numbers(&["a", "b", "a"]).await, [None, Some(2), None]);
}

pub async fn an_expired_entry_is_not_taken(t: &Subject) {
    t.put("k", t.mortal(1)).await;
    t.expire();
    assert_eq!(t.take("k").await, None);
}

pub async fn an_entry_is_taken_a_microsecond_before_its_end(t: &Subject) {
    t.put("k", t.mortal(1)).await;
    t.clock.advance(LIFE - MICROSECOND);
    assert_eq!(t.take("k").await.as_ref().map(number), Some(1));
}

pub async fn deleting_an_expired_entry_is_false(t: &Subject) {
    t.put("k", t.mortal(1)).await;
    t.expire();
    assert!(!t.delete("k").await);
}

pub async fn deleting_many_expired_entries_is_false(t: &Subject) {
    t.put("a", t.mortal(1)).await;
    t.put("b", entry(2)).await;
    t.expire();
    let deleted = t.store.delete_many(&t.collection, &["a", "b"]).await;
    assert_eq!(deleted.unwrap(), [false, true]);
}

pub async fn an_expired_entry_is_not_listed(t: &Subject) {
    t.put("a", t.mortal(1)).await;
    t.put("b", entry(2)).await;
    t.expire();
    assert_eq!(t.keys().await, ["b"]);
}

pub async fn a_collection_of_expired_entries_is_not_listed(t: &Subject) {
    let other = t.neighbour("-other");
    t.put("a", t.mortal(1)).await;
    t.put_in(&other, "b", entry(2)).await;
    t.expire();
    assert_eq!(t.own_collections().await, [other]);
}

pub async fn clear_does_not_count_an_expired_entry(t: &Subject) {
    t.put("a", t.mortal(1)).await;
    t.put("b", entry(2)).await;
    t.expire();
    assert_eq!(t.clear().await, 1);
}

pub async fn create_replaces_an_expired_entry(t: &Subject) {
    t.put("k", t.mortal(1)).await;
    t.expire();
    assert!(t.try_put("k", entry(2), PutMode::Create).await.is_ok());
    assert_eq!(t.number("k").await, Some(2));
}

pub async fn update_of_an_expired_entry_is_a_conflict(t: &Subject) {
    let revision = t.put("k", t.mortal(1)).await;
    t.expire();
    let update = t.try_put("k", entry(2), PutMode::Update(revision)).await;
    assert!(matches!(update, Err(Error::Conflict)), "{update:?}");
    assert_eq!(t.get("k").await, None);
}

pub async fn an_entry_put_after_its_end_is_absent(t: &Subject) {
    let ended = entry(1)
        .with_created_at(t.earlier(LIFE * 2))
        .with_expires_at(t.earlier(LIFE));
    t.put("k", ended.clone()).await;
    assert_eq!(t.get("k").await, None);
    assert!(t.keys().await.is_empty());
    assert!(t.try_put("k", ended, PutMode::Create).await.is_ok());
    assert!(!t.delete("k").await);
}

pub async fn an_entry_put_after_its_end_replaces_a_live_one(t: &Subject) {
    t.put("k", entry(1)).await;
    let created = t.earlier(LIFE);
    t.put(
        "k",
        entry(2).with_created_at(created).with_expires_at(t.now()),
    )
    .await;
    assert_eq!(t.get("k").await, None);
}

pub async fn a_clock_ten_years_on_ends_every_life(t: &Subject) {
    t.put("a", t.mortal(1)).await;
    t.put("b", entry(2)).await;
    t.clock.advance(DECADE);
    assert_eq!(t.numbers(&["a", "b"]).await, [None, Some(2)]);
    t.put("a", t.mortal(3)).await;
    assert_eq!(t.number("a").await, Some(3));
}

pub async fn a_clock_ten_years_back_hides_nothing(t: &Subject) {
    t.put("a", t.mortal(1)).await;
    t.put("b", entry(2)).await;
    t.clock.set(t.earlier(DECADE));
    assert_eq!(t.numbers(&["a", "b"]).await, [Some(1), Some(2)]);
    assert_eq!(t.keys().await, ["a", "b"]);
    assert_eq!(t.take("a").await.as_ref().map(number), Some(1));
}

pub async fn an_entry_written_ten_years_back_lives_its_full_life(t: &Subject) {
    // A service that expires by absolute times must not take it for long gone. DynamoDB leaves
    // alone what ended more than five years ago.
    t.clock.set(t.earlier(DECADE));
    t.put("k", t.mortal(1)).await;
    t.clock.advance(LIFE - MICROSECOND);
    assert_eq!(t.number("k").await, Some(1));
    t.clock.advance(MICROSECOND);
    assert_eq!(t.number("k").await, None);
}

pub async fn an_expired_entry_met_by_a_clock_set_back_is_whole_or_absent(t: &Subject) {
    let revision = t.put("k", t.mortal(1)).await;
    let written = t.get("k").await;
    t.expire();
    assert_eq!(t.get("k").await, None);
    t.clock.set(t.earlier(LIFE));
    let read = t.get("k").await;
    assert!(read.is_none() || read == written);
    let update = t.try_put("k", entry(2), PutMode::Update(revision)).await;
    assert_eq!(update.is_ok(), read.is_some());
}

//! The times of an entry, and which are invalid.

use std::time::Duration;

use super::Subject;
use super::subject::{LIFE, MICROSECOND, entry};
use crate::{Clock, Entry, Error, PutMode, Timestamp};

pub async fn the_store_lives_by_the_clock_it_was_given(t: &Subject) {
    assert_eq!(t.store.clock().now(), t.clock.now());
    t.clock.advance(LIFE + MICROSECOND);
    assert_eq!(t.store.clock().now(), t.clock.now());
    t.clock.set(Timestamp::UNIX_EPOCH);
    t.put("k", entry(1)).await;
    assert_times(t, Some(Timestamp::UNIX_EPOCH), None).await;
}

pub async fn put_fills_in_the_time_of_creation(t: &Subject) {
    t.clock.advance(Duration::from_micros(123_457));
    t.put("k", entry(1)).await;
    let created = t.now();
    t.clock.advance(LIFE);
    assert_eq!(t.get("k").await.unwrap().created_at, Some(created));
}

pub async fn create_and_update_fill_in_the_time_of_creation(t: &Subject) {
    let revision = t.try_put("k", entry(1), PutMode::Create).await.unwrap();
    assert_eq!(t.get("k").await.unwrap().created_at, Some(t.now()));
    t.clock.advance(LIFE);
    let update = t.try_put("k", entry(2), PutMode::Update(revision)).await;
    assert!(update.is_ok());
    assert_eq!(t.get("k").await.unwrap().created_at, Some(t.now()));
}

pub async fn put_keeps_a_given_time_of_creation(t: &Subject) {
    let created = t.earlier(LIFE + MICROSECOND);
    t.put("k", entry(1).with_created_at(created)).await;
    assert_eq!(t.get("k").await.unwrap().created_at, Some(created));
}

pub async fn put_keeps_a_time_of_creation_that_is_still_to_come(t: &Subject) {
    let created = t.later(LIFE);
    let expires = t.later(LIFE * 2);
    let early = entry(1).with_created_at(created).with_expires_at(expires);
    t.put("k", early).await;
    assert_eq!(t.get("k").await.unwrap().created_at, Some(created));
}

pub async fn overwriting_renews_the_time_of_creation(t: &Subject) {
    t.put("k", entry(1)).await;
    t.clock.advance(LIFE);
    t.put("k", entry(2)).await;
    assert_eq!(t.get("k").await.unwrap().created_at, Some(t.now()));
}

pub async fn times_are_kept_to_the_microsecond(t: &Subject) {
    for micros in [1, 10, 999, 1000, 1001, 100_000, 999_999, 1_000_000] {
        let extra = Duration::from_micros(micros);
        let created = t.later(extra);
        let expires = t.later(LIFE + extra);
        let written = entry(1).with_created_at(created).with_expires_at(expires);
        t.put("k", written).await;
        assert_times(t, Some(created), Some(expires)).await;
    }
}

pub async fn whole_seconds_are_kept(t: &Subject) {
    let second = t.now().as_micros() / 1_000_000 * 1_000_000;
    let created = Timestamp::from_micros(second);
    let expires = created.plus_ttl(LIFE).unwrap();
    let written = entry(1).with_created_at(created).with_expires_at(expires);
    t.put("k", written).await;
    assert_times(t, Some(created), Some(expires)).await;
}

pub async fn the_first_and_the_last_time_are_kept(t: &Subject) {
    let written = entry(1)
        .with_created_at(Timestamp::MIN)
        .with_expires_at(Timestamp::MAX);
    t.put("k", written).await;
    assert_times(t, Some(Timestamp::MIN), Some(Timestamp::MAX)).await;
}

pub async fn an_entry_without_an_expiry_reads_without_one(t: &Subject) {
    t.put("k", entry(1)).await;
    assert_eq!(t.get("k").await.unwrap().expires_at, None);
    let many = t.store.get_many(&t.collection, &["k"]).await.unwrap();
    assert_eq!(many[0].clone().unwrap().unwrap().expires_at, None);
}

pub async fn get_many_and_take_read_the_times(t: &Subject) {
    t.put("k", t.mortal(1)).await;
    let read = t.get("k").await;
    assert_eq!(read.as_ref().unwrap().expires_at, Some(t.later(LIFE)));
    let many = t.store.get_many(&t.collection, &["k"]).await.unwrap();
    assert_eq!(many[0].clone().unwrap(), read);
    assert_eq!(t.take("k").await, read);
}

pub async fn an_expiry_at_the_creation_is_invalid(t: &Subject) {
    assert_invalid_ttl(t, entry(9).with_expires_at(t.now())).await;
}

pub async fn an_expiry_before_the_creation_is_invalid(t: &Subject) {
    assert_invalid_ttl(t, entry(9).with_expires_at(t.earlier(MICROSECOND))).await;
    assert_invalid_ttl(t, entry(9).with_expires_at(Timestamp::MIN)).await;
}

pub async fn an_expiry_before_a_given_creation_is_invalid(t: &Subject) {
    let late = entry(9).with_created_at(t.later(LIFE * 2));
    assert_invalid_ttl(t, late.with_expires_at(t.later(LIFE))).await;
    let early = entry(9).with_created_at(t.earlier(LIFE));
    assert_invalid_ttl(t, early.with_expires_at(t.earlier(LIFE))).await;
}

pub async fn an_expiry_a_microsecond_after_the_creation_is_valid(t: &Subject) {
    // No read: a service's own clock may end it while this case still runs.
    let brief = entry(1).with_expires_at(t.later(MICROSECOND));
    let put = t.try_put("k", brief, PutMode::Overwrite).await;
    assert!(put.is_ok(), "{put:?}");
    t.clock.advance(MICROSECOND);
    assert_eq!(t.get("k").await, None);
}

async fn assert_times(t: &Subject, created: Option<Timestamp>, expires: Option<Timestamp>) {
    let read = t.get("k").await.unwrap();
    assert_eq!((read.created_at, read.expires_at), (created, expires));
}

/// No put takes `invalid`, nor does a bulk put write anything with it.
async fn assert_invalid_ttl(t: &Subject, invalid: Entry) {
    let live = t.put("k", entry(1)).await;
    let before = t.get("k").await;
    for (key, mode) in [
        ("k", PutMode::Overwrite),
        ("new", PutMode::Create),
        ("k", PutMode::Update(live)),
    ] {
        let put = t.try_put(key, invalid.clone(), mode).await;
        assert!(matches!(put, Err(Error::InvalidTtl { .. })), "{put:?}");
    }
    let entries = vec![("k".into(), entry(2)), ("new".into(), invalid)];
    let put = t.store.put_many(&t.collection, entries).await;
    assert!(matches!(put, Err(Error::InvalidTtl { .. })), "{put:?}");
    assert_eq!(t.get("k").await, before);
    assert_eq!(t.get("new").await, None);
}

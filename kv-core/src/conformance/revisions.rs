//! The mark of each write.

use super::Subject;
use super::subject::entry;
use crate::{Error, PutMode, Revision};

pub async fn put_returns_the_revision_that_get_reads(t: &Subject) {
    let revision = t.put("k", entry(1)).await;
    assert_eq!(t.get("k").await.unwrap().revision, Some(revision));
}

pub async fn get_many_reads_the_live_revisions(t: &Subject) {
    let a = t.put("a", entry(1)).await;
    let b = t.put("b", entry(1)).await;
    let read = t.store.get_many(&t.collection, &["b", "a"]).await.unwrap();
    let read = read.into_iter().map(|entry| entry.unwrap().unwrap());
    let read: Vec<_> = read.map(|entry| entry.revision.unwrap()).collect();
    assert_eq!(read, [b, a]);
}

pub async fn take_reads_the_live_revision(t: &Subject) {
    let revision = t.put("k", entry(1)).await;
    assert_eq!(t.take("k").await.unwrap().revision, Some(revision));
}

pub async fn reading_does_not_change_the_revision(t: &Subject) {
    let revision = t.put("k", entry(1)).await;
    for _ in 0..3 {
        assert_eq!(t.get("k").await.unwrap().revision.as_ref(), Some(&revision));
        t.numbers(&["k"]).await;
        t.keys().await;
    }
    let update = t.try_put("k", entry(2), PutMode::Update(revision)).await;
    assert!(update.is_ok());
}

pub async fn a_refused_write_does_not_change_the_revision(t: &Subject) {
    let old = t.put("k", entry(1)).await;
    let live = t.put("k", entry(2)).await;
    let create = t.try_put("k", entry(3), PutMode::Create).await;
    assert!(create.is_err());
    let update = t.try_put("k", entry(3), PutMode::Update(old)).await;
    assert!(update.is_err());
    assert_eq!(t.get("k").await.unwrap().revision, Some(live));
}

pub async fn every_write_of_one_value_has_its_own_revision(t: &Subject) {
    let written = t.mortal(1).with_created_at(t.now());
    let mut revisions = Vec::new();
    for _ in 0..20 {
        revisions.push(t.put("k", written.clone()).await);
    }
    let entries = vec![("k".into(), written.clone()); 5];
    revisions.extend(t.store.put_many(&t.collection, entries).await.unwrap());
    let live = revisions.last().unwrap().clone();
    let update = t.try_put("k", written, PutMode::Update(live)).await;
    revisions.push(update.unwrap());
    assert_distinct(&revisions);
}

pub async fn writes_of_one_value_to_two_keys_have_two_revisions(t: &Subject) {
    let written = t.mortal(1).with_created_at(t.now());
    let a = t.put("a", written.clone()).await;
    let b = t.put("b", written).await;
    assert_ne!(a, b);
}

pub async fn a_revision_is_not_used_again_after_the_entry_went(t: &Subject) {
    let written = entry(1).with_created_at(t.now());
    let mut revisions = vec![t.put("k", written.clone()).await];
    t.delete("k").await;
    revisions.push(t.put("k", written.clone()).await);
    t.take("k").await;
    revisions.push(t.put("k", written.clone()).await);
    t.clear().await;
    revisions.push(t.put("k", written.clone()).await);
    t.store.delete_many(&t.collection, &["k"]).await.unwrap();
    revisions.push(t.put("k", written).await);
    assert_distinct(&revisions);
}

pub async fn a_revision_is_not_used_again_after_the_entry_expired(t: &Subject) {
    let old = t.put("k", t.mortal(1)).await;
    t.expire();
    t.store.cull().await.unwrap();
    let new = t.put("k", t.mortal(1)).await;
    assert_ne!(old, new);
    let update = t.try_put("k", entry(2), PutMode::Update(old)).await;
    assert!(matches!(update, Err(Error::Conflict)), "{update:?}");
}

pub async fn the_revision_in_an_entry_to_put_is_ignored(t: &Subject) {
    let old = t.put("k", entry(1)).await;
    let carried = entry(2).with_revision(old.clone());
    let new = t.put("k", carried.clone()).await;
    assert_ne!(old, new);
    assert_eq!(t.get("k").await.unwrap().revision, Some(new.clone()));
    let update = t.try_put("k", carried.clone(), PutMode::Update(new)).await;
    assert_ne!(update.unwrap(), old);
    let entries = vec![("k".into(), carried)];
    let put = t.store.put_many(&t.collection, entries).await.unwrap();
    assert_ne!(put, [old]);
}

pub async fn an_entry_that_was_read_can_be_put_back(t: &Subject) {
    t.put("k", t.mortal(1)).await;
    let read = t.get("k").await.unwrap();
    let live = read.revision.clone().unwrap();
    let update = t.try_put("k", read.clone(), PutMode::Update(live)).await;
    let again = t.get("k").await.unwrap();
    assert_eq!(again.revision, Some(update.unwrap()));
    assert_eq!(again.with_revision(read.revision.clone()), read);
}

pub async fn revisions_of_two_stores_never_meet(a: &Subject, b: &Subject) {
    let written = entry(1).with_created_at(a.now());
    let mut revisions = Vec::new();
    for _ in 0..10 {
        for t in [a, b] {
            revisions.push(t.put_in(&a.collection, "k", written.clone()).await);
        }
    }
    assert_distinct(&revisions);
}

pub async fn update_with_a_revision_of_another_store_is_a_conflict(a: &Subject, b: &Subject) {
    // The order makes it a conflict also when both makers hand out one service.
    let foreign = b.put_in(&a.collection, "k", entry(1)).await;
    a.put("k", entry(2)).await;
    let update = a.try_put("k", entry(3), PutMode::Update(foreign)).await;
    assert!(matches!(update, Err(Error::Conflict)), "{update:?}");
    assert_eq!(a.number("k").await, Some(2));
}

fn assert_distinct(revisions: &[Revision]) {
    let distinct: std::collections::HashSet<_> = revisions.iter().collect();
    assert_eq!(distinct.len(), revisions.len(), "a revision is used again");
}

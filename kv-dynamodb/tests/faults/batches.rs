//! Batches of which the service does a part.

use std::collections::BTreeSet;

use kv_core::{Error, PutMode, Store};

use super::{Faulty, OPERATION, entry, within};
use crate::proxy::Fault;

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("k{n}")).collect()
}

fn entries(keys: &[String]) -> Vec<(String, kv_core::Entry)> {
    let numbered = keys.iter().zip(0..);
    numbered.map(|(key, n)| (key.clone(), entry(n))).collect()
}

fn refs(keys: &[String]) -> Vec<&str> {
    keys.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn what_a_batch_left_undone_is_done_later() {
    let t = Faulty::patient().await;
    let c = &t.collection;
    for count in [1, 2, 24, 25, 26, 99, 100, 101, 1001] {
        for part in [0, 1, 20, 7] {
            t.proxy.spoil("BatchWriteItem", 1, Fault::Partly(part));
            t.proxy.spoil("BatchGetItem", 1, Fault::Partly(part));
        }
        let keys = keys(count);
        let revisions = t.store.put_many(c, entries(&keys)).await.unwrap();
        let read = t.store.get_many(c, &refs(&keys)).await.unwrap();
        assert_eq!(read.len(), count);
        for ((read, revision), n) in read.into_iter().zip(revisions).zip(0..) {
            let read = read.unwrap().unwrap();
            assert_eq!(
                (read.value, read.revision),
                (entry(n).value, Some(revision))
            );
        }
        t.proxy.heal();
        t.proxy.spoil("BatchWriteItem", 2, Fault::Partly(3));
        assert_eq!(t.store.clear(c).await.unwrap(), count as u64);
        assert!(
            t.store
                .keys(c, Default::default())
                .await
                .unwrap()
                .keys
                .is_empty()
        );
        t.proxy.heal();
    }
}

#[tokio::test]
async fn keys_that_stayed_unwritten_are_named_and_the_others_are_written() {
    let t = Faulty::new().await;
    let c = &t.collection;
    let keys = keys(60);
    t.proxy.spoil("BatchWriteItem", 1, Fault::Partly(25));
    t.proxy.spoil("BatchWriteItem", 1, Fault::Partly(10));
    t.proxy
        .spoil("BatchWriteItem", usize::MAX, Fault::Partly(0));
    let error = t.store.put_many(c, entries(&keys)).await.unwrap_err();
    let Error::Incomplete { keys: left, .. } = &error else {
        panic!("{error:?}");
    };
    let left: BTreeSet<_> = left.iter().map(String::as_str).collect();
    assert_eq!(left.len(), 25);
    for (key, read) in keys
        .iter()
        .zip(t.direct.get_many(c, &refs(&keys)).await.unwrap())
    {
        assert_eq!(
            read.unwrap().is_none(),
            left.contains(key.as_str()),
            "{key}"
        );
    }
}

#[tokio::test]
async fn a_batch_of_which_nothing_was_written_is_unavailable_in_time() {
    let t = Faulty::new().await;
    t.proxy
        .spoil("BatchWriteItem", usize::MAX, Fault::Partly(0));
    let put = t.store.put_many(&t.collection, entries(&keys(30)));
    let error = within(OPERATION, put).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn keys_that_stayed_unread_are_errors_in_their_places() {
    let t = Faulty::new().await;
    let c = &t.collection;
    let keys = keys(120);
    t.direct.put_many(c, entries(&keys)).await.unwrap();
    t.proxy.spoil("BatchGetItem", 1, Fault::Partly(40));
    t.proxy.spoil("BatchGetItem", usize::MAX, Fault::Partly(0));
    let read = within(OPERATION, t.store.get_many(c, &refs(&keys)))
        .await
        .unwrap();
    assert_eq!(read.len(), 120);
    let (mut found, mut failed) = (0, 0);
    for (read, n) in read.into_iter().zip(0..) {
        match read {
            Ok(read) => {
                assert_eq!(read.unwrap().value, entry(n).value);
                found += 1;
            }
            Err(error) => {
                assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
                failed += 1;
            }
        }
    }
    assert_eq!((found, failed), (40, 80));
}

#[tokio::test]
async fn a_batch_that_cannot_be_read_at_all_is_one_error() {
    let t = Faulty::new().await;
    t.proxy.spoil("BatchGetItem", usize::MAX, Fault::Partly(0));
    let read = t.store.get_many(&t.collection, &["a", "b"]);
    let error = within(OPERATION, read).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_bulk_removal_that_fails_halfway_is_of_unknown_outcome() {
    let t = Faulty::new().await;
    let c = &t.collection;
    let keys = keys(60);
    t.direct.put_many(c, entries(&keys)).await.unwrap();

    t.proxy.spoil("BatchWriteItem", 1, Fault::Partly(25));
    t.proxy
        .spoil("BatchWriteItem", usize::MAX, Fault::Partly(0));
    let error = t.store.clear(c).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error:?}");
    t.proxy.heal();

    let left = t.direct.keys(c, Default::default()).await.unwrap().keys;
    assert_eq!(left.len(), 35);
    t.proxy
        .spoil("DeleteItem", 16, Fault::Delay(Default::default()));
    t.proxy.spoil(
        "DeleteItem",
        usize::MAX,
        Fault::Refuse(400, "AccessDeniedException"),
    );
    let error = t.store.delete_many(c, &refs(&left)).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error:?}");
    t.proxy.heal();
    let left = t.direct.keys(c, Default::default()).await.unwrap().keys;
    assert_eq!(left.len(), 19);
}

#[tokio::test]
async fn a_bulk_removal_that_fails_before_anything_went_is_unavailable() {
    let t = Faulty::new().await;
    let c = &t.collection;
    t.direct
        .put(c, "k", entry(1), PutMode::Create)
        .await
        .unwrap();
    t.proxy
        .spoil("BatchWriteItem", usize::MAX, Fault::Partly(0));
    let error = within(OPERATION, t.store.clear(c)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_bulk_removal_of_which_one_is_unknown_is_unknown_whatever_befell_the_others() {
    let t = Faulty::new().await;
    let c = &t.collection;
    let keys = keys(8);
    t.direct.put_many(c, entries(&keys)).await.unwrap();
    t.proxy.spoil("DeleteItem", 1, Fault::CutAfter);
    let denied = Fault::Refuse(400, "AccessDeniedException");
    t.proxy.spoil("DeleteItem", usize::MAX, denied);
    let error = t.store.delete_many(c, &refs(&keys)).await.unwrap_err();
    assert_eq!(t.proxy.handed_on("DeleteItem"), 1);
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error:?}");
}

#[tokio::test]
async fn a_batch_that_may_have_been_applied_stays_unknown_when_its_repetition_is_left_undone() {
    for rest in [
        Fault::Partly(0),
        Fault::Refuse(400, "ProvisionedThroughputExceededException"),
    ] {
        let t = Faulty::new().await;
        let c = &t.collection;
        t.proxy.spoil("BatchWriteItem", 1, Fault::CutAfter);
        t.proxy.spoil("BatchWriteItem", 1, Fault::Partly(0));
        t.proxy.spoil("BatchWriteItem", usize::MAX, rest);
        let put = t.store.put_many(c, entries(&keys(3)));
        let error = within(OPERATION, put).await.unwrap_err();
        assert!(t.direct.get(c, "k0").await.unwrap().is_some());
        assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error:?}");
    }
}

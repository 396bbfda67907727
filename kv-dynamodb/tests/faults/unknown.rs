//! Writes whose answer never came: applied at most once, and said to be unknown unless one read
//! shows that they were applied.

use std::time::Duration;

use kv_core::{Error, PutMode, Store};

use super::{Faulty, SILENCE, entry, within};
use crate::proxy::Fault;

fn is_unknown<T>(result: &kv_core::Result<T>) -> bool {
    matches!(result, Err(Error::OutcomeUnknown { .. }))
}

#[tokio::test]
async fn a_create_and_an_update_that_were_applied_unanswered_are_settled_by_a_read() {
    let t = Faulty::patient().await;
    let c = &t.collection;
    for (n, fault) in [
        Fault::CutAfter,
        Fault::CutWithin,
        Fault::RefuseAfter(500, "InternalServerError"),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("k{n}");
        let puts = t.proxy.arrived("PutItem");
        let reads = t.proxy.arrived("GetItem");
        t.proxy.spoil("PutItem", 2, fault);
        let created = t
            .store
            .put(c, &key, entry(1), PutMode::Create)
            .await
            .unwrap();
        let update = PutMode::Update(created);
        let updated = t.store.put(c, &key, entry(2), update).await.unwrap();
        assert_eq!(t.proxy.arrived("PutItem"), puts + 2);
        assert_eq!(t.proxy.arrived("GetItem"), reads + 2);
        let read = t.store.get(c, &key).await.unwrap().unwrap();
        assert_eq!(read.revision, Some(updated));
    }
}

#[tokio::test]
async fn a_conditional_write_that_never_arrived_is_unknown_and_not_sent_again() {
    let t = Faulty::patient().await;
    let c = &t.collection;
    let old = t
        .store
        .put(c, "k", entry(1), PutMode::Create)
        .await
        .unwrap();
    let (arrived, handed_on) = (t.proxy.arrived("PutItem"), t.proxy.handed_on("PutItem"));
    t.proxy.spoil("PutItem", 2, Fault::CutBefore);
    let create = t.store.put(c, "new", entry(2), PutMode::Create).await;
    assert!(is_unknown(&create), "{create:?}");
    let update = PutMode::Update(old.clone());
    let update = t.store.put(c, "k", entry(2), update).await;
    assert!(is_unknown(&update), "{update:?}");
    assert_eq!(t.proxy.arrived("PutItem"), arrived + 2);
    assert_eq!(t.proxy.handed_on("PutItem"), handed_on);
    assert_eq!(t.store.get(c, "new").await.unwrap(), None);
    assert_eq!(
        t.store.get(c, "k").await.unwrap().unwrap().revision,
        Some(old)
    );
}

#[tokio::test]
async fn a_create_that_cannot_be_settled_is_unknown() {
    let t = Faulty::patient().await;
    let c = &t.collection;
    t.proxy.spoil("PutItem", 1, Fault::CutAfter);
    t.proxy.spoil("GetItem", 3, Fault::CutBefore);
    let create = t.store.put(c, "k", entry(1), PutMode::Create).await;
    assert!(is_unknown(&create), "{create:?}");
    assert!(t.store.get(c, "k").await.unwrap().is_some());
}

#[tokio::test]
async fn a_take_and_a_delete_without_an_answer_are_unknown_and_sent_once() {
    let t = Faulty::patient().await;
    let c = &t.collection;
    for (fault, is_applied) in [
        (Fault::CutAfter, true),
        (Fault::CutWithin, true),
        (Fault::RefuseAfter(500, "InternalServerError"), true),
        (Fault::CutBefore, false),
    ] {
        for key in ["taken", "deleted"] {
            t.store
                .put(c, key, entry(1), PutMode::Overwrite)
                .await
                .unwrap();
        }
        let arrived = t.proxy.arrived("DeleteItem");
        t.proxy.spoil("DeleteItem", 2, fault.clone());
        let take = t.store.take(c, "taken").await;
        assert!(is_unknown(&take), "{fault:?}: {take:?}");
        let delete = t.store.delete(c, "deleted").await;
        assert!(is_unknown(&delete), "{fault:?}: {delete:?}");
        assert_eq!(t.proxy.arrived("DeleteItem"), arrived + 2);
        for key in ["taken", "deleted"] {
            let read = t.store.get(c, key).await.unwrap();
            assert_eq!(read.is_none(), is_applied, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn an_overwrite_without_an_answer_is_sent_again() {
    let t = Faulty::patient().await;
    let c = &t.collection;
    for fault in [Fault::CutBefore, Fault::CutAfter, Fault::CutWithin] {
        t.proxy.spoil("PutItem", 2, fault);
        let put = t.store.put(c, "k", entry(1), PutMode::Overwrite).await;
        let read = t.store.get(c, "k").await.unwrap().unwrap();
        assert_eq!(read.revision, Some(put.unwrap()));
    }
}

#[tokio::test]
async fn writes_that_are_never_answered_are_unknown_in_time() {
    let t = Faulty::hasty().await;
    let c = &t.collection;
    for operation in ["PutItem", "DeleteItem", "BatchWriteItem"] {
        t.proxy.spoil(operation, usize::MAX, Fault::Silence);
    }
    for mode in [PutMode::Overwrite, PutMode::Create] {
        let put = t.store.put(c, "k", entry(1), mode);
        let put = within(SILENCE, put).await;
        assert!(is_unknown(&put), "{put:?}");
    }
    let take = within(SILENCE, t.store.take(c, "k")).await;
    assert!(is_unknown(&take), "{take:?}");
    let entries = vec![("k".to_owned(), entry(1))];
    let put = within(SILENCE, t.store.put_many(c, entries)).await;
    assert!(is_unknown(&put), "{put:?}");
}

#[tokio::test]
async fn a_late_answer_never_reaches_another_request() {
    let attempt = Duration::from_secs(1);
    let t = Faulty::unopened(|builder| builder.attempt_timeout(attempt)).await;
    let c = &t.collection;
    for n in 0..2 {
        let key = format!("k{n}");
        let put = t.store.put(c, &key, entry(n), PutMode::Create);
        put.await.unwrap();
    }
    for n in 0..4 {
        // So late that the first attempt has given up, and the answer comes into the second.
        t.proxy.spoil(
            "GetItem",
            1,
            Fault::Delay(attempt + Duration::from_millis(20)),
        );
        let key = format!("k{}", n % 2);
        let read = t.store.get(c, &key).await.unwrap().unwrap();
        assert_eq!(read.value, entry(n % 2).value);
    }
}

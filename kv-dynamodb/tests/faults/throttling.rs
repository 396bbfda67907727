//! A service that takes no more requests.

use kv_core::{Error, PutMode, Store};
use kv_dynamodb::AwsError;

use super::{Faulty, OPERATION, entry, within};
use crate::proxy::Fault;

const THROTTLED: Fault = Fault::Refuse(400, "ProvisionedThroughputExceededException");

#[tokio::test]
async fn five_refusals_in_a_row_are_waited_out_and_the_work_done_once() {
    let t = Faulty::patient().await;
    let c = &t.collection;
    for code in [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
    ] {
        for operation in ["GetItem", "PutItem", "DeleteItem", "Query"] {
            t.proxy.spoil(operation, 5, Fault::Refuse(400, code));
        }
        let puts = t.proxy.handed_on("PutItem");
        let revision = t
            .store
            .put(c, "k", entry(1), PutMode::Create)
            .await
            .unwrap();
        assert_eq!(t.proxy.handed_on("PutItem"), puts + 1);
        let read = t.store.get(c, "k").await.unwrap().unwrap();
        assert_eq!(read.revision, Some(revision));
        assert_eq!(
            t.store.keys(c, Default::default()).await.unwrap().keys,
            ["k"]
        );
        assert_eq!(t.store.take(c, "k").await.unwrap(), Some(read));
    }
}

#[tokio::test]
async fn endless_throttling_is_unavailable_in_time_and_nothing_is_applied() {
    let t = Faulty::new().await;
    let c = &t.collection;
    for operation in ["GetItem", "PutItem", "DeleteItem", "Query", "Scan"] {
        t.proxy.spoil(operation, usize::MAX, THROTTLED);
    }
    let old = t.proxy.handed_on("PutItem") + t.proxy.handed_on("DeleteItem");
    let create = t.store.put(c, "k", entry(1), PutMode::Create);
    let overwrite = t.store.put(c, "k", entry(1), PutMode::Overwrite);
    for error in [
        within(OPERATION, create).await.unwrap_err(),
        within(OPERATION, overwrite).await.unwrap_err(),
        within(OPERATION, t.store.get(c, "k")).await.unwrap_err(),
        within(OPERATION, t.store.take(c, "k")).await.unwrap_err(),
        within(OPERATION, t.store.delete(c, "k")).await.unwrap_err(),
        within(OPERATION, t.store.keys(c, Default::default()))
            .await
            .unwrap_err(),
        within(OPERATION, t.store.collections(Default::default()))
            .await
            .unwrap_err(),
        within(OPERATION, t.store.clear(c)).await.unwrap_err(),
        within(OPERATION, t.store.destroy()).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        let reported: &AwsError = error.driver_error().unwrap();
        assert_eq!(
            reported.code(),
            Some("ProvisionedThroughputExceededException")
        );
    }
    let new = t.proxy.handed_on("PutItem") + t.proxy.handed_on("DeleteItem");
    assert_eq!(new, old);
    t.proxy.heal();
    assert_eq!(t.direct.get(c, "k").await.unwrap(), None);
}

#[tokio::test]
async fn an_overwrite_that_failed_once_before_it_was_throttled_is_of_unknown_outcome() {
    let t = Faulty::new().await;
    t.proxy.spoil("PutItem", 1, Fault::CutAfter);
    t.proxy.spoil("PutItem", usize::MAX, THROTTLED);
    let put = t
        .store
        .put(&t.collection, "k", entry(1), PutMode::Overwrite);
    let error = within(OPERATION, put).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error:?}");
    assert!(t.direct.get(&t.collection, "k").await.unwrap().is_some());
}

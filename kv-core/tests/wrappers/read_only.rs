//! `ReadOnly`: its own suite, as it keeps only the reading half of the contract.

use std::sync::Arc;

use kv_core::wrappers::ReadOnly;
use kv_core::{Error, KeyQuery, PutMode, Result, Store, StoreExt};

use super::{entry, number, put};
use crate::probe::Probe;

/// A store with one entry, and its read-only form.
async fn stores() -> (Arc<Probe>, ReadOnly<Arc<Probe>>) {
    let store = Probe::new();
    put(&store, "c", "k", 1).await;
    store.calls();
    let read_only = Arc::clone(&store).read_only();
    (store, read_only)
}

fn assert_refused<T: std::fmt::Debug>(result: Result<T>) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::ReadOnly), "{error}");
}

#[tokio::test]
async fn every_write_is_refused_and_never_reaches_the_store() {
    let (store, read_only) = stores().await;
    let revision = store.get("c", "k").await.unwrap().unwrap().revision;
    let update = PutMode::Update(revision.unwrap());
    store.calls();
    for mode in [PutMode::Overwrite, PutMode::Create, update] {
        assert_refused(read_only.put("c", "k", entry(2), mode).await);
    }
    assert_refused(read_only.delete("c", "k").await);
    assert_refused(read_only.take("c", "k").await);
    assert_refused(
        read_only
            .put_many("c", vec![("k".to_owned(), entry(2))])
            .await,
    );
    assert_refused(read_only.delete_many("c", &["k"]).await);
    assert_refused(read_only.clear("c").await);
    assert_refused(read_only.destroy().await);
    assert_eq!(store.calls(), [""; 0]);
    assert_eq!(number(&store, "c", "k").await, Some(1));
}

#[tokio::test]
async fn bulk_writes_are_refused_without_input_too() {
    let (_, read_only) = stores().await;
    assert_refused(read_only.put_many("c", Vec::new()).await);
    assert_refused(read_only.delete_many("c", &[]).await);
}

#[tokio::test]
async fn reads_are_those_of_the_store() {
    let (store, read_only) = stores().await;
    assert_eq!(number(&read_only, "c", "k").await, Some(1));
    assert_eq!(read_only.get_many("c", &["k", "l"]).await.unwrap().len(), 2);
    let keys = read_only.keys("c", KeyQuery::new()).await.unwrap().keys;
    assert_eq!(keys, ["k"]);
    let collections = read_only.collections(KeyQuery::new()).await.unwrap();
    assert_eq!(collections.collections, ["c"]);
    assert_eq!(store.calls(), ["get", "get_many", "keys", "collections"]);
    assert_eq!(read_only.info(), store.info());
}

#[tokio::test]
async fn cull_does_nothing_and_flush_is_passed_on() {
    let (store, read_only) = stores().await;
    assert_eq!(read_only.cull().await.unwrap(), 0);
    read_only.flush().await.unwrap();
    assert_eq!(store.calls(), ["flush"]);
}

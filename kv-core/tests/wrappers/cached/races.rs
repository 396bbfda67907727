//! Loads that are shared, and writes while one is under way.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use kv_core::conformance::Fault;
use kv_core::wrappers::{Cached, Operation};
use kv_core::{Error, PutMode, Store, StoreExt};
use tokio::task::{JoinHandle, yield_now};

use super::super::{entry, number, put};
use super::{Setup, fresh, setup};
use crate::probe::{After, Gate, Probe};
use crate::support::ReferenceStore;

type Store1 = Cached<Arc<Probe>, ReferenceStore>;

/// A load from the probe that has read 1 and not returned, until the gate is dropped.
async fn loading() -> (Arc<Probe>, Store1, JoinHandle<Option<u64>>, Gate) {
    let far = Probe::new();
    put(&far, "c", "k", 1).await;
    let store = Arc::clone(&far).cached(ReferenceStore::new(Arc::clone(&far.clock)));
    drop(far.calls());
    far.then(After::Hold);
    let reader = store.clone();
    let load = tokio::spawn(async move { number(&reader, "c", "k").await });
    while !far.calls().contains(&"get") {
        yield_now().await;
    }
    let gate = far.hold_these();
    (far, store, load, gate)
}

/// Does `write` while a load is under way, and checks what is read afterwards.
async fn is_discarded<W>(write: impl FnOnce(Store1) -> W, expected: Option<u64>)
where
    W: Future<Output = ()>,
{
    let (_, store, load, gate) = loading().await;
    write(store.clone()).await;
    // Also of a copy that the load has yet to put.
    assert_eq!(number(&store, "c", "k").await, expected);
    drop(gate);
    assert_eq!(load.await.unwrap(), Some(1));
    for _ in 0..3 {
        assert_eq!(number(&store, "c", "k").await, expected);
    }
}

#[tokio::test]
async fn a_load_that_raced_a_put_is_not_kept() {
    let write = async |store: Store1| put(&store, "c", "k", 2).await;
    is_discarded(write, Some(2)).await;
}

#[tokio::test]
async fn a_load_that_raced_a_conditional_put_is_not_kept() {
    let write = async |store: Store1| {
        let live = store.get_fresh("c", "k").await.unwrap().unwrap();
        let mode = PutMode::Update(live.revision.unwrap());
        store.put("c", "k", entry(2), mode).await.unwrap();
    };
    is_discarded(write, Some(2)).await;
}

#[tokio::test]
async fn a_load_that_raced_a_bulk_put_is_not_kept() {
    let write = async |store: Store1| {
        let entries = vec![("other".to_owned(), entry(3)), ("k".to_owned(), entry(2))];
        store.put_many("c", entries).await.unwrap();
    };
    is_discarded(write, Some(2)).await;
}

#[tokio::test]
async fn a_load_that_raced_a_removal_is_not_kept() {
    for n in 0..5 {
        let write = async |store: Store1| match n {
            0 => drop(store.delete("c", "k").await.unwrap()),
            1 => drop(store.take("c", "k").await.unwrap()),
            2 => drop(store.delete_many("c", &["x", "k"]).await.unwrap()),
            3 => assert_eq!(store.clear("c").await.unwrap(), 1),
            _ => store.destroy().await.unwrap(),
        };
        is_discarded(write, None).await;
    }
}

#[tokio::test]
async fn a_read_joins_no_load_from_before_a_write_through_a_clone_with_other_times() {
    let (_, store, load, gate) = loading().await;
    let clone = store.clone().with_max_ttl(Duration::from_secs(60));
    put(&clone, "c", "k", 2).await;
    let read = number(&store, "c", "k").now_or_never();
    assert_eq!(read, Some(Some(2)));
    drop(gate);
    assert_eq!(load.await.unwrap(), Some(1));
}

#[tokio::test]
async fn a_load_that_began_before_a_fresh_get_brings_back_nothing_older() {
    let (far, store, load, gate) = loading().await;
    put(&far, "c", "k", 2).await;
    assert_eq!(fresh(&store).await.unwrap(), Some(2));
    // Neither waits for that load nor for a copy of it.
    let read = number(&store, "c", "k").now_or_never();
    assert_eq!(read, Some(Some(2)));
    drop(gate);
    assert_eq!(load.await.unwrap(), Some(1));
    for _ in 0..3 {
        assert_eq!(number(&store, "c", "k").await, Some(2));
    }
}

#[tokio::test]
async fn a_copy_that_is_being_put_during_a_fresh_get_is_not_read_after_it() {
    let Setup {
        far, near, store, ..
    } = setup();
    put(&far, "c", "k", 1).await;
    near.inject(Fault::pause().on(Operation::Put));
    let mut load = Box::pin(number(&store, "c", "k"));
    assert!((&mut load).now_or_never().is_none());
    put(&far, "c", "k", 2).await;
    assert_eq!(fresh(&store).await.unwrap(), Some(2));
    assert_eq!(load.await, Some(1));
    for _ in 0..3 {
        assert_eq!(number(&store, "c", "k").await, Some(2));
    }
}

#[tokio::test]
async fn an_error_reaches_those_who_shared_the_load_and_is_not_kept() {
    let far = Probe::new();
    put(&far, "c", "k", 1).await;
    let store = Arc::clone(&far).cached(ReferenceStore::new(Arc::clone(&far.clock)));
    far.then(After::Hold);
    let gets: Vec<_> = (0..20)
        .map(|_| {
            let reader = store.clone();
            tokio::spawn(async move { reader.get("c", "k").await })
        })
        .collect();
    for _ in 0..100 {
        yield_now().await;
    }
    drop(far.calls());
    far.then(After::Fail(Error::ReadOnly));
    for get in gets {
        assert!(matches!(get.await.unwrap(), Err(Error::ReadOnly)));
    }
    assert!(far.calls().is_empty());
    far.release();
    assert_eq!(number(&store, "c", "k").await, Some(1));
}

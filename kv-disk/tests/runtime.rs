//! On which runtimes and threads a store works.

use std::future::Future;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use kv_core::{KeyQuery, Store};
use kv_disk::{DiskStore, Reads};
use tokio::task::LocalSet;

use crate::support::{folder, get, open, put, value};

async fn all_reads_work(store: &DiskStore) {
    put(store, "k", "v").await.unwrap();
    assert_eq!(get(store, "k").await, Some(value("v")));
    assert_eq!(store.get_many("c", &["k"]).await.unwrap().len(), 1);
    assert_eq!(store.keys("c", KeyQuery::new()).await.unwrap().keys, ["k"]);
    assert_eq!(
        store
            .collections(KeyQuery::new())
            .await
            .unwrap()
            .collections,
        ["c"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_work_on_a_multi_thread_runtime_and_in_its_tasks() {
    let folder = folder();
    let store = open(folder.path());
    all_reads_work(&store).await;
    tokio::spawn(async move { all_reads_work(&store).await })
        .await
        .unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn reads_work_on_a_current_thread_runtime() {
    let folder = folder();
    all_reads_work(&open(folder.path())).await;
}

#[tokio::test(flavor = "current_thread")]
async fn reads_work_in_a_local_set_on_a_current_thread_runtime() {
    let folder = folder();
    LocalSet::new()
        .run_until(all_reads_work(&open(folder.path())))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_on_the_pool_work_in_a_local_set_on_a_multi_thread_runtime() {
    let folder = folder();
    let store = DiskStore::builder(folder.path())
        .reads(Reads::SpawnBlocking)
        .build()
        .unwrap();
    LocalSet::new().run_until(all_reads_work(&store)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_in_place_panic_in_a_local_set_as_documented() {
    let folder = folder();
    let store = open(folder.path());
    put(&store, "k", "v").await.unwrap();
    let local = LocalSet::new();
    let read = local.spawn_local(async move { get(&store, "k").await });
    local.await;
    assert!(read.await.unwrap_err().is_panic());
}

#[test]
fn a_store_works_without_a_tokio_runtime() {
    let folder = folder();
    block_on(all_reads_work(&open(folder.path())));
}

fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(std::sync::Arc::new(Unpark(thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

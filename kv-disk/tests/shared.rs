//! Several processes on one store.

use std::path::Path;
use std::time::Duration;

use kv_core::{Error, PutMode, Store};
use kv_disk::{DiskStore, Durability};

use crate::child::Process;
use crate::support::{entry, folder, get, open, put, value};

fn shared(folder: &Path) -> DiskStore {
    DiskStore::builder(folder).shared().build().unwrap()
}

#[tokio::test]
async fn a_second_process_is_refused_by_default_and_told_the_way_out() {
    let folder = folder();
    let store = open(folder.path());
    store.open().await.unwrap();
    let mut process = Process::start(folder.path(), false);
    let answer = process.ask("get k");
    assert!(
        answer.contains("store.redb is open in another process"),
        "{answer}"
    );
    assert!(answer.contains(".shared()"), "{answer}");
    drop(store);
    assert_eq!(process.ask("get k"), "none");
}

#[tokio::test]
async fn a_killed_process_leaves_no_lock_behind() {
    let folder = folder();
    let mut process = Process::start(folder.path(), false);
    assert_eq!(process.ask("put k"), "done");
    process.kill();
    assert_eq!(get(&open(folder.path()), "k").await, Some(value("child")));
}

#[tokio::test]
async fn mixed_modes_are_refused_both_ways() {
    let folder = folder();
    let first = open(folder.path());
    first.open().await.unwrap();
    let error = shared(folder.path()).open().await.unwrap_err();
    assert!(matches!(&error, Error::AlreadyOpen { .. }), "{error:?}");
    assert!(error.to_string().contains("in every process"), "{error}");
    drop(first);
    let first = shared(folder.path());
    first.open().await.unwrap();
    let error = open(folder.path()).open().await.unwrap_err();
    assert!(matches!(error, Error::AlreadyOpen { .. }), "{error:?}");
}

#[tokio::test]
async fn two_processes_read_and_write_each_others_entries() {
    let folder = folder();
    let store = shared(folder.path());
    let mut process = Process::start(folder.path(), true);
    for round in 0..20 {
        let key = round.to_string();
        put(&store, &key, "parent").await.unwrap();
        assert_eq!(process.ask(&format!("get {key}")), "parent");
        assert_eq!(process.ask(&format!("put {key}")), "done");
        assert_eq!(get(&store, &key).await, Some(value("child")));
        assert!(store.delete("c", &key).await.unwrap());
        assert_eq!(process.ask(&format!("get {key}")), "none");
    }
    assert!(store.info().shared);
}

#[tokio::test]
async fn create_and_take_have_one_winner_between_processes() {
    let folder = folder();
    let store = shared(folder.path());
    store.open().await.unwrap();
    let mut process = Process::start(folder.path(), true);
    let mut won = 0;
    for round in 0..50 {
        let key = round.to_string();
        process.order(&format!("create {key}"));
        let ours = store
            .put("c", &key, entry("parent"), PutMode::Create)
            .await
            .is_ok();
        let theirs = process.answer() == "done";
        assert!(ours ^ theirs, "{ours} {theirs}");
        process.order(&format!("take {key}"));
        let ours = store.take("c", &key).await.unwrap().is_some();
        let theirs = process.answer() == "true";
        assert!(ours ^ theirs, "{ours} {theirs}");
        won += u32::from(ours);
    }
    assert!(won <= 50);
}

#[tokio::test]
async fn an_update_loses_against_a_write_of_another_process() {
    let folder = folder();
    let store = shared(folder.path());
    let revision = put(&store, "k", "parent").await.unwrap();
    let mut process = Process::start(folder.path(), true);
    assert_eq!(process.ask("put k"), "done");
    let update = PutMode::Update(revision);
    let lost = store.put("c", "k", entry("parent"), update).await;
    assert!(matches!(lost, Err(Error::Conflict)));
}

#[tokio::test]
async fn revisions_of_two_handles_differ() {
    let folder = folder();
    let stores = [shared(folder.path()), shared(folder.path())];
    let mut seen = Vec::new();
    for round in 0..20 {
        let revision = put(&stores[round % 2], "k", "v").await.unwrap();
        assert!(!seen.contains(&revision));
        seen.push(revision);
    }
}

#[tokio::test]
async fn a_writer_killed_in_the_middle_harms_neither_the_others_nor_the_file() {
    let folder = folder();
    let store = shared(folder.path());
    put(&store, "kept", "v").await.unwrap();
    for _ in 0..5 {
        let mut process = Process::start(folder.path(), true);
        process.order("flood k");
        tokio::time::sleep(Duration::from_millis(fastrand::u64(50..150))).await;
        process.kill();
        tokio::time::timeout(Duration::from_secs(10), put(&store, "after", "v"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(get(&store, "kept").await, Some(value("v")));
    }
    assert!(store.check_integrity().await.unwrap());
    drop(store);
    assert!(open(folder.path()).check_integrity().await.unwrap());
}

#[tokio::test]
async fn a_busy_process_does_not_starve_another() {
    let folder = folder();
    let store = shared(folder.path());
    store.open().await.unwrap();
    let mut process = Process::start(folder.path(), true);
    process.order("flood k");
    for round in 0..20 {
        tokio::time::timeout(
            Duration::from_secs(20),
            put(&store, "k", &round.to_string()),
        )
        .await
        .unwrap()
        .unwrap();
    }
}

#[tokio::test]
async fn processes_that_make_the_store_at_the_same_time_make_one() {
    for _ in 0..10 {
        let folder = folder();
        let stores: Vec<_> = (0..4).map(|_| shared(folder.path())).collect();
        let puts: Vec<_> = stores
            .iter()
            .cloned()
            .enumerate()
            .map(|(key, store)| {
                tokio::spawn(async move { put(&store, &key.to_string(), "v").await })
            })
            .collect();
        for put in puts {
            put.await.unwrap().unwrap();
        }
        for key in 0..4 {
            assert_eq!(get(&stores[0], &key.to_string()).await, Some(value("v")));
        }
    }
}

#[tokio::test]
async fn a_shared_store_can_be_compacted() {
    let folder = folder();
    let (store, peer) = (shared(folder.path()), shared(folder.path()));
    for key in 0..100 {
        put(&peer, &key.to_string(), &"x".repeat(5000))
            .await
            .unwrap();
    }
    store.clear("c").await.unwrap();
    assert!(store.compact().await.unwrap());
    put(&peer, "k", "v").await.unwrap();
    assert_eq!(get(&store, "k").await, Some(value("v")));
}

#[test]
fn a_shared_store_with_an_interval_is_refused() {
    let built = DiskStore::builder("x")
        .shared()
        .durability(Durability::Interval(Duration::from_secs(1)))
        .build();
    assert!(matches!(built, Err(Error::Unsupported { .. })));
}

//! The write-ahead log of a store that one process has for itself.

use std::error::Error as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use kv_core::Error;
use kv_disk::{DiskStore, DiskStoreBuilder, Durability};
use tempfile::TempDir;

use crate::support::{database, folder, get, open, put, value};

fn log(folder: &Path) -> std::path::PathBuf {
    folder.join("store.log")
}

/// Returns a copy of the files in `alive`, which is what a crash leaves of an open store.
fn copied(alive: &Path) -> TempDir {
    let copy = folder();
    for file in [database(alive), log(alive)] {
        if file.exists() {
            fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
        }
    }
    copy
}

/// Returns a folder as a crash leaves it: the newest writes are in the log only.
async fn crashed() -> TempDir {
    let alive = folder();
    let store = open(alive.path());
    for text in ["first", "second", "third"] {
        put(&store, "k", text).await.unwrap();
    }
    copied(alive.path())
}

async fn finds_all(set_up: fn(DiskStoreBuilder) -> DiskStoreBuilder) -> TempDir {
    let folder = crashed().await;
    let store = set_up(DiskStore::builder(folder.path())).build().unwrap();
    assert_eq!(get(&store, "k").await, Some(value("third")));
    folder
}

#[tokio::test]
async fn writes_in_the_log_are_there_after_a_crash() {
    let folder = finds_all(|builder| builder).await;
    assert_eq!(get(&open(folder.path()), "k").await, Some(value("third")));
}

#[tokio::test]
async fn a_shared_store_takes_over_the_log_of_a_crash() {
    let folder = finds_all(DiskStoreBuilder::shared).await;
    assert!(!log(folder.path()).exists());
}

#[tokio::test]
async fn a_store_with_interval_durability_takes_over_the_log_of_a_crash() {
    let minute = |builder: DiskStoreBuilder| {
        builder.durability(Durability::Interval(Duration::from_secs(60)))
    };
    let folder = finds_all(minute).await;
    assert!(!log(folder.path()).exists());
}

#[tokio::test]
async fn writes_between_two_crashes_are_there() {
    let mut folder = crashed().await;
    let mut newest = "third".to_owned();
    for number in 0..3 {
        let store = open(folder.path());
        assert_eq!(get(&store, "k").await, Some(value(&newest)));
        for write in 0..=number {
            newest = format!("{number}.{write}");
            put(&store, "k", &newest).await.unwrap();
        }
        folder = copied(folder.path());
        drop(store);
    }
    assert_eq!(get(&open(folder.path()), "k").await, Some(value(&newest)));
}

#[tokio::test]
async fn a_closed_store_leaves_no_log() {
    let folder = folder();
    let store = open(folder.path());
    for text in ["first", "second"] {
        put(&store, "k", text).await.unwrap();
    }
    assert!(log(folder.path()).exists());
    drop(store);
    assert!(!log(folder.path()).exists());
    assert_eq!(get(&open(folder.path()), "k").await, Some(value("second")));
}

#[tokio::test]
async fn only_the_owner_can_read_the_log() {
    let folder = crashed().await;
    let copied = fs::metadata(log(folder.path())).unwrap();
    assert_eq!(copied.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_second_without_writes_brings_the_log_into_the_database() {
    let (folder, copy) = (folder(), folder());
    let store = open(folder.path());
    for text in ["first", "second"] {
        put(&store, "k", text).await.unwrap();
    }
    tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            fs::copy(database(folder.path()), database(copy.path())).unwrap();
            if get(&open(copy.path()), "k").await == Some(value("second")) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_damaged_log_is_reported_by_name_with_the_way_out() {
    let folder = crashed().await;
    let mut bytes = fs::read(log(folder.path())).unwrap();
    bytes[4096 + 50] ^= 1;
    fs::write(log(folder.path()), bytes).unwrap();
    let error = open(folder.path()).open().await.unwrap_err();
    assert!(matches!(error, Error::Corrupted { .. }));
    let text = error.source().unwrap().to_string();
    assert!(text.contains("store.log is damaged"), "{text}");
    assert!(text.contains("move this file away"), "{text}");
    fs::remove_file(log(folder.path())).unwrap();
    assert_eq!(get(&open(folder.path()), "k").await, Some(value("first")));
}

#[tokio::test]
async fn a_new_store_does_not_read_the_log_of_one_that_was_moved_away() {
    let folder = crashed().await;
    fs::remove_file(database(folder.path())).unwrap();
    let store = open(folder.path());
    assert_eq!(get(&store, "k").await, None);
    for text in ["new", "newer"] {
        put(&store, "k", text).await.unwrap();
    }
    assert_eq!(get(&store, "k").await, Some(value("newer")));
}

#[tokio::test]
async fn a_log_that_is_full_starts_over() {
    const WRITES: usize = 40;
    let alive = folder();
    let store = open(alive.path());
    for number in 0..WRITES {
        let text = format!("{number}{}", "x".repeat(1 << 20));
        put(&store, &number.to_string(), &text).await.unwrap();
        assert!(fs::metadata(log(alive.path())).map_or(0, |log| log.len()) <= 32 << 20);
    }
    let copy = copied(alive.path());
    let store = open(copy.path());
    for number in 0..WRITES {
        assert!(get(&store, &number.to_string()).await.is_some(), "{number}");
    }
    assert!(store.check_integrity().await.unwrap());
}

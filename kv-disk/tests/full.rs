//! A full medium. These tests mount a small tmpfs and so need root.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kv_core::{Error, Result, Store};
use kv_disk::DiskStore;

use crate::support::{Tmpfs, get, open, put, value};

const MIB: u64 = 1 << 20;

fn store(path: &Path, floor: u64) -> DiskStore {
    DiskStore::builder(path)
        .free_space_floor(floor)
        .build()
        .unwrap()
}

/// Puts under `first` and the numbers behind it until the medium is full. Returns how many are
/// stored then, and the error.
async fn fill(store: &DiskStore, first: u64) -> (u64, Error) {
    let text = "x".repeat(50_000);
    for key in first.. {
        if let Err(error) = put(store, &key.to_string(), &text).await {
            return (key, error);
        }
    }
    unreachable!()
}

async fn all_are_there(store: &DiskStore, count: u64) {
    let text = value(&"x".repeat(50_000));
    for key in 0..count {
        assert_eq!(get(store, &key.to_string()).await.as_ref(), Some(&text));
    }
}

async fn within_a_second(store: &DiskStore) -> Result<()> {
    let start = Instant::now();
    loop {
        match put(store, "again", "v").await {
            Err(_) if start.elapsed() < Duration::from_secs(1) => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            answer => return answer.map(drop),
        }
    }
}

/// Fills a tmpfs that a file of `ballast` bytes shares with the store, and frees it again.
async fn fill_and_free(floor: u64) {
    let tmpfs = Tmpfs::mount("12m");
    let ballast = tmpfs.path().join("ballast");
    fs::write(&ballast, vec![1; 4 << 20]).unwrap();
    let path = tmpfs.path().join("store");
    let store = store(&path, floor);
    put(&store, "first", "v").await.unwrap();

    let (stored, error) = fill(&store, 0).await;
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
    assert!(stored > 20, "{stored}");
    let start = Instant::now();
    all_are_there(&store, stored).await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    for _ in 0..3 {
        let again = put(&store, "more", &"x".repeat(50_000)).await;
        assert!(matches!(again, Err(Error::Full { .. })), "{again:?}");
    }

    fs::remove_file(&ballast).unwrap();
    within_a_second(&store).await.unwrap();
    all_are_there(&store, stored).await;
    drop(store);
    let store = open(&path);
    assert!(store.check_integrity().await.unwrap());
    all_are_there(&store, stored).await;
}

#[tokio::test]
async fn a_medium_at_the_floor_is_full_and_reads_and_later_writes_work() {
    fill_and_free(MIB).await;
}

#[tokio::test]
async fn a_medium_without_a_byte_left_is_full_and_reads_and_later_writes_work() {
    fill_and_free(0).await;
}

#[tokio::test]
async fn entries_can_be_deleted_at_the_floor_and_compaction_makes_room() {
    let tmpfs = Tmpfs::mount("12m");
    let store = store(&tmpfs.path().join("store"), 4 * MIB);
    let (stored, error) = fill(&store, 0).await;
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
    for key in 0..stored {
        assert!(store.delete("c", &key.to_string()).await.unwrap());
    }
    assert!(store.compact().await.unwrap());
    within_a_second(&store).await.unwrap();
}

#[tokio::test]
async fn only_the_put_that_does_not_fit_is_refused() {
    let tmpfs = Tmpfs::mount("12m");
    let store = store(&tmpfs.path().join("store"), 4 * MIB);
    let large = "x".repeat(10 << 20);
    let (large, small) = tokio::join!(put(&store, "large", &large), put(&store, "small", "v"));
    assert!(matches!(large, Err(Error::Full { .. })), "{large:?}");
    small.unwrap();
}

#[tokio::test]
async fn a_full_medium_is_reported_when_the_store_cannot_even_be_made() {
    let tmpfs = Tmpfs::mount("64k");
    fs::write(tmpfs.path().join("ballast"), vec![1; 60_000]).unwrap();
    let error = open(&tmpfs.path().join("store")).open().await.unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
}

#[tokio::test]
async fn writes_in_the_log_are_not_lost_when_others_fill_the_medium() {
    let tmpfs = Tmpfs::mount("128m");
    let path = tmpfs.path().join("store");
    let text = "x".repeat(50_000);
    let store = store(&path, 0);
    for key in 0..100 {
        put(&store, &key.to_string(), &text).await.unwrap();
    }
    let logged = fs::metadata(path.join("store.log")).unwrap().len();
    assert!(logged > 4 * MIB, "{logged}");

    let ballast = tmpfs.path().join("ballast");
    let mut file = File::create(&ballast).unwrap();
    while file.write(&[1; 4096]).is_ok_and(|written| written > 0) {}
    drop(file);
    let (stored, error) = fill(&store, 100).await;
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
    let start = Instant::now();
    all_are_there(&store, stored).await;
    assert!(start.elapsed() < Duration::from_secs(1));
    drop(store);
    let store = DiskStore::builder(&path)
        .free_space_floor(0)
        .build()
        .unwrap();
    all_are_there(&store, stored).await;

    fs::remove_file(&ballast).unwrap();
    within_a_second(&store).await.unwrap();
    drop(store);
    let store = open(&path);
    assert!(store.check_integrity().await.unwrap());
    all_are_there(&store, stored).await;
}

#[tokio::test]
async fn a_store_with_a_full_log_opens_and_reads_on_a_medium_without_a_byte_left() {
    const WRITES: u64 = 610;
    let tmpfs = Tmpfs::mount("512m");
    let (path, crashed) = (tmpfs.path().join("store"), tmpfs.path().join("crashed"));
    let text = "x".repeat(50_000);
    let alive = store(&path, 0);
    for key in 0..WRITES {
        put(&alive, &key.to_string(), &text).await.unwrap();
    }
    let logged = fs::metadata(path.join("store.log")).unwrap().len();
    assert!(logged > 30 * MIB, "{logged}");
    fs::create_dir(&crashed).unwrap();
    for file in ["store.redb", "store.log"] {
        // The parts of the database that are not written yet take no room, as after a crash.
        let copied = Command::new("cp")
            .arg("--sparse=always")
            .args([path.join(file), crashed.join(file)])
            .status()
            .unwrap();
        assert!(copied.success());
    }
    drop(alive);
    fs::remove_dir_all(&path).unwrap();

    let mut ballast = File::create(tmpfs.path().join("ballast")).unwrap();
    while ballast.write(&[1; 4096]).is_ok_and(|written| written > 0) {}
    all_are_there(&store(&crashed, 0), WRITES).await;
}

//! Damaged files: an error or the right data, never a panic or a wrong value.

use std::error::Error as _;
use std::fs;
use std::path::Path;

use kv_core::{Error, PutMode, Store, Timestamp};
use kv_disk::DiskStore;
use redb::{ReadableTable, TableDefinition};

use crate::support::{database, entry, folder, get, open, put, value};

const ENTRIES: TableDefinition<'_, (&[u8], &[u8]), &[u8]> = TableDefinition::new("entries");
const EXPIRY: TableDefinition<'_, (i64, &[u8], &[u8]), ()> = TableDefinition::new("expiry");

/// Changes the stored record of `c`, `k`, as only someone outside the store can.
fn tamper(folder: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let database = redb::Database::open(database(folder)).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut entries = transaction.open_table(ENTRIES).unwrap();
        let name = (b"c".as_slice(), b"k".as_slice());
        let mut record = entries.get(name).unwrap().unwrap().value().to_vec();
        change(&mut record);
        entries.insert(name, record.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
}

async fn store_with_a_bad_record(folder: &Path) -> DiskStore {
    put(&open(folder), "k", "v").await.unwrap();
    tamper(folder, |record| *record.last_mut().unwrap() ^= 1);
    open(folder)
}

#[tokio::test]
async fn a_changed_record_is_corrupted_and_not_a_miss_or_a_value() {
    let folder = folder();
    let store = store_with_a_bad_record(folder.path()).await;
    let error = store.get("c", "k").await.unwrap_err();
    assert!(matches!(error, Error::Corrupted { .. }));
}

#[tokio::test]
async fn a_file_that_is_no_store_is_named_together_with_the_way_out() {
    let folder = folder();
    fs::write(database(folder.path()), "no store").unwrap();
    let error = DiskStore::new(folder.path())
        .unwrap()
        .open()
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Corrupted { .. }));
    let source = error.source().unwrap().to_string();
    let path = database(folder.path()).display().to_string();
    assert!(
        source.starts_with(&path) && source.contains("move it away"),
        "{source}"
    );
}

#[tokio::test]
async fn a_corrupted_record_counts_as_present_and_can_be_overwritten() {
    let folder = folder();
    let store = store_with_a_bad_record(folder.path()).await;
    let refused = store.put("c", "k", entry("w"), PutMode::Create).await;
    assert!(matches!(refused, Err(Error::AlreadyExists)));
    let keys = store
        .keys("c", kv_core::KeyQuery::new())
        .await
        .unwrap()
        .keys;
    assert_eq!(keys, ["k"]);
    put(&store, "k", "w").await.unwrap();
    assert_eq!(get(&store, "k").await, Some(value("w")));
}

#[tokio::test]
async fn a_corrupted_record_can_be_deleted() {
    let folder = folder();
    let store = store_with_a_bad_record(folder.path()).await;
    assert!(store.delete("c", "k").await.unwrap());
    assert!(get(&store, "k").await.is_none());
}

#[tokio::test]
async fn a_corrupted_record_is_taken_as_its_error_once() {
    let folder = folder();
    let store = store_with_a_bad_record(folder.path()).await;
    let taken = store.take("c", "k").await;
    assert!(matches!(taken, Err(Error::Corrupted { .. })));
    assert!(store.take("c", "k").await.unwrap().is_none());
}

#[tokio::test]
async fn one_corrupted_record_fails_only_its_place_in_a_bulk_read() {
    let folder = folder();
    let store = store_with_a_bad_record(folder.path()).await;
    put(&store, "good", "v").await.unwrap();
    let entries = store.get_many("c", &["good", "k", "none"]).await.unwrap();
    assert!(entries[0].as_ref().unwrap().is_some());
    assert!(matches!(entries[1], Err(Error::Corrupted { .. })));
    assert!(entries[2].as_ref().unwrap().is_none());
}

#[tokio::test]
async fn the_integrity_check_finds_a_changed_record() {
    let folder = folder();
    let store = store_with_a_bad_record(folder.path()).await;
    let error = store.check_integrity().await.unwrap_err();
    assert!(matches!(error, Error::Corrupted { .. }));
    put(&store, "k", "w").await.unwrap();
    assert!(store.check_integrity().await.unwrap());
}

#[tokio::test]
async fn the_integrity_check_finds_a_missing_expiry_row() {
    let folder = folder();
    let mortal = entry("v").with_expires_at(Timestamp::MAX);
    let store = open(folder.path());
    store
        .put("c", "k", mortal, PutMode::Overwrite)
        .await
        .unwrap();
    drop(store);
    {
        let database = redb::Database::open(database(folder.path())).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(EXPIRY).unwrap().pop_first().unwrap();
        transaction.commit().unwrap();
    }
    let error = open(folder.path()).check_integrity().await.unwrap_err();
    assert!(matches!(error, Error::Corrupted { .. }));
}

#[tokio::test]
async fn files_that_are_no_database_are_corrupted() {
    for content in [
        Vec::new(),
        vec![0; 10],
        vec![0; 100_000],
        b"#!/bin/sh\n".repeat(1000),
    ] {
        let folder = folder();
        fs::write(database(folder.path()), &content).unwrap();
        let error = open(folder.path()).open().await.unwrap_err();
        assert!(matches!(error, Error::Corrupted { .. }), "{error:?}");
        assert_eq!(fs::read(database(folder.path())).unwrap(), content);
    }
}

/// Opens a copy of a store with the given file content and reads all of its entries: each is right
/// or an error.
async fn right_or_corrupted(content: &[u8], what: &str) {
    let folder = folder();
    fs::write(database(folder.path()), content).unwrap();
    let store = open(folder.path());
    for key in 0..50 {
        match store.get("c", &key.to_string()).await {
            Ok(Some(entry)) => assert_eq!(entry.value, value(&key.to_string()), "{what}"),
            Ok(None) => panic!("{what}: key {key} is silently missing"),
            Err(Error::Corrupted { .. } | Error::Unsupported { .. }) => {}
            Err(other) => panic!("{what}: {other:?}"),
        }
    }
}

async fn sound_file() -> Vec<u8> {
    let folder = folder();
    let store = open(folder.path());
    let batch = (0..50)
        .map(|key| (key.to_string(), entry(&key.to_string())))
        .collect();
    store.put_many("c", batch).await.unwrap();
    drop(store);
    fs::read(database(folder.path())).unwrap()
}

#[tokio::test]
async fn a_truncated_file_is_corrupted() {
    let sound = sound_file().await;
    for length in (0..sound.len()).step_by(4096 + 512) {
        right_or_corrupted(&sound[..length], &format!("{length} bytes")).await;
    }
}

#[tokio::test]
async fn a_flipped_bit_is_corrupted_or_has_no_effect() {
    let sound = sound_file().await;
    let header = (0..320 * 8).step_by(7);
    let elsewhere = (320 * 8..sound.len() * 8).step_by(sound.len() / 20 * 8 + 13);
    for bit in header.chain(elsewhere) {
        let mut bad = sound.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        right_or_corrupted(&bad, &format!("bit {bit}")).await;
    }
}

#[tokio::test]
async fn an_unverified_opening_of_a_damaged_file_does_not_panic() {
    let sound = sound_file().await;
    for offset in (0..sound.len()).step_by(4096) {
        let mut bad = sound.clone();
        bad[offset..][..64].fill(0xff);
        let folder = folder();
        fs::write(database(folder.path()), &bad).unwrap();
        let store = DiskStore::builder(folder.path())
            .verify_on_open(false)
            .build()
            .unwrap();
        for key in 0..50 {
            if let Ok(Some(entry)) = store.get("c", &key.to_string()).await {
                assert_eq!(entry.value, value(&key.to_string()));
            }
        }
    }
}

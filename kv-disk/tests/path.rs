//! The folder: how it is made, and what is said when it cannot be used.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kv_core::{Error, Store};
use kv_disk::DiskStore;
use redb::TableDefinition;

use crate::support::{Tmpfs, database, folder, open, put};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

async fn open_error(path: &Path) -> Error {
    open(path).open().await.unwrap_err()
}

#[tokio::test]
async fn the_folder_is_made_for_its_owner_alone() {
    let parent = folder();
    let path = parent.path().join("a/b");
    open(&path).open().await.unwrap();
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&database(&path)), 0o600);
}

#[tokio::test]
async fn the_folder_holds_nothing_but_the_database() {
    let folder = folder();
    let store = open(folder.path());
    put(&store, "k", "v").await.unwrap();
    let names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    assert_eq!(names, ["store.redb"]);
}

#[tokio::test]
async fn new_touches_nothing() {
    let parent = folder();
    let path = parent.path().join("store");
    let store = open(&path);
    assert_eq!(store.path(), path);
    assert_eq!(store.info().name, "disk");
    drop(store);
    assert!(!path.exists());
}

#[test]
fn a_path_that_is_a_file_is_refused_at_once_with_its_name() {
    let folder = folder();
    let path = folder.path().join("file");
    fs::write(&path, "x").unwrap();
    for path in [path.clone(), path.join("below")] {
        let error = DiskStore::new(&path).unwrap_err().to_string();
        assert!(error.contains("/file is a file"), "{error}");
    }
}

#[test]
fn an_empty_path_is_refused() {
    assert!(matches!(DiskStore::new(""), Err(Error::Unavailable { .. })));
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let path = Path::new("/proc/kv-disk/store");
    let error = open_error(path).await;
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("/proc/kv-disk/store cannot be made")
    );
}

#[tokio::test]
async fn a_read_only_medium_is_named_and_leaves_the_store_whole() {
    let tmpfs = Tmpfs::mount("4m");
    let path = tmpfs.path().join("store");
    open(&path).open().await.unwrap();
    tmpfs.make_read_only();
    let error = open_error(&path).await;
    assert!(
        error
            .to_string()
            .contains("store.redb is on a read-only medium"),
        "{error}"
    );
    let error = open_error(&tmpfs.path().join("other")).await;
    assert!(
        error.to_string().contains("other cannot be made"),
        "{error}"
    );
}

#[tokio::test]
async fn a_folder_in_the_place_of_the_database_is_named() {
    let folder = folder();
    fs::create_dir(database(folder.path())).unwrap();
    let error = open_error(folder.path()).await;
    assert!(
        error.to_string().contains("store.redb is no file"),
        "{error}"
    );
}

#[tokio::test]
async fn an_opening_that_failed_can_be_tried_again() {
    let folder = folder();
    let store = open(folder.path());
    fs::create_dir(database(folder.path())).unwrap();
    store.open().await.unwrap_err();
    fs::remove_dir(database(folder.path())).unwrap();
    put(&store, "k", "v").await.unwrap();
}

#[tokio::test]
async fn a_file_that_was_left_half_made_is_made_anew() {
    let folder = folder();
    fs::write(folder.path().join("store.redb.new"), vec![7; 100_000]).unwrap();
    put(&open(folder.path()), "k", "v").await.unwrap();
}

#[tokio::test]
async fn a_redb_database_of_another_program_is_refused_and_left_alone() {
    const OTHER: TableDefinition<'_, u64, u64> = TableDefinition::new("other");
    let folder = folder();
    let path = database(folder.path());
    {
        let other = redb::Database::create(&path).unwrap();
        let transaction = other.begin_write().unwrap();
        transaction.open_table(OTHER).unwrap().insert(1, 2).unwrap();
        transaction.commit().unwrap();
    }
    let error = open_error(folder.path()).await;
    assert!(matches!(error, Error::Corrupted { .. }), "{error:?}");
    let other = redb::Database::open(&path).unwrap();
    let tables = other.begin_write().unwrap().list_tables().unwrap().count();
    assert_eq!(tables, 1);
}

#[tokio::test]
async fn a_format_of_a_newer_version_is_refused_and_left_alone() {
    const META: TableDefinition<'_, &str, u128> = TableDefinition::new("meta");
    let folder = folder();
    put(&open(folder.path()), "k", "v").await.unwrap();
    let set_format = |format: u128| {
        let database = redb::Database::open(database(folder.path())).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction
            .open_table(META)
            .unwrap()
            .insert("format", format)
            .unwrap();
        transaction.commit().unwrap();
    };
    set_format(2);
    let error = open_error(folder.path()).await;
    assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
    set_format(1);
    let entry = open(folder.path()).get("c", "k").await.unwrap();
    assert!(entry.is_some());
}

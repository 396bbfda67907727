//! Reclaiming what has expired.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kv_core::{Clock, Entry, ManualClock, PutMode, Store};
use kv_disk::DiskStore;
use redb::{ReadableDatabase, ReadableTableMetadata, TableDefinition};

use crate::support::{database, entry, folder, get, put};

const ENTRIES: TableDefinition<'_, (&[u8], &[u8]), &[u8]> = TableDefinition::new("entries");
const EXPIRY: TableDefinition<'_, (i64, &[u8], &[u8]), ()> = TableDefinition::new("expiry");

/// Returns how many entries and expiry rows are stored. The store must be closed.
fn rows(folder: &Path) -> (u64, u64) {
    let database = redb::Database::open(database(folder)).unwrap();
    let transaction = database.begin_read().unwrap();
    let entries = transaction.open_table(ENTRIES).unwrap().len().unwrap();
    let expiry = transaction.open_table(EXPIRY).unwrap().len().unwrap();
    (entries, expiry)
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::starting_now())
}

fn store_at(folder: &Path, clock: &Arc<ManualClock>) -> DiskStore {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    DiskStore::builder(folder).clock(clock).build().unwrap()
}

fn mortal(clock: &ManualClock, seconds: u64) -> Entry {
    entry("mortal").with_expires_at(clock.now().checked_add(Duration::from_secs(seconds)))
}

async fn put_mortal(store: &DiskStore, key: &str, clock: &ManualClock, seconds: u64) {
    store
        .put("c", key, mortal(clock, seconds), PutMode::Overwrite)
        .await
        .unwrap();
}

#[tokio::test]
async fn culling_removes_what_has_expired_and_nothing_else() {
    let (folder, clock) = (folder(), clock());
    let store = store_at(folder.path(), &clock);
    put_mortal(&store, "soon", &clock, 1).await;
    put_mortal(&store, "later", &clock, 100).await;
    put(&store, "never", "v").await.unwrap();
    clock.advance(Duration::from_secs(1));
    assert_eq!(store.cull().await.unwrap(), 1);
    assert_eq!(store.cull().await.unwrap(), 0);
    drop(store);
    assert_eq!(rows(folder.path()), (2, 1));
}

#[tokio::test]
async fn culling_goes_on_over_many_steps() {
    let (folder, clock) = (folder(), clock());
    let store = store_at(folder.path(), &clock);
    let batch = (0..1000)
        .map(|key| (key.to_string(), mortal(&clock, 1)))
        .collect();
    store.put_many("c", batch).await.unwrap();
    clock.advance(Duration::from_secs(1));
    assert_eq!(store.cull().await.unwrap(), 1000);
    drop(store);
    assert_eq!(rows(folder.path()), (0, 0));
}

#[tokio::test]
async fn every_way_to_replace_or_remove_an_entry_removes_its_expiry_row() {
    let (folder, clock) = (folder(), clock());
    let store = store_at(folder.path(), &clock);
    for key in ["overwrite", "delete", "take", "update", "same"] {
        put_mortal(&store, key, &clock, 100).await;
    }
    put(&store, "overwrite", "immortal").await.unwrap();
    store.delete("c", "delete").await.unwrap();
    store.take("c", "take").await.unwrap();
    let revision = store.get("c", "update").await.unwrap().unwrap().revision;
    let update = PutMode::Update(revision.unwrap());
    store
        .put("c", "update", entry("immortal"), update)
        .await
        .unwrap();
    put_mortal(&store, "same", &clock, 100).await;
    store
        .put("d", "k", mortal(&clock, 5), PutMode::Create)
        .await
        .unwrap();
    assert_eq!(store.clear("d").await.unwrap(), 1);
    assert!(store.check_integrity().await.unwrap());
    drop(store);
    assert_eq!(rows(folder.path()), (3, 1));
}

#[tokio::test]
async fn an_entry_that_was_given_more_time_survives_its_first_end() {
    let (folder, clock) = (folder(), clock());
    let store = store_at(folder.path(), &clock);
    put_mortal(&store, "k", &clock, 1).await;
    put_mortal(&store, "k", &clock, 100).await;
    clock.advance(Duration::from_secs(1));
    assert_eq!(store.cull().await.unwrap(), 0);
    assert!(get(&store, "k").await.is_some());
}

#[tokio::test]
async fn clearing_counts_the_live_and_reclaims_the_expired() {
    let (folder, clock) = (folder(), clock());
    let store = store_at(folder.path(), &clock);
    put_mortal(&store, "expired", &clock, 1).await;
    for key in 0..600 {
        let batch = vec![(key.to_string(), entry("v"))];
        store.put_many("c", batch).await.unwrap();
    }
    put(&store, "neighbour", "v").await.unwrap();
    store
        .put("cc", "k", entry("v"), PutMode::Create)
        .await
        .unwrap();
    clock.advance(Duration::from_secs(1));
    assert_eq!(store.clear("c").await.unwrap(), 601);
    drop(store);
    assert_eq!(rows(folder.path()), (1, 0));
}

#[tokio::test]
async fn the_sweep_reclaims_by_itself_with_the_system_clock() {
    let folder = folder();
    let store = DiskStore::builder(folder.path())
        .sweep_interval(Duration::from_millis(5))
        .build()
        .unwrap();
    let end = store.clock().now().checked_add(Duration::from_millis(20));
    let batch = (0..600)
        .map(|key| (key.to_string(), entry("v").with_expires_at(end)))
        .collect();
    store.put_many("c", batch).await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), async {
        // What the sweep has reclaimed, a cull does not find.
        while store.clock().now() < end.unwrap() || store.cull().await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .unwrap();
    drop(store);
    assert_eq!(rows(folder.path()), (0, 0));
}

#[tokio::test]
async fn an_injected_clock_turns_the_sweep_off() {
    let (folder, clock) = (folder(), clock());
    let store = DiskStore::builder(folder.path())
        .sweep_interval(Duration::from_millis(1))
        .clock(Arc::clone(&clock) as Arc<dyn Clock>)
        .build()
        .unwrap();
    put_mortal(&store, "k", &clock, 1).await;
    clock.advance(Duration::from_secs(1));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(store.cull().await.unwrap(), 1);
}

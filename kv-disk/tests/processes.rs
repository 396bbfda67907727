//! Two processes and one store: one at a time, or sharing it.

use std::path::Path;
use std::time::{Duration, Instant};

use kv_core::{Entry, Error, PutMode, Store, Value};
use kv_disk::DiskStore;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::role::{self, Child, PATIENCE};

const COLLECTION: &str = "race";

/// How many tasks of each of the two processes race.
const RACERS: usize = 32;

fn value(number: u64) -> Entry {
    Entry::new(Value::from_json(format!(r#"{{"number":{number}}}"#)).unwrap())
}

fn number(entry: &Entry) -> u64 {
    #[derive(Deserialize)]
    struct Numbered {
        number: u64,
    }
    entry.value.decode::<Numbered>().unwrap().number
}

/// A child that has the store for itself until it is killed.
pub(crate) fn hold(folder: &Path) {
    Runtime::new().unwrap().block_on(async {
        let store = DiskStore::new(folder).unwrap();
        store
            .put(COLLECTION, "held", value(1), PutMode::Overwrite)
            .await
            .unwrap();
        role::report(&());
        role::command::<()>();
    });
}

#[tokio::test]
async fn a_second_process_is_refused_at_once_and_can_open_when_the_first_was_killed() {
    const ROUNDS: usize = 20;
    const AT_ONCE: Duration = Duration::from_secs(1);
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("store");
    for _ in 0..ROUNDS {
        let mut holder = Child::start("hold", &folder, scratch.path());
        holder.hear::<()>(PATIENCE).unwrap();
        let start = Instant::now();
        for store in [
            DiskStore::new(&folder).unwrap(),
            DiskStore::builder(&folder).shared().build().unwrap(),
        ] {
            let error = store.open().await.unwrap_err();
            assert!(matches!(error, Error::AlreadyOpen { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(folder.to_str().unwrap()), "{text}");
            assert!(text.contains(".shared()"), "{text}");
        }
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());

        holder.kill::<()>();
        let start = Instant::now();
        let store = DiskStore::new(&folder).unwrap();
        let held = store.get(COLLECTION, "held").await.unwrap().unwrap();
        assert_eq!(number(&held), 1);
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_process_that_wants_the_store_alone_is_refused_by_one_that_shares_it() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("store");
    let mut server = Child::start("serve", &folder, scratch.path());
    server.tell(&Request::Get("key".to_owned()));
    server.hear::<Option<u64>>(PATIENCE).unwrap();
    let error = DiskStore::new(&folder).unwrap().open().await.unwrap_err();
    assert!(matches!(error, Error::AlreadyOpen { .. }), "{error:?}");
    assert!(error.to_string().contains(".shared()"), "{error}");
}

/// What a child is asked to do with the shared store.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Put(String, u64),
    Get(String),
    Delete(String),
}

/// A child that does what it is told and reports the number it found.
pub(crate) fn serve(folder: &Path) {
    Runtime::new().unwrap().block_on(async {
        let store = DiskStore::builder(folder).shared().build().unwrap();
        while let Some(request) = role::command() {
            let found = match request {
                Request::Put(key, number) => {
                    let entry = value(number);
                    store
                        .put(COLLECTION, &key, entry, PutMode::Overwrite)
                        .await
                        .unwrap();
                    None
                }
                Request::Get(key) => {
                    let entry = store.get(COLLECTION, &key).await.unwrap();
                    entry.as_ref().map(number)
                }
                Request::Delete(key) => {
                    store.delete(COLLECTION, &key).await.unwrap();
                    None
                }
            };
            role::report(&found);
        }
    });
}

#[tokio::test]
async fn an_acknowledged_write_is_read_at_once_by_another_process() {
    const ROUNDS: u64 = 100;
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("store");
    let store = DiskStore::builder(&folder).shared().build().unwrap();
    let mut other = Child::start("serve", &folder, scratch.path());
    let mut ask = |request: Request| -> Option<u64> {
        other.tell(&request);
        other.hear(PATIENCE).unwrap()
    };
    for round in 0..ROUNDS {
        ask(Request::Put("theirs".to_owned(), round));
        let theirs = store.get(COLLECTION, "theirs").await.unwrap();
        assert_eq!(theirs.as_ref().map(number), Some(round));

        store
            .put(COLLECTION, "ours", value(round), PutMode::Overwrite)
            .await
            .unwrap();
        assert_eq!(ask(Request::Get("ours".to_owned())), Some(round));

        ask(Request::Delete("theirs".to_owned()));
        assert_eq!(store.get(COLLECTION, "theirs").await.unwrap(), None);
        assert!(store.delete(COLLECTION, "ours").await.unwrap());
        assert_eq!(ask(Request::Get("ours".to_owned())), None);
    }
}

/// How many of a process's racers won.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Wins {
    created: usize,
    updated: usize,
    took: usize,
    deleted: usize,
}

/// A child that runs its half of each race: prepares at one command and starts at the next.
pub(crate) fn race_on_command(folder: &Path) {
    Runtime::new().unwrap().block_on(async {
        let store = DiskStore::builder(folder).shared().build().unwrap();
        while role::command::<()>().is_some() {
            let update = update_of_what_is_there(&store).await;
            role::report(&());
            role::command::<()>();
            role::report(&race(&store, &update).await);
        }
    });
}

async fn update_of_what_is_there(store: &DiskStore) -> PutMode {
    let seen = store.get(COLLECTION, "updated").await.unwrap().unwrap();
    PutMode::Update(seen.revision.unwrap())
}

/// Lets every racer try once to create, to `update`, to take and to delete the same keys, and
/// count one up.
async fn race(store: &DiskStore, update: &PutMode) -> Wins {
    let mut racers = JoinSet::new();
    for _ in 0..RACERS {
        let (store, update) = (store.clone(), update.clone());
        racers.spawn(async move {
            let created = store
                .put(COLLECTION, "created", value(0), PutMode::Create)
                .await;
            let updated = store.put(COLLECTION, "updated", value(1), update).await;
            let took = store.take(COLLECTION, "taken").await;
            let deleted = store.delete(COLLECTION, "deleted").await;
            count_up(&store).await;
            [
                won(created, |error| matches!(error, Error::AlreadyExists)),
                won(updated, |error| matches!(error, Error::Conflict)),
                took.unwrap().is_some(),
                deleted.unwrap(),
            ]
        });
    }
    let mut wins = Wins::default();
    for [created, updated, took, deleted] in racers.join_all().await {
        wins.created += usize::from(created);
        wins.updated += usize::from(updated);
        wins.took += usize::from(took);
        wins.deleted += usize::from(deleted);
    }
    wins
}

fn won<T>(result: Result<T, Error>, lost: impl Fn(&Error) -> bool) -> bool {
    match result {
        Ok(_) => true,
        Err(error) if lost(&error) => false,
        Err(error) => panic!("{error:?}"),
    }
}

async fn count_up(store: &DiskStore) {
    loop {
        let seen = store.get(COLLECTION, "counter").await.unwrap().unwrap();
        let entry = value(number(&seen) + 1);
        let update = PutMode::Update(seen.revision.unwrap());
        let counted = store.put(COLLECTION, "counter", entry, update).await;
        if won(counted, |error| matches!(error, Error::Conflict)) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racers_of_two_processes_have_one_winner_and_count_right() {
    const ROUNDS: u64 = 10;
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("store");
    let store = DiskStore::builder(&folder).shared().build().unwrap();
    let mut others = Child::start("race", &folder, scratch.path());
    let put = |key, entry| store.put(COLLECTION, key, entry, PutMode::Overwrite);
    put("counter", value(0)).await.unwrap();
    for round in 1..=ROUNDS {
        store.delete(COLLECTION, "created").await.unwrap();
        for key in ["updated", "taken", "deleted"] {
            put(key, value(0)).await.unwrap();
        }
        let update = update_of_what_is_there(&store).await;
        others.tell(&());
        others.hear::<()>(PATIENCE).unwrap();
        others.tell(&());
        let ours = race(&store, &update).await;
        let theirs: Wins = others.hear(PATIENCE).unwrap();
        assert_eq!(ours.created + theirs.created, 1, "{ours:?} {theirs:?}");
        assert_eq!(ours.updated + theirs.updated, 1, "{ours:?} {theirs:?}");
        assert_eq!(ours.took + theirs.took, 1, "{ours:?} {theirs:?}");
        assert_eq!(ours.deleted + theirs.deleted, 1, "{ours:?} {theirs:?}");
        let counter = store.get(COLLECTION, "counter").await.unwrap().unwrap();
        assert_eq!(number(&counter), round * 2 * RACERS as u64);
    }
}

//! What the store does while its file is slow or broken.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::Duration;

use kv_core::{Entry, Error, PutMode, Store, Value};
use tempfile::TempDir;
use tokio::time::sleep;

use super::Faults;
use crate::{DiskStore, DiskStoreBuilder, Durability};

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

/// Far above what any test waits for.
const NEVER: Duration = Duration::from_secs(3600);

pub(super) struct Bench {
    pub(super) store: DiskStore,
    pub(super) faults: Arc<Faults>,
    folder: TempDir,
}

impl Bench {
    /// Opens a store whose file obeys `faults`, without a sweep.
    pub(super) async fn new(set_up: impl FnOnce(DiskStoreBuilder) -> DiskStoreBuilder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let faults = Arc::new(Faults::default());
        let builder = DiskStore::builder(folder.path())
            .free_space_floor(0)
            .sweep_interval(Duration::ZERO)
            .faults(&faults);
        let store = set_up(builder).build().unwrap();
        store.open().await.unwrap();
        Self {
            store,
            faults,
            folder,
        }
    }

    async fn reopened(self) -> DiskStore {
        drop(self.store);
        let store = DiskStore::new(self.folder.path()).unwrap();
        assert!(store.check_integrity().await.unwrap());
        store
    }

    fn syncs(&self) -> u64 {
        self.faults.syncs.load(Ordering::SeqCst)
    }
}

pub(super) fn entry(text: &str) -> Entry {
    Entry::new(Value::encode(&serde_json::json!({ "text": text })).unwrap())
}

async fn put(store: &DiskStore, key: &str, text: &str) -> kv_core::Result<kv_core::Revision> {
    store.put("c", key, entry(text), PutMode::Overwrite).await
}

async fn get(store: &DiskStore, key: &str) -> Option<Value> {
    store.get("c", key).await.unwrap().map(|entry| entry.value)
}

fn value(text: &str) -> Option<Value> {
    Some(entry(text).value)
}

#[tokio::test(flavor = "current_thread")]
async fn a_slow_commit_stalls_no_timer_of_a_current_thread_runtime() {
    let bench = Bench::new(|builder| builder).await;
    bench.faults.delay_syncs(Duration::from_secs(2));
    let mut write = pin!(put(&bench.store, "k", "slow"));
    tokio::select! {
        biased;
        _ = &mut write => panic!("the commit was not slow"),
        () = async { for _ in 0..20 { sleep(Duration::from_millis(1)).await } } => {}
    }
    bench.faults.delay_syncs(Duration::ZERO);
    write.await.unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn reads_go_on_while_a_commit_is_slow() {
    let bench = Bench::new(|builder| builder).await;
    put(&bench.store, "k", "old").await.unwrap();
    bench.faults.delay_syncs(Duration::from_secs(2));
    let mut write = pin!(put(&bench.store, "k", "new"));
    tokio::select! {
        biased;
        _ = &mut write => panic!("the commit was not slow"),
        read = get(&bench.store, "k") => assert_eq!(read, value("old")),
    }
    bench.faults.delay_syncs(Duration::ZERO);
    write.await.unwrap();
    assert_eq!(get(&bench.store, "k").await, value("new"));
}

#[tokio::test]
async fn writes_that_wait_together_share_one_sync() {
    let bench = Bench::new(|builder| builder).await;
    // A file that grows is synced for it, so it gets its size first.
    let large = "x".repeat(1 << 20);
    put(&bench.store, "first", &large).await.unwrap();
    // This one makes the log.
    put(&bench.store, "second", "v").await.unwrap();
    bench.faults.delay_syncs(Duration::from_millis(200));
    let before = bench.syncs();
    let keys: Vec<String> = (0..100).map(|key| key.to_string()).collect();
    let puts = keys.iter().map(|key| put(&bench.store, key, "v"));
    for result in futures_join(puts).await {
        result.unwrap();
    }
    assert!(bench.syncs() - before <= 2, "{}", bench.syncs() - before);
}

/// Polls all `futures` at once and returns their results.
async fn futures_join<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(())
        }
    })
    .await;
    futures
        .into_iter()
        .filter_map(|(_, output)| output)
        .collect()
}

#[tokio::test]
async fn an_operation_that_changes_nothing_costs_no_sync() {
    let bench = Bench::new(|builder| builder).await;
    put(&bench.store, "k", "v").await.unwrap();
    let before = bench.syncs();
    assert!(!bench.store.delete("c", "other").await.unwrap());
    assert!(bench.store.take("c", "other").await.unwrap().is_none());
    let refused = bench.store.put("c", "k", entry("w"), PutMode::Create).await;
    assert!(matches!(refused, Err(Error::AlreadyExists)));
    assert_eq!(bench.store.cull().await.unwrap(), 0);
    assert_eq!(bench.store.clear("empty").await.unwrap(), 0);
    assert_eq!(bench.syncs(), before);
}

#[tokio::test]
async fn an_acknowledged_write_is_synced_once_by_default() {
    let bench = Bench::new(|builder| builder).await;
    put(&bench.store, "k", "first").await.unwrap();
    // This one makes the log.
    put(&bench.store, "k", "second").await.unwrap();
    let before = bench.syncs();
    put(&bench.store, "k", "v").await.unwrap();
    assert_eq!(bench.syncs() - before, 1);
}

#[tokio::test]
async fn a_two_phase_commit_syncs_twice() {
    let bench = Bench::new(|builder| builder.two_phase_commit(true)).await;
    put(&bench.store, "k", "first").await.unwrap();
    let before = bench.syncs();
    put(&bench.store, "k", "v").await.unwrap();
    assert_eq!(bench.syncs() - before, 2);
}

#[tokio::test]
async fn the_commit_that_takes_over_from_the_log_has_two_phases_too() {
    let mut syncs = Vec::new();
    for two_phases in [false, true] {
        let bench = Bench::new(|builder| builder.two_phase_commit(two_phases)).await;
        put(&bench.store, "k", "first").await.unwrap();
        put(&bench.store, "k", "in the log").await.unwrap();
        let before = bench.syncs();
        assert!(bench.store.check_integrity().await.unwrap());
        syncs.push(bench.syncs() - before);
    }
    assert_eq!(syncs[1], syncs[0] + 1);
}

#[tokio::test]
async fn interval_durability_acknowledges_before_the_sync_and_flush_syncs() {
    let bench = Bench::new(|builder| builder.durability(Durability::Interval(NEVER))).await;
    put(&bench.store, "k", "first").await.unwrap();
    let before = bench.syncs();
    put(&bench.store, "k", "v").await.unwrap();
    assert_eq!(get(&bench.store, "k").await, value("v"));
    assert_eq!(bench.syncs(), before);
    bench.store.flush().await.unwrap();
    assert!(bench.syncs() > before);
}

#[tokio::test]
async fn interval_durability_syncs_by_itself_when_the_interval_is_over() {
    let interval = Durability::Interval(Duration::from_millis(10));
    let bench = Bench::new(|builder| builder.durability(interval)).await;
    put(&bench.store, "k", "first").await.unwrap();
    let before = bench.syncs();
    put(&bench.store, "k", "v").await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), async {
        while bench.syncs() == before {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn lost_writes_of_the_interval_are_reported_and_their_revisions_not_used_again() {
    let bench = Bench::new(|builder| builder.durability(Durability::Interval(NEVER))).await;
    put(&bench.store, "k", "durable").await.unwrap();
    let mut lost = Vec::new();
    for number in 0..10 {
        lost.push(
            put(&bench.store, "k", &format!("lost {number}"))
                .await
                .unwrap(),
        );
    }
    bench.faults.fail_after(0, 1, EIO);
    let told = bench.store.flush().await.unwrap_err();
    assert!(bench.faults.heal());
    assert!(matches!(told, Error::OutcomeUnknown { .. }), "{told:?}");
    bench.store.flush().await.unwrap();
    assert_eq!(get(&bench.store, "k").await, value("durable"));
    for _ in 0..10 {
        let revision = put(&bench.store, "k", "again").await.unwrap();
        assert!(!lost.contains(&revision));
    }
}

#[tokio::test]
async fn a_full_medium_is_reported_and_used_again_when_there_is_room() {
    let bench = Bench::new(|builder| builder).await;
    put(&bench.store, "k", "old").await.unwrap();
    bench.faults.fail_after(0, 1, ENOSPC);
    let error = put(&bench.store, "k", "new").await.unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
    assert_eq!(get(&bench.store, "k").await, value("old"));
    bench.faults.heal();
    // Other sizes are not held to the refusal of this one.
    put(&bench.store, "k", "").await.unwrap();
    assert_eq!(get(&bench.reopened().await, "k").await, value(""));
}

#[tokio::test]
async fn a_store_whose_medium_comes_back_works_again_within_a_second() {
    let bench = Bench::new(|builder| builder).await;
    put(&bench.store, "k", "old").await.unwrap();
    bench.faults.fail_after(0, i64::MAX, EIO);
    for _ in 0..5 {
        put(&bench.store, "k", "new").await.unwrap_err();
    }
    bench.store.get("c", "k").await.unwrap_err();
    bench.faults.heal();
    tokio::time::timeout(Duration::from_secs(1), async {
        while bench.store.get("c", "k").await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    put(&bench.store, "k", "new").await.unwrap();
    assert_eq!(get(&bench.reopened().await, "k").await, value("new"));
}

#[tokio::test]
async fn a_group_that_fails_is_retried_one_by_one() {
    let bench = Bench::new(|builder| builder).await;
    put(&bench.store, "first", "v").await.unwrap();
    put(&bench.store, "second", "v").await.unwrap();
    bench.faults.delay_syncs(Duration::from_millis(500));
    let keys: Vec<String> = (0..20).map(|key| key.to_string()).collect();
    let started = bench.faults.started_syncs.load(Ordering::SeqCst);
    let mut blocker = Box::pin(put(&bench.store, "blocker", "v"));
    assert!(poll_once(blocker.as_mut()).is_none());
    while bench.faults.started_syncs.load(Ordering::SeqCst) == started {
        sleep(Duration::from_millis(1)).await;
    }
    // The sync that is under way succeeds, the first write of the group behind it fails.
    bench.faults.fail_after(1, 1, ENOSPC);
    let mut puts: Vec<_> = keys
        .iter()
        .map(|key| Box::pin(put(&bench.store, key, "v")))
        .collect();
    for put in &mut puts {
        assert!(poll_once(put.as_mut()).is_none());
    }
    blocker.await.unwrap();
    bench.faults.delay_syncs(Duration::ZERO);
    for put in puts {
        put.await.unwrap();
    }
    assert!(bench.faults.heal());
    let store = bench.reopened().await;
    for key in &keys {
        assert_eq!(get(&store, key).await, value("v"));
    }
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

/// The model of one key: what the store may hold, by the answers it gave.
struct Possible(Vec<Option<String>>);

#[tokio::test]
async fn after_any_failed_write_or_sync_the_store_holds_what_it_said() {
    for errno in [EIO, ENOSPC] {
        for failing in 0.. {
            let bench = Bench::new(|builder| builder).await;
            bench.faults.fail_after(failing, 1, errno);
            let mut possible = Possible(vec![None]);
            let mut refused = false;
            for number in 0..10 {
                if number == 5 {
                    // Makes everything durable in the database; it may meet the failure.
                    let _ = bench.store.check_integrity().await;
                }
                let text = "x".repeat(number * 3000);
                let mode = if number == 0 {
                    PutMode::Create
                } else {
                    PutMode::Overwrite
                };
                match bench.store.put("c", "k", entry(&text), mode).await {
                    Ok(_) => possible = Possible(vec![Some(text)]),
                    Err(Error::OutcomeUnknown { .. }) => {
                        refused = true;
                        possible.0.push(Some(text));
                    }
                    Err(Error::Unavailable { .. } | Error::Full { .. }) => refused = true,
                    Err(other) => panic!("I/O {failing}: {other:?}"),
                }
                let found = get(&bench.store, "k").await;
                let allowed: Vec<_> = possible
                    .0
                    .iter()
                    .map(|text| text.as_deref().and_then(value))
                    .collect();
                assert!(allowed.contains(&found), "I/O {failing}");
            }
            let failed = bench.faults.heal();
            assert!(failed || !refused);
            let found = get(&bench.reopened().await, "k").await;
            let allowed: Vec<_> = possible
                .0
                .iter()
                .map(|text| text.as_deref().and_then(value))
                .collect();
            assert!(allowed.contains(&found), "I/O {failing} after reopening");
            if !failed {
                assert!(failing > 20, "the workload does more I/O than that");
                break;
            }
        }
    }
}

#[tokio::test]
async fn an_atomic_batch_is_written_whole_or_not_at_all_whichever_write_fails() {
    for failing in 0.. {
        let bench = Bench::new(|builder| builder).await;
        bench.faults.fail_after(failing, i64::MAX, EIO);
        let batch = (0..20)
            .map(|key| (key.to_string(), entry(&"x".repeat(2000))))
            .collect();
        let answer = bench.store.put_many("c", batch).await;
        let failed = bench.faults.heal();
        let store = bench.reopened().await;
        let found = store
            .keys("c", kv_core::KeyQuery::new())
            .await
            .unwrap()
            .keys
            .len();
        match answer {
            Ok(_) => assert_eq!(found, 20),
            Err(Error::OutcomeUnknown { .. }) => assert!(found == 0 || found == 20),
            Err(_) => assert_eq!(found, 0, "I/O {failing}"),
        }
        if !failed {
            break;
        }
    }
}

#[tokio::test]
async fn a_put_whose_future_is_dropped_at_any_poll_is_whole_or_absent() {
    let bench = Bench::new(|builder| builder).await;
    for polls in 0..4 {
        let key = polls.to_string();
        {
            let mut write = pin!(put(&bench.store, &key, "v"));
            for _ in 0..polls {
                if poll_once(write.as_mut()).is_some() {
                    break;
                }
                sleep(Duration::from_millis(1)).await;
            }
        }
        let found = get(&bench.store, &key).await;
        assert!(found.is_none() || found == value("v"));
    }
    drop(bench.reopened().await);
}

#[tokio::test]
async fn dropping_the_last_handle_commits_what_is_queued() {
    let bench = Bench::new(|builder| builder.durability(Durability::Interval(NEVER))).await;
    bench.faults.delay_syncs(Duration::from_millis(50));
    for key in 0..50 {
        let mut write = Box::pin(put(&bench.store, "k", "v"));
        assert!(poll_once(write.as_mut()).is_none(), "{key}");
    }
    assert_eq!(get(&bench.reopened().await, "k").await, value("v"));
}

#[tokio::test]
async fn the_queue_holds_no_more_than_it_may() {
    let bench = Bench::new(|builder| builder.queue_len(4)).await;
    bench.faults.delay_syncs(Duration::from_millis(50));
    let mut puts: Vec<_> = (0..10)
        .map(|_| Box::pin(put(&bench.store, "k", "v")))
        .collect();
    for put in &mut puts {
        assert!(poll_once(put.as_mut()).is_none());
    }
    // Those beyond the fourth wait for room: dropped now, they leave no write behind.
    puts.truncate(4);
    for put in puts {
        put.await.unwrap();
    }
    tokio::time::timeout(Duration::from_secs(30), put(&bench.store, "k", "w"))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_write_larger_than_the_queue_goes_alone() {
    let bench = Bench::new(|builder| builder.queue_bytes(1024)).await;
    let large = "x".repeat(100_000);
    let puts = ["a", "b", "c"].map(|key| put(&bench.store, key, &large));
    for result in futures_join(puts.into_iter()).await {
        result.unwrap();
    }
}

//! A loss of power at every write and sync: what was acknowledged is there afterwards.

use std::collections::BTreeMap;

use fastrand::Rng;
use kv_core::{Entry, KeyQuery, PutMode, Result, Store, Timestamp, Value};

use super::tests::{Bench, entry};
use crate::{DiskStore, DiskStoreBuilder};

/// How many ways the sectors that were not synced fall, for each moment.
const WAYS: u64 = 3;

type State = BTreeMap<String, Value>;

/// One operation of the workload.
type Step = (&'static str, Vec<(&'static str, usize)>);

/// What is done before the power is lost, each an acknowledged operation.
fn workload() -> Vec<Step> {
    vec![
        ("put", vec![("a", 10)]),
        ("put", vec![("b", 3000)]),
        ("put", vec![("expiring", 10)]),
        ("put many", vec![("a", 6000), ("c", 10), ("d", 9000)]),
        ("delete", vec![("b", 0)]),
        ("take", vec![("expiring", 0)]),
        ("check", vec![]),
        ("put", vec![("b", 20)]),
        ("put many", vec![("c", 4000), ("e", 4000)]),
        ("delete", vec![("a", 0)]),
        ("put", vec![("b", 50_000)]),
    ]
}

fn sized(size: usize) -> Entry {
    entry(&"x".repeat(size))
}

async fn run(store: &DiskStore, (what, entries): &Step) -> Result<()> {
    let (key, size) = entries.first().copied().unwrap_or_default();
    match *what {
        "put" => {
            let end = Timestamp::from_micros(i64::MAX / 2);
            let mut entry = sized(size);
            if key == "expiring" {
                entry = entry.with_expires_at(Some(end));
            }
            store.put("c", key, entry, PutMode::Overwrite).await?;
        }
        "put many" => {
            let entries = entries
                .iter()
                .map(|&(key, size)| (key.to_owned(), sized(size)));
            store.put_many("c", entries.collect()).await?;
        }
        "delete" => assert!(store.delete("c", key).await?),
        "take" => assert!(store.take("c", key).await?.is_some()),
        // Makes everything durable in the database.
        _ => assert!(store.check_integrity().await?),
    }
    Ok(())
}

fn model((what, entries): &Step, state: &mut State) {
    for &(key, size) in entries {
        match *what {
            "put" | "put many" => drop(state.insert(key.to_owned(), sized(size).value)),
            _ => drop(state.remove(key)),
        }
    }
}

/// Returns what is in the store after each operation.
fn states() -> Vec<State> {
    let mut state = State::new();
    let mut states = vec![state.clone()];
    for step in workload() {
        model(&step, &mut state);
        states.push(state.clone());
    }
    states
}

async fn contents(store: &DiskStore) -> State {
    let mut found = State::new();
    for key in store.keys("c", KeyQuery::new()).await.unwrap().keys {
        let entry = store.get("c", &key).await.unwrap().unwrap();
        found.insert(key, entry.value);
    }
    found
}

async fn survives_a_loss_of_power(set_up: fn(DiskStoreBuilder) -> DiskStoreBuilder) {
    let states = states();
    let mut moments = 0;
    for left in 0.. {
        let bench = Bench::new(set_up).await;
        bench.faults.lose_power_after(left);
        for step in workload() {
            run(&bench.store, &step).await.unwrap();
            bench.faults.acknowledge();
        }
        drop(bench.store);
        let Some(lost) = bench.faults.power_lost() else {
            break;
        };
        moments += 1;
        for seed in 0..WAYS {
            let folder = tempfile::tempdir().unwrap();
            lost.medium
                .write_to(folder.path(), &mut Rng::with_seed(seed));
            let store = set_up(DiskStore::builder(folder.path())).build().unwrap();
            let found = contents(&store).await;
            let before = lost.acknowledged;
            let allowed = &states[before..(before + 2).min(states.len())];
            assert!(
                allowed.contains(&found),
                "after {left} writes and syncs, {before} acknowledged, seed {seed}: {:?}",
                found.keys()
            );
            assert!(store.check_integrity().await.unwrap());
            store
                .put("c", "after", sized(10), PutMode::Create)
                .await
                .unwrap();
        }
    }
    assert!(moments > 50, "{moments}");
}

#[tokio::test]
async fn power_lost_at_any_write_or_sync_takes_nothing_that_was_acknowledged() {
    survives_a_loss_of_power(|builder| builder).await;
}

#[tokio::test]
async fn power_lost_takes_nothing_that_a_shared_store_acknowledged() {
    survives_a_loss_of_power(DiskStoreBuilder::shared).await;
}

#[tokio::test]
async fn power_lost_takes_nothing_that_two_phases_committed() {
    survives_a_loss_of_power(|builder| builder.two_phase_commit(true)).await;
}

//! Many lives of one folder: each ends with a loss of power, also while the next one recovers from
//! the last, and some meet failures before.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use fastrand::Rng;
use kv_core::{Error, KeyQuery, PutMode, Result, Revision, Store, Value};

use super::Faults;
use super::tests::entry;
use crate::DiskStore;

/// How many folders, and how many lives of each.
const FOLDERS: u64 = 10;
const LIVES: usize = 6;

const STEPS: usize = 20;
const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

type State = BTreeMap<String, Value>;

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<(String, usize)>),
    Delete(String),
    Clear,
    Check,
    Compact,
    Reopen,
}

impl Step {
    fn any(rng: &mut Rng) -> Self {
        let key = |rng: &mut Rng| KEYS[rng.usize(0..KEYS.len())].to_owned();
        match rng.usize(0..20) {
            0..12 => Self::Put(vec![(key(rng), size(rng))]),
            12..14 => Self::Put((0..3).map(|_| (key(rng), size(rng))).collect()),
            14..16 => Self::Delete(key(rng)),
            16 => Self::Clear,
            17 => Self::Check,
            18 => Self::Compact,
            _ => Self::Reopen,
        }
    }

    async fn run(&self, store: &DiskStore) -> Result<Vec<Revision>> {
        match self {
            Self::Put(entries) if entries.len() == 1 => {
                let (key, size) = &entries[0];
                let revision = store
                    .put("c", key, sized(*size), PutMode::Overwrite)
                    .await?;
                return Ok(vec![revision]);
            }
            Self::Put(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, size)| (key.clone(), sized(*size)));
                return store.put_many("c", entries.collect()).await;
            }
            Self::Delete(key) => drop(store.delete("c", key).await?),
            Self::Clear => drop(store.clear("c").await?),
            Self::Check => drop(store.check_integrity().await?),
            Self::Compact => drop(store.compact().await?),
            Self::Reopen => {}
        }
        Ok(Vec::new())
    }

    fn model(&self, mut state: State) -> State {
        match self {
            Self::Put(entries) => {
                let entries = entries.iter();
                state.extend(entries.map(|(key, size)| (key.clone(), sized(*size).value)));
            }
            Self::Delete(key) => drop(state.remove(key)),
            Self::Clear => state.clear(),
            Self::Check | Self::Compact | Self::Reopen => {}
        }
        state
    }
}

fn size(rng: &mut Rng) -> usize {
    let most = [10, 500, 5000, 20_000][rng.usize(0..4)];
    rng.usize(0..most)
}

fn sized(size: usize) -> kv_core::Entry {
    entry(&"x".repeat(size))
}

fn with_applied(states: &[State], step: &Step) -> Vec<State> {
    let applied = states.iter().map(|state| step.model(state.clone()));
    let mut both = states.to_vec();
    both.extend(applied);
    both.sort_by_key(|state| format!("{state:?}"));
    both.dedup();
    both
}

async fn contents(store: &DiskStore) -> State {
    let mut found = State::new();
    for key in store.keys("c", KeyQuery::new()).await.unwrap().keys {
        let entry = store.get("c", &key).await.unwrap().unwrap();
        found.insert(key, entry.value);
    }
    found
}

async fn live(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut folder = tempfile::tempdir().unwrap();
    let mut states = vec![State::new()];
    let mut revisions = HashSet::new();
    for life in 0..LIVES {
        let faults = Arc::new(Faults::default());
        faults.start_with(folder.path());
        faults.lose_power_after(rng.u64(0..150));
        let failing = rng.bool();
        if failing {
            let errno = [EIO, ENOSPC][rng.usize(0..2)];
            faults.fail_after(rng.i64(0..100), rng.i64(1..4), errno);
        }
        let shared = rng.usize(0..5) == 0;
        let two_phase = rng.usize(0..5) == 0;
        let open = || {
            let builder = DiskStore::builder(folder.path())
                .free_space_floor(0)
                .two_phase_commit(two_phase)
                .sweep_interval(std::time::Duration::ZERO)
                .faults(&faults);
            let builder = if shared { builder.shared() } else { builder };
            builder.build().unwrap()
        };
        let mut store = open();
        let mut history = Vec::new();
        let mut answers = Vec::new();
        for _ in 0..STEPS {
            let step = Step::any(&mut rng);
            history.push((states.clone(), step.clone()));
            if matches!(step, Step::Reopen) {
                drop(store);
                store = open();
            }
            let answer = step.run(&store).await;
            let context = format!("seed {seed} life {life} {step:?} {answer:?}");
            states = match &answer {
                Ok(_) => states
                    .iter()
                    .map(|state| step.model(state.clone()))
                    .collect(),
                Err(Error::OutcomeUnknown { .. }) => with_applied(&states, &step),
                // In one step, as there are few keys.
                Err(Error::Unavailable { .. } | Error::Full { .. }) if failing => states,
                Err(_) => panic!("{context}"),
            };
            answers.push(answer.unwrap_or_default());
            if !failing {
                let found = contents(&store).await;
                assert!(states.contains(&found), "{context}");
            }
            faults.acknowledge();
        }
        drop(store);
        faults.heal();
        let mut answered = history.len();
        if let Some(lost) = faults.power_lost() {
            answered = lost.acknowledged;
            folder = tempfile::tempdir().unwrap();
            lost.medium.write_to(folder.path(), &mut rng);
            if let Some((before, step)) = history.get(answered) {
                states = with_applied(before, step);
            }
        }
        for revision in answers.into_iter().take(answered).flatten() {
            assert!(
                revisions.insert(revision),
                "seed {seed} life {life}: a revision twice"
            );
        }
        let copy = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        let store = DiskStore::new(copy.path()).unwrap();
        let opened = store.open().await;
        assert!(opened.is_ok(), "seed {seed} life {life}: {opened:?}");
        let found = contents(&store).await;
        assert!(
            states.contains(&found),
            "seed {seed} life {life}: {answered} answered, {:?}",
            &history[answered.saturating_sub(3)..(answered + 1).min(history.len())]
                .iter()
                .map(|(_, step)| step)
                .collect::<Vec<_>>()
        );
        assert!(
            store.check_integrity().await.unwrap(),
            "seed {seed} life {life}"
        );
        states = vec![found];
    }
}

#[tokio::test]
async fn a_folder_survives_many_losses_of_power_and_failures() {
    for seed in 0..FOLDERS {
        live(seed).await;
    }
}

//! Random operations against a sorted map that does the same.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Debug;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::Subject;
use super::subject::{LIFE, MICROSECOND, entry};
use crate::{Entry, Error, KeyQuery, PutMode, Result, Revision, Timestamp};

/// The names in play: few, so that operations meet.
const COLLECTIONS: [&str; 2] = ["-a", "-a:b"];
const KEYS: [&str; 6] = ["k", "k:k", "K", "*", "é", "k\0"];

/// The longest sequence; their mean is half of it.
const MAX_OPERATIONS: usize = 120;

/// How many smaller sequences are tried for one that fails.
const MAX_SHRINKS: usize = 500;

pub async fn random_operations_agree_with_a_map(t: &Subject) {
    let sequences = number_from("KV_CONFORMANCE_SEQUENCES", 64);
    let seed = number_from("KV_CONFORMANCE_SEED", 0);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = vec(operation(), 1..=MAX_OPERATIONS);
    for sequence in 0..sequences {
        let mut tree = strategy.new_tree(&mut runner).unwrap();
        if let Err(message) = run(t, &tree.current()).await {
            let (smallest, message) = shrink(t, &mut tree, message).await;
            panic!(
                "{message}\nin sequence {sequence} of KV_CONFORMANCE_SEED={seed}, shrunk to \
                 {smallest:#?}"
            );
        }
    }
}

/// One step of a sequence. Names stand for themselves by their place in the lists above.
#[derive(Clone, Debug)]
enum Operation {
    Get(usize, usize),
    Put(usize, usize, Life, Mode),
    Delete(usize, usize),
    Take(usize, usize),
    GetMany(usize, Vec<usize>),
    PutMany(usize, Vec<(usize, Life)>),
    DeleteMany(usize, Vec<usize>),
    Keys(usize, &'static str, usize),
    Collections(usize),
    Clear(usize),
    Cull,
    Advance(Duration),
}

/// How long an entry lives.
type Life = Option<Duration>;

/// A [`PutMode`] before the revisions are known.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Overwrite,
    Create,
    UpdateLive,
    /// With one of the revisions handed out before, of whatever key.
    UpdateAny(usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let collection = || 0..COLLECTIONS.len();
    let key = || 0..KEYS.len();
    let keys = || vec(key(), 0..8);
    let life = || prop_oneof![Just(None), (1..4_u32).prop_map(|n| Some(LIFE * n))];
    let mode = prop_oneof![
        3 => Just(Mode::Overwrite),
        3 => Just(Mode::Create),
        3 => Just(Mode::UpdateLive),
        2 => any::<usize>().prop_map(Mode::UpdateAny),
    ];
    let prefix = prop::sample::select(vec!["", "k", "k:", "*", "x"]);
    let step = [MICROSECOND, LIFE - MICROSECOND, LIFE, LIFE + MICROSECOND];
    prop_oneof![
        6 => (collection(), key()).prop_map(|(c, k)| Get(c, k)),
        12 => (collection(), key(), life(), mode).prop_map(|(c, k, l, m)| Put(c, k, l, m)),
        3 => (collection(), key()).prop_map(|(c, k)| Delete(c, k)),
        3 => (collection(), key()).prop_map(|(c, k)| Take(c, k)),
        3 => (collection(), keys()).prop_map(|(c, k)| GetMany(c, k)),
        3 => (collection(), vec((key(), life()), 0..8)).prop_map(|(c, k)| PutMany(c, k)),
        2 => (collection(), keys()).prop_map(|(c, k)| DeleteMany(c, k)),
        3 => (collection(), prefix, 0..4_usize).prop_map(|(c, p, s)| Keys(c, p, s)),
        1 => (0..3_usize).prop_map(Collections),
        1 => collection().prop_map(Clear),
        1 => Just(Cull),
        4 => prop::sample::select(step.to_vec()).prop_map(Advance),
    ]
}

/// The map, by collection and key, and every revision that was handed out.
struct Model<'a> {
    t: &'a Subject,
    collections: [String; 2],
    entries: BTreeMap<(usize, usize), Entry>,
    revisions: Vec<Revision>,
    writes: u64,
}

async fn run(t: &Subject, operations: &[Operation]) -> Result<(), String> {
    let own = format!("-{:08x}", fastrand::u32(..));
    let mut model = Model {
        t,
        collections: COLLECTIONS.map(|name| t.neighbour(&format!("{own}{name}"))),
        entries: BTreeMap::new(),
        revisions: Vec::new(),
        writes: 0,
    };
    for (place, operation) in operations.iter().enumerate() {
        let step = model.step(operation).await;
        step.map_err(|message| format!("step {place}, {operation:?}: {message}"))?;
    }
    for c in 0..COLLECTIONS.len() {
        model.step(&Operation::Clear(c)).await?;
    }
    Ok(())
}

async fn shrink(
    t: &Subject,
    tree: &mut impl ValueTree<Value = Vec<Operation>>,
    message: String,
) -> (Vec<Operation>, String) {
    let mut smallest = (tree.current(), message);
    let mut goes_on = tree.simplify();
    for _ in 0..MAX_SHRINKS {
        if !goes_on {
            break;
        }
        goes_on = match run(t, &tree.current()).await {
            Ok(()) => tree.complicate(),
            Err(message) => {
                smallest = (tree.current(), message);
                tree.simplify()
            }
        };
    }
    smallest
}

impl Model<'_> {
    async fn step(&mut self, operation: &Operation) -> Result<(), String> {
        let store = &self.t.store;
        match *operation {
            Operation::Get(c, k) => {
                let read = store.get(&self.collections[c], KEYS[k]).await;
                same(&read.map_err(text)?, &self.live(c, k))
            }
            Operation::Put(c, k, life, mode) => self.put(c, k, life, mode).await,
            Operation::Delete(c, k) => {
                let deleted = store.delete(&self.collections[c], KEYS[k]).await;
                same(&deleted.map_err(text)?, &self.remove(c, k).is_some())
            }
            Operation::Take(c, k) => {
                let taken = store.take(&self.collections[c], KEYS[k]).await;
                same(&taken.map_err(text)?, &self.remove(c, k))
            }
            Operation::GetMany(c, ref keys) => {
                let read = store.get_many(&self.collections[c], &names(keys)).await;
                let read: Result<Vec<_>> = read.map_err(text)?.into_iter().collect();
                let expected: Vec<_> = keys.iter().map(|k| self.live(c, *k)).collect();
                same(&read.map_err(text)?, &expected)
            }
            Operation::PutMany(c, ref entries) => self.put_many(c, entries).await,
            Operation::DeleteMany(c, ref keys) => {
                let deleted = store.delete_many(&self.collections[c], &names(keys)).await;
                let expected = keys.iter().map(|k| self.remove(c, *k).is_some());
                same(&deleted.map_err(text)?, &expected.collect())
            }
            Operation::Keys(c, prefix, size) => self.list(c, prefix, size).await,
            Operation::Collections(size) => self.list_collections(size).await,
            Operation::Clear(c) => {
                let cleared = store.clear(&self.collections[c]).await;
                let expected = (0..KEYS.len()).filter_map(|k| self.remove(c, k)).count();
                same(&cleared.map_err(text)?, &(expected as u64))
            }
            Operation::Cull => store.cull().await.map(drop).map_err(text),
            Operation::Advance(by) => {
                self.t.clock.advance(by);
                Ok(())
            }
        }
    }

    async fn put(&mut self, c: usize, k: usize, life: Life, mode: Mode) -> Result<(), String> {
        let live = self.live(c, k).and_then(|entry| entry.revision);
        let any = |n: usize| self.revisions.get(n % self.revisions.len().max(1)).cloned();
        let mode = match mode {
            Mode::Overwrite => PutMode::Overwrite,
            Mode::Create => PutMode::Create,
            Mode::UpdateLive => live.clone().map_or(PutMode::Create, PutMode::Update),
            Mode::UpdateAny(n) => any(n).map_or(PutMode::Create, PutMode::Update),
        };
        let expected = match &mode {
            PutMode::Overwrite => Ok(()),
            PutMode::Create if live.is_some() => Err(Error::AlreadyExists),
            PutMode::Create => Ok(()),
            PutMode::Update(revision) if live.as_ref() == Some(revision) => Ok(()),
            PutMode::Update(_) => Err(Error::Conflict),
        };
        let written = self.next_entry(life);
        let collection = &self.collections[c];
        let put = self.t.store.put(collection, KEYS[k], written.clone(), mode);
        match (put.await, expected) {
            (Ok(revision), Ok(())) => self.written(c, k, written, revision),
            (put, expected) => same(&put.map(drop).map_err(text), &expected.map_err(text)),
        }
    }

    async fn put_many(&mut self, c: usize, entries: &[(usize, Life)]) -> Result<(), String> {
        let written = entries.iter().map(|(k, life)| (*k, self.next_entry(*life)));
        let written: Vec<_> = written.collect();
        let named = written.iter().cloned();
        let named = named
            .map(|(k, entry)| (KEYS[k].to_owned(), entry))
            .collect();
        let put = self.t.store.put_many(&self.collections[c], named).await;
        let revisions = put.map_err(text)?;
        same(&revisions.len(), &entries.len())?;
        for ((k, entry), revision) in written.into_iter().zip(revisions) {
            self.written(c, k, entry, revision)?;
        }
        Ok(())
    }

    async fn list(&self, c: usize, prefix: &str, size: usize) -> Result<(), String> {
        let mut listed = BTreeSet::new();
        let mut query = KeyQuery::new().with_prefix(prefix).with_page_size(size);
        loop {
            let page = self.t.store.keys(&self.collections[c], query.clone()).await;
            let page = page.map_err(text)?;
            listed.extend(page.keys);
            let Some(next) = page.next else { break };
            query = query.with_cursor(next);
        }
        let live = (0..KEYS.len()).filter(|k| self.live(c, *k).is_some());
        let live = live.map(|k| KEYS[k]).filter(|key| key.starts_with(prefix));
        same(&listed, &live.map(str::to_owned).collect())
    }

    async fn list_collections(&self, size: usize) -> Result<(), String> {
        let mut listed = BTreeSet::new();
        let query = KeyQuery::new().with_prefix(&self.collections[0]);
        let mut query = query.with_page_size(size);
        loop {
            let page = self.t.store.collections(query.clone()).await;
            let page = page.map_err(text)?;
            listed.extend(page.collections);
            let Some(next) = page.next else { break };
            query = query.with_cursor(next);
        }
        let is_live = |c: &usize| (0..KEYS.len()).any(|k| self.live(*c, k).is_some());
        let live = (0..COLLECTIONS.len()).filter(is_live);
        same(
            &listed,
            &live.map(|c| self.collections[c].clone()).collect(),
        )
    }

    /// An entry that no other write of the sequence holds.
    fn next_entry(&mut self, life: Life) -> Entry {
        self.writes += 1;
        let end = life.map(|life| self.t.later(life));
        entry(self.writes).with_expires_at(end)
    }

    fn written(&mut self, c: usize, k: usize, entry: Entry, new: Revision) -> Result<(), String> {
        if self.revisions.contains(&new) {
            return Err("the revision was used before".into());
        }
        self.revisions.push(new.clone());
        let entry = entry.with_created_at(self.t.now()).with_revision(new);
        self.entries.insert((c, k), entry);
        Ok(())
    }

    fn live(&self, c: usize, k: usize) -> Option<Entry> {
        let now: Timestamp = self.t.now();
        let entry = self.entries.get(&(c, k))?;
        (!entry.is_expired(now)).then(|| entry.clone())
    }

    fn remove(&mut self, c: usize, k: usize) -> Option<Entry> {
        let live = self.live(c, k);
        self.entries.remove(&(c, k));
        live
    }
}

fn names(keys: &[usize]) -> Vec<&'static str> {
    keys.iter().map(|k| KEYS[*k]).collect()
}

fn same<T: Debug + PartialEq>(answer: &T, expected: &T) -> Result<(), String> {
    if answer == expected {
        return Ok(());
    }
    Err(format!(
        "the store answers {answer:?}, the model {expected:?}"
    ))
}

#[allow(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
fn text(error: Error) -> String {
    error.to_string()
}

fn number_from(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| text.parse().unwrap())
}

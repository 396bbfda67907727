//! The parent: starts and kills the children of a run, and holds the file against their reports.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::Duration;
use std::{env, thread};

use fastrand::Rng;
use kv_core::{Clock, KeyQuery, ManualClock, Revision, Store, SystemClock, Timestamp};
use kv_disk::DiskStore;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::script::{self, KEYS, Log, Op, Report, Rows, Step, key_name, seq_of};
use super::worker::{Access, Orders, TTL_MICROS};
use crate::role::{Child, PATIENCE};

const WORKERS: u8 = 6;

/// How far the clock goes when nobody uses the store: what was to expire has.
const CLOCK_STEP_MICROS: i64 = 2 * TTL_MICROS;

/// How often the file is checked in full, in settlements.
const INTEGRITY_EVERY: usize = 5;

/// What is live in a collection: the number of the value, and the expiry.
type Seen = BTreeMap<u16, (u64, Option<i64>)>;

pub(crate) fn cycles() -> usize {
    env::var("KV_CRASH_CYCLES").map_or(200, |cycles| cycles.parse().unwrap())
}

/// All cycles on one file.
pub(crate) struct Run {
    access: Access,
    /// `None` after a failure, when the folder is kept.
    folder: Option<TempDir>,
    seed: u64,
    rng: Rng,
    runtime: Runtime,
    now: i64,
    next_seq: u64,
    settlements: usize,
    /// What each collection must hold.
    collections: BTreeMap<String, Rows>,
    /// The write that each revision ever seen marks.
    revisions: HashMap<Revision, (String, u16, u64)>,
}

/// A child that writes.
pub(crate) struct Life {
    orders: Orders,
    child: Child,
    reports: Vec<Report>,
}

/// What a child that was killed had done.
pub(crate) struct Dead {
    orders: Orders,
    logs: Vec<Log>,
}

impl Life {
    /// Waits until so many more operations are acknowledged.
    pub(crate) fn await_answers(&mut self, mut missing: usize) {
        self.reports.extend(self.child.heard_so_far());
        while missing > 0 {
            let report = self.child.hear(PATIENCE).unwrap();
            missing -= usize::from(matches!(report, Report::Acknowledged { .. }));
            self.reports.push(report);
        }
    }

    pub(crate) fn kill(self) -> Dead {
        let mut reports = self.reports;
        reports.extend(self.child.kill());
        Dead {
            logs: script::logs(reports, self.orders.workers),
            orders: self.orders,
        }
    }
}

impl Run {
    pub(crate) fn new(access: Access) -> Self {
        let seed = env::var("KV_CRASH_SEED")
            .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
        Self {
            access,
            folder: Some(tempfile::tempdir().unwrap()),
            seed,
            rng: Rng::with_seed(seed),
            runtime: Runtime::new().unwrap(),
            now: SystemClock::default().now().as_micros(),
            next_seq: 0,
            settlements: 0,
            collections: BTreeMap::new(),
            revisions: HashMap::new(),
        }
    }

    /// Starts a child that writes to collections of its own, which it shares with earlier children
    /// of its name.
    pub(crate) fn start(&mut self, name: &str) -> Life {
        let orders = self.orders(name);
        let scratch = self.folder.as_ref().unwrap().path();
        Life {
            child: Child::start("crash", &orders, scratch),
            orders,
            reports: Vec::new(),
        }
    }

    fn orders(&mut self, name: &str) -> Orders {
        const SEQS_PER_CHILD: u64 = 1_000_000;
        let first_seq = self.next_seq;
        self.next_seq += SEQS_PER_CHILD;
        Orders {
            folder: self.folder.as_ref().unwrap().path().join("store"),
            access: self.access,
            name: name.to_owned(),
            workers: WORKERS,
            now: self.now,
            first_seq,
            seed: self.rng.u64(..),
        }
    }

    /// Lets a random time pass.
    pub(crate) fn pause(&mut self, millis: Range<u64>) {
        let micros = self.rng.u64(millis.start * 1000..millis.end * 1000);
        thread::sleep(Duration::from_micros(micros));
    }

    /// Checks what a child left in the file, while others use it.
    pub(crate) fn settle_beside_others(&mut self, dead: &Dead) {
        let (store, _clock) = dead.orders.store();
        self.check(&store, dead);
    }

    /// Checks what the last child left in the file, then the file as a whole.
    pub(crate) fn settle(&mut self, dead: &Dead) {
        let (store, clock) = dead.orders.store();
        self.check(&store, dead);
        self.check_collections(&store);
        self.settlements += 1;
        self.let_entries_expire(&store, &clock);
        if self.settlements.is_multiple_of(INTEGRITY_EVERY) {
            assert!(self.runtime.block_on(store.check_integrity()).unwrap());
        }
    }

    /// Checks the whole file a last time.
    pub(crate) fn finish(mut self) {
        let (store, _clock) = self.orders("last").store();
        assert!(self.runtime.block_on(store.check_integrity()).unwrap());
        for (collection, rows) in self.collections.clone() {
            let seen = self.read(&store, &collection);
            assert_eq!(seen, rows.live(self.now), "{collection}");
        }
    }

    /// Finds out which operations of a dead child survived, and fails when one is missing that was
    /// promised, or when what survived cannot be explained.
    fn check(&mut self, store: &DiskStore, dead: &Dead) {
        let names: Vec<String> = (0..dead.orders.workers)
            .map(|worker| dead.orders.collection(worker))
            .collect();
        let mut explanations = Vec::new();
        for (name, log) in names.iter().zip(&dead.logs) {
            let seen = self.read(store, name);
            let before = self.collections.entry(name.clone()).or_default();
            let explained = log.explain(before, &seen, self.now);
            assert!(
                !explained.is_empty(),
                "{name} holds {seen:?}\nafter {:?}\non {before:?}",
                log.0
            );
            explanations.push(explained);
        }
        let promised = self.promised(&dead.logs);
        let Some(cut) = script::consistent_cut(&dead.logs, &explanations, &promised) else {
            panic!("{explanations:?} operations survived of the {promised:?} that were promised");
        };
        for ((name, log), survived) in names.iter().zip(&dead.logs).zip(cut) {
            let rows = self.collections.entry(name.clone()).or_default();
            let (survivors, lost) = log.0.split_at(survived);
            survivors.iter().for_each(|step| {
                rows.apply(&step.op, self.now);
            });
            lost.iter()
                .for_each(|step| rows.apply_perhaps(&step.op, self.now));
            self.account_for_culls(survivors, lost);
        }
    }

    /// Returns how many operations of each worker must have survived.
    fn promised(&self, logs: &[Log]) -> Vec<usize> {
        if self.access != Access::Interval {
            return logs.iter().map(Log::acknowledged).collect();
        }
        let flushed = |step: &Step| {
            let flushed = matches!(step.op, Op::Flush) && step.answer.is_some();
            flushed.then_some(step.started)
        };
        let all_steps = logs.iter().flat_map(|log| &log.0);
        let last_flush = all_steps.filter_map(flushed).max().unwrap_or(0);
        let before_flush = |step: &&Step| {
            let answer = step.answer.as_ref();
            answer.is_some_and(|(place, _)| *place < last_flush)
        };
        logs.iter()
            .map(|log| log.0.iter().take_while(before_flush).count())
            .collect()
    }

    /// A cull removes what has expired in all collections. Everything that has had done so before
    /// the child began.
    fn account_for_culls(&mut self, survivors: &[Step], lost: &[Step]) {
        let now = self.now;
        let culls = |step: &Step| matches!(step.op, Op::Cull);
        let done = |step: &Step| culls(step) && step.answer.is_some();
        let certain = self.access != Access::Interval && survivors.iter().any(done);
        for rows in self.collections.values_mut() {
            if certain {
                rows.0.retain(|_, row| row.is_live(now));
            } else if survivors.iter().chain(lost).any(culls) {
                rows.apply_perhaps(&Op::Cull, now);
            }
        }
    }

    /// Reads all of a collection in three ways, which must agree.
    fn read(&mut self, store: &DiskStore, collection: &str) -> Seen {
        let names: Vec<String> = (0..KEYS).map(key_name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let entries = self.runtime.block_on(store.get_many(collection, &names));
        let mut seen = Seen::new();
        for (key, entry) in (0..).zip(entries.unwrap()) {
            let Some(entry) = entry.unwrap() else {
                continue;
            };
            let seq = seq_of(&entry.value);
            let write = (collection.to_owned(), key, seq);
            let marked = (self.revisions)
                .entry(entry.revision.unwrap())
                .or_insert_with(|| write.clone());
            assert_eq!(*marked, write, "a revision marks two writes");
            seen.insert(key, (seq, entry.expires_at.map(Timestamp::as_micros)));
        }
        let listed = self
            .runtime
            .block_on(store.keys(collection, KeyQuery::new()))
            .unwrap();
        let mut listed = listed.keys;
        listed.sort_unstable();
        let seen_names: Vec<String> = seen.keys().copied().map(key_name).collect();
        assert_eq!(listed, seen_names, "the keys of {collection}");
        let key = self.rng.u16(0..KEYS);
        let entry = self.runtime.block_on(store.get(collection, &key_name(key)));
        let seq = entry.unwrap().map(|entry| seq_of(&entry.value));
        assert_eq!(seq, seen.get(&key).map(|(seq, _)| *seq));
        seen
    }

    fn check_collections(&self, store: &DiskStore) {
        let page = self.runtime.block_on(store.collections(KeyQuery::new()));
        let mut listed = page.unwrap().collections;
        listed.sort_unstable();
        let expected: Vec<&String> = (self.collections.iter())
            .filter(|(_, rows)| !rows.live(self.now).is_empty())
            .map(|(name, _)| name)
            .collect();
        assert_eq!(listed.iter().collect::<Vec<_>>(), expected);
    }

    /// Moves the clock on, checks that exactly what is to expire has, and mostly culls it: what
    /// is left is there for a child to cull.
    fn let_entries_expire(&mut self, store: &DiskStore, clock: &ManualClock) {
        self.now += CLOCK_STEP_MICROS;
        clock.set(Timestamp::from_micros(self.now));
        let now = self.now;
        for (name, rows) in self.collections.clone() {
            assert_eq!(self.read(store, &name), rows.live(now), "{name}");
        }
        if self.rng.u8(..) < 64 {
            return;
        }
        let rows = self.collections.values().flat_map(|rows| rows.0.values());
        let expired: Vec<bool> = rows
            .filter(|row| !row.is_live(now))
            .map(|row| row.perhaps_gone)
            .collect();
        let least = expired.iter().filter(|perhaps| !**perhaps).count();
        let culled = self.runtime.block_on(store.cull()).unwrap();
        let culled = usize::try_from(culled).unwrap();
        assert!(
            (least..=expired.len()).contains(&culled),
            "culled {culled} of {least} to {}",
            expired.len()
        );
        for rows in self.collections.values_mut() {
            rows.0.retain(|_, row| row.is_live(now));
        }
        assert_eq!(self.runtime.block_on(store.cull()).unwrap(), 0);
    }
}

impl Drop for Run {
    /// Tells how to repeat a run that failed, and keeps its file.
    #[expect(clippy::print_stderr, reason = "the output of a failed test")]
    fn drop(&mut self) {
        if thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            eprintln!(
                "KV_CRASH_SEED={}, {} settlements; the file is in {}",
                self.seed,
                self.settlements,
                folder.keep().display()
            );
        }
    }
}

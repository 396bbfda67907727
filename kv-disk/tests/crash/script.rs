//! What a writing child does and reports, and what it must have done to the store by then.

use std::collections::BTreeMap;

use kv_core::{Entry, Timestamp, Value};
use serde::{Deserialize, Serialize};

/// How many keys a worker writes to. Each worker has a collection of its own.
pub(crate) const KEYS: u16 = 132;

/// One operation. A range of more than one key is a bulk call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Op {
    Put {
        first: u16,
        count: u16,
        /// The number of the first value; the others follow. No number is used twice.
        seq: u64,
        mode: Mode,
        expires_at: Option<i64>,
    },
    Delete {
        first: u16,
        count: u16,
    },
    Take {
        key: u16,
    },
    Cull,
    Flush,
    Compact,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    Overwrite,
    Create,
    /// Of the revision that a get has just returned.
    Update,
}

/// What the store answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Wrote,
    AlreadyExists,
    Deleted(Vec<bool>),
    /// The number of the value that was taken.
    Took(Option<u64>),
    Done,
}

/// A line of a child's report.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    Starts { worker: u8, op: Op },
    Acknowledged { worker: u8, outcome: Outcome },
}

/// What a collection holds, also what has expired and was not removed yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows(pub(crate) BTreeMap<u16, Row>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) expires_at: Option<i64>,
    /// Expired, and something has happened that the store may use to remove it.
    pub(crate) perhaps_gone: bool,
}

impl Row {
    pub(crate) fn is_live(&self, now: i64) -> bool {
        self.expires_at.is_none_or(|end| end > now)
    }
}

impl Rows {
    pub(crate) fn live(&self, now: i64) -> BTreeMap<u16, (u64, Option<i64>)> {
        self.0
            .iter()
            .filter(|(_, row)| row.is_live(now))
            .map(|(&key, row)| (key, (row.seq, row.expires_at)))
            .collect()
    }

    /// Does what the store's contract says `op` does, and returns the answer.
    pub(crate) fn apply(&mut self, op: &Op, now: i64) -> Outcome {
        match *op {
            Op::Put {
                first,
                count,
                seq,
                mode,
                expires_at,
            } => {
                let live = self.0.get(&first).is_some_and(|row| row.is_live(now));
                if mode == Mode::Create && live {
                    return Outcome::AlreadyExists;
                }
                for (key, seq) in (first..first + count).zip(seq..) {
                    let row = Row {
                        seq,
                        expires_at,
                        perhaps_gone: false,
                    };
                    self.0.insert(key, row);
                }
                Outcome::Wrote
            }
            Op::Delete { first, count } => {
                let deleted = (first..first + count).map(|key| self.remove(key, now).is_some());
                Outcome::Deleted(deleted.collect())
            }
            Op::Take { key } => Outcome::Took(self.remove(key, now)),
            Op::Cull | Op::Flush | Op::Compact => Outcome::Done,
        }
    }

    fn remove(&mut self, key: u16, now: i64) -> Option<u64> {
        let row = self.0.get_mut(&key)?;
        if row.is_live(now) {
            return self.0.remove(&key).map(|row| row.seq);
        }
        row.perhaps_gone = true;
        None
    }

    /// Notes that `op` may have removed what has expired.
    pub(crate) fn apply_perhaps(&mut self, op: &Op, now: i64) {
        let keys = match *op {
            Op::Put { first, count, .. } | Op::Delete { first, count } => first..first + count,
            Op::Take { key } => key..key + 1,
            Op::Cull => 0..KEYS,
            Op::Flush | Op::Compact => 0..0,
        };
        for (_, row) in self.0.range_mut(keys) {
            row.perhaps_gone |= !row.is_live(now);
        }
    }
}

/// What one worker did: its operations in their order, each with the place of its start and of its
/// answer in the child's report.
#[derive(Debug, Default)]
pub(crate) struct Log(pub(crate) Vec<Step>);

#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) started: usize,
    pub(crate) answer: Option<(usize, Outcome)>,
}

/// Sorts a child's report by worker.
pub(crate) fn logs(reports: Vec<Report>, workers: u8) -> Vec<Log> {
    let mut logs: Vec<Log> = (0..workers).map(|_| Log::default()).collect();
    for (place, report) in reports.into_iter().enumerate() {
        match report {
            Report::Starts { worker, op } => logs[usize::from(worker)].0.push(Step {
                op,
                started: place,
                answer: None,
            }),
            Report::Acknowledged { worker, outcome } => {
                let step = logs[usize::from(worker)].0.last_mut().unwrap();
                step.answer = Some((place, outcome));
            }
        }
    }
    logs
}

impl Log {
    /// Returns how many operations were answered. One more may have been under way.
    pub(crate) fn acknowledged(&self) -> usize {
        let steps = self.0.iter();
        steps.filter(|step| step.answer.is_some()).count()
    }

    /// Checks each answer, and returns after how many operations on `before` a collection holds
    /// what was `seen` in it.
    pub(crate) fn explain(
        &self,
        before: &Rows,
        seen: &BTreeMap<u16, (u64, Option<i64>)>,
        now: i64,
    ) -> Vec<usize> {
        let mut rows = before.clone();
        let mut explanations = Vec::new();
        for (done, step) in self.0.iter().enumerate() {
            if rows.live(now) == *seen {
                explanations.push(done);
            }
            let expected = rows.apply(&step.op, now);
            if let Some((_, outcome)) = &step.answer {
                assert_eq!(*outcome, expected, "the answer to {:?}", step.op);
            }
        }
        if rows.live(now) == *seen {
            explanations.push(self.0.len());
        }
        explanations
    }
}

/// Finds how many operations of each worker survived, such that no operation survived that began
/// after the answer to one that did not.
///
/// `explanations` are the numbers that explain what was seen of each worker, and `at_least` those
/// that were promised. Of several answers it returns the least; `None` when there is none.
pub(crate) fn consistent_cut(
    logs: &[Log],
    explanations: &[Vec<usize>],
    at_least: &[usize],
) -> Option<Vec<usize>> {
    let raise = |worker: usize, least: usize| {
        let mut possible = explanations[worker].iter().copied();
        possible.find(|&survived| survived >= least)
    };
    let mut cut: Vec<usize> = (0..logs.len())
        .map(|worker| raise(worker, at_least[worker]))
        .collect::<Option<_>>()?;
    loop {
        // Where the youngest survivor of all workers began.
        let youngest = (logs.iter().zip(&cut))
            .filter_map(|(log, &survived)| log.0[..survived].last())
            .map(|step| step.started)
            .max();
        let answered_before = |step: &Step| {
            let answered = step.answer.as_ref().map(|(place, _)| *place);
            answered.is_some_and(|place| youngest.is_some_and(|youngest| place < youngest))
        };
        let next: Vec<usize> = (logs.iter().enumerate())
            .map(|(worker, log)| {
                let least = log
                    .0
                    .iter()
                    .take_while(|step| answered_before(step))
                    .count();
                raise(worker, least.max(cut[worker]))
            })
            .collect::<Option<_>>()?;
        if next == cut {
            return Some(cut);
        }
        cut = next;
    }
}

/// Makes the value of number `seq`: text that repeats the number, mostly less than 512 bytes.
pub(crate) fn value(seq: u64) -> Value {
    let mut rng = fastrand::Rng::with_seed(seq);
    let most = if rng.u8(..) < 16 { 1024 } else { 64 };
    let filler = format!("{seq:08}").repeat(rng.usize(0..most));
    let text = format!(r#"{{"seq":{seq},"filler":"{filler}"}}"#);
    Value::from_stored(text.into())
}

/// Returns the number of a value, after comparing all of it.
pub(crate) fn seq_of(value: &Value) -> u64 {
    let text = str::from_utf8(value.as_bytes()).unwrap();
    let (seq, _) = text[r#"{"seq":"#.len()..].split_once(',').unwrap();
    let seq = seq.parse().unwrap();
    assert_eq!(*value, self::value(seq), "value {seq} was altered");
    seq
}

pub(crate) fn entry(seq: u64, expires_at: Option<i64>) -> Entry {
    Entry::new(value(seq)).with_expires_at(expires_at.map(Timestamp::from_micros))
}

pub(crate) fn key_name(key: u16) -> String {
    format!("key-{key:03}")
}

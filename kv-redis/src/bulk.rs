//! Operations on many keys, in steps that the server answers at once.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use kv_core::{Entry, Error, Result, Revision};
use redis::Value;
use tokio::time::Instant;

use crate::builder::Config;
use crate::error::{Failure, acknowledged};
use crate::link::{Repeat, Request};
use crate::write::{Write, of_the_whole};
use crate::{name, record, script};

/// How many keys a step has at most.
pub(crate) const STEP: usize = 256;

/// How many bytes of records a step writes at most, but for one larger record.
const STEP_BYTES: usize = 1 << 20;

/// Returns the live entries of `keys`, in their order.
pub(crate) async fn get_many(
    config: &Config,
    collection: &str,
    keys: &[&str],
) -> Result<Vec<Result<Option<Entry>>>> {
    let mut entries = Vec::with_capacity(keys.len());
    for keys in keys.chunks(STEP) {
        let names: Vec<String> = keys
            .iter()
            .map(|key| name::record(collection, key))
            .collect();
        let deadline = config.link.deadline();
        let records = read(config, &names, Strings::AndOthers, deadline).await?;
        let now = config.clock.now();
        entries.extend(
            records
                .into_iter()
                .map(|record| record::live(record?, || now)),
        );
    }
    Ok(entries)
}

/// What a read is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strings {
    /// Strings. Keys of other types are none.
    Only,
    /// Strings. Keys of other types are an error in their place.
    AndOthers,
}

/// Reads the records of these names.
pub(crate) async fn read(
    config: &Config,
    names: &[String],
    strings: Strings,
    deadline: Instant,
) -> Result<Vec<Result<Option<Bytes>>>> {
    if !config.link.spans_slots() {
        let requests: Vec<_> = names.iter().map(|name| get(config, name)).collect();
        let answers = config.link.call_all(requests, Repeat::Read, deadline);
        return answers.await.into_iter().map(row).collect();
    }
    let Some(first) = names.first() else {
        return Ok(Vec::new());
    };
    let mut command = redis::cmd("MGET");
    command.arg(names);
    let request = config.link.request(first, command);
    let answer = config.link.call(&request, Repeat::Read, deadline).await;
    let Value::Array(values) = answer.map_err(|failure| failure.error)? else {
        return Err(Failure::nonsense().error);
    };
    if values.len() != names.len() {
        return Err(Failure::nonsense().error);
    }
    let mut records: Vec<_> = values
        .into_iter()
        .map(|value| row(Ok(value)))
        .collect::<Result<_>>()?;
    if strings == Strings::AndOthers {
        ask_again(config, names, &mut records, deadline).await?;
    }
    Ok(records)
}

/// Asks for the records that seem to be missing one by one: `MGET` answers alike for a missing key
/// and for one of another type.
async fn ask_again(
    config: &Config,
    names: &[String],
    records: &mut [Result<Option<Bytes>>],
    deadline: Instant,
) -> Result<()> {
    let is_missing = |record: &Result<Option<Bytes>>| matches!(record, Ok(None));
    let missing: Vec<usize> = (0..records.len())
        .filter(|place| is_missing(&records[*place]))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let requests: Vec<_> = missing
        .iter()
        .map(|place| get(config, &names[*place]))
        .collect();
    let answers = config.link.call_all(requests, Repeat::Read, deadline);
    for (place, answer) in missing.into_iter().zip(answers.await) {
        records[place] = row(answer)?;
    }
    Ok(())
}

/// Returns what an answer says of its record; an error when it says nothing.
fn row(answer: Result<Value, Failure>) -> Result<Result<Option<Bytes>>> {
    match answer.and_then(record::bytes) {
        Ok(record) => Ok(Ok(record)),
        Err(failure) if record::is_other_type(&failure) => Ok(Err(failure.error)),
        Err(failure) => Err(failure.error),
    }
}

fn get(config: &Config, name: &str) -> Request {
    let mut command = redis::cmd("GET");
    command.arg(name);
    config.link.request(name, command)
}

/// Stores all `entries`, replacing what is there.
pub(crate) async fn put_many(
    config: &Config,
    collection: &str,
    entries: Vec<(String, Entry)>,
) -> Result<Vec<Revision>> {
    let mut writes = Vec::with_capacity(entries.len());
    for (key, entry) in entries {
        let write = Write::new(config, collection, &key, entry)?;
        writes.push((key, write));
    }
    let revisions = writes.iter().map(|(_, write)| write.revision()).collect();

    // Only the last entry of a key is live in the end, and a cluster keeps no order.
    let mut seen = HashSet::new();
    let mut rest: Vec<_> = writes.iter().rev().collect();
    rest.retain(|(key, _)| seen.insert(key.as_str()));
    rest.reverse();

    let mut written = 0;
    let mut rest = rest.as_slice();
    while !rest.is_empty() {
        let (step, later) = rest.split_at(step_len(rest));
        let (failed, failure) = write_step(config, step).await;
        written += step.len() - failed.len();
        let Some(failure) = failure else {
            rest = later;
            continue;
        };
        if written == 0 {
            return Err(failure.of_a_write());
        }
        let later = later.iter().map(|(key, _)| key.clone());
        return Err(Error::Incomplete {
            keys: failed.into_iter().chain(later).collect(),
            source: Some(Arc::new(failure.of_a_write())),
        });
    }
    Ok(revisions)
}

fn step_len(writes: &[&(String, Write)]) -> usize {
    let mut bytes = 0;
    let fitting = writes.iter().take(STEP).take_while(|(_, write)| {
        bytes += write.len();
        bytes <= STEP_BYTES
    });
    fitting.count().max(1)
}

/// Sends a step of writes. Returns the keys that were not written, or may not have been, and the
/// gravest failure.
async fn write_step(config: &Config, step: &[&(String, Write)]) -> (Vec<String>, Option<Failure>) {
    let deadline = config.link.deadline();
    let requests: Vec<_> = step
        .iter()
        .map(|(_, write)| write.set(&config.link))
        .collect();
    let answers = config
        .link
        .call_all(requests, Repeat::Write, deadline)
        .await;
    let (mut lost, mut failed) = (Vec::new(), Vec::new());
    for ((key, write), answer) in step.iter().zip(answers) {
        match acknowledged(answer) {
            Ok(()) => {}
            Err(failure) if failure.is_lost() => lost.push((key, write, failure)),
            Err(failure) => failed.push((key.clone(), failure)),
        }
    }
    if !lost.is_empty() {
        let requests: Vec<_> = lost
            .iter()
            .map(|(_, write, _)| write.get(&config.link))
            .collect();
        let held = config.link.call_all(requests, Repeat::Read, deadline).await;
        for ((key, write, failure), held) in lost.into_iter().zip(held) {
            if !write.is_stored(&held) {
                failed.push((key.clone(), failure));
            }
        }
    }
    let gravest = failed.iter().map(|(_, failure)| failure);
    let gravest = gravest.max_by_key(|failure| failure.is_lost()).cloned();
    (failed.into_iter().map(|(key, _)| key).collect(), gravest)
}

/// Removes `keys`, and tells of each whether a live entry went.
pub(crate) async fn delete_many(
    config: &Config,
    collection: &str,
    keys: &[&str],
) -> Result<Vec<bool>> {
    let mut deleted = Vec::with_capacity(keys.len());
    for step in keys.chunks(STEP) {
        let deadline = config.link.deadline();
        let names: Vec<_> = step
            .iter()
            .map(|key| name::record(collection, key))
            .collect();
        let requests: Vec<_> = names.iter().map(|name| getdel(config, name)).collect();
        let answers = config
            .link
            .call_all(requests, Repeat::Write, deadline)
            .await;
        let mut failure = None;
        for (name, answer) in names.iter().zip(answers) {
            match went(config, name, answer, deadline).await {
                Ok(went) => deleted.push(went.counts(config)),
                // One that may have been applied outweighs those that were not.
                Err(error) if matches!(failure, Some(Error::OutcomeUnknown { .. })) => drop(error),
                Err(error) => failure = Some(error),
            }
        }
        if let Some(failure) = failure {
            return Err(of_the_whole(failure, deleted.contains(&true)));
        }
    }
    Ok(deleted)
}

/// Removes the record of `name`, and returns what went.
pub(crate) async fn remove(config: &Config, name: &str) -> Result<Went> {
    let deadline = config.link.deadline();
    let answer = config
        .link
        .call(&getdel(config, name), Repeat::Write, deadline)
        .await;
    went(config, name, answer, deadline).await
}

/// What was removed.
pub(crate) enum Went {
    /// The record, if there was one.
    Record(Option<Bytes>),
    /// A key of another type, which is this error to read.
    Other(Error),
}

impl Went {
    pub(crate) fn counts(self, config: &Config) -> bool {
        match self {
            Self::Record(record) => record::counts(record, config.clock.now()),
            Self::Other(_) => true,
        }
    }
}

async fn went(
    config: &Config,
    name: &str,
    answer: Result<Value, Failure>,
    deadline: Instant,
) -> Result<Went> {
    let mut answer = answer;
    loop {
        let other = match answer.and_then(record::bytes) {
            Ok(record) => return Ok(Went::Record(record)),
            Err(failure) if record::is_other_type(&failure) => failure.error,
            Err(failure) => return Err(failure.of_a_write()),
        };
        let removed = script::remove_other(&config.link, name, deadline).await;
        if removed.map_err(Failure::of_a_write)? {
            return Ok(Went::Other(other));
        }
        // It has changed in between.
        answer = config
            .link
            .call(&getdel(config, name), Repeat::Write, deadline)
            .await;
    }
}

fn getdel(config: &Config, name: &str) -> Request {
    let mut command = redis::cmd("GETDEL");
    command.arg(name);
    config.link.request(name, command)
}

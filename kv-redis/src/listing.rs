//! Listing by `SCAN`, and removing what is listed.

use std::collections::HashSet;

use kv_core::{CollectionPage, Cursor, Error, KeyPage, KeyQuery, Result};
use redis::Value;

use crate::builder::Config;
use crate::bulk::{self, STEP, Strings};
use crate::error::Failure;
use crate::link::{Repeat, Request};
use crate::write::of_the_whole;
use crate::{name, record};

/// How many names of the server are looked at for a page, about.
const NAMES_A_PAGE: usize = 10_000;

/// How many names of the server are looked at in one step, about.
const NAMES_A_STEP: usize = 1000;

/// The longest page, to which the last step may add some more.
const LONGEST_PAGE: usize = KeyQuery::MAX_PAGE_SIZE - 2 * NAMES_A_STEP;

/// Where a scan goes on: the part of the cluster, and the server's own cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    slot: u16,
    cursor: u64,
}

impl Position {
    fn read(cursor: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = cursor else {
            return Ok(Self::default());
        };
        let read = || {
            let (slot, cursor) = cursor.as_str().split_once('.')?;
            let (slot, cursor) = (slot.parse().ok()?, cursor.parse().ok()?);
            Some(Self { slot, cursor })
        };
        read().ok_or(Error::InvalidCursor)
    }

    fn cursor(self) -> Cursor {
        Cursor::new(format!("{}.{}", self.slot, self.cursor))
    }
}

/// Lists the live keys of `collection`.
pub(crate) async fn keys(config: &Config, collection: &str, query: &KeyQuery) -> Result<KeyPage> {
    let pattern = name::keys_pattern(collection, &query.prefix);
    let mut keys = HashSet::new();
    let next = page(config, &pattern, query, |rows| {
        for Row { names, .. } in rows.iter().filter(|row| row.live) {
            keys.insert(names.key.clone());
        }
        keys.len()
    });
    let next = next.await?;
    Ok(KeyPage::new(keys.into_iter().collect(), next))
}

/// Lists the collections that hold a live entry.
pub(crate) async fn collections(config: &Config, query: &KeyQuery) -> Result<CollectionPage> {
    let pattern = name::collections_pattern(&query.prefix);
    let mut collections = HashSet::new();
    let next = page(config, &pattern, query, |rows| {
        for Row { names, .. } in rows.iter().filter(|row| row.live) {
            if names.collection.starts_with(&query.prefix) {
                collections.insert(names.collection.clone());
            }
        }
        collections.len()
    });
    let next = next.await?;
    let collections = collections.into_iter().collect();
    Ok(CollectionPage::new(collections, next))
}

/// Removes the entries of `collection`, or of all, and returns how many live ones went.
pub(crate) async fn clear(config: &Config, collection: Option<&str>) -> Result<u64> {
    let pattern = match collection {
        Some(collection) => name::keys_pattern(collection, ""),
        None => name::collections_pattern(""),
    };
    let mut removed = 0;
    let mut position = Some(Position::default());
    while let Some(at) = position {
        let step = async {
            let (rows, next) = step(config, &pattern, at, NAMES_A_STEP).await?;
            Ok((unlink(config, &rows).await?, next))
        };
        let (count, next) = step
            .await
            .map_err(|error| of_the_whole(error, removed > 0))?;
        removed += count;
        position = next;
    }
    Ok(removed)
}

/// The names in a record that is ours.
struct Names {
    collection: String,
    key: String,
}

/// A record that is ours: a string that holds an envelope of just this name.
struct Row {
    record: String,
    names: Names,
    live: bool,
}

/// Hands the rows of one page to `take`, which tells how long the page is by now. Returns where
/// the next page begins.
async fn page(
    config: &Config,
    pattern: &str,
    query: &KeyQuery,
    mut take: impl FnMut(&[Row]) -> usize,
) -> Result<Option<Cursor>> {
    let size = query.page_size().min(LONGEST_PAGE);
    let mut position = Position::read(query.cursor.as_ref())?;
    let (mut looked_at, mut taken) = (0, 0);
    loop {
        // As much again as without success, so that a small page takes few steps.
        let count = (size - taken).max(looked_at).min(NAMES_A_STEP);
        let (rows, next) = step(config, pattern, position, count).await?;
        taken = take(&rows);
        looked_at += count;
        let Some(next) = next else {
            return Ok(None);
        };
        if taken >= size || looked_at >= NAMES_A_PAGE {
            return Ok(Some(next.cursor()));
        }
        position = next;
    }
}

/// Looks at about `count` names of the server, and returns the rows that match and are ours, and
/// where to go on.
async fn step(
    config: &Config,
    pattern: &str,
    position: Position,
    count: usize,
) -> Result<(Vec<Row>, Option<Position>)> {
    let deadline = config.link.deadline();
    let parts = config.link.parts(deadline).await;
    let parts = parts.map_err(|failure| failure.error)?;
    // The part that the position was in when it was handed out, if it is a part still.
    let part = parts.partition_point(|slot| *slot <= position.slot).max(1) - 1;
    let slot = *parts.get(part).ok_or_else(|| Failure::nonsense().error)?;

    let mut scan = redis::cmd("SCAN");
    scan.arg(position.cursor).arg("MATCH").arg(pattern);
    scan.arg("COUNT").arg(count);
    let request = Request::of_slot(slot, scan);
    let answer = config.link.call(&request, Repeat::Read, deadline).await;
    let (cursor, records) = scanned(answer.map_err(|failure| failure.error)?)
        .ok_or_else(|| Failure::nonsense().error)?;
    let next = match (cursor, parts.get(part + 1)) {
        (0, None) => None,
        (0, Some(slot)) => Some(Position {
            slot: *slot,
            cursor: 0,
        }),
        (cursor, _) => Some(Position { slot, cursor }),
    };
    Ok((own(config, records).await?, next))
}

/// Reads the answer to `SCAN`. Names that are no text are none of ours.
fn scanned(answer: Value) -> Option<(u64, Vec<String>)> {
    let Value::Array(answer) = answer else {
        return None;
    };
    let [Value::BulkString(cursor), Value::Array(names)] = <[Value; 2]>::try_from(answer).ok()?
    else {
        return None;
    };
    let cursor = std::str::from_utf8(&cursor).ok()?.parse().ok()?;
    let text = |name| match name {
        Value::BulkString(name) => String::from_utf8(name).ok(),
        _ => None,
    };
    Some((cursor, names.into_iter().filter_map(text).collect()))
}

/// Returns which of these records are ours.
async fn own(config: &Config, records: Vec<String>) -> Result<Vec<Row>> {
    let mut rows = Vec::with_capacity(records.len());
    for step in records.chunks(STEP) {
        let deadline = config.link.deadline();
        let held = bulk::read(config, step, Strings::Only, deadline).await?;
        let now = config.clock.now();
        for (record, held) in step.iter().zip(held) {
            let (Some((collection, key)), Ok(Some(held))) = (name::split(record), held) else {
                continue;
            };
            if let Some(entry) = record::own(held, collection, key) {
                rows.push(Row {
                    record: record.clone(),
                    names: Names {
                        collection: collection.to_owned(),
                        key: key.to_owned(),
                    },
                    live: !entry.is_expired(now),
                });
            }
        }
    }
    Ok(rows)
}

/// Removes these rows, and returns how many live ones went.
async fn unlink(config: &Config, rows: &[Row]) -> Result<u64> {
    let mut removed = 0;
    for rows in rows.chunks(STEP) {
        let deadline = config.link.deadline();
        let unlink = |row: &Row| {
            let mut command = redis::cmd("UNLINK");
            command.arg(&row.record);
            config.link.request(&row.record, command)
        };
        let requests: Vec<_> = rows.iter().map(unlink).collect();
        let answers = config
            .link
            .call_all(requests, Repeat::Write, deadline)
            .await;
        let mut failure = None;
        for (row, answer) in rows.iter().zip(answers) {
            match answer {
                Ok(Value::Int(1)) if row.live => removed += 1,
                Ok(Value::Int(_)) => {}
                Ok(_) => failure = Some(Failure::nonsense()),
                // One that may have been applied outweighs those that were not.
                Err(_) if failure.as_ref().is_some_and(Failure::is_lost) => {}
                Err(other) => failure = Some(other),
            }
        }
        if let Some(failure) = failure {
            return Err(of_the_whole(failure.of_a_write(), removed > 0));
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(text: &str) -> Result<Position> {
        Position::read(Some(&Cursor::new(text)))
    }

    #[test]
    fn a_position_can_travel_as_text() {
        let at = Position {
            slot: 5461,
            cursor: u64::MAX,
        };
        assert_eq!(position(at.cursor().as_str()).unwrap(), at);
    }

    #[test]
    fn a_cursor_of_another_form_is_invalid() {
        for text in ["", ".", "0", "0.", ".0", "0.-1", "65536.0", "0.0.0", "a.b"] {
            assert!(
                matches!(position(text), Err(Error::InvalidCursor)),
                "{text}"
            );
        }
    }

    #[test]
    fn an_answer_that_is_not_of_a_scan_is_none() {
        let text = |text: &str| Value::BulkString(text.into());
        for answer in [
            Value::Nil,
            Value::Array(vec![text("0")]),
            Value::Array(vec![text("x"), Value::Array(vec![])]),
            Value::Array(vec![text("0"), Value::Nil]),
        ] {
            assert!(scanned(answer).is_none());
        }
    }
}

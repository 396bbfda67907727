//! What the server holds, read as entries.

use std::time::Duration;

use bytes::Bytes;
use kv_core::{Entry, Result, Timestamp, envelope};
use redis::Value;

use crate::error::{Failure, Kind};

/// Returns the bytes of a string, or `None` when there is none.
pub(crate) fn bytes(value: Value) -> Result<Option<Bytes>, Failure> {
    match value {
        Value::BulkString(bytes) => Ok(Some(Bytes::from(bytes))),
        Value::Nil => Ok(None),
        _ => Err(Failure::nonsense()),
    }
}

/// Returns the live entry in a record. Asks for the time only where it matters.
pub(crate) fn live(
    record: Option<Bytes>,
    now: impl FnOnce() -> Timestamp,
) -> Result<Option<Entry>> {
    let Some(record) = record else {
        return Ok(None);
    };
    let entry = envelope::decode_entry(record)?;
    let has_ended = entry.expires_at.is_some() && entry.is_expired(now());
    Ok((!has_ended).then_some(entry))
}

/// Tells whether a record that was there counts: it is live, or cannot be read.
pub(crate) fn counts(record: Option<Bytes>, now: Timestamp) -> bool {
    !matches!(live(record, || now), Ok(None))
}

/// Returns the entry of a record that says that it is of this collection and key.
pub(crate) fn own(record: Bytes, collection: &str, key: &str) -> Option<Entry> {
    let envelope = envelope::decode(record).ok()?;
    envelope.is_of(collection, key).then_some(envelope.entry)
}

/// Returns the time to live to tell the server, which must be positive: the rest of the entry's,
/// rounded up.
pub(crate) fn life_millis(entry: &Entry, now: Timestamp) -> Option<u64> {
    let rest = entry.remaining(now)?;
    let millis = rest
        .as_micros()
        .div_ceil(Duration::from_millis(1).as_micros());
    Some(u64::try_from(millis).unwrap_or(u64::MAX).max(1))
}

/// Tells whether a failure says that the record is there, and is no string.
pub(crate) fn is_other_type(failure: &Failure) -> bool {
    failure.kind == Kind::WrongType
}

#[cfg(test)]
mod tests {
    use kv_core::Value;

    use super::*;

    fn life(rest_micros: i64) -> Option<u64> {
        let entry = Entry::new(Value::from_json("{}").unwrap());
        let end = Timestamp::from_micros(rest_micros);
        life_millis(&entry.with_expires_at(end), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_life_is_rounded_up_to_a_millisecond() {
        assert_eq!(life(1), Some(1));
        assert_eq!(life(1000), Some(1));
        assert_eq!(life(1001), Some(2));
    }

    #[test]
    fn a_life_that_is_over_is_told_as_the_shortest() {
        assert_eq!(life(0), Some(1));
        assert_eq!(life(-5_000_000), Some(1));
    }
}

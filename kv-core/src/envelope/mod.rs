//! The JSON record of the Redis and DynamoDB stores, shared with Python's py-key-value.
//!
//! A record is one object, here with the members in the order that [`encode`] writes:
//!
//! ```json
//! {"collection":"users","created_at":"2026-01-02T03:04:05.123456+00:00",
//!  "expires_at":"2026-01-03T03:04:05.123456+00:00","key":"u1",
//!  "revision":"8f1c0e5a92b74d6683a1f0c2d4e5b697","value":{"name":"Ada"},"version":1}
//! ```
//!
//! `created_at` and `expires_at` are left out when the entry has none. `revision` is random and
//! ours alone: Python ignores it, and it makes the stored bytes of two writes differ, so that the
//! bytes can be the [`Revision`] of the write.
//!
//! [`decode`] reads what any version of Python's library writes, also where RFC 8259 forbids it,
//! and hands the value's text on as it stands.

mod date;
pub(crate) mod scan;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::json::JsonFault;
use crate::{Entry, Error, Result, Revision, Timestamp, Value};

/// A record, read.
///
/// `Debug` prints neither the names nor the value.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Envelope {
    /// What is stored. Its revision is the record's exact bytes.
    pub entry: Entry,
    record: Bytes,
    collection: Option<Range<usize>>,
    key: Option<Range<usize>>,
}

impl Envelope {
    /// Returns the collection that the record says it is of. `None` when it says none, or one that
    /// no UTF-8 can spell.
    #[must_use]
    pub fn collection(&self) -> Option<Cow<'_, str>> {
        self.name(self.collection.as_ref())
    }

    /// Returns the key that the record says it is of; `None` as for the collection.
    #[must_use]
    pub fn key(&self) -> Option<Cow<'_, str>> {
        self.name(self.key.as_ref())
    }

    /// Tells whether the record names both this collection and this key.
    ///
    /// A read by key need not ask, as Python does not. Listing and clearing must: a row that does
    /// not say its name may be another program's.
    #[must_use]
    pub fn is_of(&self, collection: &str, key: &str) -> bool {
        self.collection().as_deref() == Some(collection) && self.key().as_deref() == Some(key)
    }

    fn name(&self, span: Option<&Range<usize>>) -> Option<Cow<'_, str>> {
        // The record was read as UTF-8.
        unescape(std::str::from_utf8(&self.record[span?.clone()]).ok()?)
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("entry", &self.entry)
            .finish_non_exhaustive()
    }
}

/// Writes `entry` as the record of `key` in `collection`.
///
/// The text is compact, and holds the value's text as it stands. No two calls return the same
/// bytes: each draws 16 random ones for the member `revision`. The entry's own revision is not
/// written.
///
/// # Errors
///
/// [`Error::Unavailable`] when the system gives no random bytes.
///
/// # Examples
///
/// ```
/// use kv_core::{Entry, Value, envelope};
///
/// let value = Value::from_json(r#"{"name":"Ada"}"#)?;
/// let record = envelope::encode("users", "u1", &Entry::new(value.clone()))?;
/// let read = envelope::decode(record)?;
/// assert!(read.is_of("users", "u1"));
/// assert_eq!(read.entry.value, value);
/// # Ok::<(), kv_core::Error>(())
/// ```
pub fn encode(collection: &str, key: &str, entry: &Entry) -> Result<Bytes> {
    let mut revision = [0; 16];
    getrandom::fill(&mut revision).map_err(|source| Error::Unavailable {
        store: "the system's random source",
        reason: "it gave no bytes to mark the write with".to_owned(),
        source: Some(Arc::new(source)),
    })?;
    let mut record = Vec::with_capacity(capacity(collection, key, entry));
    let revision = u128::from_le_bytes(revision);
    write(&mut record, collection, key, entry, Some(revision))?;
    Ok(record.into())
}

/// Appends a record without the member `revision`: the same arguments make the same bytes.
///
/// For what is put inside something else, such as a ciphertext. A backend stores what [`encode`]
/// writes.
///
/// # Errors
///
/// [`Error::Encode`] does not happen for names that are text.
pub fn encode_unmarked(
    collection: &str,
    key: &str,
    entry: &Entry,
    record: &mut Vec<u8>,
) -> Result<()> {
    record.reserve(capacity(collection, key, entry));
    write(record, collection, key, entry, None)
}

/// Returns the room that a record takes whose names have nothing to escape: that for the
/// punctuation, the dates and what it holds.
const fn capacity(collection: &str, key: &str, entry: &Entry) -> usize {
    224 + collection.len() + key.len() + entry.value.len()
}

fn write(
    record: &mut Vec<u8>,
    collection: &str,
    key: &str,
    entry: &Entry,
    revision: Option<u128>,
) -> Result<()> {
    record.extend_from_slice(br#"{"collection":"#);
    push_string(record, collection)?;
    push_date(record, r#","created_at":"#, entry.created_at);
    push_date(record, r#","expires_at":"#, entry.expires_at);
    record.extend_from_slice(br#","key":"#);
    push_string(record, key)?;
    if let Some(revision) = revision {
        record.extend_from_slice(format!(r#","revision":"{revision:032x}""#).as_bytes());
    }
    record.extend_from_slice(br#","value":"#);
    record.extend_from_slice(entry.value.as_bytes());
    record.extend_from_slice(br#","version":1}"#);
    Ok(())
}

/// Reads the text of one value as [`decode`] reads the member `value`, and shares its bytes.
///
/// # Errors
///
/// [`Error::Corrupted`] when the text is not one JSON object in UTF-8, or nested deeper than 127
/// levels.
pub fn decode_value(text: &Bytes) -> Result<Value> {
    let read = |bytes: &Bytes| {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
        let span = scan::value(text)?;
        value(bytes, text, Some(span))
    };
    read(text).map_err(corrupted)
}

/// Reads a record, whichever language wrote it.
///
/// The value shares the record's bytes. It keeps its text, with `NaN`, `Infinity`, numbers of any
/// size, lone surrogates and repeated members in it, where [`Value::decode`] will judge them. A
/// value that is a string holding an object is unwrapped.
///
/// Of a member that stands twice the last one counts. Only `value` is required. Dates may be
/// `null`, have any offset including `Z`, and 0 to 9 fraction digits, of which 6 count; a time
/// that the offset moves out of the years 1 to 9999 is held at their end. Other members are
/// ignored.
///
/// # Errors
///
/// [`Error::Corrupted`] when the record is not one JSON object in UTF-8, when its value is missing
/// or no object, when a date is not a string or has no offset, or when a member is nested deeper
/// than 127 levels, which makes 128 with the record around it.
pub fn decode(record: Bytes) -> Result<Envelope> {
    let read = read(&record).map_err(corrupted)?;
    Ok(Envelope {
        entry: Entry {
            value: read.value,
            created_at: read.created_at,
            expires_at: read.expires_at,
            revision: Some(Revision::from_bytes(record.clone())),
        },
        record,
        collection: read.collection,
        key: read.key,
    })
}

/// Reads the entry of a record as [`decode`] does, for those who do not ask for its names.
///
/// # Errors
///
/// Those of [`decode`].
pub fn decode_entry(record: Bytes) -> Result<Entry> {
    let read = read(&record).map_err(corrupted)?;
    Ok(Entry {
        value: read.value,
        created_at: read.created_at,
        expires_at: read.expires_at,
        revision: Some(Revision::from_bytes(record)),
    })
}

const fn corrupted(reason: &'static str) -> Error {
    Error::Corrupted {
        reason,
        source: None,
    }
}

/// What a record holds.
struct Read {
    value: Value,
    created_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    collection: Option<Range<usize>>,
    key: Option<Range<usize>>,
}

/// Reads a record, or says what is wrong with it.
fn read(record: &Bytes) -> Result<Read, &'static str> {
    let text = std::str::from_utf8(record).map_err(|_| "it is not UTF-8")?;
    let mut members = Members::default();
    scan::members(text, |name, span| members.add(&text[name], span))?;
    Ok(Read {
        value: value(record, text, members.value)?,
        created_at: date(text, members.created_at)?,
        expires_at: date(text, members.expires_at)?,
        collection: members.collection,
        key: members.key,
    })
}

/// Where the known members of a record stand in its text.
#[derive(Default)]
struct Members {
    collection: Option<Range<usize>>,
    created_at: Option<Range<usize>>,
    expires_at: Option<Range<usize>>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
}

impl Members {
    /// Adds a member, by its name in quotes, if it is one of these.
    fn add(&mut self, name: &str, span: Range<usize>) {
        let member = match name {
            r#""collection""# => &mut self.collection,
            r#""created_at""# => &mut self.created_at,
            r#""expires_at""# => &mut self.expires_at,
            r#""key""# => &mut self.key,
            r#""value""# => &mut self.value,
            _ if name.contains('\\') => {
                // Once without its escapes, a name has none.
                let plain = unescape(name).filter(|plain| !plain.contains(['\\', '"']));
                return plain.map_or((), |plain| self.add(&format!("\"{plain}\""), span));
            }
            _ => return,
        };
        *member = Some(span);
    }
}

fn value(record: &Bytes, text: &str, span: Option<Range<usize>>) -> Result<Value, &'static str> {
    let span = span.ok_or("it has no value")?;
    if text[span.clone()].starts_with('{') {
        return Ok(Value::from_stored(record.slice(span)));
    }
    let inner = unescape(&text[span]).ok_or("its value is not an object")?;
    let span = scan::value(&inner)?;
    if !inner[span.clone()].starts_with('{') {
        return Err("its value is not an object");
    }
    Ok(Value::from_stored(
        Bytes::from(inner.into_owned()).slice(span),
    ))
}

fn date(text: &str, span: Option<Range<usize>>) -> Result<Option<Timestamp>, &'static str> {
    let Some(date) = span.map(|span| &text[span]) else {
        return Ok(None);
    };
    if date == "null" {
        return Ok(None);
    }
    let plain = date
        .strip_prefix('"')
        .and_then(|date| date.strip_suffix('"'));
    plain
        .and_then(date::parse)
        .or_else(|| date::parse(&unescape(date)?))
        .map(Some)
        .ok_or("a date is not a time with an offset in the years 1 to 9999")
}

/// Returns the characters of a JSON string; `None` when `json` is something else, or spells a lone
/// surrogate, which no `str` can hold.
pub(crate) fn unescape(json: &str) -> Option<Cow<'_, str>> {
    let plain = json.strip_prefix('"')?.strip_suffix('"')?;
    if plain.contains('\\') {
        serde_json::from_str(json).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(plain))
    }
}

fn push_string(record: &mut Vec<u8>, text: &str) -> Result<()> {
    serde_json::to_writer(record, text).map_err(JsonFault::encode)
}

fn push_date(record: &mut Vec<u8>, name: &str, time: Option<Timestamp>) {
    if let Some(time) = time {
        record.extend_from_slice(name.as_bytes());
        record.extend_from_slice(date::quoted(time).as_bytes());
    }
}

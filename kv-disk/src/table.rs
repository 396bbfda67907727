//! The tables in the file, and what is read from them. Everything here blocks.

use std::ops::Bound;

use bytes::Bytes;
use kv_core::{CollectionPage, Entry, KeyPage, KeyQuery, Revision, Timestamp, Value};
use redb::{ReadableDatabase, ReadableTable, TableDefinition};

use crate::cursor::{self, Position};
use crate::database::Open;
use crate::error::Fault;
use crate::record::Record;

/// The name of an entry: collection and key. Bytes, because redb checks text on every comparison
/// and panics where it is no UTF-8.
pub(crate) type Name = (&'static [u8], &'static [u8]);

/// An expiry in microseconds, collection and key.
pub(crate) type Expiry = (i64, &'static [u8], &'static [u8]);

/// Every entry, in the order of collection and key.
pub(crate) const ENTRIES: TableDefinition<'_, Name, &'static [u8]> =
    TableDefinition::new("entries");

/// A row for each entry that expires, soonest first. Exactly those: a write that replaces or
/// removes an entry removes its row.
pub(crate) const EXPIRY: TableDefinition<'_, Expiry, ()> = TableDefinition::new("expiry");

/// The rows that [`meta`] names.
pub(crate) const META: TableDefinition<'_, &'static str, u128> = TableDefinition::new("meta");

/// The rows of the meta table.
pub(crate) mod meta {
    /// The format of the tables and records: [`FORMAT_VERSION`].
    pub(crate) const FORMAT: &str = "format";
    /// The only format there is.
    pub(crate) const FORMAT_VERSION: u128 = 1;
    /// The random id of the database, part of every revision.
    pub(crate) const ID: &str = "id";
    /// The number of the last write.
    pub(crate) const COUNTER: &str = "counter";
}

/// How many rows a page of a listing looks at before it ends, full or not.
const MAX_SCANNED_ROWS: usize = 10_000;

/// Makes the entry of a record, copying the value out of its page.
pub(crate) fn entry(record: &Record<'_>, id: [u8; 16]) -> Entry {
    Entry::new(Value::from_stored(Bytes::copy_from_slice(record.value)))
        .with_created_at(Timestamp::from_micros(record.created_at))
        .with_expires_at(record.expires_at.map(Timestamp::from_micros))
        .with_revision(Revision::from_counter(id, record.count))
}

/// Returns the live entry of `key`.
pub(crate) fn get(
    open: &Open,
    collection: &str,
    key: &str,
    now: i64,
) -> Result<Option<Entry>, Fault> {
    let transaction = open.db.begin_read()?;
    let entries = transaction.open_table(ENTRIES)?;
    get_from(&entries, open.id, collection, key, now)
}

/// Returns the live entries of `keys`, all as of one moment.
pub(crate) fn get_many(
    open: &Open,
    collection: &str,
    keys: &[impl AsRef<str>],
    now: i64,
) -> Result<Vec<kv_core::Result<Option<Entry>>>, Fault> {
    let transaction = open.db.begin_read()?;
    let entries = transaction.open_table(ENTRIES)?;
    keys.iter()
        .map(|key| {
            match get_from(&entries, open.id, collection, key.as_ref(), now) {
                // A fault of the file fails the call; a record that does not decode only its place.
                Err(fault) if fault.concerns_the_file() => Err(fault),
                answer => Ok(answer.map_err(|fault| fault.error)),
            }
        })
        .collect()
}

fn get_from(
    entries: &impl ReadableTable<Name, &'static [u8]>,
    id: [u8; 16],
    collection: &str,
    key: &str,
    now: i64,
) -> Result<Option<Entry>, Fault> {
    let Some(stored) = entries.get((collection.as_bytes(), key.as_bytes()))? else {
        return Ok(None);
    };
    let record = Record::decode(collection, key, stored.value())?;
    Ok((!record.is_expired(now)).then(|| entry(&record, id)))
}

/// Lists a page of the live keys of `collection`.
pub(crate) fn keys(
    open: &Open,
    collection: &str,
    query: &KeyQuery,
    now: i64,
) -> Result<KeyPage, Fault> {
    let after = query
        .cursor
        .as_ref()
        .map(cursor::decode_key)
        .transpose()?
        .filter(|last| *last >= query.prefix.as_str());
    let start = after.map_or(
        Bound::Included((collection.as_bytes(), query.prefix.as_bytes())),
        |last| Bound::Excluded((collection.as_bytes(), last.as_bytes())),
    );
    let transaction = open.db.begin_read()?;
    let entries = transaction.open_table(ENTRIES)?;
    let mut keys = Vec::new();
    let mut last = String::new();
    for (scanned, row) in entries
        .range::<(&[u8], &[u8])>((start, Bound::Unbounded))?
        .enumerate()
    {
        let (name, stored) = row?;
        let (row_collection, row_key) = name.value();
        if row_collection != collection.as_bytes() || !row_key.starts_with(query.prefix.as_bytes())
        {
            break;
        }
        if keys.len() == query.page_size() || scanned == MAX_SCANNED_ROWS {
            return Ok(KeyPage::new(keys, Some(cursor::encode_key(&last))));
        }
        let Ok(key) = str::from_utf8(row_key) else {
            continue;
        };
        key.clone_into(&mut last);
        if is_present(collection, key, stored.value(), now) {
            keys.push(key.to_owned());
        }
    }
    Ok(KeyPage::new(keys, None))
}

/// Lists a page of the collections that hold a live entry, jumping from one to the next.
pub(crate) fn collections(
    open: &Open,
    query: &KeyQuery,
    now: i64,
) -> Result<CollectionPage, Fault> {
    let mut position = match &query.cursor {
        Some(cursor) => cursor::decode_position(cursor)?,
        None => Position::default(),
    };
    if position.collection.as_str() < query.prefix.as_str() {
        position = Position::at(&query.prefix);
    }
    let transaction = open.db.begin_read()?;
    let entries = transaction.open_table(ENTRIES)?;
    let mut collections = Vec::new();
    let mut scanned = 0;
    'collections: loop {
        let start = (position.collection.as_bytes(), position.key.as_bytes());
        for row in entries.range::<(&[u8], &[u8])>((Bound::Excluded(start), Bound::Unbounded))? {
            let (name, stored) = row?;
            let (collection, key) = name.value();
            if !collection.starts_with(query.prefix.as_bytes()) {
                break 'collections;
            }
            if collections.len() == query.page_size() || scanned == MAX_SCANNED_ROWS {
                let next = Some(cursor::encode_position(&position));
                return Ok(CollectionPage::new(collections, next));
            }
            scanned += 1;
            let (Ok(collection), Ok(key)) = (str::from_utf8(collection), str::from_utf8(key))
            else {
                continue;
            };
            if is_present(collection, key, stored.value(), now) {
                collections.push(collection.to_owned());
                position = Position::after(collection);
                continue 'collections;
            }
            position = Position::new(collection, key);
        }
        break;
    }
    Ok(CollectionPage::new(collections, None))
}

/// Tells whether a row is listed: it is live, or counts as present because nobody can read it.
fn is_present(collection: &str, key: &str, stored: &[u8], now: i64) -> bool {
    Record::decode(collection, key, stored).map_or(true, |record| !record.is_expired(now))
}

/// Tells whether an entry has expired and is still stored.
pub(crate) fn any_expired(open: &Open, now: i64) -> Result<bool, Fault> {
    let transaction = open.db.begin_read()?;
    let expiry = transaction.open_table(EXPIRY)?;
    let first = expiry.first()?;
    Ok(first.is_some_and(|(row, _)| row.value().0 <= now))
}

//! What a write changed in the tables, row by row, in the form in which the log keeps it.
//!
//! A row is what happened to it (one byte), its expiry (`i64`), its collection, its key and its
//! record, each of the three behind its length (`u32`); all little-endian. Expiry and record are
//! zero and empty where they do not apply. The format is part of the log's.

use kv_core::Error;
use redb::WriteTransaction;

use crate::error::Fault;
use crate::log::LogRecord;
use crate::table::{ENTRIES, EXPIRY, META, meta};

/// About the most bytes of rows that go to the log. Larger writes are as well off without it.
const MAX_BYTES: usize = 8 << 20;

const ENTRY_PUT: u8 = 1;
const ENTRY_REMOVED: u8 = 2;
const EXPIRY_PUT: u8 = 3;
const EXPIRY_REMOVED: u8 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row<'a> {
    kind: u8,
    end: i64,
    collection: &'a [u8],
    key: &'a [u8],
    record: &'a [u8],
}

/// The rows that one transaction has changed so far.
#[derive(Debug, Default)]
pub(crate) struct Redo {
    bytes: Vec<u8>,
    too_large: bool,
}

impl Redo {
    pub(crate) fn entry_put(&mut self, (collection, key): (&[u8], &[u8]), record: &[u8]) {
        self.push(Row {
            kind: ENTRY_PUT,
            end: 0,
            collection,
            key,
            record,
        });
    }

    pub(crate) fn entry_removed(&mut self, (collection, key): (&[u8], &[u8])) {
        self.push(Row {
            kind: ENTRY_REMOVED,
            end: 0,
            collection,
            key,
            record: &[],
        });
    }

    pub(crate) fn expiry_put(&mut self, row: (i64, &[u8], &[u8])) {
        self.expiry(EXPIRY_PUT, row);
    }

    pub(crate) fn expiry_removed(&mut self, row: (i64, &[u8], &[u8])) {
        self.expiry(EXPIRY_REMOVED, row);
    }

    fn expiry(&mut self, kind: u8, (end, collection, key): (i64, &[u8], &[u8])) {
        self.push(Row {
            kind,
            end,
            collection,
            key,
            record: &[],
        });
    }

    /// Returns the rows; `None` when they are too many for the log.
    pub(crate) fn into_rows(self) -> Option<Vec<u8>> {
        (!self.too_large).then_some(self.bytes)
    }

    fn push(&mut self, row: Row<'_>) {
        let parts = [row.collection, row.key, row.record];
        let added: usize = parts.iter().map(|part| part.len()).sum();
        if self.too_large || self.bytes.len() + added > MAX_BYTES {
            self.too_large = true;
            self.bytes = Vec::new();
            return;
        }
        self.bytes.push(row.kind);
        self.bytes.extend_from_slice(&row.end.to_le_bytes());
        for part in parts {
            // Not more than `MAX_BYTES`.
            self.bytes
                .extend_from_slice(&(part.len() as u32).to_le_bytes());
            self.bytes.extend_from_slice(part);
        }
    }
}

/// Applies `records` to the tables.
pub(crate) fn apply(
    transaction: &WriteTransaction,
    records: &[LogRecord<'_>],
) -> Result<(), Fault> {
    let mut entries = transaction.open_table(ENTRIES)?;
    let mut expiry = transaction.open_table(EXPIRY)?;
    for record in records {
        let mut rows = record.rows;
        while !rows.is_empty() {
            let row = split_row(&mut rows).ok_or_else(undecodable)?;
            let (collection, key) = (row.collection, row.key);
            match row.kind {
                ENTRY_PUT => drop(entries.insert((collection, key), row.record)?),
                ENTRY_REMOVED => drop(entries.remove((collection, key))?),
                EXPIRY_PUT => drop(expiry.insert((row.end, collection, key), ())?),
                EXPIRY_REMOVED => drop(expiry.remove((row.end, collection, key))?),
                _ => return Err(undecodable().into()),
            }
        }
    }
    if let Some(last) = records.last() {
        let mut meta = transaction.open_table(META)?;
        meta.insert(meta::COUNTER, u128::from(last.count))?;
    }
    Ok(())
}

/// Takes the first row off `rows`.
fn split_row<'a>(rows: &mut &'a [u8]) -> Option<Row<'a>> {
    let (&kind, rest) = rows.split_first()?;
    let (end, rest) = rest.split_first_chunk()?;
    *rows = rest;
    Some(Row {
        kind,
        end: i64::from_le_bytes(*end),
        collection: split_part(rows)?,
        key: split_part(rows)?,
        record: split_part(rows)?,
    })
}

fn split_part<'a>(rows: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = rows.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (part, rest) = rest.split_at_checked(length)?;
    *rows = rest;
    Some(part)
}

fn undecodable() -> Error {
    Error::Corrupted {
        reason: "a record of the log does not decode",
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: (&[u8], &[u8]) = (b"c", b"key");

    fn rows() -> Vec<u8> {
        let mut redo = Redo::default();
        redo.entry_put(NAME, b"record");
        redo.expiry_put((5, NAME.0, NAME.1));
        redo.entry_removed(NAME);
        redo.expiry_removed((-5, NAME.0, NAME.1));
        redo.into_rows().unwrap()
    }

    #[test]
    fn the_stored_bytes_never_change() {
        let hex: String = rows().iter().map(|byte| format!("{byte:02x}")).collect();
        let name = "0100000063030000006b6579";
        let golden = format!(
            "010000000000000000{name}060000007265636f7264\
             030500000000000000{name}00000000\
             020000000000000000{name}00000000\
             04fbffffffffffffff{name}00000000"
        );
        assert_eq!(hex, golden);
    }

    #[test]
    fn rows_read_back_as_written() {
        let bytes = rows();
        let mut rest = bytes.as_slice();
        let row = split_row(&mut rest).unwrap();
        assert_eq!((row.kind, row.record), (ENTRY_PUT, &b"record"[..]));
        let ends: Vec<_> = std::iter::from_fn(|| split_row(&mut rest))
            .map(|row| (row.kind, row.end, (row.collection, row.key)))
            .collect();
        let expected = [
            (EXPIRY_PUT, 5, NAME),
            (ENTRY_REMOVED, 0, NAME),
            (EXPIRY_REMOVED, -5, NAME),
        ];
        assert_eq!(ends, expected);
    }

    #[test]
    fn a_row_that_ends_early_is_none() {
        let mut redo = Redo::default();
        redo.entry_put(NAME, b"record");
        let bytes = redo.into_rows().unwrap();
        for length in 0..bytes.len() {
            assert_eq!(split_row(&mut &bytes[..length]), None);
        }
    }

    #[test]
    fn rows_that_are_too_many_are_none() {
        let mut redo = Redo::default();
        redo.entry_put(NAME, &[0; MAX_BYTES]);
        redo.entry_removed(NAME);
        assert_eq!(redo.into_rows(), None);
    }
}

//! What a write changed in the tables, row by row, in the form in which the log keeps it.

use bincode::config::{Configuration, Fixint, LittleEndian};
use kv_core::Error;
use redb::WriteTransaction;

use crate::error::Fault;
use crate::log::LogRecord;
use crate::table::{ENTRIES, EXPIRY, META, meta};

/// About the most bytes of rows that go to the log. Larger writes are as well off without it.
const MAX_BYTES: usize = 8 << 20;

/// One row: what happened to it, its collection, its key, its expiry and its record. The last two
/// only where they apply.
type Wire<'a> = (u8, &'a [u8], &'a [u8], i64, &'a [u8]);

const ENTRY_PUT: u8 = 1;
const ENTRY_REMOVED: u8 = 2;
const EXPIRY_PUT: u8 = 3;
const EXPIRY_REMOVED: u8 = 4;

const CONFIG: Configuration<LittleEndian, Fixint> =
    bincode::config::standard().with_fixed_int_encoding();

/// The rows that one transaction has changed so far.
#[derive(Debug, Default)]
pub(crate) struct Redo {
    bytes: Vec<u8>,
    too_large: bool,
}

impl Redo {
    pub(crate) fn entry_put(&mut self, (collection, key): (&[u8], &[u8]), record: &[u8]) {
        self.push((ENTRY_PUT, collection, key, 0, record));
    }

    pub(crate) fn entry_removed(&mut self, (collection, key): (&[u8], &[u8])) {
        self.push((ENTRY_REMOVED, collection, key, 0, &[]));
    }

    pub(crate) fn expiry_put(&mut self, (end, collection, key): (i64, &[u8], &[u8])) {
        self.push((EXPIRY_PUT, collection, key, end, &[]));
    }

    pub(crate) fn expiry_removed(&mut self, (end, collection, key): (i64, &[u8], &[u8])) {
        self.push((EXPIRY_REMOVED, collection, key, end, &[]));
    }

    /// Returns the rows; `None` when they are too many for the log.
    pub(crate) fn into_rows(self) -> Option<Vec<u8>> {
        (!self.too_large).then_some(self.bytes)
    }

    fn push(&mut self, row: Wire<'_>) {
        if self.too_large {
            return;
        }
        let written = bincode::encode_into_std_write(row, &mut self.bytes, CONFIG);
        if written.is_err() || self.bytes.len() > MAX_BYTES {
            self.too_large = true;
            self.bytes = Vec::new();
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
            let ((kind, collection, key, end, stored), length): (Wire<'_>, usize) =
                bincode::borrow_decode_from_slice(rows, CONFIG).map_err(|_| undecodable())?;
            rows = &rows[length..];
            match kind {
                ENTRY_PUT => drop(entries.insert((collection, key), stored)?),
                ENTRY_REMOVED => drop(entries.remove((collection, key))?),
                EXPIRY_PUT => drop(expiry.insert((end, collection, key), ())?),
                EXPIRY_REMOVED => drop(expiry.remove((end, collection, key))?),
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

fn undecodable() -> Error {
    Error::Corrupted {
        reason: "a record of the log does not decode",
        source: None,
    }
}

//! The check of what redb cannot check: the records, and the expiry table against them.

use kv_core::Error;
use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata};

use crate::database::Open;
use crate::error::Fault;
use crate::record::Record;
use crate::table::{ENTRIES, EXPIRY};

/// Reads every record, and finds the expiry row of each entry that expires and no others.
///
/// Rows that a removed unreadable record left behind are allowed: the next sweep drops them.
pub(crate) fn check_records(open: &Open) -> Result<(), Fault> {
    let transaction = open.db.begin_read()?;
    let entries = transaction.open_table(ENTRIES)?;
    let expiry = transaction.open_table(EXPIRY)?;
    let mut expiring = 0;
    for row in entries.iter()? {
        let (name, stored) = row?;
        let (collection, key) = name.value();
        let (Ok(collection_text), Ok(key_text)) = (str::from_utf8(collection), str::from_utf8(key))
        else {
            return Err(corrupted("the name of an entry is no UTF-8").into());
        };
        let record = Record::decode(collection_text, key_text, stored.value())?;
        let Some(end) = record.expires_at else {
            continue;
        };
        expiring += 1;
        if expiry.get((end, collection, key))?.is_none() {
            return Err(corrupted("an entry that expires is missing in the expiry table").into());
        }
    }
    if expiry.len()? < expiring {
        return Err(corrupted("the expiry table has lost rows").into());
    }
    Ok(())
}

fn corrupted(reason: &'static str) -> Error {
    Error::Corrupted {
        reason,
        source: None,
    }
}

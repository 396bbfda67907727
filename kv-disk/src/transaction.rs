//! [`Transaction`]: what a write does to the tables, inside one redb transaction.

use std::ops::Bound;

use kv_core::{Entry, Error, PutMode, Result, Revision, Timestamp};
use redb::{ReadableTable, Table, WriteTransaction};

use crate::error::Fault;
use crate::record::Record;
use crate::redo::Redo;
use crate::table::{self, ENTRIES, EXPIRY, Expiry, META, Name, meta};

/// How many rows one step of a sweep, a clear or a destroy removes at most, so that the writes of
/// others wait for no more than that.
const STEP_ROWS: usize = 256;

/// How many numbers the first write after an open skips.
///
/// No number may mark two writes, also when the newest ones were lost: interval durability hands
/// out revisions before the sync, and a failed sync takes their writes back while this process
/// still holds the revisions. The numbers that were handed out and lost are fewer than this, and
/// the commit that skips is always a durable one, so the next open starts behind all of them.
const SKIP_PER_OPEN: u64 = 1 << 32;

/// One owned row name: collection and key.
type OwnedName = (Vec<u8>, Vec<u8>);

/// The tables, open for writing, and the number of the last write.
///
/// A method's `Err` is a failure of the database, after which the whole transaction is given up.
/// What only concerns the caller, such as a condition that does not hold, is an answer inside `Ok`.
pub(crate) struct Transaction<'t> {
    entries: Table<'t, Name, &'static [u8]>,
    expiry: Table<'t, Expiry, ()>,
    meta: Table<'t, &'static str, u128>,
    id: [u8; 16],
    counter: u64,
    changed: bool,
    now: i64,
    record: Vec<u8>,
    /// What goes to the log, if anything does.
    redo: Option<Redo>,
    /// The number of the last write before this transaction.
    previous: u64,
}

/// A transaction that changed something.
pub(crate) struct Written {
    /// The number of the last write before it.
    pub(crate) previous: u64,
    /// The number of its last write.
    pub(crate) count: u64,
    /// The changed rows, where they are wanted for the log and not too many for it.
    pub(crate) rows: Option<Vec<u8>>,
}

/// What stands under a name.
enum Found {
    Nothing,
    Live { count: u64, expires_at: Option<i64> },
    Unreadable,
}

impl<'t> Transaction<'t> {
    /// Opens the tables at `now`. `first` says that it is the first write since the file was
    /// opened, `logged` that the changed rows are to be noted for the log.
    pub(crate) fn open(
        transaction: &'t WriteTransaction,
        id: [u8; 16],
        first: bool,
        logged: bool,
        now: i64,
    ) -> Result<Self, Fault> {
        let meta = transaction.open_table(META)?;
        let counter = read_counter(&meta)?;
        Ok(Self {
            entries: transaction.open_table(ENTRIES)?,
            expiry: transaction.open_table(EXPIRY)?,
            meta,
            id,
            counter: if first {
                counter.saturating_add(SKIP_PER_OPEN)
            } else {
                counter
            },
            changed: false,
            now,
            record: Vec::new(),
            redo: logged.then(Redo::default),
            previous: counter,
        })
    }

    /// Stores `entry`, which has been prepared, as `mode` allows.
    pub(crate) fn put(
        &mut self,
        collection: &str,
        key: &str,
        entry: &Entry,
        mode: &PutMode,
    ) -> Result<Result<Revision>, Fault> {
        if *mode != PutMode::Overwrite {
            let found = self.find(collection, key)?;
            if let Err(refused) = self.check(mode, &found) {
                return Ok(Err(refused));
            }
        }
        self.counter += 1;
        let expires_at = entry.expires_at.map(Timestamp::as_micros);
        let record = Record {
            created_at: entry.created_at.map_or(self.now, Timestamp::as_micros),
            expires_at,
            count: self.counter,
            value: entry.value.as_bytes(),
        };
        record.encode(collection, key, &mut self.record)?;
        let name = (collection.as_bytes(), key.as_bytes());
        let old_expiry = self
            .entries
            .insert(name, self.record.as_slice())?
            .and_then(|old| {
                Record::decode(collection, key, old.value())
                    .ok()?
                    .expires_at
            });
        self.changed = true;
        if let Some(redo) = &mut self.redo {
            redo.entry_put(name, &self.record);
        }
        if old_expiry != expires_at {
            if let Some(end) = old_expiry {
                self.remove_expiry((end, name.0, name.1))?;
            }
            if let Some(end) = expires_at {
                self.expiry.insert((end, name.0, name.1), ())?;
                if let Some(redo) = &mut self.redo {
                    redo.expiry_put((end, name.0, name.1));
                }
            }
        }
        Ok(Ok(Revision::from_counter(self.id, self.counter)))
    }

    /// Tells whether `mode` allows a write over what was found.
    fn check(&self, mode: &PutMode, found: &Found) -> Result<()> {
        match (mode, found) {
            (PutMode::Create, Found::Nothing) => Ok(()),
            (PutMode::Create, _) => Err(Error::AlreadyExists),
            (PutMode::Update(revision), Found::Live { count, .. })
                if *revision == Revision::from_counter(self.id, *count) =>
            {
                Ok(())
            }
            (PutMode::Update(_), _) => Err(Error::Conflict),
            (PutMode::Overwrite, _) => Ok(()),
            _ => Err(Error::Unsupported {
                what: "this put mode",
            }),
        }
    }

    /// Removes `key`, and tells whether something live or unreadable went.
    pub(crate) fn delete(&mut self, collection: &str, key: &str) -> Result<bool, Fault> {
        let expires_at = match self.find(collection, key)? {
            Found::Nothing => return Ok(false),
            Found::Live { expires_at, .. } => expires_at,
            Found::Unreadable => None,
        };
        self.remove(collection.as_bytes(), key.as_bytes(), expires_at)?;
        Ok(true)
    }

    /// Removes and returns the live entry of `key`; an unreadable one is removed and its error
    /// returned.
    pub(crate) fn take(
        &mut self,
        collection: &str,
        key: &str,
    ) -> Result<Result<Option<Entry>>, Fault> {
        let name = (collection.as_bytes(), key.as_bytes());
        let taken = match self.entries.get(name)? {
            None => return Ok(Ok(None)),
            Some(stored) => match Record::decode(collection, key, stored.value()) {
                Ok(record) if record.is_expired(self.now) => return Ok(Ok(None)),
                Ok(record) => Ok(table::entry(&record, self.id)),
                Err(error) => Err(error),
            },
        };
        let expires_at = taken.as_ref().ok().and_then(|entry| entry.expires_at);
        self.remove(name.0, name.1, expires_at.map(Timestamp::as_micros))?;
        Ok(taken.map(Some))
    }

    fn find(&self, collection: &str, key: &str) -> Result<Found, Fault> {
        let Some(stored) = self.entries.get((collection.as_bytes(), key.as_bytes()))? else {
            return Ok(Found::Nothing);
        };
        Ok(match Record::decode(collection, key, stored.value()) {
            Ok(record) if record.is_expired(self.now) => Found::Nothing,
            Ok(record) => Found::Live {
                count: record.count,
                expires_at: record.expires_at,
            },
            Err(_) => Found::Unreadable,
        })
    }

    /// Removes a row and the row of its expiry. An unreadable record leaves the latter behind,
    /// which the sweep drops.
    fn remove(
        &mut self,
        collection: &[u8],
        key: &[u8],
        expires_at: Option<i64>,
    ) -> Result<(), Fault> {
        self.remove_entry((collection, key))?;
        if let Some(end) = expires_at {
            self.remove_expiry((end, collection, key))?;
        }
        Ok(())
    }

    fn remove_entry(&mut self, name: (&[u8], &[u8])) -> Result<(), Fault> {
        self.changed = true;
        if let Some(redo) = &mut self.redo {
            redo.entry_removed(name);
        }
        self.entries.remove(name)?;
        Ok(())
    }

    fn remove_expiry(&mut self, row: (i64, &[u8], &[u8])) -> Result<(), Fault> {
        self.changed = true;
        if let Some(redo) = &mut self.redo {
            redo.expiry_removed(row);
        }
        self.expiry.remove(row)?;
        Ok(())
    }

    /// Removes entries that have expired by `now`, at most a step. Returns how many, and whether
    /// there are more.
    pub(crate) fn sweep_step(&mut self, now: i64) -> Result<(u64, bool), Fault> {
        let mut expired: Vec<(i64, OwnedName)> = Vec::new();
        for row in self.expiry.iter()?.take(STEP_ROWS) {
            let (row, ()) = row.map(|(row, _)| (row, ()))?;
            let (end, collection, key) = row.value();
            if end > now {
                break;
            }
            expired.push((end, (collection.to_vec(), key.to_vec())));
        }
        let mut removed = 0;
        for (end, (collection, key)) in &expired {
            self.remove_expiry((*end, collection, key))?;
            // An unreadable record stays until somebody overwrites or deletes it.
            if self.expiry_of(collection, key)? == Some(*end) {
                self.remove_entry((collection, key))?;
                removed += 1;
            }
        }
        Ok((removed, expired.len() == STEP_ROWS))
    }

    fn expiry_of(&self, collection: &[u8], key: &[u8]) -> Result<Option<i64>, Fault> {
        let stored = self.entries.get((collection, key))?;
        Ok(stored.and_then(|stored| decode_row(collection, key, stored.value())?.expires_at))
    }

    /// Removes the entries behind `after`, of `collection` or of all collections, at most a step.
    /// Returns how many of them were listed, and where to go on.
    pub(crate) fn clear_step(
        &mut self,
        collection: Option<&str>,
        after: &OwnedName,
    ) -> Result<(u64, Option<OwnedName>), Fault> {
        let start = (after.0.as_slice(), after.1.as_slice());
        let mut rows: Vec<(OwnedName, Option<i64>)> = Vec::new();
        let mut listed = 0;
        for row in self
            .entries
            .range::<(&[u8], &[u8])>((Bound::Excluded(start), Bound::Unbounded))?
            .take(STEP_ROWS)
        {
            let (name, stored) = row?;
            let (row_collection, key) = name.value();
            if collection.is_some_and(|only| only.as_bytes() != row_collection) {
                break;
            }
            let record = decode_row(row_collection, key, stored.value());
            if record.is_none_or(|record| !record.is_expired(self.now)) {
                listed += 1;
            }
            let expires_at = record.and_then(|record| record.expires_at);
            rows.push(((row_collection.to_vec(), key.to_vec()), expires_at));
        }
        for ((row_collection, key), expires_at) in &rows {
            self.remove(row_collection, key, *expires_at)?;
        }
        let full = rows.len() == STEP_ROWS;
        Ok((listed, rows.pop().filter(|_| full).map(|(name, _)| name)))
    }

    /// Closes the tables. Returns what there is to commit, or `None` when nothing changed.
    pub(crate) fn finish(mut self) -> Result<Option<Written>, Fault> {
        if !self.changed {
            return Ok(None);
        }
        // Also a commit that only removes takes a number, by which it is told from the one before.
        self.counter += 1;
        self.meta.insert(meta::COUNTER, u128::from(self.counter))?;
        Ok(Some(Written {
            previous: self.previous,
            count: self.counter,
            rows: self.redo.and_then(Redo::into_rows),
        }))
    }
}

/// Reads the number of the last write.
pub(crate) fn read_counter(meta: &impl ReadableTable<&'static str, u128>) -> Result<u64, Fault> {
    let counter = meta.get(meta::COUNTER)?.map(|row| row.value());
    counter
        .and_then(|counter| u64::try_from(counter).ok())
        .ok_or_else(|| Fault::from(damaged_meta()))
}

/// The error of a meta table without one of its rows.
pub(crate) fn damaged_meta() -> Error {
    Error::Corrupted {
        reason: "the meta table of the database is damaged",
        source: None,
    }
}

/// Decodes a row whose name may be no text; `None` when it cannot be read.
fn decode_row<'a>(collection: &[u8], key: &[u8], stored: &'a [u8]) -> Option<Record<'a>> {
    let collection = str::from_utf8(collection).ok()?;
    let key = str::from_utf8(key).ok()?;
    Record::decode(collection, key, stored).ok()
}

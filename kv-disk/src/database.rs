//! [`Database`]: the open file, which closes and opens itself again after a failure.
//!
//! Every call into redb goes through here and inside [`contained`].

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use kv_core::{Error, Result};
use redb::ReadableDatabase;

use crate::builder::Config;
use crate::error::{self, Fault, Remedy};
use crate::file;
use crate::log::{LOG_BYTES, Log, LogRecord};
use crate::open::open_file;
use crate::table::META;
use crate::transaction::{Transaction, read_counter};

/// How long a failed attempt to open the file again answers for the next ones.
const REOPEN_PAUSE: Duration = Duration::from_millis(100);

/// The file of a store, from its first opening to the end of the store.
#[derive(Debug)]
pub(crate) struct Database {
    config: Arc<Config>,
    slot: RwLock<Slot>,
    /// Whether redb has commits that are not on the medium yet; with a log they are there.
    undurable: AtomicBool,
    /// Whether such commits have been lost, which the next flush reports.
    lost: AtomicBool,
}

#[derive(Debug)]
struct Slot {
    /// `None` after an attempt to open the file again failed, and at the end.
    open: Option<Open>,
    /// Counts the openings, so that of several threads that met one failure one opens again.
    generation: u64,
    failed: Option<(Instant, Error)>,
    closed: bool,
}

/// An open redb database, the id in it, and its log.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) db: redb::Database,
    pub(crate) id: [u8; 16],
    /// Used by one thread at a time, the one with redb's write transaction.
    pub(crate) log: Mutex<Log>,
    /// Whether writes of the log have been applied that redb has not made durable yet.
    pub(crate) replayed: bool,
}

/// What a writer knows of the file it writes to.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// The opening of the file that it has written to.
    generation: Option<u64>,
}

/// Why a write did not succeed.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// Nothing was applied.
    NotApplied(Error),
    /// All of it or nothing was applied.
    Unknown(Error),
}

impl Database {
    /// Opens the file, making it if there is none.
    pub(crate) fn open(config: Arc<Config>) -> Result<Self> {
        let open = open_file(&config, config.verify_on_open)?;
        Ok(Self {
            config,
            undurable: AtomicBool::new(open.replayed),
            slot: RwLock::new(Slot {
                open: Some(open),
                generation: 0,
                failed: None,
                closed: false,
            }),
            lost: AtomicBool::new(false),
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Runs `f` on the open database, and once more after the file had to be opened again.
    pub(crate) fn read<T>(&self, f: impl Fn(&Open) -> Result<T, Fault>) -> Result<T> {
        let (fault, generation) = match self.try_read(&f)? {
            Ok(value) => return Ok(value),
            Err(failed) => failed,
        };
        if fault.remedy == Remedy::None {
            return Err(fault.error);
        }
        self.reopen(generation, fault.remedy)?;
        self.try_read(&f)?.map_err(|(fault, _)| fault.error)
    }

    /// The inner result is of `f`, the outer one of having an open database.
    fn try_read<T>(
        &self,
        f: impl Fn(&Open) -> Result<T, Fault>,
    ) -> Result<Result<T, (Fault, u64)>> {
        let slot = self.slot()?;
        let open = slot.open.as_ref().ok_or_else(error::closed)?;
        Ok(contained(|| f(open)).map_err(|fault| (fault, slot.generation)))
    }

    /// Runs `body` in a write transaction at `now` and commits what it changed.
    ///
    /// Waits, in shared mode, for the write transactions of other processes.
    pub(crate) fn write(
        &self,
        session: &mut Session,
        now: i64,
        durable: bool,
        mut body: impl FnMut(&mut Transaction<'_>) -> Result<(), Fault>,
    ) -> Result<(), WriteError> {
        let slot = self.slot().map_err(WriteError::NotApplied)?;
        let Some(open) = slot.open.as_ref() else {
            return Err(WriteError::NotApplied(error::closed()));
        };
        let generation = slot.generation;
        let first = session.generation != Some(generation);
        let durable = durable || first;
        let logged = self.config.logs() && !first && self.backlog_has_room();
        let committing = Cell::new(None);
        let in_database = Cell::new(durable);
        let written = contained(|| {
            let mut transaction = open.db.begin_write()?;
            transaction.set_two_phase_commit(self.config.two_phase_commit);
            let mut tables = Transaction::open(&transaction, open.id, first, logged, now)?;
            body(&mut tables)?;
            let Some(written) = tables.finish()? else {
                return transaction.abort().map_err(Fault::from);
            };
            committing.set(Some(written.count));
            let mut log = open.log.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(rows) = written.rows.filter(|rows| log.has_room(rows)) {
                log.append(
                    &self.config,
                    LogRecord {
                        previous: written.previous,
                        count: written.count,
                        rows: &rows,
                    },
                )?;
                in_database.set(false);
            }
            if !in_database.get() {
                self.undurable.store(true, Ordering::Release);
                transaction.set_durability(redb::Durability::None)?;
            }
            // After a failed commit redb has given up its state, whatever the reason.
            transaction
                .commit()
                .map_err(|error| Fault::from(error).and_reopen())?;
            if in_database.get() {
                log.restart();
            }
            Ok(())
        });
        drop(slot);
        let fault = match written {
            Ok(()) => {
                if committing.get().is_some() {
                    session.generation = Some(generation);
                    if in_database.get() {
                        self.undurable.store(false, Ordering::Release);
                    }
                }
                return Ok(());
            }
            Err(fault) => fault,
        };
        if fault.remedy == Remedy::None {
            return Err(WriteError::NotApplied(fault.error));
        }
        let reopened = self.reopen(generation, fault.remedy);
        match committing.get() {
            None => Err(WriteError::NotApplied(fault.error)),
            Some(_) if reopened.is_err() => Err(WriteError::Unknown(fault.error)),
            Some(count) => match self.is_missing(count) {
                Ok(true) => Err(WriteError::NotApplied(fault.error)),
                Ok(false) | Err(_) => Err(WriteError::Unknown(fault.error)),
            },
        }
    }

    /// Tells whether the commit of write number `count` is certainly not in the file.
    ///
    /// Finding it there would prove nothing: after a failed sync the system may show what it has
    /// not written and never will.
    fn is_missing(&self, count: u64) -> Result<bool> {
        self.read(|open| {
            let transaction = open.db.begin_read()?;
            let meta = transaction.open_table(META)?;
            Ok(read_counter(&meta)? < count)
        })
    }

    /// Tells whether the medium has room for what the database may grow by until it takes over from
    /// the log: what the log adds, and new copies of all pages. Measured under random overwrites,
    /// those are three for each page that was there.
    ///
    /// What the log has acknowledged must find its place in the database, so on a medium that is
    /// nearly full each commit is one of the database.
    fn backlog_has_room(&self) -> bool {
        let folder = &self.config.path;
        let (Ok(free), Ok(stored)) = (file::free_bytes(folder), file::database_bytes(folder))
        else {
            return false;
        };
        free >= 3 * stored + 2 * LOG_BYTES + self.config.free_space_floor
    }

    /// Tells whether redb has commits that it has not made durable.
    pub(crate) fn is_undurable(&self) -> bool {
        self.undurable.load(Ordering::Acquire)
    }

    /// Makes every commit durable in the database.
    pub(crate) fn make_durable(&self) -> Result<()> {
        if self.is_undurable() {
            let slot = self.slot()?;
            let open = slot.open.as_ref().ok_or_else(error::closed)?;
            let generation = slot.generation;
            let synced = contained(|| {
                let mut transaction = open.db.begin_write()?;
                transaction.set_two_phase_commit(self.config.two_phase_commit);
                let mut log = open.log.lock().unwrap_or_else(PoisonError::into_inner);
                transaction
                    .commit()
                    .map_err(|error| Fault::from(error).and_reopen())?;
                log.restart();
                Ok(())
            });
            drop(slot);
            match synced {
                Ok(()) => self.undurable.store(false, Ordering::Release),
                Err(fault) if fault.remedy == Remedy::None => return Err(fault.error),
                Err(fault) => self.reopen(generation, fault.remedy)?,
            }
        }
        Ok(())
    }

    /// Makes every acknowledged commit durable, and reports once that some were lost.
    pub(crate) fn flush(&self) -> Result<()> {
        self.make_durable()?;
        if self.lost.swap(false, Ordering::AcqRel) {
            return Err(Error::OutcomeUnknown {
                store: error::STORE,
                source: None,
            });
        }
        Ok(())
    }

    /// Runs `f` with the database to itself: when the reads in progress have ended.
    pub(crate) fn alone<T>(
        &self,
        f: impl FnOnce(&mut redb::Database) -> Result<T, Fault>,
    ) -> Result<T> {
        self.make_durable()?;
        drop(self.slot()?);
        let mut slot = self.slot_mut();
        let generation = slot.generation;
        let open = slot.open.as_mut().ok_or_else(error::closed)?;
        let result = contained(|| f(&mut open.db));
        drop(slot);
        result.map_err(|fault| {
            let fault = fault.and_reopen();
            // A failed compaction or check leaves behind what only opening repairs. When that
            // fails, the next operation says so.
            let _ = self.reopen(generation, fault.remedy);
            fault.error
        })
    }

    /// Commits nothing more and closes the file.
    pub(crate) fn close(&self) {
        let mut slot = self.slot_mut();
        slot.closed = true;
        let Some(Open { db, log, .. }) = slot.open.take() else {
            return;
        };
        drop(log);
        let removed = if self.config.logs() && !self.is_undurable() {
            // Before the file's lock goes, after which another process may log.
            file::remove_log(&self.config.path)
        } else {
            Ok(())
        };
        let closed = contained(|| db.close().map_err(Fault::from)).map_err(|fault| fault.error);
        if let Err(error) = removed.and(closed) {
            tracing::warn!(%error, "the disk store did not close cleanly");
        }
    }

    /// Opens the file again, unless another thread has done so since `generation`.
    fn reopen(&self, generation: u64, remedy: Remedy) -> Result<()> {
        let mut slot = self.slot_mut();
        if slot.generation != generation || slot.closed {
            return Ok(());
        }
        if let Some(old) = slot.open.take() {
            tracing::warn!("opening the disk store again after a failure");
            if self.undurable.swap(false, Ordering::AcqRel) && !self.config.logs() {
                self.lost.store(true, Ordering::Release);
            }
            // What went wrong is known; closing can only add to it.
            let _ = contained(|| {
                drop(old);
                Ok(())
            });
        }
        self.fill(&mut slot, remedy == Remedy::ReopenVerified)
    }

    fn fill(&self, slot: &mut Slot, verify: bool) -> Result<()> {
        match open_file(&self.config, verify) {
            Ok(open) => {
                self.undurable.store(open.replayed, Ordering::Release);
                slot.open = Some(open);
                slot.generation += 1;
                slot.failed = None;
                Ok(())
            }
            Err(error) => {
                slot.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Returns the slot, after another attempt to fill it when it is empty.
    fn slot(&self) -> Result<RwLockReadGuard<'_, Slot>> {
        let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
        if slot.open.is_some() || slot.closed {
            return Ok(slot);
        }
        drop(slot);
        let mut slot = self.slot_mut();
        if slot.open.is_none() && !slot.closed {
            if let Some((when, error)) = &slot.failed
                && when.elapsed() < REOPEN_PAUSE
            {
                return Err(error.clone());
            }
            self.fill(&mut slot, self.config.verify_on_open)?;
        }
        drop(slot);
        Ok(self.slot.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn slot_mut(&self) -> RwLockWriteGuard<'_, Slot> {
        self.slot.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `f`, and turns a panic of redb into a fault.
///
/// redb trusts a file that was closed cleanly, and panics on some that were damaged since. Nothing
/// of ours is left half-changed: the fault makes the caller drop the redb database and open the
/// file anew. With `panic = "abort"` there is no containing it.
pub(crate) fn contained<T>(f: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| Err(Fault::panicked()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DiskStore;

    fn database(folder: &tempfile::TempDir) -> Database {
        let store = DiskStore::new(folder.path()).unwrap();
        Database::open(store.config()).unwrap()
    }

    #[test]
    fn a_panic_in_a_read_is_a_damaged_file_and_ends_with_the_call() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(&folder);
        let result = database.read(|_| -> Result<(), Fault> { panic!("as redb may") });
        assert!(matches!(result, Err(Error::Corrupted { .. })));
        database.read(|open| Ok(open.db.begin_read()?)).unwrap();
    }

    #[test]
    fn a_panic_in_a_write_applies_nothing_and_ends_with_the_call() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(&folder);
        let mut session = Session::default();
        let result = database.write(&mut session, 0, true, |tables| {
            tables.delete("c", "k")?;
            panic!("as redb may")
        });
        assert!(matches!(
            result,
            Err(WriteError::NotApplied(Error::Corrupted { .. }))
        ));
        database
            .write(&mut session, 0, true, |tables| {
                tables.delete("c", "k").map(drop)
            })
            .unwrap();
    }
}

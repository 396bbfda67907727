//! Opening a database file: what redb is told, and what must be in it.

use std::fs::File;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use kv_core::{Error, Result};
use redb::{ConcurrencyMode, ReadableDatabase};

use crate::builder::Config;
use crate::database::{Open, contained};
use crate::error::{self, Fault};
use crate::file;
use crate::log::{LOG_BYTES, Log, records_after};
use crate::redo;
use crate::table::{ENTRIES, EXPIRY, META, meta};
use crate::transaction::{damaged_meta, read_counter};

/// How often, and after which pause, a shared store looks again whether a log has been dealt with.
const SETTLE_ATTEMPTS: u32 = 20;
const SETTLE_PAUSE: Duration = Duration::from_millis(100);

/// The cache, half of which redb fills with what is not in its file yet, for applying a log when the
/// medium is full: a row of a full log may change three pages of the size of its record.
const CACHE_BYTES_ON_FULL_MEDIUM: usize = 256 << 20;

/// Opens the database of a store, making it if there is none. With `verify` every page is read and
/// compared with its checksum.
///
/// Writes that are in the log only are applied.
pub(crate) fn open_file(config: &Config, verify: bool) -> Result<Open> {
    let folder = file::prepare_folder(&config.path)?;
    let file = match file::open_existing(&config.path)? {
        Some(file) => file,
        None => {
            file::create_if_missing(&config.path, &folder, |file| create(config, file))?;
            open_made(config)?
        }
    };
    if config.shared {
        return open_shared(config, file, verify);
    }
    match open_alone(config, file, verify, config.cache_bytes) {
        // There may be room in memory for what the log adds, so that reads go on.
        Err(Error::Full { .. }) if config.cache_bytes < CACHE_BYTES_ON_FULL_MEDIUM => open_alone(
            config,
            open_made(config)?,
            verify,
            CACHE_BYTES_ON_FULL_MEDIUM,
        ),
        opened => opened,
    }
}

fn open_made(config: &Config) -> Result<File> {
    file::open_existing(&config.path)?
        .ok_or_else(|| error::unusable(&config.path, "lost its database while opening it", None))
}

/// Opens the database for this process alone, and applies the log.
fn open_alone(config: &Config, file: File, verify: bool, cache_bytes: usize) -> Result<Open> {
    let mode = ConcurrencyMode::ExclusiveWriter;
    let (db, id) = open_database(config, file, verify, mode, cache_bytes)?;
    // Without a log of its own the store must not leave one behind that lags its database.
    let replayed = replay(config, &db, id, !config.logs())?;
    if !config.logs() {
        file::remove_log(&config.path)?;
    }
    Ok(Open {
        db,
        id,
        log: Mutex::new(Log::new(id)),
        replayed: replayed && config.logs(),
    })
}

fn open_shared(config: &Config, mut file: File, verify: bool) -> Result<Open> {
    loop {
        settle_log(config, verify)?;
        let mode = ConcurrencyMode::MultiWriter;
        let (db, id) = open_database(config, file, verify, mode, config.cache_bytes)?;
        // A process that had the store to itself may have come and been killed before this one had
        // the file's lock. From here on none can come.
        if !file::has_log(&config.path)? {
            return Ok(Open {
                db,
                id,
                log: Mutex::new(Log::new(id)),
                replayed: false,
            });
        }
        drop(db);
        file = open_made(config)?;
    }
}

/// Brings the writes of a log into the database, when a process that had the store to itself has
/// left one behind.
fn settle_log(config: &Config, verify: bool) -> Result<()> {
    let mut attempts = 0;
    while file::has_log(&config.path)?
        && let Some(file) = file::open_existing(&config.path)?
    {
        let mode = ConcurrencyMode::ExclusiveWriter;
        match open_database(config, file, verify, mode, config.cache_bytes) {
            Ok((db, id)) => {
                replay(config, &db, id, true)?;
                file::remove_log(&config.path)?;
                return contained(|| Ok(db.close()?)).map_err(|fault| fault.error);
            }
            // It may be another process that does the same.
            Err(Error::AlreadyOpen { .. }) if attempts < SETTLE_ATTEMPTS => {
                attempts += 1;
                thread::sleep(SETTLE_PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Applies the writes that are in the log and not in `db`. Returns whether there were any.
fn replay(config: &Config, db: &redb::Database, id: [u8; 16], durable: bool) -> Result<bool> {
    let Some(log) = file::read_log(&config.path, LOG_BYTES)? else {
        return Ok(false);
    };
    let in_database = |fault: Fault| error::in_file(file::database_path(&config.path), fault.error);
    let after = contained(|| read_counter(&db.begin_read()?.open_table(META)?));
    let records = records_after(&log, id, after.map_err(in_database)?)
        .map_err(|error| error::in_log(file::log_path(&config.path), error))?;
    if records.is_empty() {
        return Ok(false);
    }
    let applied = contained(|| {
        let mut transaction = db.begin_write()?;
        transaction.set_two_phase_commit(config.two_phase_commit);
        if !durable {
            transaction.set_durability(redb::Durability::None)?;
        }
        redo::apply(&transaction, &records)?;
        Ok(transaction.commit()?)
    });
    applied.map_err(in_database)?;
    Ok(true)
}

fn open_database(
    config: &Config,
    file: File,
    verify: bool,
    mode: ConcurrencyMode,
    cache_bytes: usize,
) -> Result<(redb::Database, [u8; 16])> {
    let opened = contained(|| {
        let db = redb_builder(cache_bytes)
            .set_check_integrity_on_open(verify)
            .set_concurrency_mode(mode)
            .create_with_backend(backend(config, file)?)
            .map_err(|error| match error {
                redb::DatabaseError::DatabaseAlreadyOpen => already_open(config).into(),
                error => Fault::from(error),
            })?;
        let id = read_id(&db)?;
        Ok((db, id))
    });
    opened.map_err(|fault| error::in_file(file::database_path(&config.path), fault.error))
}

fn already_open(config: &Config) -> Error {
    Error::AlreadyOpen {
        place: file::database_path(&config.path).display().to_string(),
        hint: if config.shared {
            "that process must share it too: build the store with `.shared()` in every process"
        } else {
            "close it there, or build the store with `.shared()` in every process"
        },
    }
}

fn redb_builder(cache_bytes: usize) -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(cache_bytes);
    builder
}

/// Fills a new file with an empty store.
fn create(config: &Config, file: File) -> Result<()> {
    // A log here belongs to a database that has been moved away.
    file::remove_log(&config.path)?;
    let id = random()?;
    contained(|| {
        let db = redb_builder(config.cache_bytes).create_with_backend(backend(config, file)?)?;
        let transaction = db.begin_write()?;
        {
            transaction.open_table(ENTRIES)?;
            transaction.open_table(EXPIRY)?;
            let mut meta = transaction.open_table(META)?;
            meta.insert(meta::FORMAT, meta::FORMAT_VERSION)?;
            meta.insert(meta::ID, id)?;
            meta.insert(meta::COUNTER, 0)?;
        }
        transaction.commit()?;
        Ok(db.close()?)
    })
    .map_err(|fault| fault.error)
}

/// Returns the database's id, after making sure that the file is a store of a known format.
fn read_id(db: &redb::Database) -> Result<[u8; 16], Fault> {
    let transaction = db.begin_read()?;
    let meta = match transaction.open_table(META) {
        Err(redb::TableError::TableDoesNotExist(_)) => {
            return Err(Fault::from(Error::Corrupted {
                reason: "the database file belongs to another program",
                source: None,
            }));
        }
        meta => meta?,
    };
    let row = |name| -> Result<Option<u128>, Fault> { Ok(meta.get(name)?.map(|row| row.value())) };
    match row(meta::FORMAT)? {
        Some(meta::FORMAT_VERSION) => {}
        Some(_) => {
            return Err(Fault::from(Error::Unsupported {
                what: "the format of this database: a newer version of kv-disk wrote it",
            }));
        }
        None => return Err(Fault::from(damaged_meta())),
    }
    let id = row(meta::ID)?.ok_or_else(damaged_meta)?;
    Ok(id.to_le_bytes())
}

#[cfg(not(test))]
pub(crate) fn backend(_: &Config, file: File) -> Result<redb::backends::FileBackend, Fault> {
    Ok(redb::backends::FileBackend::new(file)?)
}

#[cfg(test)]
pub(crate) fn backend(config: &Config, file: File) -> Result<crate::faults::FaultyFile, Fault> {
    Ok(config.faults.wrap(file))
}

fn random() -> Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::backend(error::STORE, "draw a random id", error))?;
    Ok(u128::from_le_bytes(bytes))
}

//! Opening a database file: what redb is told, and what must be in it.

use std::fs::File;

use kv_core::{Error, Result};
use redb::backends::FileBackend;
use redb::{ConcurrencyMode, ReadableDatabase};

use crate::builder::Config;
use crate::database::{Open, contained};
use crate::error::{self, Fault};
use crate::file;
use crate::table::{ENTRIES, EXPIRY, META, meta};
use crate::transaction::damaged_meta;

/// Opens the database of a store, making it if there is none. With `verify` every page is read and
/// compared with its checksum.
pub(crate) fn open_file(config: &Config, verify: bool) -> Result<Open> {
    let folder = file::prepare_folder(&config.path)?;
    let file = match file::open_existing(&config.path)? {
        Some(file) => file,
        None => {
            file::create_if_missing(&config.path, &folder, |file| create(config, file))?;
            file::open_existing(&config.path)?.ok_or_else(|| {
                error::unusable(&config.path, "lost its database while opening it", None)
            })?
        }
    };
    let opened = contained(|| {
        let db = redb_builder(config)
            .set_check_integrity_on_open(verify)
            .set_concurrency_mode(if config.shared {
                ConcurrencyMode::MultiWriter
            } else {
                ConcurrencyMode::ExclusiveWriter
            })
            .create_with_backend(backend(config, file)?)
            .map_err(|error| match error {
                redb::DatabaseError::DatabaseAlreadyOpen => already_open(config).into(),
                error => Fault::from(error),
            })?;
        let id = read_id(&db)?;
        Ok(Open { db, id })
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

fn redb_builder(config: &Config) -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(config.cache_bytes);
    builder
}

/// Fills a new file with an empty store.
fn create(config: &Config, file: File) -> Result<()> {
    let id = random()?;
    contained(|| {
        let db = redb_builder(config).create_with_backend(backend(config, file)?)?;
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
fn backend(_: &Config, file: File) -> Result<FileBackend, Fault> {
    Ok(FileBackend::new(file)?)
}

#[cfg(test)]
fn backend(config: &Config, file: File) -> Result<crate::faults::FaultyFile, Fault> {
    Ok(config.faults.wrap(FileBackend::new(file)?))
}

fn random() -> Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::backend(error::STORE, "draw a random id", error))?;
    Ok(u128::from_le_bytes(bytes))
}

//! The folder and the file of a store: made with the right modes, opened, measured.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use kv_core::{Error, Result};

use crate::error::unusable;

/// The database inside the folder.
pub(crate) const FILE_NAME: &str = "store.redb";

/// A database that is being made, before it gets its name.
const NEW_FILE_NAME: &str = "store.redb.new";

/// The write-ahead log.
const LOG_NAME: &str = "store.log";

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Checks a store's path without touching it: it, or its nearest existing parent, is a folder.
pub(crate) fn check_path(path: &Path) -> Result<()> {
    if path.as_os_str().is_empty() {
        return Err(unusable(
            path,
            "the path is empty; give the path of a folder",
            None,
        ));
    }
    for part in path.ancestors().filter(|part| !part.as_os_str().is_empty()) {
        match fs::metadata(part) {
            Ok(metadata) if metadata.is_dir() => return Ok(()),
            Ok(_) => {
                return Err(unusable(
                    part,
                    "is a file; a disk store needs a folder of its own",
                    None,
                ));
            }
            // Anything else shows when the folder is made, with the system's own reason.
            Err(_) => {}
        }
    }
    Ok(())
}

/// Makes the folder if it is not there, and returns its handle.
pub(crate) fn prepare_folder(path: &Path) -> Result<File> {
    check_path(path)?;
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(path)
        .map_err(|error| {
            unusable(
                path,
                "cannot be made; choose another folder or allow this user to write there",
                Some(error),
            )
        })?;
    File::open(path).map_err(|error| {
        unusable(
            path,
            "cannot be opened; allow this user to read and write it",
            Some(error),
        )
    })
}

/// Opens the database file for reading and writing; `None` when there is none.
pub(crate) fn open_existing(folder: &Path) -> Result<Option<File>> {
    let path = folder.join(FILE_NAME);
    match fs::metadata(&path) {
        Ok(metadata) if !metadata.is_file() => {
            return Err(unusable(
                &path,
                "is no file; move it away or choose another folder",
                None,
            ));
        }
        // A store's file is complete before it gets its name, so an empty one has lost its content.
        Ok(metadata) if metadata.len() == 0 => {
            return Err(Error::Corrupted {
                reason: "the database file is empty; restore it, or remove it to start anew",
                source: None,
            });
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(not_writable(&path, error)),
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .map(Some)
        .map_err(|error| not_writable(&path, error))
}

/// Makes the database file with `fill` if there is none yet.
///
/// The file gets its name only when it is complete and on the medium, so a crash in between leaves
/// no half-made store. The lock on the folder lets one process at a time do this.
pub(crate) fn create_if_missing(
    folder: &Path,
    handle: &File,
    fill: impl FnOnce(File) -> Result<()>,
) -> Result<()> {
    let path = folder.join(FILE_NAME);
    handle.lock().map_err(|error| not_writable(folder, error))?;
    let made = match fs::exists(&path) {
        Ok(true) => Ok(()),
        Ok(false) => create(folder, handle, &path, fill),
        Err(error) => Err(not_writable(&path, error)),
    };
    let unlocked = handle.unlock().map_err(|error| not_writable(folder, error));
    made.and(unlocked)
}

fn create(
    folder: &Path,
    handle: &File,
    path: &Path,
    fill: impl FnOnce(File) -> Result<()>,
) -> Result<()> {
    let new_path = folder.join(NEW_FILE_NAME);
    let made = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(&new_path)
        .map_err(|error| not_writable(folder, error))
        .and_then(fill)
        .and_then(|()| {
            fs::rename(&new_path, path)
                // A new name is on the medium only when its folder is.
                .and_then(|()| handle.sync_all())
                .and_then(|()| sync_parent(folder))
                .map_err(|error| not_writable(folder, error))
        });
    if made.is_err() {
        // The next attempt truncates it all the same; on a full medium it is in the way.
        let _ = fs::remove_file(&new_path);
    }
    made
}

fn sync_parent(folder: &Path) -> io::Result<()> {
    let mut parent = folder.canonicalize()?;
    if !parent.pop() {
        return Ok(());
    }
    match File::open(&parent).and_then(|parent| parent.sync_all()) {
        // A parent that may be crossed and not read was not made by this store.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

fn not_writable(path: &Path, error: io::Error) -> Error {
    if matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    ) {
        return Error::Full {
            store: crate::error::STORE,
            source: Some(std::sync::Arc::new(error)),
        };
    }
    let what = match error.kind() {
        ErrorKind::ReadOnlyFilesystem => {
            "is on a read-only medium; a disk store must write: choose another folder"
        }
        _ => "cannot be written; allow this user to read and write it or choose another folder",
    };
    unusable(path, what, Some(error))
}

/// Returns how many bytes this user can still write on the medium of `path`.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let space = rustix::fs::statvfs(path)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Returns how many bytes the database file has.
pub(crate) fn database_bytes(folder: &Path) -> io::Result<u64> {
    Ok(fs::metadata(database_path(folder))?.len())
}

/// Opens the log for reading and writing, making it if there is none.
pub(crate) fn open_log(folder: &Path) -> Result<File> {
    let path = log_path(folder);
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(|error| not_writable(&path, error))
}

/// Returns what is in the log, at most `limit` bytes; `None` when there is no log.
pub(crate) fn read_log(folder: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let path = log_path(folder);
    let mut bytes = Vec::new();
    match File::open(&path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(&path, "cannot be read", Some(error))),
    }
}

/// Tells whether there is a log.
pub(crate) fn has_log(folder: &Path) -> Result<bool> {
    let path = log_path(folder);
    fs::exists(&path).map_err(|error| not_writable(&path, error))
}

/// Removes the log if there is one.
pub(crate) fn remove_log(folder: &Path) -> Result<()> {
    let path = log_path(folder);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(not_writable(&path, error)),
        _ => Ok(()),
    }
}

/// Waits until the names in the folder are on the medium.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| not_writable(folder, error))
}

/// Returns the path of the log.
pub(crate) fn log_path(folder: &Path) -> PathBuf {
    folder.join(LOG_NAME)
}

/// Returns the path of the database file.
pub(crate) fn database_path(folder: &Path) -> PathBuf {
    folder.join(FILE_NAME)
}

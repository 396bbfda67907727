//! How the errors of redb and of the file system become [`kv_core::Error`].

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kv_core::{Error, Source};

/// The store's name in errors and in `StoreInfo`.
pub(crate) const STORE: &str = "disk";

/// A failure of redb: what the caller is told, and what must happen to the open database first.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) error: Error,
    pub(crate) remedy: Remedy,
}

/// What makes the database usable again after a [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Remedy {
    /// Nothing: it still works.
    None,
    /// Closing and opening it: redb refuses all I/O after one that failed.
    Reopen,
    /// The same, and checking every page: redb panicked, so what it has in memory or in the file
    /// is not what it should be.
    ReopenVerified,
}

impl Fault {
    /// The fault of a call into redb that panicked, which only a damaged file provokes.
    pub(crate) fn panicked() -> Self {
        Self {
            error: Error::Corrupted {
                reason: "the database file is damaged",
                source: None,
            },
            remedy: Remedy::ReopenVerified,
        }
    }

    /// Tells whether the file is at fault, and not only one record in it.
    pub(crate) fn concerns_the_file(&self) -> bool {
        self.remedy != Remedy::None
    }

    /// The same fault, after which the database has to be opened again.
    pub(crate) fn and_reopen(mut self) -> Self {
        self.remedy = self.remedy.max(Remedy::Reopen);
        self
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self {
            error,
            remedy: Remedy::None,
        }
    }
}

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Self {
        let remedy = match error {
            redb::Error::Io(_)
            | redb::Error::PreviousIo
            | redb::Error::DatabaseClosed
            | redb::Error::LockPoisoned(_) => Remedy::Reopen,
            _ => Remedy::None,
        };
        Self {
            error: classify(error),
            remedy,
        }
    }
}

macro_rules! through_redb_error {
    ($($error:ident),+) => {$(
        impl From<redb::$error> for Fault {
            fn from(error: redb::$error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )+};
}

through_redb_error!(
    CommitError,
    CompactionError,
    DatabaseError,
    SetDurabilityError,
    StorageError,
    TableError,
    TransactionError
);

/// Says what a caller can do about an error of redb.
fn classify(error: redb::Error) -> Error {
    match &error {
        redb::Error::Io(io) => match io.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                Error::Full {
                    store: STORE,
                    source: Some(Arc::new(error)),
                }
            }
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData => damaged(error),
            _ => unavailable("a read or write of its file failed", error),
        },
        redb::Error::PreviousIo | redb::Error::DatabaseClosed | redb::Error::LockPoisoned(_) => {
            unavailable("an earlier read or write of its file failed", error)
        }
        redb::Error::TransactionInProgress => {
            unavailable("another process is reading from it", error)
        }
        redb::Error::LockProtocolMismatch => {
            unavailable("a process with another version of redb has it open", error)
        }
        redb::Error::ValueTooLarge(size) => Error::TooLarge {
            limit: 3 << 30,
            size: *size as u64,
        },
        redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TableDoesNotExist(_)
        | redb::Error::TypeDefinitionChanged { .. } => damaged(error),
        _ => Error::backend(STORE, "use the database", error),
    }
}

/// Which file is damaged, and the way out.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is damaged or no store; restore it from a backup, or move it away to start with an empty \
     one", path.display()
)]
struct DamagedFile {
    path: PathBuf,
    source: Option<Source>,
}

/// Adds to the error of a damaged file which one it is.
pub(crate) fn in_file(path: PathBuf, error: Error) -> Error {
    match error {
        Error::Corrupted { reason, source } => Error::Corrupted {
            reason,
            source: Some(Arc::new(DamagedFile { path, source })),
        },
        error => error,
    }
}

/// The log is damaged, and the way out.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is damaged; restore the folder from a backup, or move this file away to go on without the \
     writes of the last moments before the crash", path.display()
)]
struct DamagedLog {
    path: PathBuf,
    source: Option<Source>,
}

/// Adds to the error of a damaged log which file it is.
pub(crate) fn in_log(path: PathBuf, error: Error) -> Error {
    match error {
        Error::Corrupted { reason, source } => Error::Corrupted {
            reason,
            source: Some(Arc::new(DamagedLog { path, source })),
        },
        error => error,
    }
}

fn damaged(source: redb::Error) -> Error {
    Error::Corrupted {
        reason: "the database file is damaged",
        source: Some(Arc::new(source)),
    }
}

fn unavailable(reason: &str, source: redb::Error) -> Error {
    Error::Unavailable {
        store: STORE,
        reason: reason.to_owned(),
        source: Some(Arc::new(source)),
    }
}

/// The error of a path that cannot be used, which names it and says what to do.
pub(crate) fn unusable(path: &Path, what: &str, source: Option<std::io::Error>) -> Error {
    Error::Unavailable {
        store: STORE,
        reason: format!("{} {what}", path.display()),
        source: source.map(|error| Arc::new(error) as Source),
    }
}

/// The error of a store whose last handle is gone, or whose writer thread could not be started.
pub(crate) fn closed() -> Error {
    Error::Unavailable {
        store: STORE,
        reason: "it is closed".to_owned(),
        source: None,
    }
}

/// The answer to a write whose commit failed in a way that leaves open whether it was applied.
pub(crate) fn outcome_unknown(cause: Error) -> Error {
    Error::OutcomeUnknown {
        store: STORE,
        source: Some(Arc::new(cause)),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn fault(kind: ErrorKind) -> Fault {
        redb::Error::Io(io::Error::from(kind)).into()
    }

    #[test]
    fn a_full_medium_is_full_and_needs_a_reopen() {
        let fault = fault(ErrorKind::StorageFull);
        assert!(matches!(fault.error, Error::Full { .. }));
        assert_eq!(fault.remedy, Remedy::Reopen);
    }

    #[test]
    fn a_file_that_ends_early_is_corrupted() {
        let error = fault(ErrorKind::UnexpectedEof).error;
        assert!(matches!(error, Error::Corrupted { .. }));
    }

    #[test]
    fn the_driver_error_can_be_downcast() {
        let error = Fault::from(redb::Error::PreviousIo).error;
        assert!(error.driver_error::<redb::Error>().is_some());
    }
}

//! [`Error`]: what can go wrong in a store, by what the caller can do about it.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A driver's error, shared so that an [`Error`] can be cloned.
pub type Source = Arc<dyn StdError + Send + Sync>;

/// What can go wrong in a store. A missing entry is no error: it is `Ok(None)` or `Ok(false)`.
///
/// `Display` is one clause that never holds a key, a value or the text of the source: print the
/// chain of [`source`](StdError::source)s for that. `Debug` prints the variant, the same clause and
/// the source; those of `Encode` and `Decode` name a place and never quote the value. Cloning shares
/// the source.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `PutMode::Create` met a live entry.
    #[error("a live entry already has this key")]
    AlreadyExists,

    /// `PutMode::Update` met another revision, or no live entry.
    #[error("the entry was changed or removed since its revision was read")]
    Conflict,

    /// A key, collection or prefix breaks the naming rules.
    #[error("invalid {kind}: {reason}")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    InvalidName {
        kind: &'static str,
        reason: &'static str,
    },

    /// A TTL that is not positive, or an expiry past the year 9999.
    #[error("invalid TTL: {reason}")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    InvalidTtl { reason: &'static str },

    /// A cursor that this store did not hand out.
    #[error("the cursor is not one that this store handed out; start again without a cursor")]
    InvalidCursor,

    /// A value or record is over a limit, both in bytes.
    #[error("{size} bytes are over the limit of {limit} bytes")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    TooLarge { limit: u64, size: u64 },

    /// A value is under a limit, both in bytes.
    #[error("{size} bytes are under the limit of {limit} bytes")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    TooSmall { limit: u64, size: u64 },

    /// A counter that would leave the range of a 64-bit integer. It stays as it is.
    #[error("the counter would leave the range of a 64-bit integer")]
    Overflow,

    /// A value that is not a JSON object.
    #[error("a value must be a JSON object; wrap anything else in `Items`")]
    NotAnObject,

    /// A value that does not serialize to JSON.
    #[error("the value does not serialize to JSON")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Encode { source: Source },

    /// Text that is not JSON, or a value that is not of the type asked for.
    #[error("the value does not decode to the type asked for")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Decode { source: Source },

    /// A stored value that cannot be decrypted.
    #[error("the value cannot be decrypted: {0}")]
    Decrypt(DecryptKind),

    /// A stored record that cannot be read. It counts as present: overwrite or delete it.
    #[error("stored data is corrupted: {reason}")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Corrupted {
        reason: &'static str,
        source: Option<Source>,
    },

    /// A write to a store that only reads.
    #[error("the store is read-only")]
    ReadOnly,

    /// An ability that this store lacks.
    #[error("this store does not support {what}")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Unsupported { what: &'static str },

    /// The medium has no room left. Reads work; free space and try again.
    #[error("no space is left in {store}; free some and try again")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Full {
        store: &'static str,
        source: Option<Source>,
    },

    /// Another process has opened the store for itself alone.
    #[error("{place} is open in another process; {hint}")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    AlreadyOpen { place: String, hint: &'static str },

    /// A read that took longer than allowed.
    #[error("no answer within {after:?}")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Timeout { after: Duration },

    /// The store cannot be reached or opened. Nothing was applied: try again.
    #[error("{store} is unavailable: {reason}")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Unavailable {
        store: &'static str,
        reason: String,
        source: Option<Source>,
    },

    /// A write that may or may not have been applied. Read before writing again.
    #[error("the write to {store} may or may not have been applied")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    OutcomeUnknown {
        store: &'static str,
        source: Option<Source>,
    },

    /// A bulk write that was applied in part: the entries of `keys` were not written, or may not
    /// have been.
    #[error("{} entries of the batch were not written, or may not have been", .keys.len())]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Incomplete {
        keys: Vec<String>,
        source: Option<Source>,
    },

    /// Any other failure of the backend.
    #[error("{store} failed to {operation}")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Backend {
        store: &'static str,
        operation: &'static str,
        source: Source,
    },
}

/// Why a stored value cannot be decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptKind {
    /// The record names a key that is not in the key ring.
    #[error("its key is not in the key ring")]
    UnknownKey,
    /// The record is not authentic under any key of the ring.
    #[error("it is not authentic")]
    Authentication,
    /// The record was written under another name or with another expiry.
    #[error("it was moved from another record")]
    Moved,
    /// The record is plaintext.
    #[error("it is not encrypted")]
    NotEncrypted,
    /// The record is in a format that does not bind it to its name, which was not allowed.
    #[error("it is not bound to its name")]
    Unbound,
    /// The record's format is newer than this program.
    #[error("its format version is not supported")]
    UnsupportedVersion,
}

impl Error {
    /// Tells whether the same call may succeed later without any other change, and may be repeated
    /// without doing its work twice: `Timeout` and `Unavailable`.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Unavailable { .. })
    }

    /// Makes an [`Encode`](Self::Encode) from a serializer's error, whose text must not quote the
    /// value.
    pub fn encode(source: impl StdError + Send + Sync + 'static) -> Self {
        Self::Encode {
            source: Arc::new(source),
        }
    }

    /// Makes a [`Decode`](Self::Decode) from a parser's error, whose text must not quote the value.
    pub fn decode(source: impl StdError + Send + Sync + 'static) -> Self {
        Self::Decode {
            source: Arc::new(source),
        }
    }

    /// Makes a [`Backend`](Self::Backend) from a driver's error.
    pub fn backend(
        store: &'static str,
        operation: &'static str,
        source: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self::Backend {
            store,
            operation,
            source: Arc::new(source),
        }
    }

    /// Makes of a failure that came after a part of the work what it is for the whole: a write of
    /// unknown outcome, which must not be repeated unseen.
    pub(crate) fn of_the_whole(self, applied_in_part: bool, store: &'static str) -> Self {
        if !applied_in_part || matches!(self, Self::OutcomeUnknown { .. }) {
            return self;
        }
        Self::OutcomeUnknown {
            store,
            source: Some(Arc::new(self)),
        }
    }

    /// Returns the driver's error, if it is an `E`, also from inside another [`Error`] that is the
    /// source of this one.
    #[must_use]
    pub fn driver_error<E: StdError + 'static>(&self) -> Option<&E> {
        let source = match self {
            Self::Encode { source } | Self::Decode { source } | Self::Backend { source, .. } => {
                Some(source)
            }
            Self::Corrupted { source, .. }
            | Self::Full { source, .. }
            | Self::Unavailable { source, .. }
            | Self::OutcomeUnknown { source, .. }
            | Self::Incomplete { source, .. } => source.as_ref(),
            _ => None,
        };
        let source = source?;
        source.downcast_ref().or_else(|| {
            let inner: &Self = source.downcast_ref()?;
            inner.driver_error()
        })
    }

    /// Returns the variant's name.
    pub(crate) const fn variant(&self) -> &'static str {
        match self {
            Self::AlreadyExists => "AlreadyExists",
            Self::Conflict => "Conflict",
            Self::InvalidName { .. } => "InvalidName",
            Self::InvalidTtl { .. } => "InvalidTtl",
            Self::InvalidCursor => "InvalidCursor",
            Self::TooLarge { .. } => "TooLarge",
            Self::TooSmall { .. } => "TooSmall",
            Self::Overflow => "Overflow",
            Self::NotAnObject => "NotAnObject",
            Self::Encode { .. } => "Encode",
            Self::Decode { .. } => "Decode",
            Self::Decrypt(_) => "Decrypt",
            Self::Corrupted { .. } => "Corrupted",
            Self::ReadOnly => "ReadOnly",
            Self::Unsupported { .. } => "Unsupported",
            Self::Full { .. } => "Full",
            Self::AlreadyOpen { .. } => "AlreadyOpen",
            Self::Timeout { .. } => "Timeout",
            Self::Unavailable { .. } => "Unavailable",
            Self::OutcomeUnknown { .. } => "OutcomeUnknown",
            Self::Incomplete { .. } => "Incomplete",
            Self::Backend { .. } => "Backend",
        }
    }
}

// Not derived, because `Incomplete` holds keys, which can be secrets.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({:?}", self.variant(), self.to_string())?;
        if let Some(source) = self.source() {
            write!(f, ", {source:?}")?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn display_leaves_the_source_to_the_chain() {
        let error = Error::backend("disk", "commit", io::Error::other("the cable is out"));
        assert_eq!(error.to_string(), "disk failed to commit");
        assert_eq!(error.source().unwrap().to_string(), "the cable is out");
    }

    #[test]
    fn a_driver_error_can_be_downcast() {
        let error = Error::backend("disk", "commit", io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(
            error.driver_error::<io::Error>().unwrap().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn a_driver_error_can_be_downcast_from_inside_another_error() {
        let cause = Error::backend("disk", "commit", io::Error::other("the cable is out"));
        let error = cause.of_the_whole(true, "disk");
        assert!(error.driver_error::<io::Error>().is_some());
        assert!(error.driver_error::<fmt::Error>().is_none());
    }

    #[test]
    fn debug_shows_the_variant_and_the_source_and_no_key() {
        let error = Error::Incomplete {
            keys: vec!["hunter2".to_owned()],
            source: Some(Arc::new(Error::Conflict)),
        };
        let shown = "Incomplete(\"1 entries of the batch were not written, or may not have been\", \
            Conflict(\"the entry was changed or removed since its revision was read\"))";
        assert_eq!(format!("{error:?}"), shown);
    }

    #[test]
    fn a_write_of_unknown_outcome_is_not_retryable() {
        assert!(
            !Error::OutcomeUnknown {
                store: "disk",
                source: None
            }
            .is_retryable()
        );
    }
}

//! [`Entry`]: a value with its times, and [`Revision`], the mark of one write.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::{Error, Result, Timestamp, Value};

/// What a store holds under a key: a value, when it was made, when it ends, and the revision of the
/// write that put it there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The JSON object.
    pub value: Value,
    /// When the entry was written. `put` fills it in when it is `None`; a record made by another
    /// program may lack it.
    pub created_at: Option<Timestamp>,
    /// When the entry ends: it is absent from this time on. `None` never ends.
    pub expires_at: Option<Timestamp>,
    /// The revision of the write. Filled in on every read, ignored by `put`.
    pub revision: Option<Revision>,
}

impl Entry {
    /// Makes an entry that never expires and was created when it is put.
    #[must_use]
    pub const fn new(value: Value) -> Self {
        Self {
            value,
            created_at: None,
            expires_at: None,
            revision: None,
        }
    }

    /// Sets the time of creation; `None` means the time of the put.
    #[must_use]
    pub fn with_created_at(mut self, time: impl Into<Option<Timestamp>>) -> Self {
        self.created_at = time.into();
        self
    }

    /// Sets the end; `None` means never.
    #[must_use]
    pub fn with_expires_at(mut self, time: impl Into<Option<Timestamp>>) -> Self {
        self.expires_at = time.into();
        self
    }

    /// Sets the revision, as a backend does on a read.
    #[must_use]
    pub fn with_revision(mut self, revision: impl Into<Option<Revision>>) -> Self {
        self.revision = revision.into();
        self
    }

    /// Tells whether the entry is absent at `now`: its end has been reached.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Returns the time left at `now`; `None` when the entry never expires.
    #[must_use]
    pub fn remaining(&self, now: Timestamp) -> Option<Duration> {
        self.expires_at.map(|end| end.saturating_since(now))
    }

    /// Prepares the entry for a write at `now`, as every backend's `put` does: fills in
    /// `created_at`, drops `revision`, and checks the times.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidTtl`] when `expires_at` is not after `created_at`.
    pub fn prepared(mut self, now: Timestamp) -> Result<Self> {
        let created_at = *self.created_at.get_or_insert(now);
        if self.expires_at.is_some_and(|end| end <= created_at) {
            return Err(Error::InvalidTtl {
                reason: "the expiry must lie after the creation",
            });
        }
        self.revision = None;
        Ok(self)
    }
}

/// The mark of one write. Two revisions are equal only if they are of the same write.
///
/// It is filled in on every read and never used again for the key: not after a delete, a restart,
/// or in another store. Pass it back in [`PutMode::Update`](crate::PutMode::Update). It is good
/// within one process; keep it nowhere else.
///
/// `Debug` prints no content, because a revision may hold the stored bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Revision(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Counter { store: [u8; 16], count: u64 },
    Bytes(Bytes),
}

impl Revision {
    /// Makes the revision of write number `count` in the store with the random id `store`.
    ///
    /// For backends that number their writes.
    #[must_use]
    pub const fn from_counter(store: [u8; 16], count: u64) -> Self {
        Self(Repr::Counter { store, count })
    }

    /// Makes a revision from the exact stored bytes.
    ///
    /// For backends that compare what is stored.
    #[must_use]
    pub const fn from_bytes(stored: Bytes) -> Self {
        Self(Repr::Bytes(stored))
    }

    /// Returns the stored bytes of a revision made by [`from_bytes`](Self::from_bytes).
    #[must_use]
    pub const fn as_bytes(&self) -> Option<&Bytes> {
        match &self.0 {
            Repr::Bytes(stored) => Some(stored),
            Repr::Counter { .. } => None,
        }
    }

    /// Returns the store's id and the count of a revision made by
    /// [`from_counter`](Self::from_counter).
    pub(crate) const fn counter(&self) -> Option<([u8; 16], u64)> {
        match &self.0 {
            Repr::Counter { store, count } => Some((*store, *count)),
            Repr::Bytes(_) => None,
        }
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Revision(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry::new(Value::from_json("{}").unwrap())
    }

    #[test]
    fn an_entry_is_absent_at_its_end_and_live_a_microsecond_before() {
        let entry = entry().with_expires_at(Timestamp::from_micros(10));
        assert!(!entry.is_expired(Timestamp::from_micros(9)));
        assert!(entry.is_expired(Timestamp::from_micros(10)));
    }

    #[test]
    fn an_end_that_is_not_after_the_creation_is_invalid() {
        let now = Timestamp::from_micros(10);
        let error = entry().with_expires_at(now).prepared(now).unwrap_err();
        assert!(matches!(error, Error::InvalidTtl { .. }));
    }

    #[test]
    fn revisions_of_two_stores_differ_at_the_same_count() {
        assert_ne!(
            Revision::from_counter([1; 16], 1),
            Revision::from_counter([2; 16], 1)
        );
    }

    #[test]
    fn debug_of_a_revision_holds_no_stored_bytes() {
        let revision = Revision::from_bytes(Bytes::from_static(b"hunter2"));
        assert_eq!(format!("{revision:?}"), "Revision(..)");
    }
}

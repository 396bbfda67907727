//! [`Batch`]: what is left to do of a `put_many` that was applied in part.

use std::collections::HashSet;
use std::sync::Arc;

use super::was_not_applied;
use crate::{Entry, Error, Result, Revision, Timestamp};

/// The entries of a `put_many`, which of them are left, and the revisions of the others.
pub(super) struct Batch {
    entries: Vec<(String, Entry)>,
    revisions: Vec<Option<Revision>>,
    /// The places of the entries that are still to be written.
    left: Vec<usize>,
    applied_in_part: bool,
}

impl Batch {
    /// Prepares `entries` once, so that every try writes the same times.
    pub(super) fn new(entries: Vec<(String, Entry)>, now: Timestamp) -> Result<Self> {
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(key, entry)| Ok((key, entry.prepared(now)?)))
            .collect::<Result<_>>()?;
        Ok(Self {
            revisions: vec![None; entries.len()],
            left: (0..entries.len()).collect(),
            entries,
            applied_in_part: false,
        })
    }

    /// Returns what is to be written now.
    pub(super) fn left(&self) -> Vec<(String, Entry)> {
        let left = self.left.iter();
        left.map(|place| self.entries[*place].clone()).collect()
    }

    /// Notes that all that was left is written.
    pub(super) fn finish(&mut self, revisions: Vec<Revision>) {
        for (place, revision) in self.left.drain(..).zip(revisions) {
            self.revisions[place] = Some(revision);
        }
    }

    /// Tells whether what is left after `error` may be written again: it was certainly not applied.
    pub(super) fn can_go_on_after(&mut self, error: &Error) -> bool {
        let Error::Incomplete { keys, source } = error else {
            return was_not_applied(error);
        };
        let source = source.as_ref().and_then(|source| source.downcast_ref());
        if !source.is_some_and(was_not_applied) {
            return false;
        }
        self.applied_in_part = true;
        // Of a key that stands twice only the last place counts in the end.
        let mut failed: HashSet<_> = keys.iter().map(String::as_str).collect();
        let mut left: Vec<_> = self.left.iter().copied().rev().collect();
        left.retain(|place| failed.remove(self.entries[*place].0.as_str()));
        left.reverse();
        self.left = left;
        true
    }

    /// Makes of a failure to write what is left what it is for all entries.
    pub(super) fn of_the_whole(&self, error: Error) -> Error {
        if !self.applied_in_part || matches!(error, Error::Incomplete { .. }) {
            return error;
        }
        let left = self.left.iter();
        Error::Incomplete {
            keys: left.map(|place| self.entries[*place].0.clone()).collect(),
            source: Some(Arc::new(error)),
        }
    }

    /// Returns the places of the entries that are live and have no revision yet.
    pub(super) fn unnamed(&self) -> Vec<usize> {
        if !self.applied_in_part {
            return Vec::new();
        }
        let mut seen = HashSet::new();
        let places = (0..self.entries.len()).rev();
        let live = places.filter(|place| seen.insert(self.entries[*place].0.as_str()));
        live.filter(|place| self.revisions[*place].is_none())
            .collect()
    }

    /// Returns the key of a place.
    pub(super) fn key(&self, place: usize) -> &str {
        &self.entries[place].0
    }

    /// Takes the revision of `stored`, if it is what was written at this place.
    pub(super) fn name(&mut self, place: usize, stored: Entry) {
        let (_, written) = &self.entries[place];
        let is_the_same = stored.value == written.value
            && stored.created_at == written.created_at
            && stored.expires_at == written.expires_at;
        if is_the_same {
            self.revisions[place] = stored.revision;
        }
    }

    /// Returns the revisions of all entries. One that is not known is one that matches nothing, so
    /// that an update by it is refused.
    pub(super) fn into_revisions(self) -> Vec<Revision> {
        let of_no_store = || Revision::from_counter(fastrand::u128(..).to_le_bytes(), 0);
        let revisions = self.revisions.into_iter();
        revisions
            .map(|known| known.unwrap_or_else(of_no_store))
            .collect()
    }
}

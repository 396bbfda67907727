//! [`Operation`]: the operations of a store by name, and what their answers hold.

use crate::{CollectionPage, Entry, KeyPage, Result, Revision};

#[cfg(doc)]
use crate::Store;

/// An operation of a [`Store`], as [`Stats`](super::Stats) counts it and [`Traced`](super::Traced)
/// names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is the method of its name")]
pub enum Operation {
    Get,
    GetFresh,
    Put,
    Delete,
    Take,
    GetMany,
    PutMany,
    DeleteMany,
    Keys,
    Collections,
    Cull,
    Clear,
    Destroy,
    Flush,
}

impl Operation {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Self; 14] = [
        Self::Get,
        Self::GetFresh,
        Self::Put,
        Self::Delete,
        Self::Take,
        Self::GetMany,
        Self::PutMany,
        Self::DeleteMany,
        Self::Keys,
        Self::Collections,
        Self::Cull,
        Self::Clear,
        Self::Destroy,
        Self::Flush,
    ];

    /// Returns the name of the method, such as `get_many`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::GetFresh => "get_fresh",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Take => "take",
            Self::GetMany => "get_many",
            Self::PutMany => "put_many",
            Self::DeleteMany => "delete_many",
            Self::Keys => "keys",
            Self::Collections => "collections",
            Self::Cull => "cull",
            Self::Clear => "clear",
            Self::Destroy => "destroy",
            Self::Flush => "flush",
        }
    }
}

/// What became of the keys that an operation looked for.
#[derive(Default)]
pub(super) struct Found {
    pub(super) hits: u64,
    pub(super) misses: u64,
    /// The variants of the errors of single keys.
    pub(super) errors: Vec<&'static str>,
}

impl Found {
    fn add(&mut self, is_hit: bool) {
        self.hits += u64::from(is_hit);
        self.misses += u64::from(!is_hit);
    }
}

/// The answer of an operation.
pub(super) trait Answer {
    /// Counts the keys that were found; none when the operation looks for none.
    fn found(&self) -> Found {
        Found::default()
    }
}

impl Answer for () {}
impl Answer for u64 {}
impl Answer for Revision {}
impl Answer for Vec<Revision> {}
impl Answer for KeyPage {}
impl Answer for CollectionPage {}

impl Answer for bool {
    fn found(&self) -> Found {
        let mut found = Found::default();
        found.add(*self);
        found
    }
}

impl Answer for Option<Entry> {
    fn found(&self) -> Found {
        self.is_some().found()
    }
}

impl Answer for Vec<bool> {
    fn found(&self) -> Found {
        let mut found = Found::default();
        self.iter().for_each(|is_hit| found.add(*is_hit));
        found
    }
}

impl Answer for Vec<Result<Option<Entry>>> {
    fn found(&self) -> Found {
        let mut found = Found::default();
        for result in self {
            match result {
                Ok(entry) => found.add(entry.is_some()),
                Err(error) => found.errors.push(error.variant()),
            }
        }
        found
    }
}

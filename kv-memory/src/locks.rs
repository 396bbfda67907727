//! [`Locks`]: one writer of a name at a time.

use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

use crate::name::Name;

/// So many that writers of different names seldom share a lock.
const COUNT: usize = 64;

/// Locks that all names share. Whoever holds that of a name alone writes it.
///
/// The cache could keep writers apart itself (`and_compute_with`), at four times the cost of the
/// write: it makes a lock for each.
pub(crate) struct Locks {
    locks: [Mutex<()>; COUNT],
    hasher: RandomState,
}

impl Locks {
    pub(crate) fn new() -> Self {
        Self {
            locks: [const { Mutex::new(()) }; COUNT],
            hasher: RandomState::default(),
        }
    }

    /// Waits until nobody else writes `name`. It must not be held across an await.
    pub(crate) fn lock(&self, name: &Name) -> MutexGuard<'_, ()> {
        let lock = self.hasher.hash_one(name) as usize % COUNT;
        // It guards no data that a panic could have left half done.
        self.locks[lock]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

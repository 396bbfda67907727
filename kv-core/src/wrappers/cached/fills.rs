//! Which local copies may be read and which fills may be kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many keys are dirty by name; beyond them everything is forgotten at once.
const MAX_DIRTY: usize = 10_000;

type Name = (String, String);

/// The fills and writes under way, and the keys whose local copy may be old.
///
/// A write is told before it begins and after its local delete. A fill is told before its inner
/// read and after its local put. Where the two overlap the key is dirty: it is not read locally
/// until a local delete has succeeded while no fill and no write was under way.
#[derive(Debug)]
pub(super) struct Fills {
    epoch: AtomicU64,
    /// A number of [`Watched`].
    watched: AtomicU8,
    /// How many keys are written or dirty.
    bypassed: AtomicUsize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    keys: HashMap<Name, Key>,
    /// How many of them are dirty.
    dirty: usize,
}

/// What is known of the changes that others make to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Watched {
    /// The store has not been asked yet, or whoever listened has ended.
    Unasked = 0,
    /// The store cannot tell.
    Never,
    /// Changes go unseen for now, so no copy is read or kept.
    Deaf,
    /// Each change is told.
    Now,
}

#[derive(Debug, Default)]
struct Key {
    fills: usize,
    writes: usize,
    /// How many writes have ended while the key was known.
    version: u64,
    is_dirty: bool,
}

impl Key {
    const fn is_bypassed(&self) -> bool {
        self.writes > 0 || self.is_dirty
    }
}

impl Fills {
    pub(super) fn new() -> Self {
        Self {
            // A local store that outlives the process must not answer with what it held before.
            epoch: AtomicU64::new(getrandom::u64().unwrap_or_else(|_| fastrand::u64(..))),
            watched: AtomicU8::new(Watched::Unasked as u8),
            bypassed: AtomicUsize::new(0),
            table: Mutex::default(),
        }
    }

    pub(super) fn set_watched(&self, watched: Watched) {
        self.watched.store(watched as u8, Ordering::SeqCst);
    }

    /// Tells whether the caller is the one to ask the store.
    pub(super) fn is_to_ask(&self) -> bool {
        let (unasked, deaf) = (Watched::Unasked as u8, Watched::Deaf as u8);
        self.watched.load(Ordering::Relaxed) == unasked
            && self
                .watched
                .compare_exchange(unasked, deaf, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
    }

    /// Tells whether copies are good as far as others' changes go.
    fn is_informed(&self) -> bool {
        let watched = self.watched.load(Ordering::SeqCst);
        watched == Watched::Now as u8 || watched == Watched::Never as u8
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Makes all local copies misses, and those of fills under way.
    pub(super) fn forget_all(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Tells whether the local copy of `key` may be read.
    pub(super) fn may_read(&self, collection: &str, key: &str) -> bool {
        if !self.is_informed() {
            return false;
        }
        if self.bypassed.load(Ordering::SeqCst) == 0 {
            return true;
        }
        let table = self.lock();
        let name = (collection.to_owned(), key.to_owned());
        !table.keys.get(&name).is_some_and(Key::is_bypassed)
    }

    pub(super) fn begin_fill(&self, collection: &str, key: &str) -> Fill<'_> {
        let name = (collection.to_owned(), key.to_owned());
        let mut table = self.lock();
        let entry = table.keys.entry(name.clone()).or_default();
        entry.fills += 1;
        Fill {
            fills: self,
            epoch: self.epoch(),
            version: entry.version,
            name,
            is_putting: false,
        }
    }

    pub(super) fn begin_write(&self, collection: &str, key: &str) -> Write<'_> {
        let name = (collection.to_owned(), key.to_owned());
        self.change(&name, |entry| entry.writes += 1);
        Write {
            fills: self,
            name,
            is_deleted: false,
        }
    }

    /// Changes a key and keeps the count of bypassed keys and the table's bound.
    fn change<T>(&self, name: &Name, change: impl FnOnce(&mut Key) -> T) -> T {
        let mut table = self.lock();
        let Table { keys, dirty } = &mut *table;
        let entry = keys.entry(name.clone()).or_default();
        let (was, was_dirty) = (entry.is_bypassed(), entry.is_dirty);
        let result = change(entry);
        let (is, is_dirty) = (entry.is_bypassed(), entry.is_dirty);
        if entry.fills == 0 && !is {
            keys.remove(name);
        }
        *dirty = *dirty + usize::from(is_dirty) - usize::from(was_dirty);
        if is && !was {
            self.bypassed.fetch_add(1, Ordering::SeqCst);
        } else if was && !is {
            self.bypassed.fetch_sub(1, Ordering::SeqCst);
        }
        // Fills and writes under way are as many as their callers.
        if *dirty > MAX_DIRTY {
            *dirty = 0;
            self.forget_all();
            keys.retain(|_, key| {
                key.is_dirty = false;
                key.fills > 0 || key.writes > 0
            });
            let written = keys.values().filter(|key| key.writes > 0).count();
            self.bypassed.store(written, Ordering::SeqCst);
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A read of the inner store that may be kept locally.
#[derive(Debug)]
pub(super) struct Fill<'a> {
    fills: &'a Fills,
    pub(super) epoch: u64,
    version: u64,
    name: Name,
    is_putting: bool,
}

impl Fill<'_> {
    /// Tells whether a dirty key can be cleaned by a local delete now, as nobody else is at it.
    pub(super) fn is_to_clean(&self) -> bool {
        let table = self.fills.lock();
        let key = table.keys.get(&self.name);
        key.is_some_and(|key| key.is_dirty && key.fills == 1 && key.writes == 0)
    }

    /// Ends the bypass after a local delete, unless a write or another fill came meanwhile.
    pub(super) fn cleaned(&self) {
        self.fills.change(&self.name, |key| {
            if key.fills == 1 && key.writes == 0 && key.version == self.version {
                key.is_dirty = false;
            }
        });
    }

    /// Tells whether what was read may be put; the put must follow at once.
    pub(super) fn may_put(&mut self) -> bool {
        let table = self.fills.lock();
        let key = table.keys.get(&self.name);
        self.is_putting = key.is_some_and(|key| !key.is_bypassed() && key.version == self.version)
            && self.epoch == self.fills.epoch()
            && self.fills.is_informed();
        self.is_putting
    }

    /// Says that the put has ended. Without it the key becomes dirty.
    pub(super) fn has_put(mut self) {
        let (name, version) = (self.name.clone(), self.version);
        self.fills.change(&name, |key| {
            // Under the lock that the end of a write takes, so that one of the two sees the other.
            key.is_dirty |= key.writes > 0 || key.version != version;
        });
        self.is_putting = false;
    }
}

impl Drop for Fill<'_> {
    fn drop(&mut self) {
        let is_putting = self.is_putting;
        self.fills.change(&self.name, |key| {
            key.fills -= 1;
            key.is_dirty |= is_putting;
        });
    }
}

/// A write of one key. Dropping it ends the write, with the local copy dirty unless it was deleted.
#[derive(Debug)]
pub(super) struct Write<'a> {
    fills: &'a Fills,
    name: Name,
    is_deleted: bool,
}

impl Write<'_> {
    pub(super) fn deleted(&mut self) {
        self.is_deleted = true;
    }

    pub(super) fn key(&self) -> &str {
        &self.name.1
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        let is_deleted = self.is_deleted;
        self.fills.change(&self.name, |key| {
            key.writes -= 1;
            key.version += 1;
            key.is_dirty |= !is_deleted || key.fills > 0;
        });
    }
}

/// Forgets everything when it is dropped: after a write of a whole collection or store.
#[derive(Debug)]
pub(super) struct ForgetAll<'a>(pub(super) &'a Fills);

impl Drop for ForgetAll<'_> {
    fn drop(&mut self) {
        self.0.forget_all();
    }
}

//! [`DiskStoreBuilder`] and the choices it takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kv_core::{Clock, Error, Result, SystemClock};

use crate::DiskStore;
use crate::file;

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// After it has reached the medium. The default.
    #[default]
    Immediate,
    /// Before it has reached the medium, which it does within this time.
    ///
    /// A crash of the process or the machine, or a read or write of the file that fails, loses the
    /// writes of at most this window, the newest ones and without gaps; the store stays
    /// consistent. [`flush`](kv_core::Store::flush) and dropping the last handle close the window,
    /// and `flush` reports once, as [`Error::OutcomeUnknown`], that writes were lost in this
    /// process. Not for a [`shared`](DiskStoreBuilder::shared) store.
    Interval(Duration),
}

/// On which thread reads run, which may wait for the medium.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reads {
    /// In place, inside `tokio::task::block_in_place`, on a multi-thread runtime; on the blocking
    /// pool on a current-thread runtime; in place without a tokio runtime. The default.
    ///
    /// Inside a `LocalSet` on a multi-thread runtime `block_in_place` panics, and nothing tells a
    /// store that it is in one: use [`SpawnBlocking`](Self::SpawnBlocking) there.
    #[default]
    Auto,
    /// On the blocking pool of the tokio runtime, about 20 microseconds a read dearer.
    SpawnBlocking,
}

/// What a store was built with.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) path: PathBuf,
    pub(crate) shared: bool,
    pub(crate) durability: Durability,
    pub(crate) two_phase_commit: bool,
    pub(crate) cache_bytes: usize,
    pub(crate) reads: Reads,
    pub(crate) sweep_interval: Option<Duration>,
    pub(crate) max_value_bytes: u64,
    pub(crate) queue_bytes: usize,
    pub(crate) queue_len: usize,
    pub(crate) free_space_floor: u64,
    pub(crate) verify_on_open: bool,
    pub(crate) clock: Arc<dyn Clock>,
    #[cfg(test)]
    pub(crate) faults: Arc<crate::faults::Faults>,
}

impl Config {
    /// Tells whether writes become durable in the log, before they are in the database.
    ///
    /// Writes of a shared store have to be in the file, where the other processes see them.
    pub(crate) fn logs(&self) -> bool {
        !self.shared && self.durability == Durability::Immediate
    }
}

/// Sets up a [`DiskStore`]. Made by [`DiskStore::builder`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use kv_disk::{DiskStore, Durability};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let cache = DiskStore::builder(folder)
///     .durability(Durability::Interval(Duration::from_millis(50)))
///     .max_value_bytes(1 << 20)
///     .build()?;
/// assert_eq!(cache.path(), folder);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct DiskStoreBuilder {
    path: PathBuf,
    shared: bool,
    durability: Durability,
    two_phase_commit: bool,
    cache_bytes: usize,
    reads: Reads,
    sweep_interval: Duration,
    max_value_bytes: u64,
    queue_bytes: usize,
    queue_len: usize,
    free_space_floor: u64,
    verify_on_open: bool,
    clock: Option<Arc<dyn Clock>>,
    #[cfg(test)]
    faults: Arc<crate::faults::Faults>,
}

impl DiskStoreBuilder {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            shared: false,
            durability: Durability::default(),
            two_phase_commit: false,
            cache_bytes: 64 << 20,
            reads: Reads::default(),
            sweep_interval: Duration::from_secs(60),
            max_value_bytes: 16 << 20,
            queue_bytes: 64 << 20,
            queue_len: 4096,
            free_space_floor: 16 << 20,
            verify_on_open: true,
            clock: None,
            #[cfg(test)]
            faults: Arc::default(),
        }
    }

    /// Lets any number of local processes use the folder at once. Default: one process alone.
    ///
    /// Every process must say so. Each write then takes the file's lock and two syncs of the
    /// database instead of one of a log: about four times the time of an exclusive write. Network
    /// file systems are not supported.
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Sets when a write is acknowledged. Default: [`Durability::Immediate`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets whether each commit is written in two steps with a sync each. Default: off.
    ///
    /// One step is safe against crashes. Two steps also hold against an attacker who chooses what
    /// is stored, knows the file's content, and can crash the machine in the middle of a sync. With a
    /// log only the commits that take over from it are concerned. A shared store always commits in
    /// two steps.
    pub fn two_phase_commit(mut self, enabled: bool) -> Self {
        self.two_phase_commit = enabled;
        self
    }

    /// Sets the memory for cached pages, in bytes. Default: 64 MiB.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Sets on which thread reads run. Default: [`Reads::Auto`].
    pub fn reads(mut self, reads: Reads) -> Self {
        self.reads = reads;
        self
    }

    /// Sets how often the space of expired entries is reclaimed; zero turns it off. Default: 60 s.
    ///
    /// A sweep costs one read when nothing has expired. It is off when a [`clock`](Self::clock) is
    /// set.
    pub fn sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_interval = interval;
        self
    }

    /// Sets the longest value, in bytes. Default: 16 MiB.
    pub fn max_value_bytes(mut self, bytes: u64) -> Self {
        self.max_value_bytes = bytes;
        self
    }

    /// Sets how many bytes of writes may wait in memory. Default: 64 MiB.
    ///
    /// When they do, the next writer waits. A single write that is larger goes alone.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// Sets how many writes may wait in memory, at least 1. Default: 4096.
    pub fn queue_len(mut self, operations: usize) -> Self {
        self.queue_len = operations;
        self
    }

    /// Sets how many bytes of the medium are left free: a put that finds less is answered with
    /// [`Error::Full`]. Zero turns the check off. Default: 16 MiB.
    ///
    /// What is left is room for deletes and sweeps, which take new pages before they give back
    /// old ones.
    pub fn free_space_floor(mut self, bytes: u64) -> Self {
        self.free_space_floor = bytes;
        self
    }

    /// Sets whether opening reads the whole file and compares all checksums. Default: on.
    ///
    /// Takes about 4 ms a megabyte, during which the other processes of a shared store do not write.
    /// Without it a damaged file may be noticed late, or an entry in it missed. Turn it off where
    /// the file is large and opening must be quick; after a crash everything is read all the same.
    pub fn verify_on_open(mut self, enabled: bool) -> Self {
        self.verify_on_open = enabled;
        self
    }

    /// Sets the clock that decides liveness, and turns the periodic sweep off. Default: the
    /// system's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    #[cfg(test)]
    pub(crate) fn faults(mut self, faults: &Arc<crate::faults::Faults>) -> Self {
        self.faults = Arc::clone(faults);
        self
    }

    /// Checks the path and makes the store. Opens and creates nothing: the first operation does,
    /// or [`DiskStore::open`].
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the path is empty, or it or a parent is no folder;
    /// [`Error::Unsupported`] for [`Durability::Interval`] on a shared store.
    pub fn build(self) -> Result<DiskStore> {
        file::check_path(&self.path)?;
        if self.shared && self.durability != Durability::Immediate {
            return Err(Error::Unsupported {
                what: "interval durability while it is shared between processes",
            });
        }
        let sweep = self.clock.is_none() && !self.sweep_interval.is_zero();
        Ok(DiskStore::from_config(Config {
            path: self.path,
            shared: self.shared,
            durability: self.durability,
            two_phase_commit: self.two_phase_commit,
            cache_bytes: self.cache_bytes,
            reads: self.reads,
            sweep_interval: sweep.then_some(self.sweep_interval),
            max_value_bytes: self.max_value_bytes,
            queue_bytes: self.queue_bytes,
            queue_len: self.queue_len.max(1),
            free_space_floor: self.free_space_floor,
            verify_on_open: self.verify_on_open,
            clock: self
                .clock
                .unwrap_or_else(|| Arc::new(SystemClock::default())),
            #[cfg(test)]
            faults: self.faults,
        }))
    }
}

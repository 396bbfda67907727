//! [`MemoryStoreBuilder`]: the settings of a [`MemoryStore`].

use std::sync::Arc;

use kv_core::Clock;

use crate::MemoryStore;

/// Settings of a [`MemoryStore`], made by [`MemoryStore::builder`].
///
/// # Examples
///
/// ```
/// use kv_core::Store;
/// use kv_memory::MemoryStore;
///
/// let store = MemoryStore::builder().capacity(10_000).max_value_bytes(1 << 20).build();
/// assert_eq!(store.info().max_value_bytes, Some(1_048_576));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct MemoryStoreBuilder {
    pub(crate) capacity: Option<u64>,
    pub(crate) max_value_bytes: Option<u64>,
    pub(crate) clock: Option<Arc<dyn Clock>>,
}

impl MemoryStoreBuilder {
    /// Sets how many entries to keep; 0 counts as 1. Default: unbounded.
    ///
    /// Beyond it the entries that were used longest ago go first, also live ones: a store that
    /// must not forget has no capacity. The number is met within a few hundred writes, not at each
    /// of them. An entry just written is not the one to go, unless others write meanwhile.
    pub fn capacity(mut self, entries: u64) -> Self {
        self.capacity = Some(entries.max(1));
        self
    }

    /// Sets the longest value in bytes of JSON text; a longer one is `TooLarge`. Default: no limit.
    pub fn max_value_bytes(mut self, limit: u64) -> Self {
        self.max_value_bytes = Some(limit);
        self
    }

    /// Sets the clock that decides liveness. Default: the system's.
    ///
    /// Under any other clock the store cannot know when time will have passed, so the space of an
    /// expired entry is reclaimed only when it is overwritten, deleted or culled.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Makes the store.
    ///
    /// # Panics
    ///
    /// When the system has no source of randomness.
    #[must_use]
    pub fn build(self) -> MemoryStore {
        MemoryStore::from_builder(self)
    }
}

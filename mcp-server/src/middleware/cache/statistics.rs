//! How often answers were found in the cache.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A method whose answers are cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CachedMethod {
    /// `tools/list`.
    ListTools,
    /// `resources/list`.
    ListResources,
    /// `resources/templates/list`.
    ListResourceTemplates,
    /// `prompts/list`.
    ListPrompts,
    /// `tools/call`.
    CallTool,
    /// `resources/read`.
    ReadResource,
    /// `prompts/get`.
    GetPrompt,
}

impl CachedMethod {
    pub(super) const ALL: [Self; 7] = [
        Self::ListTools,
        Self::ListResources,
        Self::ListResourceTemplates,
        Self::ListPrompts,
        Self::CallTool,
        Self::ReadResource,
        Self::GetPrompt,
    ];

    /// Returns the name in the protocol, as `tools/call`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ListTools => "tools/list",
            Self::ListResources => "resources/list",
            Self::ListResourceTemplates => "resources/templates/list",
            Self::ListPrompts => "prompts/list",
            Self::CallTool => "tools/call",
            Self::ReadResource => "resources/read",
            Self::GetPrompt => "prompts/get",
        }
    }

    /// FastMCP's.
    pub(super) const fn default_ttl(self) -> Duration {
        match self {
            Self::CallTool | Self::ReadResource | Self::GetPrompt => Duration::from_secs(3600),
            _ => Duration::from_secs(300),
        }
    }
}

/// How often answers were found in the cache of this instance, since it began.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CacheStatistics {
    methods: [MethodStatistics; 7],
}

impl CacheStatistics {
    /// Returns how often answers of one method were found.
    #[must_use]
    pub const fn of(&self, method: CachedMethod) -> &MethodStatistics {
        &self.methods[method as usize]
    }
}

/// How often answers of one method were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MethodStatistics {
    /// Answered from the store.
    pub hits: u64,
    /// Those among them whose time was over, while a new answer was made.
    pub stale_hits: u64,
    /// Made, as nothing was found.
    pub misses: u64,
    /// Answered with what an equal call at the same time was answered with.
    pub joined: u64,
    /// Written to the store.
    pub stored: u64,
    /// Not written, as they are too large, an error or for this one request alone.
    pub not_stored: u64,
    /// The store has failed.
    pub errors: u64,
}

/// What is counted of one method.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) hits: AtomicU64,
    pub(super) stale_hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) joined: AtomicU64,
    pub(super) stored: AtomicU64,
    pub(super) not_stored: AtomicU64,
    pub(super) errors: AtomicU64,
}

impl Counters {
    fn read(&self) -> MethodStatistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        MethodStatistics {
            hits: read(&self.hits),
            stale_hits: read(&self.stale_hits),
            misses: read(&self.misses),
            joined: read(&self.joined),
            stored: read(&self.stored),
            not_stored: read(&self.not_stored),
            errors: read(&self.errors),
        }
    }
}

/// Counts one more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What is counted of all methods.
#[derive(Debug, Default)]
pub(super) struct AllCounters([Counters; 7]);

impl AllCounters {
    pub(super) const fn of(&self, method: CachedMethod) -> &Counters {
        &self.0[method as usize]
    }

    pub(super) fn read(&self) -> CacheStatistics {
        let mut statistics = CacheStatistics::default();
        for (read, counters) in statistics.methods.iter_mut().zip(&self.0) {
            *read = counters.read();
        }
        statistics
    }
}

//! [`StatsSnapshot`]: the figures of a [`Stats`](super::Stats) at one moment.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::Operation;

/// What a [`Stats`](super::Stats) has counted so far.
///
/// It is not taken at one instant: an operation that ends meanwhile may be in one figure and not yet
/// in another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatsSnapshot {
    /// A row for each collection and operation that was called, sorted by them.
    pub rows: Vec<OperationStats>,
}

impl StatsSnapshot {
    /// Returns the row of `operation` on `collection`; `None` when there was no such call.
    #[must_use]
    pub fn of(&self, collection: &str, operation: Operation) -> Option<&OperationStats> {
        self.rows
            .iter()
            .find(|row| row.collection == collection && row.operation == operation)
    }
}

/// The figures of one operation on one collection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperationStats {
    /// The collection; empty for the operations on the whole store, and `other` for all collections
    /// past the [limit](super::Stats::with_max_collections).
    pub collection: String,
    /// The operation.
    pub operation: Operation,
    /// The calls, however they ended.
    pub calls: u64,
    /// The keys that were found.
    pub hits: u64,
    /// The keys that were not.
    pub misses: u64,
    /// The errors by the name of their variant: those of calls, and of the single keys of
    /// `get_many`. `Cancelled` are the calls that were dropped, or panicked.
    pub errors: BTreeMap<&'static str, u64>,
    /// How long the calls took.
    pub latency: Latency,
}

impl OperationStats {
    /// Returns the part of the keys that was found, from 0 to 1; `None` when none was looked for.
    #[must_use]
    pub fn hit_rate(&self) -> Option<f64> {
        let keys = self.hits + self.misses;
        (keys > 0).then(|| self.hits as f64 / keys as f64)
    }
}

/// How long calls took: a histogram whose steps double from 128 ns to 68 s, and one for all longer
/// calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Latency {
    /// The time of all calls together.
    pub sum: Duration,
    /// The time of the longest call.
    pub max: Duration,
    pub(super) steps: Vec<u64>,
}

impl Latency {
    /// How many steps there are.
    pub(super) const STEPS: usize = 31;

    /// Returns the step of a time. The last one holds all longer ones too.
    pub(super) const fn step(nanos: u64) -> usize {
        let step = (u64::BITS - (nanos.saturating_sub(1) >> 7).leading_zeros()) as usize;
        if step < Self::STEPS {
            step
        } else {
            Self::STEPS - 1
        }
    }

    /// Returns the mean; `None` when there was no call.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        let calls = self.steps.iter().sum::<u64>();
        let nanos = self.sum.as_nanos().checked_div(u128::from(calls))?;
        Some(Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(u64::MAX),
        ))
    }

    /// Returns a time that the part `q` of the calls, from 0 to 1, did not exceed: 0.99 asks for the
    /// 99th percentile. `None` when there was no call.
    ///
    /// For times between 128 ns and 68 s it is less than twice too long. For shorter ones it is at
    /// most 128 ns, for longer ones that of the longest call.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let calls = self.steps.iter().sum::<u64>();
        let rank = (q.clamp(0.0, 1.0) * calls as f64).ceil().max(1.0);
        let mut below = 0;
        let step = self.steps.iter().position(|calls| {
            below += calls;
            below as f64 >= rank
        })?;
        let last = step == Self::STEPS - 1;
        let end = Duration::from_nanos(128 << step);
        Some(if last { self.max } else { end.min(self.max) })
    }
}

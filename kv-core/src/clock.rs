//! Time as stores see it: [`Timestamp`], the [`Clock`] that decides liveness, and a clock for tests.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Error, Result};

/// A point in time: whole microseconds since 1970-01-01T00:00:00Z.
///
/// Microseconds are what Python's `datetime` holds, so a time survives the trip through a record
/// that both languages read. `Display` prints RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch, 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);

    /// The earliest time a record can hold: 0001-01-01T00:00:00Z, Python's `datetime.min`.
    pub const MIN: Self = Self(-62_135_596_800_000_000);

    /// The last time a record can hold: 9999-12-31T23:59:59.999999Z, Python's `datetime.max`.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// Makes a time from microseconds since the Unix epoch, held inside [`MIN`](Self::MIN) and
    /// [`MAX`](Self::MAX).
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    /// Returns the microseconds since the Unix epoch; negative before it.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Adds `duration`, rounded up to a whole microsecond; `None` past [`MAX`](Self::MAX).
    #[must_use]
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        // Not by `as_nanos`: a division of 128 bits costs more than all the rest.
        let seconds = i64::try_from(duration.as_secs()).ok()?;
        let micros = seconds.checked_mul(1_000_000)?;
        let rest = i64::from(duration.subsec_nanos().div_ceil(1000));
        let sum = self.0.checked_add(micros)?.checked_add(rest)?;
        (sum <= Self::MAX.0).then_some(Self(sum))
    }

    /// Returns how long `self` lies after `earlier`; zero when it does not.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        let micros = self.0.saturating_sub(earlier.0);
        if micros > 0 {
            Duration::from_micros(micros.unsigned_abs())
        } else {
            Duration::ZERO
        }
    }

    /// Returns the date and time of day in UTC.
    ///
    /// Civil, because `jiff::Timestamp` ends a day before the year 9999 does.
    pub(crate) fn civil(self) -> jiff::civil::DateTime {
        jiff::civil::date(1970, 1, 1)
            .at(0, 0, 0, 0)
            .saturating_add(jiff::SignedDuration::from_micros(self.0))
    }

    /// Adds a TTL to this time.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidTtl`] when `ttl` is zero or the sum lies past [`MAX`](Self::MAX).
    pub fn plus_ttl(self, ttl: Duration) -> Result<Self> {
        if ttl.is_zero() {
            return Err(Error::InvalidTtl {
                reason: "a TTL must be longer than zero",
            });
        }
        self.checked_add(ttl).ok_or(Error::InvalidTtl {
            reason: "the expiry would lie past the year 9999",
        })
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let micros = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => {
                i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros)
            }
        };
        Self::from_micros(micros)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}Z", self.civil())
    }
}

/// The clock of a store. It alone decides whether an entry is live.
///
/// Give a store a [`ManualClock`] to test expiry without sleeping.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the present time.
    fn now(&self) -> Timestamp;
}

/// The system's wall clock, the default of every backend.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

/// A clock that moves only when told to, for tests.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use kv_core::{Clock, ManualClock, Timestamp};
///
/// let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.now().to_string(), "1970-01-01T00:01:30Z");
/// ```
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Makes a clock that shows `now`.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_micros()))
    }

    /// Makes a clock that shows the system's present time.
    #[must_use]
    pub fn starting_now() -> Self {
        Self::new(SystemClock.now())
    }

    /// Sets the clock to `now`, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_micros(), Ordering::SeqCst);
    }

    /// Moves the clock forward, at most to [`Timestamp::MAX`].
    pub fn advance(&self, by: Duration) {
        let later = |micros| {
            let time = Timestamp::from_micros(micros).checked_add(by);
            Some(time.unwrap_or(Timestamp::MAX).as_micros())
        };
        // In one step, so that of two who advance it at the same time neither is lost. It always
        // succeeds, as `later` is never `None`.
        let _ = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, later);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_prints_as_the_last_microsecond_of_year_9999() {
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn min_prints_as_the_first_second_of_year_1() {
        assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00Z");
    }

    #[test]
    fn a_ttl_of_zero_is_invalid() {
        let error = Timestamp::UNIX_EPOCH.plus_ttl(Duration::ZERO).unwrap_err();
        assert!(matches!(error, Error::InvalidTtl { .. }));
    }

    #[test]
    fn a_ttl_past_year_9999_is_invalid() {
        let error = Timestamp::UNIX_EPOCH.plus_ttl(Duration::MAX).unwrap_err();
        assert!(matches!(error, Error::InvalidTtl { .. }));
    }

    #[test]
    fn a_ttl_below_a_microsecond_rounds_up() {
        let expiry = Timestamp::UNIX_EPOCH
            .plus_ttl(Duration::from_nanos(1))
            .unwrap();
        assert_eq!(expiry.as_micros(), 1);
    }

    #[test]
    fn no_advance_of_a_manual_clock_is_lost() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| clock.advance(Duration::from_micros(1))));
            }
        });
        assert_eq!(clock.now().as_micros(), 40_000);
    }

    #[test]
    fn a_manual_clock_stops_at_the_last_time() {
        let clock = ManualClock::starting_now();
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}

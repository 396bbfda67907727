//! [`Limit`]: how much is allowed, and [`Usage`]: how much of it one client has used.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Into how many slots a window is divided. Each window of full length spans so many and a part of
/// one more, which counts as a whole: never is more allowed than the limit, and at times 2 % less.
const SLOTS: usize = 50;

/// How much is allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    /// A bucket of `burst` tokens, into which `rate` flow each second.
    Bucket { rate: f64, burst: f64 },
    /// So many requests in each window of this length, wherever it begins.
    Window { requests: u32, length: Duration },
}

/// How much one client has used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Usage {
    /// The tokens left, at a time in microseconds.
    Bucket { tokens: f64, at: i64 },
    /// The requests of each slot, of which the newest is the last.
    Window { newest: i64, slots: Vec<u32> },
}

impl Limit {
    /// Takes `count` requests at the time `now`, in microseconds, or tells how long to wait until so
    /// many may be allowed.
    ///
    /// A time before the last one counts as the last one.
    pub(super) fn take(
        self,
        usage: &mut Option<Usage>,
        count: u32,
        now: i64,
    ) -> Result<(), Duration> {
        match self {
            Self::Bucket { rate, burst } => take_tokens(usage, rate, burst, count, now),
            Self::Window { requests, length } => {
                take_places(usage, requests, slot_micros(length), count, now)
            }
        }
    }

    /// How many requests one instance may take for itself at once: half a percent of the limit,
    /// or one.
    pub(super) fn lease(self) -> u32 {
        match self {
            Self::Bucket { burst, .. } if burst < f64::from(u32::MAX) => burst as u32 / 200,
            Self::Bucket { .. } => u32::MAX / 200,
            Self::Window { requests, .. } => requests / 200,
        }
        .max(1)
    }

    /// After how long nothing is known of a client that has made no request.
    pub(super) fn memory(self) -> Duration {
        match self {
            Self::Bucket { rate, burst } => {
                Duration::try_from_secs_f64(burst / rate).unwrap_or(Duration::MAX)
            }
            Self::Window { length, .. } => length.saturating_add(length / 10),
        }
        .clamp(
            Duration::from_secs(1),
            Duration::from_secs(366 * 24 * 60 * 60),
        )
    }

    /// How long what an instance has taken for itself is good for.
    pub(super) fn lease_time(self) -> Duration {
        match self {
            Self::Bucket { .. } => Duration::from_secs(1),
            Self::Window { length, .. } => length / 50,
        }
    }
}

fn take_tokens(
    usage: &mut Option<Usage>,
    rate: f64,
    burst: f64,
    count: u32,
    now: i64,
) -> Result<(), Duration> {
    let (tokens, at) = match usage {
        Some(Usage::Bucket { tokens, at }) => (*tokens, *at),
        _ => (burst, now),
    };
    let now = now.max(at);
    let left = burst.min(tokens + seconds(now - at) * rate) - f64::from(count);
    if left < 0.0 {
        return Err(Duration::try_from_secs_f64(-left / rate).unwrap_or(Duration::MAX));
    }
    *usage = Some(Usage::Bucket {
        tokens: left,
        at: now,
    });
    Ok(())
}

fn take_places(
    usage: &mut Option<Usage>,
    requests: u32,
    slot: i64,
    count: u32,
    now: i64,
) -> Result<(), Duration> {
    let (newest, mut slots) = match usage {
        Some(Usage::Window { newest, slots }) if slots.len() == SLOTS + 1 => {
            (*newest, slots.clone())
        }
        _ => (now.div_euclid(slot), vec![0; SLOTS + 1]),
    };
    let current = now.div_euclid(slot).max(newest);
    let passed = usize::try_from(current.saturating_sub(newest)).unwrap_or(usize::MAX);
    let passed = passed.min(SLOTS + 1);
    slots.rotate_left(passed % (SLOTS + 1));
    slots[SLOTS + 1 - passed..].fill(0);
    let used: u64 = slots.iter().copied().map(u64::from).sum();
    let mut excess = (used + u64::from(count)).saturating_sub(requests.into());
    if excess == 0 {
        slots[SLOTS] = slots[SLOTS].saturating_add(count);
        *usage = Some(Usage::Window {
            newest: current,
            slots,
        });
        return Ok(());
    }
    // The oldest slots leave first.
    let mut leaving = 0;
    for requests in slots {
        if excess == 0 {
            break;
        }
        excess = excess.saturating_sub(requests.into());
        leaving += 1;
    }
    let free = current.saturating_add(leaving).saturating_mul(slot);
    let wait = u64::try_from(free.saturating_sub(now)).unwrap_or(0);
    Err(Duration::from_micros(wait))
}

fn slot_micros(length: Duration) -> i64 {
    let micros = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
    (micros / 50).max(1)
}

fn seconds(micros: i64) -> f64 {
    Duration::from_micros(micros.try_into().unwrap_or(0)).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000;
    const BUCKET: Limit = Limit::Bucket {
        rate: 10.0,
        burst: 20.0,
    };
    const WINDOW: Limit = Limit::Window {
        requests: 100,
        length: Duration::from_secs(60),
    };

    /// Returns when the requests at these times are allowed.
    fn allowed(limit: Limit, times: impl IntoIterator<Item = i64>) -> Vec<i64> {
        let mut usage = None;
        let is_allowed = |now: &i64| limit.take(&mut usage, 1, *now).is_ok();
        times.into_iter().filter(is_allowed).collect()
    }

    #[test]
    fn a_bucket_allows_a_burst_and_then_its_rate() {
        let busy = allowed(BUCKET, (0..100 * SECOND).step_by(10_000));
        assert_eq!(busy.iter().filter(|at| **at < 10_000).count(), 1);
        assert_eq!(busy.len(), 20 + 999);
    }

    #[test]
    fn a_bucket_tells_when_the_next_token_is_there() {
        let mut usage = None;
        for _ in 0..20 {
            BUCKET.take(&mut usage, 1, 0).unwrap();
        }
        let wait = BUCKET.take(&mut usage, 1, 0).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        BUCKET.take(&mut usage, 1, 99_000).unwrap_err();
        BUCKET.take(&mut usage, 1, 100_000).unwrap();
    }

    #[test]
    fn a_window_tells_when_a_place_is_free() {
        let mut usage = None;
        for _ in 0..100 {
            WINDOW.take(&mut usage, 1, 1).unwrap();
        }
        let wait = WINDOW.take(&mut usage, 1, 1).unwrap_err();
        let free = 1 + i64::try_from(wait.as_micros()).unwrap();
        WINDOW.take(&mut usage, 1, free - 2).unwrap_err();
        WINDOW.take(&mut usage, 1, free).unwrap();
        assert!(wait <= Duration::from_millis(61_200), "{wait:?}");
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        for limit in [BUCKET, WINDOW] {
            let mut usage = None;
            while limit.take(&mut usage, 1, 100 * SECOND).is_ok() {}
            for now in [0, 50 * SECOND, 100 * SECOND] {
                limit.take(&mut usage, 1, now).unwrap_err();
            }
        }
    }

    #[test]
    fn usage_of_another_limit_or_of_nonsense_counts_as_none() {
        let strange = Usage::Window {
            newest: 0,
            slots: vec![7],
        };
        WINDOW.take(&mut Some(strange.clone()), 1, 0).unwrap();
        BUCKET.take(&mut Some(strange), 1, 0).unwrap();
    }

    #[test]
    fn an_instance_takes_at_most_a_hundredth_for_itself() {
        let window = |requests| Limit::Window {
            requests,
            length: Duration::from_secs(60),
        };
        for (requests, lease) in [(1, 1), (99, 1), (100, 1), (400, 2), (100_000, 500)] {
            assert_eq!(window(requests).lease(), lease);
        }
        assert_eq!(BUCKET.lease(), 1);
    }

    proptest! {
        #[test]
        fn no_window_has_more_than_the_limit_and_a_busy_one_98_percent(
            steps in prop::collection::vec(1..3_000_000_i64, 1..400),
        ) {
            let mut now = 0;
            let times: Vec<_> = steps.iter().flat_map(|step| {
                now += step;
                std::iter::repeat_n(now, 8)
            }).collect();
            let allowed = allowed(WINDOW, times);
            for (n, from) in allowed.iter().enumerate() {
                let within = allowed[n..].iter().take_while(|at| **at < from + 60 * SECOND);
                prop_assert!(within.count() <= 100);
            }
        }
    }
}

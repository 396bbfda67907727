//! [`RateLimiting`]: so many requests of each client, and no more.

mod limit;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kv_core::{Store, StoreExt as _};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use rmcp::ErrorData;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use self::limit::{Limit, Usage};
use super::params::Answer;
use super::{CallError, Message, Middleware, Next};
use crate::hash::sha256_hex;
use crate::types::ErrorCode;

/// The error code of a request that is one too many.
const RATE_LIMITED: ErrorCode = ErrorCode(-32000);

/// Where shared limits are kept.
const COLLECTION: &str = "mcp_rate_limits";

/// Of how many clients something is known, at most.
const MAX_CLIENTS: u64 = 100_000;

/// How long the store may take.
const PATIENCE: Duration = Duration::from_secs(1);

type Key = Arc<dyn Fn(&Message) -> String + Send + Sync>;

/// Refuses the requests of a client that makes too many.
///
/// A refused request gets the JSON-RPC error -32000, whose data say after how many milliseconds
/// another try may do (`retryAfterMs`). Notifications are not counted.
///
/// # Defaults
///
/// Each caller has a limit of its own: an authenticated one as the same on all its connections, any
/// other by its session; all that are anonymous and without a session are one. The limit is that of
/// this instance of the server alone, unless it is [`shared`](Self::shared).
///
/// Of the clients that were heard of last, 100,000 are known; the memory in use is bounded by that.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use mcp_server::Server;
/// use mcp_server::middleware::RateLimiting;
///
/// let server = Server::builder("Busy")
///     // 10 a second, 20 at once.
///     .middleware(RateLimiting::per_second(10.0))
///     // 1,000 an hour on all instances together.
///     .middleware(RateLimiting::per_window(1000, Duration::from_secs(3600)).shared("hourly"))
///     .build()?;
/// # Ok::<_, mcp_server::Error>(())
/// ```
pub struct RateLimiting {
    limit: Limit,
    key: Key,
    shared: Option<Shared>,
    begun: Instant,
    clients: Cache<String, Arc<Mutex<Client>>>,
}

/// How instances share a limit.
struct Shared {
    name: String,
    /// The server's own when `None`.
    store: Option<Arc<dyn Store>>,
}

impl Shared {
    fn new(name: String, store: Option<Arc<dyn Store>>) -> Self {
        assert!(
            (1..=200).contains(&name.len()),
            "a shared limit needs a name of 1 to 200 bytes"
        );
        Self { name, store }
    }
}

/// What is known of one client here.
#[derive(Default)]
struct Client {
    usage: Option<Usage>,
    /// What is left of what was taken from the store, and until when it is good.
    lease: Option<(u32, Instant)>,
    /// The store has said that there is nothing until then.
    refused_until: Option<Instant>,
}

impl RateLimiting {
    /// Allows so many requests a second, and twice as many at once, as a token bucket.
    ///
    /// # Panics
    ///
    /// When `rate` is not a number greater than 0.
    #[must_use]
    pub fn per_second(rate: f64) -> Self {
        assert!(
            rate > 0.0 && rate.is_finite(),
            "a rate of {rate} allows nothing"
        );
        let burst = (rate * 2.0).max(1.0);
        Self::new(Limit::Bucket { rate, burst })
    }

    /// Allows so many requests in any window of this length: never more, and 2 % less at times, as
    /// the window moves in steps of a fiftieth.
    ///
    /// # Panics
    ///
    /// When one of them is 0.
    #[must_use]
    pub fn per_window(requests: u32, length: Duration) -> Self {
        assert!(
            requests > 0 && !length.is_zero(),
            "a window of nothing allows nothing"
        );
        Self::new(Limit::Window { requests, length })
    }

    fn new(limit: Limit) -> Self {
        Self {
            limit,
            key: Arc::new(|message| message.cx().caller_key()),
            shared: None,
            begun: Instant::now(),
            clients: Cache::builder()
                .max_capacity(MAX_CLIENTS)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_idle(limit.memory())
                .build(),
        }
    }

    /// Sets how many requests are allowed at once by [`per_second`](Self::per_second). Default:
    /// twice the rate, at least 1.
    ///
    /// # Panics
    ///
    /// When it is 0.
    #[must_use]
    pub fn burst(mut self, requests: u32) -> Self {
        assert!(requests > 0, "a burst of 0 allows nothing");
        if let Limit::Bucket { burst, .. } = &mut self.limit {
            *burst = requests.into();
        }
        self
    }

    /// Has one limit for all clients together. Default: each has its own.
    #[must_use]
    pub fn global(self) -> Self {
        self.by(|_message| "global".to_owned())
    }

    /// Sets what tells clients apart: those with the same key share one limit. Default: the caller.
    #[must_use]
    pub fn by(mut self, key: impl Fn(&Message) -> String + Send + Sync + 'static) -> Self {
        self.key = Arc::new(key);
        self
    }

    /// Shares the limit with all instances that have one of this name in the same store, which is the
    /// server's. Default: it is that of this instance.
    ///
    /// An instance asks the store for each request, or, of a limit of 400 and more, for half a
    /// percent of it at once, so that the store is asked for one in so many. While the
    /// store does not answer within a second, the limit is that of each instance. The clocks of
    /// instances must agree, to a small part of the window or to a second.
    ///
    /// # Panics
    ///
    /// When the name is empty or has more than 200 bytes.
    #[must_use]
    pub fn shared(mut self, name: impl Into<String>) -> Self {
        self.shared = Some(Shared::new(name.into(), None));
        self
    }

    /// Shares the limit, as [`shared`](Self::shared), in a store of its own.
    ///
    /// # Panics
    ///
    /// As there.
    #[must_use]
    pub fn storage(mut self, name: impl Into<String>, store: impl Store) -> Self {
        self.shared = Some(Shared::new(name.into(), Some(Arc::new(store))));
        self
    }

    /// Takes one request, or tells how long to wait.
    async fn take(&self, message: &Message) -> Result<(), Duration> {
        let key = (self.key)(message);
        let client = self.clients.get_with_by_ref(key.as_str(), Arc::default);
        let mut client = client.lock().await;
        let now = Instant::now();
        if let Some(shared) = &self.shared {
            if let Some(answer) = client.remembered(now) {
                return answer;
            }
            match self.ask(shared, &key, message).await {
                Ok(Ok(granted)) => {
                    client.lease = Some((granted - 1, now + self.limit.lease_time()));
                    return Ok(());
                }
                Ok(Err(wait)) => {
                    client.refused_until = Some(now + wait);
                    return Err(wait);
                }
                Err(error) => {
                    tracing::warn!(%error, "a shared rate limit holds for this instance alone");
                }
            }
        }
        let now = now.saturating_duration_since(self.begun).as_micros();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        self.limit.take(&mut client.usage, 1, now)
    }

    /// Takes requests from the store, and returns how many.
    async fn ask(
        &self,
        shared: &Shared,
        key: &str,
        message: &Message,
    ) -> kv_core::Result<Result<u32, Duration>> {
        let store = shared.store.as_ref().unwrap_or(message.cx().store());
        let key = format!("{}:{}", shared.name, sha256_hex(key));
        let (limit, lease) = (self.limit, self.limit.lease());
        let now = store.clock().now().as_micros();
        let mut taken = Err(Duration::ZERO);
        let take = |mut usage: Option<Usage>| {
            taken = limit.take(&mut usage, lease, now).map(|()| lease);
            if taken.is_err() && lease > 1 {
                taken = limit.take(&mut usage, 1, now).map(|()| 1);
            }
            usage.filter(|_| taken.is_ok())
        };
        let asking = store.update(COLLECTION, &key, Some(limit.memory()), take);
        match timeout(PATIENCE, asking).await {
            Ok(asked) => asked.map(drop)?,
            Err(_elapsed) => return Err(kv_core::Error::Timeout { after: PATIENCE }),
        }
        Ok(taken)
    }
}

impl Client {
    /// Answers without the store, if that can be done.
    fn remembered(&mut self, now: Instant) -> Option<Result<(), Duration>> {
        if let Some(until) = self.refused_until.filter(|until| *until > now) {
            return Some(Err(until - now));
        }
        let (left, _) = self
            .lease
            .as_mut()
            .filter(|(left, until)| *left > 0 && *until > now)?;
        *left -= 1;
        Some(Ok(()))
    }
}

impl Middleware for RateLimiting {
    async fn on_request(&self, message: Message, next: Next) -> Result<Answer, CallError> {
        match self.take(&message).await {
            Ok(()) => next.run(message).await,
            Err(wait) => {
                let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
                let text = format!("too many requests; try again in {wait} ms");
                let data = json!({ "retryAfterMs": wait });
                Err(ErrorData::new(RATE_LIMITED, text, Some(data)).into())
            }
        }
    }
}

impl fmt::Debug for RateLimiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.shared.as_ref().map(|shared| &shared.name);
        f.debug_struct("RateLimiting")
            .field("limit", &self.limit)
            .field("shared", &shared)
            .finish_non_exhaustive()
    }
}

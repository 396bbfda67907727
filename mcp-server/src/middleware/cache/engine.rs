//! [`Cache`]: what is known of the answers in the store, and of the calls under way.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use kv_core::{Entry, Error as StoreError, PutMode, Store, StoreExt as _, Timestamp, Value};
use moka::sync::Cache as Local;
use serde::{Deserialize, Serialize};
use tokio::time::{interval, sleep};

use super::CachedMethod;
use super::cacheable::Cacheable;
use super::flight::{Flights, Lead, Outcome, Outliving, Role, outcome};
use super::invalidation::Invalidations;
use super::key::Key;
use super::statistics::{AllCounters, CacheStatistics, Counters, count};
use crate::error::chain;
use crate::middleware::{CallError, Message, Next};
use crate::server::{Components, Event, RegisteredTool};
use crate::version::Wanted;
use crate::{Context, Error, Result, ServerHandle};

/// The collection of answers.
const ANSWERS: &str = "mcp_cache";

/// That of the instances that make one.
const LEASES: &str = "mcp_cache_leases";

/// Where the server's store has what was taken out: the collection and the key.
const INVALIDATED: (&str, &str) = ("mcp_server", "cache_invalidated");

/// How long an instance that makes an answer is waited for without a sign of life, and how often it
/// gives one.
const LEASE: Duration = Duration::from_secs(10);
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);

/// How often an instance that waits for another looks: at first, and after a while.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_millis(250);

/// For how long it is known that the answers to a call are for each request alone.
const ALONE: Duration = Duration::from_secs(60);

/// Of how many calls that is known.
const MAX_ALONE: u64 = 10_000;

type Partition = Arc<dyn Fn(&Context) -> String + Send + Sync>;

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) max_item_bytes: usize,
    /// How long an answer is given after its time.
    pub(super) stale: Duration,
    pub(super) partition: Option<Partition>,
    /// The server's own when `None`.
    pub(super) store: Option<Arc<dyn Store>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_item_bytes: 1 << 20,
            stale: Duration::ZERO,
            partition: None,
            store: None,
        }
    }
}

/// How one message is cached.
pub(super) struct Plan {
    pub(super) method: CachedMethod,
    pub(super) ttl: Duration,
    /// What else tells its answer from others.
    pub(super) of: String,
    pub(super) subject: Subject,
}

/// What an answer is about, by which it can be taken out.
pub(super) enum Subject {
    Tool(String, Arc<RegisteredTool>),
    Resource(String),
    Other,
}

impl Plan {
    pub(super) fn new(method: CachedMethod, ttl: Duration, wanted: Option<Wanted>) -> Self {
        Self {
            method,
            ttl,
            of: wanted.map(|wanted| wanted.to_string()).unwrap_or_default(),
            subject: Subject::Other,
        }
    }

    /// Returns the labels by which the answer to `cx` can be taken out.
    fn labels(&self, cx: &Context) -> Vec<String> {
        let mut labels = vec![format!("caller:{}", cx.caller().segment())];
        match &self.subject {
            Subject::Tool(name, tool) => {
                labels.push(format!("tool:{name}"));
                labels.extend(tool.tags.iter().map(|tag| format!("tag:{tag}")));
            }
            Subject::Resource(uri) => labels.push(format!("uri:{uri}")),
            Subject::Other => {}
        }
        labels
    }
}

/// What is known of the answers in the store, and of the calls under way.
pub(crate) struct Cache {
    server: OnceLock<Weak<Components>>,
    /// `None` until it was read.
    invalidations: ArcSwapOption<Invalidations>,
    flights: Arc<Flights>,
    /// The calls whose answers are for each request alone.
    alone: Local<String, ()>,
    counters: AllCounters,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            server: OnceLock::new(),
            invalidations: ArcSwapOption::empty(),
            flights: Arc::default(),
            alone: Local::builder()
                .max_capacity(MAX_ALONE)
                .time_to_live(ALONE)
                .build(),
            counters: AllCounters::default(),
        }
    }
}

/// An answer, as the store has it.
#[derive(Serialize, Deserialize)]
struct Stored<R> {
    answer: R,
    /// Of which record `count` is.
    epoch: String,
    /// How often something had been taken out when it was begun.
    count: u64,
    /// Until when it is good, in microseconds since 1970.
    until: i64,
}

/// What was found in the store.
struct Found<A> {
    answer: A,
    /// How long it is still good; `None` when its time is over.
    left: Option<Duration>,
}

/// A message on its way through the cache.
struct Passage<T: Cacheable> {
    cache: Arc<Cache>,
    settings: Settings,
    store: Arc<dyn Store>,
    plan: Plan,
    key: String,
    message: Message<T>,
    next: Next,
    /// What had been taken out when it arrived.
    begun: Arc<Invalidations>,
}

impl Cache {
    /// Takes note of the server whose answers these are.
    pub(super) fn belong_to(self: &Arc<Self>, server: &ServerHandle) {
        let components = server.shared_components();
        if self.server.set(Arc::downgrade(components)).is_ok() {
            components.add_cache(self);
        }
    }

    pub(super) fn components(&self) -> Option<Arc<Components>> {
        self.server.get()?.upgrade()
    }

    pub(super) fn statistics(&self) -> CacheStatistics {
        self.counters.read()
    }

    /// Takes answers out, on all instances.
    pub(crate) async fn invalidate(
        &self,
        components: &Components,
        label: Option<String>,
    ) -> Result<()> {
        let store = components.store().await.ok_or(Error::NotStarted)?;
        let add = |taken: Option<Invalidations>| {
            let mut taken = taken.unwrap_or_else(Invalidations::begin);
            taken.add(label.as_deref());
            Some(taken)
        };
        let (collection, key) = INVALIDATED;
        let taken = store.update(collection, key, None, add).await?;
        self.know(taken.map(Arc::new));
        components.bus().tell(Event::CacheInvalidated);
        Ok(())
    }

    /// Learns what other instances have taken out.
    pub(crate) async fn follow(&self, store: &dyn Store) {
        if self.invalidations.load().is_none() {
            // It is read when it is needed.
            return;
        }
        let (collection, key) = INVALIDATED;
        match store.get_fresh(collection, key).await {
            Ok(Some(entry)) => match entry.value.decode() {
                Ok(taken) => self.know(Some(Arc::new(taken))),
                Err(error) => tracing::warn!(error = chain(&error), "the cache is of no use"),
            },
            Ok(None) => self.invalidations.store(None),
            Err(error) => {
                // It is read again when it is needed.
                self.invalidations.store(None);
                tracing::warn!(error = chain(&error), "the cache is of no use for now");
            }
        }
    }

    /// Takes over what was taken out, unless more is known already.
    fn know(&self, taken: Option<Arc<Invalidations>>) {
        let Some(taken) = taken else { return };
        self.invalidations.rcu(|known| match known {
            Some(known) if known.epoch == taken.epoch && known.count > taken.count => {
                Some(Arc::clone(known))
            }
            _ => Some(Arc::clone(&taken)),
        });
    }

    async fn known(&self, store: &dyn Store) -> kv_core::Result<Arc<Invalidations>> {
        if let Some(known) = self.invalidations.load_full() {
            return Ok(known);
        }
        let (collection, key) = INVALIDATED;
        let begin = |taken: Option<Invalidations>| Some(taken.unwrap_or_else(Invalidations::begin));
        let taken = store.update(collection, key, None, begin).await?;
        let taken = Arc::new(taken.unwrap_or_default());
        self.know(Some(Arc::clone(&taken)));
        Ok(taken)
    }

    /// Tells whether an answer that was begun then is still good.
    fn allows(&self, epoch: &str, count: u64, labels: impl FnOnce() -> Vec<String>) -> bool {
        let known = self.invalidations.load();
        let known = known.as_deref();
        known.is_some_and(|known| known.epoch == epoch && known.allow(count, labels))
    }

    /// Answers a message from the store, or passes it on and keeps what answers it.
    pub(super) async fn answer<T: Cacheable>(
        self: &Arc<Self>,
        settings: &Settings,
        plan: Plan,
        message: Message<T>,
        next: Next,
    ) -> std::result::Result<T::Answer, CallError> {
        self.belong_to(message.cx().server());
        let begun = match self.known(&**message.cx().store()).await {
            Ok(begun) => begun,
            Err(error) => {
                tracing::warn!(error = chain(&error), "the cache is of no use for now");
                count(&self.counters.of(plan.method).errors);
                return next.run(message).await;
            }
        };
        let key = key(settings, &plan, &message);
        if self.alone.contains_key(&key) {
            count(&self.counters.of(plan.method).misses);
            return next.run(message).await;
        }
        let store = settings.store.as_ref().unwrap_or(message.cx().store());
        let passage = Passage {
            cache: Arc::clone(self),
            settings: settings.clone(),
            store: Arc::clone(store),
            plan,
            key,
            message,
            next,
            begun,
        };
        passage.run().await
    }
}

/// Returns the key of the answers to a message.
fn key<T: Cacheable>(settings: &Settings, plan: &Plan, message: &Message<T>) -> String {
    let cx = message.cx();
    let (name, version) = cx.server().components().identity();
    let mut key = Key::new();
    key.text(name);
    key.text(version);
    key.text(plan.method.as_str());
    key.text(&plan.of);
    match &settings.partition {
        Some(partition) => key.text(&partition(cx)),
        None => key.text(&cx.partition()),
    }
    message.params.identify(&mut key);
    key.end()
}

impl<T: Cacheable> Passage<T> {
    async fn run(self) -> std::result::Result<T::Answer, CallError> {
        if let Some(found) = self.find().await {
            count(&self.counters().hits);
            if found.left.is_none() {
                count(&self.counters().stale_hits);
                return Ok(self.refresh(found.answer));
            }
            return Ok(self.hinted(found.answer, found.left));
        }
        loop {
            match self.join() {
                Role::Leader(lead) => return Outliving::new(self.lead(lead)).await,
                Role::Follower(flight) => match outcome(flight).await {
                    Some(Outcome::Answer(answer)) => {
                        count(&self.counters().joined);
                        let answer = T::answer(*answer);
                        return match answer {
                            Some(answer) => Ok(self.hinted(answer, Some(self.plan.ttl))),
                            None => self.next.run(self.message).await,
                        };
                    }
                    Some(Outcome::Error(error)) => {
                        count(&self.counters().joined);
                        return Err(error.again());
                    }
                    Some(Outcome::Alone) => {
                        count(&self.counters().misses);
                        return self.next.run(self.message).await;
                    }
                    // Who has made it is gone.
                    None => {}
                },
            }
        }
    }

    /// Tells whether what was begun then is still good.
    fn allows(&self, epoch: &str, count: u64) -> bool {
        let labels = || self.plan.labels(self.message.cx());
        self.cache.allows(epoch, count, labels)
    }

    fn counters(&self) -> &Counters {
        self.cache.counters.of(self.plan.method)
    }

    fn join(&self) -> Role {
        let is_good = |count| self.allows(&self.begun.epoch, count);
        self.cache
            .flights
            .join(&self.key, self.begun.count, is_good)
    }

    /// Returns the answer in the store, if it is still good.
    async fn find(&self) -> Option<Found<T::Answer>> {
        match self.look().await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "an answer cannot be read from the cache"
                );
                count(&self.counters().errors);
                None
            }
        }
    }

    async fn look(&self) -> kv_core::Result<Option<Found<T::Answer>>> {
        let Some(entry) = self.store.get(ANSWERS, &self.key).await? else {
            return Ok(None);
        };
        let stored: Stored<T::Result> = entry.value.decode()?;
        if !self.allows(&stored.epoch, stored.count) {
            return Ok(None);
        }
        let until = Timestamp::from_micros(stored.until);
        let left = until.saturating_since(self.store.clock().now());
        Ok(Some(Found {
            answer: T::answer_with(stored.answer),
            left: (!left.is_zero()).then_some(left),
        }))
    }

    /// Tells the client, if it is one that is told such, for how long it may keep the answer.
    fn hinted(&self, mut answer: T::Answer, left: Option<Duration>) -> T::Answer {
        let left = left.filter(|_| self.message.cx().is_stateless());
        let ttl_ms = left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
        T::hint(&mut answer, ttl_ms);
        answer
    }

    /// Has a new answer made in the background, and returns the one that there is.
    fn refresh(mut self, answer: T::Answer) -> T::Answer {
        let answer = self.hinted(answer, Some(Duration::ZERO));
        if !self.cache.flights.is_under_way(&self.key)
            && let Role::Leader(lead) = self.join()
        {
            self.message = self.message.detached();
            tokio::spawn(self.lead(lead));
        }
        answer
    }

    /// Makes an answer, for all who wait for it.
    async fn lead(mut self, lead: Lead) -> std::result::Result<T::Answer, CallError> {
        let _lease = match self.lease().await {
            Turn::Made(answer) => {
                count(&self.counters().joined);
                lead.end(Outcome::Answer(Box::new(answer.clone().into())));
                return Ok(self.hinted(answer, Some(self.plan.ttl)));
            }
            Turn::Mine(lease) => lease,
        };
        // What was taken out until now does not concern what is made from now on.
        if let Some(known) = self.cache.invalidations.load_full() {
            self.begun = known;
        }
        count(&self.counters().misses);
        let personal = Arc::new(AtomicBool::new(false));
        let message = self.message.clone().outliving(Arc::clone(&personal));
        let answer = self.next.fork().run(message).await;
        let outcome = match &answer {
            Ok(answer) => {
                let result = T::result(answer).filter(|_| !personal.load(Ordering::Relaxed));
                match result {
                    None => {
                        self.cache.alone.insert(self.key.clone(), ());
                        count(&self.counters().not_stored);
                        Outcome::Alone
                    }
                    Some(result) => {
                        self.keep(result).await;
                        Outcome::Answer(Box::new(answer.clone().into()))
                    }
                }
            }
            Err(error) if lead.has_followers() => Outcome::Error(Arc::new(error.again())),
            Err(_) => Outcome::Alone,
        };
        if answer.is_err() {
            count(&self.counters().not_stored);
        }
        lead.end(outcome);
        answer.map(|answer| self.hinted(answer, Some(self.plan.ttl)))
    }

    /// Writes an answer to the store, if it is not too large.
    async fn keep(&self, result: &T::Result) {
        let kept = match self.try_keep(result).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "an answer cannot be kept in the cache"
                );
                count(&self.counters().errors);
                return;
            }
        };
        let counters = self.counters();
        count(if kept {
            &counters.stored
        } else {
            &counters.not_stored
        });
    }

    async fn try_keep(&self, result: &T::Result) -> kv_core::Result<bool> {
        let now = self.store.clock().now();
        let stored = Stored {
            answer: result,
            epoch: self.begun.epoch.clone(),
            count: self.begun.count,
            until: now.plus_ttl(self.plan.ttl)?.as_micros(),
        };
        let value = Value::encode(&stored)?;
        if value.as_bytes().len() > self.settings.max_item_bytes {
            return Ok(false);
        }
        let ttl = self.plan.ttl.saturating_add(self.settings.stale);
        let entry = Entry::new(value)
            .with_created_at(now)
            .with_expires_at(now.plus_ttl(ttl)?);
        self.store
            .put(ANSWERS, &self.key, entry, PutMode::Overwrite)
            .await?;
        Ok(true)
    }

    /// Waits until it is this instance's turn to make the answer, or another has made it.
    async fn lease(&self) -> Turn<T::Answer> {
        let mut pause = FIRST_LOOK;
        let is_shared = self.store.info().shared;
        let mut has_waited = false;
        loop {
            let mine = if is_shared {
                let holder = serde_json::json!({});
                let lease = self
                    .store
                    .put_if_absent(LEASES, &self.key, &holder, Some(LEASE));
                lease.await
            } else {
                Ok(true)
            };
            match mine {
                Ok(true) => {
                    let lease = is_shared.then(|| Lease::new(&self.store, &self.key));
                    // It may have been made since this instance looked.
                    let found = self.find().await.filter(|found| found.left.is_some());
                    return match found {
                        Some(found) => Turn::Made(found.answer),
                        None => Turn::Mine(lease),
                    };
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(error = chain(&error), "what others make cannot be known");
                    count(&self.counters().errors);
                    return Turn::Mine(None);
                }
            }
            if has_waited
                && let Some(found) = self.find().await
                && found.left.is_some()
            {
                return Turn::Made(found.answer);
            }
            has_waited = true;
            sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
    }
}

/// Whose turn it is to make an answer.
enum Turn<A> {
    Mine(Option<Lease>),
    /// Another instance has made it.
    Made(A),
}

/// Shows other instances that this one makes an answer, until it is dropped.
struct Lease {
    store: Arc<dyn Store>,
    key: String,
    alive: tokio::task::JoinHandle<()>,
}

impl Lease {
    fn new(store: &Arc<dyn Store>, key: &str) -> Self {
        let (store, key) = (Arc::clone(store), key.to_owned());
        let alive = tokio::spawn({
            let (store, key) = (Arc::clone(&store), key.clone());
            async move {
                let mut ticks = interval(SIGN_OF_LIFE);
                ticks.tick().await;
                loop {
                    ticks.tick().await;
                    // One that fails is made up for by the next.
                    let _ = store.touch(LEASES, &key, Some(LEASE)).await;
                }
            }
        });
        Self { store, key, alive }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.alive.abort();
        let (store, key) = (Arc::clone(&self.store), std::mem::take(&mut self.key));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // Otherwise it expires.
                let _: std::result::Result<_, StoreError> = store.delete(LEASES, &key).await;
            });
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("max_item_bytes", &self.max_item_bytes)
            .field("stale", &self.stale)
            .finish_non_exhaustive()
    }
}

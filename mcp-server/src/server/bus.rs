//! [`Bus`]: what the instances of a server on one store tell each other.

use std::collections::VecDeque;
use std::fmt;
use std::iter::once;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use kv_core::{Change, Store, StoreExt as _, Watch};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Notify, broadcast, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::chain;
use crate::hash::hex;

/// Where the store has what was told last: the collection and the key.
const RECORD: (&str, &str) = ("mcp_bus", "events");

/// How many events are kept for instances that have not read them yet.
const MAX_EVENTS: usize = 256;

/// The size of all of them, and of one, in bytes.
const MAX_BYTES: usize = 64 << 10;
const MAX_EVENT_BYTES: usize = 4 << 10;

/// How often instances look, where the store cannot tell them of a change.
const POLL: Duration = Duration::from_secs(2);

/// How often they look while something is waited for.
const EAGER_POLL: Duration = Duration::from_millis(200);

/// For how long something is waited for after it was said so.
const EAGER: Duration = Duration::from_secs(60);

/// How long events are gathered before they are told together.
const GATHER: Duration = Duration::from_millis(5);

/// How many events may wait to be told.
const OUTBOX: usize = 1024;

/// How many events who listens may be behind.
const BACKLOG: usize = 1024;

/// Something that other instances must know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// Other components are disabled.
    Switched,
    /// What is read at this URI has changed.
    Content(String),
    /// The record of this key, of a session, has changed or is gone.
    Session(String),
    /// A client's answer is in the store for this instance, under this key.
    Answer { to: String, key: String },
    /// A client has cancelled a request, given by its id in JSON, of the session whose record has
    /// this key.
    Cancelled { session: String, request: String },
    /// Answers were taken out of the caches.
    CacheInvalidated,
    /// More has happened than is told.
    Anything,
}

/// What was told last, as the store has it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Log {
    /// Of which record the numbers are: one that was lost begins again.
    epoch: String,
    /// The number of the next event.
    next: u64,
    events: VecDeque<Told>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Told {
    number: u64,
    from: String,
    /// An [`Event`], if it is not of a newer version of this library.
    event: Value,
}

impl Log {
    fn add(&mut self, from: &str, event: &Event) {
        let number = self.next;
        self.next += 1;
        self.events.push_back(Told {
            number,
            from: from.to_owned(),
            event: json!(event),
        });
    }

    /// Drops what is too much, the oldest first.
    fn trim(&mut self) {
        let size = |told: &Told| serde_json::to_string(told).map_or(0, |text| text.len());
        let mut bytes: usize = self.events.iter().map(size).sum();
        while self.events.len() > MAX_EVENTS || bytes > MAX_BYTES {
            let Some(oldest) = self.events.pop_front() else {
                return;
            };
            bytes -= size(&oldest);
        }
    }
}

/// How far an instance has read.
enum Place {
    /// Not at all.
    Nowhere,
    /// There was no record.
    Beginning,
    Before {
        epoch: String,
        next: u64,
    },
}

impl Place {
    fn after(log: Option<&Log>) -> Self {
        log.map_or(Self::Beginning, |log| Self::Before {
            epoch: log.epoch.clone(),
            next: log.next,
        })
    }

    /// Returns what others than `instance` have told since this place.
    fn read(&self, log: Log, instance: &str) -> Vec<Event> {
        let next = match self {
            Self::Nowhere => {
                // What was told before is not known here, but for what was told to this instance.
                let answers = Self::Beginning.read(log, instance).into_iter();
                let answers = answers.filter(|event| matches!(event, Event::Answer { .. }));
                return once(Event::Anything).chain(answers).collect();
            }
            Self::Beginning => 0,
            Self::Before { epoch, next } if *epoch == log.epoch => *next,
            Self::Before { .. } => return vec![Event::Anything],
        };
        let oldest = log.events.front().map_or(log.next, |told| told.number);
        let missed = (next < oldest).then_some(Event::Anything);
        let new = log.events.into_iter();
        let new = new.filter(|told| told.number >= next && told.from != instance);
        let new = new.filter_map(|told| serde_json::from_value(told.event).ok());
        missed.into_iter().chain(new).collect()
    }
}

/// What the instances of a server on one store tell each other. One that is alone on its store
/// tells nobody.
pub(crate) struct Bus {
    /// The name of this instance, which no other has.
    instance: Arc<str>,
    store: OnceLock<Arc<dyn Store>>,
    outbox: mpsc::Sender<Event>,
    unsent: Mutex<Option<mpsc::Receiver<Event>>>,
    /// Whether the outbox was full.
    overflow: Arc<AtomicBool>,
    heard: broadcast::Sender<Event>,
    eager: Arc<Eager>,
    /// Ends the tasks.
    running: OnceLock<DropGuard>,
}

#[derive(Default)]
struct Eager {
    until: Mutex<Option<Instant>>,
    begun: Notify,
}

impl Bus {
    pub(crate) fn new() -> Self {
        let mut id = [0; 8];
        getrandom::fill(&mut id).expect("the system has random numbers");
        let (outbox, unsent) = mpsc::channel(OUTBOX);
        Self {
            instance: hex(&id).into(),
            store: OnceLock::new(),
            outbox,
            unsent: Mutex::new(Some(unsent)),
            overflow: Arc::default(),
            heard: broadcast::Sender::new(BACKLOG),
            eager: Arc::default(),
            running: OnceLock::new(),
        }
    }

    /// Begins to tell and to listen, if others can be on `store`. Once is enough.
    pub(crate) fn open(&self, store: &Arc<dyn Store>) {
        if self.store.get().is_some() || !store.info().shared {
            return;
        }
        let over = CancellationToken::new();
        if self.running.set(over.clone().drop_guard()).is_err() {
            return;
        }
        let _ = self.store.set(Arc::clone(store));
        let unsent = self
            .unsent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(unsent) = unsent {
            let telling = Telling {
                store: Arc::clone(store),
                instance: Arc::clone(&self.instance),
                unsent,
                overflow: Arc::clone(&self.overflow),
            };
            tokio::spawn(over.clone().run_until_cancelled_owned(telling.run()));
        }
        let listening = Listening {
            store: Arc::clone(store),
            instance: Arc::clone(&self.instance),
            heard: self.heard.clone(),
            eager: Arc::clone(&self.eager),
            place: Place::Nowhere,
        };
        tokio::spawn(over.run_until_cancelled_owned(listening.run()));
    }

    /// Returns the name of this instance.
    pub(crate) const fn instance(&self) -> &Arc<str> {
        &self.instance
    }

    /// Tells other instances of an event, soon.
    pub(crate) fn tell(&self, event: Event) {
        if self.store.get().is_none() {
            return;
        }
        if self.outbox.try_send(event).is_err() {
            self.overflow.store(true, Ordering::Release);
        }
    }

    /// Tells other instances of an event, which the store has then.
    pub(crate) async fn publish(&self, event: Event) -> kv_core::Result<()> {
        match self.store.get() {
            Some(store) => append(&**store, &self.instance, &[event]).await,
            None => Ok(()),
        }
    }

    /// Hears of what others tell from now on.
    pub(crate) fn listen(&self) -> Heard {
        Heard(self.heard.subscribe())
    }

    /// Lets what others tell be heard sooner for a while, as it is waited for.
    pub(crate) fn hurry(&self) {
        if self.store.get().is_none() {
            return;
        }
        let mut until = self
            .eager
            .until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + EAGER);
        drop(until);
        self.eager.begun.notify_one();
    }
}

/// Hears what other instances tell.
pub(crate) struct Heard(broadcast::Receiver<Event>);

impl Heard {
    /// Waits for the next event. `None` when the server is gone.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Event::Anything),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// What tells other instances.
struct Telling {
    store: Arc<dyn Store>,
    instance: Arc<str>,
    unsent: mpsc::Receiver<Event>,
    overflow: Arc<AtomicBool>,
}

impl Telling {
    /// Tells what is in the outbox, in groups.
    async fn run(mut self) {
        while let Some(first) = self.unsent.recv().await {
            let mut events = vec![first];
            let end = Instant::now() + GATHER;
            while events.len() < MAX_EVENTS
                && let Ok(Some(event)) = timeout_at(end, self.unsent.recv()).await
            {
                if !events.contains(&event) {
                    events.push(event);
                }
            }
            if self.overflow.swap(false, Ordering::AcqRel) {
                events.push(Event::Anything);
            }
            let mut pause = Duration::from_millis(100);
            while let Err(error) = append(&*self.store, &self.instance, &events).await {
                tracing::warn!(error = chain(&error), "other instances cannot be told");
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
            }
        }
    }
}

async fn append(store: &dyn Store, instance: &str, events: &[Event]) -> kv_core::Result<()> {
    let fits = |event: &&Event| {
        serde_json::to_string(event).is_ok_and(|text| text.len() <= MAX_EVENT_BYTES)
    };
    let all_fit = events.iter().filter(fits).count() == events.len();
    let change = |log: Option<Log>| {
        let mut log = log.unwrap_or_else(|| Log {
            epoch: instance.to_owned(),
            ..Log::default()
        });
        for event in events.iter().filter(fits) {
            log.add(instance, event);
        }
        if !all_fit {
            log.add(instance, &Event::Anything);
        }
        log.trim();
        Some(log)
    };
    store
        .update(RECORD.0, RECORD.1, None, change)
        .await
        .map(drop)
}

/// What hears other instances.
struct Listening {
    store: Arc<dyn Store>,
    instance: Arc<str>,
    heard: broadcast::Sender<Event>,
    eager: Arc<Eager>,
    place: Place,
}

impl Listening {
    async fn run(mut self) {
        let mut watch = self.store.watch(RECORD.0).ok();
        if watch.is_none() {
            self.read().await;
        }
        loop {
            self.wait(&mut watch).await;
            self.read().await;
        }
    }

    async fn read(&mut self) {
        let entry = self.store.get_fresh(RECORD.0, RECORD.1).await;
        let log = entry.and_then(|entry| {
            let log = entry.map(|entry| entry.value.decode::<Log>());
            log.transpose()
        });
        let log = match log {
            Ok(log) => log,
            Err(error) => {
                tracing::warn!(error = chain(&error), "other instances cannot be heard");
                return sleep(POLL).await;
            }
        };
        let place = mem::replace(&mut self.place, Place::after(log.as_ref()));
        for event in log.map_or_else(Vec::new, |log| place.read(log, &self.instance)) {
            // Without listeners there is nobody to tell.
            let _ = self.heard.send(event);
        }
    }

    /// Waits until the record may have changed.
    async fn wait(&self, watch: &mut Option<Watch>) {
        while let Some(changes) = watch {
            match changes.next().await {
                Some(Change::Watching) => return,
                Some(Change::Entry { collection, key }) if (&*collection, &*key) == RECORD => {
                    return;
                }
                Some(_) => {}
                None => *watch = None,
            }
        }
        let begun = Instant::now();
        loop {
            let until = *self
                .eager
                .until
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let is_eager = until.is_some_and(|until| until > Instant::now());
            let end = begun + if is_eager { EAGER_POLL } else { POLL };
            tokio::select! {
                () = sleep_until(end) => return,
                () = self.eager.begun.notified() => {}
            }
        }
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus")
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(events: impl IntoIterator<Item = Event>) -> Log {
        let mut log = Log::default();
        for event in events {
            log.add("other", &event);
        }
        log
    }

    fn at(next: u64) -> Place {
        let epoch = String::new();
        Place::Before { epoch, next }
    }

    #[test]
    fn each_event_of_others_is_read_once_and_in_order() {
        let mut log = log([Event::Switched, Event::Content("a://b".to_owned())]);
        log.add("me", &Event::Switched);
        log.add("other", &Event::Session("key".to_owned()));
        let expected = [
            Event::Content("a://b".to_owned()),
            Event::Session("key".to_owned()),
        ];
        let end = Place::after(Some(&log));
        assert_eq!(at(1).read(log, "me"), expected);
        assert_eq!(end.read(self::log(vec![Event::Switched; 4]), "me"), []);
    }

    #[test]
    fn who_was_away_for_too_long_learns_that_anything_may_have_happened() {
        let mut log = log(vec![Event::Switched; MAX_EVENTS + 2]);
        log.trim();
        let read = at(1).read(log, "me");
        assert_eq!(read[0], Event::Anything);
        assert_eq!(read.len(), MAX_EVENTS + 1);
    }

    #[test]
    fn who_comes_before_the_first_event_reads_it() {
        let answer = Event::Answer {
            to: "me".to_owned(),
            key: "key".to_owned(),
        };
        let begun = Place::after(None);
        assert_eq!(
            begun
                .read(log([Event::Switched, answer.clone()]), "me")
                .len(),
            2
        );
        let new = Place::Nowhere.read(log([Event::Switched, answer.clone()]), "me");
        assert_eq!(new, [Event::Anything, answer]);
    }

    #[test]
    fn a_record_that_was_lost_means_anything() {
        let mut log = log([Event::Switched]);
        log.epoch = "new".to_owned();
        assert_eq!(at(1).read(log, "me"), [Event::Anything]);
    }

    #[test]
    fn the_record_is_bounded_in_size() {
        let large = Event::Content("x".repeat(MAX_EVENT_BYTES - 100));
        let mut log = log(vec![large; MAX_EVENTS]);
        log.trim();
        let size = serde_json::to_string(&log).unwrap().len();
        assert!(size < MAX_BYTES + 1024 && size > MAX_BYTES / 2, "{size}");
    }

    #[test]
    fn an_event_of_a_newer_version_does_no_harm() {
        let mut log = log([Event::Switched, Event::Anything]);
        log.events[0].event = json!({ "tidied": { "by": "nobody" } });
        assert_eq!(at(0).read(log, "me"), [Event::Anything]);
    }
}

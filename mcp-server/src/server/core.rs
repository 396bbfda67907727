//! [`Core`]: what all connections of one server share.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use kv_core::Store;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::components::Components;
use super::lifespan::{Lifespan, Running};
use crate::builder::Details;
use crate::context::States;
use crate::keys::{self, Sealer, ServerKeys};
use crate::middleware::Chain;
use crate::tasks::Tasks;
use crate::{Error, Result};

/// What the state of calls that wait for answers is sealed for.
const REQUEST_STATE: &str = "mcp-server request state 1";

/// How long tasks that must stop may take to say so in the store.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What all connections of one server share.
pub(crate) struct Core {
    pub(crate) details: Details,
    pub(crate) registry: Arc<Components>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) shared_anonymous_state: bool,
    /// What is around all messages.
    pub(crate) middleware: Chain,
    keys: Option<ServerKeys>,
    sealer: OnceCell<Sealer>,
    states: States,
    phase: Mutex<Phase>,
    started: OnceCell<States>,
    /// The calls and tasks under way.
    calls: TaskTracker,
    pub(crate) tasks: Tasks,
}

/// Where the lifespan is: it starts once and stops once.
enum Phase {
    Waiting(Lifespan),
    Running(Running),
    Over,
}

impl Core {
    pub(crate) fn new(
        details: Details,
        registry: Components,
        store: Arc<dyn Store>,
        shared_anonymous_state: bool,
        keys: Option<ServerKeys>,
        states: States,
        lifespan: Lifespan,
    ) -> Self {
        Self {
            tasks: Tasks::new(details.tasks),
            details,
            registry: Arc::new(registry),
            store,
            shared_anonymous_state,
            middleware: Chain::default(),
            keys,
            sealer: OnceCell::new(),
            states,
            phase: Mutex::new(Phase::Waiting(lifespan)),
            started: OnceCell::new(),
            calls: TaskTracker::new(),
        }
    }

    /// Puts middleware around all messages.
    pub(crate) fn within(mut self, middleware: Chain) -> Self {
        self.middleware = middleware;
        self
    }

    /// Opens the store and starts the lifespan, once, and returns the states that calls can take.
    ///
    /// Runs in a task of its own, so that a caller who goes away does not leave it half done.
    pub(crate) async fn start(self: &Arc<Self>) -> Result<States> {
        if self.calls.is_closed() {
            return Err(over());
        }
        if let Some(states) = self.started.get() {
            return Ok(states.clone());
        }
        let core = Arc::clone(self);
        let starting = tokio::spawn(async move {
            core.started
                .get_or_try_init(|| core.start_now())
                .await
                .cloned()
        });
        starting.await.map_err(|error| Error::Lifespan {
            source: error.into(),
        })?
    }

    async fn start_now(&self) -> Result<States> {
        // Every server may have this record: reading it shows that the store opens and answers.
        let (collection, key) = keys::RECORD;
        self.store.get(collection, key).await?;
        self.registry.open(&self.store).await?;
        let mut phase = self.phase.lock().await;
        let Phase::Waiting(lifespan) = mem::replace(&mut *phase, Phase::Over) else {
            return Err(over());
        };
        let running = lifespan
            .start(Arc::clone(&self.store))
            .await
            .map_err(|source| Error::Lifespan { source })?;
        let states = running.add_to(&self.states);
        *phase = Phase::Running(running);
        Ok(states)
    }

    /// Returns what seals the state of calls that wait for answers.
    pub(crate) async fn sealer(&self) -> Result<&Sealer> {
        let make = || async {
            let keys = match &self.keys {
                Some(keys) => keys.clone(),
                None => ServerKeys::of_store(&*self.store).await?,
            };
            Ok(keys.sealer(REQUEST_STATE))
        };
        self.sealer.get_or_try_init(make).await
    }

    /// Counts a call as under way until the token is dropped.
    pub(crate) fn count_call(&self) -> TaskTrackerToken {
        self.calls.token()
    }

    /// Takes no more calls, leaves the tasks that can run again to other instances, waits at most
    /// `grace` for what is under way, stops the lifespan if it runs, and makes the store durable.
    pub(crate) async fn stop(&self, grace: Duration) -> Result<()> {
        self.calls.close();
        self.tasks.yielding.cancel();
        let mut stopped = timeout(grace, self.calls.wait()).await.is_ok();
        self.tasks.stopping.cancel();
        if !stopped {
            // Tasks end in the store.
            stopped = timeout(LAST_WORDS, self.calls.wait()).await.is_ok();
        }
        if !stopped {
            tracing::warn!(
                calls = self.calls.len(),
                "calls are still under way after {grace:?}"
            );
        }
        let mut phase = self.phase.lock().await;
        if let Phase::Running(running) = mem::replace(&mut *phase, Phase::Over) {
            running.stop().await;
        }
        if !self.started.initialized() {
            return Ok(());
        }
        self.store
            .flush()
            .await
            .map_err(|source| Error::Store { source })
    }
}

/// The error of a start after the end.
fn over() -> Error {
    let source = "the server has stopped, or has failed to start before".into();
    Error::Lifespan { source }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("details", &self.details)
            .field("store", &self.store.info())
            .finish_non_exhaustive()
    }
}

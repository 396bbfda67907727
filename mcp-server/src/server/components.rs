//! [`Components`]: the registry of a running server, and what is told of its changes.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use arc_swap::ArcSwap;
use kv_core::Store;
use tokio::runtime::Handle;
use tokio::sync::Mutex as AsyncMutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::bus::{Bus, Event, Heard};
use super::changes::{Change, Changes, Watcher};
use super::registry::{
    Completing, FoundResource, Provided, RegisteredPrompt, RegisteredTool, Registry, Selection,
};
use super::switches::Disabled;
use crate::error::chain;
use crate::middleware::Cache;
use crate::types::JsonObject;
use crate::{Error, Result};

/// The registry of a running server: each request looks at it as it is at that moment, and a change
/// replaces it.
pub(crate) struct Components {
    /// What clients see.
    current: ArcSwap<Registry>,
    /// What there is. Held while `current` is replaced.
    all: Mutex<All>,
    changes: Changes,
    bus: Arc<Bus>,
    caches: Mutex<Vec<Weak<Cache>>>,
    /// The name and the version of the server.
    identity: (String, String),
    provided: Box<Provided>,
    /// Held while [`Disabled`] goes from or to the store, so that what is read first is not taken
    /// for what is newest.
    store: AsyncMutex<Option<Arc<dyn Store>>>,
    /// Ends the following of other instances.
    following: OnceLock<DropGuard>,
}

struct All {
    registry: Registry,
    disabled: Disabled,
}

impl All {
    fn visible(&self) -> Arc<Registry> {
        Arc::new(self.registry.without(&self.disabled))
    }
}

impl Components {
    /// `provided` tells which state types components may take that are added later.
    pub(crate) fn new(
        registry: Registry,
        identity: (String, String),
        provided: Box<Provided>,
    ) -> Self {
        let disabled = Disabled::default();
        let all = All { registry, disabled };
        Self {
            current: ArcSwap::new(all.visible()),
            all: Mutex::new(all),
            changes: Changes::new(),
            bus: Arc::new(Bus::new()),
            caches: Mutex::default(),
            identity,
            provided,
            store: AsyncMutex::new(None),
            following: OnceLock::new(),
        }
    }

    /// Disables what is disabled in `store`, from now on.
    pub(crate) async fn open(self: &Arc<Self>, store: &Arc<dyn Store>) -> Result<()> {
        *self.store.lock().await = Some(Arc::clone(store));
        let over = CancellationToken::new();
        if self.following.set(over.clone().drop_guard()).is_ok() {
            let heard = self.bus.listen();
            let following = follow(Arc::downgrade(self), Arc::clone(store), heard);
            tokio::spawn(over.run_until_cancelled_owned(following));
        }
        self.bus.open(store);
        self.load(&**store).await?;
        Ok(())
    }

    /// Disables what is disabled in `store` now.
    pub(crate) async fn load(&self, store: &dyn Store) -> Result<(), kv_core::Error> {
        let _syncing = self.store.lock().await;
        self.disable(Disabled::load(store).await?);
        Ok(())
    }

    /// Changes what is disabled, in the store too.
    pub(crate) async fn switch(&self, change: impl FnMut(&mut Disabled) + Send) -> Result<()> {
        let store = self.store.lock().await;
        let store = store.as_deref().ok_or(Error::NotStarted)?;
        self.disable(Disabled::change(store, change).await?);
        self.bus.tell(Event::Switched);
        Ok(())
    }

    fn disable(&self, disabled: Disabled) {
        let mut all = self.all();
        let before = mem::replace(&mut all.disabled, disabled);
        if before == all.disabled {
            return;
        }
        self.current.store(all.visible());
        let changed = [
            (before.tools != all.disabled.tools, Change::Tools),
            (
                before.resources != all.disabled.resources,
                Change::Resources,
            ),
            (before.prompts != all.disabled.prompts, Change::Prompts),
        ];
        drop(all);
        for (_, change) in changed.into_iter().filter(|(changed, _)| *changed) {
            self.changes.tell(change);
        }
    }

    /// Changes the registry, and tells of it if `edit` has changed anything, which it returns.
    pub(crate) fn edit(
        &self,
        change: Change,
        edit: impl FnOnce(&mut Registry, &Provided) -> Result<bool>,
    ) -> Result<bool> {
        let mut all = self.all();
        if !edit(&mut all.registry, &*self.provided)? {
            return Ok(false);
        }
        self.current.store(all.visible());
        drop(all);
        self.changes.tell(change);
        Ok(true)
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that what is read at `uri` has changed, on all instances.
    pub(crate) fn content_changed(self: &Arc<Self>, uri: &str) {
        let tell = |components: &Self, uri: &str| {
            components.changes.tell(Change::Content(uri.into()));
            components.bus.tell(Event::Content(uri.to_owned()));
        };
        let caches = self.caches();
        let runtime = Handle::try_current().ok();
        let Some(runtime) = runtime.filter(|_| !caches.is_empty()) else {
            return tell(self, uri);
        };
        // Who is told reads it again: not what is in a cache.
        let (components, uri) = (Arc::clone(self), uri.to_owned());
        runtime.spawn(async move {
            for cache in caches {
                let label = Some(format!("uri:{uri}"));
                if let Err(error) = cache.invalidate(&components, label).await {
                    tracing::warn!(error = chain(&error), "an old content may be in the cache");
                }
            }
            tell(&components, &uri);
        });
    }

    /// Adds a cache of answers, which hears of what changes.
    pub(crate) fn add_cache(&self, cache: &Arc<Cache>) {
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.push(Arc::downgrade(cache));
    }

    fn caches(&self) -> Vec<Arc<Cache>> {
        let caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.iter().filter_map(Weak::upgrade).collect()
    }

    /// Returns the server's store, once it is open.
    pub(crate) async fn store(&self) -> Option<Arc<dyn Store>> {
        self.store.lock().await.clone()
    }

    /// Returns the name and the version of the server.
    pub(crate) const fn identity(&self) -> &(String, String) {
        &self.identity
    }

    /// Returns what connects this instance with others.
    pub(crate) const fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    /// Watches for changes from now on.
    pub(crate) fn watch(&self) -> Watcher {
        self.changes.watch()
    }

    /// Returns the registry as it is now.
    pub(crate) fn current(&self) -> Arc<Registry> {
        self.current.load_full()
    }

    pub(crate) fn tool(&self, name: &str, selection: Selection<'_>) -> Option<Arc<RegisteredTool>> {
        self.current.load().tool(name, selection).cloned()
    }

    pub(crate) fn header_schema(&self, tool: &str) -> Option<Arc<JsonObject>> {
        self.current.load().header_schema(tool)
    }

    pub(crate) fn prompt(
        &self,
        name: &str,
        selection: Selection<'_>,
    ) -> Option<Arc<RegisteredPrompt>> {
        self.current.load().prompt(name, selection).cloned()
    }

    /// Finds the resource of `uri`, or the first template that it matches.
    pub(crate) fn resource(&self, uri: &str, selection: Selection<'_>) -> Option<FoundResource> {
        self.current.load().resource(uri, selection)
    }

    pub(crate) fn completions_of_resource(
        &self,
        uri: &str,
        selection: Selection<'_>,
    ) -> Option<Completing> {
        self.current.load().completions_of_resource(uri, selection)
    }

    pub(crate) fn has_tasks(&self) -> bool {
        self.current.load().has_tasks()
    }

    pub(crate) fn has_completions(&self) -> bool {
        self.current.load().has_completions()
    }
}

/// Does here what other instances tell, for as long as the server is there.
async fn follow(components: Weak<Components>, store: Arc<dyn Store>, mut heard: Heard) {
    while let Some(event) = heard.next().await {
        let Some(components) = components.upgrade() else {
            return;
        };
        match event {
            Event::Content(uri) => {
                components.changes.tell(Change::Content(uri.into()));
                continue;
            }
            Event::CacheInvalidated | Event::Anything => {
                for cache in components.caches() {
                    cache.follow(&*store).await;
                }
                if event == Event::CacheInvalidated {
                    continue;
                }
                components.changes.tell(Change::Anything);
            }
            Event::Switched => {}
            Event::Session(_) | Event::Answer { .. } | Event::Cancelled { .. } => continue,
        }
        if let Err(error) = components.load(&*store).await {
            let error = chain(&error);
            tracing::warn!(error, "cannot read which components are disabled");
        }
    }
}

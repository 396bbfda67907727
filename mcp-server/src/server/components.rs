//! [`Components`]: the registry of a running server, and what is told of its changes.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::changes::{Change, Changes, Watcher};
use super::registry::{Completed, Provided, RegisteredPrompt, RegisteredTool, Registry};
use crate::{Complete, Resource, ResourceRequest, Result};

/// The registry of a running server: each request looks at it as it is at that moment, and a change
/// replaces it.
pub(crate) struct Components {
    current: ArcSwap<Registry>,
    /// Held while a change is made, so that none is lost to another.
    changing: Mutex<()>,
    changes: Changes,
    provided: Box<Provided>,
}

impl Components {
    /// `provided` tells which state types components may take that are added later.
    pub(crate) fn new(registry: Registry, provided: Box<Provided>) -> Self {
        Self {
            current: ArcSwap::from_pointee(registry),
            changing: Mutex::new(()),
            changes: Changes::new(),
            provided,
        }
    }

    /// Changes the registry, and tells of it if `edit` has changed anything, which it returns.
    pub(crate) fn edit(
        &self,
        change: Change,
        edit: impl FnOnce(&mut Registry, &Provided) -> Result<bool>,
    ) -> Result<bool> {
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Registry::clone(&self.current.load());
        if !edit(&mut next, &*self.provided)? {
            return Ok(false);
        }
        self.current.store(Arc::new(next));
        drop(changing);
        self.changes.tell(change);
        Ok(true)
    }

    /// Tells of a change that is none of the registry.
    pub(crate) fn tell(&self, change: Change) {
        self.changes.tell(change);
    }

    /// Watches for changes from now on.
    pub(crate) fn watch(&self) -> Watcher {
        self.changes.watch()
    }

    /// Returns the registry as it is now.
    pub(crate) fn current(&self) -> Arc<Registry> {
        self.current.load_full()
    }

    pub(crate) fn tool(&self, name: &str) -> Option<Arc<RegisteredTool>> {
        self.current.load().tool(name).cloned()
    }

    pub(crate) fn has_tasks(&self) -> bool {
        self.current.load().has_tasks()
    }

    pub(crate) fn prompt(&self, name: &str) -> Option<Arc<RegisteredPrompt>> {
        self.current.load().prompt(name).cloned()
    }

    /// Finds the resource of `uri`, or the first template that it matches.
    pub(crate) fn resource(&self, uri: &str) -> Option<(Arc<dyn Resource>, ResourceRequest)> {
        self.current.load().resource(uri)
    }

    /// Tells whether there is a resource or a template written as `uri`.
    pub(crate) fn has_resource(&self, uri: &str) -> bool {
        self.current.load().has_resource(uri)
    }

    /// Finds what suggests values for an argument.
    pub(crate) fn completion(&self, of: &Completed, argument: &str) -> Option<Arc<dyn Complete>> {
        self.current.load().completion(of, argument).cloned()
    }

    pub(crate) fn has_completions(&self) -> bool {
        self.current.load().has_completions()
    }
}

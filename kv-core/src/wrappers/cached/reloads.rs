//! [`Reloads`]: loads in the background, one at a time for each key.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

/// How many keys are loaded at the same time.
const MAX: usize = 10_000;

/// How long a key is left alone after its load has failed.
const PAUSE: Duration = Duration::from_secs(1);

type Name = (String, String);

/// The keys that are being loaded.
#[derive(Debug, Default)]
pub(super) struct Reloads(Mutex<HashSet<Name>>);

impl Reloads {
    /// Starts `load` of `key` on the runtime, unless it is under way or has just failed. Returns
    /// `false` when the caller must load: there is no runtime, or there are too many.
    pub(super) fn start<F>(
        self: &Arc<Self>,
        collection: &str,
        key: &str,
        load: impl FnOnce(Name) -> F,
    ) -> bool
    where
        F: Future<Output = bool> + Send + 'static,
    {
        let Ok(runtime) = Handle::try_current() else {
            return false;
        };
        let name = (collection.to_owned(), key.to_owned());
        let mut names = self.lock();
        if names.contains(&name) {
            return true;
        }
        if names.len() >= MAX {
            return false;
        }
        names.insert(name.clone());
        drop(names);
        let reload = Reload {
            reloads: Arc::clone(self),
            name: name.clone(),
        };
        let load = load(name);
        runtime.spawn(async move {
            let _reload = reload;
            let has_loaded = load.await;
            if !has_loaded {
                sleep(PAUSE).await;
            }
        });
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Name>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key that is being loaded, until this is dropped.
struct Reload {
    reloads: Arc<Reloads>,
    name: Name,
}

impl Drop for Reload {
    fn drop(&mut self) {
        self.reloads.lock().remove(&self.name);
    }
}

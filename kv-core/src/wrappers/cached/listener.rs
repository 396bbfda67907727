//! [`Listener`]: drops copies as other programs change what they are of.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::fills::{Fills, Watched};
use super::loader::drop_any_copy;
use crate::wrappers::single_flight::Flights;
use crate::{Change, Result, Store, Watch};

/// How many copies are deleted at the same time.
const MAX_DELETES: usize = 1000;

/// The task that listens. It ends with the last clone of the cache.
#[derive(Debug, Default)]
pub(super) struct Listener(Mutex<Option<AbortHandle>>);

impl Listener {
    /// Starts to listen, unless somebody does or the store cannot tell.
    ///
    /// Without a runtime nobody listens, and no copy is kept until there is one.
    pub(super) fn start<L: Store>(
        &self,
        fills: &Arc<Fills>,
        watch: impl FnOnce() -> Result<Watch>,
        local: &Arc<L>,
        flights: &Arc<Flights>,
    ) {
        if !fills.is_to_ask() {
            return;
        }
        let Ok(changes) = watch() else {
            fills.set_watched(Watched::Never);
            return;
        };
        let Ok(runtime) = Handle::try_current() else {
            fills.set_watched(Watched::Unasked);
            return;
        };
        let ear = Ear {
            local: Arc::clone(local),
            flights: Arc::clone(flights),
            fills: Arc::clone(fills),
        };
        let task = runtime.spawn(ear.listen(changes)).abort_handle();
        let before = self.lock().replace(task);
        if let Some(before) = before {
            before.abort();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<AbortHandle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(task) = self.lock().take() {
            task.abort();
        }
    }
}

/// What the task works on. When it is dropped nobody listens any more.
struct Ear<L> {
    local: Arc<L>,
    flights: Arc<Flights>,
    fills: Arc<Fills>,
}

impl<L: Store> Ear<L> {
    async fn listen(self, changes: Watch) {
        let ear = &self;
        // One local call that hangs must not keep the next changes from being heard.
        let hear = |change| ear.hear(change);
        changes.for_each_concurrent(MAX_DELETES, hear).await;
    }

    /// Bypasses what `change` concerns at once. What it returns deletes the copy.
    fn hear(&self, change: Change) -> impl Future<Output = ()> {
        let write = match change {
            Change::Watching => {
                self.fills.forget_all();
                self.fills.set_watched(Watched::Now);
                None
            }
            Change::Lost => {
                self.fills.set_watched(Watched::Deaf);
                None
            }
            Change::Entry { collection, key } => {
                let write = self.fills.begin_write(&collection, &key);
                self.flights.forget(&collection, &key);
                Some((write, collection))
            }
        };
        async move {
            if let Some((write, collection)) = write {
                drop_any_copy(&*self.local, write, &collection).await;
            }
        }
    }
}

impl<L> Drop for Ear<L> {
    fn drop(&mut self) {
        self.fills.set_watched(Watched::Unasked);
    }
}

//! [`Listener`]: drops copies as other programs change what they are of.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::fills::{Fills, Watched};
use super::loader::is_gone;
use crate::wrappers::single_flight::Flights;
use crate::{Change, Result, Store, Watch};

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
    async fn listen(self, mut changes: Watch) {
        while let Some(change) = changes.next().await {
            match change {
                Change::Watching => {
                    self.fills.forget_all();
                    self.fills.set_watched(Watched::Now);
                }
                Change::Lost => self.fills.set_watched(Watched::Deaf),
                Change::Entry { collection, key } => self.forget(&collection, &key).await,
            }
        }
    }

    async fn forget(&self, collection: &str, key: &str) {
        let mut write = self.fills.begin_write(collection, key);
        self.flights.forget(collection, key);
        // Most changes are of keys without a copy, and a delete may be slow. A copy that is put
        // from now on is one of a fill under way, which the end of this write makes dirty.
        let has_none = matches!(self.local.get(collection, key).await, Ok(None));
        if has_none || is_gone(&self.local.delete(collection, key).await) {
            write.deleted();
        }
    }
}

impl<L> Drop for Ear<L> {
    fn drop(&mut self) {
        self.fills.set_watched(Watched::Unasked);
    }
}

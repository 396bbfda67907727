//! [`Changes`]: what has changed in a running server, for those who watch it.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// How many changes a watcher may be behind before it is told that it has missed some.
const BACKLOG: usize = 256;

/// Something that has changed.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Which tools there are.
    Tools,
    /// Which resources and templates there are.
    Resources,
    /// Which prompts there are.
    Prompts,
    /// What is read at this URI.
    Content(Arc<str>),
    /// Which is not known: it may be all of them.
    Anything,
}

/// Where changes are told.
#[derive(Debug)]
pub(crate) struct Changes(broadcast::Sender<Change>);

impl Changes {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }

    pub(crate) fn tell(&self, change: Change) {
        // Without watchers there is nobody to tell.
        let _ = self.0.send(change);
    }

    pub(crate) fn watch(&self) -> Watcher {
        Watcher(self.0.subscribe())
    }
}

/// Sees all changes since it was made.
#[derive(Debug)]
pub(crate) struct Watcher(broadcast::Receiver<Change>);

/// All that has changed since the last time, each once.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changed {
    pub(crate) tools: bool,
    pub(crate) resources: bool,
    pub(crate) prompts: bool,
    contents: BTreeSet<Arc<str>>,
    /// More has changed than was counted: it may be anything.
    missed: bool,
}

impl Watcher {
    /// Waits for a change, and returns all that there are by then. `None` when the server is gone.
    pub(crate) async fn changed(&mut self) -> Option<Changed> {
        let mut changed = Changed::default();
        match self.0.recv().await {
            Ok(change) => changed.add(change),
            Err(RecvError::Lagged(_)) => changed.add_all(),
            Err(RecvError::Closed) => return None,
        }
        loop {
            match self.0.try_recv() {
                Ok(change) => changed.add(change),
                Err(TryRecvError::Lagged(_)) => changed.add_all(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return Some(changed),
            }
        }
    }
}

impl Changed {
    /// Returns those of `uris` whose content has changed, or may have.
    pub(crate) fn of<'a>(
        &'a self,
        uris: impl IntoIterator<Item = &'a String>,
    ) -> impl Iterator<Item = &'a String> {
        uris.into_iter()
            .filter(|uri| self.missed || self.contents.contains(uri.as_str()))
    }

    fn add(&mut self, change: Change) {
        match change {
            Change::Tools => self.tools = true,
            Change::Resources => self.resources = true,
            Change::Prompts => self.prompts = true,
            Change::Content(uri) => {
                self.contents.insert(uri);
            }
            Change::Anything => self.add_all(),
        }
    }

    fn add_all(&mut self) {
        self.tools = true;
        self.resources = true;
        self.prompts = true;
        self.missed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn changes_that_pile_up_are_told_once() {
        let changes = Changes::new();
        changes.tell(Change::Resources);
        let mut watcher = changes.watch();
        for _ in 0..3 {
            changes.tell(Change::Tools);
            changes.tell(Change::Content("a://b".into()));
        }
        let changed = watcher.changed().await.unwrap();
        assert!(changed.tools && !changed.resources && !changed.prompts);
        let uris = ["a://b".to_owned(), "a://c".to_owned()];
        assert_eq!(changed.of(&uris).collect::<Vec<_>>(), ["a://b"]);
        drop(changes);
        assert_eq!(watcher.changed().await, None);
    }

    #[tokio::test]
    async fn who_is_too_slow_learns_that_anything_may_have_changed() {
        let changes = Changes::new();
        let mut watcher = changes.watch();
        for _ in 0..=BACKLOG {
            changes.tell(Change::Tools);
        }
        let changed = watcher.changed().await.unwrap();
        assert!(changed.tools && changed.resources && changed.prompts);
        let uris = ["a://b".to_owned()];
        assert_eq!(changed.of(&uris).count(), 1);
    }
}

//! [`SessionMark`]: the session of a message, and what its client has set.
#![expect(
    deprecated,
    reason = "setting a level works until the protocol drops it"
)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kv_core::Revision;
use serde::{Deserialize, Serialize};

use super::http::Home;
use crate::LogLevel;
use crate::types::LoggingLevel;

/// The session of an HTTP request, put into it by the session manager after it has found the
/// session. A header alone proves nothing: stateless requests may carry any.
#[derive(Clone, Debug)]
pub(crate) struct SessionMark {
    pub(crate) id: Arc<str>,
    pub(crate) settings: Arc<Settings>,
}

/// What the client of a session sets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Chosen {
    /// The least grave message that it wants to hear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) level: Option<LoggingLevel>,
    /// The resources of whose changes it wants to hear.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) subscriptions: BTreeSet<String>,
}

/// What the client of a session has set, here and in the record of the session.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    known: Mutex<Known>,
    /// `None` for a connection that ends with its process.
    home: Option<Home>,
}

#[derive(Debug, Default)]
struct Known {
    chosen: Chosen,
    /// Of the record that it was read from.
    revision: Option<Revision>,
}

impl Settings {
    pub(crate) fn new(home: Home, chosen: Chosen) -> Self {
        let known = Known {
            chosen,
            revision: None,
        };
        Self {
            known: Mutex::new(known),
            home: Some(home),
        }
    }

    pub(crate) fn level(&self) -> LogLevel {
        let level = self.known().chosen.level;
        level.map_or(LogLevel::Info, Into::into)
    }

    pub(crate) fn subscriptions(&self) -> BTreeSet<String> {
        self.known().chosen.subscriptions.clone()
    }

    /// Changes what is set, for all instances.
    ///
    /// # Errors
    ///
    /// Those of the store; nothing is changed then. Those of `change`, and nothing is changed.
    pub(crate) async fn change<E: Send>(
        &self,
        mut change: impl FnMut(&mut Chosen) -> Result<(), E> + Send,
    ) -> Result<Result<(), E>, kv_core::Error> {
        let Some(home) = &self.home else {
            return Ok(change(&mut self.known().chosen));
        };
        let (changed, chosen) = home.change(change).await?;
        if changed.is_ok() {
            self.known().chosen = chosen;
        }
        Ok(changed)
    }

    /// Takes over what another instance has set, if it is not known yet.
    pub(crate) fn follow(
        &self,
        revision: Option<&Revision>,
        read: impl FnOnce() -> Option<Chosen>,
    ) {
        let mut known = self.known();
        if known.revision.as_ref() == revision {
            return;
        }
        if let Some(chosen) = read() {
            known.chosen = chosen;
            known.revision = revision.cloned();
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

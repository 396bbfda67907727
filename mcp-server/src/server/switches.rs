//! [`Disabled`]: which components are switched off, on all instances that share a store.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use kv_core::{Change, Store, StoreExt as _, Watch};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::components::Components;
use crate::error::chain;

/// Where the store has [`Disabled`]: the collection and the key.
const RECORD: (&str, &str) = ("mcp_server", "disabled");

/// How often instances look, where the store cannot tell them of a change.
const POLL: Duration = Duration::from_secs(2);

/// The components that are switched off, by name. They need not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Disabled {
    pub(crate) tools: BTreeSet<String>,
    pub(crate) resources: BTreeSet<String>,
    pub(crate) prompts: BTreeSet<String>,
}

impl Disabled {
    pub(crate) async fn load(store: &dyn Store) -> Result<Self, kv_core::Error> {
        let (collection, key) = RECORD;
        Ok(store.get_value(collection, key).await?.unwrap_or_default())
    }

    /// Changes what the store has, and returns it.
    pub(crate) async fn change(
        store: &dyn Store,
        mut change: impl FnMut(&mut Self) + Send,
    ) -> Result<Self, kv_core::Error> {
        let (collection, key) = RECORD;
        let changed = move |old: Option<Self>| {
            let mut disabled = old.unwrap_or_default();
            change(&mut disabled);
            Some(disabled)
        };
        let stored = store.update(collection, key, None, changed).await?;
        Ok(stored.unwrap_or_default())
    }
}

/// Does to `components` what other instances on `store` have switched, for as long as they are
/// there.
pub(crate) async fn follow(components: Weak<Components>, store: Arc<dyn Store>) {
    let mut watch = store.watch(RECORD.0).ok();
    loop {
        wait(&mut watch).await;
        let Some(components) = components.upgrade() else {
            return;
        };
        if let Err(error) = components.load(&*store).await {
            let error = chain(&error);
            tracing::warn!(error, "cannot read which components are disabled");
        }
    }
}

/// Waits until the record may have changed.
async fn wait(watch: &mut Option<Watch>) {
    while let Some(changes) = watch {
        match changes.next().await {
            Some(Change::Watching) => return,
            Some(Change::Entry { collection, key }) if (&*collection, &*key) == RECORD => return,
            Some(_) => {}
            None => *watch = None,
        }
    }
    sleep(POLL).await;
}

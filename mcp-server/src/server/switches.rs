//! [`Disabled`]: which components are switched off, on all instances that share a store.

use std::collections::BTreeSet;

use kv_core::{Store, StoreExt as _};
use serde::{Deserialize, Serialize};

/// Where the store has [`Disabled`]: the collection and the key.
const RECORD: (&str, &str) = ("mcp_server", "disabled");

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

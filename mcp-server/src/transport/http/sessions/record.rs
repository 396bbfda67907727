//! [`Records`]: what the store knows of sessions, for all instances of the server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kv_core::{Entry, Error, Result, Store, StoreExt as _, Timestamp, Value};
use rmcp::model::InitializeRequestParams;
use serde::{Deserialize, Serialize};

use super::SessionLimits;
use crate::Principal;
use crate::hash::sha256_hex;
use crate::server::{Bus, Event};
use crate::transport::Chosen;

/// The collection of sessions.
const COLLECTION: &str = "mcp_sessions";

/// The largest record at the beginning of a session, in bytes: what a client says of itself is
/// smaller by far.
const MAX_BYTES: usize = 64 << 10;

/// Who may use a session: the hash of what tells a principal from others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Owner(Arc<str>);

impl Owner {
    pub(super) fn of(principal: &Principal) -> Self {
        let Principal {
            issuer,
            subject,
            client_id,
            ..
        } = principal;
        let identity = serde_json::json!([issuer, subject, client_id]);
        Self(sha256_hex(identity.to_string()).into())
    }
}

/// A session, as the store has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// Who opened it. To anybody else it is unknown.
    pub(super) owner: Option<Owner>,
    pub(super) initialize: InitializeRequestParams,
    /// When it ends, however much it is used, in microseconds since 1970.
    ends: i64,
    #[serde(flatten)]
    pub(super) chosen: Chosen,
}

impl Record {
    pub(super) fn ends(&self) -> Timestamp {
        Timestamp::from_micros(self.ends)
    }
}

/// The records of sessions. Their keys are hashes: who reads the store gets no session id.
pub(super) struct Records {
    store: Arc<dyn Store>,
    bus: Arc<Bus>,
    idle: Duration,
    init: Duration,
    max_age: Duration,
}

impl Records {
    pub(super) fn new(store: Arc<dyn Store>, bus: Arc<Bus>, limits: &SessionLimits) -> Self {
        Self {
            store,
            bus,
            idle: limits.idle,
            init: limits.init,
            max_age: limits.max_age,
        }
    }

    pub(super) const fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Tells whether other instances can change the records.
    pub(super) fn are_shared(&self) -> bool {
        self.store.info().shared
    }

    /// Writes the record of a new session, which is there for a short time if nothing follows.
    /// Returns when the session ends at the latest.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] when the client says too much of itself.
    pub(super) async fn create(
        &self,
        id: &str,
        owner: Option<Owner>,
        initialize: InitializeRequestParams,
    ) -> Result<Timestamp> {
        let now = self.store.clock().now();
        let ends = now.plus_ttl(self.max_age)?;
        let record = Record {
            owner,
            initialize,
            ends: ends.as_micros(),
            chosen: Chosen::default(),
        };
        let value = Value::encode(&record)?;
        let size = value.as_bytes().len();
        if size > MAX_BYTES {
            let (limit, size) = (MAX_BYTES as u64, size as u64);
            return Err(Error::TooLarge { limit, size });
        }
        let entry = Entry::new(value)
            .with_created_at(now)
            .with_expires_at(now.plus_ttl(self.init)?);
        let mode = kv_core::PutMode::Overwrite;
        self.store.put(COLLECTION, &key(id), entry, mode).await?;
        Ok(ends)
    }

    /// Returns the entry of a session as it is now.
    pub(super) async fn get(&self, id: &str) -> Result<Option<Entry>> {
        self.store.get_fresh(COLLECTION, &key(id)).await
    }

    /// Lets a session live on from now. Tells whether it is there.
    pub(super) async fn renew(&self, id: &str, ends: Timestamp) -> Result<bool> {
        let left = ends.saturating_since(self.store.clock().now());
        if left.is_zero() {
            return Ok(false);
        }
        let ttl = Some(self.idle.min(left));
        self.store.touch(COLLECTION, &key(id), ttl).await
    }

    /// Ends a session for all instances. Tells whether it was there.
    pub(super) async fn remove(&self, id: &str) -> Result<bool> {
        let key = key(id);
        let was_there = self.store.delete(COLLECTION, &key).await?;
        self.bus.tell(Event::Session(key));
        Ok(was_there)
    }

    /// Returns where what the client of a session sets is kept.
    pub(super) fn home(&self, id: &str) -> Home {
        Home {
            store: Arc::clone(&self.store),
            bus: Arc::clone(&self.bus),
            key: key(id),
        }
    }
}

/// Returns the key of a session's record.
pub(super) fn key(id: &str) -> String {
    sha256_hex(id)
}

/// Where what the client of a session sets is kept.
pub(crate) struct Home {
    store: Arc<dyn Store>,
    bus: Arc<Bus>,
    key: String,
}

impl Home {
    /// Changes what is set, and returns it with what `change` returns, whose errors change nothing.
    pub(crate) async fn change<E: Send>(
        &self,
        mut change: impl FnMut(&mut Chosen) -> std::result::Result<(), E> + Send,
    ) -> Result<(std::result::Result<(), E>, Chosen)> {
        let (mut changed, mut chosen) = (Ok(()), Chosen::default());
        let changing = |entry: Option<&Entry>| -> Result<Option<Entry>> {
            // One that has ended is not made again.
            let Some(entry) = entry else {
                return Ok(None);
            };
            let mut record: Record = entry.value.decode()?;
            changed = change(&mut record.chosen);
            if changed.is_err() {
                return Ok(None);
            }
            let mut entry = entry.clone();
            entry.value = Value::encode(&record)?;
            chosen = record.chosen;
            Ok(Some(entry))
        };
        self.store
            .update_entry(COLLECTION, &self.key, changing)
            .await?;
        if changed.is_ok() {
            self.bus.tell(Event::Session(self.key.clone()));
        }
        Ok((changed, chosen))
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home").finish_non_exhaustive()
    }
}

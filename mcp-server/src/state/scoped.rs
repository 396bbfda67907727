//! [`ScopedState`]: named JSON values of one scope, in the server's store.

use std::fmt;
use std::sync::{Arc, Once};
use std::time::Duration;

use futures_util::TryStreamExt;
use kv_core::{Entry, Error as StoreError, KeyQuery, PutMode, Store, StoreExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Scope;

/// The collection of FastMCP's context state.
pub(super) const COLLECTION: &str = "fastmcp_state";

/// How many entries `clear` removes in one bulk call.
const CLEAR_BATCH: usize = 100;

/// Named values of one scope: a session, a caller, or the whole server.
///
/// Values are anything that serializes to JSON. They are kept for the scope's TTL (see
/// [`Context`](crate::Context)), counted anew by each `set` and by a `get` that finds less than
/// half of it left. Every method fails with [`StateError`] when the scope does not exist for this
/// caller, or when the store does.
///
/// # Examples
///
/// ```
/// use mcp_server::{Context, ToolError};
///
/// async fn count_calls(cx: Context) -> Result<u64, ToolError> {
///     let calls = cx.state().update("calls", |calls: Option<u64>| calls.unwrap_or(0) + 1).await?;
///     Ok(calls)
/// }
/// ```
#[derive(Clone)]
pub struct ScopedState {
    store: Arc<dyn Store>,
    scope: Result<Scope, StateError>,
}

impl ScopedState {
    pub(crate) fn new(store: Arc<dyn Store>, scope: Result<Scope, StateError>) -> Self {
        Self { store, scope }
    }

    /// Keeps values set through this handle for `ttl` instead of the scope's default; `None` keeps
    /// them for ever.
    #[must_use]
    pub fn with_ttl(mut self, ttl: impl Into<Option<Duration>>) -> Self {
        if let Ok(scope) = &mut self.scope {
            scope.ttl = ttl.into();
        }
        self
    }

    /// Returns the value of `key`; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`StateError::Store`] when the value is not a `T`, or the store fails.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StateError> {
        let (scope, name) = self.locate(key)?;
        let Some(entry) = self.store.get(COLLECTION, &name).await? else {
            return Ok(None);
        };
        let stored: Stored<T> = entry.value.decode()?;
        self.renew(scope, &name, entry).await?;
        Ok(Some(stored.value))
    }

    /// Returns the value of `key`, or `default` when there is none.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn get_or<T: DeserializeOwned>(
        &self,
        key: &str,
        default: T,
    ) -> Result<T, StateError> {
        Ok(self.get(key).await?.unwrap_or(default))
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    ///
    /// [`StateError::Store`] when the value does not serialize, the key with its scope is longer
    /// than 1024 bytes, or the store fails.
    pub async fn set<T: Serialize + Sync + ?Sized>(
        &self,
        key: &str,
        value: &T,
    ) -> Result<(), StateError> {
        let (scope, _) = self.locate(key)?;
        self.put(key, value, scope.ttl).await
    }

    /// Sets the value of `key`, to be kept for `ttl`.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub async fn set_with_ttl<T: Serialize + Sync + ?Sized>(
        &self,
        key: &str,
        value: &T,
        ttl: Duration,
    ) -> Result<(), StateError> {
        self.put(key, value, Some(ttl)).await
    }

    /// Removes the value of `key`, and tells whether there was one.
    ///
    /// # Errors
    ///
    /// [`StateError::Store`] when the store fails.
    pub async fn remove(&self, key: &str) -> Result<bool, StateError> {
        let (_, name) = self.locate(key)?;
        Ok(self.store.delete(COLLECTION, &name).await?)
    }

    /// Changes the value of `key` atomically, among all calls and all instances of the server, and
    /// returns the new one.
    ///
    /// `change` is given the present value and may be called again when another writer was faster,
    /// so it must not have effects of its own.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get) and [`set`](Self::set); [`kv_core::Error::Conflict`] after 100 tries
    /// that all lost to other writers.
    pub async fn update<T, F>(&self, key: &str, mut change: F) -> Result<T, StateError>
    where
        T: Serialize + DeserializeOwned + Send,
        F: FnMut(Option<T>) -> T + Send,
    {
        let (scope, name) = self.locate(key)?;
        let updated = self
            .store
            .update(COLLECTION, &name, scope.ttl, |stored: Option<Stored<T>>| {
                Some(Stored {
                    value: change(stored.map(|stored| stored.value)),
                })
            })
            .await?;
        updated
            .map(|stored| stored.value)
            .ok_or(StateError::Store(StoreError::Conflict))
    }

    /// Removes every value of this scope. Lists the collection to find them.
    ///
    /// # Errors
    ///
    /// [`StateError::Store`] when the store fails; some values may be gone then.
    pub async fn clear(&self) -> Result<(), StateError> {
        let scope = self.scope.as_ref().map_err(Clone::clone)?;
        let query = KeyQuery::new().with_prefix(format!("{}:", scope.name));
        let names: Vec<String> = self
            .store
            .keys_stream(COLLECTION, query)
            .try_collect()
            .await?;
        for batch in names.chunks(CLEAR_BATCH) {
            let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
            self.store.delete_many(COLLECTION, &batch).await?;
        }
        Ok(())
    }

    /// Returns the scope, and the entry's key for `key`.
    fn locate(&self, key: &str) -> Result<(&Scope, String), StateError> {
        let scope = self.scope.as_ref().map_err(Clone::clone)?;
        if key.is_empty() {
            return Err(StateError::EmptyKey);
        }
        Ok((scope, format!("{}:{key}", scope.name)))
    }

    async fn put<T: Serialize + Sync + ?Sized>(
        &self,
        key: &str,
        value: &T,
        ttl: Option<Duration>,
    ) -> Result<(), StateError> {
        let (_, name) = self.locate(key)?;
        let stored = Stored { value };
        Ok(self
            .store
            .put_value(COLLECTION, &name, &stored, ttl)
            .await?)
    }

    /// Gives an entry the scope's whole TTL again when less than half of it is left, unless it was
    /// set with a shorter one of its own.
    ///
    /// Losing to another writer is fine: that one has renewed it.
    async fn renew(&self, scope: &Scope, name: &str, entry: Entry) -> Result<(), StateError> {
        let (Some(ttl), Some(created), Some(end)) = (scope.ttl, entry.created_at, entry.expires_at)
        else {
            return Ok(());
        };
        let now = self.store.clock().now();
        let own_ttl = end.saturating_since(created) < ttl;
        if own_ttl || end.saturating_since(now) >= ttl / 2 {
            return Ok(());
        }
        let Some(revision) = entry.revision.clone() else {
            return Ok(());
        };
        let renewed = entry
            .with_created_at(now)
            .with_expires_at(now.plus_ttl(ttl)?);
        match self
            .store
            .put(COLLECTION, name, renewed, PutMode::Update(revision))
            .await
        {
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl fmt::Debug for ScopedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedState")
            .field("store", &self.store.info().name)
            .finish_non_exhaustive()
    }
}

/// How a value lies in the store: FastMCP's form.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored<T> {
    pub(super) value: T,
}

/// Why state cannot be read or written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The caller is anonymous on a listener that others can reach, so its state would be
    /// everybody's.
    #[error(
        "an anonymous caller on a public address has no state of its own; authenticate callers, \
         use server_state() for what all may share, or set .shared_anonymous_state(true)"
    )]
    NoPrincipal,

    /// The connection has no session: it is a stateless one, of protocol 2026-07-28 or later.
    #[error("this connection has no session; use state() or user_state()")]
    NoSession,

    /// The handle was not made for this caller, or has ended.
    #[error("the session is unknown; create one")]
    UnknownSession,

    /// The key is empty.
    #[error("a state key must not be empty")]
    EmptyKey,

    /// The store failed, or the stored value is of another type.
    #[error("the state cannot be read or written")]
    Store(#[from] StoreError),
}

impl StateError {
    /// Returns what a client may know, where it is the client that can do something about it.
    pub(crate) fn for_client(&self) -> Option<&'static str> {
        match self {
            Self::NoPrincipal => {
                NO_PRINCIPAL.call_once(|| tracing::warn!("{self}"));
                Some("this needs to know who calls; authenticate and try again")
            }
            Self::UnknownSession => Some("the session is unknown; create one"),
            Self::EmptyKey => Some("the key must not be empty"),
            Self::Store(StoreError::InvalidName { .. }) => Some("the key is too long"),
            Self::NoSession | Self::Store(_) => None,
        }
    }
}

/// Whether the operator has been told how anonymous callers can have state.
static NO_PRINCIPAL: Once = Once::new();

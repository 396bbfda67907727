//! [`StateHandle`]: state that a client names by a handle which it was given.

use std::fmt;
use std::sync::Arc;

use kv_core::{Store, StoreExt as _};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::StateError;
use super::scope::{SESSION_TTL, USER_TTL};
use super::scoped::{COLLECTION, Stored};
use crate::auth::{Caller, Principal};
use crate::hash::sha256_hex;
use crate::types::JsonObject;
use crate::{Context, Tool, ToolDefinition, tool_fn};

/// The handle of some state, as an argument of a tool; see [`StateHandle`].
///
/// # Examples
///
/// ```
/// use mcp_server::{Context, Server, SessionId, ToolError, tool};
///
/// /// Puts something into the basket.
/// #[tool]
/// async fn put(cx: Context, session_id: SessionId, what: String) -> Result<usize, ToolError> {
///     let basket = cx.session(&session_id).await?;
///     let add = |basket: Option<Vec<String>>| {
///         let mut basket = basket.unwrap_or_default();
///         basket.push(what.clone());
///         basket
///     };
///     Ok(basket.update("basket", add).await?.len())
/// }
///
/// let server = Server::builder("Shop").session_tools().tool(put).build()?;
/// # Ok::<_, mcp_server::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(
    transparent,
    description = "Session identifier. Use a tool to create a session, then pass the resulting id \
                   here to persist state across calls in the same session."
)]
#[serde(transparent)]
pub struct SessionId(String);

impl SessionId {
    /// Returns it as a text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for SessionId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl From<&str> for SessionId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

/// Does not show it: without authentication, who knows it has the state.
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionId").finish_non_exhaustive()
    }
}

/// State that a client names by the handle which it was given for it, on any connection: also on the
/// stateless ones of protocol 2026-07-28, where calls belong together by nothing else.
///
/// [`Context::create_session`] makes one, and [`Context::session`] finds it again;
/// [`session_tools`](crate::ServerBuilder::session_tools) gives clients a tool for the first. A handle
/// is random (122 bits), and good for the caller that it was made for: to any other it is unknown. All
/// who are not authenticated are one such caller, so that for them it is like a password.
///
/// What it names is one entry of the store, as Python's FastMCP has it: it is read and written as a
/// whole, atomically among all instances. It is kept for 90 days, for a caller that is not
/// authenticated for 24 hours, counted anew by each change and by a read that finds less than half of
/// it left.
///
/// All methods fail with [`StateError::UnknownSession`] when it has ended, and with
/// [`StateError::Store`] when the store fails or a value is of another type.
#[derive(Clone)]
pub struct StateHandle {
    store: Arc<dyn Store>,
    id: SessionId,
    key: String,
    ttl: std::time::Duration,
}

/// What a handle names, in FastMCP's form.
#[derive(Clone, Serialize, Deserialize)]
struct Bucket {
    /// When it was made, in seconds since 1970. What has none was not made by `create_session`.
    #[serde(rename = "_created")]
    created: Option<f64>,
    #[serde(default)]
    state: JsonObject,
    #[serde(flatten)]
    others: JsonObject,
}

impl StateHandle {
    fn new(store: &Arc<dyn Store>, caller: &Caller, id: SessionId) -> Self {
        let principal = match caller {
            Caller::Authenticated(principal) => Some(principal),
            Caller::Local | Caller::Anonymous => None,
        };
        let owner = principal.map_or_else(|| "anon".to_owned(), segment);
        Self {
            store: Arc::clone(store),
            key: format!("session:{owner}:{}", id.0),
            id,
            ttl: principal.map_or(SESSION_TTL, |_| USER_TTL),
        }
    }

    pub(crate) async fn create(
        store: &Arc<dyn Store>,
        caller: &Caller,
    ) -> Result<Self, StateError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).expect("the system has random numbers");
        // A UUID of version 4, as FastMCP's.
        random[6] = random[6] & 0x0f | 0x40;
        random[8] = random[8] & 0x3f | 0x80;
        let hex = crate::hash::hex(&random);
        let parts = [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ];
        let handle = Self::new(store, caller, SessionId(parts.join("-")));
        #[expect(clippy::cast_precision_loss, reason = "microseconds fit for 285 years")]
        let created = store.clock().now().as_micros() as f64 / 1e6;
        let bucket = Bucket {
            created: Some(created),
            state: JsonObject::new(),
            others: JsonObject::new(),
        };
        let stored = Stored { value: bucket };
        store
            .put_value(COLLECTION, &handle.key, &stored, Some(handle.ttl))
            .await?;
        Ok(handle)
    }

    pub(crate) async fn find(
        store: &Arc<dyn Store>,
        caller: &Caller,
        id: &SessionId,
    ) -> Result<Self, StateError> {
        // Longer ones are nobody's, and no key.
        if !(1..=64).contains(&id.0.len()) {
            return Err(StateError::UnknownSession);
        }
        let handle = Self::new(store, caller, id.clone());
        handle.load().await?;
        Ok(handle)
    }

    /// Returns the handle.
    #[must_use]
    pub const fn id(&self) -> &SessionId {
        &self.id
    }

    /// Returns the value of `key`; `None` when there is none.
    ///
    /// # Errors
    ///
    /// As [`StateHandle`] says.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StateError> {
        let mut bucket = self.load().await?;
        let value = bucket.state.remove(key);
        Ok(value.map(from_json).transpose()?)
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    ///
    /// As [`StateHandle`] says.
    pub async fn set<T: Serialize + Sync + ?Sized>(
        &self,
        key: &str,
        value: &T,
    ) -> Result<(), StateError> {
        let value = to_json(value)?;
        self.change(|state| {
            state.insert(key.to_owned(), value.clone());
            Ok(())
        })
        .await
    }

    /// Removes the value of `key`, and tells whether there was one.
    ///
    /// # Errors
    ///
    /// As [`StateHandle`] says.
    pub async fn remove(&self, key: &str) -> Result<bool, StateError> {
        let mut was_there = false;
        self.change(|state| {
            was_there = state.remove(key).is_some();
            Ok(())
        })
        .await?;
        Ok(was_there)
    }

    /// Changes the value of `key` atomically, among all calls and all instances of the server, and
    /// returns the new one.
    ///
    /// `change` is given the present value and may be called again when another writer was faster,
    /// so it must not have effects of its own.
    ///
    /// # Errors
    ///
    /// As [`StateHandle`] says; [`kv_core::Error::Conflict`] after 100 tries that all lost to other
    /// writers.
    pub async fn update<T, F>(&self, key: &str, mut change: F) -> Result<T, StateError>
    where
        T: Serialize + DeserializeOwned + Send,
        F: FnMut(Option<T>) -> T + Send,
    {
        let mut new = None;
        self.change(|state| {
            let old = state.remove(key).map(from_json).transpose()?;
            let value = change(old);
            state.insert(key.to_owned(), to_json(&value)?);
            new = Some(value);
            Ok(())
        })
        .await?;
        new.ok_or(StateError::UnknownSession)
    }

    /// Removes all values. The handle stays good.
    ///
    /// # Errors
    ///
    /// As [`StateHandle`] says.
    pub async fn clear(&self) -> Result<(), StateError> {
        self.change(|state| {
            state.clear();
            Ok(())
        })
        .await
    }

    /// Ends it: the handle is unknown from now on, and the values are gone.
    ///
    /// # Errors
    ///
    /// As [`StateHandle`] says.
    pub async fn end(self) -> Result<(), StateError> {
        if self.store.delete(COLLECTION, &self.key).await? {
            return Ok(());
        }
        Err(StateError::UnknownSession)
    }

    async fn load(&self) -> Result<Bucket, StateError> {
        let entry = self.store.get(COLLECTION, &self.key).await?;
        let entry = entry.ok_or(StateError::UnknownSession)?;
        let stored: Stored<Bucket> = entry.value.decode()?;
        if stored.value.created.is_none() {
            return Err(StateError::UnknownSession);
        }
        if let Some(end) = entry.expires_at
            && end.saturating_since(self.store.clock().now()) < self.ttl / 2
        {
            self.store
                .touch(COLLECTION, &self.key, Some(self.ttl))
                .await?;
        }
        Ok(stored.value)
    }

    async fn change(
        &self,
        mut change: impl FnMut(&mut JsonObject) -> kv_core::Result<()> + Send,
    ) -> Result<(), StateError> {
        let mut changed = Ok(());
        let stored = self
            .store
            .update(
                COLLECTION,
                &self.key,
                Some(self.ttl),
                |old: Option<Stored<Bucket>>| {
                    let mut stored = old.filter(|stored| stored.value.created.is_some())?;
                    changed = change(&mut stored.value.state);
                    changed.is_ok().then_some(stored)
                },
            )
            .await?;
        changed?;
        stored.map(drop).ok_or(StateError::UnknownSession)
    }
}

impl fmt::Debug for StateHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateHandle").finish_non_exhaustive()
    }
}

/// Returns FastMCP's segment of a principal: the hash of its client, issuer and subject.
fn segment(principal: &Principal) -> String {
    let Principal {
        client_id,
        issuer,
        subject,
        ..
    } = principal;
    sha256_hex(serde_json::json!([client_id, issuer, subject]).to_string())
}

fn to_json<T: Serialize + ?Sized>(value: &T) -> kv_core::Result<Value> {
    let value = kv_core::Value::encode(&Stored { value })?;
    let stored: Stored<Value> = value.decode()?;
    Ok(stored.value)
}

fn from_json<T: DeserializeOwned>(value: Value) -> kv_core::Result<T> {
    let value = kv_core::Value::encode(&Stored { value })?;
    let stored: Stored<T> = value.decode()?;
    Ok(stored.value)
}

/// Returns the tools by which clients make and end handles: FastMCP's.
pub(crate) fn session_tools() -> [Arc<dyn Tool>; 2] {
    /// What `create_session` takes.
    #[derive(Deserialize, JsonSchema)]
    struct Nothing {}

    /// What `end_session` takes.
    #[derive(Deserialize, JsonSchema)]
    struct Which {
        session_id: SessionId,
    }

    let create = ToolDefinition::new("create_session").with_description(
        "Creates a session, and returns its id. Pass it as session_id in later calls: they keep \
         what they have to remember there.",
    );
    let create = tool_fn(create, |cx: Context, _: Nothing| async move {
        Ok(cx.create_session().await?.id().clone())
    });
    let end = ToolDefinition::new("end_session").with_description(
        "Ends a session: its id is unknown from then on, and what it kept is gone.",
    );
    let end = tool_fn(end, |cx: Context, which: Which| async move {
        cx.session(&which.session_id).await?.end().await?;
        Ok("session ended".to_owned())
    });
    [Arc::new(create), Arc::new(end)]
}

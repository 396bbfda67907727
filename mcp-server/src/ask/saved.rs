//! [`Chain`]: what a call that is made again with answers carries from one time to the next.

use std::time::Duration;

use kv_core::{StoreExt as _, Timestamp};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::replay::Known;
use crate::Result;
use crate::server::Core;
use crate::types::{InputRequests, InputRequiredResult, JsonObject};

/// How long a client may take to answer.
const LIFE: Duration = Duration::from_secs(10 * 60);

/// The longest state that is handed to the client. A longer one stays in the store.
const MAX_HANDED: usize = 16 * 1024;

/// Where longer states are.
const COLLECTION: &str = "mcp_request_states";

/// How the name of a state in the store begins. No sealed text does.
const NAME: char = '@';

/// A call that is made again and again until all its questions are answered: what it is, and by
/// whom, so that its state is of no use for another.
pub(crate) struct Chain<'a> {
    core: &'a Core,
    bound: [u8; 32],
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct State {
    /// When it ends, in microseconds since 1970.
    #[serde(rename = "e")]
    end: i64,
    #[serde(flatten)]
    known: Known,
}

/// A sealed state in the store.
#[derive(Serialize, Deserialize)]
struct Kept {
    state: String,
}

impl<'a> Chain<'a> {
    /// Describes the call of `method` with these parameters, by this caller.
    pub(crate) fn new(
        core: &'a Core,
        caller: &str,
        method: &str,
        name: &str,
        arguments: Option<&JsonObject>,
    ) -> Self {
        let call = (caller, method, name, arguments.map(SortedMembers));
        // JSON can always be written.
        let call = serde_json::to_vec(&call).unwrap_or_default();
        let bound = Sha256::digest(call).into();
        Self { core, bound }
    }

    /// Returns what is known from the time before; `None` when `state` is not of this call, is no
    /// state of this server, or has ended.
    pub(crate) async fn resume(&self, state: &str) -> Result<Option<Known>> {
        let sealer = self.core.sealer().await?;
        let kept;
        let sealed = match state.strip_prefix(NAME) {
            None => state,
            Some(name) => {
                let found = self.core.store.get_value::<Kept>(COLLECTION, name).await;
                match found {
                    Ok(Some(Kept { state })) => kept = state,
                    Ok(None) | Err(kv_core::Error::InvalidName { .. }) => return Ok(None),
                    Err(error) => return Err(error.into()),
                }
                &kept
            }
        };
        let opened = sealer.open(&self.bound, sealed);
        let state = opened.and_then(|text| serde_json::from_slice::<State>(&text).ok());
        let now = self.core.store.clock().now().as_micros();
        Ok(state
            .filter(|state| now < state.end)
            .map(|state| state.known))
    }

    /// Returns the answer that asks the client, with what the next time is to know.
    pub(crate) async fn suspend(
        &self,
        requests: InputRequests,
        known: Known,
    ) -> Result<InputRequiredResult> {
        let store = &self.core.store;
        let end = store
            .clock()
            .now()
            .plus_ttl(LIFE)
            .map_or(i64::MAX, Timestamp::as_micros);
        let state = serde_json::to_vec(&State { end, known }).unwrap_or_default();
        let mut sealed = self.core.sealer().await?.seal(&self.bound, &state)?;
        if sealed.len() > MAX_HANDED {
            let mut name = [0; 16];
            getrandom::fill(&mut name).map_err(|_| crate::Error::InvalidOption {
                option: "keys",
                reason: "the system gave no random bytes".to_owned(),
            })?;
            let name = name
                .iter()
                .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
            let kept = Kept { state: sealed };
            store
                .put_value(COLLECTION, &name, &kept, Some(LIFE))
                .await?;
            sealed = format!("{NAME}{name}");
        }
        Ok(InputRequiredResult::new(Some(requests), Some(sealed)))
    }
}

/// Writes a value with the members of its objects in order, as a client may send them in another.
struct Sorted<'a>(&'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(members) => SortedMembers(members).serialize(serializer),
            Value::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            value => value.serialize(serializer),
        }
    }
}

/// Writes an object as [`Sorted`] does.
struct SortedMembers<'a>(&'a JsonObject);

impl Serialize for SortedMembers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut members: Vec<_> = self.0.iter().collect();
        members.sort_unstable_by_key(|(name, _)| *name);
        let members = members.into_iter();
        serializer.collect_map(members.map(|(name, value)| (name, Sorted(value))))
    }
}

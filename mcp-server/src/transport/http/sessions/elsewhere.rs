//! What concerns a session here and arrives on another instance.
//!
//! A question to a client has an id that names the instance that asks. The answer is a request of its
//! own, which a load balancer may send anywhere: it is put into the store for that instance, which is
//! told. So is the end of a session, what its client sets, and a cancelled request.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kv_core::{KeyQuery, StoreExt as _};
use rmcp::RoleServer;
use rmcp::model::{ClientJsonRpcMessage, ClientNotification, RequestId};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::streamable_http_server::SessionManager as _;
use rmcp::transport::streamable_http_server::session::SessionId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::record::Record;
use super::{Inner, RENEWALS, SessionsError};
use crate::error::chain;
use crate::hash::hex;
use crate::server::{Event, Heard};
use crate::types::{JsonRpcMessage, ServerNotification};

/// Where answers wait for the instance that has asked.
const COLLECTION: &str = "mcp_relay";

/// How long they wait.
const TTL: Duration = Duration::from_secs(60);

/// The longest id of a request that other instances are asked for, in bytes.
const MAX_ID_BYTES: usize = 256;

/// The ids of the questions that one worker asks.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    instance: Arc<str>,
    generation: u64,
}

impl Asker {
    pub(super) fn new(instance: Arc<str>, generation: u64) -> Self {
        Self {
            instance,
            generation,
        }
    }

    /// Gives what is asked of a client, or no longer, an id that tells who asks.
    pub(super) fn name(&self, message: &mut TxJsonRpcMessage<RoleServer>) -> bool {
        match message {
            JsonRpcMessage::Request(request) => {
                self.name_id(&mut request.id);
                true
            }
            JsonRpcMessage::Notification(notification) => {
                if let ServerNotification::CancelledNotification(cancelled) =
                    &mut notification.notification
                    && let Some(id) = &mut cancelled.params.request_id
                {
                    self.name_id(id);
                }
                false
            }
            _ => false,
        }
    }

    fn name_id(&self, id: &mut RequestId) {
        let named = format!("{}.{}.{id}", self.instance, self.generation);
        *id = RequestId::String(named.into());
    }

    /// Gives an answer the id that rmcp asked with, if it is one to this worker.
    pub(super) fn unname(&self, message: &mut RxJsonRpcMessage<RoleServer>) {
        let id = match message {
            JsonRpcMessage::Response(response) => &mut response.id,
            JsonRpcMessage::Error(error) => match &mut error.id {
                Some(id) => id,
                None => return,
            },
            _ => return,
        };
        let Some((instance, generation, number)) = parts(id) else {
            return;
        };
        if instance == &*self.instance && generation == self.generation {
            *id = RequestId::Number(number);
        }
    }
}

/// Returns who has asked with this id: the instance, its worker, and the number of the question.
fn parts(id: &RequestId) -> Option<(&str, u64, i64)> {
    let RequestId::String(id) = id else {
        return None;
    };
    let mut parts = id.split('.');
    let (instance, generation, number) = (parts.next()?, parts.next()?, parts.next()?);
    let is_all = parts.next().is_none();
    Some((instance, generation.parse().ok()?, number.parse().ok()?)).filter(|_| is_all)
}

/// An answer that waits for the instance that has asked.
#[derive(Serialize, Deserialize)]
struct Waiting {
    /// The key of the session's record.
    session: String,
    message: Value,
}

impl Inner {
    /// Sends a message of a client to the instance that it is for. Tells whether that is another.
    pub(super) async fn relay(
        &self,
        id: &SessionId,
        message: &ClientJsonRpcMessage,
    ) -> Result<bool, SessionsError> {
        if !self.records.are_shared() {
            return Ok(false);
        }
        let answered = match message {
            JsonRpcMessage::Response(response) => &response.id,
            JsonRpcMessage::Error(error) => match &error.id {
                Some(id) => id,
                None => return Ok(false),
            },
            JsonRpcMessage::Notification(_) => {
                self.relay_cancelled(id, message);
                return Ok(false);
            }
            JsonRpcMessage::Request(_) => return Ok(false),
        };
        let Some((to, _, _)) = parts(answered).filter(|it| it.0 != &**self.bus.instance()) else {
            return Ok(false);
        };
        let waiting = Waiting {
            session: super::record::key(id),
            message: json!(message),
        };
        let mut random = [0; 16];
        getrandom::fill(&mut random).expect("the system has random numbers");
        let key = format!("{to}.{}", hex(&random));
        let store = self.records.store();
        store
            .put_value(COLLECTION, &key, &waiting, Some(TTL))
            .await?;
        let to = to.to_owned();
        self.bus.publish(Event::Answer { to, key }).await?;
        Ok(true)
    }

    /// Tells others of a request that is cancelled and does not run here.
    fn relay_cancelled(&self, id: &SessionId, message: &ClientJsonRpcMessage) {
        let JsonRpcMessage::Notification(notification) = message else {
            return;
        };
        let ClientNotification::CancelledNotification(cancelled) = &notification.notification
        else {
            return;
        };
        let Some(request) = &cancelled.params.request_id else {
            return;
        };
        let is_long = matches!(request, RequestId::String(id) if id.len() > MAX_ID_BYTES);
        if is_long || self.table().is_running(id, request) {
            return;
        }
        let request = json!(request).to_string();
        let session = super::record::key(id);
        self.bus.tell(Event::Cancelled { session, request });
    }

    /// Does what another instance tells.
    async fn hear(&self, event: Event) {
        match event {
            Event::Session(key) => {
                let id = self.table().find_by_key(&key);
                if let Some(id) = id {
                    self.look_after(&id).await;
                }
            }
            Event::Answer { to, key } if to == **self.bus.instance() => {
                if let Err(error) = self.take_answer(&key).await {
                    tracing::warn!(error = chain(&error), "an answer of a client is lost");
                }
            }
            Event::Cancelled { session, request } => self.cancel(&session, &request).await,
            Event::Anything => {
                let ids = self.table().served();
                stream::iter(ids)
                    .for_each_concurrent(RENEWALS, |id| async move { self.look_after(&id).await })
                    .await;
                if let Err(error) = self.take_answers().await {
                    tracing::warn!(error = chain(&error), "answers of clients cannot be listed");
                }
            }
            Event::Answer { .. }
            | Event::Switched
            | Event::Content(_)
            | Event::CacheInvalidated => {}
        }
    }

    /// Cancels a request of a session, if it runs here.
    async fn cancel(&self, session: &str, request: &str) {
        let Ok(request) = serde_json::from_str::<RequestId>(request) else {
            return;
        };
        let found = {
            let table = self.table();
            let found = table.find_by_key(session);
            found.filter(|id| table.is_running(id, &request))
        };
        let cancelled = json!({
            "jsonrpc": "2.0", "method": "notifications/cancelled",
            "params": { "requestId": request },
        });
        if let Some(id) = found
            && let Ok(message) = serde_json::from_value(cancelled)
        {
            // A session that has ended by now has nothing to cancel.
            let _ = self.manager.accept_message(&id, message).await;
        }
    }

    /// Ends a session here if it has ended, or takes over what its client has set.
    async fn look_after(&self, id: &SessionId) {
        match self.records.get(id).await {
            Ok(None) => self.end_here(id).await,
            Ok(Some(entry)) => {
                if let Some(settings) = self.table().settings(id) {
                    settings.follow(entry.revision.as_ref(), || {
                        let record: Record = entry.value.decode().ok()?;
                        Some(record.chosen)
                    });
                }
            }
            Err(error) => tracing::warn!(error = chain(&error), "a session cannot be read"),
        }
    }

    /// Takes all answers that wait for this instance.
    async fn take_answers(&self) -> Result<(), SessionsError> {
        let query = KeyQuery::new().with_prefix(format!("{}.", self.bus.instance()));
        let mut keys = self.records.store().keys_stream(COLLECTION, query);
        while let Some(key) = keys.try_next().await? {
            self.take_answer(&key).await?;
        }
        Ok(())
    }

    async fn take_answer(&self, key: &str) -> Result<(), SessionsError> {
        let Some(entry) = self.records.store().take(COLLECTION, key).await? else {
            return Ok(());
        };
        let waiting: Waiting = entry.value.decode()?;
        let Some(id) = self.table().find_by_key(&waiting.session) else {
            return Ok(());
        };
        if let Ok(message) = serde_json::from_value(waiting.message) {
            self.manager.accept_message(&id, message).await?;
        }
        Ok(())
    }
}

/// Hears other instances for as long as the sessions are there.
pub(super) async fn listen(inner: Weak<Inner>, mut heard: Heard) {
    while let Some(event) = heard.next().await {
        let Some(inner) = inner.upgrade() else { return };
        // Not one after the other: the worker of a session can be busy with a slow reader.
        tokio::spawn(async move { inner.hear(event).await });
    }
}

//! Sessions that are answered again, here or on another instance.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::http::Method;
use axum::http::request::Parts;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use kv_core::Entry;
use rmcp::ServerHandler;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ClientRequest, InitializeRequest,
    InitializedNotification, RequestId,
};
use rmcp::service::serve_server_with_ct;
use rmcp::transport::TransportAdapterIdentity;
use rmcp::transport::streamable_http_server::SessionManager as _;
use rmcp::transport::streamable_http_server::session::{RestoreOutcome, SessionId};

use super::asking::{Refused, refuse};
use super::record::Record;
use super::{Inner, SessionTransport, Sessions, SessionsError, report};
use crate::transport::http::edge::MCP_SESSION_ID;

/// In the messages of a handshake that the client does not make: that of a session which is answered
/// again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Restored;

/// The longest id of a session that is looked for, in bytes.
const MAX_ID_BYTES: usize = 64;

/// What serves a transport.
type Serve = Arc<dyn Fn(SessionTransport) + Send + Sync>;

/// What came of a session: it is served, or why not.
type Outcome = Result<(), Failed>;

#[derive(Clone, Copy)]
enum Failed {
    Gone,
    Full,
    Unavailable,
}

/// The sessions that are being restored.
#[derive(Default)]
pub(super) struct Restoring {
    serve: OnceLock<Serve>,
    now: Mutex<HashMap<SessionId, Shared<BoxFuture<'static, Outcome>>>>,
}

impl Sessions {
    /// Has `handler` answer the sessions that are restored.
    pub(in crate::transport::http) fn serve_by<H>(&self, handler: H)
    where
        H: ServerHandler + Clone,
    {
        let shutdown = self.0.shutdown.clone();
        let serve = move |transport| {
            let (handler, over) = (handler.clone(), shutdown.child_token());
            tokio::spawn(async move {
                let served = serve_server_with_ct::<_, _, _, TransportAdapterIdentity>(
                    handler, transport, over,
                );
                match served.await {
                    Ok(service) => drop(service.waiting().await),
                    Err(error) => tracing::error!(%error, "a session cannot be restored"),
                }
            });
        };
        let _ = self.0.restoring.serve.set(Arc::new(serve));
    }

    /// Sees to it that the session of a request is served here, if there is one of the caller's.
    ///
    /// # Errors
    ///
    /// As [refused](refuse).
    pub(in crate::transport::http) async fn prepare(&self, parts: &Parts) -> Result<(), ()> {
        let header = |name: &str| parts.headers.get(name)?.to_str().ok();
        let is_stateless = header("mcp-protocol-version").is_some_and(|it| it >= "2026-07-28");
        let Some(id) = header(MCP_SESSION_ID.as_str()).filter(|id| id.len() <= MAX_ID_BYTES) else {
            return Ok(());
        };
        if is_stateless || parts.method == Method::DELETE {
            return Ok(());
        }
        let id = SessionId::from(id);
        if self.0.table().touch(&id).is_some() {
            return Ok(());
        }
        let Some((entry, record)) = report(self.0.find(&id).await).map_err(drop)? else {
            return Ok(());
        };
        let restored = self.restore(&id, entry, record, parts).await;
        restored.map_err(|failed| {
            refuse(match failed {
                Failed::Gone => Refused::Gone,
                Failed::Full => Refused::Full,
                Failed::Unavailable => Refused::Unavailable,
            });
        })
    }

    /// Restores a session, once for all that ask for it at the same time, and to the end even when
    /// all of them leave.
    fn restore(
        &self,
        id: &SessionId,
        entry: Entry,
        record: Record,
        parts: &Parts,
    ) -> Shared<BoxFuture<'static, Outcome>> {
        let mut now = self
            .0
            .restoring
            .now
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match now.entry(SessionId::clone(id)) {
            Place::Occupied(place) => place.get().clone(),
            Place::Vacant(place) => {
                let (sessions, id, parts) = (self.clone(), SessionId::clone(id), parts.clone());
                let restoring = tokio::spawn(async move {
                    let outcome = sessions.restore_now(&id, entry, record, &parts).await;
                    let mut now = sessions.0.restoring.now.lock();
                    now.as_mut()
                        .unwrap_or_else(|poisoned| poisoned.get_mut())
                        .remove(&id);
                    outcome
                });
                let outcome = restoring.map(|ended| ended.unwrap_or(Err(Failed::Unavailable)));
                place.insert(outcome.boxed().shared()).clone()
            }
        }
    }

    async fn restore_now(
        &self,
        id: &SessionId,
        entry: Entry,
        record: Record,
        parts: &Parts,
    ) -> Outcome {
        if self.0.table().is_served(id) {
            // Another request has restored it since this one looked.
            return Ok(());
        }
        let restored = self.begin_again(id, entry, record, parts).await;
        if restored.is_err() {
            self.0.end_here(id).await;
        }
        restored.map_err(|error| match error {
            SessionsError::Gone => Failed::Gone,
            SessionsError::Full(_) => Failed::Full,
            error => {
                tracing::error!(
                    error = crate::error::chain(&error),
                    "a session cannot be restored"
                );
                Failed::Unavailable
            }
        })
    }

    async fn begin_again(
        &self,
        id: &SessionId,
        entry: Entry,
        record: Record,
        parts: &Parts,
    ) -> Result<(), SessionsError> {
        let inner: &Arc<Inner> = &self.0;
        // What is left of it here: its place.
        inner.end_here(id).await;
        let _place = inner.reserve(record.owner.as_ref()).await?;
        let outcome = inner.manager.restore_session(SessionId::clone(id)).await?;
        let RestoreOutcome::Restored(local) = outcome else {
            return Err(SessionsError::Gone);
        };
        let (transport, settings) = self.begin(id, local, Some(&record));
        settings.follow(entry.revision.as_ref(), || Some(record.chosen));
        let serve = inner.restoring.serve.get().ok_or(SessionsError::Gone)?;
        serve(transport);
        inner.renew(id).await?;
        let mut initialize = ClientJsonRpcMessage::request(
            ClientRequest::InitializeRequest(InitializeRequest::new(record.initialize)),
            RequestId::Number(0),
        );
        let mut initialized = ClientJsonRpcMessage::notification(
            ClientNotification::InitializedNotification(InitializedNotification::default()),
        );
        for message in [&mut initialize, &mut initialized] {
            message.insert_extension(parts.clone());
            message.insert_extension(Restored);
            self.mark(id, message);
        }
        inner.manager.initialize_session(id, initialize).await?;
        inner.manager.accept_message(id, initialized).await?;
        inner.table().make_usable(id, None);
        Ok(())
    }
}

impl fmt::Debug for Restoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restoring").finish_non_exhaustive()
    }
}

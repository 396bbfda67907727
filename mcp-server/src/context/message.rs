//! [`Message`]: what a call's request says beside its parameters.

use std::sync::{Arc, OnceLock};

use axum::http::HeaderMap;
use axum::http::request::Parts;
use rmcp::RoleServer;
use rmcp::service::RequestContext;

use crate::server::is_stateless;
use crate::types::{Implementation, JsonObject};

/// The request that makes a call. What is in it is read when somebody wants it, which is rare.
pub(crate) struct Message {
    request: Option<Arc<RequestContext<RoleServer>>>,
    id: OnceLock<String>,
    client: OnceLock<Option<Implementation>>,
    headers: OnceLock<Option<HeaderMap>>,
}

impl Message {
    pub(crate) fn new(request: Arc<RequestContext<RoleServer>>) -> Self {
        Self {
            request: Some(request),
            ..Self::none()
        }
    }

    /// Is the message of a call that none has made.
    pub(crate) const fn none() -> Self {
        Self {
            request: None,
            id: OnceLock::new(),
            client: OnceLock::new(),
            headers: OnceLock::new(),
        }
    }

    /// Returns the same without the request, which keeps its connection open.
    pub(crate) fn detached(&self) -> Self {
        Self {
            request: None,
            id: OnceLock::from(self.id().to_owned()),
            client: OnceLock::from(self.client().cloned()),
            headers: OnceLock::from(self.headers().cloned()),
        }
    }

    /// Returns the same.
    pub(crate) fn again(&self) -> Self {
        match &self.request {
            Some(request) => Self::new(Arc::clone(request)),
            None => self.detached(),
        }
    }

    /// Tells whether it is one of a stateless connection.
    pub(crate) fn is_stateless(&self) -> bool {
        self.request.as_deref().is_some_and(is_stateless)
    }

    /// Returns what it says beside its parameters.
    pub(crate) fn meta(&self) -> Option<&JsonObject> {
        self.request.as_ref().map(|request| &**request.meta)
    }

    /// Tells whether there is no request, or none any more.
    pub(crate) const fn is_none(&self) -> bool {
        self.request.is_none()
    }

    /// Returns the JSON-RPC id; empty when there is none.
    pub(crate) fn id(&self) -> &str {
        let id = || self.request.as_ref().map(|request| request.id.to_string());
        self.id.get_or_init(|| id().unwrap_or_default())
    }

    pub(crate) fn client(&self) -> Option<&Implementation> {
        let client = || self.request.as_ref()?.client_info();
        self.client.get_or_init(client).as_ref()
    }

    pub(crate) fn headers(&self) -> Option<&HeaderMap> {
        match &self.request {
            Some(request) => Some(&request.extensions.get::<Parts>()?.headers),
            None => self.headers.get()?.as_ref(),
        }
    }
}

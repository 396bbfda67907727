//! [`SessionTransport`]: rmcp's transport of one session, of whose end the sessions hear.

use std::sync::{Arc, Weak};

use rmcp::RoleServer;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::transport::streamable_http_server::session::SessionId;
use rmcp::transport::streamable_http_server::session::local::SessionTransport as Local;

use super::Inner;
use super::elsewhere::Asker;
use crate::server::Bus;

/// rmcp's transport of one session, of whose end the sessions hear.
pub(crate) struct SessionTransport {
    local: Local,
    asker: Asker,
    bus: Arc<Bus>,
    /// Dropped with the transport.
    _end: End,
}

impl SessionTransport {
    pub(super) fn new(local: Local, sessions: &Arc<Inner>, id: SessionId, generation: u64) -> Self {
        let bus = Arc::clone(&sessions.bus);
        let end = End {
            sessions: Arc::downgrade(sessions),
            id,
            generation,
        };
        Self {
            local,
            asker: Asker::new(Arc::clone(bus.instance()), generation),
            bus,
            _end: end,
        }
    }
}

/// Tells the sessions that a worker has ended, when it is dropped.
struct End {
    sessions: Weak<Inner>,
    id: SessionId,
    generation: u64,
}

impl Drop for End {
    fn drop(&mut self) {
        let Some(sessions) = self.sessions.upgrade() else {
            return;
        };
        let (id, generation) = (SessionId::clone(&self.id), self.generation);
        // Without a runtime the process ends.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { sessions.worker_ended(&id, generation).await });
        }
    }
}

impl Transport<RoleServer> for SessionTransport {
    type Error = <Local as Transport<RoleServer>>::Error;

    fn send(
        &mut self,
        mut message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        if self.asker.name(&mut message) {
            // The answer may arrive on another instance.
            self.bus.hurry();
        }
        self.local.send(message)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let mut message = self.local.receive().await?;
        self.asker.unname(&mut message);
        Some(message)
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.local.close().await
    }
}

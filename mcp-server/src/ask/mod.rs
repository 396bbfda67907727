//! Asking the client, and the user and the model behind it, in the middle of a call.

mod elicit;
mod error;
mod manual;
mod replay;
mod roots;
mod sample;
mod saved;

pub use elicit::{Elicit, ElicitUrl, Elicited};
pub use error::AskError;
pub use manual::InputRequired;
pub(crate) use replay::{Known, Replay, Step, run};
pub use roots::ListRoots;
pub use sample::{Sample, Sampled};
pub(crate) use saved::Chain;

use std::sync::Arc;

use rmcp::service::{Peer, RequestContext};
use rmcp::{RoleServer, ServiceError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::tasks::TaskRun;
use crate::types::{ClientCapabilities, InputRequest, ServerRequest};

tokio::task_local! {
    /// Set within the work of [`Context::once`](crate::Context::once).
    static IN_ONCE: ();
}

/// How the client of a call can be asked.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) way: Way,
    /// Says what the client can do.
    pub(crate) request: Option<Arc<RequestContext<RoleServer>>>,
}

#[derive(Clone)]
pub(crate) enum Way {
    /// There is nobody.
    Nobody,
    /// By a request on the call's connection (protocol 2025-11-25 and before).
    Request(Peer<RoleServer>),
    /// By ending the call: the client makes it again with the answers (SEP-2322).
    Replay(Arc<Replay>),
}

impl Asker {
    pub(crate) fn nobody() -> Self {
        Self {
            way: Way::Nobody,
            request: None,
        }
    }

    /// Asks the client, which must have the capabilities in `needed`, and reads its answer.
    async fn ask<T>(
        &self,
        key: Option<String>,
        request: InputRequest,
        needed: Needed,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, AskError> {
        if IN_ONCE.try_with(|()| ()).is_ok() {
            return Err(AskError::InOnce);
        }
        if matches!(self.way, Way::Nobody) {
            return Err(AskError::Nobody);
        }
        let capabilities = self
            .request
            .as_ref()
            .and_then(|it| it.client_capabilities());
        if !needed.are_in(&capabilities.unwrap_or_default()) {
            return Err(AskError::Unsupported {
                capability: needed.name(),
                required: Box::new(needed.to_wire()),
            });
        }
        match &self.way {
            Way::Nobody => Err(AskError::Nobody),
            Way::Replay(replay) => replay.ask(key, request, read).await,
            Way::Request(peer) => {
                let answer = peer.send_request(to_server(request)).await;
                let answer = answer.map_err(|source| match source {
                    ServiceError::McpError(refusal) => AskError::Refused {
                        message: refusal.message.into_owned(),
                    },
                    source => AskError::Failed {
                        source: Arc::new(source),
                    },
                })?;
                let answer = serde_json::to_value(answer).ok();
                answer
                    .and_then(|answer| read(&answer))
                    .ok_or(AskError::InvalidAnswer)
            }
        }
    }

    /// Does `work`, unless a run of the same call before has done it.
    pub(crate) async fn once<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        work: impl Future<Output = T>,
    ) -> Result<T, AskError> {
        let work = IN_ONCE.scope((), work);
        match &self.way {
            Way::Replay(replay) => replay.once(key, work).await,
            Way::Nobody | Way::Request(_) => Ok(work.await),
        }
    }

    /// Returns the client's answer to the question of this key that was made by hand.
    pub(crate) fn answer(&self, key: &str) -> Option<Value> {
        match &self.way {
            Way::Replay(replay) => replay.answer(key),
            Way::Nobody | Way::Request(_) => None,
        }
    }

    /// Goes on as a task, where the client takes one.
    pub(crate) async fn continue_as_task(&self) {
        if let Way::Replay(replay) = &self.way {
            replay.continue_as_task().await;
        }
    }

    /// Returns the task that the call goes on as.
    pub(crate) fn task(&self) -> Option<&TaskRun> {
        match &self.way {
            Way::Replay(replay) => replay.task().map(|task| &**task),
            Way::Nobody | Way::Request(_) => None,
        }
    }

    /// Returns what the component has handed itself by hand.
    pub(crate) fn carried(&self) -> Option<Value> {
        match &self.way {
            Way::Replay(replay) => replay.carried(),
            Way::Nobody | Way::Request(_) => None,
        }
    }
}

fn to_server(request: InputRequest) -> ServerRequest {
    match request {
        InputRequest::CreateMessage(request) => ServerRequest::CreateMessageRequest(request),
        InputRequest::Elicitation(request) => ServerRequest::ElicitRequest(request),
        InputRequest::ListRoots(request) => ServerRequest::ListRootsRequest(request),
        _ => unreachable!("this crate makes no other"),
    }
}

/// What a client must be able to do to be asked something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needed {
    Form,
    Url,
    Sampling,
    SamplingWithTools,
    Roots,
}

impl Needed {
    fn are_in(self, capabilities: &ClientCapabilities) -> bool {
        let elicitation = capabilities.elicitation.as_ref();
        let sampling = capabilities.sampling.as_ref();
        match self {
            // A client that names no mode means forms, which were all there was.
            Self::Form => elicitation.is_some_and(|it| it.form.is_some() || it.url.is_none()),
            Self::Url => elicitation.is_some_and(|it| it.url.is_some()),
            Self::Sampling => sampling.is_some(),
            Self::SamplingWithTools => sampling.is_some_and(|it| it.tools.is_some()),
            Self::Roots => capabilities.roots.is_some(),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Form => "elicitation",
            Self::Url => "elicitation by URL",
            Self::Sampling => "sampling",
            Self::SamplingWithTools => "sampling with tools",
            Self::Roots => "roots",
        }
    }

    fn to_wire(self) -> ClientCapabilities {
        let capabilities = match self {
            Self::Form => serde_json::json!({"elicitation": {"form": {}}}),
            Self::Url => serde_json::json!({"elicitation": {"url": {}}}),
            Self::Sampling => serde_json::json!({"sampling": {}}),
            Self::SamplingWithTools => serde_json::json!({"sampling": {"tools": {}}}),
            Self::Roots => serde_json::json!({"roots": {}}),
        };
        #[expect(clippy::expect_used, reason = "a test makes each of them")]
        serde_json::from_value(capabilities).expect("these are capabilities")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_asked_for_what_it_has_declared_alone() {
        let all = [
            Needed::Form,
            Needed::Url,
            Needed::Sampling,
            Needed::SamplingWithTools,
            Needed::Roots,
        ];
        for needed in all {
            assert!(!needed.are_in(&ClientCapabilities::default()));
            assert!(needed.are_in(&needed.to_wire()), "{needed:?}");
        }
        assert!(!Needed::Form.are_in(&Needed::Url.to_wire()));
        assert!(!Needed::Url.are_in(&Needed::Form.to_wire()));
        assert!(!Needed::SamplingWithTools.are_in(&Needed::Sampling.to_wire()));
        let plain = serde_json::from_value(serde_json::json!({"elicitation": {}})).unwrap();
        assert!(Needed::Form.are_in(&plain));
    }
}

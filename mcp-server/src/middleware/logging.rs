//! [`Logging`]: what clients ask for, in the log of the server.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::Value;

use super::params::{Answer, Notification};
use super::{CallError, Message, Middleware, Next};

/// Where the events go.
const TARGET: &str = "mcp_server::messages";

/// What is never logged: it can hold secrets of others than the client.
const SECRET: [&str; 3] = ["_meta", "requestState", "inputResponses"];

/// Logs the messages of clients.
///
/// Each request is two `tracing` events of the target `mcp_server::messages`: `request_start`, and
/// `request_success` (at the level INFO) or `request_error` (WARN) with `duration_ms`, the latter with
/// the `kind` of the error; each notification is one. They have the fields `event`, `method` and, where there is one, `name`: the
/// tool, the prompt or the URI. A subscriber that writes JSON makes each a line of JSON.
///
/// # Defaults
///
/// All methods, without what they say: arguments can be secrets.
///
/// # Examples
///
/// ```
/// use mcp_server::Server;
/// use mcp_server::middleware::Logging;
///
/// let server = Server::builder("Talkative")
///     .middleware(Logging::new().methods(["tools/call"]).payloads(1000))
///     .build()?;
/// # Ok::<_, mcp_server::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Logging {
    payload_bytes: Option<usize>,
    methods: Option<BTreeSet<String>>,
}

impl Logging {
    /// Logs as by default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also logs what requests say, as JSON of at most so many bytes, in the field `payload`; what is
    /// longer is cut, and `payload_bytes` says how long it was; and what clients are told of errors,
    /// in the field `error`. Never `_meta`, the state of a request, or the answers of users. Default:
    /// not at all.
    #[must_use]
    pub const fn payloads(mut self, max_bytes: usize) -> Self {
        self.payload_bytes = Some(max_bytes);
        self
    }

    /// Logs the messages of these methods alone. Default: of all.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.methods = Some(methods.into_iter().map(Into::into).collect());
        self
    }

    fn logs(&self, method: &str) -> bool {
        self.methods
            .as_ref()
            .is_none_or(|methods| methods.contains(method))
    }

    /// Returns what a message says, as far as it is logged, and how long it is.
    fn payload(&self, message: &Message) -> Option<(String, usize)> {
        let max_bytes = self.payload_bytes?;
        let mut said = message.to_json();
        if let Value::Object(said) = &mut said {
            for secret in SECRET {
                said.remove(secret);
            }
        }
        let mut text = said.to_string();
        let bytes = text.len();
        text.truncate(text.floor_char_boundary(max_bytes));
        Some((text, bytes))
    }
}

impl Middleware for Logging {
    async fn on_request(&self, message: Message, next: Next) -> Result<Answer, CallError> {
        if !self.logs(message.method()) {
            return next.run(message).await;
        }
        let (method, name) = (
            message.method().to_owned(),
            message.name().map(str::to_owned),
        );
        let (payload, payload_bytes) = self.payload(&message).unzip();
        tracing::info!(
            target: TARGET, event = "request_start", method, name, payload, payload_bytes
        );
        let start = Instant::now();
        let answer = next.run(message).await;
        let duration_ms = start.elapsed().as_secs_f64() * 1000.0;
        match &answer {
            Ok(_) => {
                tracing::info!(target: TARGET, event = "request_success", method, name, duration_ms);
            }
            Err(error) => {
                let kind = error.kind();
                // What is told of invalid arguments repeats a part of them.
                let error = error.message().filter(|_| self.payload_bytes.is_some());
                tracing::warn!(
                    target: TARGET, event = "request_error", method, name, duration_ms, kind, error
                );
            }
        }
        answer
    }

    async fn on_notification(
        &self,
        message: Message<Notification>,
        next: Next,
    ) -> Result<(), CallError> {
        let method = message.method();
        if self.logs(method) {
            tracing::info!(target: TARGET, event = "notification", method);
        }
        next.run(message).await
    }
}

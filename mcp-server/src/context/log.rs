//! Messages and progress to the client of a call.
#![expect(
    deprecated,
    reason = "logging works until the protocol drops it (SEP-2577)"
)]

use rmcp::RoleServer;
use rmcp::service::Peer;
use serde::Serialize;

use super::Context;
use crate::types::{
    LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam, ProgressToken,
};

/// How grave a message to the client is (RFC 5424).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "RFC 5424 says what each means")]
pub enum LogLevel {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl LogLevel {
    pub(crate) const fn to_wire(self) -> LoggingLevel {
        match self {
            Self::Debug => LoggingLevel::Debug,
            Self::Info => LoggingLevel::Info,
            Self::Notice => LoggingLevel::Notice,
            Self::Warning => LoggingLevel::Warning,
            Self::Error => LoggingLevel::Error,
            Self::Critical => LoggingLevel::Critical,
            Self::Alert => LoggingLevel::Alert,
            Self::Emergency => LoggingLevel::Emergency,
        }
    }
}

impl From<LoggingLevel> for LogLevel {
    fn from(level: LoggingLevel) -> Self {
        match level {
            LoggingLevel::Debug => Self::Debug,
            LoggingLevel::Info => Self::Info,
            LoggingLevel::Notice => Self::Notice,
            LoggingLevel::Warning => Self::Warning,
            LoggingLevel::Error => Self::Error,
            LoggingLevel::Critical => Self::Critical,
            LoggingLevel::Alert => Self::Alert,
            LoggingLevel::Emergency => Self::Emergency,
        }
    }
}

/// How far a call is: so much, of a total where that is known.
///
/// # Examples
///
/// ```
/// use mcp_server::Progress;
///
/// let progress = Progress::new(3.0).of(10.0).message("third file");
/// assert_eq!(progress.total, Some(10.0));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// So much is done. It grows from one report to the next.
    pub done: f64,
    /// So much there is to do; `None` when that is unknown.
    pub total: Option<f64>,
    /// What is being done.
    pub message: Option<String>,
}

impl Progress {
    /// So much is done.
    #[must_use]
    pub const fn new(done: f64) -> Self {
        Self {
            done,
            total: None,
            message: None,
        }
    }

    /// Sets how much there is to do. Default: unknown.
    #[must_use]
    pub const fn of(mut self, total: f64) -> Self {
        self.total = Some(total);
        self
    }

    /// Says what is being done. Default: nothing.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }
}

/// What the client of a call wants to hear meanwhile.
#[derive(Clone)]
pub(crate) struct Listener {
    pub(crate) peer: Option<Peer<RoleServer>>,
    /// The least grave message; `None` for none at all.
    pub(crate) level: Option<LogLevel>,
    pub(crate) progress: Option<ProgressToken>,
}

impl Listener {
    pub(crate) const fn nobody() -> Self {
        Self {
            peer: None,
            level: None,
            progress: None,
        }
    }
}

/// # Messages
///
/// A client that cannot be reached any more is no error: the message is lost, and the call is
/// cancelled soon.
impl Context {
    /// Sends the client a message, if it wants to hear those of this level: since its
    /// `logging/setLevel` (before one, from [`LogLevel::Info`] on), or on a stateless connection by
    /// the `logLevel` of the request (without one, none).
    ///
    /// A task has nobody who listens. `data` is a text, or any value with a JSON form. The server's own log is `tracing`.
    pub async fn log(&self, level: LogLevel, data: impl Serialize) {
        let listener = &self.0.listener;
        let (Some(peer), Some(least)) = (&listener.peer, listener.level) else {
            return;
        };
        if self.asker().task().is_some() {
            return;
        }
        if level < least {
            return;
        }
        let Ok(data) = serde_json::to_value(data) else {
            return;
        };
        let message = LoggingMessageNotificationParam::new(level.to_wire(), data);
        let _ = peer.notify_logging_message(message).await;
    }

    /// Sends a message at [`LogLevel::Debug`]; see [`log`](Self::log).
    pub async fn debug(&self, data: impl Serialize) {
        self.log(LogLevel::Debug, data).await;
    }

    /// Sends a message at [`LogLevel::Info`]; see [`log`](Self::log).
    pub async fn info(&self, data: impl Serialize) {
        self.log(LogLevel::Info, data).await;
    }

    /// Sends a message at [`LogLevel::Warning`]; see [`log`](Self::log).
    pub async fn warning(&self, data: impl Serialize) {
        self.log(LogLevel::Warning, data).await;
    }

    /// Sends a message at [`LogLevel::Error`]; see [`log`](Self::log).
    pub async fn error(&self, data: impl Serialize) {
        self.log(LogLevel::Error, data).await;
    }

    /// Tells the client how far the call is, if it has asked for that by a `progressToken`. Of a
    /// task, the first 1,000 characters of the message are shown as its state.
    ///
    /// # Examples
    ///
    /// ```
    /// use mcp_server::{Context, Progress};
    ///
    /// async fn resize(cx: Context, files: Vec<String>) {
    ///     for (n, file) in files.iter().enumerate() {
    ///         // ..
    ///         let progress = Progress::new((n + 1) as f64).of(files.len() as f64);
    ///         cx.report_progress(progress.message(file)).await;
    ///     }
    /// }
    /// ```
    pub async fn report_progress(&self, progress: Progress) {
        if let Some(task) = self.asker().task() {
            if let Some(message) = progress.message {
                task.say(message);
            }
            return;
        }
        let listener = &self.0.listener;
        let (Some(peer), Some(token)) = (&listener.peer, &listener.progress) else {
            return;
        };
        let mut report = ProgressNotificationParam::new(token.clone(), progress.done);
        report.total = progress.total;
        report.message = progress.message;
        let _ = peer.notify_progress(report).await;
    }
}

//! [`ErrorHandling`]: what goes wrong, counted and told.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::counter;
use rmcp::ErrorData;

use super::params::Answer;
use super::timing::known_method;
use super::{CallError, Message, Middleware, Next};
use crate::types::ErrorCode;

/// The error code of what may not be done, and of what took too long.
const REFUSED: ErrorCode = ErrorCode(-32000);

type Callback = Arc<dyn Fn(&str, &CallError) + Send + Sync>;

/// Counts what goes wrong, and tells of it. A clone counts together with this one.
///
/// Errors are counted by method and [kind](CallError::kind), for [`counts`](Self::counts) and, through
/// the `metrics` facade, as the counter `mcp_errors_total` with these as labels.
///
/// # Defaults
///
/// Nobody is told, and clients read of a masked error that their request has failed.
///
/// # Examples
///
/// ```
/// use mcp_server::middleware::ErrorHandling;
/// use mcp_server::Server;
///
/// let errors = ErrorHandling::new().on_error(|method, error| {
///     eprintln!("{method} failed: {error:?}");
/// });
/// let server = Server::builder("Careful").middleware(errors.clone()).build()?;
/// assert!(errors.counts().is_empty());
/// # Ok::<_, mcp_server::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct ErrorHandling {
    counts: Arc<Mutex<Counts>>,
    callback: Option<Callback>,
    transform: bool,
}

/// By method and kind. Both are of a set that no client adds to.
type Counts = BTreeMap<(String, &'static str), u64>;

impl ErrorHandling {
    /// Counts errors.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `callback` with the method and the error of each request that fails. What it panics
    /// about is ignored. Default: nothing is called.
    #[must_use]
    pub fn on_error(mut self, callback: impl Fn(&str, &CallError) + Send + Sync + 'static) -> Self {
        self.callback = Some(Arc::new(callback));
        self
    }

    /// Tells clients of resources and prompts what kind of error was masked, where its source says
    /// so: what is not found (-32002), what may not be done and what took too long (-32000). The
    /// error's own text stays masked. Default: they read an internal error (-32603).
    #[must_use]
    pub const fn transform_errors(mut self, transform: bool) -> Self {
        self.transform = transform;
        self
    }

    /// Returns how many errors there were, by method and kind.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<(String, &'static str), u64> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, method: &str, error: CallError) -> CallError {
        let kind = error.kind();
        *self.lock().entry((method.to_owned(), kind)).or_default() += 1;
        counter!("mcp_errors_total", "method" => method.to_owned(), "kind" => kind).increment(1);
        if let Some(callback) = &self.callback {
            // The panic hook has told of it.
            let _ = catch_unwind(AssertUnwindSafe(|| callback(method, &error)));
        }
        match &error {
            CallError::Resource(_) | CallError::Prompt(_) if self.transform => {
                transformed(&error).map_or(error, CallError::Protocol)
            }
            _ => error,
        }
    }
}

impl Middleware for ErrorHandling {
    async fn on_message(&self, message: Message, next: Next) -> Result<Answer, CallError> {
        let method = known_method(&message).to_owned();
        let answer = next.run(message).await;
        answer.map_err(|error| self.see(&method, error))
    }
}

impl fmt::Debug for ErrorHandling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorHandling")
            .field("counts", &self.counts())
            .field("transform", &self.transform)
            .finish_non_exhaustive()
    }
}

/// Returns what a client may know of a masked error.
fn transformed(error: &CallError) -> Option<ErrorData> {
    let mut source = error
        .source()
        .map(|source| source as &(dyn StdError + 'static));
    while let Some(error) = source {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        let is_slow = error.is::<tokio::time::error::Elapsed>()
            || matches!(error.downcast_ref(), Some(kv_core::Error::Timeout { .. }));
        match kind {
            Some(io::ErrorKind::NotFound) => {
                return Some(ErrorData::resource_not_found("it is not there", None));
            }
            Some(io::ErrorKind::PermissionDenied) => {
                return Some(ErrorData::new(REFUSED, "it may not be done", None));
            }
            Some(io::ErrorKind::TimedOut) => return Some(slow()),
            _ if is_slow => return Some(slow()),
            _ => source = error.source(),
        }
    }
    None
}

fn slow() -> ErrorData {
    ErrorData::new(REFUSED, "it took too long", None)
}

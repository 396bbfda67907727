//! [`Retry`]: another try of what has failed for a moment.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep};

use super::params::{ListPrompts, ListResourceTemplates, ListResources, ListTools, Params};
use super::{CallError, Message, Middleware, Next};
use crate::types::{
    CallToolRequestParams, CallToolResponse, GetPromptRequestParams, GetPromptResponse,
    ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    ReadResourceRequestParams, ReadResourceResponse,
};

type When = Arc<dyn Fn(&CallError) -> bool + Send + Sync>;

/// Tries again what has failed by an error that may pass.
///
/// What is around it sees the last try alone; what is within it sees each.
///
/// # Defaults
///
/// 3 tries after the first, for at most 2 minutes. Before each a pause of random length, of up to 1,
/// 2 and 4 seconds.
///
/// Errors that may pass are those with a masked source, however deep, that is a
/// [`kv_core::Error`] that can be retried, a connection that broke or could not be made, or a
/// timeout. What a component tells its client is final.
///
/// The call of a tool is tried again if the tool is annotated as `read_only` or `idempotent`:
/// another may have done its work before it failed. Work in [`Context::once`](crate::Context::once)
/// is not done again.
///
/// # Examples
///
/// ```
/// use mcp_server::Server;
/// use mcp_server::middleware::Retry;
///
/// let server = Server::builder("Steady").middleware(Retry::new().tries(5)).build()?;
/// # Ok::<_, mcp_server::Error>(())
/// ```
#[derive(Clone)]
pub struct Retry {
    tries: u32,
    first_pause: Duration,
    longest_pause: Duration,
    time_limit: Duration,
    when: When,
    all_tools: bool,
}

impl Retry {
    /// Tries again as by default.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tries: 3,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            time_limit: Duration::from_secs(120),
            when: Arc::new(is_transient),
            all_tools: false,
        }
    }

    /// Sets how often to try after the first time. Default: 3.
    #[must_use]
    pub const fn tries(mut self, tries: u32) -> Self {
        self.tries = tries;
        self
    }

    /// Sets how long the first pause is at most; each after it may be twice as long. Default: 1
    /// second.
    #[must_use]
    pub const fn first_pause(mut self, pause: Duration) -> Self {
        self.first_pause = pause;
        self
    }

    /// Sets how long any pause is at most. Default: 60 seconds.
    #[must_use]
    pub const fn longest_pause(mut self, pause: Duration) -> Self {
        self.longest_pause = pause;
        self
    }

    /// Sets after what time no other try begins. Default: 2 minutes.
    #[must_use]
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Sets which errors may pass. Default: broken connections, timeouts, and errors of a store that
    /// can be retried.
    #[must_use]
    pub fn when(mut self, when: impl Fn(&CallError) -> bool + Send + Sync + 'static) -> Self {
        self.when = Arc::new(when);
        self
    }

    /// Tries the calls of all tools again, also of those that may have done their work. Default:
    /// those of tools that are annotated as `read_only` or `idempotent`.
    #[must_use]
    pub const fn all_tools(mut self) -> Self {
        self.all_tools = true;
        self
    }

    async fn run<T: Params>(
        &self,
        message: Message<T>,
        next: Next,
    ) -> Result<T::Answer, CallError> {
        let start = Instant::now();
        let mut longest = self.first_pause;
        for _ in 0..self.tries {
            let error = match next.fork().run(message.clone()).await {
                Err(error) if (self.when)(&error) => error,
                answer => return answer,
            };
            let pause = longest.min(self.longest_pause).mul_f64(fastrand::f64());
            if start.elapsed() + pause > self.time_limit {
                return Err(error);
            }
            tracing::debug!(
                method = message.method(),
                ?pause,
                "a request is tried again"
            );
            tokio::select! {
                () = sleep(pause) => {}
                () = message.cx().cancellation_token().cancelled() => return Err(error),
            }
            longest = longest.saturating_mul(2);
        }
        next.run(message).await
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::new()
    }
}

impl Middleware for Retry {
    async fn on_call_tool(
        &self,
        message: Message<CallToolRequestParams>,
        next: Next,
    ) -> Result<CallToolResponse, CallError> {
        if self.all_tools || message.cx().is_repeatable(&message.params.name) {
            self.run(message, next).await
        } else {
            next.run(message).await
        }
    }

    async fn on_read_resource(
        &self,
        message: Message<ReadResourceRequestParams>,
        next: Next,
    ) -> Result<ReadResourceResponse, CallError> {
        self.run(message, next).await
    }

    async fn on_get_prompt(
        &self,
        message: Message<GetPromptRequestParams>,
        next: Next,
    ) -> Result<GetPromptResponse, CallError> {
        self.run(message, next).await
    }

    async fn on_list_tools(
        &self,
        message: Message<ListTools>,
        next: Next,
    ) -> Result<ListToolsResult, CallError> {
        self.run(message, next).await
    }

    async fn on_list_resources(
        &self,
        message: Message<ListResources>,
        next: Next,
    ) -> Result<ListResourcesResult, CallError> {
        self.run(message, next).await
    }

    async fn on_list_resource_templates(
        &self,
        message: Message<ListResourceTemplates>,
        next: Next,
    ) -> Result<ListResourceTemplatesResult, CallError> {
        self.run(message, next).await
    }

    async fn on_list_prompts(
        &self,
        message: Message<ListPrompts>,
        next: Next,
    ) -> Result<ListPromptsResult, CallError> {
        self.run(message, next).await
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("tries", &self.tries)
            .field("time_limit", &self.time_limit)
            .finish_non_exhaustive()
    }
}

/// Tells whether an error may pass.
fn is_transient(error: &CallError) -> bool {
    let mut source = error
        .source()
        .map(|source| source as &(dyn StdError + 'static));
    while let Some(error) = source {
        if may_pass(error) {
            return true;
        }
        source = error.source();
    }
    false
}

fn may_pass(error: &(dyn StdError + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<kv_core::Error>() {
        return error.is_retryable();
    }
    if let Some(error) = error.downcast_ref::<reqwest::Error>() {
        return error.is_timeout() || error.is_connect();
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::NotConnected
                | io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::UnexpectedEof
        );
    }
    error.is::<Elapsed>()
}

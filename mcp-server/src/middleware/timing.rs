//! [`Timing`]: how long requests take.

use std::time::Instant;

use metrics::{Unit, describe_histogram, histogram};

use super::params::{Answer, AnyParams};
use super::{CallError, Message, Middleware, Next};
use crate::types::CallToolResponse;

/// The name of the histogram.
const HISTOGRAM: &str = "mcp_request_duration_seconds";

/// Measures how long requests take.
///
/// Through the `metrics` facade, as the histogram `mcp_request_duration_seconds` with the labels
/// `method`, of a method that MCP knows or `other`, and `outcome`: `success`, `error`, `asks` for a
/// call that ends with questions, `task` for one that becomes a task. And as a `tracing` event of the
/// target `mcp_server::timing`, at the level DEBUG, which also has the `name` of the tool or prompt,
/// or the URI of the resource. A tool that fails is an `error`.
///
/// # Examples
///
/// ```
/// use mcp_server::Server;
/// use mcp_server::middleware::Timing;
///
/// let server = Server::builder("Timed").middleware(Timing::new()).build()?;
/// # Ok::<_, mcp_server::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Timing {}

impl Timing {
    /// Measures all requests.
    #[must_use]
    pub fn new() -> Self {
        describe_histogram!(
            HISTOGRAM,
            Unit::Seconds,
            "How long requests of clients take."
        );
        Self {}
    }
}

impl Middleware for Timing {
    async fn on_request(&self, message: Message, next: Next) -> Result<Answer, CallError> {
        let method = known_method(&message).to_owned();
        let name = message.name().map(str::to_owned);
        let start = Instant::now();
        let answer = next.run(message).await;
        let took = start.elapsed();
        let outcome = match &answer {
            Ok(Answer::CallTool(CallToolResponse::InputRequired(_))) => "asks",
            Ok(Answer::CallTool(CallToolResponse::Task(_))) => "task",
            Ok(Answer::CallTool(CallToolResponse::Complete(result)))
                if result.is_error == Some(true) =>
            {
                "error"
            }
            Ok(_) => "success",
            Err(_) => "error",
        };
        let duration_ms = took.as_secs_f64() * 1000.0;
        tracing::debug!(target: "mcp_server::timing", method, name, duration_ms, outcome);
        histogram!(HISTOGRAM, "method" => method, "outcome" => outcome).record(took);
        answer
    }
}

/// Returns the method of a message if MCP knows it, so that what is kept by method is bounded.
pub(super) fn known_method(message: &Message) -> &str {
    match &message.params {
        AnyParams::Other(super::OtherRequest::Custom(_)) => "other",
        _ => message.method(),
    }
}

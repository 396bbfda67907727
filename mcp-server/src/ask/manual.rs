//! [`InputRequired`]: questions that a component asks by hand.

use serde::Serialize;
use serde_json::Value;

use crate::types::{InputRequest, InputRequests};

/// Ends a call with questions for its client, which makes it again with the answers (SEP-2322).
///
/// [`Context::elicit`](crate::Context::elicit) and its like do this for you. By hand you say
/// yourself what is asked when, and what the next run is to know. Return it as an error; the next
/// run finds the answers with [`Context::answer`](crate::Context::answer), and what it was handed
/// with [`Context::carried`](crate::Context::carried). What is carried is sealed like all other
/// state of a call. Only clients of protocol 2026-07-28 and later can be asked so: to others the
/// call fails with a message that says it; so does a task.
///
/// # Examples
///
/// ```
/// use mcp_server::ask::InputRequired;
/// use mcp_server::types::{InputRequest, ListRootsRequest};
/// use mcp_server::{Context, ToolError, tool};
///
/// /// Counts the client's folders.
/// #[tool]
/// async fn count_roots(cx: Context) -> Result<usize, ToolError> {
///     let Some(answer) = cx.answer("roots") else {
///         let question = InputRequest::ListRoots(ListRootsRequest::default());
///         return Err(InputRequired::new().ask("roots", question).into());
///     };
///     Ok(answer["roots"].as_array().map_or(0, Vec::len))
/// }
/// ```
#[derive(Clone, Debug, Default, thiserror::Error)]
#[error("{}", Self::TOO_OLD)]
pub struct InputRequired {
    pub(super) requests: InputRequests,
    pub(super) carried: Option<Value>,
}

impl InputRequired {
    /// What a client reads that cannot be asked so.
    pub(crate) const TOO_OLD: &str = "this asks its client, which needs protocol 2026-07-28";

    /// What a client reads of a task that asks so.
    pub(crate) const IN_TASK: &str = "this asks by hand, which a task cannot";

    /// Asks nothing yet: the client just makes the call again.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a question. One of the same key is replaced.
    #[must_use]
    pub fn ask(mut self, key: impl Into<String>, question: InputRequest) -> Self {
        self.requests.insert(key.into(), question);
        self
    }

    /// Hands the next run a value, in place of what this one was handed. Default: nothing. A value
    /// that has no JSON form is nothing.
    #[must_use]
    pub fn carry(mut self, value: impl Serialize) -> Self {
        self.carried = serde_json::to_value(value).ok();
        self
    }
}

//! [`TaskOptions`]: how the calls of a tool become tasks.

use std::time::Duration;

/// How the calls of a tool become tasks (SEP-2663): the client gets an id at once, asks for the
/// state of the task from time to time, answers its questions, and can cancel it, on any instance
/// of the server.
///
/// `#[tool(task)]` is `TaskOptions::new()`, `#[tool(task(required, resume))]` sets the two. A client
/// that has not declared the extension waits for the answer as for any other tool.
///
/// A task has no client that listens: messages go nowhere, of its progress the text is shown.
/// Questions are asked through the task. When the server that runs a task dies, the task has failed
/// 30 seconds later, unless it is to [`resume`](Self::resume).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskOptions {
    /// Clients that have not declared the extension are refused.
    pub required: bool,
    /// A call is answered as any other until it asks to go on as a task.
    pub on_demand: bool,
    /// The tool runs again when the server that ran it has died.
    pub resume: bool,
    /// How long a task is kept.
    pub ttl: Duration,
    /// How often a client should ask for its state.
    pub poll_interval: Duration,
}

impl TaskOptions {
    /// Every call of a client that has declared the extension becomes a task.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            required: false,
            on_demand: false,
            resume: false,
            ttl: Duration::from_secs(60 * 60),
            poll_interval: Duration::from_secs(1),
        }
    }

    /// Refuses clients that have not declared the extension. Default: they wait.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Answers a call as any other until the tool calls
    /// [`Context::continue_as_task`](crate::Context::continue_as_task). Default: every call is a
    /// task from the start.
    #[must_use]
    pub const fn on_demand(mut self) -> Self {
        self.on_demand = true;
        self
    }

    /// Runs the tool again from its beginning, when a client next asks a server that has it for a
    /// task whose own has died or was stopped. What was answered and what was done
    /// [`once`](crate::Context::once) is not asked and done again. Default: the task has failed.
    #[must_use]
    pub const fn resume(mut self) -> Self {
        self.resume = true;
        self
    }

    /// Sets how long a task is kept from its beginning, the time that it runs included; after that
    /// it is stopped. At most 100 years count. Default: 1 hour.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Sets how often a client should ask for the state of a task. Default: every second.
    #[must_use]
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self::new()
    }
}

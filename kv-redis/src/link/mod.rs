//! The private link to one server, to the master that sentinels name, or to a cluster: sends
//! requests, within their time, and repeats those that may be repeated.

mod cluster;
mod dial;
mod group;
mod node;
mod policy;
mod slots;
mod tracking;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use kv_core::Result;
use redis::{Cmd, Pipeline, Value};
use tokio::time::{Instant, sleep};

use crate::error::Failure;
use crate::inbox::Inbox;

pub(crate) use cluster::Cluster;
pub(crate) use dial::Dial;
pub(crate) use node::Node;
pub(crate) use tracking::Tracking;

/// The longest wait before a request is repeated, for the first time and for any time.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// How long things may take, and how often they are tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connect_timeout: Duration,
    pub(crate) response_timeout: Duration,
    pub(crate) operation_timeout: Duration,
    pub(crate) retries: u32,
}

/// When a request is sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// After any failure that may pass: it only reads.
    Read,
    /// Only when it is certain that it was not carried out.
    Write,
}

/// A command, and which part of a cluster it is for.
pub(crate) struct Request {
    slot: u16,
    command: Cmd,
}

impl Request {
    /// Makes a request to the server that has `slot`.
    pub(crate) const fn of_slot(slot: u16, command: Cmd) -> Self {
        Self { slot, command }
    }
}

/// The servers.
enum Servers {
    /// The way to it is another one for watches, which must not hold up operations by it.
    One {
        node: Arc<Node>,
        watched: Box<Dial>,
    },
    Cluster(Arc<Cluster>),
}

/// The way to the servers.
pub(crate) struct Link {
    servers: Servers,
    limits: Limits,
}

impl Link {
    pub(crate) fn one(node: Node, watched: Dial, limits: Limits) -> Self {
        let watched = Box::new(watched);
        let node = Arc::new(node);
        Self {
            servers: Servers::One { node, watched },
            limits,
        }
    }

    pub(crate) fn cluster(cluster: Cluster, limits: Limits) -> Self {
        Self {
            servers: Servers::Cluster(Arc::new(cluster)),
            limits,
        }
    }

    /// Makes a request about the record `key`.
    pub(crate) fn request(&self, key: &str, command: Cmd) -> Request {
        let slot = match &self.servers {
            Servers::One { .. } => 0,
            Servers::Cluster(_) => slots::of(key.as_bytes()),
        };
        Request::of_slot(slot, command)
    }

    /// Tells whether one command may be about keys of different slots.
    pub(crate) const fn spans_slots(&self) -> bool {
        matches!(self.servers, Servers::One { .. })
    }

    /// Returns until when an operation that begins now may take.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.limits.operation_timeout
    }

    /// Sends a request that only reads and returns its answer.
    ///
    /// At first it goes together with other callers' of the same moment. All began now, so they end
    /// at the same time too.
    pub(crate) async fn read(&self, request: &Request) -> Result<Value, Failure> {
        let deadline = self.deadline();
        let answer = match &self.servers {
            Servers::One { node, .. } => node.read(&request.command, deadline).await,
            Servers::Cluster(cluster) => {
                let answer = cluster.read(request.slot, &request.command, deadline);
                Box::pin(answer).await
            }
        };
        match answer {
            Err(failure) => Box::pin(self.repeat(request, Repeat::Read, deadline, failure)).await,
            answer => answer,
        }
    }

    /// Sends a request and returns its answer.
    pub(crate) async fn call(
        &self,
        request: &Request,
        repeat: Repeat,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        match self.attempt(request, deadline).await {
            Err(failure) => self.repeat(request, repeat, deadline, failure).await,
            answer => answer,
        }
    }

    /// Sends a request again after a failure, for as long as it may be repeated.
    async fn repeat(
        &self,
        request: &Request,
        repeat: Repeat,
        deadline: Instant,
        mut failure: Failure,
    ) -> Result<Value, Failure> {
        let mut repeats = 0;
        while self.repeats(&failure, repeat, repeats, deadline).await {
            match self.attempt(request, deadline).await {
                Err(again) => failure = again,
                answer => return answer,
            }
            repeats += 1;
        }
        Err(failure)
    }

    /// Sends a request once.
    async fn attempt(&self, request: &Request, deadline: Instant) -> Result<Value, Failure> {
        match &self.servers {
            Servers::One { node, .. } => node.attempt(&request.command, deadline).await,
            Servers::Cluster(cluster) => {
                cluster
                    .attempt(request.slot, &request.command, deadline)
                    .await
            }
        }
    }

    /// Sends requests together, and returns their answers in order.
    pub(crate) async fn call_all(
        &self,
        requests: Vec<Request>,
        repeat: Repeat,
        deadline: Instant,
    ) -> Vec<Result<Value, Failure>> {
        let Servers::One { node, .. } = &self.servers else {
            let calls = requests
                .iter()
                .map(|request| self.call(request, repeat, deadline));
            return join_all(calls).await;
        };
        let mut pipeline = Pipeline::with_capacity(requests.len());
        for request in requests {
            pipeline.add_command(request.command);
        }
        let mut repeats = 0;
        loop {
            let failure = match node.attempt_all(&pipeline, deadline).await {
                Ok(answers) => match all_may_pass(&answers) {
                    Some(failure) => failure,
                    None => return answers,
                },
                Err(failure) => failure,
            };
            if !self.repeats(&failure, repeat, repeats, deadline).await {
                return vec![Err(failure); pipeline.len()];
            }
            repeats += 1;
        }
    }

    /// Returns a slot of each server that holds a part of the records, in ascending order.
    pub(crate) async fn parts(&self, deadline: Instant) -> Result<Vec<u16>, Failure> {
        match &self.servers {
            Servers::One { .. } => Ok(vec![0]),
            Servers::Cluster(cluster) => cluster.parts(deadline).await,
        }
    }

    /// Has every server tell `inbox` the names of the records that change.
    pub(crate) async fn track(&self, inbox: &Arc<Inbox>) -> Result<Tracking> {
        match &self.servers {
            Servers::One { watched, .. } => Tracking::of_one(watched, self.limits, inbox).await,
            Servers::Cluster(cluster) => Tracking::of_all(cluster, self.limits, inbox).await,
        }
    }

    /// Tells whether to repeat a request that failed, after the wait before that.
    async fn repeats(
        &self,
        failure: &Failure,
        repeat: Repeat,
        repeats: u32,
        deadline: Instant,
    ) -> bool {
        let may = failure.kind.may_pass() || (repeat == Repeat::Read && failure.is_lost());
        let wait = wait_before(repeats);
        if !may || repeats >= self.limits.retries || Instant::now() + wait >= deadline {
            return false;
        }
        sleep(wait).await;
        true
    }
}

/// Returns how long to wait before the repeat after so many others.
pub(crate) fn wait_before(repeats: u32) -> Duration {
    FIRST_WAIT
        .saturating_mul(1 << repeats.min(16))
        .min(LONGEST_WAIT)
        .mul_f64(fastrand::f64())
}

/// Returns a failure when the server did nothing at all, and may if asked again.
fn all_may_pass(answers: &[Result<Value, Failure>]) -> Option<Failure> {
    let may_pass = |answer: &Result<Value, Failure>| match answer {
        Err(failure) => failure.kind.may_pass(),
        Ok(_) => false,
    };
    let first = answers.first()?.as_ref().err()?;
    answers.iter().all(may_pass).then(|| first.clone())
}

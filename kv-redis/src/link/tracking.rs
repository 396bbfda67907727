//! [`Tracking`]: connections over which servers tell the names of the records that change.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, try_join_all};
use futures_util::stream::FuturesUnordered;
use kv_core::{Error, Result};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, PushInfo, RedisError, Value};
use tokio::time::{Instant, sleep, timeout};

use super::{Cluster, Dial, Limits};
use crate::error::{Address, Failure, answer, unavailable};
use crate::inbox::Inbox;

/// How long a connection is left alone before the server is asked whether it is there.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How long the masters of a cluster are taken to be the same.
const MASTERS_EVERY: Duration = Duration::from_secs(10);

/// Connections on which every server tells the names of the records that change. Dropping it
/// closes them.
pub(crate) struct Tracking {
    /// Each ends with the reason why changes may go untold.
    watches: FuturesUnordered<BoxFuture<'static, Error>>,
}

impl Tracking {
    pub(super) async fn of_one(dial: &Dial, limits: Limits, inbox: &Arc<Inbox>) -> Result<Self> {
        let line = Line::open(dial, matches!(dial, Dial::Sentinel { .. }), limits, inbox).await?;
        Ok(Self::new(vec![line]))
    }

    pub(super) async fn of_all(
        cluster: &Arc<Cluster>,
        limits: Limits,
        inbox: &Arc<Inbox>,
    ) -> Result<Self> {
        let deadline = Instant::now() + limits.operation_timeout;
        let masters = cluster.masters(deadline).await.map_err(of_failure)?;
        let lines = masters.iter().map(async |address| {
            let dial = cluster.dial(address).map_err(of_failure)?;
            Line::open(&dial, true, limits, inbox).await
        });
        let tracking = Self::new(try_join_all(lines).await?);
        let changed = masters_change(Arc::clone(cluster), masters, limits);
        tracking.watches.push(Box::pin(changed));
        Ok(tracking)
    }

    fn new(lines: Vec<Line>) -> Self {
        let watches = lines
            .into_iter()
            .map(|line| -> BoxFuture<'static, Error> { Box::pin(line.fails()) });
        Self {
            watches: watches.collect(),
        }
    }

    /// Returns once changes may go untold, with the reason.
    pub(crate) async fn fails(&mut self) -> Error {
        let reason = self.watches.next().await;
        reason.unwrap_or_else(|| unavailable("no server is left", None))
    }
}

/// A connection on which a server tells names.
struct Line {
    connection: MultiplexedConnection,
    /// Asks for a sign of life.
    question: Cmd,
    limits: Limits,
}

impl Line {
    /// Connects, and returns once the server has confirmed that it tells.
    ///
    /// A server that could be made a replica is asked for its role, any other for an answer.
    async fn open(
        dial: &Dial,
        asks_for_role: bool,
        limits: Limits,
        inbox: &Arc<Inbox>,
    ) -> Result<Self> {
        let feed = Feed(Arc::clone(inbox));
        let on_push = move |push: PushInfo| -> Result<(), RedisError> {
            feed.0.push(&push);
            Ok(())
        };
        let mut line = Self {
            connection: dial.open(limits, on_push).await?,
            question: redis::cmd(if asks_for_role { "ROLE" } else { "PING" }),
            limits,
        };
        let mut tracking = redis::cmd("CLIENT");
        tracking.arg(&["TRACKING", "ON", "BCAST"]);
        if !inbox.prefix().is_empty() {
            tracking.arg("PREFIX").arg(inbox.prefix());
        }
        if line.ask(&tracking).await? != Value::Okay {
            return Err(Failure::nonsense().error);
        }
        line.check().await?;
        Ok(line)
    }

    /// Returns once the server does not answer, or is no master any more.
    async fn fails(mut self) -> Error {
        loop {
            sleep(ASK_EVERY).await;
            if let Err(error) = self.check().await {
                return error;
            }
        }
    }

    async fn check(&mut self) -> Result<()> {
        let question = self.question.clone();
        let Value::Array(role) = self.ask(&question).await? else {
            return Ok(());
        };
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(()),
            _ => Err(unavailable("the server is no master any more", None)),
        }
    }

    async fn ask(&mut self, question: &Cmd) -> Result<Value> {
        let within = self.limits.response_timeout;
        let asked = self.connection.send_packed_command(question);
        let value = match timeout(within, asked).await {
            Ok(Ok(value)) => value,
            Ok(Err(error)) => return Err(Failure::lost(error).error),
            Err(_) => return Err(Failure::late(within).error),
        };
        answer(value).map_err(of_failure)
    }
}

/// Tells the inbox that the driver dropped it, which it does as the connection ends.
struct Feed(Arc<Inbox>);

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Returns once other nodes than `masters` have the slots of the cluster.
async fn masters_change(
    cluster: Arc<Cluster>,
    masters: BTreeSet<Address>,
    limits: Limits,
) -> Error {
    loop {
        sleep(MASTERS_EVERY).await;
        let deadline = Instant::now() + limits.operation_timeout;
        // When nobody tells, the masters that are watched do not answer either.
        if matches!(cluster.masters(deadline).await, Ok(now) if now != masters) {
            return unavailable("other nodes have the cluster's slots", None);
        }
    }
}

fn of_failure(failure: Failure) -> Error {
    failure.error
}

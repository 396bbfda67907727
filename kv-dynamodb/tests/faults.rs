//! Faults of the service and of the way to it: a bounded time, a typed error, never a wrong
//! answer, and health as soon as the fault is over.

mod batches;
mod outages;
mod throttling;
mod unknown;

use std::pin::pin;
use std::time::Duration;

use kv_core::{Entry, Value};
use kv_dynamodb::{DynamoDbStore, DynamoDbStoreBuilder};
use tokio::time::{Instant, sleep};

use crate::proxy::Proxy;
use crate::support::{self, TABLE};

/// The time of an operation that a fault makes fail. The service itself must answer within it.
const OPERATION: Duration = Duration::from_secs(3);

/// The time of a request where the proxy never answers.
const ATTEMPT: Duration = Duration::from_millis(300);

/// The time of an operation there.
const SILENCE: Duration = Duration::from_secs(1);

/// How much longer than its time an operation may take.
const SLACK: Duration = Duration::from_millis(100);

fn entry(n: u64) -> Entry {
    Entry::new(Value::from_json(format!(r#"{{"n":{n}}}"#)).unwrap())
}

/// A store behind a proxy, with a collection of its own.
struct Faulty {
    store: DynamoDbStore,
    /// A store that nothing is in the way of, to prepare and to look.
    direct: DynamoDbStore,
    proxy: Proxy,
    collection: String,
}

impl Faulty {
    /// The store gives up after [`OPERATION`].
    async fn new() -> Self {
        let faulty = Self::unopened(|builder| builder).await;
        faulty.open().await
    }

    /// The store gives up on a request after [`ATTEMPT`], and after [`SILENCE`] for good.
    async fn hasty() -> Self {
        let hasty = Self::unopened(|builder| {
            let builder = builder.create_table(false);
            builder.attempt_timeout(ATTEMPT).operation_timeout(SILENCE)
        });
        hasty.await
    }

    /// The store gives up after so long that it never does.
    async fn patient() -> Self {
        let patience = Duration::from_secs(30);
        let patient = Self::unopened(|builder| {
            builder
                .attempt_timeout(patience)
                .operation_timeout(patience)
        });
        patient.await.open().await
    }

    /// The store has not looked for its table, which is there.
    async fn unopened(set_up: impl FnOnce(DynamoDbStoreBuilder) -> DynamoDbStoreBuilder) -> Self {
        let direct = support::builder(TABLE).await.build().unwrap();
        direct.open().await.unwrap();
        let proxy = Proxy::start().await;
        let builder = support::builder_at(&proxy.endpoint(), TABLE)
            .endpoint(proxy.endpoint())
            .attempt_timeout(OPERATION)
            .operation_timeout(OPERATION);
        Self {
            store: set_up(builder).build().unwrap(),
            direct,
            proxy,
            collection: support::unique("faults"),
        }
    }

    async fn open(self) -> Self {
        self.store.open().await.unwrap();
        self
    }
}

/// Runs `operation`, which must not take longer than `limit` by more than the slack.
///
/// A timer beside it bears the delays of a busy machine just the same.
async fn within<T>(limit: Duration, operation: impl Future<Output = T>) -> T {
    let mut operation = pin!(operation);
    tokio::select! {
        biased;
        result = &mut operation => return result,
        () = sleep(limit) => {}
    }
    let allowed = Instant::now();
    let result = operation.await;
    let late = allowed.elapsed();
    assert!(late < SLACK, "late by {late:?}");
    result
}

//! The bulk operations of the DynamoDB store against the same one by one, through
//! `Arc<dyn Store>`.
//!
//! The service is Amazon's DynamoDB Local on the same machine: what a request costs there is
//! neither the latency nor the price of the real one, both of which a batch saves more of.
//!
//! Run with: cargo bench -p kv-bench --bench dynamodb

use std::sync::Arc;
use std::time::Instant;

use kv_bench::{Figure, Goal, compare_rates, value};
use kv_core::{Entry, PutMode, Store, Value};
use kv_dynamodb::DynamoDbStore;
use kv_dynamodb::aws_config::{BehaviorVersion, SdkConfig};
use kv_dynamodb::aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use tokio::runtime::Runtime;

const COLLECTION: &str = "sessions";
const ROUNDS: usize = 11;
const MANY: usize = 100;

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    let store = runtime.block_on(open());
    let figure = |name, against| Figure {
        name,
        against,
        size: MANY as u64,
        goal: Goal::Open,
    };
    compare_rates(
        figure("dynamodb: put_many", "dynamodb: put, one by one"),
        ROUNDS,
        |round| rate(&runtime, put_together(Arc::clone(&store), round)),
        |round| rate(&runtime, put_one_by_one(Arc::clone(&store), round)),
    );
    compare_rates(
        figure("dynamodb: get_many", "dynamodb: get, one by one"),
        ROUNDS,
        |_| rate(&runtime, get_together(Arc::clone(&store))),
        |_| rate(&runtime, get_one_by_one(Arc::clone(&store))),
    );
}

async fn open() -> Arc<dyn Store> {
    let endpoint = kv_tests::services::dynamodb().await;
    let credentials = Credentials::new("bench", "bench", None, None, "bench");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let store = DynamoDbStore::builder("bench")
        .sdk_config(&config)
        .endpoint(endpoint)
        .region("eu-west-1")
        .build()
        .expect("the address is right");
    Arc::new(store)
}

/// Runs `work` on all entries and returns the entries a second.
fn rate(runtime: &Runtime, work: impl Future<Output = ()> + Send + 'static) -> f64 {
    let start = Instant::now();
    let work = runtime.spawn(work);
    runtime.block_on(work).expect("it does not panic");
    MANY as f64 / start.elapsed().as_secs_f64()
}

async fn put_together(store: Arc<dyn Store>, round: usize) {
    let entries = (0..MANY).map(|number| (key(number), entry(round, number)));
    let written = store.put_many(COLLECTION, entries.collect()).await;
    written.expect("the service takes it");
}

async fn put_one_by_one(store: Arc<dyn Store>, round: usize) {
    for number in 0..MANY {
        let (key, entry) = (key(number), entry(round, number));
        let put = store.put(COLLECTION, &key, entry, PutMode::Overwrite);
        put.await.expect("the service takes it");
    }
}

async fn get_together(store: Arc<dyn Store>) {
    let keys: Vec<_> = (0..MANY).map(key).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let read = store.get_many(COLLECTION, &keys).await;
    for entry in read.expect("the service answers") {
        assert!(entry.expect("it is sound").is_some());
    }
}

async fn get_one_by_one(store: Arc<dyn Store>) {
    for number in 0..MANY {
        let read = store.get(COLLECTION, &key(number)).await;
        assert!(read.expect("the service answers").is_some());
    }
}

fn key(number: usize) -> String {
    format!("session-{number:08}")
}

fn entry(round: usize, number: usize) -> Entry {
    let value = value((round * MANY + number) as u64);
    Entry::new(Value::from_json(value).expect("it is an object"))
}

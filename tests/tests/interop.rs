//! One Redis, and one DynamoDB table, that Rust and Python's py-key-value share.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use kv_core::{Entry, KeyQuery, PutMode, Store, StoreExt, Value};
use kv_dynamodb::DynamoDbStore;
use kv_dynamodb::aws_config::{BehaviorVersion, SdkConfig};
use kv_dynamodb::aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use kv_encryption::{FernetKey, FernetStore, Format, KeyRing};
use kv_redis::RedisStore;
use kv_tests::services::{dynamodb, redis};
use serde_json::json;
use tokio::task;

/// The lifetime of an entry that outlives the test, in seconds.
const HOUR: f64 = 3600.0;

const FERNET_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// How long an operation may take on a machine that runs many tests at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store and what Python needs to open the same.
#[derive(Clone)]
struct Shared {
    store: Arc<dyn Store>,
    python: Vec<String>,
}

/// An entry of the matrix.
struct Case {
    key: String,
    value: serde_json::Value,
    ttl: Option<f64>,
}

fn cases() -> Vec<Case> {
    let case = |key: &str, value, ttl| Case {
        key: key.to_owned(),
        value,
        ttl,
    };
    vec![
        case("plain", json!({ "user": "ada" }), None),
        case("ttl", json!({ "user": "ada" }), Some(HOUR)),
        case("empty", json!({}), None),
        case(
            "ключ \\ \"q\" 🌍 a::b *[x]?",
            json!({ "é": "世界 🌍 \u{7f}\u{0}" }),
            Some(HOUR),
        ),
        case(
            "nested",
            json!({ "a": [{ "b": [null, true, [], {}] }] }),
            None,
        ),
        case("big", json!({ "text": "ü".repeat(50_000) }), None),
        case(
            "numbers",
            json!({ "max": u64::MAX, "min": i64::MIN, "tenth": 0.1, "huge": 1e300 }),
            Some(HOUR),
        ),
    ]
}

impl Shared {
    async fn redis() -> Self {
        let url = redis().await;
        let store = RedisStore::builder(url)
            .response_timeout(PATIENCE)
            .operation_timeout(PATIENCE)
            .build()
            .unwrap();
        Self {
            store: Arc::new(store),
            python: vec!["redis".to_owned(), url.to_owned()],
        }
    }

    /// The same with all values encrypted, in a database of its own.
    async fn encrypted_redis() -> Self {
        let url = format!("{}/1", redis().await);
        let store = RedisStore::builder(url.clone())
            .response_timeout(PATIENCE)
            .operation_timeout(PATIENCE)
            .build()
            .unwrap();
        let keys = KeyRing::new(FernetKey::from_base64(FERNET_KEY).unwrap());
        let store = FernetStore::new(store, keys).with_format(Format::PythonCompatible);
        Self {
            store: Arc::new(store),
            python: vec!["redis".to_owned(), url, format!("fernet:{FERNET_KEY}")],
        }
    }

    /// The same with long values compressed before they are encrypted.
    async fn compressed_redis() -> Self {
        let url = format!("{}/2", redis().await);
        let store = RedisStore::builder(url.clone())
            .response_timeout(PATIENCE)
            .operation_timeout(PATIENCE)
            .build()
            .unwrap();
        let keys = KeyRing::new(FernetKey::from_base64(FERNET_KEY).unwrap());
        let store = FernetStore::new(store, keys).with_format(Format::PythonCompatible);
        let fernet = format!("fernet:{FERNET_KEY}");
        Self {
            store: Arc::new(store.compressed()),
            python: vec!["redis".to_owned(), url, fernet, "compressed".to_owned()],
        }
    }

    /// Each test has a table: py-key-value fails when two of its processes make one at once.
    async fn dynamodb(table: &str) -> Self {
        let endpoint = dynamodb().await;
        let credentials = Credentials::new("test", "test", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let store = DynamoDbStore::builder(table)
            .sdk_config(&config)
            .endpoint(endpoint)
            .region("eu-west-1")
            .attempt_timeout(PATIENCE)
            .operation_timeout(PATIENCE)
            .build()
            .unwrap();
        Self {
            store: Arc::new(store),
            python: vec!["dynamodb".to_owned(), endpoint.to_owned(), table.to_owned()],
        }
    }

    /// Has Python do `steps`, and returns its answers.
    async fn python(&self, steps: Vec<serde_json::Value>) -> Vec<serde_json::Value> {
        let arguments = self.python.clone();
        task::spawn_blocking(move || python(&arguments, &steps))
            .await
            .unwrap()
    }

    async fn value(&self, collection: &str, key: &str) -> Option<serde_json::Value> {
        let entry = self.store.get(collection, key).await.unwrap()?;
        Some(serde_json::from_slice(entry.value.as_bytes()).unwrap())
    }
}

pub(crate) fn python(arguments: &[String], steps: &[serde_json::Value]) -> Vec<serde_json::Value> {
    let script = kv_tests::workspace().join("tests/tests/python/interop.py");
    let mut python = Command::new(kv_tests::kv_python())
        .arg(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    input
        .write_all(&serde_json::to_vec(steps).unwrap())
        .unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "Python failed: see above");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn keys() -> Vec<String> {
    cases().into_iter().map(|case| case.key).collect()
}

/// What the entries are overwritten with.
fn overwritten() -> serde_json::Value {
    json!({ "overwritten": true })
}

async fn rust_works_on_what_python_wrote(shared: Shared) {
    const COLLECTION: &str = "from python é";
    let put = |case: &Case| json!(["put", COLLECTION, case.key, case.value, case.ttl]);
    shared.python(cases().iter().map(put).collect()).await;

    for case in cases() {
        let found = shared.value(COLLECTION, &case.key).await;
        assert_eq!(found, Some(case.value), "{}", case.key);
        let entry = shared
            .store
            .get(COLLECTION, &case.key)
            .await
            .unwrap()
            .unwrap();
        assert!(entry.created_at.is_some());
        let (_, left) = shared
            .store
            .ttl(COLLECTION, &case.key)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(left.is_some(), case.ttl.is_some(), "{}", case.key);
        if let Some(left) = left {
            assert!(left > Duration::from_secs(3500) && left <= Duration::from_secs(3600));
        }
    }
    let keys = keys();
    let many: Vec<&str> = keys.iter().map(String::as_str).collect();
    let found = shared.store.get_many(COLLECTION, &many).await.unwrap();
    assert!(found.iter().all(|entry| matches!(entry, Ok(Some(_)))));
    let mut listed = shared
        .store
        .keys(COLLECTION, KeyQuery::new())
        .await
        .unwrap()
        .keys;
    listed.sort();
    let mut expected = keys.clone();
    expected.sort();
    assert_eq!(listed, expected);

    for key in &keys {
        let value = Value::encode(&overwritten()).unwrap();
        let put = shared
            .store
            .put(COLLECTION, key, Entry::new(value), PutMode::Overwrite);
        put.await.unwrap();
    }
    let answers = shared
        .python(vec![json!(["ttl_many", COLLECTION, keys])])
        .await;
    for answer in answers[0].as_array().unwrap() {
        assert_eq!(*answer, json!([overwritten(), null]));
    }
    for key in &keys {
        assert!(shared.store.delete(COLLECTION, key).await.unwrap(), "{key}");
    }
    let answers = shared
        .python(vec![json!(["get_many", COLLECTION, keys])])
        .await;
    assert!(
        answers[0]
            .as_array()
            .unwrap()
            .iter()
            .all(serde_json::Value::is_null)
    );
}

async fn python_works_on_what_rust_wrote(shared: Shared, python_lists: bool) {
    const COLLECTION: &str = "from rust é";
    for case in cases() {
        let value = Value::encode(&case.value).unwrap();
        let end = case.ttl.map(|ttl| {
            let now = shared.store.clock().now();
            now.plus_ttl(Duration::from_secs_f64(ttl)).unwrap()
        });
        let entry = Entry::new(value).with_expires_at(end);
        let put = shared
            .store
            .put(COLLECTION, &case.key, entry, PutMode::Create);
        put.await.unwrap();
    }
    let keys = keys();
    let mut steps: Vec<_> = keys
        .iter()
        .map(|key| json!(["ttl", COLLECTION, key]))
        .collect();
    steps.push(json!(["get_many", COLLECTION, keys]));
    if python_lists {
        steps.push(json!(["keys", COLLECTION]));
    }
    let answers = shared.python(steps).await;
    for (case, answer) in cases().iter().zip(&answers) {
        assert_eq!(answer[0], case.value, "{}", case.key);
        let left = answer[1].as_f64();
        assert_eq!(left.is_some(), case.ttl.is_some(), "{}", case.key);
        assert!(left.is_none_or(|left| left > 3500.0 && left <= HOUR));
    }
    for (case, value) in cases().iter().zip(answers[keys.len()].as_array().unwrap()) {
        assert_eq!(*value, case.value);
    }
    if python_lists {
        let mut expected = keys.clone();
        expected.sort();
        assert_eq!(answers[keys.len() + 1], json!(expected));
    }

    let values: Vec<_> = keys.iter().map(|_| overwritten()).collect();
    shared
        .python(vec![json!(["put_many", COLLECTION, keys, values, HOUR])])
        .await;
    for key in &keys {
        assert_eq!(
            shared.value(COLLECTION, key).await,
            Some(overwritten()),
            "{key}"
        );
        let (_, left) = shared.store.ttl(COLLECTION, key).await.unwrap().unwrap();
        assert!(left.is_some(), "{key}");
    }
    shared
        .python(vec![json!(["delete_many", COLLECTION, keys])])
        .await;
    for key in &keys {
        assert_eq!(shared.value(COLLECTION, key).await, None, "{key}");
    }
}

/// Entries that one side lets expire are gone for the other, by the entry's own time.
async fn what_expires_is_gone_for_both(shared: Shared) {
    const COLLECTION: &str = "expiring";
    const LIFE: Duration = Duration::from_millis(1500);
    let value = json!({ "a": 1 });
    let life = LIFE.as_secs_f64();
    shared
        .python(vec![json!(["put", COLLECTION, "python", value, life])])
        .await;
    let end = shared.store.clock().now().plus_ttl(LIFE).unwrap();
    let entry = Entry::new(Value::encode(&value).unwrap()).with_expires_at(Some(end));
    let put = shared
        .store
        .put(COLLECTION, "rust", entry, PutMode::Overwrite);
    put.await.unwrap();
    // The expiry is that of the services, whose clock cannot be moved.
    tokio::time::sleep(LIFE + Duration::from_millis(50)).await;
    assert_eq!(shared.value(COLLECTION, "python").await, None);
    let answers = shared
        .python(vec![json!(["get", COLLECTION, "rust"])])
        .await;
    assert!(answers[0].is_null());
}

#[tokio::test]
async fn rust_works_on_what_python_wrote_to_redis() {
    rust_works_on_what_python_wrote(Shared::redis().await).await;
}

#[tokio::test]
async fn rust_works_on_what_python_wrote_to_dynamodb() {
    rust_works_on_what_python_wrote(Shared::dynamodb("from-python").await).await;
}

#[tokio::test]
async fn python_works_on_what_rust_wrote_to_redis() {
    python_works_on_what_rust_wrote(Shared::redis().await, true).await;
}

/// Python's DynamoDB store lists no keys.
#[tokio::test]
async fn python_works_on_what_rust_wrote_to_dynamodb() {
    python_works_on_what_rust_wrote(Shared::dynamodb("from-rust").await, false).await;
}

#[tokio::test]
async fn rust_works_on_what_python_encrypted() {
    rust_works_on_what_python_wrote(Shared::encrypted_redis().await).await;
}

#[tokio::test]
async fn python_works_on_what_rust_encrypted() {
    python_works_on_what_rust_wrote(Shared::encrypted_redis().await, true).await;
}

#[tokio::test]
async fn rust_works_on_what_python_compressed_and_encrypted() {
    rust_works_on_what_python_wrote(Shared::compressed_redis().await).await;
}

#[tokio::test]
async fn python_works_on_what_rust_compressed_and_encrypted() {
    python_works_on_what_rust_wrote(Shared::compressed_redis().await, true).await;
}

#[tokio::test]
async fn what_expires_on_redis_is_gone_for_both() {
    what_expires_is_gone_for_both(Shared::redis().await).await;
}

#[tokio::test]
async fn what_expires_on_dynamodb_is_gone_for_both() {
    what_expires_is_gone_for_both(Shared::dynamodb("expiring").await).await;
}

//! Answers that no DynamoDB gives: an error or a plain answer, never a panic and never for ever.

use std::time::Duration;

use kv_core::{Entry, KeyQuery, PutMode, Store, Value};
use kv_dynamodb::DynamoDbStore;
use kv_dynamodb::aws_config::{Region, SdkConfig};
use tokio::time::timeout;

use crate::proxy::{Fault, Proxy};
use crate::support::{self, TABLE};

const OPERATION: Duration = Duration::from_millis(500);

const OPERATIONS: [&str; 7] = [
    "GetItem",
    "PutItem",
    "DeleteItem",
    "BatchGetItem",
    "BatchWriteItem",
    "Query",
    "Scan",
];

const ANSWERS: [&str; 22] = [
    "",
    "{}",
    "[]",
    "null",
    "nul",
    "<html>",
    "\u{0}",
    "{",
    r#"{"Item":null,"Items":null,"Responses":null,"Attributes":null}"#,
    r#"{"Item":{},"Items":[{}],"Attributes":{},"Responses":{"t":[{}]}}"#,
    r#"{"Item":{"value":{}},"Items":[{"value":{}}],"Attributes":{"value":{}}}"#,
    r#"{"Item":{"value":{"S":1}},"Attributes":{"value":{"S":1}}}"#,
    r#"{"Item":{"value":{"N":"x"}},"Attributes":{"value":{"N":"x"}}}"#,
    r#"{"Item":{"value":{"B":"*"}},"Attributes":{"value":{"B":"*"}}}"#,
    r#"{"Item":{"value":{"S":"{}"}},"Attributes":{"value":{"S":"\ud800"}}}"#,
    r#"{"Item":{"value":{"X":"{}"}},"Attributes":{"value":{"S":"a","N":"1"}}}"#,
    r#"{"Items":[{"key":{"N":"1"},"collection":{"S":"c"}}],"LastEvaluatedKey":{}}"#,
    r#"{"Items":[],"LastEvaluatedKey":{"key":{"S":""},"collection":{"S":""}}}"#,
    r#"{"Items":[],"LastEvaluatedKey":{"key":{"N":"1"},"collection":{"N":"1"}}}"#,
    r#"{"Responses":{},"UnprocessedKeys":{"t":{"Keys":[{}]}},"UnprocessedItems":{"t":[{}]}}"#,
    r#"{"Responses":7,"UnprocessedKeys":[],"UnprocessedItems":[]}"#,
    r#"{"UnprocessedItems":{"t":[{"PutRequest":{"Item":{}}}]},"UnprocessedKeys":{"t":{}}}"#,
];

/// An answer nested so deep that reading it by recursion would end the process.
fn deep() -> &'static str {
    let inner = r#"{"M":{"a":"#.repeat(100_000);
    Box::leak(format!(r#"{{"Item":{{"value":{inner}"#).into_boxed_str())
}

#[tokio::test]
async fn an_answer_of_any_kind_ends_in_time() {
    let proxy = Proxy::start().await;
    let store = support::builder_at(&proxy.endpoint(), TABLE)
        .create_table(false)
        .attempt_timeout(OPERATION)
        .operation_timeout(OPERATION)
        .build()
        .unwrap();
    let entry = || Entry::new(Value::from_json("{}").unwrap());
    let cases = ANSWERS.map(|answer| (200, answer));
    let others = [(200, deep()), (204, ""), (301, "{}"), (400, "{"), (413, "")];
    for (status, answer) in cases.into_iter().chain(others) {
        proxy.heal();
        for operation in OPERATIONS {
            proxy.spoil(operation, usize::MAX, Fault::Answer(status, answer));
        }
        let all = async {
            store.get("c", "k").await.ok();
            for mode in [PutMode::Overwrite, PutMode::Create] {
                store.put("c", "k", entry(), mode).await.ok();
            }
            store.take("c", "k").await.ok();
            store.get_many("c", &["k"]).await.ok();
            let entries = vec![("k".to_owned(), entry())];
            store.put_many("c", entries).await.ok();
            store.keys("c", KeyQuery::new()).await.ok();
            store.collections(KeyQuery::new()).await.ok();
            store.clear("c").await.ok();
            store.destroy().await.ok();
        };
        // Ten operations, some of several steps.
        let ended = timeout(30 * OPERATION, all).await;
        assert!(ended.is_ok(), "{status} {answer:.100}");
    }
}

#[tokio::test]
async fn a_configuration_that_names_no_behavior_version_is_taken() {
    let config = SdkConfig::builder()
        .region(Region::new("eu-central-1"))
        .credentials_provider(support::credentials())
        .endpoint_url("http://127.0.0.1:1");
    let store = DynamoDbStore::builder(TABLE).sdk_config(&config.build());
    assert!(store.build().unwrap().get("c", "k").await.is_err());
}

//! What the tests share: stores and clients of the DynamoDB that all of them use.

use std::collections::HashMap;
use std::time::Duration;

use kv_dynamodb::aws_config::{BehaviorVersion, Region, SdkConfig};
use kv_dynamodb::aws_sdk_dynamodb::Client;
use kv_dynamodb::aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use kv_dynamodb::aws_sdk_dynamodb::types::AttributeValue;
use kv_dynamodb::{DynamoDbStore, DynamoDbStoreBuilder};
use kv_tests::services;

/// The table of the tests that need none of their own.
pub(crate) const TABLE: &str = "kv-dynamodb-tests";

/// The credentials that the tests sign with. No service checks them.
pub(crate) const SECRET_KEY: &str = "correct-horse-battery-staple";

pub(crate) type Item = HashMap<String, AttributeValue>;

/// An SDK configuration for the service behind `endpoint`, which takes any credentials.
pub(crate) fn sdk_config(endpoint: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(credentials())
        .endpoint_url(endpoint)
        .build()
}

pub(crate) fn credentials() -> SharedCredentialsProvider {
    let credentials = Credentials::new("access", SECRET_KEY, None, None, "test");
    SharedCredentialsProvider::new(credentials)
}

/// A builder of a store in `table` behind `endpoint`.
pub(crate) fn builder_at(endpoint: &str, table: &str) -> DynamoDbStoreBuilder {
    DynamoDbStore::builder(table).sdk_config(&sdk_config(endpoint))
}

/// A builder of a store in `table` of the shared service, which may be slow when many tests run.
pub(crate) async fn builder(table: &str) -> DynamoDbStoreBuilder {
    builder_at(services::dynamodb().await, table)
        .attempt_timeout(Duration::from_secs(20))
        .operation_timeout(Duration::from_secs(60))
}

/// A client of the shared service, to look behind a store's back.
pub(crate) async fn client() -> Client {
    let config = sdk_config(services::dynamodb().await);
    Client::from_conf((&config).into())
}

/// A name that no other test has.
pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}-{:016x}", fastrand::u64(..))
}

pub(crate) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// The key attributes of an entry.
pub(crate) fn row(collection: &str, key: &str) -> Item {
    HashMap::from([
        ("collection".to_owned(), text(collection)),
        ("key".to_owned(), text(key)),
    ])
}

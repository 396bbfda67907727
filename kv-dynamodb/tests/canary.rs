//! No key, value or credential in any form in what is shown, or logged by any crate on any thread.

use std::time::Duration;

use kv_dynamodb::DynamoDbStore;
use kv_dynamodb::DynamoDbStoreBuilder;
use kv_dynamodb::aws_config::SdkConfig;
use kv_dynamodb::aws_sdk_dynamodb::Client;
use kv_dynamodb::aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use kv_tests::canary::Seen;
use kv_tests::services::free_port;

use crate::proxy::{Fault, Proxy};
use crate::support;

/// With characters that URLs and JSON write in another way.
const VALUE: &str = "hunter2 \"value\"/of~it";
const KEY: &str = "hunter2 \"key\"/of~it";
const SECRET_KEY: &str = "hunter2/secret+access+key";
const TOKEN: &str = "hunter2/session+token";

const SIGNATURE: &str = r#"{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.\n\nThe Canonical String for this request should have been\n'POST\n/\n\nx-amz-security-token:hunter2/session+token\n\n'"}"#;

fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("access", SECRET_KEY, Some(TOKEN.to_owned()), None, "test");
    let credentials = SharedCredentialsProvider::new(credentials);
    let config = support::sdk_config(endpoint).into_builder();
    config.credentials_provider(credentials).build()
}

fn hasty(builder: DynamoDbStoreBuilder) -> DynamoDbStoreBuilder {
    builder
        .create_table(false)
        .attempt_timeout(Duration::from_millis(400))
        .operation_timeout(Duration::from_millis(900))
}

async fn every_operation(builder: DynamoDbStoreBuilder, seen: &Seen) {
    seen.add(&builder);
    let store = builder.build().unwrap();
    seen.of_every_operation(&store, KEY, VALUE).await;
}

#[tokio::test]
async fn no_secret_is_shown_or_logged_by_any_crate_while_dynamodb_works_and_fails() {
    let seen = Seen::everywhere();
    // Its own, as it is emptied.
    let table = support::unique("canary");
    let proxy = Proxy::start().await;
    let config_of_proxy = config(&proxy.endpoint());
    let builder = || DynamoDbStore::builder(&table).sdk_config(&config_of_proxy);
    let patient = builder().operation_timeout(Duration::from_secs(60));
    let patient = patient.attempt_timeout(Duration::from_secs(20));
    patient.clone().build().unwrap().open().await.unwrap();
    every_operation(patient.clone(), &seen).await;
    every_operation(patient.client(Client::new(&config_of_proxy)), &seen).await;

    for fault in [
        Fault::Refuse(400, "AccessDeniedException"),
        Fault::Refuse(400, "ThrottlingException"),
        Fault::RefuseAfter(500, "InternalServerError"),
        Fault::CutBefore,
        Fault::CutAfter,
        Fault::CutWithin,
        Fault::Silence,
        Fault::Answer(400, SIGNATURE),
        Fault::Answer(200, r#"{"Item":{"value":{"S":"hunter2 \"value\"/of~it"}"#),
        Fault::Answer(200, "hunter2 \"value\"/of~it"),
        Fault::Answer(418, "hunter2 \"value\"/of~it"),
    ] {
        for operation in [
            "GetItem",
            "PutItem",
            "DeleteItem",
            "BatchGetItem",
            "BatchWriteItem",
            "Query",
            "Scan",
        ] {
            proxy.spoil(operation, usize::MAX, fault.clone());
        }
        every_operation(hasty(builder()), &seen).await;
        proxy.heal();
    }
    let nobody = config(&format!("http://127.0.0.1:{}", free_port()));
    every_operation(
        hasty(DynamoDbStore::builder(&table).sdk_config(&nobody)),
        &seen,
    )
    .await;
    // TLS with what speaks none.
    let tls = config(&proxy.endpoint().replace("http:", "https:"));
    every_operation(
        hasty(DynamoDbStore::builder(&table).sdk_config(&tls)),
        &seen,
    )
    .await;
    support::client()
        .await
        .delete_table()
        .table_name(&table)
        .send()
        .await
        .unwrap();

    seen.assert_free_of(
        &["hunter2", VALUE, KEY, SECRET_KEY, TOKEN],
        &[
            "AccessDeniedException",
            "InvalidSignatureException",
            "OutcomeUnknown",
            "hyper",
        ],
    );
}

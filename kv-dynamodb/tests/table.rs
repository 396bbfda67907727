//! Making the table, and tables that are not as they should be.

use std::time::Duration;

use kv_core::{Entry, Error, PutMode, Store, Value};
use kv_dynamodb::AwsError;
use kv_dynamodb::aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ProvisionedThroughput,
    ScalarAttributeType, TimeToLiveSpecification, TimeToLiveStatus,
};

use crate::support;

fn entry() -> Entry {
    Entry::new(Value::from_json("{}").unwrap())
}

#[tokio::test]
async fn the_first_use_makes_a_table_with_expiry_and_billing_on_demand() {
    let table = support::unique("made");
    let store = support::builder(&table).await.build().unwrap();
    assert_eq!(store.get("c", "k").await.unwrap(), None);

    let client = support::client().await;
    let described = client.describe_table().table_name(&table).send().await;
    let described = described.unwrap().table.unwrap();
    let billing = described.billing_mode_summary.unwrap().billing_mode;
    assert_eq!(billing, Some(BillingMode::PayPerRequest));
    let expiry = client
        .describe_time_to_live()
        .table_name(&table)
        .send()
        .await;
    let expiry = expiry.unwrap().time_to_live_description.unwrap();
    assert_eq!(expiry.time_to_live_status, Some(TimeToLiveStatus::Enabled));
    assert_eq!(expiry.attribute_name.as_deref(), Some("ttl"));
}

#[tokio::test]
async fn table_settings_are_added_to_the_table() {
    let table = support::unique("set");
    let builder = support::builder(&table).await.table_settings(|table| {
        let throughput = ProvisionedThroughput::builder()
            .read_capacity_units(7)
            .write_capacity_units(3)
            .build();
        table
            .table_name("another")
            .billing_mode(BillingMode::Provisioned)
            .provisioned_throughput(throughput.unwrap())
            .deletion_protection_enabled(true)
    });
    builder.build().unwrap().open().await.unwrap();

    let client = support::client().await;
    let described = client.describe_table().table_name(&table).send().await;
    let described = described.unwrap().table.unwrap();
    assert_eq!(described.deletion_protection_enabled, Some(true));
    let throughput = described.provisioned_throughput.unwrap();
    assert_eq!(throughput.read_capacity_units, Some(7));
}

#[tokio::test]
async fn stores_that_make_one_table_at_once_all_find_it() {
    let table = support::unique("raced");
    let builder = support::builder(&table).await;
    let puts = (0..8).map(|n| {
        let store = builder.clone().build().unwrap();
        tokio::spawn(async move {
            let key = format!("k{n}");
            store.put("c", &key, entry(), PutMode::Create).await
        })
    });
    for put in puts.collect::<Vec<_>>() {
        put.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_missing_table_that_is_not_to_be_made_is_unavailable() {
    let table = support::unique("missing");
    let builder = support::builder(&table).await.create_table(false);
    let store = builder.build().unwrap();
    let put = store.put("c", "k", entry(), PutMode::Create).await;
    for error in [
        store.get("c", "k").await.unwrap_err(),
        store.open().await.unwrap_err(),
        store.take("c", "k").await.unwrap_err(),
        store.clear("c").await.unwrap_err(),
        put.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        let reported: &AwsError = error.driver_error().unwrap();
        assert_eq!(reported.code(), Some("ResourceNotFoundException"));
    }
    let client = support::client().await;
    assert!(
        client
            .describe_table()
            .table_name(&table)
            .send()
            .await
            .is_err()
    );

    support::builder(&table)
        .await
        .build()
        .unwrap()
        .open()
        .await
        .unwrap();
    assert_eq!(store.get("c", "k").await.unwrap(), None);
}

#[tokio::test]
async fn a_table_that_was_deleted_is_an_error_once_and_then_made_again() {
    let table = support::unique("deleted");
    let store = support::builder(&table).await.build().unwrap();
    store.put("c", "k", entry(), PutMode::Create).await.unwrap();
    let client = support::client().await;
    client
        .delete_table()
        .table_name(&table)
        .send()
        .await
        .unwrap();
    let error = store.get("c", "k").await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert_eq!(store.get("c", "k").await.unwrap(), None);
}

#[tokio::test]
async fn a_table_with_other_keys_is_unsupported() {
    let table = support::unique("other");
    let client = support::client().await;
    let attribute = AttributeDefinition::builder().attribute_name("id");
    let attribute = attribute.attribute_type(ScalarAttributeType::S).build();
    let key = KeySchemaElement::builder().attribute_name("id");
    let key = key.key_type(KeyType::Hash).build();
    let create = client.create_table().table_name(&table);
    let create = create.billing_mode(BillingMode::PayPerRequest);
    let create = create.attribute_definitions(attribute.unwrap());
    create.key_schema(key.unwrap()).send().await.unwrap();

    let store = support::builder(&table).await.build().unwrap();
    let error = store.get("c", "k").await.unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
}

#[tokio::test]
async fn rows_of_another_program_with_an_impossible_collection_are_left_alone() {
    let table = support::unique("foreign");
    let store = support::builder(&table).await.build().unwrap();
    store.put("a", "k", entry(), PutMode::Create).await.unwrap();
    let client = support::client().await;
    let foreign = support::row("a::b", "k");
    let put = client.put_item().table_name(&table);
    put.set_item(Some(foreign.clone())).send().await.unwrap();

    let listed = store.collections(kv_core::KeyQuery::new()).await.unwrap();
    assert_eq!(listed.collections, ["a"]);
    store.destroy().await.unwrap();
    assert_eq!(store.get("a", "k").await.unwrap(), None);
    let get = client.get_item().table_name(&table).set_key(Some(foreign));
    assert!(get.send().await.unwrap().item.is_some());
}

#[tokio::test]
async fn a_large_collection_is_listed_in_few_steps() {
    let table = support::unique("large");
    let store = support::builder(&table).await.build().unwrap();
    for collection in ["a", "b", "c"] {
        let entries = (0..1000).map(|n| (format!("k{n}"), entry())).collect();
        store.put_many(collection, entries).await.unwrap();
    }
    let page = store.collections(kv_core::KeyQuery::new()).await.unwrap();
    assert_eq!(page.collections, ["a", "b", "c"]);
    assert_eq!(page.next, None);
}

/// Without leave to make the table nobody looks at its keys first.
#[tokio::test]
async fn a_large_table_with_other_keys_is_an_error_of_every_listing() {
    let table = support::unique("other");
    let client = support::client().await;
    let attribute = AttributeDefinition::builder().attribute_name("id");
    let attribute = attribute.attribute_type(ScalarAttributeType::S).build();
    let key = KeySchemaElement::builder().attribute_name("id");
    let key = key.key_type(KeyType::Hash).build();
    let create = client.create_table().table_name(&table);
    let create = create.billing_mode(BillingMode::PayPerRequest);
    let create = create.attribute_definitions(attribute.unwrap());
    create.key_schema(key.unwrap()).send().await.unwrap();
    for n in 0..4 {
        let put = client.put_item().table_name(&table);
        let put = put.item("id", support::text(format!("{n}")));
        let put = put.item("more", support::text("x".repeat(390 << 10)));
        put.send().await.unwrap();
    }

    let store = support::builder(&table).await.create_table(false);
    let store = store.build().unwrap();
    let long = Duration::from_secs(20);
    let destroy = tokio::time::timeout(long, store.destroy()).await;
    let error = destroy.expect("it ends").unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
    let listed = store.collections(kv_core::KeyQuery::new()).await;
    assert!(
        matches!(listed, Err(Error::Unsupported { .. })),
        "{listed:?}"
    );
    assert!(store.clear("c").await.is_err());
}

#[tokio::test]
async fn a_table_that_expires_by_another_attribute_is_used_all_the_same() {
    let table = support::unique("elsewhere");
    let builder = support::builder(&table).await;
    builder.clone().build().unwrap().open().await.unwrap();
    let client = support::client().await;
    for (attribute, enabled) in [("ttl", false), ("expires", true)] {
        let expiry = TimeToLiveSpecification::builder().attribute_name(attribute);
        let expiry = expiry.enabled(enabled).build().unwrap();
        let update = client.update_time_to_live().table_name(&table);
        let update = update.time_to_live_specification(expiry);
        update.send().await.unwrap();
    }
    let store = builder.build().unwrap();
    assert_eq!(store.get("c", "k").await.unwrap(), None);
}

/// `open` alone waits longer than an operation may take.
#[tokio::test]
async fn a_timeout_of_any_length_is_taken() {
    let builder = support::builder(&support::unique("patient")).await;
    let builder = builder
        .attempt_timeout(Duration::MAX)
        .operation_timeout(Duration::MAX);
    let store = builder.build().unwrap();
    assert_eq!(store.get("c", "k").await.unwrap(), None);
}

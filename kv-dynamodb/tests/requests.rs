//! What is asked of the service.

use kv_core::{Entry, KeyQuery, PutMode, Store, Value};
use kv_dynamodb::DynamoDbStore;
use kv_dynamodb::aws_sdk_dynamodb::Client;
use serde_json::Value as Json;

use crate::proxy::Proxy;
use crate::support::{self, TABLE};

fn entry() -> Entry {
    Entry::new(Value::from_json("{}").unwrap())
}

async fn prepare_table() {
    let builder = support::builder(TABLE).await;
    builder.build().unwrap().open().await.unwrap();
}

/// Whether each kind of read asks for all writes before it: get, batch, query and scan, then
/// those that must.
async fn consistency(store: &DynamoDbStore, proxy: &Proxy) -> [bool; 5] {
    let collection = support::unique("requests");
    let c = &collection;
    store.get(c, "k").await.unwrap();
    let get = proxy.last("GetItem")["ConsistentRead"] == Json::Bool(true);
    store.get_many(c, &["k"]).await.unwrap();
    let batch = &proxy.last("BatchGetItem")["RequestItems"][TABLE]["ConsistentRead"];
    let batch = *batch == Json::Bool(true);
    store.keys(c, KeyQuery::new()).await.unwrap();
    let query = proxy.last("Query")["ConsistentRead"] == Json::Bool(true);
    store.collections(KeyQuery::new()).await.unwrap();
    let scan = proxy.last("Scan")["ConsistentRead"] == Json::Bool(true);

    store.put(c, "k", entry(), PutMode::Create).await.unwrap();
    let refused = store.put(c, "k", entry(), PutMode::Create).await;
    assert!(refused.is_err());
    let create = proxy.last("GetItem")["ConsistentRead"] == Json::Bool(true);
    store.get_fresh(c, "k").await.unwrap();
    let fresh = proxy.last("GetItem")["ConsistentRead"] == Json::Bool(true);
    store.clear(c).await.unwrap();
    let clear = proxy.last("Query")["ConsistentRead"] == Json::Bool(true);
    [get, batch, query, scan, create && fresh && clear]
}

#[tokio::test]
async fn reads_are_consistent_unless_told_otherwise_and_those_that_decide_always() {
    prepare_table().await;
    let proxy = Proxy::start().await;
    let builder = support::builder_at(&proxy.endpoint(), TABLE);
    let store = builder.clone().build().unwrap();
    assert_eq!(consistency(&store, &proxy).await, [true; 5]);
    let store = builder.consistent_reads(false).build().unwrap();
    let relaxed = [false, false, false, false, true];
    assert_eq!(consistency(&store, &proxy).await, relaxed);
}

#[tokio::test]
async fn a_client_of_the_user_is_used_and_its_retries_are_not() {
    prepare_table().await;
    let proxy = Proxy::start().await;
    let client = Client::from_conf((&support::sdk_config(&proxy.endpoint())).into());
    let store = DynamoDbStore::builder(TABLE)
        .client(client)
        .build()
        .unwrap();
    let collection = support::unique("requests");
    let put = store.put(&collection, "k", entry(), PutMode::Create);
    put.await.unwrap();
    proxy.spoil("DeleteItem", 1, crate::proxy::Fault::CutBefore);
    assert!(store.take(&collection, "k").await.is_err());
    assert_eq!(proxy.arrived("DeleteItem"), 1);
}

#[tokio::test]
async fn endpoint_and_region_of_the_builder_win_over_those_of_a_client() {
    prepare_table().await;
    let proxy = Proxy::start().await;
    let client = Client::from_conf((&support::sdk_config("http://127.0.0.1:1")).into());
    let builder = DynamoDbStore::builder(TABLE).client(client);
    let store = builder
        .endpoint(proxy.endpoint())
        .region("eu-west-1")
        .build();
    let store = store.unwrap();
    assert_eq!(store.get("c", "k").await.unwrap(), None);
    assert_eq!(proxy.handed_on("GetItem"), 1);
}

#[tokio::test]
async fn without_leave_to_make_the_table_only_entries_are_asked_for() {
    prepare_table().await;
    let proxy = Proxy::start().await;
    let builder = support::builder_at(&proxy.endpoint(), TABLE).create_table(false);
    let store = builder.build().unwrap();
    store.open().await.unwrap();
    assert_eq!(store.get("c", "k").await.unwrap(), None);
    assert_eq!(
        proxy.arrived("DescribeTable") + proxy.arrived("DescribeTimeToLive"),
        0
    );
}

#[tokio::test]
async fn a_put_of_many_of_one_key_sends_the_last_one_alone() {
    prepare_table().await;
    let proxy = Proxy::start().await;
    let builder = support::builder_at(&proxy.endpoint(), TABLE);
    let store = builder.build().unwrap();
    let entries = vec![("k".to_owned(), entry()); 30];
    let collection = support::unique("requests");
    let revisions = store.put_many(&collection, entries).await.unwrap();
    assert_eq!(revisions.len(), 30);
    let sent = &proxy.last("BatchWriteItem")["RequestItems"][TABLE];
    assert_eq!(sent.as_array().map(Vec::len), Some(1));
    let read = store.get_many(&collection, &["k"; 150]).await.unwrap();
    assert_eq!(read.len(), 150);
    assert_eq!(proxy.handed_on("BatchGetItem"), 1);
    let last = read[149].as_ref().unwrap().as_ref().unwrap();
    assert_eq!(last.revision.as_ref(), revisions.last());
}

/// What is `"` in a value is two bytes on the wire, and the service reads no more than 16 MB.
#[tokio::test]
async fn no_batch_is_longer_on_the_wire_than_the_service_reads() {
    prepare_table().await;
    let proxy = Proxy::start().await;
    let patience = std::time::Duration::from_secs(60);
    let builder = support::builder_at(&proxy.endpoint(), TABLE);
    let builder = builder
        .attempt_timeout(patience)
        .operation_timeout(patience);
    let store = builder.build().unwrap();
    let text = format!(r#"{{"a":"{}"}}"#, r#"\""#.repeat(199 << 10));
    let entry = Entry::new(Value::from_json(text).unwrap());
    let keys: Vec<_> = (0..25).map(|n| format!("k{n}")).collect();
    let entries = keys.iter().map(|key| (key.clone(), entry.clone()));
    let collection = support::unique("requests");
    store
        .put_many(&collection, entries.collect())
        .await
        .unwrap();
    assert!(proxy.longest("BatchWriteItem") <= 16_000_000);
    assert_eq!(proxy.handed_on("BatchWriteItem"), 2);
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let read = store.get_many(&collection, &keys).await.unwrap();
    assert!(read.iter().all(|read| matches!(read, Ok(Some(_)))));
    store.clear(&collection).await.unwrap();
}

#[test]
fn a_store_is_used_from_a_second_runtime_after_the_first_has_ended() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let (first, second) = (runtime(), runtime());
    let collection = support::unique("requests");
    let c = &collection;
    let store = first.block_on(async {
        let store = support::builder(TABLE).await.build().unwrap();
        store.put(c, "k", entry(), PutMode::Create).await.unwrap();
        store
    });
    drop(first);
    second.block_on(async {
        let taken = store.take(c, "k").await.unwrap();
        assert!(taken.is_some());
        store.put(c, "k", entry(), PutMode::Create).await.unwrap();
    });
}

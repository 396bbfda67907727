//! Items that Python's py-key-value wrote, and items as it must find them.

use std::sync::Arc;

use kv_core::{Entry, Error, KeyQuery, ManualClock, PutMode, Store, Timestamp, Value};
use kv_dynamodb::DynamoDbStore;
use kv_dynamodb::aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;

use crate::support::{self, Item};

#[derive(Deserialize)]
struct Vectors {
    items: Vec<Written>,
    odd: Vec<Odd>,
}

/// An item that Python wrote.
#[derive(Deserialize)]
struct Written {
    id: String,
    collection: String,
    key: String,
    record: String,
    ttl: Option<String>,
    created_at: i64,
    expires_at: Option<i64>,
}

impl Written {
    fn item(&self) -> Item {
        let mut item = support::row(&self.collection, &self.key);
        item.insert("value".to_owned(), support::text(&self.record));
        if let Some(ttl) = &self.ttl {
            item.insert("ttl".to_owned(), AttributeValue::N(ttl.clone()));
        }
        item
    }

    fn value(&self) -> serde_json::Value {
        let mut record: serde_json::Value = serde_json::from_str(&self.record).unwrap();
        record["value"].take()
    }
}

/// A record that some other program may write, and what a read makes of it.
#[derive(Deserialize)]
struct Odd {
    name: String,
    record: String,
    read: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("data/py-key-value.json")).unwrap()
}

/// A store in a table of the test's own, with its clock.
async fn store(table: &str) -> (DynamoDbStore, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::starting_now());
    let builder = support::builder(table).await.clock(Arc::clone(&clock));
    let store = builder.build().unwrap();
    store.open().await.unwrap();
    (store, clock)
}

async fn write_behind(table: &str, item: Item) {
    let put = support::client().await.put_item().table_name(table);
    put.set_item(Some(item)).send().await.unwrap();
}

#[tokio::test]
async fn what_python_wrote_is_read_listed_changed_and_removed() {
    let table = support::unique("python");
    let (store, clock) = store(&table).await;
    for written in vectors().items {
        let Written {
            id,
            collection,
            key,
            ..
        } = &written;
        write_behind(&table, written.item()).await;
        clock.set(Timestamp::from_micros(written.created_at));

        let read = store.get(collection, key).await.unwrap().expect(id);
        let value: serde_json::Value = read.value.decode().unwrap();
        assert_eq!(value, written.value(), "{id}");
        assert_eq!(
            read.created_at.map(Timestamp::as_micros),
            Some(written.created_at),
            "{id}"
        );
        assert_eq!(
            read.expires_at.map(Timestamp::as_micros),
            written.expires_at,
            "{id}"
        );
        let listed = store.keys(collection, KeyQuery::new()).await.unwrap().keys;
        assert_eq!(listed, [key.as_str()], "{id}");

        if let Some(end) = written.expires_at {
            clock.set(Timestamp::from_micros(end - 1));
            assert!(store.get(collection, key).await.unwrap().is_some(), "{id}");
            clock.set(Timestamp::from_micros(end));
            assert_eq!(store.get(collection, key).await.unwrap(), None, "{id}");
            clock.set(Timestamp::from_micros(written.created_at));
        }

        let change = PutMode::Update(read.revision.clone().unwrap());
        store
            .put(collection, key, read.clone(), change)
            .await
            .expect(id);
        let again = store.get(collection, key).await.unwrap().expect(id);
        assert_eq!(
            (again.value, again.expires_at),
            (read.value, read.expires_at),
            "{id}"
        );
        assert!(store.delete(collection, key).await.unwrap(), "{id}");
    }
}

#[tokio::test]
async fn an_odd_record_is_read_or_reported_and_never_missed() {
    let table = support::unique("python");
    let (store, _clock) = store(&table).await;
    for odd in vectors().odd {
        let mut item = support::row("t", "k");
        item.insert("value".to_owned(), support::text(&odd.record));
        write_behind(&table, item).await;
        let read = match store.get("t", "k").await {
            Ok(Some(_)) => "present",
            Ok(None) => "absent",
            Err(Error::Corrupted { .. }) => "corrupted",
            Err(error) => panic!("{}: {error:?}", odd.name),
        };
        assert_eq!(read, odd.read, "{}", odd.name);
    }
}

#[tokio::test]
async fn an_item_holds_just_what_python_looks_for() {
    let table = support::unique("python");
    let (store, clock) = store(&table).await;
    let value = Value::from_json(r#"{"name":"Ada","age":36}"#).unwrap();
    let at = |micros| Timestamp::from_micros(micros);
    clock.set(at(1_795_350_094_934_550));
    let mortal = Entry::new(value.clone()).with_expires_at(at(1_795_353_694_934_550));
    store
        .put("users", "u1", mortal, PutMode::Overwrite)
        .await
        .unwrap();
    store
        .put("users", "u2", Entry::new(value), PutMode::Overwrite)
        .await
        .unwrap();

    let client = support::client().await;
    let item = async |key| {
        let get = client.get_item().table_name(&table);
        let get = get.set_key(Some(support::row("users", key)));
        get.send().await.unwrap().item.unwrap()
    };
    let mortal = item("u1").await;
    assert_eq!(mortal["collection"], support::text("users"));
    assert_eq!(mortal["key"], support::text("u1"));
    assert_eq!(mortal["ttl"], AttributeValue::N("1795353694".to_owned()));
    assert_eq!(mortal.len(), 4);
    let record: serde_json::Value = serde_json::from_str(mortal["value"].as_s().unwrap()).unwrap();
    assert_eq!(record["created_at"], "2026-11-22T12:21:34.934550+00:00");
    assert_eq!(record["expires_at"], "2026-11-22T13:21:34.934550+00:00");
    assert_eq!(
        record["value"],
        serde_json::json!({ "name": "Ada", "age": 36 })
    );

    let immortal = item("u2").await;
    assert_eq!(immortal.len(), 3);
    let record = immortal["value"].as_s().unwrap();
    assert!(!record.contains("expires_at"), "{record}");
}

//! Records that Python's py-key-value wrote, on a server.

use std::sync::Arc;

use kv_core::{Error, ManualClock, PutMode, Store, Timestamp};
use kv_redis::RedisStore;
use serde::Deserialize;

use crate::support::{ask, entry, server};

#[derive(Deserialize)]
struct Vectors {
    records: Vec<Record>,
    reader_tolerance: Vec<Odd>,
}

#[derive(Deserialize)]
struct Record {
    id: String,
    raw: String,
    value_text: String,
    created_at_micros: Option<i64>,
    expires_at_micros: Option<i64>,
    collection: String,
    key: String,
}

#[derive(Deserialize)]
struct Odd {
    name: String,
    raw_hex: String,
    redis: String,
}

fn vectors() -> Vectors {
    let text = include_str!("../../kv-core/tests/data/py-key-value.json");
    serde_json::from_str(text).unwrap()
}

/// A time at which none of the records has expired.
fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH))
}

fn set(url: &str, name: &str, record: &[u8]) {
    ask::<()>(url, redis::cmd("SET").arg(name).arg(record)).unwrap();
}

#[tokio::test]
async fn every_record_of_pythons_redis_store_is_read_listed_and_replaced() {
    let server = server();
    let url = server.url();
    let store = RedisStore::builder(&url).clock(clock()).build().unwrap();
    let mut records = vectors().records;
    records.retain(|record| record.id.starts_with("redis/"));
    assert_eq!(records.len(), 32);
    for record in records {
        let (id, collection, key) = (&record.id, &record.collection, &record.key);
        let name = format!("{collection}::{key}");
        set(&url, &name, record.raw.as_bytes());
        if id.contains("collection_with_separator") {
            // Python can't tell it from the key `b::c` in `a`, which is who reads it here.
            let read = store.get(collection, key).await.unwrap_err();
            assert!(matches!(read, Error::InvalidName { .. }), "{id}");
            assert!(store.get("a", "b::c").await.unwrap().is_some());
            assert!(
                store
                    .keys("a", Default::default())
                    .await
                    .unwrap()
                    .keys
                    .is_empty()
            );
            continue;
        }
        let read = store.get(collection, key).await.unwrap().unwrap();
        assert_eq!(read.value.as_bytes(), record.value_text.as_bytes(), "{id}");
        let micros = |time: Option<Timestamp>| time.map(Timestamp::as_micros);
        assert_eq!(micros(read.created_at), record.created_at_micros, "{id}");
        assert_eq!(micros(read.expires_at), record.expires_at_micros, "{id}");
        let many = store.get_many(collection, &[key]).await.unwrap();
        assert_eq!(many[0].as_ref().unwrap().as_ref(), Some(&read), "{id}");
        let keys = store.keys(collection, Default::default()).await.unwrap();
        assert!(keys.keys.contains(key), "{id}");

        let create = store.put(collection, key, entry("ours"), PutMode::Create);
        assert!(matches!(create.await, Err(Error::AlreadyExists)), "{id}");
        let update = PutMode::Update(read.revision.unwrap());
        store
            .put(collection, key, entry("ours"), update)
            .await
            .unwrap();
        assert!(store.delete(collection, key).await.unwrap(), "{id}");
    }
}

#[tokio::test]
async fn an_odd_record_is_an_error_in_its_place_or_read_as_python_reads_it() {
    let server = server();
    let url = server.url();
    let store = RedisStore::new(&url).unwrap();
    for Odd {
        name,
        raw_hex,
        redis,
    } in vectors().reader_tolerance
    {
        let record: Vec<u8> = (0..raw_hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&raw_hex[at..at + 2], 16).unwrap())
            .collect();
        set(&url, "t::k", &record);
        let read = store.get("t", "k").await;
        // What Python raises, or takes for missing, is an error here; null dates are read.
        let expired = name == "past expires_at";
        let null = name.ends_with("at null");
        let python_reads = redis.starts_with("({");
        match read {
            Ok(Some(_)) => assert!(python_reads || null, "{name}"),
            Ok(None) => assert!(expired, "{name}"),
            Err(error) => {
                assert!(
                    matches!(error, Error::Corrupted { .. }),
                    "{name}: {error:?}"
                );
                assert!(!python_reads, "{name}");
            }
        }
        // It says no name, or another one: it is nobody's to list or clear.
        assert!(
            store
                .keys("t", Default::default())
                .await
                .unwrap()
                .keys
                .is_empty()
        );
        assert_eq!(store.clear("t").await.unwrap(), 0, "{name}");
        assert_eq!(store.delete("t", "k").await.unwrap(), !expired, "{name}");
    }
}

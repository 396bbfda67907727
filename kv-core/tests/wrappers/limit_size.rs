//! `LimitSize`: a value outside the limits is never written.

use std::sync::Arc;

use kv_core::{Entry, Error, PutMode, Store, StoreExt, Value};
use serde_json::json;

use super::{entry, number};
use crate::probe::Probe;

/// The size of `{"n":1}`.
const SIZE: u64 = 7;

#[tokio::test]
async fn a_value_of_the_limit_passes_and_one_byte_more_is_too_large() {
    let store = Probe::new();
    let limited = Arc::clone(&store).limit_size(SIZE);
    limited
        .put("c", "k", entry(1), PutMode::Overwrite)
        .await
        .unwrap();
    let error = limited
        .put("c", "k", entry(10), PutMode::Overwrite)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::TooLarge { limit: SIZE, size } if size == SIZE + 1),
        "{error:?}"
    );
    assert_eq!(number(&store, "c", "k").await, Some(1));
}

#[tokio::test]
async fn a_value_of_the_shortest_size_passes_and_one_byte_less_is_too_small() {
    let store = Probe::new().limit_size(100).with_min(SIZE);
    store
        .put("c", "k", entry(1), PutMode::Overwrite)
        .await
        .unwrap();
    let short = Entry::new(Value::encode(&json!({ "": 1 })).unwrap());
    let error = store
        .put("c", "k", short, PutMode::Overwrite)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::TooSmall { limit: SIZE, size } if size == SIZE - 1),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_bulk_write_with_one_value_over_the_limit_writes_nothing() {
    let store = Probe::new();
    let limited = Arc::clone(&store).limit_size(SIZE);
    let entries = vec![("a".to_owned(), entry(1)), ("b".to_owned(), entry(10))];
    let error = limited.put_many("c", entries).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    assert_eq!(store.calls(), [""; 0]);
}

#[tokio::test]
async fn reads_are_not_limited() {
    let store = Probe::new();
    super::put(&store, "c", "k", 10).await;
    let limited = store.limit_size(SIZE);
    assert_eq!(number(&limited, "c", "k").await, Some(10));
}

#[tokio::test]
async fn the_info_shows_the_lower_limit() {
    let store = Probe::new();
    let of_store = store.info().max_value_bytes.unwrap();
    let lower = Arc::clone(&store).limit_size(SIZE);
    assert_eq!(lower.info().max_value_bytes, Some(SIZE));
    let higher = store.limit_size(of_store + 1);
    assert_eq!(higher.info().max_value_bytes, Some(of_store));
}

//! `DefaultValue`: its own suite, as a read always finds something.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use kv_core::conformance::{Fault, FaultStore};
use kv_core::wrappers::{DefaultValue, Operation};
use kv_core::{
    Change, Clock as _, Error, KeyQuery, ManualClock, PutMode, Result, Store, StoreExt, Timestamp,
};
use serde_json::{Value, json};

use super::{entry, number, put};
use crate::support::ReferenceStore;

const HOUR: Duration = Duration::from_secs(3600);

type Reference = Arc<ReferenceStore>;
type Faults = FaultStore<Reference>;

struct Stores {
    clock: Arc<ManualClock>,
    reference: Reference,
    inner: Faults,
    store: DefaultValue<Faults>,
}

/// A store that holds `k` as 1, and answers 7 for all else.
async fn stores() -> Stores {
    let clock = Arc::new(ManualClock::starting_now());
    let reference = Arc::new(ReferenceStore::new(Arc::clone(&clock)));
    put(&reference, "c", "k", 1).await;
    let inner = FaultStore::new(Arc::clone(&reference));
    let store = inner.clone().default_value(entry(7).value);
    Stores {
        clock,
        reference,
        inner,
        store,
    }
}

#[tokio::test]
async fn every_read_answers_what_is_stored_and_else_the_default() {
    let Stores { inner, store, .. } = stores().await;
    assert_eq!(number(&store, "c", "k").await, Some(1));
    assert_eq!(number(&store, "c", "missing").await, Some(7));
    for (key, value) in [("k", entry(1).value), ("missing", entry(7).value)] {
        let fresh = store.get_fresh("c", key).await.unwrap().unwrap();
        assert_eq!(fresh.value, value);
    }
    let rows = store.get_many("c", &["missing", "k", "missing"]).await;
    let rows = rows.unwrap().into_iter().map(|row| row.unwrap().unwrap());
    let values: Vec<_> = rows.map(|entry| entry.value).collect();
    assert_eq!(values, [7, 1, 7].map(|n| entry(n).value));
    assert!(store.get_many("c", &[]).await.unwrap().is_empty());
    let calls = [Operation::Get, Operation::GetFresh, Operation::GetMany];
    assert_eq!(calls.map(|call| inner.calls(call)), [2, 2, 2]);
}

#[tokio::test]
async fn the_default_is_made_at_the_read_and_has_no_revision() {
    let Stores { clock, store, .. } = stores().await;
    clock.advance(HOUR);
    let default = store.get("c", "missing").await.unwrap().unwrap();
    assert_eq!(default, entry(7).with_created_at(clock.now()));
    let stored = store.get("c", "k").await.unwrap().unwrap();
    assert!(stored.revision.is_some());
}

#[tokio::test]
async fn a_ttl_counts_from_the_read() {
    let Stores { clock, store, .. } = stores().await;
    let store = store.with_ttl(HOUR).unwrap();
    for _ in 0..2 {
        let (_, left) = store.ttl("c", "missing").await.unwrap().unwrap();
        assert_eq!(left, Some(HOUR));
        let rows = store.get_many("c", &["k", "missing"]).await.unwrap();
        let ends = rows.into_iter().map(|row| row.unwrap().unwrap().expires_at);
        let expected = [None, clock.now().checked_add(HOUR)];
        assert_eq!(ends.collect::<Vec<_>>(), expected);
        clock.advance(HOUR);
    }
}

#[tokio::test]
async fn a_ttl_that_no_entry_could_have_is_refused() {
    for ttl in [Duration::ZERO, Duration::MAX] {
        let Stores { store, .. } = stores().await;
        let refused = store.with_ttl(ttl);
        assert!(matches!(refused, Err(Error::InvalidTtl { .. })));
    }
    let Stores { clock, store, .. } = stores().await;
    let store = store.with_ttl(HOUR).unwrap();
    clock.set(Timestamp::MAX);
    let default = store.get("c", "missing").await;
    assert!(matches!(default, Err(Error::InvalidTtl { .. })));
}

#[tokio::test]
async fn an_expired_entry_is_absent_and_so_the_default_is_answered() {
    let Stores { clock, store, .. } = stores().await;
    let mortal = entry(2).with_expires_at(clock.now().checked_add(HOUR));
    let put = store.put("c", "k", mortal, PutMode::Overwrite);
    put.await.unwrap();
    assert_eq!(number(&store, "c", "k").await, Some(2));
    clock.advance(HOUR);
    assert_eq!(number(&store, "c", "k").await, Some(7));
}

#[tokio::test]
async fn the_default_is_never_stored_nor_listed_nor_removed() {
    let Stores {
        reference, store, ..
    } = stores().await;
    number(&store, "d", "missing").await;
    assert_eq!(number(&reference, "d", "missing").await, None);
    assert!(store.take("c", "missing").await.unwrap().is_none());
    assert!(!store.delete("c", "missing").await.unwrap());
    let deleted = store.delete_many("c", &["missing", "k"]).await.unwrap();
    assert_eq!(deleted, [false, true]);
    let page = store.keys("d", KeyQuery::new()).await.unwrap();
    assert!(page.keys.is_empty());
    let page = store.collections(KeyQuery::new()).await.unwrap();
    assert!(page.collections.is_empty());
    assert_eq!(store.clear("d").await.unwrap(), 0);
}

#[tokio::test]
async fn a_create_stores_where_only_the_default_was() {
    let Stores { store, .. } = stores().await;
    assert!(
        store
            .put_if_absent("c", "l", &json!({}), None)
            .await
            .unwrap()
    );
    let again = store.put_if_absent("c", "l", &json!({}), None).await;
    assert!(!again.unwrap());
    let k = store.get("c", "k").await.unwrap().unwrap().revision;
    let update = PutMode::Update(k.unwrap());
    let put = store.put("c", "missing", entry(2), update).await;
    assert!(matches!(put, Err(Error::Conflict)));
}

#[tokio::test]
async fn an_update_begins_with_the_default_and_stores_what_it_makes_of_it() {
    let Stores {
        reference, store, ..
    } = stores().await;
    let double = |old: Option<Value>| {
        let n = old.map_or(0, |old| old["n"].as_u64().unwrap());
        Some(json!({ "n": 2 * n }))
    };
    for (key, stored) in [("k", 2), ("missing", 14), ("missing", 28)] {
        store.update("c", key, None, double).await.unwrap();
        assert_eq!(number(&reference, "c", key).await, Some(stored));
    }
    assert!(store.touch("c", "touched", Some(HOUR)).await.unwrap());
    assert_eq!(number(&reference, "c", "touched").await, Some(7));
}

#[tokio::test]
async fn a_counter_counts_on_from_the_default_and_is_created_with_its_ttl() {
    let Stores { clock, inner, .. } = stores().await;
    let hundred = kv_core::Value::encode(&json!({ "value": 100 })).unwrap();
    let store = inner.clone().default_value(hundred);
    for sum in [101, 102] {
        let counted = store.increment("c", "hits", 1, Some(HOUR)).await;
        assert_eq!(counted.unwrap(), sum);
    }
    let stored = inner.get("c", "hits").await.unwrap().unwrap();
    assert_eq!(stored.expires_at, clock.now().checked_add(HOUR));
    clock.advance(HOUR);
    assert_eq!(store.increment("c", "hits", 1, None).await.unwrap(), 101);
}

/// The default is what an update began with; by then another writer had stored something.
#[tokio::test]
async fn an_update_of_the_default_loses_to_one_that_was_faster() {
    let Stores {
        reference, store, ..
    } = stores().await;
    let mut seen = Vec::new();
    let update = store.update_entry("c", "new", |old| {
        let old = old.unwrap().value.decode::<Value>()?["n"].as_u64().unwrap();
        if seen.is_empty() {
            put(&reference, "c", "new", 100).now_or_never().unwrap();
        }
        seen.push(old);
        Ok(Some(entry(old + 1)))
    });
    update.await.unwrap();
    assert_eq!(seen, [7, 100]);
    assert_eq!(number(&reference, "c", "new").await, Some(101));
}

#[tokio::test]
async fn an_error_is_not_replaced_by_the_default() {
    let Stores {
        reference,
        inner,
        store,
        ..
    } = stores().await;
    reference.spoil("c", "spoiled");
    let is_corrupted = |result: &Result<_>| matches!(result, Err(Error::Corrupted { .. }));
    assert!(is_corrupted(&store.get("c", "spoiled").await));
    assert!(is_corrupted(&store.get_fresh("c", "spoiled").await));
    let rows = store.get_many("c", &["spoiled", "missing"]).await.unwrap();
    assert!(is_corrupted(&rows[0]) && rows[1].is_ok());
    inner.inject(Fault::unavailable().times(3));
    assert!(store.get("c", "missing").await.is_err());
    assert!(store.get_fresh("c", "missing").await.is_err());
    assert!(store.get_many("c", &["missing"]).await.is_err());
}

#[tokio::test]
async fn an_invalid_name_has_no_default() {
    let Stores { store, .. } = stores().await;
    for (collection, key) in [("", "k"), ("c", ""), ("a::b", "k")] {
        let read = store.get(collection, key).await;
        assert!(matches!(read, Err(Error::InvalidName { .. })), "{key:?}");
        let read = store.get_many(collection, &[key]).await;
        assert!(matches!(read, Err(Error::InvalidName { .. })), "{key:?}");
    }
}

#[tokio::test]
async fn a_watch_is_that_of_the_store() {
    let Stores { inner, store, .. } = stores().await;
    let _watchable = inner.watchable();
    let mut watch = store.watch("").unwrap();
    assert_eq!(watch.next().await, Some(Change::Watching));
}

#[tokio::test]
async fn debug_shows_no_value() {
    let Stores { inner, .. } = stores().await;
    let value = kv_core::Value::encode(&json!({ "password": "hunter2" })).unwrap();
    let shown = format!("{:?}", inner.default_value(value));
    assert!(!shown.contains("hunter2") && !shown.contains("password"));
}

//! What `StoreExt` adds to a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use kv_core::{
    Clock, Cursor, Entry, Error, KeyPage, KeyQuery, ManualClock, PutMode, Store, StoreExt,
    Timestamp, Value,
};
use serde_json::{Value as Json, json};

use crate::probe::Probe;
use crate::support::ReferenceStore;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn store() -> (Arc<dyn Store>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::starting_now());
    let store = ReferenceStore::new(Arc::clone(&clock));
    (Arc::new(store), clock)
}

fn entry(value: &Json) -> Entry {
    Entry::new(Value::encode(value).unwrap())
}

#[tokio::test]
async fn a_typed_value_comes_back_as_it_was_put() {
    let (store, _) = store();
    let value = json!({ "name": "Ada" });
    store.put_value("c", "k", &value, None).await.unwrap();
    assert_eq!(store.get_value("c", "k").await.unwrap(), Some(value));
    assert_eq!(store.get_value::<Json>("c", "missing").await.unwrap(), None);
}

#[tokio::test]
async fn a_value_of_another_type_is_a_decode_error() {
    let (store, _) = store();
    store
        .put_value("c", "k", &json!({ "n": 1 }), None)
        .await
        .unwrap();
    let error = store.get_value::<Vec<u8>>("c", "k").await.unwrap_err();
    assert!(matches!(error, Error::Decode { .. }), "{error}");
}

#[tokio::test]
async fn a_list_is_not_an_object() {
    let (store, _) = store();
    let error = store.put_value("c", "k", &[1], None).await.unwrap_err();
    assert!(matches!(error, Error::NotAnObject), "{error}");
}

#[tokio::test]
async fn a_ttl_counts_by_the_clock_of_the_store() {
    let (store, clock) = store();
    let ttl = Some(MINUTE);
    store.put_value("c", "k", &json!({}), ttl).await.unwrap();
    clock.advance(MINUTE - Duration::from_micros(1));
    assert!(store.get("c", "k").await.unwrap().is_some());
    clock.advance(Duration::from_micros(1));
    assert!(store.get("c", "k").await.unwrap().is_none());
}

#[tokio::test]
async fn a_ttl_of_zero_is_invalid() {
    let (store, _) = store();
    let ttl = Some(Duration::ZERO);
    let error = store
        .put_value("c", "k", &json!({}), ttl)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::InvalidTtl { .. }), "{error}");
}

/// A clock that moves on a microsecond each time it is read.
#[derive(Debug, Default)]
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

#[tokio::test]
async fn the_shortest_ttl_is_valid_though_time_passes_before_the_put() {
    let store = ReferenceStore::new(Ticking::default());
    let ttl = Some(Duration::from_micros(1));
    store.put_value("c", "k", &json!({}), ttl).await.unwrap();
}

#[tokio::test]
async fn put_if_absent_stores_only_where_no_live_entry_is() {
    let (store, clock) = store();
    let put = |n: u64| {
        let store = Arc::clone(&store);
        async move {
            let value = json!({ "n": n });
            let stored = store.put_if_absent("c", "k", &value, Some(MINUTE)).await;
            stored.unwrap()
        }
    };
    assert!(put(1).await);
    assert!(!put(2).await);
    clock.advance(MINUTE);
    assert!(put(3).await, "an expired entry is absent");
    let value: Json = store.get_value("c", "k").await.unwrap().unwrap();
    assert_eq!(value["n"], 3);
}

#[tokio::test]
async fn ttl_tells_absent_from_never_and_from_the_time_left() {
    let (store, clock) = store();
    let value = json!({});
    store
        .put_value("c", "for ever", &value, None)
        .await
        .unwrap();
    store
        .put_value("c", "k", &value, Some(MINUTE))
        .await
        .unwrap();
    clock.advance(SECOND);
    assert_eq!(store.ttl("c", "missing").await.unwrap(), None);
    assert_eq!(store.ttl("c", "for ever").await.unwrap().unwrap().1, None);
    let (_, left) = store.ttl("c", "k").await.unwrap().unwrap();
    assert_eq!(left, Some(MINUTE - SECOND));
}

#[tokio::test]
async fn ttl_many_keeps_the_order_and_repeats_duplicates() {
    let (store, _) = store();
    let value = json!({});
    store
        .put_value("c", "k", &value, Some(MINUTE))
        .await
        .unwrap();
    let found = store.ttl_many("c", &["x", "k", "k"]).await.unwrap();
    let left: Vec<_> = found
        .into_iter()
        .map(|found| found.unwrap().map(|(_, left)| left.unwrap()))
        .collect();
    assert_eq!(left, [None, Some(MINUTE), Some(MINUTE)]);
}

#[tokio::test]
async fn update_entry_leaves_everything_when_the_change_is_none() {
    let (store, _) = store();
    let before = store
        .put("c", "k", entry(&json!({})), PutMode::Overwrite)
        .await;
    let written = store.update_entry("c", "k", |_| Ok(None)).await.unwrap();
    assert_eq!(written, None);
    let after = store.get("c", "k").await.unwrap().unwrap();
    assert_eq!(after.revision, before.ok());
}

#[tokio::test]
async fn update_entry_returns_the_revision_it_wrote() {
    let (store, _) = store();
    let change = |_: Option<&Entry>| Ok(Some(entry(&json!({}))));
    let written = store.update_entry("c", "k", change).await.unwrap();
    let stored = store.get("c", "k").await.unwrap().unwrap();
    assert!(written.is_some() && stored.revision == written);
}

#[tokio::test]
async fn update_entry_passes_on_the_error_of_the_change() {
    let (store, _) = store();
    let error = store
        .update_entry("c", "k", |_| Err(Error::Overflow))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Overflow), "{error}");
}

/// Writes past an update that is under way.
fn interfere(store: &dyn Store, n: u32) {
    let put = store.put("c", "k", entry(&json!({ "n": n })), PutMode::Overwrite);
    put.now_or_never().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn update_sees_what_a_faster_writer_left() {
    let (store, _) = store();
    let mut calls = 0;
    let stored = store
        .update("c", "k", None, |old: Option<Json>| {
            calls += 1;
            if calls < 3 {
                interfere(&store, calls);
            }
            Some(json!({ "after": old.map_or(json!(null), |old| old["n"].clone()) }))
        })
        .await
        .unwrap();
    assert_eq!(calls, 3);
    assert_eq!(stored, Some(json!({ "after": 2 })));
}

#[test]
fn update_tries_again_without_a_tokio_runtime() {
    let (store, _) = store();
    let mut calls = 0;
    let mut update = Box::pin(store.update("c", "k", None, |_: Option<Json>| {
        calls += 1;
        if calls < 3 {
            interfere(&store, calls);
        }
        Some(json!({}))
    }));
    let updated = std::iter::repeat_with(|| (&mut update).now_or_never())
        .flatten()
        .next();
    assert_eq!(updated.unwrap().unwrap(), Some(json!({})));
    drop(update);
    assert_eq!(calls, 3);
}

#[tokio::test(start_paused = true)]
async fn update_gives_up_with_a_conflict_after_100_tries() {
    let (store, _) = store();
    let mut calls = 0;
    let error = store
        .update("c", "k", None, |_: Option<Json>| {
            calls += 1;
            interfere(&store, calls);
            Some(json!({}))
        })
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Conflict), "{error}");
    assert_eq!(calls, 100);
}

#[tokio::test]
async fn update_without_a_ttl_clears_the_old_expiry() {
    let (store, _) = store();
    let value = json!({});
    store
        .put_value("c", "k", &value, Some(MINUTE))
        .await
        .unwrap();
    let change = |old: Option<Json>| old;
    store.update("c", "k", None, change).await.unwrap();
    assert_eq!(store.ttl("c", "k").await.unwrap().unwrap().1, None);
}

#[tokio::test]
async fn update_that_returns_none_stores_nothing() {
    let (store, _) = store();
    let stored = store.update("c", "k", None, |_: Option<Json>| None).await;
    assert_eq!(stored.unwrap(), None);
    assert_eq!(store.get("c", "k").await.unwrap(), None);
}

#[tokio::test]
async fn touch_renews_the_ttl_and_keeps_the_value_and_its_creation() {
    let (store, clock) = store();
    let value = json!({ "n": 1 });
    store
        .put_value("c", "k", &value, Some(MINUTE))
        .await
        .unwrap();
    let before = store.get("c", "k").await.unwrap().unwrap();
    clock.advance(SECOND);
    assert!(store.touch("c", "k", Some(2 * MINUTE)).await.unwrap());
    let (after, left) = store.ttl("c", "k").await.unwrap().unwrap();
    assert_eq!(left, Some(2 * MINUTE));
    assert_eq!(after.value, before.value);
    assert_eq!(after.created_at, before.created_at);
    assert_ne!(after.revision, before.revision);
}

#[tokio::test]
async fn touch_of_a_missing_or_expired_key_is_false_and_stores_nothing() {
    let (store, clock) = store();
    assert!(!store.touch("c", "k", None).await.unwrap());
    let value = json!({});
    store
        .put_value("c", "k", &value, Some(MINUTE))
        .await
        .unwrap();
    clock.advance(MINUTE);
    assert!(!store.touch("c", "k", None).await.unwrap());
    assert_eq!(store.get("c", "k").await.unwrap(), None);
}

#[tokio::test]
async fn touch_works_on_an_entry_whose_writer_had_a_clock_ahead() {
    let (store, clock) = store();
    let ahead = clock.now().plus_ttl(MINUTE).unwrap();
    let early = entry(&json!({})).with_created_at(ahead);
    store
        .put("c", "k", early, PutMode::Overwrite)
        .await
        .unwrap();
    assert!(store.touch("c", "k", Some(SECOND)).await.unwrap());
}

#[tokio::test]
async fn increment_starts_at_zero_and_returns_the_sum() {
    let (store, _) = store();
    assert_eq!(store.increment("c", "k", 5, None).await.unwrap(), 5);
    assert_eq!(store.increment("c", "k", -7, None).await.unwrap(), -2);
    let stored: Json = store.get_value("c", "k").await.unwrap().unwrap();
    assert_eq!(stored, json!({ "value": -2 }));
}

#[tokio::test]
async fn the_ttl_of_a_counter_counts_from_its_first_increment() {
    let (store, clock) = store();
    store.increment("c", "k", 1, Some(MINUTE)).await.unwrap();
    clock.advance(SECOND);
    store.increment("c", "k", 1, Some(MINUTE)).await.unwrap();
    let (_, left) = store.ttl("c", "k").await.unwrap().unwrap();
    assert_eq!(left, Some(MINUTE - SECOND));
    clock.advance(MINUTE);
    assert_eq!(store.increment("c", "k", 1, None).await.unwrap(), 1);
}

#[tokio::test]
async fn a_counter_that_would_overflow_stays_as_it_is() {
    let (store, _) = store();
    store.increment("c", "k", i64::MAX, None).await.unwrap();
    let error = store.increment("c", "k", 1, None).await.unwrap_err();
    assert!(matches!(error, Error::Overflow), "{error}");
    assert_eq!(store.increment("c", "k", 0, None).await.unwrap(), i64::MAX);
}

#[tokio::test]
async fn increment_of_what_is_no_counter_is_a_decode_error() {
    let (store, _) = store();
    for value in [
        json!({ "value": "ten" }),
        json!({ "value": 1, "unit": "ms" }),
    ] {
        store.put_value("c", "k", &value, None).await.unwrap();
        let error = store.increment("c", "k", 1, None).await.unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{error}");
        let stored: Option<Json> = store.get_value("c", "k").await.unwrap();
        assert_eq!(stored, Some(value));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_increment_of_64_racers_is_lost() {
    let (store, _) = store();
    let racers = (0..64).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.increment("c", "k", 1, None).await.unwrap() })
    });
    let sums = futures_util::future::join_all(racers).await;
    let mut sums: Vec<_> = sums.into_iter().map(Result::unwrap).collect();
    sums.sort_unstable();
    assert_eq!(sums, (1..=64).collect::<Vec<i64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn put_if_absent_has_one_winner_among_64_racers() {
    let (store, _) = store();
    let wins = Arc::new(AtomicU32::new(0));
    let racers = (0..64).map(|_| {
        let (store, wins) = (Arc::clone(&store), Arc::clone(&wins));
        tokio::spawn(async move {
            let won = store.put_if_absent("c", "k", &json!({}), None).await;
            wins.fetch_add(won.unwrap().into(), Ordering::SeqCst);
        })
    });
    futures_util::future::join_all(racers).await;
    assert_eq!(wins.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn keys_stream_lists_every_key_once_over_all_pages() {
    let (store, _) = store();
    let entries = (0..250).map(|n| (format!("key {n:03}"), entry(&json!({}))));
    store.put_many("c", entries.collect()).await.unwrap();
    // In a task of its own, which asks for a stream that is `Send`.
    let listing = tokio::spawn(async move {
        let query = KeyQuery::new().with_prefix("key 1").with_page_size(7);
        store.keys_stream("c", query).try_collect::<Vec<_>>().await
    });
    let mut keys = listing.await.unwrap().unwrap();
    keys.sort_unstable();
    let expected: Vec<_> = (100..200).map(|n| format!("key {n:03}")).collect();
    assert_eq!(keys, expected);
}

#[tokio::test]
async fn keys_stream_leaves_out_what_a_later_page_repeats() {
    let store = Probe::new();
    let page = |keys: &[&str], next: Option<&str>| {
        let keys = keys.iter().map(|&key| key.to_owned()).collect();
        Ok(KeyPage::new(keys, next.map(Cursor::new)))
    };
    store.script_keys([
        page(&[], Some("1")),
        page(&["a", "b"], Some("2")),
        page(&["b", "c"], None),
    ]);
    let keys = store.keys_stream("c", KeyQuery::new());
    let keys: Vec<_> = keys.try_collect().await.unwrap();
    assert_eq!(keys, ["a", "b", "c"]);
}

#[tokio::test]
async fn keys_stream_ends_after_an_error() {
    let store = Probe::new();
    let page = KeyPage::new(vec!["a".to_owned()], Some(Cursor::new("1")));
    store.script_keys([Ok(page), Err(Error::InvalidCursor)]);
    let listed: Vec<_> = store.keys_stream("c", KeyQuery::new()).collect().await;
    assert!(matches!(&listed[..], [Ok(key), Err(Error::InvalidCursor)] if key == "a"));
}

#[tokio::test]
async fn collections_stream_lists_every_collection_once_over_all_pages() {
    let (store, _) = store();
    for n in 0..20 {
        let collection = format!("collection {n:02}");
        store
            .put_value(&collection, "k", &json!({}), None)
            .await
            .unwrap();
    }
    let query = KeyQuery::new().with_page_size(3);
    let mut listed: Vec<_> = store.collections_stream(query).try_collect().await.unwrap();
    listed.sort_unstable();
    let expected: Vec<_> = (0..20).map(|n| format!("collection {n:02}")).collect();
    assert_eq!(listed, expected);
}

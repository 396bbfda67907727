//! `PrefixKeys` and `PrefixCollections`: nothing crosses the edge of a prefix.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};
use kv_core::conformance::FaultStore;
use kv_core::{Change, Cursor, Error, KeyQuery, PutMode, Store, StoreExt};

use super::{entry, number, put};
use crate::probe::{After, Probe};

async fn keys(store: &dyn Store, collection: &str) -> Vec<String> {
    let mut keys: Vec<_> = store
        .keys_stream(collection, KeyQuery::new().with_page_size(2))
        .try_collect()
        .await
        .unwrap();
    keys.sort_unstable();
    keys
}

async fn collections(store: &dyn Store) -> Vec<String> {
    let query = KeyQuery::new().with_page_size(2);
    let mut listed: Vec<_> = store.collections_stream(query).try_collect().await.unwrap();
    listed.sort_unstable();
    listed
}

#[tokio::test]
async fn a_key_is_stored_as_python_stores_it() {
    let store = Probe::new();
    let prefixed = Arc::clone(&store).prefixed_keys("p").unwrap();
    put(&prefixed, "c", "k", 1).await;
    assert_eq!(number(&store, "c", "p__k").await, Some(1));
}

#[tokio::test]
async fn a_collection_is_stored_as_python_stores_it() {
    let store = Probe::new();
    let prefixed = Arc::clone(&store).prefixed("p").unwrap();
    put(&prefixed, "c", "k", 1).await;
    assert_eq!(number(&store, "p__c", "k").await, Some(1));
}

#[tokio::test]
async fn a_prefix_that_blurs_into_the_name_is_refused() {
    for prefix in ["", "a__b", "a_", "_", "__"] {
        let store = Probe::new();
        assert!(Arc::clone(&store).prefixed(prefix).is_err(), "{prefix}");
        assert!(store.prefixed_keys(prefix).is_err(), "{prefix}");
    }
}

#[tokio::test]
async fn a_prefix_that_leaves_no_room_for_a_name_is_refused() {
    let store = Probe::new();
    assert!(Arc::clone(&store).prefixed_keys(&"p".repeat(1021)).is_ok());
    assert!(Arc::clone(&store).prefixed_keys(&"p".repeat(1022)).is_err());
    assert!(Arc::clone(&store).prefixed(&"p".repeat(2045)).is_ok());
    assert!(store.prefixed(&"p".repeat(2046)).is_err());
}

#[tokio::test]
async fn a_prefix_of_collections_that_holds_the_separator_of_keys_is_refused() {
    let error = Probe::new().prefixed("a::b").unwrap_err();
    assert!(matches!(error, Error::InvalidName { .. }), "{error}");
}

#[tokio::test]
async fn names_that_are_invalid_by_themselves_are_refused() {
    let store = Probe::new();
    let by_key = Arc::clone(&store).prefixed_keys("p").unwrap();
    let by_collection = Arc::clone(&store).prefixed("p").unwrap();
    assert!(by_key.get("c", "").await.is_err());
    assert!(by_collection.get("", "k").await.is_err());
    assert!(by_collection.clear("").await.is_err());
    assert_eq!(store.calls(), [""; 0]);
}

/// What two neighbours and the bare store put, around the prefixes `a` and `b`.
async fn neighbourhood(a: &dyn Store, b: &dyn Store, bare: &dyn Store) {
    for (store, n) in [(a, 1), (b, 2), (bare, 3)] {
        for key in ["k", "a__b", "_", "aa"] {
            put(store, "c", key, n).await;
            put(store, key, "k", n).await;
        }
    }
}

#[tokio::test]
async fn prefixes_of_keys_do_not_see_each_other() {
    let bare = Probe::new();
    let a = Arc::clone(&bare).prefixed_keys("a").unwrap();
    let b = Arc::clone(&bare).prefixed_keys("b").unwrap();
    put(&b, "only b", "k", 2).await;
    neighbourhood(&a, &b, &bare).await;
    // The bare `a__b` lies inside the prefix `a`, as the key `b`.
    assert_eq!(keys(&a, "c").await, ["_", "a__b", "aa", "b", "k"]);
    assert_eq!(keys(&b, "c").await, ["_", "a__b", "aa", "k"]);
    assert_eq!(collections(&a).await, ["_", "a__b", "aa", "c", "k"]);
    assert_eq!(number(&b, "c", "k").await, Some(2));
}

#[tokio::test]
async fn prefixes_of_collections_do_not_see_each_other() {
    let bare = Probe::new();
    let a = Arc::clone(&bare).prefixed("a").unwrap();
    let b = Arc::clone(&bare).prefixed("b").unwrap();
    neighbourhood(&a, &b, &bare).await;
    // The bare `a__b` lies inside the prefix `a`, as the collection `b`.
    assert_eq!(collections(&a).await, ["_", "a__b", "aa", "b", "c", "k"]);
    assert_eq!(collections(&b).await, ["_", "a__b", "aa", "c", "k"]);
    assert_eq!(keys(&a, "c").await, ["_", "a__b", "aa", "k"]);
}

#[tokio::test]
async fn clearing_inside_a_prefix_of_keys_leaves_the_neighbours() {
    let bare = Probe::new();
    let a = Arc::clone(&bare).prefixed_keys("a").unwrap();
    let b = Arc::clone(&bare).prefixed_keys("b").unwrap();
    neighbourhood(&a, &b, &bare).await;
    assert_eq!(a.clear("c").await.unwrap(), 5);
    assert_eq!(keys(&a, "c").await, [""; 0]);
    assert_eq!(keys(&b, "c").await, ["_", "a__b", "aa", "k"]);
    assert_eq!(number(&bare, "c", "k").await, Some(3));
    assert_eq!(number(&a, "aa", "k").await, Some(1));
}

#[tokio::test]
async fn destroying_a_prefix_of_keys_leaves_the_neighbours() {
    let bare = Probe::new();
    let a = Arc::clone(&bare).prefixed_keys("a").unwrap();
    let b = Arc::clone(&bare).prefixed_keys("b").unwrap();
    neighbourhood(&a, &b, &bare).await;
    a.destroy().await.unwrap();
    assert_eq!(collections(&a).await, [""; 0]);
    assert_eq!(collections(&b).await, ["_", "a__b", "aa", "c", "k"]);
    assert_eq!(keys(&bare, "c").await.len(), 4 + 3);
}

#[tokio::test]
async fn destroying_a_prefix_of_collections_leaves_the_neighbours() {
    let bare = Probe::new();
    let a = Arc::clone(&bare).prefixed("a").unwrap();
    let b = Arc::clone(&bare).prefixed("b").unwrap();
    neighbourhood(&a, &b, &bare).await;
    a.destroy().await.unwrap();
    assert_eq!(collections(&a).await, [""; 0]);
    assert_eq!(collections(&b).await, ["_", "a__b", "aa", "c", "k"]);
    assert_eq!(number(&bare, "c", "aa").await, Some(3));
    assert_eq!(number(&bare, "k", "k").await, Some(3));
}

#[tokio::test]
async fn a_stored_name_that_is_the_prefix_alone_is_neither_listed_nor_cleared() {
    let bare = Probe::new();
    put(&bare, "c", "p__", 1).await;
    put(&bare, "p__", "k", 1).await;
    let by_key = Arc::clone(&bare).prefixed_keys("p").unwrap();
    let by_collection = Arc::clone(&bare).prefixed("p").unwrap();
    assert_eq!(keys(&by_key, "c").await, [""; 0]);
    assert_eq!(by_key.clear("c").await.unwrap(), 0);
    assert_eq!(collections(&by_key).await, [""; 0]);
    assert_eq!(collections(&by_collection).await, [""; 0]);
    by_collection.destroy().await.unwrap();
    assert_eq!(number(&bare, "p__", "k").await, Some(1));
}

#[tokio::test]
async fn a_cursor_from_outside_leads_to_no_key_outside() {
    let bare = Probe::new();
    let a = Arc::clone(&bare).prefixed_keys("a").unwrap();
    let b = Arc::clone(&bare).prefixed_keys("b").unwrap();
    neighbourhood(&a, &b, &bare).await;
    for cursor in ["", "b__", "\0"] {
        let query = KeyQuery::new().with_cursor(Cursor::new(cursor));
        let page = a.keys("c", query).await.unwrap();
        assert!(
            page.keys
                .iter()
                .all(|key| keys_of_a().contains(&key.as_str()))
        );
    }
}

const fn keys_of_a() -> [&'static str; 5] {
    ["_", "a__b", "aa", "b", "k"]
}

#[tokio::test]
async fn prefixes_nest() {
    let bare = Probe::new();
    let outer = Arc::new(Arc::clone(&bare).prefixed("a").unwrap());
    let inner = Arc::clone(&outer).prefixed("b").unwrap();
    put(&inner, "c", "k", 1).await;
    assert_eq!(number(&bare, "a__b__c", "k").await, Some(1));
    put(&outer, "c", "k", 2).await;
    inner.destroy().await.unwrap();
    assert_eq!(collections(&outer).await, ["c"]);
}

#[tokio::test]
async fn keys_that_were_not_written_are_named_without_the_prefix() {
    let store = Probe::new();
    let prefixed = Arc::clone(&store).prefixed_keys("p").unwrap();
    store.then(After::Fail(Error::Incomplete {
        keys: vec!["p__k".to_owned()],
        source: None,
    }));
    let entries = vec![("k".to_owned(), entry(1))];
    let error = prefixed.put_many("c", entries).await.unwrap_err();
    assert!(
        matches!(&error, Error::Incomplete { keys, .. } if *keys == ["k"]),
        "{error}"
    );
}

#[tokio::test]
async fn bulk_operations_reach_the_store_as_bulk() {
    let store = Probe::new();
    let prefixed = Arc::clone(&store).prefixed_keys("p").unwrap();
    let prefixed = prefixed.prefixed("p").unwrap();
    let entries = vec![("k".to_owned(), entry(1)), ("l".to_owned(), entry(2))];
    prefixed.put_many("c", entries).await.unwrap();
    prefixed.get_many("c", &["k", "l"]).await.unwrap();
    prefixed.delete_many("c", &["k", "l"]).await.unwrap();
    assert_eq!(store.calls(), ["put_many", "get_many", "delete_many"]);
}

#[tokio::test]
async fn revisions_pass_through_untouched() {
    let store = Probe::new();
    let prefixed = Arc::clone(&store).prefixed("p").unwrap();
    let revision = prefixed
        .put("c", "k", entry(1), PutMode::Create)
        .await
        .unwrap();
    let stored = store.get("p__c", "k").await.unwrap().unwrap();
    assert_eq!(stored.revision, Some(revision));
}

#[tokio::test]
async fn a_watch_tells_the_changes_inside_the_prefix_by_their_names_there() {
    let store = FaultStore::new(Probe::new()).watchable();
    let prefixed = store.clone().prefixed("p").unwrap();
    let prefixed = prefixed.prefixed_keys("k").unwrap();
    let mut watch = prefixed.watch("").unwrap();
    for (collection, key) in [
        ("c", "k__1"),
        ("p__c", "1"),
        ("p__", "k__1"),
        ("p__c", "k__2"),
    ] {
        store.tell(&changed(collection, key));
    }
    store.tell(&Change::Lost);
    let told = [Change::Watching, changed("c", "2"), Change::Lost];
    for change in told {
        assert_eq!(watch.next().await, Some(change));
    }
}

#[tokio::test]
async fn a_watch_of_collections_that_begin_alike_asks_for_their_stored_names() {
    let store = FaultStore::new(Probe::new()).watchable();
    let mut watch = store.clone().prefixed("p").unwrap().watch("us").unwrap();
    for collection in ["users", "p__notes", "p__users"] {
        store.tell(&changed(collection, "k"));
    }
    assert_eq!(watch.next().await, Some(Change::Watching));
    assert_eq!(watch.next().await, Some(changed("users", "k")));
}

fn changed(collection: &str, key: &str) -> Change {
    Change::Entry {
        collection: collection.to_owned(),
        key: key.to_owned(),
    }
}

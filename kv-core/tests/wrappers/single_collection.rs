//! `SingleCollection`: stored keys say which collection they are of, and nothing else is touched.

use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use kv_core::conformance::{Fault, FaultStore};
use kv_core::wrappers::{Operation, SingleCollection};
use kv_core::{Change, Error, KeyQuery, PutMode, Result, Store, StoreExt, SystemClock};

use super::{entry, number, put};
use crate::support::ReferenceStore;

type Faults = FaultStore<Arc<ReferenceStore>>;

/// A store, and all collections inside its collection `all`.
fn stores() -> (Faults, SingleCollection<Faults>) {
    let store = FaultStore::new(Arc::new(ReferenceStore::new(SystemClock::default())));
    let single = store.clone().single_collection("all").unwrap();
    (store, single)
}

async fn keys(store: &dyn Store, collection: &str) -> Vec<String> {
    let listed = store.keys_stream(collection, KeyQuery::new());
    listed.try_collect().await.unwrap()
}

async fn collections(store: &dyn Store, query: KeyQuery) -> Vec<String> {
    let listed = store.collections_stream(query).try_collect();
    let mut listed: Vec<_> = listed.await.unwrap();
    listed.sort_unstable();
    listed
}

fn assert_invalid<T: std::fmt::Debug>(result: &Result<T>) {
    let is_invalid = matches!(result, Err(Error::InvalidName { .. }));
    assert!(is_invalid, "{result:?}");
}

#[tokio::test]
async fn a_key_is_stored_behind_its_collection_as_python_does() {
    let (store, single) = stores();
    put(&single, "notes", "todo", 1).await;
    let many = vec![("a__b".to_owned(), entry(2)), ("_c".to_owned(), entry(3))];
    single.put_many("notes", many).await.unwrap();
    let stored = ["notes___c", "notes__a__b", "notes__todo"];
    assert_eq!(keys(&store, "all").await, stored);
    assert_eq!(keys(&single, "notes").await, ["_c", "a__b", "todo"]);
    assert_eq!(number(&single, "notes", "_c").await, Some(3));
}

#[tokio::test]
async fn a_collection_that_its_keys_would_not_give_back_is_invalid_in_every_operation() {
    let (store, single) = stores();
    for collection in ["a__b", "__", "__a", "a__", "a_", "_"] {
        assert_invalid(&single.get(collection, "k").await);
        assert_invalid(&single.get_fresh(collection, "k").await);
        let put = single.put(collection, "k", entry(1), PutMode::Overwrite);
        assert_invalid(&put.await);
        assert_invalid(&single.delete(collection, "k").await);
        assert_invalid(&single.take(collection, "k").await);
        assert_invalid(&single.get_many(collection, &[]).await);
        assert_invalid(&single.put_many(collection, Vec::new()).await);
        assert_invalid(&single.delete_many(collection, &[]).await);
        assert_invalid(&single.keys(collection, KeyQuery::new()).await);
        assert_invalid(&single.clear(collection).await);
    }
    assert_eq!(store.all_calls(), 0);
}

#[tokio::test]
async fn a_separator_that_overlaps_itself_or_the_collection_makes_no_two_names_one() {
    let (store, _) = stores();
    let single = store.single_collection("all").unwrap();
    let single = single.with_separator("aba").unwrap();
    assert_invalid(&single.get("xab", "k").await);
    put(&single, "xa", "bak", 1).await;
    assert_eq!(number(&single, "xa", "bak").await, Some(1));
    assert_eq!(collections(&single, KeyQuery::new()).await, ["xa"]);
    assert_eq!(keys(&single, "xa").await, ["bak"]);
}

#[tokio::test]
async fn separators_and_collections_that_cannot_be_are_refused() {
    let (store, single) = stores();
    for separator in [String::new(), "-".repeat(1023)] {
        assert_invalid(&single.clone().with_separator(&separator));
    }
    let longest = single.with_separator(&"-".repeat(1022)).unwrap();
    put(&longest, "c", "k", 1).await;
    assert_eq!(number(&longest, "c", "k").await, Some(1));
    for collection in ["", "a::b", "a:"] {
        assert_invalid(&store.clone().single_collection(collection));
    }
}

#[tokio::test]
async fn collection_and_key_together_hold_to_the_limit_of_keys() {
    let (_, single) = stores();
    put(&single, "notes", &"k".repeat(1024 - "notes__".len()), 1).await;
    let long = "k".repeat(1025 - "notes__".len());
    assert_invalid(&single.get("notes", &long).await);
    assert_invalid(&single.get_many("notes", &[&long]).await);
}

#[tokio::test]
async fn what_is_stored_beside_it_is_neither_listed_nor_removed() {
    let (store, single) = stores();
    let foreign = [
        ("other", "notes__todo"),
        ("all", "plain"),
        ("all", "__k"),
        ("all", "notes__"),
        ("all", "a::b__k"),
    ];
    for (collection, key) in foreign {
        put(&store, collection, key, 1).await;
    }
    put(&single, "notes", "todo", 2).await;
    put(&single, "note", "s", 2).await;
    put(&single, "c", "k", 2).await;
    let listed = collections(&single, KeyQuery::new()).await;
    assert_eq!(listed, ["c", "note", "notes"]);
    assert_eq!(keys(&single, "notes").await, ["todo"]);
    assert_eq!(single.clear("notes").await.unwrap(), 1);
    assert_eq!(number(&single, "note", "s").await, Some(2));
    single.destroy().await.unwrap();
    assert!(collections(&single, KeyQuery::new()).await.is_empty());
    for (collection, key) in foreign {
        assert_eq!(number(&store, collection, key).await, Some(1), "{key}");
    }
    assert_eq!(keys(&store, "all").await.len(), foreign.len() - 1);
}

#[tokio::test]
async fn a_prefix_of_collections_does_not_reach_into_the_keys() {
    let (_, single) = stores();
    for (collection, key) in [("a", "_k"), ("a", "b"), ("a_b", "k"), ("b", "k")] {
        put(&single, collection, key, 1).await;
    }
    for (prefix, expected) in [
        ("a", ["a", "a_b"].as_slice()),
        ("a_", &["a_b"]),
        ("a__", &[]),
        ("a__b", &[]),
        ("b", &["b"]),
    ] {
        let query = KeyQuery::new().with_prefix(prefix).with_page_size(1);
        assert_eq!(collections(&single, query).await, expected, "{prefix}");
    }
}

#[tokio::test]
async fn a_bulk_write_done_in_part_names_the_keys_without_their_collection() {
    let (store, _) = stores();
    let single = store.clone().without_bulk();
    let single = single.single_collection("all").unwrap();
    store.inject(Fault::unavailable().on(Operation::Put).after(1));
    let entries = ["a", "b", "c"].map(|key| (key.to_owned(), entry(1)));
    let error = single.put_many("notes", entries.to_vec()).await;
    let Err(Error::Incomplete { keys, .. }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(keys, ["b", "c"]);
}

#[tokio::test]
async fn a_removal_is_retryable_only_before_the_first_entry_went() {
    for halfway in [false, true] {
        for destroys in [false, true] {
            let (store, single) = stores();
            let key_count = if halfway { 1500 } else { 3 };
            let entries = (0..key_count).map(|n| (format!("{n:04}"), entry(n)));
            single.put_many("notes", entries.collect()).await.unwrap();
            let after = usize::from(halfway);
            let fault = Fault::unavailable().on(Operation::DeleteMany);
            store.inject(fault.after(after));
            let error = if destroys {
                single.destroy().await.unwrap_err()
            } else {
                single.clear("notes").await.unwrap_err()
            };
            let is_unknown = matches!(error, Error::OutcomeUnknown { .. });
            assert_eq!(is_unknown, after > 0, "{error}");
        }
    }
}

#[tokio::test]
async fn a_clear_counts_no_entry_that_another_removed_first() {
    let (store, single) = stores();
    put(&single, "notes", "a", 1).await;
    put(&single, "notes", "b", 2).await;
    store.inject(Fault::pause().on(Operation::DeleteMany));
    let mut clear = single.clear("notes");
    assert!((&mut clear).now_or_never().is_none());
    assert!(single.delete("notes", "a").await.unwrap());
    assert_eq!(clear.await.unwrap(), 1);
}

#[tokio::test]
async fn a_fresh_read_is_a_fresh_one_and_a_bulk_delete_a_bulk_one() {
    let (store, single) = stores();
    single.get_fresh("notes", "todo").await.unwrap();
    single.delete_many("notes", &["a", "b"]).await.unwrap();
    assert_eq!(store.calls(Operation::GetFresh), 1);
    assert_eq!(store.calls(Operation::DeleteMany), 1);
    assert_eq!(store.all_calls(), 2);
}

#[tokio::test]
async fn a_clear_that_is_dropped_leaves_every_entry_whole_or_absent() {
    for polls in 0..6 {
        let (store, single) = stores();
        put(&single, "notes", "todo", 1).await;
        store.inject(Fault::pause().always());
        let mut clear = single.clear("notes");
        for _ in 0..polls {
            if (&mut clear).now_or_never().is_some() {
                break;
            }
        }
        drop(clear);
        store.heal();
        let held = number(&single, "notes", "todo").await;
        assert!(matches!(held, None | Some(1)), "{held:?}");
    }
}

#[tokio::test]
async fn a_revision_is_that_of_the_stored_entry() {
    let (store, single) = stores();
    let put = single.put("c", "k", entry(1), PutMode::Create);
    let revision = put.await.unwrap();
    let stored = store.get("all", "c__k").await.unwrap().unwrap();
    assert_eq!(stored.revision, Some(revision));
}

#[tokio::test]
async fn a_watch_tells_collection_and_key_of_what_is_stored_inside() {
    let (store, single) = stores();
    let store = store.watchable();
    let mut all = single.watch("").unwrap();
    let mut some = single.watch("no").unwrap();
    for (collection, key) in [
        ("all", "plain"),
        ("allied", "notes__todo"),
        ("all", "c__k"),
        ("all", "notes__a__b"),
    ] {
        store.tell(&changed(collection, key));
    }
    store.tell(&Change::Lost);
    let (first, last) = (Change::Watching, Change::Lost);
    for change in [&first, &changed("c", "k"), &changed("notes", "a__b"), &last] {
        assert_eq!(all.next().await.as_ref(), Some(change));
    }
    for change in [&first, &changed("notes", "a__b"), &last] {
        assert_eq!(some.next().await.as_ref(), Some(change));
    }
}

fn changed(collection: &str, key: &str) -> Change {
    Change::Entry {
        collection: collection.to_owned(),
        key: key.to_owned(),
    }
}

//! `Routing`: each collection lives in one store, and what concerns all goes through all.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use kv_core::conformance::{Fault, FaultStore};
use kv_core::wrappers::{Operation, Routing};
use kv_core::{
    Change, Clock, Cursor, Error, KeyQuery, Store, StoreExt, StoreInfo, SystemClock, Watch,
};

use super::{number, put};
use crate::probe::Probe;
use crate::support::ReferenceStore;

type Faults = FaultStore<Arc<ReferenceStore>>;

/// A default store, one for `a` and `b`, one for what begins with `x`, and all of them as one.
fn stores() -> ([Faults; 3], Routing<Faults>) {
    let make = || FaultStore::new(Arc::new(ReferenceStore::new(SystemClock::default())));
    let stores = [make(), make(), make()];
    let [default, named, ruled] = stores.clone();
    let routing = default.routing().with_route(["a", "b"], named);
    let routing = routing.with_rule(|collection| collection.starts_with('x'), ruled);
    (stores, routing)
}

async fn collections(store: &dyn Store, page_size: usize) -> Vec<String> {
    let query = KeyQuery::new().with_page_size(page_size);
    let mut listed: Vec<_> = store.collections_stream(query).try_collect().await.unwrap();
    listed.sort_unstable();
    listed
}

#[tokio::test]
async fn a_collection_goes_to_the_store_that_is_named_for_it_or_takes_it_or_to_the_default() {
    let ([default, named, ruled], store) = stores();
    for collection in ["a", "b", "x1", "c"] {
        put(&store, collection, "k", 1).await;
    }
    assert_eq!(collections(&named, 10).await, ["a", "b"]);
    assert_eq!(collections(&ruled, 10).await, ["x1"]);
    assert_eq!(collections(&default, 10).await, ["c"]);
}

#[tokio::test]
async fn a_name_comes_before_a_rule_and_the_later_of_two_names_counts() {
    let stores = [Probe::new(), Probe::new(), Probe::new(), Probe::new()];
    let [default, ruled, first, second] = stores.clone();
    let store = default.routing().with_rule(|_| true, ruled);
    let store = store.with_route(["a"], first).with_route(["a"], second);
    put(&store, "a", "k", 1).await;
    put(&store, "b", "k", 1).await;
    let calls = stores.map(|store| store.calls().len());
    assert_eq!(calls, [0, 1, 0, 1]);
}

#[tokio::test]
async fn of_two_rules_that_take_a_collection_the_earlier_one_counts() {
    let stores = [Probe::new(), Probe::new(), Probe::new()];
    let [default, first, second] = stores.clone();
    let store = default.routing().with_rule(|name| name.len() == 1, first);
    let store = store.with_rule(|_| true, second);
    put(&store, "a", "k", 1).await;
    put(&store, "b", "k", 1).await;
    put(&store, "longer", "k", 1).await;
    let calls = stores.map(|store| store.calls().len());
    assert_eq!(calls, [0, 2, 1]);
}

#[tokio::test]
async fn a_fresh_read_is_a_fresh_one_in_its_store() {
    let [default, named] = [Probe::new(), Probe::new()];
    let store = default.routing().with_route(["a"], Arc::clone(&named));
    store.get_fresh("a", "k").await.unwrap();
    store.get("a", "k").await.unwrap();
    assert_eq!(named.calls(), ["get_fresh", "get"]);
}

#[tokio::test]
async fn the_clock_is_the_default_store_s() {
    let [default, named] = [Probe::new(), Probe::new()];
    named.clock.advance(Duration::from_secs(3600));
    let store = Arc::clone(&default).routing().with_route(["a"], named);
    assert_eq!(store.clock().now(), default.clock.now());
}

#[tokio::test]
async fn every_operation_on_a_collection_goes_to_its_store_alone() {
    let ([default, named, ruled], store) = stores();
    put(&store, "a", "k", 1).await;
    assert!(store.get_fresh("a", "k").await.unwrap().is_some());
    assert_eq!(store.get_many("a", &["k"]).await.unwrap().len(), 1);
    assert_eq!(store.keys("a", KeyQuery::new()).await.unwrap().keys, ["k"]);
    assert!(store.delete("a", "k").await.unwrap());
    assert!(store.take("a", "k").await.unwrap().is_none());
    store.put_many("a", Vec::new()).await.unwrap();
    store.delete_many("a", &[]).await.unwrap();
    store.clear("a").await.unwrap();
    assert_eq!(named.all_calls(), 9);
    assert_eq!(default.all_calls() + ruled.all_calls(), 0);
}

#[tokio::test]
async fn collections_are_those_of_all_stores_in_pages_of_every_size() {
    let (_, store) = stores();
    for collection in ["a", "b", "c", "d", "x1", "x2"] {
        put(&store, collection, "k", 1).await;
    }
    for size in [1, 2, 10] {
        let listed = collections(&store, size).await;
        assert_eq!(listed, ["a", "b", "c", "d", "x1", "x2"], "{size}");
    }
    let page = store.collections(KeyQuery::new().with_page_size(1));
    assert_eq!(page.await.unwrap().collections.len(), 1);
}

/// What lies in a store that it is not sent to: it can't be read, so it is not there.
#[tokio::test]
async fn a_collection_in_the_wrong_store_is_neither_listed_nor_destroyed() {
    let ([default, named, _], store) = stores();
    put(&default, "a", "k", 1).await;
    put(&named, "foreign", "k", 1).await;
    put(&store, "a", "k", 2).await;
    assert_eq!(collections(&store, 10).await, ["a"]);
    store.destroy().await.unwrap();
    assert_eq!(collections(&store, 10).await, [""; 0]);
    assert_eq!(number(&default, "a", "k").await, Some(1));
    assert_eq!(number(&named, "foreign", "k").await, Some(1));
}

#[tokio::test]
async fn a_cursor_that_names_no_store_is_invalid() {
    let (_, store) = stores();
    for cursor in ["", "3", "-1", "x", ":", "99999999999999999999", "0x:a"] {
        let query = KeyQuery::new().with_cursor(Cursor::new(cursor));
        let page = store.collections(query).await;
        assert!(matches!(page, Err(Error::InvalidCursor)), "{cursor}");
    }
}

#[tokio::test]
async fn flush_and_cull_reach_every_store_also_when_one_fails() {
    let (faults, store) = stores();
    faults[0].inject(Fault::unavailable().times(2));
    assert!(store.flush().await.is_err());
    assert!(store.cull().await.is_err());
    let calls = faults.map(|store| [Operation::Flush, Operation::Cull].map(|op| store.calls(op)));
    assert_eq!(calls, [[1, 1]; 3]);
    assert!(store.flush().await.is_ok());
    assert_eq!(store.cull().await.unwrap(), 0);
}

#[tokio::test]
async fn of_several_errors_of_flush_and_cull_the_first_is_returned() {
    let (faults, store) = stores();
    faults[1].inject(Fault::refuse(Error::ReadOnly).always());
    faults[2].inject(Fault::unavailable().always());
    let flushed = store.flush().await;
    assert!(matches!(flushed, Err(Error::ReadOnly)), "{flushed:?}");
    let culled = store.cull().await;
    assert!(matches!(culled, Err(Error::ReadOnly)), "{culled:?}");
}

#[tokio::test]
async fn an_outage_of_one_store_leaves_the_others() {
    let ([_, named, _], store) = stores();
    named.inject(Fault::unavailable().always());
    assert!(store.get("a", "k").await.is_err());
    put(&store, "c", "k", 1).await;
    assert_eq!(number(&store, "c", "k").await, Some(1));
}

#[tokio::test]
async fn a_destroy_that_fails_halfway_has_an_unknown_outcome() {
    for (collection, halfway) in [("a", false), ("c", true)] {
        let ([_, _, ruled], store) = stores();
        put(&store, "x1", "k", 1).await;
        ruled.inject(Fault::unavailable().on(Operation::Clear));
        if halfway {
            put(&store, collection, "k", 1).await;
        }
        let error = store.destroy().await.unwrap_err();
        let unknown = matches!(error, Error::OutcomeUnknown { .. });
        assert_eq!(unknown, halfway, "{error}");
    }
}

#[tokio::test]
async fn a_destroy_that_is_dropped_leaves_every_entry_whole_or_absent() {
    for polls in 0..12 {
        let (faults, store) = stores();
        for collection in ["a", "c", "x1"] {
            put(&store, collection, "k", 1).await;
        }
        for fault in &faults {
            fault.inject(Fault::pause().on(Operation::Clear).always());
        }
        let mut destroy = store.destroy();
        for _ in 0..polls {
            if (&mut destroy).now_or_never().is_some() {
                break;
            }
        }
        drop(destroy);
        for collection in ["a", "c", "x1"] {
            let held = number(&store, collection, "k").await;
            assert!(matches!(held, None | Some(1)), "{held:?}");
        }
        let left = collections(&store, 10).await.len();
        // Each clear pauses twice: the first poll stops before the first one.
        assert_eq!(left, 3 - (polls / 2).min(3), "{polls}");
    }
}

#[tokio::test]
async fn info_is_what_all_stores_have_in_common() {
    let default: Arc<dyn Store> = Arc::new(ReferenceStore::new(SystemClock::default()));
    let limited: Arc<dyn Store> = Probe::new();
    let store = default.routing().with_route(["a"], limited);
    let expected = StoreInfo::new("reference").with_max_value_bytes(Some(1000));
    assert_eq!(store.info(), expected);
}

/// What `watch` has told by now.
fn told(watch: &mut Watch) -> Vec<Change> {
    std::iter::from_fn(|| watch.next().now_or_never().flatten()).collect()
}

fn changed(collection: &str) -> Change {
    Change::Entry {
        collection: collection.to_owned(),
        key: "k".to_owned(),
    }
}

#[tokio::test]
async fn a_watch_tells_of_each_store_the_changes_of_what_is_sent_there() {
    let (faults, store) = stores();
    let faults = faults.map(FaultStore::watchable);
    let mut watch = store.watch("").unwrap();
    assert_eq!(told(&mut watch), [Change::Watching]);
    for (fault, own) in faults.iter().zip(["c", "a", "x1"]) {
        for collection in ["a", "c", "x1"] {
            fault.tell(&changed(collection));
        }
        assert_eq!(told(&mut watch), [changed(own)]);
    }
}

#[tokio::test]
async fn a_watch_of_a_prefix_asks_each_store_for_it() {
    let (faults, store) = stores();
    let faults = faults.map(FaultStore::watchable);
    let mut watch = store.watch("x").unwrap();
    faults[0].tell(&changed("c"));
    faults[2].tell(&changed("x1"));
    assert_eq!(told(&mut watch), [Change::Watching, changed("x1")]);
}

#[tokio::test]
async fn changes_are_told_only_while_every_store_tells_them() {
    let (faults, store) = stores();
    let [default, named, ruled] = faults.map(FaultStore::watchable);
    let mut watch = store.watch("").unwrap();
    assert_eq!(told(&mut watch), [Change::Watching]);
    named.tell(&Change::Lost);
    ruled.tell(&Change::Lost);
    assert_eq!(told(&mut watch), [Change::Lost]);
    default.tell(&changed("c"));
    named.tell(&Change::Watching);
    assert_eq!(told(&mut watch), []);
    ruled.tell(&Change::Watching);
    assert_eq!(told(&mut watch), [Change::Watching]);
    default.tell(&changed("c"));
    // A gap that the store noticed only once it was over.
    default.tell(&Change::Watching);
    assert_eq!(told(&mut watch), [changed("c"), Change::Watching]);
}

#[tokio::test]
async fn where_one_store_cannot_be_watched_there_is_no_watch() {
    let ([default, named, _], store) = stores();
    let _watchable = [default, named].map(FaultStore::watchable);
    assert!(matches!(store.watch(""), Err(Error::Unsupported { .. })));
}

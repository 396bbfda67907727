//! What other programs change, as the store tells it.

use std::sync::Arc;
use std::time::Duration;

use kv_core::conformance::{Fault, FaultStore};
use kv_core::wrappers::{Cached, Operation};
use kv_core::{Change, ManualClock, StoreExt};
use tokio::task::yield_now;

use super::super::{number, put};
use crate::probe::{After, Probe};
use crate::support::ReferenceStore;

type Far = FaultStore<Arc<Probe>>;
type Near = Arc<ReferenceStore>;

/// A cache that has begun to listen, over a store that holds 1 under `k` and `other`.
async fn listening() -> (Cached<Far, Near>, Far, Arc<Probe>, Near) {
    let probe = Probe::new();
    let far = FaultStore::new(Arc::clone(&probe)).watchable();
    let near = Arc::new(ReferenceStore::new(Arc::clone(&probe.clock)));
    let store = far.clone().cached(Arc::clone(&near));
    for key in ["k", "other"] {
        put(&far, "c", key, 1).await;
        number(&store, "c", key).await;
        settle().await;
        assert_eq!(number(&store, "c", key).await, Some(1));
    }
    (store, far, probe, near)
}

/// Lets the task that listens do its work.
async fn settle() {
    for _ in 0..20 {
        yield_now().await;
    }
}

fn changed(key: &str) -> Change {
    Change::Entry {
        collection: "c".to_owned(),
        key: key.to_owned(),
    }
}

/// Asserts that a read of `key` finds 1, with this many reads of the store inside.
async fn reads(store: &Cached<Far, Near>, far: &Far, key: &str, reads: usize) {
    let before = far.calls(Operation::Get);
    assert_eq!(number(store, "c", key).await, Some(1));
    assert_eq!(far.calls(Operation::Get) - before, reads, "reads of {key}");
}

#[tokio::test]
async fn a_change_that_is_told_drops_its_copy_and_no_other() {
    let (store, far, ..) = listening().await;
    put(&far, "c", "k", 2).await;
    far.tell(&changed("k"));
    settle().await;
    assert_eq!(number(&store, "c", "k").await, Some(2));
    reads(&store, &far, "other", 0).await;
}

#[tokio::test]
async fn no_copy_is_kept_or_used_before_changes_are_told() {
    let (store, far, probe, near) = listening().await;
    drop(store);
    let store = far.clone().cached(near);
    // Nobody yields, so the task has not begun.
    reads(&store, &far, "k", 1).await;
    reads(&store, &far, "k", 1).await;
    settle().await;
    reads(&store, &far, "k", 1).await;
    reads(&store, &far, "k", 0).await;
    drop(probe);
}

#[tokio::test]
async fn no_copy_is_used_while_changes_go_unseen_and_all_are_forgotten_after() {
    let (store, far, ..) = listening().await;
    far.tell(&Change::Lost);
    settle().await;
    reads(&store, &far, "k", 1).await;
    reads(&store, &far, "k", 1).await;
    far.tell(&Change::Watching);
    settle().await;
    for key in ["k", "other"] {
        reads(&store, &far, key, 1).await;
        reads(&store, &far, key, 0).await;
    }
}

#[tokio::test]
async fn a_load_during_which_a_change_is_told_is_not_kept() {
    let told = [changed("k"), Change::Lost, Change::Watching];
    for change in told {
        let (store, far, probe, _) = listening().await;
        far.tell(&changed("k"));
        settle().await;
        drop(probe.calls());
        probe.then(After::Hold);
        let reader = store.clone();
        let load = tokio::spawn(async move { number(&reader, "c", "k").await });
        while !probe.calls().contains(&"get") {
            yield_now().await;
        }
        let gate = probe.hold_these();
        put(&far, "c", "k", 2).await;
        far.tell(&change);
        settle().await;
        // Does not join the load either.
        if change == changed("k") {
            assert_eq!(number(&store, "c", "k").await, Some(2), "{change:?}");
        }
        drop(gate);
        assert_eq!(load.await.unwrap(), Some(1));
        assert_eq!(number(&store, "c", "k").await, Some(2), "{change:?}");
    }
}

#[tokio::test]
async fn a_remembered_miss_is_dropped_by_a_creation_that_is_told() {
    let (store, far, ..) = listening().await;
    let store = store.with_negative_ttl(Duration::from_secs(60));
    assert_eq!(number(&store, "c", "new").await, None);
    put(&far, "c", "new", 2).await;
    assert_eq!(number(&store, "c", "new").await, None);
    far.tell(&changed("new"));
    settle().await;
    assert_eq!(number(&store, "c", "new").await, Some(2));
}

#[tokio::test]
async fn a_hundred_thousand_changes_are_heard() {
    let (store, far, ..) = listening().await;
    for n in 0..100_000 {
        far.tell(&changed(&n.to_string()));
    }
    put(&far, "c", "k", 2).await;
    far.tell(&changed("k"));
    let patience = tokio::time::timeout(Duration::from_secs(60), async {
        while number(&store, "c", "k").await != Some(2) {
            yield_now().await;
        }
    });
    patience.await.unwrap();
}

#[tokio::test]
async fn a_local_delete_that_hangs_keeps_no_later_change_from_being_heard() {
    let clock = Arc::new(ManualClock::starting_now());
    let make = || FaultStore::new(Arc::new(ReferenceStore::new(Arc::clone(&clock))));
    let (far, near) = (make().watchable(), make());
    let store = far.clone().cached(near.clone());
    for key in ["k", "k", "other"] {
        put(&far, "c", key, 1).await;
        number(&store, "c", key).await;
        settle().await;
    }
    near.inject(Fault::hold().on(Operation::Delete));
    for key in ["k", "other"] {
        put(&far, "c", key, 2).await;
        far.tell(&changed(key));
    }
    settle().await;
    for key in ["k", "other"] {
        assert_eq!(number(&store, "c", key).await, Some(2), "{key}");
    }
}

#[tokio::test]
async fn whoever_listens_ends_with_the_last_clone() {
    let (store, _, _, near) = listening().await;
    let clone = store.clone();
    drop(store);
    settle().await;
    assert!(Arc::strong_count(&near) > 1);
    drop(clone);
    settle().await;
    assert_eq!(Arc::strong_count(&near), 1);
}

#[test]
fn another_runtime_listens_when_the_first_has_ended() {
    let clock = Arc::new(ManualClock::starting_now());
    let far = FaultStore::new(Arc::new(ReferenceStore::new(Arc::clone(&clock)))).watchable();
    let store = far.clone().cached(ReferenceStore::new(clock));
    let run = |n| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(async {
            put(&far, "c", "k", n).await;
            number(&store, "c", "k").await;
            settle().await;
            number(&store, "c", "k").await;
            let reads = far.calls(Operation::Get);
            assert_eq!(number(&store, "c", "k").await, Some(n));
            assert_eq!(far.calls(Operation::Get), reads, "there is a copy");
        });
    };
    run(1);
    run(2);
}

//! Copies that are handed out while a new one is loaded.

use std::time::Duration;

use kv_core::conformance::Fault;
use kv_core::wrappers::Operation;
use kv_core::{Clock as _, PutMode, Store};
use tokio::task::yield_now;
use tokio::time::sleep;

use super::super::{entry, number, put};
use super::{Setup, setup};

const MINUTE: Duration = Duration::from_secs(60);

/// A cache for a minute, with a copy of 1 that has been stale for a second, of a store that holds 2.
async fn stale() -> Setup {
    let mut setup = setup();
    let store = setup.store.with_max_ttl(MINUTE);
    setup.store = store.with_stale_while_revalidate(MINUTE);
    put(&setup.far, "c", "k", 1).await;
    assert_eq!(number(&setup.store, "c", "k").await, Some(1));
    put(&setup.far, "c", "k", 2).await;
    setup.clock.advance(MINUTE + Duration::from_secs(1));
    setup
}

async fn settle() {
    for _ in 0..20 {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_stale_copy_is_handed_out_at_once_and_replaced_by_one_load() {
    let Setup { far, store, .. } = stale().await;
    let reads = far.calls(Operation::Get);
    for _ in 0..100 {
        assert_eq!(number(&store, "c", "k").await, Some(1));
    }
    settle().await;
    assert_eq!(number(&store, "c", "k").await, Some(2));
    assert_eq!(far.calls(Operation::Get), reads + 1);
}

#[tokio::test]
async fn a_bulk_read_hands_out_stale_copies_too() {
    let Setup { store, .. } = stale().await;
    let read = |n| {
        let store = store.clone();
        async move {
            let read = store.get_many("c", &["k"]).await.unwrap().remove(0);
            assert_eq!(read.unwrap().unwrap().value, entry(n).value);
        }
    };
    read(1).await;
    settle().await;
    read(2).await;
}

#[tokio::test]
async fn a_copy_that_is_stale_for_too_long_is_not_handed_out() {
    let Setup { clock, store, .. } = stale().await;
    clock.advance(MINUTE - Duration::from_secs(1));
    assert_eq!(number(&store, "c", "k").await, Some(2));
}

#[tokio::test]
async fn a_stale_copy_ends_with_its_entry() {
    let Setup {
        clock, far, store, ..
    } = stale().await;
    let end = clock.now().checked_add(MINUTE + MINUTE / 2);
    let put = far.put("c", "k", entry(3).with_expires_at(end), PutMode::Overwrite);
    put.await.unwrap();
    assert_eq!(number(&store, "c", "k").await, Some(1));
    settle().await;
    clock.advance(MINUTE + MINUTE / 2 - Duration::from_micros(1));
    assert_eq!(number(&store, "c", "k").await, Some(3));
    clock.advance(Duration::from_micros(1));
    assert_eq!(number(&store, "c", "k").await, None);
}

#[tokio::test]
async fn a_stale_copy_of_what_is_gone_is_dropped_by_the_load() {
    let Setup { far, store, .. } = stale().await;
    far.delete("c", "k").await.unwrap();
    assert_eq!(number(&store, "c", "k").await, Some(1));
    settle().await;
    assert_eq!(number(&store, "c", "k").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_failed_is_tried_again_a_second_later() {
    let Setup { far, store, .. } = stale().await;
    let reads = far.calls(Operation::Get);
    far.inject(Fault::unavailable().on(Operation::Get).times(1));
    for _ in 0..100 {
        assert_eq!(number(&store, "c", "k").await, Some(1));
        settle().await;
    }
    assert_eq!(far.calls(Operation::Get), reads + 1);
    sleep(Duration::from_millis(1001)).await;
    assert_eq!(number(&store, "c", "k").await, Some(1));
    settle().await;
    assert_eq!(number(&store, "c", "k").await, Some(2));
}

#[test]
fn without_a_timer_a_load_that_failed_is_tried_again_at_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(async {
        let Setup { far, store, .. } = stale().await;
        far.inject(Fault::unavailable().on(Operation::Get).times(1));
        for _ in 0..2 {
            assert_eq!(number(&store, "c", "k").await, Some(1));
            settle().await;
        }
        assert_eq!(number(&store, "c", "k").await, Some(2));
    });
}

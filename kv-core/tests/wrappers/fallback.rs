//! `Fallback`: the second store answers only where the first one cannot, and a write is never done
//! twice.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use kv_core::conformance::{Fault, FaultStore};
use kv_core::wrappers::{Fallback, Operation};
use kv_core::{Cursor, Error, KeyQuery, PutMode, Store, StoreExt, StoreInfo, SystemClock};

use super::{entry, number, put};
use crate::probe::Probe;
use crate::support::ReferenceStore;

type Faults = FaultStore<Arc<ReferenceStore>>;

struct Stores {
    primary: Faults,
    fallback: Faults,
    both: Fallback<Faults, Faults>,
}

/// Two stores that hold `k`, as 1 and 2, and the pair of them.
async fn stores() -> Stores {
    let make = || FaultStore::new(Arc::new(ReferenceStore::new(SystemClock::default())));
    let (primary, fallback) = (make(), make());
    put(&primary, "c", "k", 1).await;
    put(&fallback, "c", "k", 2).await;
    let both = primary.clone().fallback(fallback.clone());
    Stores {
        primary,
        fallback,
        both,
    }
}

fn outages() -> [Error; 4] {
    let timeout = Error::Timeout {
        after: Duration::from_secs(1),
    };
    let open = Error::AlreadyOpen {
        place: "data".to_owned(),
        hint: "close it",
    };
    let broken = Error::backend("fault", "read", std::io::Error::other("the cable is out"));
    let unavailable = Error::Unavailable {
        store: "fault",
        reason: "a test broke it".to_owned(),
        source: None,
    };
    [timeout, open, broken, unavailable]
}

#[tokio::test]
async fn while_the_primary_answers_the_fallback_is_not_asked() {
    let Stores { fallback, both, .. } = stores().await;
    let before = fallback.all_calls();
    assert_eq!(number(&both, "c", "k").await, Some(1));
    assert_eq!(number(&both, "c", "missing").await, None);
    both.keys("c", KeyQuery::new()).await.unwrap();
    both.take("c", "k").await.unwrap();
    both.flush().await.unwrap();
    both.cull().await.unwrap();
    assert_eq!(fallback.all_calls(), before);
}

#[tokio::test]
async fn every_read_goes_to_the_fallback_when_the_primary_cannot_answer() {
    for error in outages() {
        let Stores { primary, both, .. } = stores().await;
        primary.inject(Fault::refuse(error).always());
        assert_eq!(number(&both, "c", "k").await, Some(2));
        assert!(both.get_fresh("c", "k").await.unwrap().is_some());
        let rows = both.get_many("c", &["k", "missing"]).await.unwrap();
        let found: Vec<_> = rows.into_iter().map(|row| row.unwrap().is_some()).collect();
        assert_eq!(found, [true, false]);
        assert_eq!(both.keys("c", KeyQuery::new()).await.unwrap().keys, ["k"]);
        let page = both.collections(KeyQuery::new()).await.unwrap();
        assert_eq!(page.collections, ["c"]);
    }
}

#[tokio::test]
async fn an_error_that_is_an_answer_does_not_go_to_the_fallback() {
    let corrupted = Error::Corrupted {
        reason: "a test spoiled it",
        source: None,
    };
    for error in [
        corrupted,
        Error::Overflow,
        Error::Unsupported { what: "it" },
    ] {
        let Stores { primary, both, .. } = stores().await;
        primary.inject(Fault::refuse(error.clone()));
        let seen = both.get("c", "k").await.unwrap_err();
        assert_eq!(seen.to_string(), error.to_string());
    }
}

#[tokio::test]
async fn when_neither_can_answer_the_error_is_the_primary_s() {
    let Stores {
        primary,
        fallback,
        both,
    } = stores().await;
    let [timeout, ..] = outages();
    primary.inject(Fault::refuse(timeout));
    fallback.inject(Fault::unavailable());
    let error = both.get("c", "k").await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn get_many_asks_the_fallback_for_the_rows_that_failed() {
    let Stores {
        primary, fallback, ..
    } = stores().await;
    put(&primary, "c", "l", 1).await;
    let both = primary.clone().without_bulk().fallback(fallback.clone());
    primary.inject(Fault::unavailable().on(Operation::Get).after(1));
    let rows = both.get_many("c", &["k", "k", "l"]).await.unwrap();
    let mut numbers = Vec::new();
    for row in rows {
        let value: serde_json::Value = row.unwrap().unwrap().value.decode().unwrap();
        numbers.push(value["n"].as_u64().unwrap());
    }
    assert_eq!(numbers, [1, 2, 1]);
    assert_eq!(fallback.calls(Operation::GetMany), 1);
}

#[tokio::test]
async fn without_the_option_no_write_goes_to_the_fallback() {
    let Stores {
        primary,
        fallback,
        both,
    } = stores().await;
    primary.inject(Fault::unavailable().always());
    let before = fallback.all_calls();
    assert!(
        both.put("c", "k", entry(3), PutMode::Overwrite)
            .await
            .is_err()
    );
    assert!(both.put_many("c", Vec::new()).await.is_err());
    assert!(both.delete("c", "k").await.is_err());
    assert!(both.delete_many("c", &["k"]).await.is_err());
    assert!(both.take("c", "k").await.is_err());
    assert!(both.clear("c").await.is_err());
    assert!(both.destroy().await.is_err());
    assert_eq!(fallback.all_calls(), before);
}

#[tokio::test]
async fn with_the_option_writes_go_to_the_fallback_when_nothing_was_applied() {
    let Stores {
        primary,
        fallback,
        both,
    } = stores().await;
    let both = both.with_write_to_fallback(true);
    primary.inject(Fault::unavailable().always());
    put(&both, "c", "k", 3).await;
    assert_eq!(number(&fallback, "c", "k").await, Some(3));
    assert!(both.take("c", "k").await.unwrap().is_some());
    primary.heal();
    assert_eq!(number(&both, "c", "k").await, Some(1));
}

#[tokio::test]
async fn a_write_that_may_have_been_applied_does_not_go_to_the_fallback() {
    let [timeout, _, broken, _] = outages();
    let faults = [
        Fault::outcome_unknown(),
        Fault::lose(timeout),
        Fault::lose(broken),
    ];
    for fault in faults {
        let Stores {
            primary,
            fallback,
            both,
        } = stores().await;
        let both = both.with_write_to_fallback(true);
        primary.inject(fault);
        assert!(both.take("c", "k").await.is_err());
        assert_eq!(number(&fallback, "c", "k").await, Some(2));
    }
}

#[tokio::test]
async fn an_update_with_a_revision_of_the_other_store_is_a_conflict() {
    let Stores { primary, both, .. } = stores().await;
    let both = both.with_write_to_fallback(true);
    let of_primary = both.get("c", "k").await.unwrap().unwrap().revision.unwrap();
    primary.inject(Fault::unavailable().always());
    let of_fallback = both.get("c", "k").await.unwrap().unwrap().revision.unwrap();
    let update = both.put("c", "k", entry(3), PutMode::Update(of_primary));
    assert!(matches!(update.await, Err(Error::Conflict)));
    primary.heal();
    let update = both.put("c", "k", entry(3), PutMode::Update(of_fallback));
    assert!(matches!(update.await, Err(Error::Conflict)));
}

#[tokio::test]
async fn a_listing_goes_on_in_the_store_it_began_in() {
    let Stores {
        primary,
        fallback,
        both,
    } = stores().await;
    put(&primary, "c", "l", 1).await;
    put(&fallback, "c", "m", 2).await;
    let query = KeyQuery::new().with_page_size(1);
    let of_primary = both.keys("c", query.clone()).await.unwrap().next;
    primary.inject(Fault::unavailable().times(2));
    let of_fallback = both.keys("c", query.clone()).await.unwrap().next;
    let gone = both.keys("c", query.clone().with_cursor(of_primary.clone()));
    assert!(matches!(gone.await, Err(Error::Unavailable { .. })));
    for (cursor, key) in [(of_primary, "l"), (of_fallback, "m")] {
        let page = both.keys("c", query.clone().with_cursor(cursor));
        assert_eq!(page.await.unwrap().keys, [key]);
    }
}

#[tokio::test]
async fn a_cursor_of_neither_store_is_invalid() {
    let Stores { both, .. } = stores().await;
    let query = KeyQuery::new().with_cursor(Cursor::new("k"));
    let page = both.keys("c", query).await;
    assert!(matches!(page, Err(Error::InvalidCursor)), "{page:?}");
}

#[tokio::test]
async fn with_writes_to_the_fallback_flush_and_cull_concern_both() {
    let Stores {
        primary,
        fallback,
        both,
    } = stores().await;
    let both = both.with_write_to_fallback(true);
    primary.inject(Fault::unavailable().times(2));
    assert!(both.flush().await.is_err());
    assert!(both.cull().await.is_err());
    assert_eq!(fallback.calls(Operation::Flush), 1);
    assert_eq!(fallback.calls(Operation::Cull), 1);
}

#[tokio::test]
async fn info_is_the_primary_s_or_the_weaker_one_with_writes_to_the_fallback() {
    let primary = Arc::new(ReferenceStore::new(SystemClock::default()));
    let both = primary.fallback(Probe::new());
    assert_eq!(both.info(), StoreInfo::new("reference"));
    let weaker = StoreInfo::new("reference").with_max_value_bytes(Some(1000));
    assert_eq!(both.with_write_to_fallback(true).info(), weaker);
}

#[tokio::test]
async fn a_write_that_is_dropped_on_its_way_to_the_fallback_is_whole_or_not_there() {
    // One pause in the primary, which refuses, and two around the work of the fallback.
    for (polls, held) in [(0, 2), (1, 2), (2, 2), (3, 3)] {
        let Stores {
            primary,
            fallback,
            both,
        } = stores().await;
        let both = both.with_write_to_fallback(true);
        primary.inject(Fault::unavailable().on(Operation::Put));
        primary.inject(Fault::pause().on(Operation::Put));
        fallback.inject(Fault::pause().on(Operation::Put));
        let mut call = both.put("c", "k", entry(3), PutMode::Overwrite);
        for _ in 0..polls {
            assert!((&mut call).now_or_never().is_none());
        }
        drop(call);
        assert_eq!(number(&primary, "c", "k").await, Some(1));
        assert_eq!(number(&fallback, "c", "k").await, Some(held), "{polls}");
    }
}

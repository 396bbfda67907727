//! What a typed `Collection` does.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use kv_core::{Collection, Error, Items, KeyQuery, ManualClock, Store, StoreExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::support::ReferenceStore;

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Session {
    user: String,
}

fn session(user: &str) -> Session {
    Session {
        user: user.to_owned(),
    }
}

/// Sessions that live a minute.
fn sessions() -> (Collection<Session>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::starting_now());
    let store: Arc<dyn Store> = Arc::new(ReferenceStore::new(Arc::clone(&clock)));
    (store.collection("sessions").with_ttl(MINUTE), clock)
}

async fn time_left(sessions: &Collection<Session>, key: &str) -> Option<Duration> {
    sessions.ttl(key).await.unwrap().unwrap().1
}

#[tokio::test]
async fn a_put_value_lives_for_the_default_ttl() {
    let (sessions, clock) = sessions();
    sessions.put("k", &session("ada")).await.unwrap();
    assert_eq!(sessions.get("k").await.unwrap(), Some(session("ada")));
    assert_eq!(time_left(&sessions, "k").await, Some(MINUTE));
    clock.advance(MINUTE);
    assert_eq!(sessions.get("k").await.unwrap(), None);
}

#[tokio::test]
async fn every_write_gives_the_default_ttl() {
    let (sessions, clock) = sessions();
    assert!(
        sessions
            .put_if_absent("if absent", &session("a"))
            .await
            .unwrap()
    );
    sessions.put_many(&[("many", &session("b"))]).await.unwrap();
    sessions
        .update("updated", |_| Some(session("c")))
        .await
        .unwrap();
    let long = Some(2 * MINUTE);
    sessions
        .put_with_ttl("touched", &session("d"), long)
        .await
        .unwrap();
    assert_eq!(time_left(&sessions, "touched").await, long);
    clock.advance(MINUTE / 2);
    assert!(sessions.touch("touched").await.unwrap());
    for key in ["if absent", "many", "updated"] {
        assert_eq!(time_left(&sessions, key).await, Some(MINUTE / 2), "{key}");
    }
    assert_eq!(time_left(&sessions, "touched").await, Some(MINUTE));
}

#[tokio::test]
async fn without_a_ttl_values_never_expire() {
    let (sessions, _) = sessions();
    let sessions = sessions.with_ttl(None);
    sessions.put("k", &session("ada")).await.unwrap();
    assert_eq!(time_left(&sessions, "k").await, None);
}

#[tokio::test]
async fn put_if_absent_keeps_the_first_value() {
    let (sessions, _) = sessions();
    assert!(sessions.put_if_absent("k", &session("ada")).await.unwrap());
    assert!(!sessions.put_if_absent("k", &session("bob")).await.unwrap());
    assert_eq!(sessions.get("k").await.unwrap(), Some(session("ada")));
}

#[tokio::test]
async fn take_returns_the_value_once() {
    let (sessions, _) = sessions();
    sessions.put("k", &session("ada")).await.unwrap();
    assert_eq!(sessions.take("k").await.unwrap(), Some(session("ada")));
    assert_eq!(sessions.take("k").await.unwrap(), None);
}

#[tokio::test]
async fn update_changes_the_live_value() {
    let (sessions, _) = sessions();
    sessions.put("k", &session("ada")).await.unwrap();
    let stored = sessions
        .update("k", |old| Some(session(&format!("{} l", old?.user))))
        .await;
    assert_eq!(stored.unwrap(), Some(session("ada l")));
    assert_eq!(sessions.get("k").await.unwrap(), Some(session("ada l")));
}

#[tokio::test]
async fn get_many_reports_a_value_of_another_type_in_its_own_place() {
    let (sessions, _) = sessions();
    sessions.put("good", &session("ada")).await.unwrap();
    let store = sessions.store();
    store
        .put_value("sessions", "bad", &json!({ "user": 1 }), None)
        .await
        .unwrap();
    let found = sessions
        .get_many(&["bad", "good", "missing"])
        .await
        .unwrap();
    assert!(
        matches!(&found[..], [Err(Error::Decode { .. }), Ok(Some(good)), Ok(None)] if *good == session("ada")),
        "{found:?}"
    );
}

#[tokio::test]
async fn deletes_tell_what_went() {
    let (sessions, _) = sessions();
    let (a, b) = (session("a"), session("b"));
    sessions.put_many(&[("a", &a), ("b", &b)]).await.unwrap();
    assert!(sessions.delete("a").await.unwrap());
    assert_eq!(
        sessions.delete_many(&["a", "b"]).await.unwrap(),
        [false, true]
    );
}

#[tokio::test]
async fn keys_and_clear_are_those_of_the_collection_alone() {
    let (sessions, _) = sessions();
    let others: Collection<Session> = sessions.store().collection("others");
    sessions.put("k", &session("ada")).await.unwrap();
    others.put("o", &session("bob")).await.unwrap();
    let keys: Vec<_> = sessions.keys(KeyQuery::new()).try_collect().await.unwrap();
    assert_eq!(keys, ["k"]);
    assert_eq!(sessions.clear().await.unwrap(), 1);
    assert_eq!(others.get("o").await.unwrap(), Some(session("bob")));
}

#[tokio::test]
async fn items_are_stored_as_python_stores_them() {
    let (sessions, _) = sessions();
    let lists: Collection<Items<Vec<u8>>> = sessions.store().collection("lists");
    lists.put("k", &Items::new(vec![1, 2])).await.unwrap();
    let stored: Option<Json> = lists.store().get_value("lists", "k").await.unwrap();
    assert_eq!(stored, Some(json!({ "items": [1, 2] })));
    assert_eq!(lists.get("k").await.unwrap().unwrap().items, [1, 2]);
}

#[tokio::test]
async fn a_clone_has_the_same_name_and_ttl() {
    let (sessions, _) = sessions();
    let clone = sessions.clone();
    clone.put("k", &session("ada")).await.unwrap();
    assert_eq!(clone.name(), "sessions");
    assert_eq!(time_left(&sessions, "k").await, Some(MINUTE));
}

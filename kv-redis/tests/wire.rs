//! What the server holds of an entry, and what it is asked to do.

use std::sync::Arc;
use std::time::Duration;

use kv_core::{Clock, ManualClock, PutMode, Store, envelope};
use kv_redis::RedisStore;

use crate::support::{command, create, entry, put, server, store, value};

fn held(url: &str, name: &str) -> Vec<u8> {
    command(url, &["GET", name]).unwrap()
}

fn life(url: &str, name: &str) -> i64 {
    command(url, &["PTTL", name]).unwrap()
}

#[tokio::test]
async fn an_entry_is_a_record_under_collection_and_key() {
    let server = server();
    let store = store(&server);
    let revision = store
        .put(
            "coléction *",
            "ключ ::[a]\0",
            entry("v"),
            PutMode::Overwrite,
        )
        .await
        .unwrap();
    let held = held(&server.url(), "coléction *::ключ ::[a]\0");
    assert_eq!(revision.as_bytes().unwrap(), &held);
    let record = envelope::decode(held.into()).unwrap();
    assert!(record.is_of("coléction *", "ключ ::[a]\0"));
    assert_eq!(record.entry.value, value("v"));
}

#[tokio::test]
async fn the_server_is_told_the_life_rounded_up_to_a_millisecond() {
    let server = server();
    let clock = Arc::new(ManualClock::starting_now());
    let store = RedisStore::builder(server.url())
        .clock(Arc::clone(&clock) as Arc<dyn Clock>)
        .build()
        .unwrap();
    let hour = clock
        .now()
        .checked_add(Duration::from_micros(3_600_000_001));
    for mode in [PutMode::Create, PutMode::Overwrite] {
        let entry = entry("v").with_expires_at(hour);
        store.put("c", "k", entry, mode).await.unwrap();
        let life = life(&server.url(), "c::k");
        assert!((3_590_000..=3_600_001).contains(&life), "{life}");
    }
    let old = store
        .get("c", "k")
        .await
        .unwrap()
        .unwrap()
        .revision
        .unwrap();
    let later = hour.unwrap().checked_add(Duration::from_secs(3600));
    let renewed = entry("w").with_expires_at(later);
    let revision = store
        .put("c", "k", renewed, PutMode::Update(old))
        .await
        .unwrap();
    assert!(life(&server.url(), "c::k") > 7_190_000);
    let update = store.put("c", "k", entry("x"), PutMode::Update(revision));
    update.await.unwrap();
    assert_eq!(life(&server.url(), "c::k"), -1);
}

#[tokio::test]
async fn an_entry_that_has_expired_is_reclaimed_by_the_server() {
    let server = server();
    let store = store(&server);
    let end = store.clock().now().checked_add(Duration::from_millis(30));
    let mortal = entry("v").with_expires_at(end);
    store
        .put("c", "k", mortal, PutMode::Overwrite)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    let left: i64 = command(&server.url(), &["EXISTS", "c::k"]).unwrap();
    assert_eq!(left, 0);
    assert!(store.get("c", "k").await.unwrap().is_none());
}

#[tokio::test]
async fn a_script_that_the_server_forgot_is_sent_again() {
    let server = server();
    let store = store(&server);
    let mut revision = put(&store, "k", "0").await.unwrap();
    for n in 1..4 {
        let update = PutMode::Update(revision);
        revision = store
            .put("c", "k", entry(&n.to_string()), update)
            .await
            .unwrap();
        command::<()>(&server.url(), &["SCRIPT", "FLUSH"]).unwrap();
    }
}

#[tokio::test]
async fn an_operation_on_one_entry_is_one_command() {
    let server = server();
    let store = store(&server);
    let revision = create(&store, "k", "v").await.unwrap();
    store.get("c", "k").await.unwrap();
    let update = PutMode::Update(revision);
    store
        .put("c", "k", entry("w"), update.clone())
        .await
        .unwrap();
    store.put("c", "k", entry("w"), update).await.unwrap_err();
    store.take("c", "k").await.unwrap();
    store.get_many("c", &["k", "l"]).await.unwrap();
    let entries = vec![("k".to_owned(), entry("v")), ("l".to_owned(), entry("v"))];
    store.put_many("c", entries).await.unwrap();
    store.get_many("c", &["k", "l"]).await.unwrap();
    let stats: String = command(&server.url(), &["INFO", "commandstats"]).unwrap();
    for (name, calls) in [
        // `create`, `put_many`, and the script.
        ("set", 4),
        // `get`, the script's two, and those that `get_many` missed.
        ("get", 5),
        ("mget", 2),
        ("eval", 1),
        ("evalsha", 2),
        ("getdel", 1),
    ] {
        let start = format!("cmdstat_{name}:calls={calls},");
        assert!(stats.contains(&start), "{start} {stats}");
    }
}

#[tokio::test]
async fn a_user_with_the_permissions_of_the_readme_may_do_everything() {
    let server = server();
    let readme = include_str!("../README.md");
    let (_, row) = readme.split_once("an ACL user needs `").unwrap();
    let (listed, _) = row.split_once('`').unwrap();
    let mut rules = vec!["ACL", "SETUSER", "app", "on", ">correct", "~*", "-@all"];
    rules.extend(listed.split(' '));
    command::<()>(&server.url(), &rules).unwrap();
    let builder = RedisStore::builder(server.url()).allow_destroy();
    let store = builder.username("app").password("correct").build().unwrap();
    let revision = create(&store, "k", "v").await.unwrap();
    let update = PutMode::Update(revision);
    store.put("c", "k", entry("w"), update).await.unwrap();
    store.get_many("c", &["k", "l"]).await.unwrap();
    command::<()>(&server.url(), &["RPUSH", "c::list", "item"]).unwrap();
    assert!(store.delete("c", "list").await.unwrap());
    assert!(store.take("c", "k").await.unwrap().is_some());
    put(&store, "k", "v").await.unwrap();
    assert_eq!(store.clear("c").await.unwrap(), 1);
    store.destroy().await.unwrap();
}

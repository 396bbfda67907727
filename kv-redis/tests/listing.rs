//! Listing and clearing beside the keys of other programs.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use kv_core::{Cursor, Error, KeyQuery, PutMode, Store, StoreExt};
use kv_redis::RedisStore;

use crate::support::{ask, command, entry, put, server, store};

/// Puts keys there that no store made, some of which look as if.
fn foreign(url: &str) -> i64 {
    let set = |name: &[u8], value: &[u8]| {
        ask::<()>(url, redis::cmd("SET").arg(name).arg(value)).unwrap();
    };
    set(b"counter", b"1");
    set(b"c::text", b"text");
    set(b"c::json", br#"{"value":{}}"#);
    set(
        b"c::moved",
        br#"{"collection":"c","key":"other","value":{}}"#,
    );
    set(b"c::\xff", br#"{"collection":"c","key":"x","value":{}}"#);
    set(b"c::", br#"{"collection":"c","key":"","value":{}}"#);
    set(b"::k", br#"{"collection":"","key":"k","value":{}}"#);
    ask::<()>(url, redis::cmd("RPUSH").arg("c::list").arg("item")).unwrap();
    ask::<()>(url, redis::cmd("HSET").arg("d::hash").arg("f").arg("v")).unwrap();
    command(url, &["DBSIZE"]).unwrap()
}

#[tokio::test]
async fn keys_of_other_programs_are_neither_listed_nor_cleared() {
    let server = server();
    let foreigners = foreign(&server.url());
    let store = RedisStore::builder(server.url())
        .allow_destroy()
        .build()
        .unwrap();
    put(&store, "k", "v").await.unwrap();
    assert_eq!(store.keys("c", KeyQuery::new()).await.unwrap().keys, ["k"]);
    let page = store.collections(KeyQuery::new()).await.unwrap();
    assert_eq!(page.collections, ["c"]);
    assert_eq!(store.clear("c").await.unwrap(), 1);
    store.destroy().await.unwrap();
    let left: i64 = command(&server.url(), &["DBSIZE"]).unwrap();
    assert_eq!(left, foreigners);
}

#[tokio::test]
async fn destroy_must_be_allowed() {
    let server = server();
    let store = store(&server);
    put(&store, "k", "v").await.unwrap();
    let error = store.destroy().await.unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }));
    assert!(store.get("c", "k").await.unwrap().is_some());
}

#[tokio::test]
async fn a_page_looks_at_a_bounded_number_of_foreign_keys() {
    let server = server();
    let mut fill = redis::cmd("EVAL");
    fill.arg("for n = 1, 30000 do redis.call('SET', 'c::' .. n, 'foreign') end")
        .arg(0);
    ask::<()>(&server.url(), &fill).unwrap();
    let store = store(&server);
    put(&store, "k", "v").await.unwrap();
    let page = store.keys("c", KeyQuery::new()).await.unwrap();
    assert!(page.keys.len() <= 1 && page.next.is_some());
    let keys: Vec<_> = store
        .keys_stream("c", KeyQuery::new())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(keys, ["k"]);
}

#[tokio::test]
async fn the_largest_page_is_not_exceeded() {
    let server = server();
    let store = store(&server);
    let entries = (0..12_000).map(|n| (n.to_string(), entry("v"))).collect();
    store.put_many("c", entries).await.unwrap();
    let mut query = KeyQuery::new().with_page_size(usize::MAX);
    let mut keys = BTreeSet::new();
    loop {
        let page = store.keys("c", query.clone()).await.unwrap();
        assert!(page.keys.len() <= KeyQuery::MAX_PAGE_SIZE);
        keys.extend(page.keys);
        let Some(next) = page.next else { break };
        query = query.with_cursor(next);
    }
    assert_eq!(keys.len(), 12_000);
    assert_eq!(store.clear("c").await.unwrap(), 12_000);
}

#[tokio::test]
async fn a_cursor_of_one_server_is_no_address() {
    let server = server();
    let store = store(&server);
    put(&store, "k", "v").await.unwrap();
    for text in ["127.0.0.1:1", "127.0.0.1:1|0", "-1.0", "16384.0", "65535.7"] {
        let query = KeyQuery::new().with_cursor(Cursor::new(text));
        match store.keys("c", query).await {
            Ok(page) => assert!(page.keys.len() <= 1),
            Err(error) => assert!(matches!(error, Error::InvalidCursor), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn two_databases_of_a_server_are_two_stores() {
    let server = server();
    let first = store(&server);
    let second = RedisStore::builder(server.url()).db(1).build().unwrap();
    put(&first, "k", "first").await.unwrap();
    assert!(second.get("c", "k").await.unwrap().is_none());
    let other = second.put("c", "k", entry("second"), PutMode::Create);
    other.await.unwrap();
    let third = RedisStore::new(format!("{}/1", server.url())).unwrap();
    assert!(third.delete("c", "k").await.unwrap());
    assert!(first.get("c", "k").await.unwrap().is_some());
}

#[tokio::test]
async fn a_small_page_in_a_large_database_takes_few_steps() {
    let server = server();
    let mut fill = redis::cmd("EVAL");
    fill.arg("for n = 1, 20000 do redis.call('SET', 'x::' .. n, 'foreign') end")
        .arg(0);
    ask::<()>(&server.url(), &fill).unwrap();
    let store = store(&server);
    let query = KeyQuery::new().with_page_size(1);
    store.keys("c", query).await.unwrap();
    let stats: String = command(&server.url(), &["INFO", "commandstats"]).unwrap();
    let (_, scans) = stats.split_once("cmdstat_scan:calls=").unwrap();
    let scans: u32 = scans.split_once(',').unwrap().0.parse().unwrap();
    assert!(scans <= 30, "{scans}");
}

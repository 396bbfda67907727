//! What a watch tells, and when.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use kv_core::{Change, Entry, PutMode, Store, Watch};
use kv_redis::{RedisStore, RedisStoreBuilder};
use kv_tests::services::RedisServer;
use redis::{Commands, Pipeline};

use crate::proxy::{Fault, Proxy};
use crate::secrets::logged;
use crate::support::{command, command_that_lasts, entry, hasty, put, server, store};

/// How long to wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time between two signs of life that are asked for.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How many writes one watch is told of.
const MANY: usize = 100_000;

/// A watch that somebody looks at.
pub(crate) struct Watcher(Watch);

impl Watcher {
    /// Begins to watch all collections, and returns when changes are told.
    pub(crate) async fn of(store: &RedisStore) -> Self {
        Self::of_prefix(store, "").await
    }

    async fn of_prefix(store: &RedisStore, prefix: &str) -> Self {
        let mut watcher = Self(store.watch(prefix).unwrap());
        assert_eq!(watcher.next().await, Change::Watching);
        watcher
    }

    pub(crate) async fn next(&mut self) -> Change {
        let next = tokio::time::timeout(PATIENCE, self.0.next()).await;
        next.expect("something is told").expect("it does not end")
    }

    /// Waits until the key of `c` is told of.
    pub(crate) async fn told(&mut self, key: &str) {
        while self.next().await != changed("c", key) {}
    }

    /// Waits for a loss, and for its end.
    pub(crate) async fn comes_back(&mut self) {
        self.loses().await;
        assert_eq!(self.next().await, Change::Watching);
    }

    pub(crate) async fn loses(&mut self) {
        while self.next().await != Change::Lost {}
    }
}

fn changed(collection: &str, key: &str) -> Change {
    Change::Entry {
        collection: collection.to_owned(),
        key: key.to_owned(),
    }
}

/// Returns how many connections of the server are told names.
pub(crate) fn watched_over(url: &str) -> usize {
    trackers(url).len()
}

/// Returns what the server says of each connection that is told names.
fn trackers(url: &str) -> Vec<String> {
    let list: String = command_that_lasts(url, &["CLIENT", "LIST"]);
    let tracks = |client: &&str| {
        let flags = client
            .split(' ')
            .find_map(|word| word.strip_prefix("flags="));
        flags.is_some_and(|flags| flags.contains('t') && flags.contains('B'))
    };
    list.lines().filter(tracks).map(str::to_owned).collect()
}

async fn until(mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn each_change_by_another_store_is_told() {
    let server = server();
    let other = store(&server);
    for key in ["deleted", "taken", "cleared", "many"] {
        put(&other, key, "v").await.unwrap();
    }
    let mut watcher = Watcher::of(&store(&server)).await;
    put(&other, "put", "v").await.unwrap();
    assert_eq!(watcher.next().await, changed("c", "put"));
    assert!(other.delete("c", "deleted").await.unwrap());
    assert_eq!(watcher.next().await, changed("c", "deleted"));
    assert!(other.take("c", "taken").await.unwrap().is_some());
    assert_eq!(watcher.next().await, changed("c", "taken"));
    let removed = other.delete_many("c", &["many", "none"]).await.unwrap();
    assert_eq!(removed, [true, false]);
    assert_eq!(watcher.next().await, changed("c", "many"));
    let entries = vec![("m1".to_owned(), entry("v")), ("m2".to_owned(), entry("v"))];
    other.put_many("c", entries).await.unwrap();
    let told = HashSet::from([watcher.next().await, watcher.next().await]);
    assert_eq!(
        told,
        HashSet::from([changed("c", "m1"), changed("c", "m2")])
    );
    other.clear("c").await.unwrap();
    watcher.told("cleared").await;
}

#[tokio::test]
async fn a_conditional_write_is_told() {
    let server = server();
    let other = store(&server);
    let revision = put(&other, "k", "v").await.unwrap();
    let mut watcher = Watcher::of(&store(&server)).await;
    let update = PutMode::Update(revision);
    other.put("c", "k", entry("w"), update).await.unwrap();
    assert_eq!(watcher.next().await, changed("c", "k"));
}

#[tokio::test]
async fn an_entry_that_expires_is_told_when_the_server_removes_it() {
    let server = server();
    let store = store(&server);
    let soon = store.clock().now().plus_ttl(Duration::from_millis(300));
    let short: Entry = entry("v").with_expires_at(soon.unwrap());
    store.put("c", "k", short, PutMode::Create).await.unwrap();
    let mut watcher = Watcher::of(&store).await;
    assert_eq!(watcher.next().await, changed("c", "k"));
    assert_eq!(command::<i64>(&server.url(), &["EXISTS", "c::k"]), Ok(0));
}

#[tokio::test]
async fn a_change_by_any_program_is_told_and_names_that_are_no_stores_are_not() {
    let server = server();
    let mut watcher = Watcher::of(&store(&server)).await;
    for name in ["other", "::k", "c::", "c::k"] {
        let _: () = command(&server.url(), &["SET", name, "v"]).unwrap();
    }
    assert_eq!(watcher.next().await, changed("c", "k"));
    let _: () = command(&server.url(), &["RENAME", "c::k", "c::l"]).unwrap();
    let told = HashSet::from([watcher.next().await, watcher.next().await]);
    assert_eq!(told, HashSet::from([changed("c", "k"), changed("c", "l")]));
}

#[tokio::test]
async fn an_entry_that_is_evicted_is_told() {
    let server = server();
    let mut watcher = Watcher::of(&store(&server)).await;
    put(&store(&server), "k", "v").await.unwrap();
    assert_eq!(watcher.next().await, changed("c", "k"));
    for setting in [["maxmemory-policy", "allkeys-lru"], ["maxmemory", "1"]] {
        let _: () = command(&server.url(), &["CONFIG", "SET", setting[0], setting[1]]).unwrap();
    }
    assert_eq!(watcher.next().await, changed("c", "k"));
}

#[tokio::test]
async fn a_flush_is_a_new_beginning() {
    let server = server();
    let mut watcher = Watcher::of(&store(&server)).await;
    for flush in ["FLUSHDB", "FLUSHALL"] {
        let _: () = command(&server.url(), &[flush]).unwrap();
        assert_eq!(watcher.next().await, Change::Watching);
    }
}

#[tokio::test]
async fn a_prefix_narrows_what_is_told() {
    let server = server();
    let store = store(&server);
    let mut watcher = Watcher::of_prefix(&store, "us").await;
    for collection in ["c", "u", "users", "us"] {
        let put = store.put(collection, "us", entry("v"), PutMode::Overwrite);
        put.await.unwrap();
    }
    assert_eq!(watcher.next().await, changed("users", "us"));
    assert_eq!(watcher.next().await, changed("us", "us"));
}

#[tokio::test]
async fn watches_of_overlapping_prefixes_live_side_by_side() {
    let server = server();
    let store = store(&server);
    let mut watchers = Vec::new();
    for prefix in ["", "c", "c"] {
        watchers.push(Watcher::of_prefix(&store, prefix).await);
    }
    put(&store, "k", "v").await.unwrap();
    for watcher in &mut watchers {
        assert_eq!(watcher.next().await, changed("c", "k"));
    }
}

#[tokio::test]
async fn a_watch_connects_when_it_is_polled_and_leaves_nothing_when_it_is_dropped() {
    let server = server();
    let store = store(&server);
    let watch = store.watch("").unwrap();
    let info: String = command(&server.url(), &["INFO", "stats"]).unwrap();
    assert!(info.contains("total_connections_received:1\r"), "{info}");
    drop(watch);
    let watcher = Watcher::of(&store).await;
    assert_eq!(watched_over(&server.url()), 1);
    drop(watcher);
    until(|| watched_over(&server.url()) == 0).await;
}

#[tokio::test]
async fn a_connection_that_is_killed_is_lost_at_once_and_made_again() {
    let server = server();
    let store = store(&server);
    let mut watcher = Watcher::of(&store).await;
    let mut slowest = Duration::ZERO;
    for n in 0..20 {
        let key = n.to_string();
        let killed = Instant::now();
        let _ = command::<i64>(&server.url(), &["CLIENT", "KILL", "TYPE", "normal"]);
        watcher.comes_back().await;
        slowest = slowest.max(killed.elapsed());
        let _: () = command(&server.url(), &["SET", &format!("c::{key}"), "v"]).unwrap();
        assert_eq!(watcher.next().await, changed("c", &key));
    }
    assert!(slowest < ASK_EVERY, "{slowest:?}");
    assert_eq!(watched_over(&server.url()), 1);
}

#[tokio::test]
async fn a_server_that_restarts_is_lost_and_found() {
    let mut server = server();
    let store = store(&server);
    let mut watcher = Watcher::of(&store).await;
    server.kill();
    assert_eq!(watcher.next().await, Change::Lost);
    server.restart();
    assert_eq!(watcher.next().await, Change::Watching);
    put(&store, "k", "v").await.unwrap();
    assert_eq!(watcher.next().await, changed("c", "k"));
}

#[tokio::test]
async fn a_server_that_is_not_there_at_first_is_lost_and_found() {
    let mut server = server();
    let store = store(&server);
    server.kill();
    let mut watcher = Watcher(store.watch("").unwrap());
    assert_eq!(watcher.next().await, Change::Lost);
    server.restart();
    assert_eq!(watcher.next().await, Change::Watching);
}

#[tokio::test]
async fn a_server_that_hangs_is_lost_within_the_bound() {
    let server = server();
    let store = hasty(server.url()).build().unwrap();
    let mut watcher = Watcher::of(&store).await;
    server.suspend();
    let suspended = Instant::now();
    assert_eq!(watcher.next().await, Change::Lost);
    let took = suspended.elapsed();
    let bound = ASK_EVERY + Duration::from_millis(300);
    assert!(took < bound + Duration::from_millis(300), "{took:?}");
    server.resume();
    assert_eq!(watcher.next().await, Change::Watching);
    put(&store, "k", "v").await.unwrap();
    assert_eq!(watcher.next().await, changed("c", "k"));
}

#[tokio::test]
async fn a_wire_that_passes_on_nothing_is_left_for_another() {
    let server = server();
    let proxy = Proxy::start(server.port()).await;
    let mut watcher = Watcher::of(&hasty(proxy.url()).build().unwrap()).await;
    proxy.once(Fault::Stall);
    put(&store(&server), "unseen", "v").await.unwrap();
    watcher.comes_back().await;
    put(&store(&server), "k", "v").await.unwrap();
    assert_eq!(watcher.next().await, changed("c", "k"));
}

/// Stores so many records, with keys of so many bytes, and then one more.
async fn write_many(server: &RedisServer, count: usize, key_bytes: usize) {
    let url = server.url();
    let written = tokio::task::spawn_blocking(move || {
        let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        for first in (0..count).step_by(1000) {
            let mut batch = Pipeline::new();
            for n in first..first + 1000 {
                batch.set(format!("c::{n:0>key_bytes$}"), "v").ignore();
            }
            batch.exec(&mut connection).unwrap();
        }
        let _: () = connection.set("c::last", "v").unwrap();
    });
    written.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_changes_each_is_told_or_that_some_were_lost() {
    let server = server();
    let mut watcher = Watcher::of(&store(&server)).await;
    let (told, ()) = tokio::join!(
        async {
            let (mut keys, mut lost) = (HashSet::new(), false);
            loop {
                match watcher.next().await {
                    Change::Entry { key, .. } if key == "last" => return (keys.len(), lost),
                    Change::Entry { key, .. } => drop(keys.insert(key)),
                    change => lost |= change == Change::Lost,
                }
            }
        },
        write_many(&server, MANY, 1)
    );
    assert!(told.0 == MANY || told.1, "{told:?}");
    assert!(told.0 > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_nobody_looks_at_are_lost_beyond_a_bound() {
    let server = server();
    let mut watcher = Watcher::of(&store(&server)).await;
    // Of 30 MB the system keeps less than half between the server and the client.
    write_many(&server, 30_000, 1000).await;
    let all_is_sent = |client: &String| client.contains(" omem=0 ");
    until(|| trackers(&server.url()).iter().all(all_is_sent)).await;
    watcher.comes_back().await;
    let _: () = command(&server.url(), &["SET", "c::k", "v"]).unwrap();
    watcher.told("k").await;
}

/// Makes a user with just `permissions`.
fn user(server: &RedisServer, permissions: &[&str]) -> RedisStoreBuilder {
    let user = ["ACL", "SETUSER", "app", "on", ">secret", "~*", "-@all"];
    let _: () = command(&server.url(), &[&user, permissions].concat()).unwrap();
    hasty(server.url()).username("app").password("secret")
}

#[tokio::test]
async fn a_user_with_the_permissions_of_the_readme_may_watch() {
    let server = server();
    let store = user(&server, &["+client|tracking", "+ping"])
        .build()
        .unwrap();
    let mut watcher = Watcher::of(&store).await;
    let _: () = command(&server.url(), &["SET", "c::k", "v"]).unwrap();
    assert_eq!(watcher.next().await, changed("c", "k"));
}

#[tokio::test]
async fn a_watch_that_is_refused_is_lost_until_it_is_allowed_and_warns_once() {
    let (log, _guard) = logged();
    let server = server();
    let store = user(&server, &["+ping"]).build().unwrap();
    let mut watcher = Watcher(store.watch("").unwrap());
    assert_eq!(watcher.next().await, Change::Lost);
    let watching = tokio::spawn(async move { watcher.next().await });
    let is_refused_again = || {
        let info: String = command(&server.url(), &["INFO", "errorstats"]).unwrap();
        info.contains("errorstat_NOPERM:count=2")
    };
    until(is_refused_again).await;
    let _ = user(&server, &["+ping", "+client|tracking"]);
    assert_eq!(watching.await.unwrap(), Change::Watching);
    let text = log.text();
    let warnings = text.matches("does not let changes be watched");
    assert_eq!(warnings.count(), 1, "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_user_who_may_not_ask_for_a_sign_of_life_does_not_watch() {
    let server = server();
    let store = user(&server, &["+client|tracking"]).build().unwrap();
    let mut watcher = Watcher(store.watch("").unwrap());
    assert_eq!(watcher.next().await, Change::Lost);
}

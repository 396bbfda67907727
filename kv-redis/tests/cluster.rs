//! A cluster of three masters, which the tests of a run share, and what only a cluster does.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::process::{CommandExt, parent_id};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use futures_util::TryStreamExt;
use kv_core::{Error, KeyQuery, PutMode, Store, StoreExt};
use kv_redis::RedisStore;
use kv_tests::services::RedisServer;

use crate::support::{SLACK, command, create, entry, get, put, value};

/// Tells the test binary to keep a cluster for the run with this process id.
const KEEPER: &str = "KV_REDIS_TEST_CLUSTER_OF";

const SLOTS: u16 = 16_384;
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Three masters that share the slots.
pub(crate) struct Nodes(pub(crate) Vec<RedisServer>);

impl Nodes {
    pub(crate) fn start() -> Self {
        let nodes: Vec<_> = (0..3).map(|_| node()).collect();
        let port = nodes[0].port().to_string();
        for (n, node) in (0..).zip(&nodes) {
            let part = SLOTS / 3;
            let last = if n == 2 {
                SLOTS - 1
            } else {
                part * (n + 1) - 1
            };
            let (first, last) = ((part * n).to_string(), last.to_string());
            let url = node.url();
            run(&url, &["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]);
            run(&url, &["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
            run(&url, &["CLUSTER", "MEET", "127.0.0.1", &port]);
        }
        until(|| nodes.iter().all(|node| is_whole(&node.url())));
        Self(nodes)
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.0.iter().map(RedisServer::url).collect()
    }
}

pub(crate) fn node() -> RedisServer {
    RedisServer::start(&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"])
}

/// Waits until the nodes have come to an agreement.
pub(crate) fn until(mut agreed: impl FnMut() -> bool) {
    let started = Instant::now();
    while !agreed() {
        assert!(
            started.elapsed() < START_TIMEOUT,
            "the cluster does not agree"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn run(url: &str, words: &[&str]) {
    command::<redis::Value>(url, words).unwrap();
}

fn is_whole(url: &str) -> bool {
    let info: String = command(url, &["CLUSTER", "INFO"]).unwrap();
    let slots: Vec<redis::Value> = command(url, &["CLUSTER", "SLOTS"]).unwrap();
    info.contains("cluster_state:ok") && slots.len() == 3
}

/// Returns the URLs of the cluster of this run; has it started when there is none.
///
/// Under cargo-nextest every test is a process, so the run's parent process owns the cluster: it is
/// kept by this binary once more, which ends when the parent has.
#[expect(clippy::zombie_processes, reason = "the keeper outlives this process")]
pub(crate) fn shared() -> Vec<String> {
    let run = parent_id();
    let path = env::temp_dir().join(format!("kv-redis-cluster.{run}"));
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false);
    let mut note = options.open(&path).unwrap();
    note.lock().unwrap();
    let urls = read(&mut note);
    if urls
        .iter()
        .any(|url| command::<String>(url, &["PING"]).is_ok())
    {
        return urls;
    }
    note.set_len(0).unwrap();
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "cluster::keep", "--nocapture"])
        .env(KEEPER, run.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let started = Instant::now();
    loop {
        assert!(
            started.elapsed() < START_TIMEOUT,
            "the cluster does not start"
        );
        thread::sleep(Duration::from_millis(20));
        let urls = read(&mut note);
        if !urls.is_empty() {
            return urls;
        }
    }
}

fn read(note: &mut File) -> Vec<String> {
    let mut text = String::new();
    note.rewind().unwrap();
    note.read_to_string(&mut text).unwrap();
    // The last line is there when all are.
    if !text.ends_with("end\n") {
        return Vec::new();
    }
    text.lines()
        .filter(|line| *line != "end")
        .map(str::to_owned)
        .collect()
}

/// The keeper's whole program. A test run of its own does nothing.
#[test]
fn keep() {
    let Ok(run) = env::var(KEEPER) else {
        return;
    };
    let path = env::temp_dir().join(format!("kv-redis-cluster.{run}"));
    let nodes = Nodes::start();
    let mut note = File::options().write(true).open(&path).unwrap();
    writeln!(note, "{}\nend", nodes.urls().join("\n")).unwrap();
    while Path::new(&format!("/proc/{run}")).exists() {
        thread::sleep(Duration::from_millis(500));
    }
    fs::remove_file(path).unwrap();
}

fn store() -> RedisStore {
    RedisStore::cluster(shared()).build().unwrap()
}

/// A collection that no other test uses.
fn collection() -> String {
    format!("cluster-{:016x}", fastrand::u64(..))
}

#[tokio::test]
async fn one_node_leads_to_all_of_them() {
    let store = RedisStore::cluster(&shared()[..1]).build().unwrap();
    let collection = collection();
    for n in 0..100 {
        let key = n.to_string();
        let put = store.put(&collection, &key, entry(&key), PutMode::Create);
        put.await.unwrap();
    }
    assert_eq!(store.clear(&collection).await.unwrap(), 100);
}

#[tokio::test]
async fn a_listing_goes_through_every_node() {
    let store = store();
    let collection = collection();
    let entries = (0..300).map(|n| (format!("k{n}"), entry("v")));
    store
        .put_many(&collection, entries.collect())
        .await
        .unwrap();
    let keys: Vec<String> = store
        .keys_stream(&collection, KeyQuery::new().with_page_size(10))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(keys.len(), 300);
    store.clear(&collection).await.unwrap();
}

#[tokio::test]
async fn a_slot_that_moved_is_found_at_its_new_node() {
    let nodes = Nodes::start();
    let urls = nodes.urls();
    let store = RedisStore::cluster(urls.clone()).build().unwrap();
    put(&store, "k", "before").await.unwrap();
    let slot: u16 = command(&urls[0], &["CLUSTER", "KEYSLOT", "c::k"]).unwrap();
    let owner = usize::from(slot / (SLOTS / 3)).min(2);
    let target = (owner + 1) % 3;
    let id: String = command(&urls[target], &["CLUSTER", "MYID"]).unwrap();
    let owner_id: String = command(&urls[owner], &["CLUSTER", "MYID"]).unwrap();
    let slot = slot.to_string();

    // While it moves, the key is asked for at the node that it comes to.
    run(
        &urls[target],
        &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &owner_id],
    );
    run(
        &urls[owner],
        &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id],
    );
    let port = nodes.0[target].port().to_string();
    run(
        &urls[owner],
        &["MIGRATE", "127.0.0.1", &port, "c::k", "0", "5000"],
    );
    assert_eq!(get(&store, "k").await, Some(value("before")));
    let again = create(&store, "k", "again").await.unwrap_err();
    assert!(matches!(again, Error::AlreadyExists), "{again:?}");

    for url in &urls {
        run(url, &["CLUSTER", "SETSLOT", &slot, "NODE", &id]);
    }
    // The node of before refuses all of them, and they are sent again in any order.
    let entries = (0..20).map(|n| ("k".to_owned(), entry(&n.to_string())));
    store.put_many("c", entries.collect()).await.unwrap();
    assert_eq!(get(&store, "k").await, Some(value("19")));
    assert!(store.delete("c", "k").await.unwrap());
}

#[tokio::test]
async fn a_replica_that_takes_over_is_found() {
    let mut nodes = Nodes::start();
    let urls = nodes.urls();
    let store = RedisStore::cluster(urls.clone()).build().unwrap();
    let replica = node();
    let port = nodes.0[0].port().to_string();
    run(&replica.url(), &["CLUSTER", "MEET", "127.0.0.1", &port]);
    let master: String = command(&urls[0], &["CLUSTER", "MYID"]).unwrap();
    let follow = ["CLUSTER", "REPLICATE", master.as_str()];
    until(|| command::<()>(&replica.url(), &follow).is_ok());
    let keys: Vec<_> = (0..30).map(|n| n.to_string()).collect();
    for key in &keys {
        put(&store, key, "before").await.unwrap();
    }
    let size = |url: &str| command::<i64>(url, &["DBSIZE"]).unwrap();
    until(|| size(&replica.url()) == size(&urls[0]));
    until(|| {
        command::<String>(&urls[1], &["CLUSTER", "NODES"])
            .unwrap()
            .contains("slave")
    });

    nodes.0[0].kill();
    for key in &keys {
        let start = Instant::now();
        while let Err(error) = put(&store, key, "after").await {
            let honest = matches!(error, Error::OutcomeUnknown { .. }) || error.is_retryable();
            assert!(honest, "{error:?}");
            assert!(start.elapsed() < START_TIMEOUT, "{error:?}");
        }
        assert_eq!(get(&store, key).await, Some(value("after")));
    }
}

#[tokio::test]
async fn the_other_nodes_serve_while_one_is_down() {
    let mut nodes = Nodes::start();
    let store = RedisStore::cluster(nodes.urls())
        .operation_timeout(Duration::from_millis(500))
        .build()
        .unwrap();
    for n in 0..30 {
        put(&store, &format!("k{n}"), "v").await.unwrap();
    }
    for url in nodes.urls() {
        run(
            &url,
            &["CONFIG", "SET", "cluster-require-full-coverage", "no"],
        );
    }
    nodes.0[0].kill();
    let mut answered = 0;
    for n in 0..30 {
        match store.get("c", &format!("k{n}")).await {
            Ok(Some(_)) => answered += 1,
            Ok(None) => panic!("a node that is down has no say"),
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
    }
    assert!((1..30).contains(&answered), "{answered}");
    nodes.0[0].restart();
    let back = Instant::now();
    while put(&store, "k0", "v").await.is_err() || put(&store, "k3", "v").await.is_err() {
        assert!(back.elapsed() < Duration::from_secs(10));
    }
}

/// Returns a key of `c` in a slot of the node.
fn key_of(url: &str) -> String {
    let mut keys = (0..).map(|n| format!("k{n}"));
    let is_there = |key: &String| command::<i64>(url, &["EXISTS", &format!("c::{key}")]).is_ok();
    keys.find(is_there).unwrap()
}

#[tokio::test]
async fn a_bulk_removal_of_which_one_may_have_been_done_is_of_unknown_outcome() {
    let mut nodes = Nodes::start();
    let urls = nodes.urls();
    let (silent, dead) = (key_of(&urls[0]), key_of(&urls[1]));
    let store = RedisStore::cluster(urls)
        .connect_timeout(Duration::from_millis(200))
        .response_timeout(Duration::from_millis(300))
        .operation_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    for key in [&silent, &dead] {
        put(&store, key, "v").await.unwrap();
    }
    nodes.0[0].suspend();
    nodes.0[1].kill();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let removed = store.delete_many("c", &[&silent, &dead]).await;
    nodes.0[0].resume();
    assert!(
        matches!(removed, Err(Error::OutcomeUnknown { .. })),
        "{removed:?}"
    );
}

#[tokio::test]
async fn a_node_that_does_not_know_the_cluster_is_not_believed() {
    let stranger = node();
    let mut urls = shared();
    urls.insert(0, stranger.url());
    for _ in 0..20 {
        let store = RedisStore::cluster(&urls).retries(0).build().unwrap();
        assert_eq!(get(&store, "none").await, None);
    }
}

#[tokio::test]
async fn a_node_without_a_name_is_asked_where_the_one_before_is() {
    let nodes = Nodes::start();
    let urls = nodes.urls();
    for url in &urls {
        let nameless = [
            "CONFIG",
            "SET",
            "cluster-preferred-endpoint-type",
            "unknown-endpoint",
        ];
        run(url, &nameless);
    }
    let store = RedisStore::cluster(urls.clone()).build().unwrap();
    put(&store, "k", "before").await.unwrap();
    let slot: u16 = command(&urls[0], &["CLUSTER", "KEYSLOT", "c::k"]).unwrap();
    let owner = usize::from(slot / (SLOTS / 3)).min(2);
    let target = (owner + 1) % 3;
    let id: String = command(&urls[target], &["CLUSTER", "MYID"]).unwrap();
    let owner_id: String = command(&urls[owner], &["CLUSTER", "MYID"]).unwrap();
    let slot = slot.to_string();
    let importing = ["CLUSTER", "SETSLOT", &slot, "IMPORTING", &owner_id];
    run(&urls[target], &importing);
    let migrating = ["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id];
    run(&urls[owner], &migrating);
    let port = nodes.0[target].port().to_string();
    let migrate = ["MIGRATE", "127.0.0.1", &port, "c::k", "0", "5000"];
    run(&urls[owner], &migrate);
    assert_eq!(get(&store, "k").await, Some(value("before")));
    for url in &urls {
        run(url, &["CLUSTER", "SETSLOT", &slot, "NODE", &id]);
    }
    assert_eq!(get(&store, "k").await, Some(value("before")));
}

#[tokio::test]
async fn a_cluster_that_is_silent_is_given_up_in_time_and_used_again_when_it_is_back() {
    let nodes = Nodes::start();
    let store = RedisStore::cluster(nodes.urls())
        .connect_timeout(Duration::from_millis(200))
        .response_timeout(Duration::from_millis(300))
        .operation_timeout(Duration::from_millis(600))
        .build()
        .unwrap();
    let keys: Vec<_> = (0..9).map(|n| n.to_string()).collect();
    for key in &keys {
        put(&store, key, "v").await.unwrap();
    }
    for node in &nodes.0 {
        node.suspend();
    }
    for key in &keys {
        let start = Instant::now();
        let error = put(&store, key, "w").await.unwrap_err();
        let honest = matches!(error, Error::OutcomeUnknown { .. }) || error.is_retryable();
        assert!(honest, "{error:?}");
        let took = start.elapsed();
        assert!(took < Duration::from_millis(600) + SLACK, "{took:?}");
    }
    let start = Instant::now();
    let names: Vec<_> = keys.iter().map(String::as_str).collect();
    store.get_many("c", &names).await.unwrap_err();
    let took = start.elapsed();
    assert!(took < Duration::from_millis(600) + SLACK, "{took:?}");
    for node in &nodes.0 {
        node.resume();
    }
    // The nodes have to find each other alive first.
    until(|| nodes.0.iter().all(|node| is_whole(&node.url())));
    let back = Instant::now();
    for key in &keys {
        while put(&store, key, "x").await.is_err() {}
    }
    assert!(back.elapsed() < Duration::from_secs(1));
}

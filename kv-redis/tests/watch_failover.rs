//! What a watch tells when other servers take over.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use kv_core::Change;
use kv_redis::RedisStore;
use kv_tests::services::RedisServer;

use crate::cluster::{Nodes, node, run, until};
use crate::sentinel::{Watched, is_master};
use crate::support::{command, command_that_lasts, put};
use crate::watch::{Watcher, watched_over};

/// How long a new set of masters may go unseen.
const MASTERS_EVERY: Duration = Duration::from_secs(10);

/// Writes a record as another program does.
fn write(url: &str, key: &str) {
    command_that_lasts::<()>(url, &["SET", &format!("c::{key}"), "v"]);
}

/// Waits until the watch is of the server.
async fn comes_to(watcher: &mut Watcher, server: &RedisServer) {
    watcher.loses().await;
    loop {
        if watcher.next().await == Change::Watching && watched_over(&server.url()) == 1 {
            return;
        }
    }
}

#[tokio::test]
async fn a_watch_goes_on_at_the_master_that_takes_over_from_a_dead_one() {
    let mut watched = Watched::start().await;
    let store = watched.store();
    let mut watcher = Watcher::of(&store).await;
    put(&store, "k", "v").await.unwrap();
    watcher.told("k").await;
    watched.replicate();
    watched.master.kill();
    comes_to(&mut watcher, &watched.replica).await;
    write(&watched.replica.url(), "after");
    watcher.told("after").await;
}

#[tokio::test]
async fn a_watch_leaves_a_master_that_was_told_to_follow() {
    let watched = Watched::start().await;
    let store = watched.store();
    let mut watcher = Watcher::of(&store).await;
    put(&store, "k", "v").await.unwrap();
    watched.replicate();
    watched.fail_over().await;
    comes_to(&mut watcher, &watched.replica).await;
    assert!(is_master(&watched.replica));
    write(&watched.replica.url(), "after");
    watcher.told("after").await;
}

#[tokio::test]
async fn a_master_that_is_demoted_without_a_word_is_left() {
    let mut watched = Watched::start().await;
    let store = watched.store();
    let mut watcher = Watcher::of(&store).await;
    // No sentinel sees to it that connections end.
    watched.sentinels.iter().for_each(RedisServer::suspend);
    let port = watched.replica.port().to_string();
    run(&watched.master.url(), &["REPLICAOF", "127.0.0.1", &port]);
    let demoted = Instant::now();
    watcher.loses().await;
    let took = demoted.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
    watched.sentinels.clear();
}

#[tokio::test]
async fn every_master_of_a_cluster_tells() {
    let nodes = Nodes::start();
    let store = RedisStore::cluster(&nodes.urls()[..1]).build().unwrap();
    let mut watcher = Watcher::of(&store).await;
    let mut keys = HashSet::new();
    for n in 0..100 {
        let key = n.to_string();
        put(&store, &key, "v").await.unwrap();
        keys.insert(key);
    }
    while !keys.is_empty() {
        match watcher.next().await {
            Change::Entry { key, .. } => keys.remove(&key),
            change => panic!("{change:?}"),
        };
    }
    let flush = tokio::task::spawn_blocking(move || {
        run(&nodes.urls()[2], &["FLUSHALL"]);
        nodes
    });
    assert_eq!(watcher.next().await, Change::Watching);
    flush.await.unwrap();
}

#[tokio::test]
async fn a_master_of_a_cluster_that_is_gone_is_a_loss_until_it_is_back() {
    let mut nodes = Nodes::start();
    let store = RedisStore::cluster(nodes.urls()).build().unwrap();
    let mut watcher = Watcher::of(&store).await;
    nodes.0[1].kill();
    assert_eq!(watcher.next().await, Change::Lost);
    nodes.0[1].restart();
    assert_eq!(watcher.next().await, Change::Watching);
    put(&store, "k", "v").await.unwrap();
    watcher.told("k").await;
}

#[tokio::test]
async fn a_replica_that_takes_over_in_a_cluster_is_watched() {
    let mut nodes = Nodes::start();
    let urls = nodes.urls();
    let store = RedisStore::cluster(urls.clone()).build().unwrap();
    let replica = node();
    let port = nodes.0[0].port().to_string();
    run(&replica.url(), &["CLUSTER", "MEET", "127.0.0.1", &port]);
    let master: String = command(&urls[0], &["CLUSTER", "MYID"]).unwrap();
    let follow = ["CLUSTER", "REPLICATE", master.as_str()];
    until(|| command::<()>(&replica.url(), &follow).is_ok());
    let info = || command::<String>(&replica.url(), &["INFO", "replication"]).unwrap();
    until(|| info().contains("master_link_status:up"));
    until(|| {
        command::<String>(&urls[1], &["CLUSTER", "NODES"])
            .unwrap()
            .contains("slave")
    });
    let mut watcher = Watcher::of(&store).await;
    nodes.0[0].kill();
    comes_to(&mut watcher, &replica).await;
    assert!(is_master(&replica));
    for n in 0..30 {
        let key = n.to_string();
        put(&store, &key, "v").await.unwrap();
        watcher.told(&key).await;
    }
}

/// Returns the node that has the slot of the key `k`.
fn owner_of(urls: &[String]) -> String {
    let has = |url: &&String| command::<i64>(url, &["EXISTS", "c::k"]).is_ok();
    urls.iter().find(has).unwrap().clone()
}

#[tokio::test]
async fn a_node_that_gets_slots_is_watched_after_a_while() {
    let nodes = Nodes::start();
    let urls = nodes.urls();
    let store = RedisStore::cluster(urls.clone()).build().unwrap();
    let mut watcher = Watcher::of(&store).await;
    let joining = node();
    let port = nodes.0[0].port().to_string();
    run(&joining.url(), &["CLUSTER", "MEET", "127.0.0.1", &port]);
    let id: String = command(&joining.url(), &["CLUSTER", "MYID"]).unwrap();
    let slot: u16 = command(&urls[0], &["CLUSTER", "KEYSLOT", "c::k"]).unwrap();
    let slot = slot.to_string();
    let owner: String = command(&owner_of(&urls), &["CLUSTER", "MYID"]).unwrap();
    // A node that imports a slot is believed by the others when it has it.
    let import = ["CLUSTER", "SETSLOT", &slot, "IMPORTING", &owner];
    until(|| command::<()>(&joining.url(), &import).is_ok());
    run(&joining.url(), &["CLUSTER", "SETSLOT", &slot, "NODE", &id]);
    let given = Instant::now();
    comes_to(&mut watcher, &joining).await;
    let took = given.elapsed();
    assert!(took < MASTERS_EVERY + Duration::from_secs(3), "{took:?}");
    write(&joining.url(), "k");
    watcher.told("k").await;
}

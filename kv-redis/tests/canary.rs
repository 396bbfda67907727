//! No key, value or credential in any form in what is shown, or logged by any crate on any thread.
//! The driver logs nothing but in its own client of clusters, which this store does without.

use std::time::Duration;

use futures_util::StreamExt as _;
use kv_core::{Store, StoreExt as _};
use kv_memory::MemoryStore;
use kv_redis::{RedisStore, RedisStoreBuilder};
use kv_tests::canary::Seen;
use kv_tests::services::{RedisServer, free_port};
use tokio::time::timeout;

use crate::cluster;
use crate::proxy::{Fault, Proxy};
use crate::support::{command, hasty};

/// With characters that URLs and JSON write in another way.
const VALUE: &str = "hunter2 \"value\"/of~it";
const KEY: &str = "hunter2 \"key\"/of~it";
const USER: &str = "hunter2/user";
const PASSWORD: &str = "hunter2 \"pass/word\"";
const WRONG: &str = "hunter2-wrong";

/// What is in the URL is percent-encoded.
const LOGIN: &str = "hunter2%2Fuser:hunter2%20%22pass%2Fword%22";

async fn every_operation(builder: RedisStoreBuilder, seen: &Seen) {
    seen.add(&builder);
    let store = builder.allow_destroy().build().unwrap();
    seen.of_every_operation(&store, KEY, VALUE).await;
}

/// Fills a cache that listens to the store, and takes down what it is told.
async fn watched(builder: RedisStoreBuilder, seen: &Seen) {
    let store = builder.allow_destroy().build().unwrap();
    let mut watch = store.watch("").unwrap();
    let cached = store.clone().cached(MemoryStore::new()).traced();
    for store in [&cached as &dyn Store, &store] {
        seen.of_every_operation(store, KEY, VALUE).await;
    }
    while let Ok(Some(change)) = timeout(Duration::from_millis(300), watch.next()).await {
        seen.add(&change);
    }
}

#[tokio::test]
async fn no_secret_is_shown_or_logged_by_any_crate_while_redis_works_and_fails() {
    let seen = Seen::everywhere();
    let server = RedisServer::start(&[]);
    let rule = format!(">{PASSWORD}");
    let rules = ["ACL", "SETUSER", USER, "on", &rule, "~*", "&*", "+@all"];
    command::<()>(&server.url(), &rules).unwrap();
    let proxy = Proxy::start(server.port()).await;
    let url = proxy.url().replace("://", &format!("://{LOGIN}@"));

    every_operation(hasty(&url), &seen).await;
    every_operation(hasty(proxy.url()).username(USER).password(PASSWORD), &seen).await;
    watched(hasty(&url), &seen).await;
    for fault in [
        Fault::CutRequest,
        Fault::DropReply,
        Fault::TruncateReply,
        Fault::Swallow,
    ] {
        // On a connection that is there, and on one that is to be made.
        let store = hasty(&url).allow_destroy().build().unwrap();
        seen.check(store.get("c", KEY).await);
        proxy.always(fault);
        seen.of_every_operation(&store, KEY, VALUE).await;
        every_operation(hasty(&url), &seen).await;
        proxy.always(None);
    }
    every_operation(hasty(&url).password(WRONG), &seen).await;
    every_operation(hasty(&url).username(WRONG), &seen).await;
    let nobody = format!("redis://{LOGIN}@127.0.0.1:{}", free_port());
    every_operation(hasty(&nobody), &seen).await;
    // Nor does a server of another kind make them say more.
    every_operation(RedisStore::cluster([&url]), &seen).await;
    every_operation(RedisStore::cluster([&nobody]), &seen).await;
    every_operation(RedisStore::sentinel([&url], "m"), &seen).await;
    every_operation(RedisStore::sentinel([&nobody], "m"), &seen).await;
    // It may no longer run scripts, nor take.
    let less = ["ACL", "SETUSER", USER, "-@scripting", "-getdel", "-set"];
    command::<()>(&server.url(), &less).unwrap();
    every_operation(hasty(&url), &seen).await;

    seen.assert_free_of(
        &["hunter2", VALUE, KEY, USER, PASSWORD, WRONG],
        &["authenticate", "has no permission for", "OutcomeUnknown"],
    );
}

#[tokio::test]
async fn no_secret_is_shown_or_logged_by_any_crate_over_a_cluster() {
    let seen = Seen::everywhere();
    let urls = cluster::shared();
    let store = RedisStore::cluster(&urls).build().unwrap();
    for _ in 0..2 {
        // Not `destroy`, which this store refuses: others use the cluster too.
        seen.of_every_operation(&store, KEY, VALUE).await;
    }
    let wrong = RedisStore::cluster(&urls).username(USER).password(PASSWORD);
    let wrong = wrong.build().unwrap();
    seen.of_every_operation(&wrong, KEY, VALUE).await;
    seen.assert_free_of(&["hunter2", VALUE, KEY, USER, PASSWORD], &["authenticate"]);
}

//! The suite that every backend runs, on one server and on a cluster.

use std::sync::Arc;

use kv_core::conformance::Fixture;
use kv_core::name::{MAX_COLLECTION_BYTES, MAX_KEY_BYTES};
use kv_core::wrappers::{Cached, PrefixCollections};
use kv_core::{ManualClock, Store, StoreExt as _};
use kv_memory::MemoryStore;
use kv_redis::{RedisStore, RedisStoreBuilder};

use crate::support::{ask, server};

/// Makes a record one that cannot be read.
fn spoil(url: &str, collection: &str, key: &str) {
    let name = format!("{collection}::{key}");
    let mut spoiling = redis::cmd("SET");
    spoiling.arg(&name).arg("{\"value\":");
    ask::<()>(url, &spoiling).unwrap();
}

/// Makes a record a key of another type than a string.
fn spoil_type(url: &str, collection: &str, key: &str) {
    let name = format!("{collection}::{key}");
    ask::<()>(url, redis::cmd("DEL").arg(&name)).unwrap();
    ask::<()>(url, redis::cmd("RPUSH").arg(&name).arg("item")).unwrap();
}

fn fixture(
    clock: Arc<ManualClock>,
    set_up: impl FnOnce(RedisStoreBuilder) -> RedisStoreBuilder,
) -> (Fixture<RedisStore>, String) {
    let server = server();
    let url = server.url();
    let builder = RedisStore::builder(&url).clock(clock);
    let store = set_up(builder).build().unwrap();
    (Fixture::with_guard(store, server), url)
}

/// Makes a store in a collection prefix that nobody else uses.
fn alone(builder: RedisStoreBuilder) -> Fixture<PrefixCollections<RedisStore>> {
    let prefix = format!("alone-{:016x}", fastrand::u64(..));
    let longest = MAX_COLLECTION_BYTES - prefix.len() - "__".len();
    let store = builder.allow_destroy().build().unwrap();
    Fixture::new(PrefixCollections::new(store, &prefix).unwrap())
        .with_longest_names(longest, MAX_KEY_BYTES)
}

mod server {
    use super::*;

    async fn make(clock: Arc<ManualClock>) -> Fixture<RedisStore> {
        fixture(clock, RedisStoreBuilder::allow_destroy).0
    }

    kv_core::conformance_tests!(make);
}

/// With copies in memory, and changes told by the server.
mod cached {
    use super::*;

    async fn make(clock: Arc<ManualClock>) -> Fixture<Cached<RedisStore, MemoryStore>> {
        let local = MemoryStore::builder().clock(Arc::clone(&clock)).build();
        let fixture = fixture(clock, RedisStoreBuilder::allow_destroy).0;
        fixture.map(|store| store.cached(local))
    }

    kv_core::conformance_tests!(make);
}

mod undecodable {
    use super::*;

    async fn make(clock: Arc<ManualClock>) -> Fixture<RedisStore> {
        let (fixture, url) = fixture(clock, |builder| builder);
        fixture.with_spoiler(move |collection, key| {
            spoil(&url, &collection, &key);
            async {}
        })
    }

    kv_core::undecodable_tests!(make);
}

mod other_type {
    use super::*;

    async fn make(clock: Arc<ManualClock>) -> Fixture<RedisStore> {
        let (fixture, url) = fixture(clock, |builder| builder);
        fixture.with_spoiler(move |collection, key| {
            spoil_type(&url, &collection, &key);
            async {}
        })
    }

    kv_core::undecodable_tests!(make);
}

/// On the server that all tests of a run share, behind `dyn`.
mod shared_server {
    use super::*;
    use kv_tests::services;

    async fn make(clock: Arc<ManualClock>) -> Fixture<Arc<dyn Store>> {
        let store = RedisStore::builder(services::redis().await).clock(clock);
        Fixture::new(Arc::new(store.build().unwrap()))
    }

    async fn make_alone(clock: Arc<ManualClock>) -> Fixture<PrefixCollections<RedisStore>> {
        let store = RedisStore::builder(services::redis().await).clock(clock);
        alone(store)
    }

    kv_core::conformance_tests!(make, alone = make_alone);
}

mod cluster {
    use super::*;
    use crate::cluster::shared;

    async fn make(clock: Arc<ManualClock>) -> Fixture<RedisStore> {
        let store = RedisStore::cluster(shared()).clock(clock);
        Fixture::new(store.build().unwrap())
    }

    async fn make_alone(clock: Arc<ManualClock>) -> Fixture<PrefixCollections<RedisStore>> {
        alone(RedisStore::cluster(shared()).clock(clock))
    }

    kv_core::conformance_tests!(make, alone = make_alone);

    mod undecodable {
        use super::*;

        async fn make(clock: Arc<ManualClock>) -> Fixture<RedisStore> {
            let store = RedisStore::cluster(shared()).clock(clock);
            let nodes = shared();
            Fixture::new(store.build().unwrap()).with_spoiler(move |collection, key| {
                let name = format!("{collection}::{key}");
                for url in &nodes {
                    // The two nodes that the key is not on say so.
                    let _ = ask::<()>(url, redis::cmd("DEL").arg(&name));
                    let _ = ask::<()>(url, redis::cmd("RPUSH").arg(&name).arg("item"));
                }
                async {}
            })
        }

        kv_core::undecodable_tests!(make);
    }
}

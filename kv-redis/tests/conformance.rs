//! The suite that every backend runs, on one server and on a cluster.

use std::sync::Arc;

use kv_core::conformance::Fixture;
use kv_core::wrappers::PrefixCollections;
use kv_core::{ManualClock, Store};
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

mod server {
    use super::*;

    async fn make(clock: Arc<ManualClock>) -> Fixture<RedisStore> {
        fixture(clock, RedisStoreBuilder::allow_destroy).0
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

mod wrapped {
    use super::*;

    async fn make(clock: Arc<ManualClock>) -> Fixture<Arc<dyn Store>> {
        let (fixture, _) = fixture(clock, RedisStoreBuilder::allow_destroy);
        fixture.map(|store| Arc::new(store) as Arc<dyn Store>)
    }

    kv_core::conformance_tests!(make);
}

mod cluster {
    use super::*;
    use crate::cluster::shared;

    async fn make(clock: Arc<ManualClock>) -> Fixture<RedisStore> {
        let store = RedisStore::cluster(shared()).clock(clock);
        Fixture::new(store.build().unwrap())
    }

    /// In a collection prefix that nobody else uses.
    async fn make_alone(clock: Arc<ManualClock>) -> Fixture<PrefixCollections<RedisStore>> {
        let prefix = format!("alone-{:016x}", fastrand::u64(..));
        let longest = kv_core::name::MAX_COLLECTION_BYTES - prefix.len() - 2;
        let store = RedisStore::cluster(shared()).clock(clock).allow_destroy();
        Fixture::new(PrefixCollections::new(store.build().unwrap(), &prefix).unwrap())
            .with_longest_names(longest, kv_core::name::MAX_KEY_BYTES)
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

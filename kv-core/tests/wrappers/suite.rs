//! Every wrapper that writes keeps the whole contract with neutral options.

use std::sync::Arc;
use std::time::Duration;

use kv_core::conformance::{Fault, FaultStore, Fixture};
use kv_core::wrappers::Operation;
use kv_core::{Error, ManualClock, Store, StoreExt, name, wrappers};

use crate::support::{ReferenceStore, make_spoilable};

const NEUTRAL: Duration = Duration::MAX;

type Reference = Arc<ReferenceStore>;

/// Spoils records whose stored names begin with these texts.
fn spoiler(
    store: &Reference,
    collection_prefix: &'static str,
    key_prefix: &'static str,
) -> impl Fn(String, String) -> std::future::Ready<()> + Send + Sync + 'static {
    let store = Arc::clone(store);
    move |collection, key| {
        let collection = format!("{collection_prefix}{collection}");
        store.spoil(&collection, &format!("{key_prefix}{key}"));
        std::future::ready(())
    }
}

mod prefix_keys {
    use super::*;

    const LONGEST_KEY: usize = name::MAX_KEY_BYTES - "p__".len();

    async fn make_prefixed(clock: Arc<ManualClock>) -> Fixture<wrappers::PrefixKeys<Reference>> {
        let fixture = make_spoilable(clock).await;
        let spoiler = spoiler(&fixture, "", "p__");
        let fixture = fixture.map(|store| store.prefixed_keys("p").unwrap());
        let fixture = fixture.with_longest_names(name::MAX_COLLECTION_BYTES, LONGEST_KEY);
        fixture.with_spoiler(spoiler)
    }

    kv_core::conformance_tests!(make_prefixed);
    kv_core::undecodable_tests!(make_prefixed);
}

mod prefix_collections {
    use super::*;

    const LONGEST_COLLECTION: usize = name::MAX_COLLECTION_BYTES - "p__".len();

    async fn make_prefixed(
        clock: Arc<ManualClock>,
    ) -> Fixture<wrappers::PrefixCollections<Reference>> {
        let fixture = make_spoilable(clock).await;
        let spoiler = spoiler(&fixture, "p__", "");
        let fixture = fixture.map(|store| store.prefixed("p").unwrap());
        let fixture = fixture.with_longest_names(LONGEST_COLLECTION, name::MAX_KEY_BYTES);
        fixture.with_spoiler(spoiler)
    }

    kv_core::conformance_tests!(make_prefixed);
    kv_core::undecodable_tests!(make_prefixed);
}

/// With the separator that no collection holds; the suite's collections hold the usual one.
mod single_collection {
    use super::*;

    const SEPARATOR: &str = "::";
    /// What the suite's collections and keys leave each other of a stored key.
    const LONGEST_COLLECTION: usize = name::MAX_KEY_BYTES - SEPARATOR.len() - "k".len();
    const LONGEST_KEY: usize = 900;

    async fn make_single(
        clock: Arc<ManualClock>,
    ) -> Fixture<wrappers::SingleCollection<Reference>> {
        let fixture = make_spoilable(clock).await;
        let store = Arc::clone(&fixture);
        let fixture = fixture.map(|store| {
            let store = store.single_collection("all").unwrap();
            store.with_separator(SEPARATOR).unwrap()
        });
        let fixture = fixture.with_longest_names(LONGEST_COLLECTION, LONGEST_KEY);
        fixture.with_spoiler(move |collection, key| {
            store.spoil("all", &format!("{collection}{SEPARATOR}{key}"));
            std::future::ready(())
        })
    }

    kv_core::conformance_tests!(make_single);
    kv_core::undecodable_tests!(make_single);
}

mod limit_size {
    use super::*;

    async fn make_limited(clock: Arc<ManualClock>) -> Fixture<wrappers::LimitSize<Reference>> {
        make_spoilable(clock)
            .await
            .map(|store| store.limit_size(u64::MAX))
    }

    kv_core::conformance_tests!(make_limited);
    kv_core::undecodable_tests!(make_limited);
}

mod compressed {
    use super::*;

    const MAX: u64 = 1 << 20;

    /// Not neutral: everything is compressed that gains by it.
    async fn make_compressed(clock: Arc<ManualClock>) -> Fixture<wrappers::Compressed<Reference>> {
        make_spoilable(clock).await.map(|store| {
            let store = store.compressed().with_min_size(0);
            store.with_max_value_bytes(MAX)
        })
    }

    kv_core::conformance_tests!(make_compressed);
    kv_core::undecodable_tests!(make_compressed);
}

mod ttl_clamp {
    use super::*;

    async fn make_clamped(clock: Arc<ManualClock>) -> Fixture<wrappers::TtlClamp<Reference>> {
        let fixture = make_spoilable(clock).await;
        fixture.map(|store| store.clamp_ttl(Duration::ZERO, NEUTRAL).unwrap())
    }

    kv_core::conformance_tests!(make_clamped);
    kv_core::undecodable_tests!(make_clamped);
}

mod timeout {
    use super::*;

    async fn make_timed(clock: Arc<ManualClock>) -> Fixture<wrappers::Timeout<Reference>> {
        make_spoilable(clock)
            .await
            .map(|store| store.timeout(NEUTRAL))
    }

    kv_core::conformance_tests!(make_timed);
    kv_core::undecodable_tests!(make_timed);
}

mod fallback {
    use super::*;

    /// All but `cull` and `flush`, which concern both stores.
    const ENTRIES_AND_LISTINGS: [Operation; 12] = [
        Operation::Get,
        Operation::GetFresh,
        Operation::Put,
        Operation::Delete,
        Operation::Take,
        Operation::GetMany,
        Operation::PutMany,
        Operation::DeleteMany,
        Operation::Keys,
        Operation::Collections,
        Operation::Clear,
        Operation::Destroy,
    ];

    /// The primary answers everything.
    async fn make_by_primary(clock: Arc<ManualClock>) -> Fixture<impl Store> {
        make_spoilable(clock).await.map(|store| {
            let unused = FaultStore::new(Arc::clone(&store));
            unused.inject(Fault::refuse(Error::Overflow).always());
            store.fallback(unused)
        })
    }

    /// The primary answers nothing.
    async fn make_by_fallback(clock: Arc<ManualClock>) -> Fixture<impl Store> {
        make_spoilable(clock).await.map(|store| {
            let gone = FaultStore::new(Arc::clone(&store));
            for operation in ENTRIES_AND_LISTINGS {
                gone.inject(Fault::unavailable().on(operation).always());
            }
            gone.fallback(store).with_write_to_fallback(true)
        })
    }

    mod by_primary {
        kv_core::conformance_tests!(super::make_by_primary);
        kv_core::undecodable_tests!(super::make_by_primary);
    }

    mod by_fallback {
        kv_core::conformance_tests!(super::make_by_fallback);
        kv_core::undecodable_tests!(super::make_by_fallback);
    }
}

mod retry {
    use super::*;

    async fn make_patient(clock: Arc<ManualClock>) -> Fixture<wrappers::Retry<Reference>> {
        make_spoilable(clock).await.map(StoreExt::retry)
    }

    kv_core::conformance_tests!(make_patient);
    kv_core::undecodable_tests!(make_patient);
}

/// Over a store of which each third call fails.
mod retry_over_faults {
    use super::*;

    async fn make_patient(clock: Arc<ManualClock>) -> Fixture<impl Store> {
        make_spoilable(clock).await.map(|store| {
            let store = FaultStore::new(store);
            store.inject(Fault::unavailable().every(3));
            patient(store)
        })
    }

    /// Bulk writes are applied in part.
    async fn make_patient_by_singles(clock: Arc<ManualClock>) -> Fixture<impl Store> {
        make_spoilable(clock).await.map(|store| {
            let store = FaultStore::new(store);
            store.inject(Fault::unavailable().on(Operation::Put).every(3));
            store.inject(Fault::unavailable().on(Operation::Get).every(3));
            patient(store.without_bulk())
        })
    }

    fn patient<S: Store>(store: S) -> wrappers::Retry<S> {
        let store = store.retry().with_initial_delay(Duration::ZERO);
        store.with_max_retries(u32::MAX)
    }

    mod with_bulk {
        kv_core::conformance_tests!(super::make_patient);
        kv_core::undecodable_tests!(super::make_patient);
    }

    mod bulk_by_singles {
        kv_core::conformance_tests!(super::make_patient_by_singles);
    }
}

/// Half of the collections go to each of two stores.
mod routing {
    use super::*;

    async fn make_routing(clock: Arc<ManualClock>) -> Fixture<wrappers::Routing<Reference>> {
        let other = Arc::new(ReferenceStore::new(Arc::clone(&clock)));
        let fixture = make_spoilable(clock).await;
        let stores = [Arc::clone(&fixture), Arc::clone(&other)];
        let fixture = fixture.map(|store| store.routing().with_rule(goes_to_other, other));
        fixture.with_spoiler(move |collection, key| {
            stores[usize::from(goes_to_other(&collection))].spoil(&collection, &key);
            std::future::ready(())
        })
    }

    fn goes_to_other(collection: &str) -> bool {
        collection.bytes().fold(0, |sum, byte| sum ^ byte) % 2 == 1
    }

    kv_core::conformance_tests!(make_routing);
    kv_core::undecodable_tests!(make_routing);
}

mod single_flight {
    use super::*;

    async fn make_shared(clock: Arc<ManualClock>) -> Fixture<wrappers::SingleFlight<Reference>> {
        make_spoilable(clock).await.map(StoreExt::single_flight)
    }

    kv_core::conformance_tests!(make_shared);
    kv_core::undecodable_tests!(make_shared);
}

mod stats {
    use super::*;

    async fn make_counted(clock: Arc<ManualClock>) -> Fixture<wrappers::Stats<Reference>> {
        make_spoilable(clock).await.map(StoreExt::stats)
    }

    kv_core::conformance_tests!(make_counted);
    kv_core::undecodable_tests!(make_counted);
}

mod traced {
    use super::*;

    async fn make_traced(clock: Arc<ManualClock>) -> Fixture<wrappers::Traced<Reference>> {
        make_spoilable(clock).await.map(StoreExt::traced)
    }

    kv_core::conformance_tests!(make_traced);
    kv_core::undecodable_tests!(make_traced);
}

mod all_of_them {
    use super::*;

    async fn make_all(clock: Arc<ManualClock>) -> Fixture<impl Store> {
        let fixture = make_spoilable(clock).await;
        let spoiler = spoiler(&fixture, "c__", "k__");
        let fixture = fixture.map(|store| {
            let store = store.single_flight().timeout(NEUTRAL).limit_size(u64::MAX);
            let store = store.stats().traced().compressed().with_min_size(u64::MAX);
            let store = store.with_max_value_bytes(u64::MAX);
            let store = store.clamp_ttl(Duration::ZERO, NEUTRAL).unwrap();
            store.prefixed_keys("k").unwrap().prefixed("c").unwrap()
        });
        let longest_collection = name::MAX_COLLECTION_BYTES - "c__".len();
        let longest_key = name::MAX_KEY_BYTES - "k__".len();
        let fixture = fixture.with_longest_names(longest_collection, longest_key);
        fixture.with_spoiler(spoiler)
    }

    kv_core::conformance_tests!(make_all);
    kv_core::undecodable_tests!(make_all);
}

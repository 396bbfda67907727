//! No value, key of encryption or record key in what is shown or logged, through all wrappers and
//! over the stores of this machine. The stores in a network have tests of their own.

use std::sync::Arc;
use std::time::Duration;

use kv_core::conformance::{Fault, FaultStore};
use kv_core::wrappers::TtlClamp;
use kv_core::{Entry, PutMode, Store, StoreExt as _, Value};
use kv_disk::DiskStore;
use kv_encryption::{FernetKey, FernetStore, Format, KeyRing};
use kv_memory::MemoryStore;
use kv_tests::canary::Seen;
use tracing::Level;

use crate::support::{NEW, OLD, key, ring};

/// Also long enough that its base64 and hex cannot turn up by chance.
const VALUE: &str = "hunter2-value";
const KEY: &str = "hunter2-key";
const MATERIAL: &str = "hunter2-material";

fn secret_entry() -> Entry {
    Entry::new(Value::from_json(format!(r#"{{"a":"{VALUE}"}}"#)).unwrap())
}

/// Every operation through every wrapper, over a store that works and then fails.
async fn through_the_wrappers(inside: impl Store + Clone, seen: &Seen) {
    let faults = FaultStore::new(inside.clone());
    let ring = ring(OLD).with_retired(FernetKey::derive(MATERIAL, MATERIAL).unwrap());
    seen.add(&ring);
    let inner = FernetStore::new(Arc::new(faults.clone()), ring.clone());
    let retry = inner.clone().retry().with_max_retries(1);
    let full = retry
        .with_initial_delay(Duration::ZERO)
        .compressed()
        .with_min_size(0)
        .stats()
        .traced()
        .with_level(Level::TRACE)
        .fallback(MemoryStore::new())
        .traced();
    let stores: [Box<dyn Store>; 7] = [
        Box::new(full),
        Box::new(inner.clone().with_format(Format::PythonCompatible)),
        Box::new(faults.clone().limit_size(3)),
        Box::new(
            faults
                .clone()
                .routing()
                .with_route(["c"], faults.clone())
                .traced(),
        ),
        Box::new(faults.clone().single_collection("all").unwrap().read_only()),
        Box::new(bounded(&inner)),
        Box::new(cached(&faults)),
    ];
    for store in &stores {
        faults.heal();
        seen.of_every_operation(&**store, KEY, VALUE).await;
        for fault in [Fault::unavailable(), Fault::outcome_unknown()] {
            faults.inject(fault);
            seen.of_every_operation(&**store, KEY, VALUE).await;
            faults.heal();
        }
    }
    undecryptable(&inside, inner, seen).await;
    rotation(&inside, &faults, seen).await;
}

fn bounded(store: &(impl Store + Clone)) -> impl Store {
    let limits = (Duration::from_secs(1), Duration::from_secs(60));
    let clamped = TtlClamp::new(store.clone(), limits.0, limits.1).unwrap();
    let prefixed = clamped.prefixed("hunter2").unwrap();
    prefixed
        .prefixed_keys("hunter2")
        .unwrap()
        .default_value(secret_entry().value)
        .timeout(Duration::from_secs(20))
        .traced()
}

fn cached(store: &(impl Store + Clone)) -> impl Store {
    let cached = store.clone().single_flight().cached(MemoryStore::new());
    cached
        .with_negative_ttl(Duration::from_secs(1))
        .with_stale_while_revalidate(Duration::from_secs(1))
        .traced()
}

/// Encrypts anew what can be read and what cannot, in a store that works and then fails.
async fn rotation(inside: &impl Store, faults: &(impl Store + Clone), seen: &Seen) {
    let old = FernetStore::new(Arc::new(faults.clone()), ring(OLD));
    let new = FernetStore::new(Arc::new(faults.clone()), ring(NEW).with_retired(key(OLD)));
    let put = old.put("c", KEY, secret_entry(), PutMode::Overwrite);
    put.await.unwrap();
    let put = inside.put("c", "hunter2-key-2", secret_entry(), PutMode::Overwrite);
    put.await.unwrap();
    for store in [&new, &old] {
        let rotation = store.rotate(|progress| seen.add(progress)).await.unwrap();
        assert!(rotation.failed > 0, "{rotation:?}");
        for failure in &rotation.failures {
            seen.check(Err::<(), _>(failure.error.clone()));
        }
        seen.add(&rotation);
    }
    inside.clear("c").await.unwrap();
}

/// Reads what was planted: plaintext, a record that was moved, of another key, and broken ones.
async fn undecryptable<S: Store>(inside: &dyn Store, store: FernetStore<S>, seen: &Seen) {
    let put = store.put("c", KEY, secret_entry(), PutMode::Overwrite);
    put.await.unwrap();
    let sealed = inside.get("c", KEY).await.unwrap().unwrap();
    let broken = |text: String| Entry::new(Value::from_json(text).unwrap());
    let mut flipped = String::from_utf8(sealed.value.as_bytes().to_vec()).unwrap();
    let place = flipped.find(":\"").unwrap() + 70;
    let other = if &flipped[place..=place] == "A" {
        "B"
    } else {
        "A"
    };
    flipped.replace_range(place..=place, other);
    let planted = [
        secret_entry(),
        broken(flipped),
        sealed.with_revision(None),
        broken(format!(
            r#"{{"__encrypted_data__":"{VALUE}","__encryption_version__":1}}"#
        )),
        broken(format!(r#"{{"__encrypted_data__":{{"a":"{VALUE}"}}}}"#)),
        broken(format!(r#"{{"__compressed_data__":"{VALUE}"}}"#)),
    ];
    for entry in planted {
        let put = inside.put("c", "hunter2-key-2", entry, PutMode::Overwrite);
        put.await.unwrap();
        assert!(seen.check(store.get("c", "hunter2-key-2").await).is_none());
    }
}

#[tokio::test]
async fn errors_debug_and_logs_hold_no_secret() {
    let seen = Seen::everywhere();
    through_the_wrappers(MemoryStore::new(), &seen).await;
    let directory = tempfile::tempdir().unwrap();
    let disk = DiskStore::new(directory.path().join("db")).unwrap();
    through_the_wrappers(disk, &seen).await;
    for text in [MATERIAL, "", &NEW[1..]] {
        seen.add(&FernetKey::from_base64(text).unwrap_err());
    }
    seen.add(&(key(NEW), KeyRing::new(key(NEW))));

    let raw = "0123456789abcdef0123456789abcdef";
    seen.assert_free_of(
        &[VALUE, KEY, MATERIAL, OLD, NEW, raw],
        &[
            "kv_core::wrappers::traced",
            "it is not authentic",
            "it was moved",
            "it is not encrypted",
        ],
    );
}

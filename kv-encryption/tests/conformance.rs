//! The encrypting store keeps the contract in both formats.

use std::sync::Arc;

use kv_core::conformance::Fixture;
use kv_core::{Entry, ManualClock};
use kv_encryption::{FernetStore, Format};
use kv_memory::MemoryStore;

use crate::support::{OLD, put_entry, ring, value};

#[allow(clippy::unused_async, reason = "the suite awaits its maker")]
async fn make(format: Format, clock: Arc<ManualClock>) -> Fixture<FernetStore<MemoryStore>> {
    let inside = MemoryStore::builder().clock(clock).build();
    let store = FernetStore::new(inside.clone(), ring(OLD)).with_format(format);
    Fixture::new(store).with_spoiler(move |collection, key| {
        let inside = inside.clone();
        async move {
            let plaintext = Entry::new(value(r#"{"planted":true}"#));
            put_entry(&inside, &collection, &key, plaintext).await;
        }
    })
}

mod bound {
    use super::*;

    async fn make(clock: Arc<ManualClock>) -> Fixture<FernetStore<MemoryStore>> {
        super::make(Format::Bound, clock).await
    }

    kv_core::conformance_tests!(make);
    kv_core::undecodable_tests!(make);
}

mod python_compatible {
    use super::*;

    async fn make(clock: Arc<ManualClock>) -> Fixture<FernetStore<MemoryStore>> {
        super::make(Format::PythonCompatible, clock).await
    }

    kv_core::conformance_tests!(make);
    kv_core::undecodable_tests!(make);
}

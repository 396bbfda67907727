//! The suite that every backend runs, in each of the three ways to write.

use std::sync::Arc;
use std::time::Duration;

use kv_core::ManualClock;
use kv_core::conformance::Fixture;
use kv_disk::{DiskStore, DiskStoreBuilder, Durability};

fn fixture(
    clock: Arc<ManualClock>,
    set_up: impl FnOnce(DiskStoreBuilder) -> DiskStoreBuilder,
) -> Fixture<DiskStore> {
    let folder = tempfile::tempdir().unwrap();
    let builder = DiskStore::builder(folder.path().join("store")).clock(clock);
    Fixture::with_guard(set_up(builder).build().unwrap(), folder)
}

mod exclusive {
    use super::*;

    async fn make(clock: Arc<ManualClock>) -> Fixture<DiskStore> {
        fixture(clock, |builder| builder)
    }

    kv_core::conformance_tests!(make);
}

mod shared {
    use super::*;

    async fn make(clock: Arc<ManualClock>) -> Fixture<DiskStore> {
        fixture(clock, DiskStoreBuilder::shared)
    }

    kv_core::conformance_tests!(make);
}

mod interval {
    use super::*;

    async fn make(clock: Arc<ManualClock>) -> Fixture<DiskStore> {
        let interval = Durability::Interval(Duration::from_millis(20));
        fixture(clock, |builder| builder.durability(interval))
    }

    kv_core::conformance_tests!(make);
}

//! The memory store keeps the contract, bare and behind `Arc<dyn Store>` and `Box<dyn Store>`.

mod bare {
    use crate::support::make;

    kv_core::conformance_tests!(make);
}

mod behind_arc {
    use std::sync::Arc;

    use kv_core::conformance::Fixture;
    use kv_core::{ManualClock, Store};

    async fn make(clock: Arc<ManualClock>) -> Fixture<Arc<dyn Store>> {
        let fixture = crate::support::make(clock).await;
        fixture.map(|store| Arc::new(store) as Arc<dyn Store>)
    }

    kv_core::conformance_tests!(make);
}

mod behind_box {
    use std::sync::Arc;

    use kv_core::conformance::Fixture;
    use kv_core::{ManualClock, Store};

    async fn make(clock: Arc<ManualClock>) -> Fixture<Box<dyn Store>> {
        let fixture = crate::support::make(clock).await;
        fixture.map(|store| Box::new(store) as Box<dyn Store>)
    }

    kv_core::conformance_tests!(make);
}

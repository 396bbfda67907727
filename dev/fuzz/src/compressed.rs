use kv_core::wrappers::Compressed;
use kv_core::{Entry, PutMode, Store as _, Value};
use kv_memory::MemoryStore;

const MAX_BYTES: u64 = 4096;

/// Plants `data` where compressed values are, and stores it as a value: what comes out is within
/// the limit, or what was stored.
pub fn compressed(data: &[u8]) {
    let Ok(value) = Value::from_json(data.to_vec()) else {
        return;
    };
    crate::block_on(async {
        let inside = MemoryStore::new();
        let store = Compressed::new(inside.clone())
            .with_max_value_bytes(MAX_BYTES)
            .with_min_size(0);
        let entry = Entry::new(value.clone());
        inside
            .put("c", "k", entry.clone(), PutMode::Overwrite)
            .await
            .expect("memory takes it");
        if let Ok(Some(found)) = store.get("c", "k").await {
            let found = found.value;
            assert!(
                found == value || found.len() as u64 <= MAX_BYTES,
                "it is over the limit"
            );
        }
        if store.put("c", "k", entry, PutMode::Overwrite).await.is_ok() {
            let found = store
                .get("c", "k")
                .await
                .expect("it was written")
                .expect("it is there");
            assert!(found.value == value, "another value comes back");
        }
    });
}

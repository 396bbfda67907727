use kv_core::wrappers::Compressed;
use kv_core::{Entry, PutMode, Store as _, Value};
use kv_memory::MemoryStore;

const MAX_BYTES: u64 = 4096;

/// Plants `data` where compressed values are, and stores it as a value: what comes out is within
/// the limit, and what was stored, or what that is a record of.
pub fn compressed(data: &[u8]) {
    let Ok(value) = Value::from_json(data.to_vec()) else {
        return;
    };
    crate::block_on(async {
        let inside = MemoryStore::new();
        let store = Compressed::new(inside.clone());
        let store = store.with_max_value_bytes(MAX_BYTES).with_min_size(0);
        let entry = Entry::new(value.clone());
        let planted = inside.put("c", "k", entry.clone(), PutMode::Overwrite);
        planted.await.expect("memory takes it");
        let planted = store.get("c", "k").await;
        let planted = planted.map(|found| found.expect("it is there").value).ok();
        if let Some(found) = &planted {
            let is_within = found.len() as u64 <= MAX_BYTES;
            assert!(is_within || *found == value, "it is over the limit");
        }
        if store.put("c", "k", entry, PutMode::Overwrite).await.is_ok() {
            let found = store.get("c", "k").await.expect("it was written");
            let found = found.expect("it is there").value;
            assert_eq!(found, planted.unwrap_or(value), "another value comes back");
        }
    });
}

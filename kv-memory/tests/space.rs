//! The memory of what is no longer stored comes back, also when nobody uses the store any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use kv_core::{Entry, PutMode, Store, Value};
use kv_memory::MemoryStore;

const MEBIBYTE: usize = 1 << 20;

/// The bytes of a value, counted while they are in memory.
struct Counted {
    bytes: Vec<u8>,
    live: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Puts a value of one mebibyte.
async fn put(store: &MemoryStore, key: &str, live: &Arc<AtomicUsize>) {
    live.fetch_add(1, Ordering::SeqCst);
    let value = Value::from_stored(Bytes::from_owner(Counted {
        bytes: vec![b' '; MEBIBYTE],
        live: Arc::clone(live),
    }));
    let put = store.put("space", key, Entry::new(value), PutMode::Overwrite);
    put.await.unwrap();
}

#[tokio::test]
async fn deleted_values_do_not_wait_for_the_next_call() {
    let (store, live) = (MemoryStore::new(), Arc::default());
    for number in 0..60 {
        let key = number.to_string();
        put(&store, &key, &live).await;
        assert!(store.delete("space", &key).await.unwrap());
    }
    assert!(live.load(Ordering::SeqCst) < 2, "{live:?} are in memory");
}

#[tokio::test]
async fn values_deleted_together_do_not_wait_for_the_next_call() {
    for how in ["delete_many", "clear", "destroy", "take"] {
        let (store, live) = (MemoryStore::new(), Arc::default());
        let keys: Vec<_> = (0..30).map(|number| number.to_string()).collect();
        for key in &keys {
            put(&store, key, &live).await;
        }
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        match how {
            "delete_many" => drop(store.delete_many("space", &keys).await.unwrap()),
            "clear" => assert_eq!(store.clear("space").await.unwrap(), 30),
            "destroy" => store.destroy().await.unwrap(),
            _ => {
                for key in keys {
                    assert!(store.take("space", key).await.unwrap().is_some());
                }
            }
        }
        let live = live.load(Ordering::SeqCst);
        assert!(live < 2, "{live} are in memory after {how}");
    }
}

#[tokio::test]
async fn replaced_values_do_not_wait_for_the_next_call() {
    let (store, live) = (MemoryStore::new(), Arc::default());
    for _ in 0..60 {
        put(&store, "key", &live).await;
    }
    assert!(live.load(Ordering::SeqCst) < 3, "{live:?} are in memory");
}

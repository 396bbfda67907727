//! The wrappers: each keeps the contract with neutral options, and does what it is for.

mod cached;
mod compressed;
mod default_value;
mod fallback;
mod limit_size;
mod prefix;
mod read_only;
mod retry;
mod routing;
mod single_collection;
mod single_flight;
mod stats;
mod suite;
mod timeout;
mod traced;
mod ttl_clamp;

use kv_core::{Entry, PutMode, Store, Value};
use serde_json::json;

/// An entry without an expiry that holds a number.
fn entry(n: u64) -> Entry {
    Entry::new(Value::encode(&json!({ "n": n })).unwrap())
}

/// Puts [`entry`] whatever is there.
async fn put(store: &dyn Store, collection: &str, key: &str, n: u64) {
    let put = store.put(collection, key, entry(n), PutMode::Overwrite);
    put.await.unwrap();
}

/// The number in the live entry of `key`.
async fn number(store: &dyn Store, collection: &str, key: &str) -> Option<u64> {
    let entry = store.get(collection, key).await.unwrap()?;
    let value: serde_json::Value = entry.value.decode().unwrap();
    value["n"].as_u64()
}

//! What the tests share.

use kv_core::{Entry, Error, PutMode, Result, Store, Value};
use kv_encryption::{FernetKey, FernetStore, KeyRing};
use kv_memory::MemoryStore;

pub(crate) const OLD: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
pub(crate) const NEW: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub(crate) fn key(text: &str) -> FernetKey {
    FernetKey::from_base64(text).unwrap()
}

pub(crate) fn ring(primary: &str) -> KeyRing {
    KeyRing::new(key(primary))
}

/// An encrypting store with the key `OLD`, and the store inside.
pub(crate) fn stores() -> (FernetStore<MemoryStore>, MemoryStore) {
    let inside = MemoryStore::new();
    (FernetStore::new(inside.clone(), ring(OLD)), inside)
}

pub(crate) fn value(text: &str) -> Value {
    Value::from_json(text.to_owned()).unwrap()
}

pub(crate) async fn put(store: &impl Store, collection: &str, key: &str, text: &str) {
    put_entry(store, collection, key, Entry::new(value(text))).await;
}

pub(crate) async fn put_entry(store: &impl Store, collection: &str, key: &str, entry: Entry) {
    let put = store.put(collection, key, entry, PutMode::Overwrite);
    put.await.unwrap();
}

/// Reads the text of a value.
pub(crate) async fn get(store: &impl Store, collection: &str, key: &str) -> Result<String, Error> {
    let entry = store.get(collection, key).await?.expect("it is there");
    Ok(String::from_utf8(entry.value.as_bytes().to_vec()).unwrap())
}

/// Returns the entry of a store without its revision, as it can be put elsewhere.
pub(crate) async fn stored(store: &impl Store, collection: &str, key: &str) -> Entry {
    let entry = store.get(collection, key).await.unwrap();
    entry.expect("it is there").with_revision(None)
}

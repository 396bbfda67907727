//! What Python's `FernetEncryptionWrapper` has written, and the vectors of the Fernet specification.

use kv_core::{Entry, StoreExt, Value, envelope};
use kv_encryption::{FernetKey, FernetStore, Format, KeyRing};
use kv_memory::MemoryStore;
use serde_json::Value as Json;

use crate::support::{get, put_entry};

fn python() -> Json {
    let text = include_str!("data/py-key-value.json");
    serde_json::from_str(text).unwrap()
}

fn specification() -> Json {
    serde_json::from_str(include_str!("data/fernet-spec.json")).unwrap()
}

fn ring(keys: &[&str]) -> KeyRing {
    let mut keys = keys.iter().map(|key| FernetKey::from_base64(key).unwrap());
    let primary = KeyRing::new(keys.next().unwrap());
    keys.fold(primary, KeyRing::with_retired)
}

/// Reads a stored value as a Rust process that shares the store with Python does.
async fn read(keys: KeyRing, stored: Value) -> kv_core::Result<String> {
    let inside = MemoryStore::new();
    put_entry(&inside, "c", "k", Entry::new(stored)).await;
    let store = FernetStore::new(inside, keys).with_format(Format::PythonCompatible);
    get(&store, "c", "k").await
}

fn text<'j>(json: &'j Json, member: &str) -> &'j str {
    json[member].as_str().unwrap()
}

#[tokio::test]
async fn what_python_has_written_is_read() {
    for vector in python()["records"].as_array().unwrap() {
        let record = text(vector, "record").to_owned();
        let stored = envelope::decode(record.into()).unwrap().entry.value;
        let keys = vector["keys"].as_array().unwrap();
        let keys: Vec<_> = keys.iter().map(|key| key.as_str().unwrap()).collect();
        let id = text(vector, "id");
        let plaintext = read(ring(&keys), stored).await;
        let plaintext = plaintext.unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(plaintext, text(vector, "plaintext"), "{id}");
    }
}

#[tokio::test]
async fn what_python_has_compressed_and_encrypted_is_read() {
    let vectors: Json = serde_json::from_str(include_str!("data/py-compressed.json")).unwrap();
    let mut compressed = 0;
    for vector in vectors["records"].as_array().unwrap() {
        let record = text(vector, "record").to_owned();
        let stored = envelope::decode(record.into()).unwrap().entry.value;
        let keys = ring(&[vector["keys"][0].as_str().unwrap()]);
        let inside = MemoryStore::new();
        put_entry(&inside, "c", "k", Entry::new(stored)).await;
        let store = FernetStore::new(inside, keys).with_format(Format::PythonCompatible);
        let id = text(vector, "id");
        let decrypted = get(&store, "c", "k").await.unwrap();
        compressed += u32::from(decrypted.starts_with(r#"{"__compressed_data__":"#));
        let plaintext = get(&store.compressed(), "c", "k").await.unwrap();
        assert_eq!(plaintext, text(vector, "plaintext"), "{id}");
    }
    assert_eq!(compressed, 3);
}

#[tokio::test]
async fn tokens_of_any_time_are_read() {
    for vector in python()["tokens"].as_array().unwrap() {
        let stored = Value::encode(&vector["stored_value"]).unwrap();
        let plaintext = read(ring(&[text(vector, "key")]), stored).await.unwrap();
        assert_eq!(plaintext, text(vector, "plaintext"));
    }
}

#[test]
fn keys_are_derived_as_python_does() {
    for vector in python()["derived"].as_array().unwrap() {
        let key = FernetKey::derive(text(vector, "source_material"), text(vector, "salt")).unwrap();
        assert_eq!(*key.to_base64(), text(vector, "fernet_key"));
    }
}

fn sealed(token: &str) -> Value {
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD.encode(token);
    let sealed = serde_json::json!({ "__encrypted_data__": data, "__encryption_version__": 1 });
    Value::encode(&sealed).unwrap()
}

#[tokio::test]
async fn valid_tokens_of_the_specification_are_authentic() {
    for vector in specification()["verify"].as_array().unwrap() {
        let stored = sealed(text(vector, "token"));
        let error = read(ring(&[text(vector, "secret")]), stored)
            .await
            .unwrap_err();
        // Its text, `hello`, is no JSON.
        assert!(
            matches!(error, kv_core::Error::Corrupted { .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn invalid_tokens_of_the_specification_are_not_authentic() {
    for vector in specification()["invalid"].as_array().unwrap() {
        let description = text(vector, "desc");
        // The age of a token says nothing about an entry.
        if description.contains("TTL") || description.contains("clock skew") {
            continue;
        }
        let stored = sealed(text(vector, "token"));
        let error = read(ring(&[text(vector, "secret")]), stored)
            .await
            .unwrap_err();
        let kind = kv_core::DecryptKind::Authentication;
        assert!(
            matches!(error, kv_core::Error::Decrypt(told) if told == kind),
            "{description}: {error:?}"
        );
    }
}

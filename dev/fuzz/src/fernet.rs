use bytes::Bytes;
use kv_core::{Entry, PutMode, Store as _, Value};
use kv_encryption::{FernetKey, FernetStore, Format, KeyRing};
use kv_memory::MemoryStore;
use serde_json::json;

const KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
const SEALED: &[u8] = br#"{"a":1}"#;

/// Plants `data` where encrypted values are, and changed pieces of an encrypted value: nothing
/// comes out that was not encrypted under the key.
pub fn fernet(data: &[u8]) {
    let (choice, data) = crate::first(data);
    block(choice, data);
}

fn block(choice: u8, data: &[u8]) {
    crate::block_on(async {
        let inside = MemoryStore::new();
        let key = FernetKey::from_base64(KEY).expect("the key is one");
        let format = if choice & 1 == 0 {
            Format::Bound
        } else {
            Format::PythonCompatible
        };
        let strict = FernetStore::new(inside.clone(), KeyRing::new(key)).with_format(format);
        let mut store = strict.clone();
        if choice & 2 != 0 {
            store = store.allow_plaintext();
        }
        if choice & 4 != 0 {
            store = store.allow_unbound();
        }
        let planted = if choice & 8 != 0 {
            changed(&strict, &inside, data).await
        } else if choice & 16 != 0 {
            let token = String::from_utf8_lossy(data);
            serde_json::to_vec(&json!({ "__encrypted_data__": token, "__encryption_version__": 1 }))
                .ok()
        } else {
            Some(data.to_vec())
        };
        let Some(Ok(planted)) = planted.map(Value::from_json) else {
            return;
        };
        let entry = Entry::new(planted.clone());
        inside
            .put("c", "k", entry, PutMode::Overwrite)
            .await
            .expect("memory takes it");
        let Ok(found) = store.get("c", "k").await else {
            return;
        };
        let found = found.expect("it is there").value;
        let is_plaintext = choice & 2 != 0 && found == planted;
        assert!(
            is_plaintext || (choice & 8 != 0 && found.as_bytes() == SEALED),
            "it hands out what was not encrypted"
        );
    });
}

/// Encrypts a value and writes `data` over it, as pairs of a place and a byte to mix in.
async fn changed(
    store: &FernetStore<MemoryStore>,
    inside: &MemoryStore,
    data: &[u8],
) -> Option<Vec<u8>> {
    let value = Value::from_json(Bytes::from_static(SEALED)).ok()?;
    store
        .put("c", "k", Entry::new(value), PutMode::Overwrite)
        .await
        .ok()?;
    let mut sealed = inside.get("c", "k").await.ok()??.value.as_bytes().to_vec();
    for pair in data.chunks_exact(2) {
        let place = usize::from(pair[0]) % sealed.len();
        sealed[place] ^= pair[1];
    }
    Some(sealed)
}

use bytes::Bytes;
use kv_core::envelope::{decode, decode_entry, decode_value, encode};

/// Reads `data` as a record: what decodes and is encoded again decodes to the same entry.
pub fn envelope(data: &[u8]) {
    let record = Bytes::copy_from_slice(data);
    let _ = decode_value(&record);
    let decoded = decode(record.clone());
    let entry = decode_entry(record);
    assert_eq!(decoded.is_ok(), entry.is_ok(), "the two readers disagree");
    let (Ok(envelope), Ok(entry)) = (decoded, entry) else {
        return;
    };
    assert_eq!(envelope.entry, entry, "the two readers disagree");
    let (collection, key) = (envelope.collection(), envelope.key());
    let again = encode(
        collection.as_deref().unwrap_or("c"),
        key.as_deref().unwrap_or("k"),
        &entry,
    );
    let again = decode(again.expect("what was read can be written")).expect("and read again");
    assert_eq!(again.entry.value, entry.value, "the value changed");
    assert_eq!(
        again.entry.created_at, entry.created_at,
        "created_at changed"
    );
    assert_eq!(
        again.entry.expires_at, entry.expires_at,
        "expires_at changed"
    );
    assert!(
        collection.is_none() || again.collection() == collection,
        "the collection changed"
    );
    assert!(key.is_none() || again.key() == key, "the key changed");
}

//! What somebody who can write to the store inside, and has no key, can do: nothing unnoticed.

use std::time::Duration;

use kv_core::{DecryptKind, Entry, Error, Store, StoreExt, Value, envelope};
use kv_encryption::{FernetStore, Format, KeyRing};
use kv_memory::MemoryStore;
use serde_json::json;

use crate::support::{NEW, OLD, get, key, put, put_entry, ring, stored, stores, value};

const SECRET: &str = r#"{"secret":"hunter2"}"#;

async fn refused(store: &impl Store, collection: &str, key: &str) -> DecryptKind {
    match store.get(collection, key).await {
        Err(Error::Decrypt(kind)) => kind,
        other => panic!("{other:?}"),
    }
}

fn with_value(mut entry: Entry, value: Value) -> Entry {
    entry.value = value;
    entry
}

/// Replaces parts of the stored text.
async fn edit(inside: &MemoryStore, key: &str, from: &str, to: &str) {
    let entry = stored(inside, "c", key).await;
    let text = std::str::from_utf8(entry.value.as_bytes())
        .unwrap()
        .to_owned();
    assert!(text.contains(from), "{text}");
    let edited = Value::from_stored(text.replace(from, to).into());
    put_entry(inside, "c", key, with_value(entry, edited)).await;
}

#[tokio::test]
async fn a_value_is_not_readable_inside() {
    let (store, inside) = stores();
    put(&store, "c", "k", SECRET).await;
    let text = get(&inside, "c", "k").await.unwrap();
    assert!(
        !text.contains("hunter2") && !text.contains("secret"),
        "{text}"
    );
    assert_eq!(get(&store, "c", "k").await.unwrap(), SECRET);
}

#[tokio::test]
async fn two_writes_of_one_value_have_different_ciphertexts() {
    let (store, inside) = stores();
    put(&store, "c", "k", SECRET).await;
    let first = get(&inside, "c", "k").await.unwrap();
    put(&store, "c", "k", SECRET).await;
    assert_ne!(get(&inside, "c", "k").await.unwrap(), first);
}

#[tokio::test]
async fn every_flipped_bit_of_a_record_is_an_error_or_changes_nothing() {
    let (store, inside) = stores();
    let end = inside
        .clock()
        .now()
        .plus_ttl(Duration::from_secs(3600))
        .unwrap();
    put_entry(
        &store,
        "c",
        "k",
        Entry::new(value(SECRET)).with_expires_at(end),
    )
    .await;
    let written = stored(&inside, "c", "k").await;
    let record = envelope::encode("c", "k", &written).unwrap();
    let mut errors = 0;
    for bit in 0..record.len() * 8 {
        let mut flipped = record.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(read) = envelope::decode(flipped.into()) else {
            errors += 1;
            continue;
        };
        let entry = read.entry.with_revision(None);
        let put = inside.put("c", "k", entry, kv_core::PutMode::Overwrite);
        if put.await.is_err() {
            errors += 1;
            continue;
        }
        match store.get("c", "k").await {
            Err(_) => errors += 1,
            // It has expired, or does as it should.
            Ok(None) => {}
            Ok(Some(entry)) => {
                assert_eq!(entry.value.as_bytes(), SECRET.as_bytes(), "bit {bit}");
                assert_eq!(entry.expires_at, Some(end), "bit {bit}");
                assert_eq!(entry.created_at, written.created_at, "bit {bit}");
            }
        }
    }
    assert!(errors > record.len() * 6, "{errors}");
}

#[tokio::test]
async fn every_flipped_bit_of_a_token_is_an_error() {
    // Of lengths that leave 0, 1 and 2 characters of padding.
    for blocks in 0..3 {
        let secret = format!(r#"{{"secret":"{}"}}"#, "x".repeat(16 * blocks));
        flip_every_bit_of_the_token(&secret).await;
    }
}

async fn flip_every_bit_of_the_token(secret: &str) {
    let (store, inside) = stores();
    put(&store, "c", "k", secret).await;
    let written = stored(&inside, "c", "k").await;
    let text = written.value.as_bytes();
    let start = text.windows(4).position(|part| part == b"gAAA").unwrap();
    let end = text.windows(2).position(|part| part == br#"","#).unwrap();
    for bit in start * 8..end * 8 {
        let mut flipped = text.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let value = Value::from_stored(flipped.into());
        put_entry(&inside, "c", "k", with_value(written.clone(), value)).await;
        assert!(store.get("c", "k").await.is_err(), "bit {bit}");
    }
}

#[tokio::test]
async fn a_token_cut_short_anywhere_is_an_error() {
    let (store, inside) = stores();
    put(&store, "c", "k", SECRET).await;
    let written = stored(&inside, "c", "k").await;
    let sealed: serde_json::Value = written.value.decode().unwrap();
    let data = sealed["__encrypted_data__"].as_str().unwrap();
    for length in 0..data.len() {
        let mut cut = sealed.clone();
        cut["__encrypted_data__"] = json!(data[..length]);
        let value = Value::encode(&cut).unwrap();
        put_entry(&inside, "c", "k", with_value(written.clone(), value)).await;
        assert_eq!(refused(&store, "c", "k").await, DecryptKind::Authentication);
    }
}

#[tokio::test]
async fn a_record_under_another_name_is_refused() {
    let (store, inside) = stores();
    put(&store, "c", "a", SECRET).await;
    let a = stored(&inside, "c", "a").await;
    put_entry(&inside, "c", "b", a.clone()).await;
    put_entry(&inside, "d", "a", a).await;
    assert_eq!(refused(&store, "c", "b").await, DecryptKind::Moved);
    assert_eq!(refused(&store, "d", "a").await, DecryptKind::Moved);
    assert_eq!(get(&store, "c", "a").await.unwrap(), SECRET);
}

#[tokio::test]
async fn swapped_records_are_refused() {
    let (store, inside) = stores();
    put(&store, "c", "ada", r#"{"token":"a"}"#).await;
    put(&store, "c", "eve", r#"{"token":"e"}"#).await;
    let (ada, eve) = (
        stored(&inside, "c", "ada").await,
        stored(&inside, "c", "eve").await,
    );
    put_entry(&inside, "c", "ada", eve).await;
    put_entry(&inside, "c", "eve", ada).await;
    for key in ["ada", "eve"] {
        assert_eq!(refused(&store, "c", key).await, DecryptKind::Moved);
    }
    let many = store.get_many("c", &["ada", "eve", "none"]).await.unwrap();
    assert!(matches!(&many[..], [Err(_), Err(_), Ok(None)]), "{many:?}");
}

#[tokio::test]
async fn another_expiry_or_creation_is_refused() {
    let (store, inside) = stores();
    let now = inside.clock().now();
    let at = |seconds| now.plus_ttl(Duration::from_secs(seconds)).unwrap();
    put_entry(
        &store,
        "c",
        "k",
        Entry::new(value(SECRET)).with_expires_at(at(60)),
    )
    .await;
    let written = stored(&inside, "c", "k").await;
    for end in [Some(at(61)), Some(at(59)), None] {
        put_entry(&inside, "c", "k", written.clone().with_expires_at(end)).await;
        assert_eq!(
            refused(&store, "c", "k").await,
            DecryptKind::Moved,
            "{end:?}"
        );
    }
    put_entry(&inside, "c", "k", written.clone().with_created_at(at(1))).await;
    assert_eq!(refused(&store, "c", "k").await, DecryptKind::Moved);
    put_entry(&inside, "c", "k", written).await;
    assert_eq!(get(&store, "c", "k").await.unwrap(), SECRET);
}

#[tokio::test]
async fn planted_plaintext_is_refused_until_it_is_allowed() {
    let (store, inside) = stores();
    put(&inside, "c", "k", r#"{"admin":true}"#).await;
    assert_eq!(refused(&store, "c", "k").await, DecryptKind::NotEncrypted);
    assert_eq!(
        get(&store.allow_plaintext(), "c", "k").await.unwrap(),
        r#"{"admin":true}"#
    );
}

#[tokio::test]
async fn a_value_that_only_python_calls_json_is_plaintext_too() {
    let (store, inside) = stores();
    let entry = Entry::new(Value::from_stored(r#"{"n": NaN}"#.into()));
    put_entry(&inside, "c", "k", entry).await;
    assert_eq!(refused(&store, "c", "k").await, DecryptKind::NotEncrypted);
    assert_eq!(
        get(&store.allow_plaintext(), "c", "k").await.unwrap(),
        r#"{"n": NaN}"#
    );
}

#[tokio::test]
async fn an_unbound_record_is_refused_until_it_is_allowed() {
    let (store, inside) = stores();
    let python = FernetStore::new(inside, ring(OLD)).with_format(Format::PythonCompatible);
    put(&python, "c", "k", SECRET).await;
    assert_eq!(refused(&store, "c", "k").await, DecryptKind::Unbound);
    assert_eq!(get(&store.allow_unbound(), "c", "k").await.unwrap(), SECRET);
}

#[tokio::test]
async fn a_bound_record_passed_off_as_an_unbound_one_is_not_authentic() {
    let (store, inside) = stores();
    put(&store, "c", "k", SECRET).await;
    edit(
        &inside,
        "k",
        r#""__encryption_version__":2"#,
        r#""__encryption_version__":1"#,
    )
    .await;
    let store = store.allow_unbound();
    assert_eq!(refused(&store, "c", "k").await, DecryptKind::Authentication);
}

#[tokio::test]
async fn an_unbound_record_passed_off_as_a_bound_one_is_not_authentic() {
    let (store, inside) = stores();
    let python = FernetStore::new(inside.clone(), ring(OLD)).with_format(Format::PythonCompatible);
    // The value looks like what a bound record is made of.
    let mut record = Vec::new();
    let entry = Entry::new(value(SECRET));
    envelope::encode_unmarked("c", "k", &entry, &mut record).unwrap();
    put_entry(
        &python,
        "c",
        "k",
        Entry::new(Value::from_stored(record.into())),
    )
    .await;
    let key_id = key(OLD).id().to_owned();
    let bound = format!(r#""__encryption_version__":2,"__key_id__":"{key_id}""#);
    edit(&inside, "k", r#""__encryption_version__":1"#, &bound).await;
    assert_eq!(refused(&store, "c", "k").await, DecryptKind::Authentication);
}

#[tokio::test]
async fn a_record_of_an_unknown_key_says_so() {
    let (_, inside) = stores();
    put(
        &FernetStore::new(inside.clone(), ring(NEW)),
        "c",
        "k",
        SECRET,
    )
    .await;
    let store = FernetStore::new(inside, ring(OLD));
    assert_eq!(refused(&store, "c", "k").await, DecryptKind::UnknownKey);
}

#[tokio::test]
async fn a_record_that_names_another_known_key_is_not_authentic() {
    let (store, inside) = stores();
    put(&store, "c", "k", SECRET).await;
    let (old, new) = (key(OLD).id().to_owned(), key(NEW).id().to_owned());
    edit(&inside, "k", &old, &new).await;
    let store = FernetStore::new(inside, KeyRing::new(key(OLD)).with_retired(key(NEW)));
    assert_eq!(refused(&store, "c", "k").await, DecryptKind::Authentication);
}

#[tokio::test]
async fn records_of_no_form_are_errors_and_no_panic() {
    let (store, inside) = stores();
    let store = store.allow_plaintext().allow_unbound();
    for text in [
        r#"{"__encrypted_data__":7}"#,
        r#"{"__encrypted_data__":"x"}"#,
        r#"{"__encrypted_data__":"x","__encryption_version__":"1"}"#,
        r#"{"__encrypted_data__":"x","__encryption_version__":-1}"#,
        r#"{"__encrypted_data__":"x","__encryption_version__":1.5}"#,
        r#"{"__encrypted_data__":"x","__encryption_version__":1e400}"#,
        r#"{"__encrypted_data__":"x","__encryption_version__":0}"#,
        r#"{"__encrypted_data__":"x","__encryption_version__":3}"#,
        r#"{"__encrypted_data__":"x","__encryption_version__":2}"#,
        r#"{"__encrypted_data__":"x","__encryption_version__":2,"__key_id__":7}"#,
        r#"{"__encrypted_data__":"","__encryption_version__":1}"#,
        r#"{"__encrypted_data__":"gAAA","__encryption_version__":1}"#,
        r#"{"__encrypted_data__":"/w==","__encryption_version__":1}"#,
        r#"{"__encrypted_data__":"x","__encrypted_data__":"y","__encryption_version__":1}"#,
    ] {
        put_entry(
            &inside,
            "c",
            "k",
            Entry::new(Value::from_stored(text.into())),
        )
        .await;
        let read = store.get("c", "k").await;
        assert!(
            matches!(read, Err(Error::Decrypt(_) | Error::Corrupted { .. })),
            "{text}: {read:?}"
        );
    }
}

#[tokio::test]
async fn what_is_not_authentic_has_one_message() {
    let (store, inside) = stores();
    put(&store, "c", "k", SECRET).await;
    let written = stored(&inside, "c", "k").await;
    let sealed: serde_json::Value = written.value.decode().unwrap();
    let data = sealed["__encrypted_data__"].as_str().unwrap();
    let mut messages = std::collections::HashSet::new();
    for data in [
        "",
        "%",
        "gAAA",
        &data[..8],
        &data.replace('Z', "Y"),
        &format!("{data}AAAA"),
    ] {
        let mut changed = sealed.clone();
        changed["__encrypted_data__"] = json!(data);
        let value = Value::encode(&changed).unwrap();
        put_entry(&inside, "c", "k", with_value(written.clone(), value)).await;
        messages.insert(format!("{:?}", store.get("c", "k").await.unwrap_err()));
    }
    assert_eq!(messages.len(), 1, "{messages:?}");
}

#[tokio::test]
async fn a_conditional_write_works_through_encryption() {
    let (store, _) = stores();
    put(&store, "c", "k", r#"{"n":1}"#).await;
    let old = store
        .get("c", "k")
        .await
        .unwrap()
        .unwrap()
        .revision
        .unwrap();
    let created = store
        .put("c", "k", Entry::new(value("{}")), kv_core::PutMode::Create)
        .await;
    assert!(matches!(created, Err(Error::AlreadyExists)));
    let update = |revision| {
        let mode = kv_core::PutMode::Update(revision);
        store.put("c", "k", Entry::new(value(r#"{"n":2}"#)), mode)
    };
    update(old.clone()).await.unwrap();
    assert!(matches!(update(old).await, Err(Error::Conflict)));
    assert_eq!(get(&store, "c", "k").await.unwrap(), r#"{"n":2}"#);
}

#[tokio::test]
async fn the_longest_value_fits_under_any_names() {
    let limit = 100_000;
    let (collection, key) = ("\u{1}".repeat(2048), "\u{1}".repeat(1024));
    for format in [Format::Bound, Format::PythonCompatible] {
        let inside = MemoryStore::new().limit_size(limit);
        let store = FernetStore::new(inside, ring(OLD)).with_format(format);
        let longest = store.info().max_value_bytes.unwrap();
        assert!(longest > limit / 4, "{longest}");
        let of = |length: u64| {
            let filler = "x".repeat(usize::try_from(length).unwrap() - r#"{"a":""}"#.len());
            Entry::new(value(&format!(r#"{{"a":"{filler}"}}"#)))
        };
        let end = store
            .clock()
            .now()
            .plus_ttl(Duration::from_secs(60))
            .unwrap();
        put_entry(&store, &collection, &key, of(longest).with_expires_at(end)).await;
        let over = store
            .put("c", "k", of(longest + 1), kv_core::PutMode::Overwrite)
            .await;
        assert!(matches!(over, Err(Error::TooLarge { .. })), "{over:?}");
    }
}

#[tokio::test]
async fn debug_of_a_store_shows_no_key() {
    let (store, _) = stores();
    let shown = format!("{store:?}");
    assert!(
        shown.contains(key(OLD).id()) && !shown.contains("MDEy"),
        "{shown}"
    );
}

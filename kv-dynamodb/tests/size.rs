//! Values and items about the limit, against the service's own judgement.

use kv_core::{Entry, Error, PutMode, Store, Timestamp, Value};

use crate::support::{self, TABLE};

const KIB: usize = 1024;

/// An entry with a value of so many bytes.
fn entry(bytes: usize) -> Entry {
    let text = format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
    Entry::new(Value::from_json(text).unwrap())
}

#[tokio::test]
async fn a_value_of_399_kib_is_kept_and_of_400_or_401_refused_unsent() {
    let store = support::builder(TABLE).await.build().unwrap();
    let collection = support::unique("size");
    let put = async |kib: usize| {
        let entry = entry(kib * KIB);
        store.put(&collection, "k", entry, PutMode::Overwrite).await
    };
    put(399).await.unwrap();
    for kib in [400, 401] {
        let error = put(kib).await.unwrap_err();
        let size = (kib * KIB) as u64;
        assert!(
            matches!(error, Error::TooLarge { limit: 408_576, size: told } if told == size),
            "{error:?}"
        );
    }
    let read = store.get(&collection, "k").await.unwrap().unwrap();
    assert_eq!(read.value.len(), 399 * KIB);
    store.clear(&collection).await.unwrap();
}

/// The item counts as the service counts it: what is sent is taken, and a byte more is refused.
#[tokio::test]
async fn the_largest_item_is_just_what_the_service_takes() {
    let store = support::builder(TABLE).await.build().unwrap();
    let client = support::client().await;
    // Long enough that the item is full before the value is too long.
    let collection = format!("{}{}", support::unique("size"), "c".repeat(1000));
    let ends = [
        None,
        Some(2_000_000_000),
        Some(2_100_000_001),
        Some(253_402_300_799),
    ];
    for seconds in ends {
        let end = seconds.map(|seconds| Timestamp::from_micros(seconds * 1_000_000));
        let put = async |bytes| {
            let entry = entry(bytes).with_expires_at(end);
            store.put(&collection, "k", entry, PutMode::Overwrite).await
        };
        let over = match put(399 * KIB).await {
            Err(Error::TooLarge {
                limit: 409_600,
                size,
            }) => size - 409_600,
            other => panic!("{other:?}"),
        };
        let longest = 399 * KIB - usize::try_from(over).unwrap();
        put(longest).await.unwrap();
        assert!(matches!(
            put(longest + 1).await,
            Err(Error::TooLarge { .. })
        ));

        let key = support::row(&collection, "k");
        let get = client.get_item().table_name(TABLE).set_key(Some(key));
        let mut item = get.send().await.unwrap().item.unwrap();
        let record = item["value"].as_s().unwrap();
        item.insert("value".to_owned(), support::text(format!("{record} ")));
        let put = client.put_item().table_name(TABLE).set_item(Some(item));
        assert!(
            put.send().await.is_err(),
            "{seconds:?}: the service takes more"
        );
    }
    store.clear(&collection).await.unwrap();
}

#[tokio::test]
async fn full_batches_of_the_longest_values_pass() {
    let store = support::builder(TABLE).await.build().unwrap();
    let collection = support::unique("size");
    // More than the 16 MB that one request may read, and than it may write.
    let keys: Vec<_> = (0..50).map(|n| format!("k{n}")).collect();
    let entries = keys.iter().map(|key| (key.clone(), entry(399 * KIB)));
    store
        .put_many(&collection, entries.collect())
        .await
        .unwrap();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let read = store.get_many(&collection, &keys).await.unwrap();
    for entry in read {
        assert_eq!(entry.unwrap().unwrap().value.len(), 399 * KIB);
    }
    assert_eq!(store.clear(&collection).await.unwrap(), 50);
}

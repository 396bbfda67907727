use kv_core::wrappers::{PrefixCollections, PrefixKeys, SingleCollection};
use kv_core::{Entry, KeyQuery, PutMode, Store, Value, name};
use kv_memory::MemoryStore;

/// Stores under two names made of `data`, split at the byte 0xff: they share no stored name.
pub fn names(data: &[u8]) {
    let parts: Vec<_> = data.split(|byte| *byte == 0xff).collect();
    let Ok(parts) = parts
        .into_iter()
        .map(std::str::from_utf8)
        .collect::<Result<Vec<_>, _>>()
    else {
        return;
    };
    let [
        collection,
        key,
        other_collection,
        other_key,
        prefix,
        other_prefix,
    ] = parts[..]
    else {
        return;
    };
    let (one, other) = ((collection, key), (other_collection, other_key));
    let is_valid = |(collection, key)| name::check(collection, key).is_ok();
    if one != other && is_valid(one) && is_valid(other) {
        let joined = |(collection, key)| format!("{collection}::{key}");
        assert_ne!(joined(one), joined(other), "two entries have one name");
    }
    crate::block_on(async {
        let inside = MemoryStore::new();
        if let Ok(store) = SingleCollection::new(inside.clone(), "all") {
            apart(&store, &store, one, other).await;
        }
        let memory = MemoryStore::new();
        let prefixes = [prefix, other_prefix];
        if let [Ok(a), Ok(b)] = prefixes.map(|prefix| PrefixKeys::new(memory.clone(), prefix)) {
            two_prefixes(&a, &b, prefixes, one, other).await;
        }
        let memory = MemoryStore::new();
        let all = prefixes.map(|prefix| PrefixCollections::new(memory.clone(), prefix));
        if let [Ok(a), Ok(b)] = all {
            two_prefixes(&a, &b, prefixes, one, other).await;
        }
    });
}

type Name<'a> = (&'a str, &'a str);

/// With different prefixes, even the same name is of two entries.
async fn two_prefixes(
    a: &dyn Store,
    b: &dyn Store,
    prefixes: [&str; 2],
    one: Name<'_>,
    other: Name<'_>,
) {
    apart(a, a, one, other).await;
    a.destroy().await.expect("memory empties");
    if prefixes[0] != prefixes[1] {
        apart(a, b, one, other).await;
        b.destroy().await.expect("memory empties");
        let lists = a.keys(one.0, KeyQuery::new()).await;
        assert!(lists.is_err() || lists.is_ok_and(|page| page.keys.len() <= 1));
    }
}

/// Asserts that a write to `b` under `other` leaves the entry of `a` under `one`.
async fn apart(a: &dyn Store, b: &dyn Store, one: Name<'_>, other: Name<'_>) {
    let is_same_store = std::ptr::addr_eq(a, b);
    if is_same_store && one == other {
        return;
    }
    let (first, second) = (entry("1"), entry("2"));
    let value = first.value.clone();
    if a.put(one.0, one.1, first, PutMode::Overwrite)
        .await
        .is_err()
    {
        return;
    }
    if b.put(other.0, other.1, second, PutMode::Create)
        .await
        .is_err()
    {
        assert!(
            name::check(other.0, other.1).is_err()
                || b.get(other.0, other.1).await.is_err()
                || b.get(other.0, other.1)
                    .await
                    .is_ok_and(|found| found.is_none()),
            "two entries have one stored name"
        );
        return;
    }
    let found = a.get(one.0, one.1).await.expect("memory answers");
    assert_eq!(
        found.map(|entry| entry.value),
        Some(value),
        "two entries have one stored name"
    );
}

fn entry(number: &str) -> Entry {
    Entry::new(Value::from_json(format!("{{\"n\":{number}}}")).expect("it is JSON"))
}

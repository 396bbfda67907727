//! Which names are the same entry: only those that are equal byte for byte.

use std::collections::BTreeMap;

use super::Subject;
use super::subject::{entry, number, sorted};

/// Texts that a backend could take for a pattern, a separator, a path or each other.
const ODD: [&str; 36] = [
    "*",
    "?",
    "[a-z]",
    "[",
    "]",
    "\\",
    "\\*",
    "a*",
    "a?",
    "^",
    "{a,b}",
    "%",
    "_",
    "__",
    "'",
    "\"",
    ";",
    "a b",
    " a",
    "a ",
    "\n",
    "\0",
    "a\0b",
    "a\0",
    "/",
    "../a",
    ".",
    "#",
    "$0",
    "é",
    "e\u{301}",
    "אבג",
    "\u{202e}a",
    "\u{feff}a",
    "🦀",
    "\u{10ffff}",
];

pub async fn keys_of_any_text_are_kept_apart(t: &Subject) {
    for (n, key) in (0..).zip(ODD) {
        t.put(key, entry(n)).await;
    }
    for (n, key) in (0..).zip(ODD) {
        assert_eq!(t.number(key).await, Some(n), "{key:?}");
    }
    assert_eq!(t.keys().await, sorted(ODD.map(str::to_owned).to_vec()));
}

pub async fn keys_of_any_text_are_kept_apart_in_bulk(t: &Subject) {
    let entries = (0..).zip(ODD).map(|(n, key)| (key.to_owned(), entry(n)));
    let put = t.store.put_many(&t.collection, entries.collect()).await;
    assert_eq!(put.unwrap().len(), ODD.len());
    let expected: Vec<_> = (0..).take(ODD.len()).map(Some).collect();
    assert_eq!(t.numbers(&ODD).await, expected);
    let deleted = t.store.delete_many(&t.collection, &ODD).await.unwrap();
    assert_eq!(deleted, [true; ODD.len()]);
}

pub async fn a_key_of_any_text_is_removed_alone(t: &Subject) {
    for (n, key) in (0..).zip(ODD) {
        t.put(key, entry(n)).await;
    }
    for (n, key) in (0..).zip(ODD) {
        let left = ODD.len() - usize::try_from(n).unwrap();
        assert_eq!(t.keys().await.len(), left, "{key:?}");
        if n % 2 == 0 {
            assert!(t.delete(key).await, "{key:?}");
        } else {
            assert_eq!(t.take(key).await.as_ref().map(number), Some(n), "{key:?}");
        }
    }
    assert!(t.keys().await.is_empty());
}

pub async fn collections_of_any_text_are_kept_apart(t: &Subject) {
    let collections = ODD.map(|text| t.neighbour(text));
    for (n, collection) in (0..).zip(&collections) {
        t.put_in(collection, "k", entry(n)).await;
    }
    for (n, collection) in (0..).zip(&collections) {
        assert_eq!(
            t.number_in(collection, "k").await,
            Some(n),
            "{collection:?}"
        );
    }
    assert_eq!(t.own_collections().await, sorted(collections.to_vec()));
}

pub async fn a_collection_of_any_text_is_cleared_alone(t: &Subject) {
    let collections = ODD.map(|text| t.neighbour(text));
    for collection in &collections {
        t.put_in(collection, "k", entry(0)).await;
    }
    let mut left = collections.len();
    for collection in &collections {
        assert_eq!(
            t.store.clear(collection).await.unwrap(),
            1,
            "{collection:?}"
        );
        left -= 1;
        assert_eq!(t.own_collections().await.len(), left, "{collection:?}");
    }
}

pub async fn composed_and_decomposed_keys_are_two_entries(t: &Subject) {
    t.put("caf\u{e9}", entry(1)).await;
    t.put("cafe\u{301}", entry(2)).await;
    assert_eq!(t.number("caf\u{e9}").await, Some(1));
    assert_eq!(t.number("cafe\u{301}").await, Some(2));
}

pub async fn keys_in_upper_and_lower_case_are_two_entries(t: &Subject) {
    t.put("key", entry(1)).await;
    t.put("KEY", entry(2)).await;
    assert_eq!(t.numbers(&["key", "KEY"]).await, [Some(1), Some(2)]);
}

pub async fn one_key_in_two_collections_is_two_entries(t: &Subject) {
    let other = t.neighbour("-other");
    t.put("k", entry(1)).await;
    t.put_in(&other, "k", entry(2)).await;
    assert_eq!(t.number("k").await, Some(1));
    assert!(t.store.delete(&other, "k").await.unwrap());
    assert_eq!(t.number("k").await, Some(1));
    assert_eq!(t.number_in(&other, "k").await, None);
}

pub async fn pairs_that_join_to_one_text_are_two_entries(t: &Subject) {
    for separator in [":", "::", "_", "__", "/", "\0", "-", "|"] {
        // As in ("a:b", "c") and ("a", "b:c"). A collection holds no `::`.
        let joined = t.neighbour(&format!("{separator}b"));
        let split = format!("b{separator}c");
        if separator != "::" {
            t.put_in(&joined, "c", entry(1)).await;
            assert_eq!(t.number(&split).await, None, "{separator:?}");
        }
        t.put(&split, entry(2)).await;
        t.put("c", entry(3)).await;
        if separator != "::" {
            assert_eq!(t.number_in(&joined, "c").await, Some(1), "{separator:?}");
            assert!(t.store.delete(&joined, "c").await.unwrap());
        }
        assert_eq!(t.numbers(&[&split, "c"]).await, [Some(2), Some(3)]);
        assert!(t.delete(&split).await, "{separator:?}");
        assert_eq!(t.keys().await, ["c"], "{separator:?}");
    }
}

pub async fn no_two_of_many_random_pairs_meet(t: &Subject) {
    let mut random = fastrand::Rng::with_seed(1);
    let mut text = |parts: &[&str]| -> String {
        let length = random.usize(1..=4);
        (0..length)
            .map(|_| parts[random.usize(..parts.len())])
            .collect()
    };
    let mut pairs = BTreeMap::new();
    for n in 0..200 {
        let collection = t.neighbour(&format!(".{}.", text(&["a", "b", ":b", "_", "*", "/"])));
        let key = text(&["a", "b", ":b", ":", "_", "*", "/", "\\", "\0"]);
        t.put_in(&collection, &key, entry(n)).await;
        pairs.insert((collection, key), n);
    }
    let mut listed = BTreeMap::<_, Vec<_>>::new();
    for ((collection, key), n) in &pairs {
        let read = t.number_in(collection, key).await;
        assert_eq!(read, Some(*n), "{collection:?} {key:?}");
        listed
            .entry(collection.clone())
            .or_default()
            .push(key.clone());
    }
    let collections = listed.keys().cloned().collect::<Vec<_>>();
    assert_eq!(t.own_collections().await, collections);
    for (collection, keys) in listed {
        assert_eq!(t.store.clear(&collection).await.unwrap(), keys.len() as u64);
    }
}

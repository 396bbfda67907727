//! Listing in pages.

use super::Subject;
use super::subject::{entry, sorted};
use crate::{Cursor, Error, KeyQuery};

/// Texts that no store handed out.
const HOSTILE: [&str; 12] = [
    "",
    "garbage",
    "0",
    "-1",
    "99999999999999999999999999",
    "\0",
    "🦀",
    "{\"collection\":",
    "bm90IGEgY3Vyc29y",
    "../../etc/passwd",
    "%00%ff",
    "*",
];

pub async fn a_collection_that_was_never_written_lists_nothing(t: &Subject) {
    assert!(t.keys().await.is_empty());
    let query = KeyQuery::new().with_page_size(1);
    assert!(t.keys_of(query).await.is_empty());
}

pub async fn every_live_key_is_listed(t: &Subject) {
    let keys = numbered(25);
    t.put_all(&keys).await;
    assert_eq!(t.keys().await, keys);
}

pub async fn a_rewritten_key_is_listed_once(t: &Subject) {
    for n in 0..5 {
        t.put("k", entry(n)).await;
    }
    assert_eq!(t.page(KeyQuery::new()).await.keys, ["k"]);
}

pub async fn pages_of_every_size_list_every_key(t: &Subject) {
    let keys = numbered(25);
    t.put_all(&keys).await;
    for size in [1, 2, 7, 24, 25, 26, 1000, 10_000, usize::MAX] {
        let query = KeyQuery::new().with_page_size(size);
        assert_eq!(t.keys_of(query).await, keys, "{size}");
    }
}

pub async fn a_small_page_size_is_followed_roughly(t: &Subject) {
    t.put_all(&numbered(1500)).await;
    let page = t.page(KeyQuery::new().with_page_size(10)).await;
    assert!(page.keys.len() < 1000, "{} keys a page", page.keys.len());
    assert!(page.next.is_some());
}

pub async fn a_listing_shows_only_its_collection(t: &Subject) {
    for suffix in ["-other", "0", "*", "\0", "_", ":a"] {
        t.put_in(&t.neighbour(suffix), "theirs", entry(1)).await;
    }
    t.put("ours", entry(1)).await;
    assert_eq!(t.keys().await, ["ours"]);
}

pub async fn keys_present_throughout_are_listed_among_writes_of_others(t: &Subject) {
    let keys: Vec<_> = (0..2500).map(|n| format!("steady-{n:04}")).collect();
    t.put_all(&keys).await;
    let mut listed = Vec::new();
    let mut query = KeyQuery::new().with_page_size(100);
    for round in 0..100_000 {
        let page = t.page(query.clone()).await;
        listed.extend(page.keys);
        let Some(next) = page.next else { break };
        query = query.with_cursor(next);
        if round % 4 == 0 {
            // One sorts before, one among and one after the steady keys.
            for name in ["a", "steady-1", "z"] {
                t.put(&format!("{name}-{round}"), entry(0)).await;
                t.delete(&format!("{name}-{}", round / 2)).await;
            }
            t.put("steady-0000", entry(1)).await;
        }
    }
    listed.retain(|key| keys.binary_search(key).is_ok());
    assert_eq!(sorted(listed).len(), keys.len());
}

pub async fn deleting_among_the_pages_skips_no_other_key(t: &Subject) {
    let keys = numbered(300);
    t.put_all(&keys).await;
    let mut listed = Vec::new();
    let mut query = KeyQuery::new().with_page_size(20);
    loop {
        let page = t.page(query.clone()).await;
        for key in page.keys {
            if key.ends_with(['1', '3', '5', '7', '9']) {
                t.delete(&key).await;
            } else {
                listed.push(key);
            }
        }
        let Some(next) = page.next else { break };
        query = query.with_cursor(next);
    }
    let even = keys.iter().step_by(2).cloned().collect::<Vec<_>>();
    assert_eq!(sorted(listed), even);
    assert_eq!(t.keys().await, even);
}

pub async fn a_prefix_lists_only_what_starts_with_it(t: &Subject) {
    for key in ["user:1", "user:2", "user", "users:1", "xuser:1", "USER:1"] {
        t.put(key, entry(0)).await;
    }
    assert_eq!(with_prefix(t, "user:").await, ["user:1", "user:2"]);
    assert_eq!(with_prefix(t, "user:1").await, ["user:1"]);
    assert_eq!(with_prefix(t, "user").await.len(), 4);
}

pub async fn an_empty_prefix_lists_every_key(t: &Subject) {
    t.put_all(&numbered(3)).await;
    assert_eq!(with_prefix(t, "").await, numbered(3));
}

pub async fn a_prefix_that_matches_nothing_lists_nothing(t: &Subject) {
    t.put("key", entry(0)).await;
    for prefix in ["x", "key2", "ey", "K", "\u{10ffff}", "\0"] {
        assert!(with_prefix(t, prefix).await.is_empty(), "{prefix:?}");
    }
}

pub async fn a_prefix_is_text_and_no_pattern(t: &Subject) {
    let odd = [
        "*",
        "?",
        "[a]",
        "\\",
        "%",
        "_",
        "é",
        "e\u{301}",
        "🦀",
        "\0",
        "\u{10ffff}",
        "::",
        "^",
        "$",
    ];
    t.put("plain", entry(0)).await;
    for prefix in odd {
        t.put(&format!("{prefix}-key"), entry(0)).await;
    }
    for prefix in odd {
        assert_eq!(with_prefix(t, prefix).await, [format!("{prefix}-key")]);
    }
}

pub async fn a_prefix_holds_over_all_pages(t: &Subject) {
    for n in 0..40 {
        t.put(&format!("a{n:02}"), entry(0)).await;
        t.put(&format!("b{n:02}"), entry(0)).await;
    }
    let query = KeyQuery::new().with_prefix("b").with_page_size(3);
    let expected: Vec<_> = (0..40).map(|n| format!("b{n:02}")).collect();
    assert_eq!(t.keys_of(query).await, expected);
}

pub async fn a_cursor_can_travel_as_text(t: &Subject) {
    let keys = numbered(30);
    t.put_all(&keys).await;
    let mut listed = Vec::new();
    let mut query = KeyQuery::new().with_page_size(4);
    loop {
        let page = t.page(query.clone()).await;
        listed.extend(page.keys);
        let Some(next) = page.next else { break };
        query = query.with_cursor(Cursor::new(next.as_str().to_owned()));
    }
    assert_eq!(sorted(listed), keys);
}

pub async fn a_hostile_cursor_is_invalid_or_gives_a_page(t: &Subject) {
    t.put_in(&t.neighbour("-other"), "theirs", entry(0)).await;
    t.put_all(&numbered(5)).await;
    for text in HOSTILE.map(str::to_owned).into_iter().chain(long_texts()) {
        let query = KeyQuery::new().with_cursor(Cursor::new(text));
        match t.store.keys(&t.collection, query).await {
            Ok(page) => assert!(page.keys.iter().all(|key| numbered(5).contains(key))),
            Err(error) => assert!(matches!(error, Error::InvalidCursor), "{error:?}"),
        }
    }
}

pub async fn a_cursor_of_another_listing_shows_nothing_foreign(t: &Subject) {
    let other = t.neighbour("-other");
    for n in 0..9 {
        t.put_in(&other, &format!("theirs-{n}"), entry(0)).await;
    }
    t.put_all(&numbered(9)).await;
    let query = KeyQuery::new().with_page_size(2);
    let theirs = t.store.keys(&other, query.clone()).await.unwrap().next;
    let collections = t.collection_page(KeyQuery::new().with_page_size(1)).await;
    let unprefixed = t.page(query).await.next;
    for cursor in [theirs, collections.next, unprefixed].into_iter().flatten() {
        let query = KeyQuery::new().with_prefix("key-").with_cursor(cursor);
        match t.store.keys(&t.collection, query).await {
            Ok(page) => assert!(page.keys.iter().all(|key| numbered(9).contains(key))),
            Err(error) => assert!(matches!(error, Error::InvalidCursor), "{error:?}"),
        }
    }
}

pub async fn a_collection_is_listed_once_it_holds_an_entry(t: &Subject) {
    assert!(t.own_collections().await.is_empty());
    t.put("a", entry(1)).await;
    t.put("b", entry(1)).await;
    assert_eq!(t.own_collections().await, [t.collection.as_str()]);
}

pub async fn collections_are_listed_once_over_small_pages(t: &Subject) {
    let collections: Vec<_> = (0..30).map(|n| t.neighbour(&format!("-{n:02}"))).collect();
    for collection in &collections {
        for key in ["a", "b", "c"] {
            t.put_in(collection, key, entry(0)).await;
        }
    }
    for size in [1, 4, 1000] {
        let query = KeyQuery::new().with_prefix(&t.collection);
        let listed = t.collections_of(query.with_page_size(size)).await;
        assert_eq!(listed, collections, "{size}");
    }
}

pub async fn every_collection_is_listed_without_a_prefix(t: &Subject) {
    t.put("k", entry(1)).await;
    let listed = t.collections_of(KeyQuery::new()).await;
    assert!(listed.contains(&t.collection));
}

pub async fn a_prefix_lists_only_the_collections_that_start_with_it(t: &Subject) {
    for suffix in ["-a1", "-a2", "-b", "*", "\0"] {
        t.put_in(&t.neighbour(suffix), "k", entry(0)).await;
    }
    for (prefix, expected) in [
        ("-a", vec!["-a1", "-a2"]),
        ("-", vec!["-a1", "-a2", "-b"]),
        ("*", vec!["*"]),
        ("\0", vec!["\0"]),
        ("?", vec![]),
    ] {
        let query = KeyQuery::new().with_prefix(t.neighbour(prefix));
        let expected: Vec<_> = expected.into_iter().map(|end| t.neighbour(end)).collect();
        assert_eq!(t.collections_of(query).await, expected, "{prefix:?}");
    }
}

pub async fn a_hostile_cursor_of_collections_is_invalid_or_gives_a_page(t: &Subject) {
    t.put("k", entry(0)).await;
    for text in HOSTILE.map(str::to_owned).into_iter().chain(long_texts()) {
        let query = KeyQuery::new().with_prefix(&t.collection);
        match t
            .store
            .collections(query.with_cursor(Cursor::new(text)))
            .await
        {
            Ok(page) => assert!(page.collections.iter().all(|name| *name == t.collection)),
            Err(error) => assert!(matches!(error, Error::InvalidCursor), "{error:?}"),
        }
    }
}

/// Cursors of lengths that no store hands out, and of bytes that some do.
fn long_texts() -> impl Iterator<Item = String> {
    let mut random = fastrand::Rng::with_seed(3);
    let lengths = [1, 2, 3, 4, 5, 8, 16, 17, 24, 32, 33, 64, 1024, 100_000];
    lengths.into_iter().flat_map(move |length| {
        let hex = (0..length).map(|_| random.digit(16)).collect();
        let wide = (0..length).map(|_| random.char(..)).collect();
        [hex, wide]
    })
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("key-{n:04}")).collect()
}

async fn with_prefix(t: &Subject, prefix: &str) -> Vec<String> {
    t.keys_of(KeyQuery::new().with_prefix(prefix)).await
}

//! Listing: bounded pages, and cursors from anybody.

use std::sync::Arc;
use std::time::Duration;

use kv_core::{Clock, Cursor, Error, KeyQuery, ManualClock, PutMode, Store};
use kv_disk::DiskStore;

use crate::support::{entry, folder, open, put};

#[tokio::test]
async fn a_page_ends_after_a_bounded_number_of_expired_rows() {
    let folder = folder();
    let clock = Arc::new(ManualClock::starting_now());
    let store = DiskStore::builder(folder.path())
        .clock(Arc::clone(&clock) as Arc<dyn Clock>)
        .build()
        .unwrap();
    let end = clock.now().checked_add(Duration::from_secs(1));
    let batch = (0..12_000)
        .map(|key| (format!("{key:05}"), entry("v").with_expires_at(end)))
        .collect();
    store.put_many("c", batch).await.unwrap();
    put(&store, "z", "live").await.unwrap();
    store
        .put("d", "k", entry("v"), PutMode::Create)
        .await
        .unwrap();
    clock.advance(Duration::from_secs(1));

    let first = store.keys("c", KeyQuery::new()).await.unwrap();
    assert!(first.keys.is_empty() && first.next.is_some());
    let second = store
        .keys("c", KeyQuery::new().with_cursor(first.next))
        .await
        .unwrap();
    assert_eq!((second.keys, second.next), (vec!["z".to_owned()], None));

    let first = store.collections(KeyQuery::new()).await.unwrap();
    assert!(first.collections.is_empty() && first.next.is_some());
    let second = store
        .collections(KeyQuery::new().with_cursor(first.next))
        .await
        .unwrap();
    assert_eq!(
        (second.collections, second.next),
        (vec!["c".to_owned(), "d".to_owned()], None)
    );
}

#[tokio::test]
async fn collections_whose_names_begin_alike_are_told_apart() {
    let folder = folder();
    let store = open(folder.path());
    let names = ["a", "a\0", "a\0b", "aa", "b", "é"];
    for name in names {
        for key in 0..3 {
            store
                .put(name, &key.to_string(), entry("v"), PutMode::Create)
                .await
                .unwrap();
        }
    }
    let mut found = Vec::new();
    let mut query = KeyQuery::new().with_page_size(1);
    loop {
        let page = store.collections(query.clone()).await.unwrap();
        found.extend(page.collections);
        match page.next {
            Some(next) => query = query.with_cursor(next),
            None => break,
        }
    }
    assert_eq!(found, names);
    let page = store
        .collections(KeyQuery::new().with_prefix("a\0"))
        .await
        .unwrap();
    assert_eq!(page.collections, ["a\0", "a\0b"]);
}

#[tokio::test]
async fn hostile_cursors_are_refused_or_answered_with_a_page() {
    let folder = folder();
    let store = open(folder.path());
    put(&store, "k", "v").await.unwrap();
    let mut texts: Vec<String> = [
        "",
        "key",
        "key:",
        "key:\0",
        "collection:0:",
        "collection:1:é",
    ]
    .map(str::to_owned)
    .into();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..2000 {
        let tag = random
            .choice(["", "key:", "collection:", "collection:1:"])
            .unwrap();
        let length = random.usize(0..40);
        let text: String = std::iter::repeat_with(|| random.char(..))
            .take(length)
            .collect();
        texts.push(format!("{tag}{text}"));
    }
    for text in texts {
        let query = KeyQuery::new().with_cursor(Cursor::new(text));
        for error in [
            store.keys("c", query.clone()).await.err(),
            store.collections(query).await.err(),
        ] {
            assert!(
                matches!(error, None | Some(Error::InvalidCursor)),
                "{error:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_cursor_of_the_other_listing_is_refused() {
    let folder = folder();
    let store = open(folder.path());
    for name in ["a", "b"] {
        put(&store, name, "v").await.unwrap();
        store
            .put(name, "k", entry("v"), PutMode::Create)
            .await
            .unwrap();
    }
    let one = KeyQuery::new().with_page_size(1);
    let keys = store.keys("c", one.clone()).await.unwrap().next;
    let collections = store.collections(one).await.unwrap().next;
    assert!(keys.is_some() && collections.is_some());
    let crossed = store.collections(KeyQuery::new().with_cursor(keys)).await;
    assert!(matches!(crossed, Err(Error::InvalidCursor)));
    let crossed = store
        .keys("c", KeyQuery::new().with_cursor(collections))
        .await;
    assert!(matches!(crossed, Err(Error::InvalidCursor)));
}

//! Delete, take and clear.

use super::Subject;
use super::subject::entry;

pub async fn deleting_a_live_entry_is_true_and_once(t: &Subject) {
    t.put("k", entry(1)).await;
    assert!(t.delete("k").await);
    assert_eq!(t.get("k").await, None);
    assert!(!t.delete("k").await);
}

pub async fn deleting_a_missing_entry_is_false(t: &Subject) {
    assert!(!t.delete("k").await);
}

pub async fn delete_leaves_the_other_entries(t: &Subject) {
    let other = t.neighbour("-other");
    t.put("k", entry(1)).await;
    t.put("k2", entry(2)).await;
    t.put_in(&other, "k", entry(3)).await;
    assert!(t.delete("k").await);
    assert_eq!(t.number("k2").await, Some(2));
    assert_eq!(t.number_in(&other, "k").await, Some(3));
}

pub async fn a_deleted_entry_is_not_listed(t: &Subject) {
    t.put("a", entry(1)).await;
    t.put("b", entry(2)).await;
    t.delete("a").await;
    assert_eq!(t.keys().await, ["b"]);
    t.delete("b").await;
    assert!(t.keys().await.is_empty());
    assert!(t.own_collections().await.is_empty());
}

pub async fn a_deleted_key_can_be_put_again(t: &Subject) {
    t.put("k", t.mortal(1)).await;
    t.delete("k").await;
    t.put("k", entry(2)).await;
    assert_eq!(t.get("k").await.unwrap().expires_at, None);
    assert_eq!(t.number("k").await, Some(2));
    assert_eq!(t.keys().await, ["k"]);
}

pub async fn take_returns_the_whole_entry_and_removes_it(t: &Subject) {
    t.put("k", t.mortal(1)).await;
    let live = t.get("k").await;
    assert!(live.is_some());
    assert_eq!(t.take("k").await, live);
    assert_eq!(t.get("k").await, None);
    assert_eq!(t.take("k").await, None);
    assert!(!t.delete("k").await);
}

pub async fn take_of_a_missing_entry_is_none(t: &Subject) {
    assert_eq!(t.take("k").await, None);
}

pub async fn take_leaves_the_other_entries(t: &Subject) {
    let other = t.neighbour("-other");
    t.put("k", entry(1)).await;
    t.put("k2", entry(2)).await;
    t.put_in(&other, "k", entry(3)).await;
    assert!(t.take("k").await.is_some());
    assert_eq!(t.number("k2").await, Some(2));
    assert_eq!(t.number_in(&other, "k").await, Some(3));
}

pub async fn a_taken_entry_is_not_listed(t: &Subject) {
    t.put("a", entry(1)).await;
    t.put("b", entry(2)).await;
    t.take("a").await;
    assert_eq!(t.keys().await, ["b"]);
    t.take("b").await;
    assert!(t.own_collections().await.is_empty());
}

pub async fn clear_removes_every_entry_and_counts_them(t: &Subject) {
    t.put("a", entry(1)).await;
    t.put("b", t.mortal(2)).await;
    t.put("c", entry(3)).await;
    assert_eq!(t.clear().await, 3);
    assert_eq!(t.numbers(&["a", "b", "c"]).await, [None; 3]);
    assert!(t.keys().await.is_empty());
    assert!(t.own_collections().await.is_empty());
}

pub async fn clear_of_an_empty_collection_is_zero(t: &Subject) {
    assert_eq!(t.clear().await, 0);
    t.put("k", entry(1)).await;
    assert_eq!(t.clear().await, 1);
    assert_eq!(t.clear().await, 0);
}

pub async fn clear_removes_more_entries_than_a_page_lists(t: &Subject) {
    let keys: Vec<_> = (0..1100).map(|n| format!("key-{n}")).collect();
    t.put_all(&keys).await;
    assert_eq!(t.clear().await, 1100);
    assert!(t.keys().await.is_empty());
}

pub async fn clear_leaves_the_neighbours(t: &Subject) {
    let neighbours = [
        "0",
        "-",
        ":k",
        "*",
        "?",
        "\0",
        "_",
        "__k",
        "/k",
        "\u{10ffff}",
    ];
    let neighbours = neighbours.map(|suffix| t.neighbour(suffix));
    for collection in &neighbours {
        t.put_in(collection, "k", entry(1)).await;
    }
    let (start, _) = t.collection.split_at(t.collection.len() - 1);
    t.put_in(start, "k", entry(1)).await;
    t.put("k", entry(2)).await;
    assert_eq!(t.clear().await, 1);
    for collection in &neighbours {
        assert_eq!(
            t.number_in(collection, "k").await,
            Some(1),
            "{collection:?}"
        );
    }
    assert_eq!(t.number_in(start, "k").await, Some(1));
}

pub async fn clear_of_a_pattern_clears_no_other_collection(t: &Subject) {
    t.put("k", entry(1)).await;
    for pattern in ["*", "?", "[a-z]*", "%"] {
        let pattern = t.neighbour(pattern);
        assert_eq!(t.store.clear(&pattern).await.unwrap(), 0, "{pattern:?}");
    }
    let (start, _) = t.collection.split_at(t.collection.len() - 1);
    for pattern in ["*", "?"] {
        let pattern = format!("{start}{pattern}");
        assert_eq!(t.store.clear(&pattern).await.unwrap(), 0, "{pattern:?}");
    }
    assert_eq!(t.number("k").await, Some(1));
}

pub async fn a_cleared_collection_can_be_filled_again(t: &Subject) {
    t.put("k", entry(1)).await;
    t.clear().await;
    t.put("k", entry(2)).await;
    assert_eq!(t.number("k").await, Some(2));
    assert_eq!(t.keys().await, ["k"]);
}

//! A future that is dropped leaves a whole write or none.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use super::Subject;
use super::subject::{entry, number};
use crate::{Entry, PutMode};

/// A future that takes more polls than this is dropped no later.
const MAX_POLLS: usize = 64;

pub async fn a_dropped_get_changes_nothing(t: &Subject) {
    t.put("k", t.mortal(1)).await;
    let before = t.get("k").await;
    for polls in 0..MAX_POLLS {
        let done = dropped_after(polls, t.store.get(&t.collection, "k")).await;
        assert_eq!(t.get("k").await, before);
        if done {
            break;
        }
    }
}

pub async fn a_dropped_overwrite_leaves_the_old_or_the_new_entry(t: &Subject) {
    for polls in 0..MAX_POLLS {
        let key = format!("k{polls}");
        t.put(&key, t.mortal(1)).await;
        let put = t.try_put(&key, entry(2), PutMode::Overwrite);
        let done = dropped_after(polls, put).await;
        assert_old_or_new(t, &key).await;
        if done {
            break;
        }
    }
    assert_usable(t).await;
}

pub async fn a_dropped_create_leaves_nothing_or_the_new_entry(t: &Subject) {
    for polls in 0..MAX_POLLS {
        let key = format!("k{polls}");
        let put = t.try_put(&key, entry(2), PutMode::Create);
        let done = dropped_after(polls, put).await;
        let read = t.get(&key).await;
        assert!(read.as_ref().is_none_or(is_new), "{read:?}");
        if done {
            break;
        }
    }
    assert_usable(t).await;
}

pub async fn a_dropped_update_leaves_the_old_or_the_new_entry(t: &Subject) {
    for polls in 0..MAX_POLLS {
        let key = format!("k{polls}");
        let revision = t.put(&key, t.mortal(1)).await;
        let put = t.try_put(&key, entry(2), PutMode::Update(revision));
        let done = dropped_after(polls, put).await;
        assert_old_or_new(t, &key).await;
        if done {
            break;
        }
    }
    assert_usable(t).await;
}

pub async fn a_dropped_delete_leaves_the_entry_or_nothing(t: &Subject) {
    for polls in 0..MAX_POLLS {
        let key = format!("k{polls}");
        t.put(&key, t.mortal(1)).await;
        let done = dropped_after(polls, t.store.delete(&t.collection, &key)).await;
        let read = t.get(&key).await;
        assert!(read.as_ref().is_none_or(is_old), "{read:?}");
        if done {
            break;
        }
    }
    assert_usable(t).await;
}

pub async fn a_dropped_take_leaves_the_entry_or_nothing(t: &Subject) {
    for polls in 0..MAX_POLLS {
        let key = format!("k{polls}");
        t.put(&key, t.mortal(1)).await;
        let done = dropped_after(polls, t.store.take(&t.collection, &key)).await;
        let read = t.get(&key).await;
        assert!(read.as_ref().is_none_or(is_old), "{read:?}");
        if done {
            break;
        }
    }
    assert_usable(t).await;
}

pub async fn a_dropped_put_many_leaves_every_entry_old_or_new(t: &Subject) {
    for polls in 0..MAX_POLLS {
        let keys: Vec<_> = (0..8).map(|n| format!("k{polls}-{n}")).collect();
        for key in &keys {
            t.put(key, t.mortal(1)).await;
        }
        let entries = keys.iter().map(|key| (key.clone(), entry(2))).collect();
        let done = dropped_after(polls, t.store.put_many(&t.collection, entries)).await;
        for key in &keys {
            assert_old_or_new(t, key).await;
        }
        if done {
            break;
        }
    }
    assert_usable(t).await;
}

pub async fn a_dropped_clear_leaves_every_entry_whole_or_absent(t: &Subject) {
    for polls in 0..MAX_POLLS {
        let collection = t.neighbour(&format!("-{polls}"));
        for n in 0..8 {
            t.put_in(&collection, &format!("k{n}"), t.mortal(1)).await;
        }
        let done = dropped_after(polls, t.store.clear(&collection)).await;
        for n in 0..8 {
            let read = t.store.get(&collection, &format!("k{n}")).await.unwrap();
            assert!(read.as_ref().is_none_or(is_old), "{read:?}");
        }
        if done {
            break;
        }
    }
    assert_usable(t).await;
}

/// Polls `future` whenever it wakes, `polls` times at most, then drops it. Tells whether it was
/// done.
async fn dropped_after<F: Future>(polls: usize, future: F) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn is_old(entry: &Entry) -> bool {
    number(entry) == 1 && entry.expires_at.is_some() && entry.revision.is_some()
}

fn is_new(entry: &Entry) -> bool {
    number(entry) == 2 && entry.expires_at.is_none() && entry.revision.is_some()
}

async fn assert_old_or_new(t: &Subject, key: &str) {
    let read = t.get(key).await.unwrap();
    assert!(is_old(&read) || is_new(&read), "{read:?}");
}

/// The store still answers after futures were dropped.
async fn assert_usable(t: &Subject) {
    t.store.flush().await.unwrap();
    t.put("usable", entry(3)).await;
    assert_eq!(t.number("usable").await, Some(3));
}

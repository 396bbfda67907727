//! One winner among 64 threads, for each of 1000 keys.

use std::sync::Barrier;

use kv_core::{PutMode, Result, Revision, Store};
use kv_memory::MemoryStore;

use crate::support::{block_on, entry, on_threads};

const RACERS: usize = 64;
const KEYS: usize = 1000;

/// Has all racers try each key at the same moment, and counts the winners of each key.
fn winners_of_each_key(attempt: impl Fn(usize) -> bool + Sync) -> Vec<usize> {
    let start = Barrier::new(RACERS);
    let wins = on_threads(RACERS, |_| -> Vec<bool> {
        (0..KEYS)
            .map(|key| {
                start.wait();
                attempt(key)
            })
            .collect()
    });
    (0..KEYS)
        .map(|key| wins.iter().filter(|wins| wins[key]).count())
        .collect()
}

fn put(store: &MemoryStore, key: usize, mode: PutMode) -> Result<Revision> {
    block_on(store.put("race", &key.to_string(), entry(), mode))
}

#[test]
fn create_has_one_winner() {
    let store = MemoryStore::new();
    let winners = winners_of_each_key(|key| put(&store, key, PutMode::Create).is_ok());
    assert_eq!(winners, [1; KEYS]);
}

#[test]
fn update_has_one_winner() {
    let store = MemoryStore::new();
    let seen: Vec<_> = (0..KEYS)
        .map(|key| put(&store, key, PutMode::Create).unwrap())
        .collect();
    let winners =
        winners_of_each_key(|key| put(&store, key, PutMode::Update(seen[key].clone())).is_ok());
    assert_eq!(winners, [1; KEYS]);
}

#[test]
fn take_has_one_winner() {
    let store = MemoryStore::new();
    for key in 0..KEYS {
        put(&store, key, PutMode::Create).unwrap();
    }
    let winners = winners_of_each_key(|key| {
        let taken = block_on(store.take("race", &key.to_string()));
        taken.unwrap().is_some()
    });
    assert_eq!(winners, [1; KEYS]);
}

#[test]
fn delete_has_one_winner() {
    let store = MemoryStore::new();
    for key in 0..KEYS {
        put(&store, key, PutMode::Create).unwrap();
    }
    let winners =
        winners_of_each_key(|key| block_on(store.delete("race", &key.to_string())).unwrap());
    assert_eq!(winners, [1; KEYS]);
}

//! Keys are changed while the store is in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use kv_core::conformance::{Fault, FaultStore};
use kv_core::wrappers::Operation;
use kv_core::{DecryptKind, Entry, Error, ManualClock, PutMode, Store, StoreExt, Timestamp, Value};
use kv_encryption::{FernetStore, Format, KeyRing};
use kv_memory::MemoryStore;
use serde_json::json;

use crate::support::{NEW, OLD, get, key, put, put_entry, ring, stored, stores, value};

fn both() -> KeyRing {
    KeyRing::new(key(NEW)).with_retired(key(OLD))
}

#[tokio::test]
async fn everything_is_readable_under_the_new_key_alone() {
    let (old, inside) = stores();
    for n in 0..250 {
        put(
            &old,
            &format!("c{}", n % 3),
            &n.to_string(),
            &format!(r#"{{"n":{n}}}"#),
        )
        .await;
    }
    let mut seen = Vec::new();
    let store = FernetStore::new(inside.clone(), both());
    let rotation = store.rotate(|step| seen.push(step.seen())).await.unwrap();
    assert_eq!(
        (rotation.rotated, rotation.current, rotation.failed),
        (250, 0, 0)
    );
    assert!(seen.is_sorted() && seen.last() == Some(&250), "{seen:?}");
    let new = FernetStore::new(inside, ring(NEW));
    for n in 0..250 {
        let read = get(&new, &format!("c{}", n % 3), &n.to_string())
            .await
            .unwrap();
        assert_eq!(read, format!(r#"{{"n":{n}}}"#));
    }
}

#[tokio::test]
async fn what_is_done_is_passed_over() {
    let (old, inside) = stores();
    put(&old, "c", "k", "{}").await;
    let store = FernetStore::new(inside.clone(), both());
    store.rotate(|_| {}).await.unwrap();
    let once = stored(&inside, "c", "k").await;
    let again = store.rotate(|_| {}).await.unwrap();
    assert_eq!((again.rotated, again.current), (0, 1));
    assert_eq!(stored(&inside, "c", "k").await, once);
}

#[tokio::test]
async fn times_and_format_of_each_entry_stay() {
    let (old, inside) = stores();
    let end = inside
        .clock()
        .now()
        .plus_ttl(Duration::from_secs(60))
        .unwrap();
    let entry = Entry::new(value("{}")).with_expires_at(end);
    put_entry(&old, "c", "bound", entry.clone()).await;
    let python = old.clone().with_format(Format::PythonCompatible);
    put_entry(&python, "c", "unbound", entry).await;
    let before = [
        stored(&inside, "c", "bound").await,
        stored(&inside, "c", "unbound").await,
    ];
    let store = FernetStore::new(inside.clone(), both()).allow_unbound();
    assert_eq!(store.rotate(|_| {}).await.unwrap().rotated, 2);
    for (name, before, version) in [("bound", &before[0], 2), ("unbound", &before[1], 1)] {
        let after = stored(&inside, "c", name).await;
        assert_eq!(
            (after.created_at, after.expires_at),
            (before.created_at, before.expires_at)
        );
        let sealed: serde_json::Value = after.value.decode().unwrap();
        assert_eq!(sealed["__encryption_version__"], version);
    }
    let new = FernetStore::new(inside, ring(NEW)).allow_unbound();
    assert_eq!(get(&new, "c", "unbound").await.unwrap(), "{}");
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_reported_and_the_others_go_on() {
    let (old, inside) = stores();
    for name in ["a", "b", "c"] {
        put(&old, "c", name, "{}").await;
    }
    put(&inside, "c", "planted", "{}").await;
    let moved = stored(&inside, "c", "a").await;
    put_entry(&inside, "c", "moved", moved).await;
    let rotation = FernetStore::new(inside.clone(), both())
        .rotate(|_| {})
        .await
        .unwrap();
    assert_eq!((rotation.rotated, rotation.failed), (3, 2));
    let mut failures: Vec<_> = rotation
        .failures
        .iter()
        .map(|f| (f.key.as_str(), &f.error))
        .collect();
    failures.sort_by_key(|(key, _)| *key);
    assert!(matches!(
        failures[..],
        [
            ("moved", Error::Decrypt(DecryptKind::Moved)),
            ("planted", Error::Decrypt(DecryptKind::NotEncrypted)),
        ]
    ));
    assert!(!format!("{rotation:?}").contains("planted"));
}

#[tokio::test]
async fn plaintext_is_encrypted_where_it_is_allowed() {
    let inside = MemoryStore::new();
    put(&inside, "c", "k", r#"{"n":1}"#).await;
    let store = FernetStore::new(inside.clone(), ring(NEW));
    let rotation = store
        .clone()
        .allow_plaintext()
        .rotate(|_| {})
        .await
        .unwrap();
    assert_eq!(rotation.rotated, 1);
    assert_eq!(get(&store, "c", "k").await.unwrap(), r#"{"n":1}"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_meanwhile_is_lost() {
    let (old, inside) = stores();
    for n in 0..50 {
        put(&old, "c", &n.to_string(), r#"{"value":0}"#).await;
    }
    // Everybody has the new key, and some still write with the old one.
    let writer = FernetStore::new(
        inside.clone(),
        KeyRing::new(key(OLD)).with_retired(key(NEW)),
    );
    let store = FernetStore::new(inside, both());
    let stop = Arc::new(AtomicBool::new(false));
    let counting = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            let mut counts = [0_i64; 50];
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                let field = writer.increment("c", &(n % 50).to_string(), 1, None).await;
                counts[n % 50] = field.unwrap();
                n += 1;
                tokio::task::yield_now().await;
            }
            counts
        }
    });
    for _ in 0..20 {
        store.rotate(|_| {}).await.unwrap();
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::Relaxed);
    for (n, count) in counting.await.unwrap().into_iter().enumerate() {
        let read = store
            .get_value::<serde_json::Value>("c", &n.to_string())
            .await;
        assert_eq!(read.unwrap().unwrap(), json!({ "value": count }));
    }
}

#[tokio::test]
async fn an_entry_that_goes_meanwhile_is_no_failure() {
    let (old, inside) = stores();
    put(&old, "c", "k", "{}").await;
    let entry = inside.get("c", "k").await.unwrap().unwrap();
    inside.delete("c", "k").await.unwrap();
    let update = PutMode::Update(entry.revision.clone().unwrap());
    assert!(matches!(
        inside.put("c", "k", entry, update).await,
        Err(Error::Conflict)
    ));
    let rotation = FernetStore::new(inside, both())
        .rotate(|_| {})
        .await
        .unwrap();
    assert_eq!(rotation.seen(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_is_dropped_leaves_each_entry_whole() {
    const ENTRIES: u64 = 1000;
    let (old, inside) = stores();
    for n in 0..ENTRIES {
        put(&old, "c", &n.to_string(), &format!(r#"{{"n":{n}}}"#)).await;
    }
    let store = FernetStore::new(inside.clone(), both());
    let mut dropped = 0;
    for _ in 0..40 {
        let time = Duration::from_micros(fastrand::u64(..20_000));
        let rotation = tokio::time::timeout(time, store.rotate(|_| {})).await;
        dropped += u32::from(rotation.is_err());
    }
    assert!(dropped > 0, "each came to its end");
    store.rotate(|_| {}).await.unwrap();
    let new = FernetStore::new(inside, ring(NEW));
    for n in 0..ENTRIES {
        let read = get(&new, "c", &n.to_string()).await.unwrap();
        assert_eq!(read, format!(r#"{{"n":{n}}}"#));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_rotations_at_once_one_encrypts_each_entry() {
    let (old, inside) = stores();
    for n in 0..1000 {
        put(&old, "c", &n.to_string(), "{}").await;
    }
    let rotate = || {
        let store = FernetStore::new(inside.clone(), both());
        tokio::spawn(async move { store.rotate(|_| {}).await.unwrap() })
    };
    let (one, other) = (rotate(), rotate());
    let (one, other) = (one.await.unwrap(), other.await.unwrap());
    assert_eq!(one.rotated + other.rotated, 1000);
    assert_eq!((one.seen(), other.seen()), (1000, 1000));
    assert_eq!((one.failed, other.failed), (0, 0));
}

#[tokio::test]
async fn a_clock_that_jumps_makes_nothing_unreadable() {
    let at = |micros| Timestamp::from_micros(micros);
    let clock = Arc::new(ManualClock::new(at(1_800_000_000_000_000)));
    let inside = MemoryStore::builder()
        .clock(Arc::<ManualClock>::clone(&clock))
        .build();
    for format in [Format::Bound, Format::PythonCompatible] {
        let old = FernetStore::new(inside.clone(), ring(OLD)).with_format(format);
        put(&old, "c", "k", r#"{"n":1}"#).await;
        for micros in [i64::from(u32::MAX) * 10_000_000, -1_000_000, 1] {
            clock.set(at(micros));
            assert_eq!(get(&old, "c", "k").await.unwrap(), r#"{"n":1}"#);
            // The token's time is that of the entry's creation, or 1970.
            put(&old, "c", "now", "{}").await;
            assert_eq!(get(&old, "c", "now").await.unwrap(), "{}");
        }
        let store = FernetStore::new(inside.clone(), both()).with_format(format);
        let rotation = store.rotate(|_| {}).await.unwrap();
        assert_eq!((rotation.rotated, rotation.failed), (2, 0));
        let new = FernetStore::new(inside.clone(), ring(NEW)).with_format(format);
        assert_eq!(get(&new, "c", "k").await.unwrap(), r#"{"n":1}"#);
    }
}

#[tokio::test]
async fn a_write_of_unknown_outcome_is_a_failure_that_the_next_rotation_settles() {
    let (old, inside) = stores();
    put(&old, "c", "k", "{}").await;
    let faults = FaultStore::new(inside);
    let store = FernetStore::new(faults.clone(), both());
    faults.inject(Fault::outcome_unknown().on(Operation::Put));
    let rotation = store.rotate(|_| {}).await.unwrap();
    assert_eq!((rotation.rotated, rotation.failed), (0, 1));
    assert!(matches!(
        rotation.failures[0].error,
        Error::OutcomeUnknown { .. }
    ));
    faults.heal();
    let rotation = store.rotate(|_| {}).await.unwrap();
    assert_eq!((rotation.seen(), rotation.failed), (1, 0));
}

#[tokio::test]
async fn other_tasks_of_the_thread_run_during_a_rotation() {
    let (old, inside) = stores();
    for n in 0..500 {
        put(&old, "c", &n.to_string(), "{}").await;
    }
    let turns = Arc::new(AtomicUsize::new(0));
    let counting = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move {
            loop {
                turns.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    let store = FernetStore::new(inside, both());
    let rotation = tokio::spawn(async move { store.rotate(|_| {}).await });
    assert_eq!(rotation.await.unwrap().unwrap().rotated, 500);
    let turns = turns.load(Ordering::Relaxed);
    assert!(turns >= 500 / 16, "{turns}");
    counting.abort();
}

#[tokio::test]
async fn plaintext_that_is_no_json_is_reported_and_not_made_authentic() {
    let inside = MemoryStore::new();
    // Put into a record as it stands, it would give that record another name and no end.
    let planted = r#"{},"collection":"c","key":"admin","value":{"admin":true}"#;
    let planted = Entry::new(Value::from_stored(planted.into()));
    put_entry(&inside, "c", "k", planted.clone()).await;
    let store = FernetStore::new(inside.clone(), ring(NEW)).allow_plaintext();
    let read = store.get("c", "k").await;
    assert!(matches!(read, Err(Error::Corrupted { .. })), "{read:?}");
    let rotation = store.rotate(|_| {}).await.unwrap();
    assert_eq!((rotation.rotated, rotation.failed), (0, 1));
    assert_eq!(stored(&inside, "c", "k").await.value, planted.value);
}

#[tokio::test]
async fn progress_is_told_every_100_entries() {
    let (old, inside) = stores();
    for n in 0..250 {
        put(&old, "c", &n.to_string(), "{}").await;
    }
    let mut seen = Vec::new();
    let store = FernetStore::new(inside, both());
    store.rotate(|step| seen.push(step.seen())).await.unwrap();
    assert_eq!(seen, [100, 200, 250]);
}

#[tokio::test]
async fn every_collection_is_rotated_however_many_there_are() {
    const COLLECTIONS: u64 = 2500;
    let (old, inside) = stores();
    for n in 0..COLLECTIONS {
        put(&old, &n.to_string(), "k", "{}").await;
    }
    let store = FernetStore::new(inside, both());
    assert_eq!(store.rotate(|_| {}).await.unwrap().rotated, COLLECTIONS);
}

#[tokio::test]
async fn the_first_1000_failures_are_named_and_all_are_counted() {
    let inside = MemoryStore::new();
    for n in 0..1100 {
        put(&inside, "c", &n.to_string(), "{}").await;
    }
    let store = FernetStore::new(inside, both());
    let rotation = store.rotate(|_| {}).await.unwrap();
    assert_eq!((rotation.failed, rotation.failures.len()), (1100, 1000));
}

#[tokio::test]
async fn a_step_that_cannot_be_read_is_a_failure_of_its_entries_and_the_others_go_on() {
    let (old, inside) = stores();
    for n in 0..250 {
        put(&old, "c", &n.to_string(), "{}").await;
    }
    let faults = FaultStore::new(inside);
    faults.inject(Fault::unavailable().on(Operation::GetMany));
    let store = FernetStore::new(faults, both());
    let rotation = store.rotate(|_| {}).await.unwrap();
    assert_eq!((rotation.rotated, rotation.failed), (150, 100));
}

//! Many callers who read at the same time.

use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use kv_core::{Entry, Error, Result, Store};
use kv_redis::RedisStore;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::support::{command, get, hasty, put, server, store, value};

/// More than are ever sent together, on top of those who go alone.
const MANY: usize = 180;

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_reader_gets_its_own_answer() {
    let server = server();
    let store = store(&server);
    for n in 0..MANY {
        if n.is_multiple_of(3) {
            put(&store, &n.to_string(), &n.to_string()).await.unwrap();
        }
    }
    let () = command(&server.url(), &["RPUSH", "c::1", "not a string"]).unwrap();
    let readers = (0..10 * MANY).map(|reader| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..20 {
                let n = (reader + n * 7) % MANY;
                match store.get("c", &n.to_string()).await {
                    Ok(Some(entry)) if n.is_multiple_of(3) => {
                        assert_eq!(entry.value, value(&n.to_string()));
                    }
                    Ok(None) if !n.is_multiple_of(3) && n != 1 => {}
                    Err(Error::Corrupted { .. }) if n == 1 => {}
                    other => panic!("{n}: {other:?}"),
                }
            }
        })
    });
    for reader in join_all(readers).await {
        reader.unwrap();
    }
}

#[tokio::test]
async fn readers_who_go_away_take_nobodys_answer_along() {
    let server = server();
    let store = store(&server);
    put(&store, "k", "v").await.unwrap();
    for _ in 0..20 {
        let mut readers: Vec<_> = (0..MANY).map(|_| Box::pin(get(&store, "k"))).collect();
        for reader in &mut readers {
            assert_eq!(reader.now_or_never(), None);
        }
        let mut keep = [true, false, false].into_iter().cycle();
        readers.retain(|_| keep.next().unwrap());
        for answer in join_all(readers).await {
            assert_eq!(answer, Some(value("v")));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_repeated_when_the_connection_breaks() {
    let server = server();
    let store = store(&server);
    put(&store, "k", "v").await.unwrap();
    for _ in 0..20 {
        let readers: Vec<_> = (0..MANY)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { get(&store, "k").await })
            })
            .collect();
        let () = command(&server.url(), &["CLIENT", "KILL", "SKIPME", "yes"]).unwrap();
        for reader in readers {
            assert_eq!(reader.await.unwrap(), Some(value("v")));
        }
    }
}

type Reader<'a> = Pin<Box<dyn Future<Output = Result<Option<Entry>>> + Send + 'a>>;

/// Readers on a runtime that have asked, and got no answer before it went no further.
fn stranded<'a>(runtime: &Runtime, store: &'a RedisStore) -> Vec<Reader<'a>> {
    runtime.block_on(async {
        put(store, "k", "v").await.unwrap();
        let mut readers: Vec<Reader<'_>> = (0..MANY).map(|_| store.get("c", "k")).collect();
        for reader in &mut readers {
            assert!(reader.now_or_never().is_none());
        }
        readers
    })
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_reader_does_not_wait_for_those_on_a_runtime_that_rests() {
    let server = server();
    let store = hasty(server.url()).build().unwrap();
    let resting = runtime();
    let readers = stranded(&resting, &store);
    runtime().block_on(async {
        // Not so many that they complete groups to be sent at once.
        let others = join_all((0..20).map(|_| get(&store, "k")));
        let answers = timeout(PATIENCE, others).await.unwrap();
        assert_eq!(answers, vec![Some(value("v")); 20]);
    });
    drop(readers);
}

#[test]
fn a_reader_whose_runtime_has_ended_asks_again_by_itself() {
    let server = server();
    let store = hasty(server.url()).build().unwrap();
    let ending = runtime();
    let readers = stranded(&ending, &store);
    drop(ending);
    runtime().block_on(async {
        // Those who asked alone wait on the runtime that has ended.
        let together = readers.into_iter().skip(MANY / 2);
        let answers = timeout(PATIENCE, join_all(together)).await.unwrap();
        for answer in answers {
            assert_eq!(answer.unwrap().unwrap().value, value("v"));
        }
    });
}

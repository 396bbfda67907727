//! What the tests share.

use std::future::Future;
use std::sync::Arc;
use std::thread;

use kv_core::conformance::Fixture;
use kv_core::{Entry, KeyQuery, ManualClock, Store, Value};
use kv_memory::MemoryStore;

/// Makes a memory store, as `conformance_tests!` asks for.
#[allow(clippy::unused_async, reason = "the suite awaits its maker")]
pub(crate) async fn make(clock: Arc<ManualClock>) -> Fixture<MemoryStore> {
    Fixture::new(MemoryStore::builder().clock(clock).build())
}

pub(crate) fn entry() -> Entry {
    Entry::new(Value::from_json("{}").unwrap())
}

/// Runs a future that is never pending for long, without a runtime of its own to be made first.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// Runs `work` on `count` threads at the same time and returns what each made.
pub(crate) fn on_threads<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..count)
            .map(|number| scope.spawn(move || work(number)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// Lists every key of `collection`.
pub(crate) async fn all_keys(store: &impl Store, collection: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut query = KeyQuery::new();
    loop {
        let page = store.keys(collection, query.clone()).await.unwrap();
        keys.extend(page.keys);
        match page.next {
            Some(next) => query = query.with_cursor(next),
            None => return keys,
        }
    }
}

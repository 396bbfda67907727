//! Large values, and many at once.

use std::pin::Pin;
use std::sync::mpsc;

use futures_util::FutureExt as _;
use kv_core::{Entry, Error, PutMode, Store};
use tokio::runtime::{Builder, Runtime};

use crate::support::{stores, value};

const LARGE: usize = 1 << 20;

fn entry(bytes: usize) -> Entry {
    Entry::new(value(&format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes))))
}

/// Runs `test`, with a function that tells whether some work waits for another thread: all of them
/// are busy while it looks.
fn with_busy_threads<T: Future<Output = ()>>(test: impl FnOnce(fn(Work<'_>) -> bool) -> T) {
    let runtime = Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(test(|work| {
        let (_busy, end) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || end.recv());
        work.now_or_never().is_none()
    }));
}

type Work<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Makes the work of a call, whose result is no matter.
fn work<'a, T>(call: impl Future<Output = T> + 'a) -> Work<'a> {
    Box::pin(async {
        call.await;
    })
}

#[test]
fn large_values_are_worked_on_by_another_thread_and_small_ones_are_not() {
    with_busy_threads(async |waits| {
        let (store, _) = stores();
        let put = |bytes| store.put("c", "k", entry(bytes), PutMode::Overwrite);
        assert!(!waits(work(put(1000))));
        assert!(!waits(work(store.get("c", "k"))));
        assert!(waits(work(put(LARGE))));
        put(LARGE).await.unwrap();
        assert!(waits(work(store.get("c", "k"))));
        assert_eq!(
            store.get("c", "k").await.unwrap().unwrap().value,
            entry(LARGE).value
        );
        let taken = store.take("c", "k").await.unwrap().unwrap();
        assert_eq!(taken.value, entry(LARGE).value);
    });
}

#[test]
fn many_values_at_once_are_worked_on_by_another_thread() {
    with_busy_threads(async |waits| {
        let (store, _) = stores();
        let keys: Vec<_> = (0..100).map(|number| number.to_string()).collect();
        let names: Vec<_> = keys.iter().map(String::as_str).collect();
        let entries = || keys.iter().map(|key| (key.clone(), entry(1000))).collect();
        assert!(waits(work(store.put_many("c", entries()))));
        store.put_many("c", entries()).await.unwrap();
        assert!(waits(work(store.get_many("c", &names))));
        for read in store.get_many("c", &names).await.unwrap() {
            assert_eq!(read.unwrap().unwrap().value, entry(1000).value);
        }
    });
}

#[test]
fn a_thousand_tiny_values_at_once_are_worked_on_by_another_thread() {
    with_busy_threads(async |waits| {
        let (store, _) = stores();
        let entries = || (0..1000).map(|key| (key.to_string(), Entry::new(value("{}"))));
        assert!(waits(work(store.put_many("c", entries().collect()))));
        store.put_many("c", entries().collect()).await.unwrap();
        let few = entries().take(10).collect();
        assert!(!waits(work(store.put_many("c", few))));
    });
}

#[test]
fn what_was_taken_while_the_runtime_shuts_down_is_not_called_untouched() {
    let (store, inside) = stores();
    let put = store.put("c", "k", entry(LARGE), PutMode::Create);
    put.now_or_never().unwrap().unwrap();
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle().clone();
    drop(runtime);
    let _inside = handle.enter();
    let read = store.get("c", "k").now_or_never().unwrap();
    assert!(matches!(read, Err(Error::Unavailable { .. })), "{read:?}");
    let put = store.put("c", "k", entry(LARGE), PutMode::Overwrite);
    let put = put.now_or_never().unwrap();
    assert!(matches!(put, Err(Error::Unavailable { .. })), "{put:?}");
    let taken = store.take("c", "k").now_or_never().unwrap();
    assert!(
        matches!(taken, Err(Error::OutcomeUnknown { .. })),
        "{taken:?}"
    );
    assert_eq!(inside.get("c", "k").now_or_never().unwrap().unwrap(), None);
}

#[test]
fn without_a_runtime_large_values_are_worked_on_by_the_caller() {
    let (store, _) = stores();
    let put = store.put("c", "k", entry(LARGE), PutMode::Create);
    put.now_or_never().unwrap().unwrap();
    assert!(
        store
            .get("c", "k")
            .now_or_never()
            .unwrap()
            .unwrap()
            .is_some()
    );
}

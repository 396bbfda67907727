//! What a write of many parts says when one of them fails: retry only where nothing was applied.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use kv_core::{
    Clock, CollectionPage, Entry, Error, KeyPage, KeyQuery, PutMode, Result, Revision, Store,
    StoreExt, StoreInfo, SystemClock, Value,
};

use crate::support::ReferenceStore;

/// The reference store, whose writes fail after some have been done, with nothing but the
/// required operations of its own.
#[derive(Debug)]
struct Failing {
    inner: ReferenceStore,
    writes_left: AtomicU32,
    error: Error,
}

impl Failing {
    /// Holds `entries` entries in each of the collections `a` and `b`, and fails after `writes`.
    async fn after(writes: u32, entries: u64, error: Error) -> Arc<Self> {
        let inner = ReferenceStore::new(SystemClock::default());
        for collection in ["a", "b", "p__a", "p__b"] {
            for n in 0..entries {
                let key = format!("p__{n}");
                let put = inner.put(collection, &key, entry(), PutMode::Create);
                put.await.unwrap();
            }
        }
        Arc::new(Self {
            inner,
            writes_left: AtomicU32::new(writes),
            error,
        })
    }

    fn write(&self) -> Result<()> {
        let left = self.writes_left.load(Ordering::SeqCst);
        let left = left.checked_sub(1).ok_or_else(|| self.error.clone())?;
        self.writes_left.store(left, Ordering::SeqCst);
        Ok(())
    }
}

#[async_trait]
impl Store for Failing {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.inner.get(collection, key).await
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        self.write()?;
        self.inner.put(collection, key, entry, mode).await
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        self.write()?;
        self.inner.delete(collection, key).await
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.write()?;
        self.inner.take(collection, key).await
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        self.inner.keys(collection, query.with_page_size(1)).await
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        self.inner.collections(query).await
    }

    async fn cull(&self) -> Result<u64> {
        self.inner.cull().await
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        self.write()?;
        self.inner.clear(collection).await
    }

    async fn destroy(&self) -> Result<()> {
        self.write()?;
        self.inner.destroy().await
    }

    async fn flush(&self) -> Result<()> {
        self.inner.flush().await
    }

    fn clock(&self) -> &dyn Clock {
        self.inner.clock()
    }

    fn info(&self) -> StoreInfo {
        StoreInfo::new("failing")
    }
}

fn entry() -> Entry {
    Entry::new(Value::from_json("{}").unwrap())
}

fn unavailable() -> Error {
    Error::Unavailable {
        store: "failing",
        reason: "a test broke it".to_owned(),
        source: None,
    }
}

fn assert_unavailable<T: std::fmt::Debug>(result: &Result<T>) {
    assert!(
        matches!(result, Err(Error::Unavailable { .. })),
        "{result:?}"
    );
}

fn assert_unknown<T: std::fmt::Debug>(result: Result<T>) {
    let error = result.unwrap_err();
    let Error::OutcomeUnknown {
        store: "failing",
        source: Some(source),
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(source.to_string(), unavailable().to_string());
}

#[tokio::test]
async fn a_delete_of_many_is_retryable_only_before_the_first_one_went() {
    let keys = ["p__0", "p__1"];
    let store = Failing::after(0, 2, unavailable()).await;
    assert_unavailable(&store.delete_many("a", &keys).await);
    let store = Failing::after(1, 2, unavailable()).await;
    assert_unavailable(&store.delete_many("a", &["missing", "p__0"]).await);
    let store = Failing::after(1, 2, unavailable()).await;
    assert_unknown(store.delete_many("a", &keys).await);
}

#[tokio::test]
async fn the_clearing_of_prefixed_keys_is_retryable_only_before_the_first_one_went() {
    for writes in [0, 1] {
        let store = Failing::after(writes, 2, unavailable()).await;
        let store = store.prefixed_keys("p").unwrap();
        let cleared = store.clear("a").await;
        if writes == 0 {
            assert_unavailable(&cleared);
        } else {
            assert_unknown(cleared);
        }
    }
}

#[tokio::test]
async fn destroying_a_prefix_is_retryable_only_before_the_first_entry_went() {
    for writes in [0, 1] {
        let store = Failing::after(writes, 1, unavailable()).await;
        let by_key = store.prefixed_keys("p").unwrap().destroy().await;
        let store = Failing::after(writes, 1, unavailable()).await;
        let by_collection = store.prefixed("p").unwrap().destroy().await;
        for destroyed in [by_key, by_collection] {
            if writes == 0 {
                assert_unavailable(&destroyed);
            } else {
                assert_unknown(destroyed);
            }
        }
    }
}

#[tokio::test]
async fn a_put_of_many_does_not_claim_that_an_unknown_one_was_not_written() {
    let unknown = Error::OutcomeUnknown {
        store: "failing",
        source: None,
    };
    let store = Failing::after(1, 0, unknown).await;
    let entries = ["a", "b", "c"].map(|key| (key.to_owned(), entry()));
    let error = store.put_many("a", entries.to_vec()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "2 entries of the batch were not written, or may not have been"
    );
    let Error::Incomplete { keys, source } = error else {
        panic!("{error:?}");
    };
    assert_eq!(keys, ["b", "c"]);
    let source = source.unwrap();
    let source = source.downcast_ref::<Error>();
    assert!(matches!(source, Some(Error::OutcomeUnknown { .. })));
}

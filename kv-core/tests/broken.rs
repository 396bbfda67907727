//! [`Broken`]: the reference store with one fault, to show that the suite finds it.

use std::sync::Arc;

use async_trait::async_trait;
use kv_core::{
    Clock, CollectionPage, Cursor, Entry, KeyPage, KeyQuery, ManualClock, PutMode, Result,
    Revision, Store, StoreInfo, Timestamp, Value,
};
use tokio::task::yield_now;

use crate::support::ReferenceStore;

/// What a [`Broken`] store does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    KeepsTheOldExpiry,
    EndsAMicrosecondEarly,
    EndsAMicrosecondLate,
    TakesTheValueForTheRevision,
    ChecksBeforeItWrites,
    ReadsBeforeItRemoves,
    WritesInTwoSteps,
    ClearsByPrefix,
    DropsDuplicates,
    LetsTheFirstDuplicateWin,
    WritesBeforeItChecks,
    SaysTrueToEveryDelete,
    JoinsNamesWithAColon,
    FoldsCase,
    TakesAnEmptyKey,
    RewritesJson,
    RoundsToMilliseconds,
    CountsItsPages,
    CullsTheMortal,
    DestroysNothing,
    ShowsItsKeys,
}

/// A [`ReferenceStore`] with a [`Fault`].
pub(crate) struct Broken {
    inner: ReferenceStore,
    clock: Arc<ManualClock>,
    fault: Fault,
}

impl std::fmt::Debug for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = if self.is(Fault::ShowsItsKeys) {
            "hunter2"
        } else {
            ".."
        };
        write!(f, "Broken({keys})")
    }
}

/// A clock that is some microseconds off.
#[derive(Debug)]
struct Off(Arc<ManualClock>, i64);

impl Clock for Off {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.now().as_micros() + self.1)
    }
}

impl Broken {
    pub(crate) fn new(clock: Arc<ManualClock>, fault: Fault) -> Self {
        let off = match fault {
            Fault::EndsAMicrosecondEarly => 1,
            Fault::EndsAMicrosecondLate => -1,
            _ => 0,
        };
        Self {
            inner: ReferenceStore::new(Off(Arc::clone(&clock), off)),
            clock,
            fault,
        }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn names(&self, collection: &str, key: &str) -> (String, String) {
        match self.fault {
            Fault::JoinsNamesWithAColon => ("all".into(), format!("{collection}:{key}")),
            Fault::FoldsCase => (collection.into(), key.to_lowercase()),
            Fault::TakesAnEmptyKey if key.is_empty() => (collection.into(), "empty".into()),
            _ => (collection.into(), key.into()),
        }
    }

    fn shown(&self, mut entry: Entry) -> Entry {
        if self.is(Fault::TakesTheValueForTheRevision) {
            entry.revision = Some(revision_of(&entry));
        }
        if self.is(Fault::RewritesJson) {
            let value: serde_json::Value = entry.value.decode().unwrap();
            entry.value = Value::encode(&value).unwrap();
        }
        if self.is(Fault::RoundsToMilliseconds) {
            entry.expires_at = entry.expires_at.map(|end| {
                let micros = end.as_micros();
                Timestamp::from_micros(micros - micros.rem_euclid(1000))
            });
        }
        entry
    }

    /// The mode that the store below understands.
    async fn inner_mode(&self, collection: &str, key: &str, mode: PutMode) -> Result<PutMode> {
        let PutMode::Update(revision) = &mode else {
            return Ok(mode);
        };
        if !self.is(Fault::TakesTheValueForTheRevision) {
            return Ok(mode);
        }
        let live = self.inner.get(collection, key).await?;
        let live = live.filter(|entry| revision_of(entry) == *revision);
        Ok(live
            .and_then(|entry| entry.revision)
            .map_or(mode, PutMode::Update))
    }
}

fn revision_of(entry: &Entry) -> Revision {
    Revision::from_bytes(entry.value.clone().into_bytes())
}

#[async_trait]
impl Store for Broken {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let (collection, key) = self.names(collection, key);
        let read = self.inner.get(&collection, &key).await?;
        Ok(read.map(|entry| self.shown(entry)))
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        mut entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        let (collection, key) = &self.names(collection, key);
        let mut mode = self.inner_mode(collection, key, mode).await?;
        let old = self.inner.get(collection, key).await?;
        if self.is(Fault::KeepsTheOldExpiry) && entry.expires_at.is_none() {
            entry.expires_at = old.as_ref().and_then(|old| old.expires_at);
        }
        if self.is(Fault::ChecksBeforeItWrites) {
            let live = old.and_then(|old| old.revision);
            let holds = match &mode {
                PutMode::Create => live.is_none(),
                PutMode::Update(revision) => live.as_ref() == Some(revision),
                _ => true,
            };
            yield_now().await;
            if holds {
                mode = PutMode::Overwrite;
            }
        }
        if self.is(Fault::WritesInTwoSteps) && mode == PutMode::Overwrite {
            self.inner.delete(collection, key).await?;
            yield_now().await;
        }
        let shown = revision_of(&entry);
        let revision = self.inner.put(collection, key, entry, mode).await?;
        let by_value = self.is(Fault::TakesTheValueForTheRevision);
        Ok(if by_value { shown } else { revision })
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        let (collection, key) = self.names(collection, key);
        let deleted = self.inner.delete(&collection, &key).await?;
        Ok(deleted || self.is(Fault::SaysTrueToEveryDelete))
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let (collection, key) = self.names(collection, key);
        if self.is(Fault::ReadsBeforeItRemoves) {
            let read = self.inner.get(&collection, &key).await?;
            yield_now().await;
            self.inner.delete(&collection, &key).await?;
            return Ok(read);
        }
        let taken = self.inner.take(&collection, &key).await?;
        Ok(taken.map(|entry| self.shown(entry)))
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        let mut keys = keys.to_vec();
        if self.is(Fault::DropsDuplicates) {
            keys.dedup();
            keys.sort_unstable();
            keys.dedup();
        }
        let read = self.inner.get_many(collection, &keys).await?;
        let read = read.into_iter();
        Ok(read
            .map(|entry| Ok(entry?.map(|entry| self.shown(entry))))
            .collect())
    }

    async fn put_many(
        &self,
        collection: &str,
        mut entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        if self.is(Fault::WritesBeforeItChecks) {
            let mut revisions = Vec::new();
            for (key, entry) in entries {
                let put = self.put(collection, &key, entry, PutMode::Overwrite);
                revisions.push(put.await?);
            }
            return Ok(revisions);
        }
        if self.is(Fault::LetsTheFirstDuplicateWin) {
            entries.reverse();
        }
        let mut revisions = self.inner.put_many(collection, entries).await?;
        if self.is(Fault::LetsTheFirstDuplicateWin) {
            revisions.reverse();
        }
        Ok(revisions)
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        self.inner.delete_many(collection, keys).await
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        if !self.is(Fault::CountsItsPages) {
            return self.inner.keys(collection, query).await;
        }
        let all = query.clone().with_cursor(None).with_page_size(usize::MAX);
        let all = self.inner.keys(collection, all).await?.keys;
        let cursor = query.cursor.as_ref();
        let done: usize = cursor.map_or(0, |cursor| cursor.as_str().parse().unwrap());
        let next = done + query.page_size();
        let keys = all.iter().take(next).skip(done).cloned().collect();
        let next = (next < all.len()).then(|| Cursor::new(next.to_string()));
        Ok(KeyPage::new(keys, next))
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        self.inner.collections(query).await
    }

    async fn cull(&self) -> Result<u64> {
        if self.is(Fault::CullsTheMortal) {
            let now = self.clock.now();
            self.clock.set(Timestamp::MAX);
            let culled = self.inner.cull().await;
            self.clock.set(now);
            return culled;
        }
        self.inner.cull().await
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        if self.is(Fault::ClearsByPrefix) {
            let query = KeyQuery::new().with_prefix(collection);
            let mut cleared = 0;
            for collection in self.inner.collections(query).await?.collections {
                cleared += self.inner.clear(&collection).await?;
            }
            return Ok(cleared);
        }
        self.inner.clear(collection).await
    }

    async fn destroy(&self) -> Result<()> {
        if self.is(Fault::DestroysNothing) {
            return Ok(());
        }
        self.inner.destroy().await
    }

    async fn flush(&self) -> Result<()> {
        self.inner.flush().await
    }

    fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    fn info(&self) -> StoreInfo {
        self.inner.info()
    }
}

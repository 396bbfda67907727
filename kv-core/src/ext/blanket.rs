//! The implementation of [`StoreExt`] for every store.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::StoreExt;
use crate::{
    Collection, Cursor, Entry, Error, KeyQuery, PutMode, Result, Revision, Store, Timestamp, Value,
};

/// How often [`StoreExt::update_entry`] tries before it gives up.
const UPDATE_ATTEMPTS: u32 = 100;

/// The longest pause before the second try. It doubles with each try, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_millis(250);

impl<S: Store + ?Sized> StoreExt for S {
    async fn get_value<T: DeserializeOwned>(
        &self,
        collection: &str,
        key: &str,
    ) -> Result<Option<T>> {
        let entry = self.get(collection, key).await?;
        entry.map(|entry| entry.value.decode()).transpose()
    }

    async fn put_value<T: Serialize + Sync + ?Sized>(
        &self,
        collection: &str,
        key: &str,
        value: &T,
        ttl: Option<Duration>,
    ) -> Result<()> {
        let entry = entry_with_ttl(Value::encode(value)?, self.clock().now(), ttl)?;
        self.put(collection, key, entry, PutMode::Overwrite).await?;
        Ok(())
    }

    async fn put_if_absent<T: Serialize + Sync + ?Sized>(
        &self,
        collection: &str,
        key: &str,
        value: &T,
        ttl: Option<Duration>,
    ) -> Result<bool> {
        let entry = entry_with_ttl(Value::encode(value)?, self.clock().now(), ttl)?;
        match self.put(collection, key, entry, PutMode::Create).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn ttl(&self, collection: &str, key: &str) -> Result<Option<(Entry, Option<Duration>)>> {
        let entry = self.get(collection, key).await?;
        Ok(with_remaining(entry, self.clock().now()))
    }

    async fn ttl_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<(Entry, Option<Duration>)>>>> {
        let entries = self.get_many(collection, keys).await?;
        let now = self.clock().now();
        let with_remaining = |entry| with_remaining(entry, now);
        Ok(entries
            .into_iter()
            .map(|entry| entry.map(with_remaining))
            .collect())
    }

    async fn update_entry<F>(
        &self,
        collection: &str,
        key: &str,
        mut change: F,
    ) -> Result<Option<Revision>>
    where
        F: FnMut(Option<&Entry>) -> Result<Option<Entry>> + Send,
    {
        for attempt in 0..UPDATE_ATTEMPTS {
            if attempt > 0 {
                pause(attempt).await;
            }
            let old = self.get_fresh(collection, key).await?;
            let Some(new) = change(old.as_ref())? else {
                return Ok(None);
            };
            // An entry that some wrapper made up has no revision: nothing is stored under the key.
            let mode = match old.and_then(|entry| entry.revision) {
                Some(revision) => PutMode::Update(revision),
                None => PutMode::Create,
            };
            match self.put(collection, key, new, mode).await {
                Ok(revision) => return Ok(Some(revision)),
                Err(Error::AlreadyExists | Error::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Conflict)
    }

    async fn update<T, F>(
        &self,
        collection: &str,
        key: &str,
        ttl: Option<Duration>,
        mut change: F,
    ) -> Result<Option<T>>
    where
        T: Serialize + DeserializeOwned + Send,
        F: FnMut(Option<T>) -> Option<T> + Send,
    {
        let mut stored = None;
        self.update_entry(collection, key, |old| {
            let old = old.map(|entry| entry.value.decode()).transpose()?;
            stored = change(old);
            stored
                .as_ref()
                .map(|new| entry_with_ttl(Value::encode(new)?, self.clock().now(), ttl))
                .transpose()
        })
        .await?;
        Ok(stored)
    }

    async fn touch(&self, collection: &str, key: &str, ttl: Option<Duration>) -> Result<bool> {
        let touched = self
            .update_entry(collection, key, |old| {
                let now = self.clock().now();
                let expires_at = ttl.map(|ttl| now.plus_ttl(ttl)).transpose()?;
                Ok(old.map(|entry| successor(entry, now).with_expires_at(expires_at)))
            })
            .await?;
        Ok(touched.is_some())
    }

    async fn increment(
        &self,
        collection: &str,
        key: &str,
        by: i64,
        ttl: Option<Duration>,
    ) -> Result<i64> {
        let mut sum = 0;
        self.update_entry(collection, key, |old| {
            let now = self.clock().now();
            let value = match old {
                Some(entry) => entry.value.decode::<Counter>()?.value,
                None => 0,
            };
            sum = value.checked_add(by).ok_or(Error::Overflow)?;
            let value = Value::encode(&Counter { value: sum })?;
            // One that some wrapper made up is new: see `update_entry`.
            match old.filter(|entry| entry.revision.is_some()) {
                Some(entry) => {
                    let mut entry = successor(entry, now);
                    entry.value = value;
                    Ok(Some(entry))
                }
                None => entry_with_ttl(value, now, ttl).map(Some),
            }
        })
        .await?;
        Ok(sum)
    }

    fn keys_stream(
        &self,
        collection: &str,
        query: KeyQuery,
    ) -> impl Stream<Item = Result<String>> + Send + Unpin {
        names(query, move |query| async move {
            let page = self.keys(collection, query).await?;
            Ok((page.keys, page.next))
        })
    }

    fn collections_stream(
        &self,
        query: KeyQuery,
    ) -> impl Stream<Item = Result<String>> + Send + Unpin {
        names(query, move |query| async move {
            let page = self.collections(query).await?;
            Ok((page.collections, page.next))
        })
    }

    fn collection<T>(&self, collection: impl Into<String>) -> Collection<T, Self>
    where
        Self: Clone,
    {
        Collection::new(self.clone(), collection)
    }
}

/// The value of a counter. One with other members is none: an increment would drop them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counter {
    value: i64,
}

/// Makes an entry that is created `now` and ends after `ttl`.
///
/// `created_at` is set, because a short TTL could else be over when the store fills it in.
pub(crate) fn entry_with_ttl(value: Value, now: Timestamp, ttl: Option<Duration>) -> Result<Entry> {
    let expires_at = ttl.map(|ttl| now.plus_ttl(ttl)).transpose()?;
    Ok(Entry::new(value)
        .with_created_at(now)
        .with_expires_at(expires_at))
}

/// Copies a live entry to be written again at `now`.
///
/// Where the writer's clock was ahead of ours, the creation would lie after an expiry counted from
/// `now`, which no store takes: such an entry counts as created now.
fn successor(entry: &Entry, now: Timestamp) -> Entry {
    let created_at = entry.created_at.map(|time| time.min(now));
    entry.clone().with_created_at(created_at)
}

/// Adds the time left at `now`. What has ended since it was read is absent.
fn with_remaining(entry: Option<Entry>, now: Timestamp) -> Option<(Entry, Option<Duration>)> {
    let entry = entry.filter(|entry| !entry.is_expired(now))?;
    let remaining = entry.remaining(now);
    Some((entry, remaining))
}

/// Pauses before try number `attempt`, counted from zero. Where no tokio runtime is, there is no
/// timer, and only the other tasks of the caller's executor get their turn.
async fn pause(attempt: u32) {
    if Handle::try_current().is_ok() {
        tokio::time::sleep(pause_before(attempt)).await;
    } else {
        tokio::task::yield_now().await;
    }
}

/// Returns a random pause before try number `attempt`, counted from zero ("full jitter").
fn pause_before(attempt: u32) -> Duration {
    let longest = FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(attempt - 1))
        .min(MAX_PAUSE);
    longest.mul_f64(fastrand::f64())
}

/// Lists all pages that `fetch` returns as one stream of names without repeats.
fn names<F, P>(query: KeyQuery, fetch: F) -> impl Stream<Item = Result<String>> + Send + Unpin
where
    F: Fn(KeyQuery) -> P + Send,
    P: Future<Output = Result<(Vec<String>, Option<Cursor>)>> + Send,
{
    let state = (Some(query), HashSet::new(), fetch);
    let pages = stream::try_unfold(state, async |(query, mut seen, fetch)| {
        let Some(query) = query else {
            return Ok(None);
        };
        let (mut names, next) = fetch(query.clone()).await?;
        // A page repeats nothing of itself, so a single page needs no memory.
        if next.is_some() || !seen.is_empty() {
            names.retain(|name| seen.insert(name.clone()));
        }
        let query = next.map(|cursor| query.with_cursor(cursor));
        Ok(Some((names, (query, seen, fetch))))
    });
    let names = pages.map_ok(|names| stream::iter(names).map(Ok));
    Box::pin(names.try_flatten())
}

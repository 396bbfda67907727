//! [`StoreExt`]: what every store can do beyond [`Store`], built on it alone.

mod blanket;

use std::time::Duration;

use futures_util::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::wrappers::{
    Cached, DefaultValue, Fallback, LimitSize, PrefixCollections, PrefixKeys, ReadOnly, Retry,
    Routing, SingleCollection, SingleFlight, Stats, Timeout, Traced, TtlClamp,
};
use crate::{Collection, Entry, KeyQuery, Result, Revision, Store, Value};

#[cfg(doc)]
use crate::Error;

pub(crate) use blanket::entry_with_ttl;

#[doc = include_str!("docs/store_ext.md")]
pub trait StoreExt: Store {
    /// Returns the value of `key` as a `T`; `None` when there is no live entry.
    ///
    /// # Errors
    ///
    /// Those of [`Store::get`], and [`Error::Decode`] when the value is not a `T`.
    fn get_value<T: DeserializeOwned>(
        &self,
        collection: &str,
        key: &str,
    ) -> impl Future<Output = Result<Option<T>>> + Send;

    /// Stores `value` under `key`, replacing what is there together with its expiry.
    ///
    /// # Errors
    ///
    /// [`Error::NotAnObject`] when `value` serializes to anything but a JSON object; wrap it in
    /// [`Items`](crate::Items). [`Error::Encode`] when it does not serialize or is nested deeper than
    /// 127 levels, [`Error::InvalidTtl`] when `ttl` is zero or ends past the year 9999, and those of
    /// [`Store::put`].
    fn put_value<T: Serialize + Sync + ?Sized>(
        &self,
        collection: &str,
        key: &str,
        value: &T,
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Stores `value` only when `key` has no live entry, and tells whether it did.
    ///
    /// Of any number of callers and processes exactly one is told `true`.
    ///
    /// # Errors
    ///
    /// As [`put_value`](Self::put_value).
    fn put_if_absent<T: Serialize + Sync + ?Sized>(
        &self,
        collection: &str,
        key: &str,
        value: &T,
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Returns the live entry of `key` and the time it has left: `None` when there is no entry,
    /// `Some((entry, None))` when it never expires.
    ///
    /// # Errors
    ///
    /// Those of [`Store::get`].
    fn ttl(
        &self,
        collection: &str,
        key: &str,
    ) -> impl Future<Output = Result<Option<(Entry, Option<Duration>)>>> + Send;

    /// Does for each of `keys` what [`ttl`](Self::ttl) does, in one bulk read.
    ///
    /// # Errors
    ///
    /// Those of [`Store::get_many`]; an undecodable record is an error in its own place.
    #[expect(clippy::type_complexity, reason = "it is `get_many` with a TTL")]
    fn ttl_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> impl Future<Output = Result<Vec<Result<Option<(Entry, Option<Duration>)>>>>> + Send;

    /// Changes the entry of `key` atomically: `change` is given the live entry and returns the one
    /// to store in its place, or `None` to leave everything as it is.
    ///
    /// Returns the revision written, or `None` when nothing was. When another writer was faster,
    /// `change` is called again with what that one left, so it must not have effects of its own.
    /// Between two tries lies a random pause of at most 1 ms, doubling up to 250 ms; outside a tokio
    /// runtime there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] after 100 tries, about 12 seconds, that all lost to other writers; and
    /// what `change` returns.
    ///
    /// # Panics
    ///
    /// When a pause is due in a tokio runtime whose timer is not enabled; so do `update`, `touch`
    /// and `increment`.
    fn update_entry<F>(
        &self,
        collection: &str,
        key: &str,
        change: F,
    ) -> impl Future<Output = Result<Option<Revision>>> + Send
    where
        F: FnMut(Option<&Entry>) -> Result<Option<Entry>> + Send;

    /// Changes the value of `key` atomically: `change` is given the live value and returns the one
    /// to store with `ttl`, or `None` to leave everything as it is.
    ///
    /// Returns the value that was stored, or `None` when none was. `ttl` replaces the expiry as in
    /// [`put_value`](Self::put_value). Tries again as [`update_entry`](Self::update_entry) does.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] after 100 tries that all lost to other writers, and those of
    /// [`put_value`](Self::put_value).
    ///
    /// # Examples
    ///
    /// ```
    /// use kv_core::StoreExt;
    /// use kv_memory::MemoryStore;
    /// use serde_json::{Value, json};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> kv_core::Result<()> {
    /// let store = MemoryStore::new();
    /// let vote = |tally: Option<Value>| {
    ///     let votes = tally.map_or(0, |tally| tally["votes"].as_u64().unwrap_or(0));
    ///     Some(json!({ "votes": votes + 1 }))
    /// };
    /// store.update("polls", "lunch", None, vote).await?;
    /// let tally = store.update("polls", "lunch", None, vote).await?;
    /// assert_eq!(tally, Some(json!({ "votes": 2 })));
    /// # Ok(())
    /// # }
    /// ```
    fn update<T, F>(
        &self,
        collection: &str,
        key: &str,
        ttl: Option<Duration>,
        change: F,
    ) -> impl Future<Output = Result<Option<T>>> + Send
    where
        T: Serialize + DeserializeOwned + Send,
        F: FnMut(Option<T>) -> Option<T> + Send;

    /// Gives the live entry of `key` a new TTL, and tells whether there was one. The value and its
    /// time of creation stay.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] as [`update_entry`](Self::update_entry).
    fn touch(
        &self,
        collection: &str,
        key: &str,
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Adds `by` to the counter of `key` atomically, and returns the sum.
    ///
    /// A counter is the entry `{"value": n}` with no other member. One that is absent starts at zero
    /// and is created with `ttl`; one that exists keeps its expiry.
    ///
    /// # Errors
    ///
    /// [`Error::Overflow`] when the sum is not an `i64`; the counter then stays as it is.
    /// [`Error::Decode`] when the entry is not a counter, [`Error::Conflict`] as
    /// [`update_entry`](Self::update_entry).
    fn increment(
        &self,
        collection: &str,
        key: &str,
        by: i64,
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<i64>> + Send;

    /// Lists the keys of `collection`, page after page, each key once.
    ///
    /// The keys already listed are kept in memory to leave out repeats, so a listing of n keys
    /// holds up to n keys; a listing of a single page holds none. To list without that cost, page
    /// with [`Store::keys`].
    ///
    /// # Errors
    ///
    /// Those of [`Store::keys`], as an item. The stream ends after the first one.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_util::TryStreamExt;
    /// use kv_core::{KeyQuery, StoreExt};
    /// use kv_memory::MemoryStore;
    /// use serde_json::json;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> kv_core::Result<()> {
    /// let store = MemoryStore::new();
    /// store.put_value("users", "ada", &json!({}), None).await?;
    /// let mut keys = store.keys_stream("users", KeyQuery::new());
    /// while let Some(key) = keys.try_next().await? {
    ///     assert_eq!(key, "ada");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    fn keys_stream(
        &self,
        collection: &str,
        query: KeyQuery,
    ) -> impl Stream<Item = Result<String>> + Send + Unpin;

    /// Lists the collections, page after page, each one once, as [`keys_stream`](Self::keys_stream)
    /// lists keys.
    ///
    /// # Errors
    ///
    /// Those of [`Store::collections`], as an item. The stream ends after the first one.
    fn collections_stream(
        &self,
        query: KeyQuery,
    ) -> impl Stream<Item = Result<String>> + Send + Unpin;

    /// Makes a typed handle to `collection`, without a TTL. The store checks the name on each call.
    fn collection<T>(&self, collection: impl Into<String>) -> Collection<T, Self>
    where
        Self: Clone;

    /// Narrows the store to the collections with `prefix`: see [`PrefixCollections`].
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] when `prefix` is empty, holds `__` or `::`, ends in `_`, or has more
    /// than 2045 bytes.
    fn prefixed(self, prefix: &str) -> Result<PrefixCollections<Self>>
    where
        Self: Sized,
    {
        PrefixCollections::new(self, prefix)
    }

    /// Narrows the store to the keys with `prefix`: see [`PrefixKeys`].
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] when `prefix` is empty, holds `__`, ends in `_`, or has more than
    /// 1021 bytes.
    fn prefixed_keys(self, prefix: &str) -> Result<PrefixKeys<Self>>
    where
        Self: Sized,
    {
        PrefixKeys::new(self, prefix)
    }

    /// Puts all collections into one, `collection`: see [`SingleCollection`].
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] when `collection` is empty, holds `::`, ends in `:`, or has more than
    /// 2048 bytes.
    fn single_collection(self, collection: &str) -> Result<SingleCollection<Self>>
    where
        Self: Sized,
    {
        SingleCollection::new(self, collection)
    }

    /// Refuses all writes: see [`ReadOnly`].
    fn read_only(self) -> ReadOnly<Self>
    where
        Self: Sized,
    {
        ReadOnly::new(self)
    }

    /// Refuses values of more than `max` bytes: see [`LimitSize`].
    fn limit_size(self, max: u64) -> LimitSize<Self>
    where
        Self: Sized,
    {
        LimitSize::new(self, max)
    }

    /// Holds TTLs between `min` and `max`: see [`TtlClamp`].
    ///
    /// # Errors
    ///
    /// [`Error::InvalidTtl`] when `max` is zero or shorter than `min`.
    fn clamp_ttl(self, min: Duration, max: Duration) -> Result<TtlClamp<Self>>
    where
        Self: Sized,
    {
        TtlClamp::new(self, min, max)
    }

    /// Gives up on operations that take longer than `after`: see [`Timeout`].
    fn timeout(self, after: Duration) -> Timeout<Self>
    where
        Self: Sized,
    {
        Timeout::new(self, after)
    }

    /// Reads from `other` what this store cannot answer: see [`Fallback`].
    fn fallback<F: Store>(self, other: F) -> Fallback<Self, F>
    where
        Self: Sized,
    {
        Fallback::new(self, other)
    }

    /// Keeps copies of what is read in `local`: see [`Cached`].
    fn cached<L: Store>(self, local: L) -> Cached<Self, L>
    where
        Self: Sized,
    {
        Cached::new(self, local)
    }

    /// Tries again what failed for the moment: see [`Retry`].
    fn retry(self) -> Retry<Self>
    where
        Self: Sized,
    {
        Retry::new(self)
    }

    /// Answers reads of absent keys with `value`: see [`DefaultValue`].
    fn default_value(self, value: Value) -> DefaultValue<Self>
    where
        Self: Sized,
    {
        DefaultValue::new(self, value)
    }

    /// Makes this the default of several stores: see [`Routing`].
    fn routing(self) -> Routing<Self>
    where
        Self: Sized,
    {
        Routing::new(self)
    }

    /// Counts and times operations: see [`Stats`].
    fn stats(self) -> Stats<Self>
    where
        Self: Sized,
    {
        Stats::new(self)
    }

    /// Makes a span of each operation: see [`Traced`].
    fn traced(self) -> Traced<Self>
    where
        Self: Sized,
    {
        Traced::new(self)
    }

    /// Compresses values of at least 1024 bytes: see [`Compressed`](crate::wrappers::Compressed).
    #[cfg(feature = "compression")]
    fn compressed(self) -> crate::wrappers::Compressed<Self>
    where
        Self: Sized,
    {
        crate::wrappers::Compressed::new(self)
    }

    /// Shares concurrent reads of one key: see [`SingleFlight`].
    fn single_flight(self) -> SingleFlight<Self>
    where
        Self: Sized,
    {
        SingleFlight::new(self)
    }
}

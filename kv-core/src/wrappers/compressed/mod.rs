//! [`Compressed`]: a store that keeps large values compressed.

mod record;

use async_trait::async_trait;
use tokio::task;

use self::record::Unpacked;
use super::forward::forward;
use crate::{Entry, Error, PutMode, Result, Revision, Store, StoreInfo, Value, aside};

/// The shortest value that is compressed when none is set, in bytes. Python's default.
const DEFAULT_MIN_SIZE: u64 = 1024;

/// The longest value when none is set, in bytes.
const DEFAULT_MAX_VALUE_BYTES: u64 = 16 << 20;

/// The level when none is set. Python's only one.
const DEFAULT_LEVEL: u32 = 1;

/// How many bytes are worked on where the caller runs: about 0.2 ms. More goes to a thread of the
/// runtime's blocking pool.
const MAX_INLINE_BYTES: u64 = 32 << 10;

/// Stores values compressed with gzip, in the record that the `CompressionWrapper` of Python's
/// py-key-value writes and reads:
///
/// ```json
/// {"__compressed_data__": "H4sI..", "__compression_version__": 1, "__compression_algorithm__": "gzip"}
/// ```
///
/// A value shorter than [`min_size`](Self::with_min_size), or one that compression would not make
/// shorter, is stored as it is; so a store that holds uncompressed values can be wrapped at any
/// time. Keys, expiries, revisions and conditions are those of the store inside, and so is the limit
/// of [`info`](Store::info): a value up to that size can be stored, a longer one if it compresses
/// well. The size of JSON text typically falls to a third.
///
/// It needs the feature `compression` of the crate.
///
/// Nothing is compressed twice: a value that is such a record already is stored as it is, and read
/// decompressed. A value that only looks like one, as it has a member `__compressed_data__`, is
/// always compressed and reads as it was written.
///
/// Work on more than 32 KiB is done by a thread of tokio's blocking pool, so that other tasks go on.
/// Outside a tokio runtime it is done in place.
///
/// # Errors
///
/// A write of a value over [`max_value_bytes`](Self::with_max_value_bytes) is [`Error::TooLarge`].
/// A read of a record that does not decompress to a JSON object is [`Error::Corrupted`]; so is one
/// that decompresses to more than `max_value_bytes`, with the `TooLarge` as its source: no more than
/// that is ever decompressed, whatever was planted. When the runtime shuts down while it works on a
/// large value, a read or a write is [`Error::Unavailable`]; a [`take`](Store::take), whose entry is
/// gone by then, [`Error::OutcomeUnknown`].
///
/// # Order
///
/// Compress, then encrypt, as ciphertext does not compress: `Compressed` goes around encryption.
/// [`LimitSize`](super::LimitSize) around it limits values, inside it what is stored.
///
/// # Examples
///
/// ```
/// use kv_core::{Store, StoreExt};
/// use kv_memory::MemoryStore;
/// use serde_json::{Value, json};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kv_core::Result<()> {
/// let inside = MemoryStore::new();
/// let store = inside.clone().compressed();
/// let page = json!({ "text": "to be or not to be ".repeat(1000) });
/// store.put_value("pages", "p1", &page, None).await?;
/// let stored = inside.get("pages", "p1").await?.unwrap();
/// assert!(stored.value.len() < 500);
/// assert_eq!(store.get_value::<Value>("pages", "p1").await?, Some(page));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Compressed<S> {
    inner: S,
    options: Options,
}

#[derive(Clone, Copy, Debug)]
struct Options {
    min_size: u64,
    max_value_bytes: u64,
    level: u32,
}

impl<S> Compressed<S> {
    /// Compresses the values of `inner` that have at least 1024 bytes.
    pub const fn new(inner: S) -> Self {
        let options = Options {
            min_size: DEFAULT_MIN_SIZE,
            max_value_bytes: DEFAULT_MAX_VALUE_BYTES,
            level: DEFAULT_LEVEL,
        };
        Self { inner, options }
    }

    /// Sets the size of the shortest value that is compressed. Default: 1024 bytes.
    #[must_use]
    pub const fn with_min_size(mut self, bytes: u64) -> Self {
        self.options.min_size = bytes;
        self
    }

    /// Sets the size of the longest value that is written, and to which a record is decompressed.
    /// Default: 16 MiB.
    #[must_use]
    pub const fn with_max_value_bytes(mut self, bytes: u64) -> Self {
        self.options.max_value_bytes = bytes;
        self
    }

    /// Sets how much time is spent on size, from 0, which does not compress, to 9; more counts as
    /// 9. Default: 1. Every level is read by every reader.
    #[must_use]
    pub fn with_level(mut self, level: u32) -> Self {
        self.options.level = level.min(9);
        self
    }
}

impl<S: Store> Compressed<S> {
    /// Returns what is stored for `entry`.
    async fn pack(&self, entry: Entry) -> Result<Entry> {
        let (options, value) = (self.options, &entry.value);
        let (limit, size) = (options.max_value_bytes, value.len() as u64);
        if size > limit {
            return Err(Error::TooLarge { limit, size });
        }
        let stored = if size > MAX_INLINE_BYTES || record::is_record(value) {
            let (name, value) = (self.inner.info().name, value.clone());
            aside(name, move || options.pack(value)).await??
        } else {
            options.pack_plain(value.clone())?
        };
        Ok(Entry {
            value: stored,
            ..entry
        })
    }

    /// Returns the entry that was written where `stored` is, and whether it had been compressed.
    async fn unpack(&self, stored: Entry) -> Result<(Entry, bool)> {
        let max = self.options.max_value_bytes;
        let inline = max.min(MAX_INLINE_BYTES);
        // Even to look for the record in a large value takes long.
        let is_large = stored.value.len() as u64 > MAX_INLINE_BYTES;
        let mut unpacked = Unpacked::TooLarge;
        if !is_large {
            unpacked = record::unpack(&stored.value, inline)?;
        }
        if matches!(unpacked, Unpacked::TooLarge) && (is_large || inline < max) {
            let value = stored.value.clone();
            let name = self.inner.info().name;
            unpacked = aside(name, move || record::unpack(&value, max)).await??;
        }
        match unpacked {
            Unpacked::Plain => Ok((stored, false)),
            Unpacked::Value(value) => Ok((Entry { value, ..stored }, true)),
            Unpacked::TooLarge => Err(record::too_large(max)),
        }
    }

    /// Does what [`unpack`](Self::unpack) does where there may be nothing.
    async fn unpack_found(&self, stored: Option<Entry>) -> Result<Option<Entry>> {
        match stored {
            Some(stored) => Ok(Some(self.unpack(stored).await?.0)),
            None => Ok(None),
        }
    }
}

impl Options {
    /// Returns what is stored for `value`. Takes as long as the largest value does, as it may be a
    /// record of such a one.
    fn pack(self, value: Value) -> Result<Value> {
        match record::unpack(&value, self.max_value_bytes) {
            Ok(Unpacked::Plain) => self.pack_plain(value),
            Ok(Unpacked::Value(_)) => Ok(value),
            // Stored as it is, it could not be read back.
            Ok(Unpacked::TooLarge) | Err(_) => record::pack(&value, self.level),
        }
    }

    /// Returns what is stored for `value`, which does not look like a record.
    fn pack_plain(self, value: Value) -> Result<Value> {
        if (value.len() as u64) < self.min_size {
            return Ok(value);
        }
        let packed = record::pack(&value, self.level)?;
        let is_shorter = packed.len() < value.len();
        Ok(if is_shorter { packed } else { value })
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for Compressed<S> {
    forward!(
        delete,
        delete_many,
        keys,
        collections,
        cull,
        clear,
        destroy,
        flush,
        watch,
        clock
    );

    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let stored = self.inner.get(collection, key).await?;
        self.unpack_found(stored).await
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let stored = self.inner.get_fresh(collection, key).await?;
        self.unpack_found(stored).await
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        let entry = self.pack(entry).await?;
        self.inner.put(collection, key, entry, mode).await
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        let stored = self.inner.take(collection, key).await?;
        let taken = self.unpack_found(stored).await;
        taken.map_err(|error| {
            let is_lost = matches!(error, Error::Unavailable { .. });
            error.of_the_whole(is_lost, self.inner.info().name)
        })
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        let mut entries = self.inner.get_many(collection, keys).await?;
        for entry in &mut entries {
            let Ok(Some(stored)) = entry else {
                continue;
            };
            let unpacked = self.unpack(stored.clone()).await;
            let was_packed = !matches!(unpacked, Ok((_, false)));
            *entry = unpacked.map(|(entry, _)| Some(entry));
            if was_packed {
                // Many small records are as much work as a large one.
                task::yield_now().await;
            }
        }
        Ok(entries)
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        let mut packed = Vec::with_capacity(entries.len());
        for (key, entry) in entries {
            let is_work = entry.value.len() as u64 >= self.options.min_size;
            packed.push((key, self.pack(entry).await?));
            if is_work {
                task::yield_now().await;
            }
        }
        self.inner.put_many(collection, packed).await
    }

    fn info(&self) -> StoreInfo {
        let (info, max) = (self.inner.info(), self.options.max_value_bytes);
        let limit = info.max_value_bytes.map_or(max, |limit| limit.min(max));
        info.with_max_value_bytes(Some(limit))
    }
}

//! [`Fallback`]: a store with a second one for when it cannot be reached.

use async_trait::async_trait;

use crate::{
    Clock, CollectionPage, Cursor, Entry, Error, KeyPage, KeyQuery, PutMode, Result, Revision,
    Store, StoreInfo, Watch,
};

/// What begins a cursor of the primary store, and one of the fallback.
const PRIMARY: &str = "p:";
const FALLBACK: &str = "f:";

/// Reads from a second store what the first one cannot answer.
///
/// A read goes to the fallback when the primary answers [`Error::Unavailable`],
/// [`Error::Timeout`], [`Error::AlreadyOpen`] or [`Error::Backend`], and only then: not on a miss,
/// and not for a record that cannot be decoded. [`get_many`](Store::get_many) asks the fallback for
/// the rows that failed so. When the fallback cannot answer either, the error is the primary's. A
/// listing goes on in the store it began in.
///
/// Writes go to the primary alone, unless [`with_write_to_fallback`](Self::with_write_to_fallback)
/// is set.
///
/// [`clock`](Store::clock) is the primary's, so both must show about the same time.
/// [`info`](Store::info) is the primary's, and with writes to the fallback the weaker of both.
///
/// # Writes to the fallback
///
/// With them a write goes to the fallback when the primary answers `Unavailable` or `AlreadyOpen`:
/// then it has applied nothing. After [`Error::OutcomeUnknown`] it does not, as it could then be
/// done twice. Nothing is copied between the two, so take it for data that may be lost or old, such
/// as a cache:
///
/// - What was written to the fallback is missing once the primary is back, and what was changed or
///   deleted there is as it was.
/// - [`delete`](Store::delete), [`take`](Store::take), [`clear`](Store::clear) and
///   [`destroy`](Store::destroy) remove from one of the stores. What the other holds can be read, and
///   taken, again.
/// - `Create` has one winner in each store, and so has `take`: two in all. Never use it for tokens,
///   locks or anything that must happen once.
/// - `Update` with a revision of the other store is [`Error::Conflict`].
///
/// [`flush`](Store::flush) and [`cull`](Store::cull) concern both stores, and fail when one does.
///
/// # Examples
///
/// ```
/// use kv_core::conformance::{Fault, FaultStore};
/// use kv_core::{Store, StoreExt};
/// use kv_memory::MemoryStore;
/// use serde_json::json;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kv_core::Result<()> {
/// let (primary, copy) = (FaultStore::new(MemoryStore::new()), MemoryStore::new());
/// copy.put_value("rates", "eur", &json!({ "usd": 1.1 }), None).await?;
/// let store = primary.clone().fallback(copy);
/// assert!(store.get("rates", "eur").await?.is_none());
/// primary.inject(Fault::unavailable().always());
/// assert!(store.get("rates", "eur").await?.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Fallback<P, F> {
    primary: P,
    fallback: F,
    write_to_fallback: bool,
}

impl<P, F> Fallback<P, F> {
    /// Reads from `fallback` what `primary` cannot answer.
    pub const fn new(primary: P, fallback: F) -> Self {
        Self {
            primary,
            fallback,
            write_to_fallback: false,
        }
    }

    /// Sets whether writes that the primary cannot take go to the fallback. Default: `false`.
    #[must_use]
    pub const fn with_write_to_fallback(mut self, write: bool) -> Self {
        self.write_to_fallback = write;
        self
    }
}

impl<P: Store, F: Store> Fallback<P, F> {
    /// Whether a write that failed with `error` goes to the fallback.
    const fn moves(&self, error: &Error) -> bool {
        let was_not_applied =
            matches!(error, Error::Unavailable { .. } | Error::AlreadyOpen { .. });
        self.write_to_fallback && was_not_applied
    }

    /// Lists by one store from the first page on, and each further page by the store of its cursor.
    async fn list<T, A, B>(
        &self,
        query: KeyQuery,
        by_primary: impl FnOnce(KeyQuery) -> A + Send,
        by_fallback: impl FnOnce(KeyQuery) -> B + Send,
    ) -> Result<(T, &'static str)>
    where
        A: Future<Output = Result<T>> + Send,
        B: Future<Output = Result<T>> + Send,
        T: Send,
    {
        let Some(cursor) = &query.cursor else {
            let error = match by_primary(query.clone()).await {
                Err(error) if cannot_answer(&error) => error,
                result => return Ok((result?, PRIMARY)),
            };
            let page = second(error, by_fallback(query).await)?;
            return Ok((page, FALLBACK));
        };
        let text = cursor.as_str();
        if let Some(cursor) = text.strip_prefix(PRIMARY).map(Cursor::new) {
            return Ok((by_primary(query.with_cursor(cursor)).await?, PRIMARY));
        }
        if let Some(cursor) = text.strip_prefix(FALLBACK).map(Cursor::new) {
            return Ok((by_fallback(query.with_cursor(cursor)).await?, FALLBACK));
        }
        Err(Error::InvalidCursor)
    }
}

/// Asks the primary, and the fallback for what that one cannot answer.
macro_rules! read_either {
    ($self:ident.$method:ident($($arg:expr),*)) => {
        match $self.primary.$method($($arg),*).await {
            Err(error) if cannot_answer(&error) => {
                second(error, $self.fallback.$method($($arg),*).await)
            }
            result => result,
        }
    };
}

/// Tells the primary, and the fallback what that one cannot take, if that is wanted.
macro_rules! write_either {
    ($self:ident.$method:ident($($arg:expr),*)) => {
        match $self.primary.$method($($arg),*).await {
            Err(error) if $self.moves(&error) => $self.fallback.$method($($arg),*).await,
            result => result,
        }
    };
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<P: Store, F: Store> Store for Fallback<P, F> {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        read_either!(self.get(collection, key))
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        read_either!(self.get_fresh(collection, key))
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        let first = self
            .primary
            .put(collection, key, entry.clone(), mode.clone());
        match first.await {
            Err(error) if self.moves(&error) => {
                self.fallback.put(collection, key, entry, mode).await
            }
            result => result,
        }
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        write_either!(self.delete(collection, key))
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        write_either!(self.take(collection, key))
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        let mut rows = read_either!(self.get_many(collection, keys))?;
        let failed = rows.iter_mut().zip(keys).filter(|(row, _)| {
            let error = row.as_ref().err();
            error.is_some_and(cannot_answer)
        });
        let (failed, keys): (Vec<_>, Vec<_>) = failed.unzip();
        if failed.is_empty() {
            return Ok(rows);
        }
        // When the whole call fails, each row keeps the error it has.
        if let Ok(answers) = self.fallback.get_many(collection, &keys).await {
            for (row, answer) in failed.into_iter().zip(answers) {
                if !answer.as_ref().is_err_and(cannot_answer) {
                    *row = answer;
                }
            }
        }
        Ok(rows)
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        if !self.write_to_fallback {
            return self.primary.put_many(collection, entries).await;
        }
        match self.primary.put_many(collection, entries.clone()).await {
            Err(error) if self.moves(&error) => self.fallback.put_many(collection, entries).await,
            result => result,
        }
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        write_either!(self.delete_many(collection, keys))
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        let by_primary = |query| self.primary.keys(collection, query);
        let by_fallback = |query| self.fallback.keys(collection, query);
        let (page, store) = self.list(query, by_primary, by_fallback).await?;
        Ok(KeyPage::new(page.keys, tagged(store, page.next)))
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        let by_primary = |query| self.primary.collections(query);
        let by_fallback = |query| self.fallback.collections(query);
        let (page, store) = self.list(query, by_primary, by_fallback).await?;
        let next = tagged(store, page.next);
        Ok(CollectionPage::new(page.collections, next))
    }

    async fn cull(&self) -> Result<u64> {
        if !self.write_to_fallback {
            return self.primary.cull().await;
        }
        let (primary, fallback) = (self.primary.cull().await, self.fallback.cull().await);
        Ok(primary? + fallback?)
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        write_either!(self.clear(collection))
    }

    async fn destroy(&self) -> Result<()> {
        write_either!(self.destroy())
    }

    async fn flush(&self) -> Result<()> {
        if !self.write_to_fallback {
            return self.primary.flush().await;
        }
        let (primary, fallback) = (self.primary.flush().await, self.fallback.flush().await);
        primary.and(fallback)
    }

    /// Neither store knows which of them a read comes from.
    fn watch(&self, _: &str) -> Result<Watch> {
        Err(Error::Unsupported {
            what: "watching two stores for changes",
        })
    }

    fn clock(&self) -> &dyn Clock {
        self.primary.clock()
    }

    fn info(&self) -> StoreInfo {
        let info = self.primary.info();
        if !self.write_to_fallback {
            return info;
        }
        info.weaker(&self.fallback.info())
    }
}

/// Whether a read that failed so says nothing about the entry.
const fn cannot_answer(error: &Error) -> bool {
    matches!(
        error,
        Error::Unavailable { .. }
            | Error::Timeout { .. }
            | Error::AlreadyOpen { .. }
            | Error::Backend { .. }
    )
}

/// What a read answers whose first try failed with `error`, and whose second one with `result`.
fn second<T>(error: Error, result: Result<T>) -> Result<T> {
    match result {
        Err(second) if cannot_answer(&second) => Err(error),
        result => result,
    }
}

/// Marks a cursor with the store it is of.
fn tagged(store: &str, cursor: Option<Cursor>) -> Option<Cursor> {
    let cursor = cursor?;
    Some(Cursor::new(format!("{store}{}", cursor.as_str())))
}

//! [`Routing`]: several stores as one, each for some of the collections.

use std::collections::HashMap;
use std::fmt;
use std::future::ready;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::select_all;

use super::remove::remove_collections;
use crate::{
    Change, Clock, CollectionPage, Cursor, Entry, Error, KeyPage, KeyQuery, PutMode, Result,
    Revision, Store, StoreInfo, Watch,
};

/// What stands in a cursor between the number of the store and that one's own cursor.
const SEPARATOR: char = ':';

/// Sends each collection to one of several stores.
///
/// A collection goes to the store it was named for, else to the first one whose rule takes it, else
/// to the default store. Give each store once, with all its collections. Stores of different types
/// go behind an `Arc<dyn Store>`.
///
/// [`collections`](Store::collections) and [`destroy`](Store::destroy) go through all stores, one
/// after the other, and concern only the collections that are sent there: others that a store may
/// hold are not listed and not touched. [`cull`](Store::cull) and [`flush`](Store::flush) are those
/// of all stores, whole; each is asked, also when one fails, and the first error is returned.
/// [`watch`](Store::watch) watches all of them, so that each must be able to; changes go unseen as
/// long as one store does not tell them.
///
/// [`clock`](Store::clock) is the default store's, so all must show about the same time.
/// [`info`](Store::info) has the default store's name and what all stores have in common: persistent
/// or shared if all are, and the shortest of their longest values.
///
/// Clones share the rules, not more than the stores' own clones do.
///
/// # Examples
///
/// ```
/// use kv_core::{Store, StoreExt};
/// use kv_memory::MemoryStore;
/// use serde_json::json;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kv_core::Result<()> {
/// let (lasting, cache) = (MemoryStore::new(), MemoryStore::new());
/// let store = lasting.clone().routing().with_route(["pages", "rates"], cache.clone());
/// store.put_value("pages", "home", &json!({}), None).await?;
/// store.put_value("users", "ada", &json!({}), None).await?;
/// assert!(cache.get("pages", "home").await?.is_some());
/// assert!(lasting.get("users", "ada").await?.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Routing<S> {
    /// The default store is the first.
    stores: Vec<S>,
    routes: Arc<Routes>,
}

impl<S> Routing<S> {
    /// Sends every collection to `default`, as long as there are no routes.
    pub fn new(default: S) -> Self {
        Self {
            stores: vec![default],
            routes: Arc::default(),
        }
    }

    /// Sends the collections with these names to `store`. Of two routes for one name the later one
    /// counts.
    #[must_use]
    pub fn with_route<N: Into<String>>(
        mut self,
        collections: impl IntoIterator<Item = N>,
        store: S,
    ) -> Self {
        let place = self.stores.len();
        let names = collections.into_iter().map(Into::into);
        let routes = Arc::make_mut(&mut self.routes);
        routes.by_name.extend(names.map(|name| (name, place)));
        self.stores.push(store);
        self
    }

    /// Sends the collections that `takes` says `true` of to `store`, unless a route names them or
    /// an earlier rule takes them. Its answer for a collection must never change.
    #[must_use]
    pub fn with_rule(
        mut self,
        takes: impl Fn(&str) -> bool + Send + Sync + 'static,
        store: S,
    ) -> Self {
        let routes = Arc::make_mut(&mut self.routes);
        routes.rules.push((Arc::new(takes), self.stores.len()));
        self.stores.push(store);
        self
    }

    /// Returns the store for `collection`.
    fn store(&self, collection: &str) -> &S {
        &self.stores[self.routes.place(collection)]
    }

    fn default_store(&self) -> &S {
        &self.stores[0]
    }
}

impl<S: Store> Routing<S> {
    /// Splits a cursor into the place of a store and that one's own cursor.
    fn read_cursor(&self, cursor: Option<&Cursor>) -> Result<(usize, Option<Cursor>)> {
        let Some(cursor) = cursor else {
            return Ok((0, None));
        };
        let (place, inner) = match cursor.as_str().split_once(SEPARATOR) {
            Some((place, inner)) => (place, Some(Cursor::new(inner))),
            None => (cursor.as_str(), None),
        };
        let place = place.parse().map_err(|_| Error::InvalidCursor)?;
        if place >= self.stores.len() {
            return Err(Error::InvalidCursor);
        }
        Ok((place, inner))
    }

    /// Returns the cursor after a page of the store at `place`, whose own one is `inner`.
    fn next_cursor(&self, place: usize, inner: Option<&Cursor>) -> Option<Cursor> {
        if let Some(inner) = inner {
            let text = format!("{place}{SEPARATOR}{}", inner.as_str());
            return Some(Cursor::new(text));
        }
        let next = place + 1;
        (next < self.stores.len()).then(|| Cursor::new(next.to_string()))
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for Routing<S> {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.store(collection).get(collection, key).await
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.store(collection).get_fresh(collection, key).await
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        let store = self.store(collection);
        store.put(collection, key, entry, mode).await
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        self.store(collection).delete(collection, key).await
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.store(collection).take(collection, key).await
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        self.store(collection).get_many(collection, keys).await
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        self.store(collection).put_many(collection, entries).await
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        self.store(collection).delete_many(collection, keys).await
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        self.store(collection).keys(collection, query).await
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        let (place, inner) = self.read_cursor(query.cursor.as_ref())?;
        let query = query.with_cursor(inner);
        let mut page = self.stores[place].collections(query).await?;
        page.collections
            .retain(|collection| self.routes.place(collection) == place);
        let next = self.next_cursor(place, page.next.as_ref());
        Ok(CollectionPage::new(page.collections, next))
    }

    async fn cull(&self) -> Result<u64> {
        let mut culled = Ok(0);
        for store in &self.stores {
            let more = store.cull().await;
            culled = culled.and_then(|sum| Ok(sum + more?));
        }
        culled
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        self.store(collection).clear(collection).await
    }

    async fn destroy(&self) -> Result<()> {
        let mut removed = 0;
        let destroyed = remove_collections(self, &mut removed).await;
        destroyed.map_err(|error| error.of_the_whole(removed > 0, self.info().name))
    }

    async fn flush(&self) -> Result<()> {
        let mut flushed = Ok(());
        for store in &self.stores {
            let result = store.flush().await;
            flushed = flushed.and(result);
        }
        flushed
    }

    fn watch(&self, prefix: &str) -> Result<Watch> {
        let mut told = Vec::with_capacity(self.stores.len());
        for (place, store) in self.stores.iter().enumerate() {
            let changes = store.watch(prefix)?;
            told.push(changes.map(move |change| (place, change)).boxed());
        }
        let mut watched = Watched::new(told.len(), Arc::clone(&self.routes));
        let changes = select_all(told);
        let changes = changes.filter_map(move |(place, change)| ready(watched.pass(place, change)));
        Ok(changes.boxed())
    }

    fn clock(&self) -> &dyn Clock {
        self.default_store().clock()
    }

    fn info(&self) -> StoreInfo {
        let infos = self.stores.iter().skip(1).map(Store::info);
        infos.fold(self.default_store().info(), |info, other| {
            info.weaker(&other)
        })
    }
}

impl<S: fmt::Debug> fmt::Debug for Routing<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routing")
            .field("stores", &self.stores)
            .field("by_name", &self.routes.by_name)
            .field("rules", &self.routes.rules.len())
            .finish()
    }
}

/// Which collections go to which store.
#[derive(Clone, Default)]
struct Routes {
    by_name: HashMap<String, usize>,
    rules: Vec<(Rule, usize)>,
}

/// Tells whether a collection goes to a store.
type Rule = Arc<dyn Fn(&str) -> bool + Send + Sync>;

impl Routes {
    /// Returns the place of the store for `collection`.
    fn place(&self, collection: &str) -> usize {
        if let Some(place) = self.by_name.get(collection) {
            return *place;
        }
        let rule = self.rules.iter().find(|(takes, _)| takes(collection));
        rule.map_or(0, |(_, place)| *place)
    }
}

/// Makes one watch of those of all stores.
struct Watched {
    routes: Arc<Routes>,
    /// Which stores tell their changes now.
    telling: Vec<bool>,
}

impl Watched {
    fn new(stores: usize, routes: Arc<Routes>) -> Self {
        Self {
            routes,
            telling: vec![false; stores],
        }
    }

    /// Returns what a change of the store at `place` is for the whole. While a store does not tell
    /// its changes, all count as unseen.
    fn pass(&mut self, place: usize, change: Change) -> Option<Change> {
        let told_all = self.all_tell();
        let passes = match &change {
            Change::Watching => {
                self.telling[place] = true;
                self.all_tell()
            }
            Change::Lost => {
                self.telling[place] = false;
                told_all
            }
            Change::Entry { collection, .. } => told_all && self.routes.place(collection) == place,
        };
        passes.then_some(change)
    }

    fn all_tell(&self) -> bool {
        !self.telling.contains(&false)
    }
}

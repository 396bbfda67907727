//! [`RedisStore`], the handle of a store on Redis.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use kv_core::{
    Clock, CollectionPage, Entry, Error, KeyPage, KeyQuery, PutMode, Result, Revision, Store,
    StoreInfo, Watch, name as names,
};

use crate::builder::{Config, Target};
use crate::bulk::Went;
use crate::error::STORE;
use crate::write::Write;
use crate::{RedisStoreBuilder, bulk, listing, name, record, watch};

/// A store on Redis 6.2 or later: one server, the master that sentinels name, or a cluster. Clones
/// share the connection.
///
/// Entries are records that Python's py-key-value-aio reads and writes: the key
/// `collection::key`, and a JSON text with the value and its times. Any number of processes in both
/// languages can use the same ones.
///
/// Nothing is connected to before the first operation, and a connection that broke is made anew by
/// the next one. One connection serves all operations to a server at once. It belongs to the tokio
/// runtime that made it. While more than 16 callers wait for a `get`, those who ask in the same
/// moment are sent together.
///
/// `put_many` and `delete_many` go in steps of up to 256 keys, and are not atomic. `flush` waits
/// for nothing: what was acknowledged is as durable as the server's settings make it. `cull`
/// returns 0, as the server reclaims expired entries by itself.
///
/// `watch` has connections of its own, by client tracking, and never fails. A connection that ends
/// is told as lost at once, one that goes silent after 1 s and the
/// [response timeout](RedisStoreBuilder::response_timeout), in which changes go unseen. Where the
/// server does not let its changes be watched, a watch stays lost and warns once, through `tracing`.
///
/// # Errors
///
/// Besides those of [`Store`]: [`Error::Full`] when the server is out of memory,
/// [`Error::Backend`] when it refuses user, password or permission, and [`Error::Corrupted`] for
/// one entry whose key holds another type than a string.
///
/// An operation fails within its [time](RedisStoreBuilder::operation_timeout). A write whose answer
/// was lost is settled by reading: it succeeded if just that write is stored, and is
/// [`Error::OutcomeUnknown`] if not. It is sent once.
///
/// # Cancel safety
///
/// A write whose future is dropped is applied whole, then or a little later, or not at all.
///
/// # Examples
///
/// ```no_run
/// use kv_core::{Entry, PutMode, Store, Value};
/// use kv_redis::RedisStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kv_core::Result<()> {
/// let store = RedisStore::new("redis://127.0.0.1/")?;
/// let entry = Entry::new(Value::from_json(r#"{"name":"Ada"}"#)?);
/// store.put("users", "ada", entry, PutMode::Create).await?;
/// let entry = store.get("users", "ada").await?.expect("it was stored");
/// assert_eq!(entry.value.as_bytes(), br#"{"name":"Ada"}"#);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisStore {
    config: Arc<Config>,
}

impl RedisStore {
    /// Makes a store on the server at `url` with the defaults of [`RedisStoreBuilder`].
    ///
    /// The URL is `redis://[user:password@]host[:port][/db]`, `rediss://...` with TLS, or
    /// `redis+unix:///path[?db=...&user=...&pass=...]`. Connects to nothing: the first operation
    /// does.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the URL is none of these.
    pub fn new(url: impl Into<String>) -> Result<Self> {
        Self::builder(url).build()
    }

    /// Starts to set up a store on the server at `url`, which [`new`](Self::new) describes.
    pub fn builder(url: impl Into<String>) -> RedisStoreBuilder {
        RedisStoreBuilder::new(Target::Server(url.into()))
    }

    /// Starts to set up a store on a cluster of which the nodes at `urls` are a part.
    ///
    /// One that answers is enough; it tells of the others. User, password and TLS of the first URL
    /// hold for all nodes.
    pub fn cluster(urls: impl IntoIterator<Item = impl Into<String>>) -> RedisStoreBuilder {
        RedisStoreBuilder::new(Target::Cluster(all(urls)))
    }

    /// Starts to set up a store on the server that the sentinels at `urls` say is the master named
    /// `master`.
    ///
    /// They are asked before each connection is made, in turn: one that does not answer costs up to
    /// 1.5 s, within the time of the operation. User and password in the first URL are those of the
    /// sentinels. With TLS in the first URL the master is connected to with TLS too.
    pub fn sentinel(
        urls: impl IntoIterator<Item = impl Into<String>>,
        master: impl Into<String>,
    ) -> RedisStoreBuilder {
        RedisStoreBuilder::new(Target::Sentinel {
            urls: all(urls),
            master: master.into(),
        })
    }

    /// Starts to set up a store on the server that `client` connects to, with its login,
    /// certificates and TCP settings.
    ///
    /// The store makes a connection of its own from it, with RESP3 and without Nagle's delay.
    pub fn client(client: &redis::Client) -> RedisStoreBuilder {
        RedisStoreBuilder::new(Target::Client(client.get_connection_info().clone()))
    }

    pub(crate) fn from_config(config: Config) -> Self {
        Self {
            config: Arc::new(config),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Store for RedisStore {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        names::check(collection, key)?;
        let name = name::record(collection, key);
        let mut command = redis::cmd("GET");
        command.arg(&name);
        let link = &self.config.link;
        let request = link.request(&name, command);
        let held = link.read(&request).await.and_then(record::bytes);
        record::live(held.map_err(|failure| failure.error)?, || {
            self.clock().now()
        })
    }

    async fn get_fresh(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        self.get(collection, key).await
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        entry: Entry,
        mode: PutMode,
    ) -> Result<Revision> {
        names::check(collection, key)?;
        let write = Write::new(&self.config, collection, key, entry)?;
        write.apply(&self.config, mode).await?;
        Ok(write.revision())
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool> {
        names::check(collection, key)?;
        let went = bulk::remove(&self.config, &name::record(collection, key)).await?;
        Ok(went.counts(&self.config))
    }

    async fn take(&self, collection: &str, key: &str) -> Result<Option<Entry>> {
        names::check(collection, key)?;
        match bulk::remove(&self.config, &name::record(collection, key)).await? {
            Went::Record(held) => record::live(held, || self.clock().now()),
            Went::Other(error) => Err(error),
        }
    }

    async fn get_many(
        &self,
        collection: &str,
        keys: &[&str],
    ) -> Result<Vec<Result<Option<Entry>>>> {
        names::check_all(collection, keys.iter().copied())?;
        bulk::get_many(&self.config, collection, keys).await
    }

    async fn put_many(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<Revision>> {
        names::check_all(collection, entries.iter().map(|(key, _)| key.as_str()))?;
        bulk::put_many(&self.config, collection, entries).await
    }

    async fn delete_many(&self, collection: &str, keys: &[&str]) -> Result<Vec<bool>> {
        names::check_all(collection, keys.iter().copied())?;
        bulk::delete_many(&self.config, collection, keys).await
    }

    async fn keys(&self, collection: &str, query: KeyQuery) -> Result<KeyPage> {
        names::check_collection(collection)?;
        listing::keys(&self.config, collection, &query).await
    }

    async fn collections(&self, query: KeyQuery) -> Result<CollectionPage> {
        listing::collections(&self.config, &query).await
    }

    async fn cull(&self) -> Result<u64> {
        Ok(0)
    }

    async fn clear(&self, collection: &str) -> Result<u64> {
        names::check_collection(collection)?;
        listing::clear(&self.config, Some(collection)).await
    }

    async fn destroy(&self) -> Result<()> {
        if !self.config.allow_destroy {
            return Err(Error::Unsupported {
                what: "destroy unless it was built with `allow_destroy`",
            });
        }
        listing::clear(&self.config, None).await.map(drop)
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn watch(&self, prefix: &str) -> Result<Watch> {
        Ok(watch::begin(Arc::clone(&self.config), prefix))
    }

    fn clock(&self) -> &dyn Clock {
        &*self.config.clock
    }

    fn info(&self) -> StoreInfo {
        StoreInfo::new(STORE)
            .with_persistent(true)
            .with_shared(true)
            .with_max_value_bytes(Some(self.config.max_value_bytes))
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("servers", &self.config.places)
            .finish_non_exhaustive()
    }
}

fn all(urls: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    urls.into_iter().map(Into::into).collect()
}

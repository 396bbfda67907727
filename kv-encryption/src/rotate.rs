//! Encrypting everything anew under the primary key, while the store is in use.

use futures_util::stream::{self, StreamExt as _};
use kv_core::{Entry, Error, KeyQuery, PutMode, Result, Store};
use tokio::task;

use crate::FernetStore;
use crate::seal::Found;

/// How many entries are read at once.
const STEP: usize = 100;

/// How many entries are written at once.
const WRITES: usize = 16;

/// How many failures are kept with their names.
const MAX_FAILURES: usize = 1000;

/// How often an entry that others write meanwhile is tried.
const MAX_TRIES: u32 = 5;

/// What a rotation has done so far.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Rotation {
    /// Entries that were encrypted anew.
    pub rotated: u64,
    /// Entries that the primary key had encrypted already.
    pub current: u64,
    /// Entries that could not be read or written. They are as they were, unless the error is
    /// [`Error::OutcomeUnknown`]: then the next rotation tells.
    pub failed: u64,
    /// The first 1000 of these.
    pub failures: Vec<Failure>,
}

impl Rotation {
    /// Returns how many entries were looked at.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.rotated + self.current + self.failed
    }
}

/// An entry that could not be encrypted anew.
///
/// `Debug` does not show the key, which may be a secret.
#[derive(Clone)]
#[non_exhaustive]
pub struct Failure {
    /// The collection of the entry.
    pub collection: String,
    /// The key of the entry.
    pub key: String,
    /// Why.
    pub error: Error,
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Failure")
            .field("collection", &self.collection)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

/// What became of one entry.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Rotated,
    Current,
    /// It has gone meanwhile.
    Gone,
}

impl<S: Store> FernetStore<S> {
    /// Encrypts every entry anew that the primary key has not encrypted, and calls `progress` after
    /// each step of up to 100 entries.
    ///
    /// The store may be in use meanwhile: an entry is replaced only if it is still what was read.
    /// Times and format of each entry stay. Plaintext is encrypted in the store's format where it is
    /// [allowed](Self::allow_plaintext), and a failure else. An entry that cannot be read is a
    /// failure, and the others go on.
    ///
    /// Nothing is remembered between two calls. One that was interrupted, by whatever, is gone on
    /// with by calling this again, which passes over what is done.
    ///
    /// # Errors
    ///
    /// Those of the store inside where it cannot list. Whatever was done until then stays.
    ///
    /// # Examples
    ///
    /// ```
    /// use kv_core::{Store, StoreExt};
    /// use kv_encryption::{FernetKey, FernetStore, KeyRing};
    /// use kv_memory::MemoryStore;
    /// use serde_json::json;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (old, new) = (FernetKey::generate()?, FernetKey::generate()?);
    /// let inside = MemoryStore::new();
    /// let before = FernetStore::new(inside.clone(), KeyRing::new(old.clone()));
    /// before.put_value("tokens", "t1", &json!({ "user": "ada" }), None).await?;
    ///
    /// let keys = KeyRing::new(new.clone()).with_retired(old);
    /// let rotation = FernetStore::new(inside.clone(), keys).rotate(|_| {}).await?;
    /// assert_eq!((rotation.rotated, rotation.failed), (1, 0));
    ///
    /// let after = FernetStore::new(inside, KeyRing::new(new));
    /// assert!(after.get("tokens", "t1").await?.is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn rotate(&self, mut progress: impl FnMut(&Rotation) + Send) -> Result<Rotation> {
        let mut rotation = Rotation::default();
        let mut query = KeyQuery::new();
        loop {
            let page = self.inner.collections(query.clone()).await?;
            for collection in &page.collections {
                self.rotate_collection(collection, &mut rotation, &mut progress)
                    .await?;
            }
            let Some(next) = page.next else {
                return Ok(rotation);
            };
            query.cursor = Some(next);
        }
    }

    async fn rotate_collection(
        &self,
        collection: &str,
        rotation: &mut Rotation,
        progress: &mut (impl FnMut(&Rotation) + Send),
    ) -> Result<()> {
        let mut query = KeyQuery::new();
        loop {
            let page = self.inner.keys(collection, query.clone()).await?;
            for keys in page.keys.chunks(STEP) {
                self.rotate_step(collection, keys, rotation).await;
                progress(rotation);
            }
            let Some(next) = page.next else {
                return Ok(());
            };
            query.cursor = Some(next);
        }
    }

    async fn rotate_step(&self, collection: &str, keys: &[String], rotation: &mut Rotation) {
        let names: Vec<&str> = keys.iter().map(String::as_str).collect();
        let read = match self.inner.get_many(collection, &names).await {
            Ok(read) => read,
            Err(error) => keys.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut outcomes = Vec::with_capacity(keys.len());
        for (key, entry) in keys.iter().zip(read) {
            outcomes.push(async move {
                // A store that never waits would hold the thread for the whole rotation.
                task::yield_now().await;
                (key, self.rotate_entry(collection, key, entry).await)
            });
        }
        let mut outcomes = stream::iter(outcomes).buffer_unordered(WRITES);
        while let Some((key, outcome)) = outcomes.next().await {
            match outcome {
                Ok(Outcome::Rotated) => rotation.rotated += 1,
                Ok(Outcome::Current) => rotation.current += 1,
                Ok(Outcome::Gone) => {}
                Err(error) => {
                    rotation.failed += 1;
                    if rotation.failures.len() < MAX_FAILURES {
                        rotation.failures.push(Failure {
                            collection: collection.to_owned(),
                            key: key.clone(),
                            error,
                        });
                    }
                }
            }
        }
    }

    async fn rotate_entry(
        &self,
        collection: &str,
        key: &str,
        mut read: Result<Option<Entry>>,
    ) -> Result<Outcome> {
        for _ in 0..MAX_TRIES {
            let Some(entry) = read? else {
                return Ok(Outcome::Gone);
            };
            let revision = entry.revision.clone();
            let (entry, found) = self.open(collection, key, entry).await?;
            let format = match found {
                Found::Sealed {
                    by_primary: true, ..
                } => return Ok(Outcome::Current),
                Found::Sealed { format, .. } => format,
                Found::Plaintext => self.policy.format,
            };
            let mode = PutMode::Update(revision.ok_or(Error::Conflict)?);
            let now = self.clock().now();
            if entry.is_expired(now) {
                return Ok(Outcome::Gone);
            }
            // Python may have left out the creation, which a bound record must know.
            let entry = entry.prepared(now)?;
            let entry = self.seal_as(format, collection, key, entry).await?;
            match self.inner.put(collection, key, entry, mode).await {
                Ok(_) => return Ok(Outcome::Rotated),
                Err(Error::Conflict) => {}
                Err(error) => return Err(error),
            }
            read = self.inner.get_fresh(collection, key).await;
        }
        Err(Error::Conflict)
    }
}

#[cfg(test)]
mod tests {
    use kv_core::{Revision, Value};
    use kv_memory::MemoryStore;

    use super::*;
    use crate::{FernetKey, KeyRing};

    #[tokio::test]
    async fn an_entry_without_a_creation_that_ends_once_it_was_read_has_gone() {
        let keys = KeyRing::new(FernetKey::generate().unwrap());
        let store = FernetStore::new(MemoryStore::new(), keys).allow_plaintext();
        let read = Entry::new(Value::from_json("{}").unwrap())
            .with_expires_at(store.clock().now())
            .with_revision(Revision::from_counter([0; 16], 1));
        let outcome = store.rotate_entry("c", "k", Ok(Some(read))).await;
        assert_eq!(outcome.unwrap(), Outcome::Gone);
    }
}

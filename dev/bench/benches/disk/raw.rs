//! redb as a program would use it without the store: one transaction a call.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::task::spawn_blocking;

use crate::{CACHE_BYTES, COLLECTION};

const TABLE: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("entries");

/// A database with one table.
#[derive(Clone)]
pub(crate) struct Raw(Arc<Database>);

impl Raw {
    pub(crate) fn create(path: &Path) -> Self {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        Self(Arc::new(builder.create(path).expect("a new database")))
    }

    pub(crate) fn put_all(&self, entries: impl IntoIterator<Item = (String, Bytes)>) {
        let transaction = self.0.begin_write().expect("a transaction");
        {
            let mut table = transaction.open_table(TABLE).expect("the table");
            for (key, value) in entries {
                table
                    .insert((COLLECTION, key.as_str()), &*value)
                    .expect("room");
            }
        }
        transaction.commit().expect("a working disk");
    }

    pub(crate) async fn put(self, key: String, value: Bytes) {
        spawn_blocking(move || self.put_all([(key, value)]))
            .await
            .expect("no panic");
    }

    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        let transaction = self.0.begin_read().expect("a transaction");
        let table = transaction.open_table(TABLE).expect("the table");
        let value = table.get((COLLECTION, key)).expect("a working disk");
        value.map(|value| value.value().to_vec())
    }

    /// Reads every entry, and returns the bytes of all values.
    pub(crate) fn scan(&self) -> usize {
        let transaction = self.0.begin_read().expect("a transaction");
        let table = transaction.open_table(TABLE).expect("the table");
        let entries = table.iter().expect("a working disk");
        entries
            .map(|entry| entry.expect("a working disk").1.value().len())
            .sum()
    }
}

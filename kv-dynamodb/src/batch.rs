//! Bulk operations: reads of 100 entries a request and writes of 25, sent again until the service
//! has processed all of them.

use std::collections::{HashMap, HashSet};
use std::iter::Peekable;
use std::sync::Arc;
use std::vec::IntoIter;

use aws_sdk_dynamodb::types::{DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest};
use kv_core::{Entry, Error, Result};

use crate::attempt::{Backoff, Repeat};
use crate::error::{Failure, STORE};
use crate::item::{self, Item, KEY, Record};
use crate::link::Link;

const READ: &str = "read entries";
const WRITE: &str = "write entries";

/// The most entries that one request reads.
const MAX_READS: usize = 100;

/// The most entries that one request writes or removes.
const MAX_WRITES: usize = 25;

/// The most bytes of items in a request that writes, as they are sent. The service reads 16 MB.
const MAX_WRITTEN_BYTES: usize = 15_000_000;

/// Reads the live entries of `keys`, in their order.
///
/// A key that could not be read in time is an error in its own place, unless all are.
pub(crate) async fn get_many(
    link: &Link,
    collection: &str,
    keys: &[&str],
) -> Result<Vec<Result<Option<Entry>>>> {
    let mut answers = HashMap::with_capacity(keys.len());
    let unique = unique(keys);
    for chunk in unique.chunks(MAX_READS) {
        if let Err(error) = read_chunk(link, collection, chunk, &mut answers).await {
            if answers.is_empty() {
                return Err(error);
            }
            for key in &unique {
                answers.entry(*key).or_insert_with(|| Err(error.clone()));
            }
            break;
        }
    }
    let answer = |key: &&str| answers.get(key).cloned().unwrap_or(Ok(None));
    Ok(keys.iter().map(answer).collect())
}

/// Reads up to 100 keys into `answers`; those without an entry become `None` there. On an error
/// the keys that were not read are missing.
async fn read_chunk<'k>(
    link: &Link,
    collection: &str,
    keys: &[&'k str],
    answers: &mut HashMap<&'k str, Result<Option<Entry>>>,
) -> Result<()> {
    let call = link.call().await?;
    let config = &link.config;
    let mut backoff = Backoff::new(call.deadline);
    let mut waiting = keys.to_vec();
    loop {
        let rows = waiting.iter().map(|key| item::row(collection, key));
        let request = KeysAndAttributes::builder()
            .set_keys(Some(rows.collect()))
            .consistent_read(config.consistent_reads)
            .build()
            .map_err(|error| Error::backend(STORE, READ, error))?;
        let answer = call
            .send(Repeat::Freely, || {
                call.client
                    .batch_get_item()
                    .request_items(&config.table, request.clone())
                    .send()
            })
            .await
            .map_err(|failure| failure.of_read(READ))?;

        let now = config.clock.now();
        let mut items: HashMap<String, Item> = HashMap::new();
        for item in answer
            .responses
            .into_iter()
            .flat_map(HashMap::into_values)
            .flatten()
        {
            if let Some(key) = item::text(&item, KEY) {
                items.insert(key.to_owned(), item);
            }
        }
        let unprocessed: HashSet<String> = answer
            .unprocessed_keys
            .iter()
            .flat_map(HashMap::values)
            .flat_map(KeysAndAttributes::keys)
            .filter_map(|row| item::text(row, KEY).map(str::to_owned))
            .collect();

        let before = waiting.len();
        waiting.retain(|key| {
            if unprocessed.contains(*key) {
                return true;
            }
            let entry = items.remove(*key);
            answers.insert(key, entry.map_or(Ok(None), |item| item::decode(item, now)));
            false
        });
        if waiting.is_empty() {
            return Ok(());
        }
        if waiting.len() < before {
            backoff.reset();
        }
        if !backoff.wait().await {
            return Err(Failure::unprocessed().of_read(READ));
        }
    }
}

/// Writes all records, of which no two have one key.
pub(crate) async fn put_many(link: &Link, records: Vec<Record>) -> Result<()> {
    let mut requests = Vec::with_capacity(records.len());
    for record in records {
        let put = PutRequest::builder().set_item(Some(record.item)).build();
        let put = put.map_err(|error| Error::backend(STORE, WRITE, error))?;
        requests.push(WriteRequest::builder().put_request(put).build());
    }
    let all = requests.len();
    write(link, requests).await.map_err(|stopped| {
        if stopped.left.len() == all {
            return stopped.error;
        }
        let key = |request: WriteRequest| {
            let item = request.put_request?.item;
            item::text(&item, KEY).map(str::to_owned)
        };
        Error::Incomplete {
            keys: stopped.left.into_iter().filter_map(key).collect(),
            source: Some(Arc::new(stopped.error)),
        }
    })
}

/// Removes rows, of which no two are the same, and tells on an error whether some went.
pub(crate) async fn remove(link: &Link, rows: Vec<Item>) -> Result<(), (Error, bool)> {
    let mut requests = Vec::with_capacity(rows.len());
    for row in rows {
        let delete = DeleteRequest::builder().set_key(Some(row)).build();
        let delete = delete.map_err(|error| (Error::backend(STORE, WRITE, error), false))?;
        requests.push(WriteRequest::builder().delete_request(delete).build());
    }
    let all = requests.len();
    let written = write(link, requests).await;
    written.map_err(|stopped| (stopped.error, stopped.left.len() < all))
}

/// Why a bulk write stopped, and what was not done by then, or may not have been.
struct Stopped {
    error: Error,
    left: Vec<WriteRequest>,
}

async fn write(link: &Link, requests: Vec<WriteRequest>) -> Result<(), Stopped> {
    let mut requests = requests.into_iter().peekable();
    loop {
        let chunk = next_chunk(&mut requests);
        if chunk.is_empty() {
            return Ok(());
        }
        if let Err(mut stopped) = write_chunk(link, chunk).await {
            stopped.left.extend(requests);
            return Err(stopped);
        }
    }
}

/// Takes what one request can write. An entry alone always fits.
fn next_chunk(requests: &mut Peekable<IntoIter<WriteRequest>>) -> Vec<WriteRequest> {
    let mut chunk = Vec::new();
    let mut bytes = 0;
    while chunk.len() < MAX_WRITES {
        let fits = |request: &WriteRequest| {
            let put = request.put_request.as_ref().map(|put| &put.item);
            let delete = request.delete_request.as_ref().map(|delete| &delete.key);
            bytes += put.or(delete).map_or(0, item::sent_bytes);
            chunk.is_empty() || bytes <= MAX_WRITTEN_BYTES
        };
        let Some(request) = requests.next_if(fits) else {
            break;
        };
        chunk.push(request);
    }
    chunk
}

async fn write_chunk(link: &Link, chunk: Vec<WriteRequest>) -> Result<(), Stopped> {
    let mut waiting = chunk;
    let call = match link.call().await {
        Ok(call) => call,
        Err(error) => {
            return Err(Stopped {
                error,
                left: waiting,
            });
        }
    };
    let mut backoff = Backoff::new(call.deadline);
    // What a request left undone may have been done by an earlier one, which went unanswered.
    let mut may_be_applied = false;
    loop {
        let written = call
            .send_after(&mut may_be_applied, Repeat::Freely, || {
                call.client
                    .batch_write_item()
                    .request_items(&link.config.table, waiting.clone())
                    .send()
            })
            .await;
        let unprocessed = match written {
            Ok(answer) => answer.unprocessed_items.unwrap_or_default(),
            Err(failure) => {
                return Err(Stopped {
                    error: failure.of_write(WRITE),
                    left: waiting,
                });
            }
        };
        let unprocessed: Vec<_> = unprocessed.into_values().flatten().collect();
        if unprocessed.is_empty() {
            return Ok(());
        }
        if unprocessed.len() < waiting.len() {
            backoff.reset();
        }
        waiting = unprocessed;
        if !backoff.wait().await {
            let mut failure = Failure::unprocessed();
            failure.may_be_applied = may_be_applied;
            return Err(Stopped {
                error: failure.of_write(WRITE),
                left: waiting,
            });
        }
    }
}

/// Returns `keys` without those that stand there before, in their order.
pub(crate) fn unique<'k>(keys: &[&'k str]) -> Vec<&'k str> {
    let mut seen = HashSet::with_capacity(keys.len());
    let keys = keys.iter().copied();
    keys.filter(|key| seen.insert(*key)).collect()
}

//! Listing keys and collections, and removing what is listed.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use kv_core::{CollectionPage, KeyPage, KeyQuery, Result, name};

use crate::attempt::{Call, Repeat};
use crate::batch;
use crate::cursor::{self, Position};
use crate::error::{Failure, OTHER_KEYS, of_the_whole};
use crate::item::{self, COLLECTION, Item, KEY};
use crate::link::Link;

const LIST: &str = "list entries";

/// How many rows one step of a listing of collections looks at, and how many steps make a page.
const ROWS_PER_STEP: usize = 100;
const STEPS_PER_PAGE: usize = 16;

/// Lists the live keys of a collection, by one query.
///
/// Whole items are read: whether an entry lives is in its record, to the microsecond, and to read
/// part of an item costs as much.
pub(crate) async fn keys(link: &Link, collection: &str, query: &KeyQuery) -> Result<KeyPage> {
    let start = match &query.cursor {
        Some(cursor) => Some(cursor::decode_key(cursor, &query.prefix)?),
        None => None,
    };
    if query.prefix.len() > name::MAX_KEY_BYTES {
        return Ok(KeyPage::default());
    }
    let call = link.call().await?;
    let start = start.map(|key| Position::new(collection, key));
    let rows = rows_of(&call, collection, start, |request| {
        let request = request
            .limit(to_i32(query.page_size()))
            .consistent_read(link.config.consistent_reads);
        if query.prefix.is_empty() {
            return request;
        }
        request
            .key_condition_expression("#collection = :collection AND begins_with(#key, :prefix)")
            .expression_attribute_names("#key", KEY)
            .expression_attribute_values(":prefix", AttributeValue::S(query.prefix.clone()))
    })
    .await?;

    let now = link.config.clock.now();
    let live = rows.items.into_iter().filter_map(|row| {
        let key = item::text(&row, KEY)?.to_owned();
        item::is_present(row, now).then_some(key)
    });
    let next = rows.next.map(|next| cursor::encode_key(&next.key));
    Ok(KeyPage::new(live.collect(), next))
}

/// Removes all entries of a collection, and counts those that were live.
pub(crate) async fn clear(link: &Link, collection: &str) -> Result<u64> {
    let mut removed = 0;
    let mut start = None;
    loop {
        let step = async {
            let call = link.call().await?;
            rows_of(&call, collection, start, |request| {
                request.consistent_read(true)
            })
            .await
        };
        let rows = step
            .await
            .map_err(|error| of_the_whole(error, removed > 0))?;
        let now = link.config.clock.now();
        let mut doomed = Vec::with_capacity(rows.items.len());
        let mut live = 0;
        for row in rows.items {
            doomed.extend(item::row_of(&row));
            live += u64::from(item::is_present(row, now));
        }
        batch::remove(link, doomed)
            .await
            .map_err(|(error, some)| of_the_whole(error, some || removed > 0))?;
        removed += live;
        start = rows.next;
        if start.is_none() {
            return Ok(removed);
        }
    }
}

/// Lists the collections that hold a live entry, in steps of a bounded number of rows.
///
/// The rows of one collection stand together. Once one of them is found to be live, the scan goes
/// on behind the last, so that a large collection costs no more than a small one.
pub(crate) async fn collections(link: &Link, query: &KeyQuery) -> Result<CollectionPage> {
    let mut start = match &query.cursor {
        Some(cursor) => Some(cursor::decode_position(cursor)?),
        None => None,
    };
    let mut found = BTreeSet::new();
    for _ in 0..STEPS_PER_PAGE {
        let call = link.call().await?;
        let limit = ROWS_PER_STEP.min(query.page_size() - found.len());
        let rows = scan(&call, start, |request| {
            let consistent = link.config.consistent_reads;
            request.limit(to_i32(limit)).consistent_read(consistent)
        })
        .await?;
        let now = link.config.clock.now();
        let mut last = None;
        for row in rows.items {
            let Some(collection) = item::text(&row, COLLECTION).map(str::to_owned) else {
                continue;
            };
            // Nothing more is to be learnt from the other rows of such a collection.
            let is_settled = found.contains(&collection)
                || !collection.starts_with(&query.prefix)
                || name::check_collection(&collection).is_err();
            let is_settled = is_settled || {
                let present = item::is_present(row, now);
                if present {
                    found.insert(collection.clone());
                }
                present
            };
            last = is_settled.then_some(collection);
        }
        start = match (last, rows.next) {
            (Some(settled), Some(_)) => Some(Position::after(&settled)),
            (_, next) => next,
        };
        if start.is_none() || found.len() >= query.page_size() {
            break;
        }
    }
    let next = start.as_ref().map(cursor::encode_position);
    Ok(CollectionPage::new(found.into_iter().collect(), next))
}

/// Removes every entry that the store's listing shows, leaving collections whose names another
/// program made outside the rules.
pub(crate) async fn destroy(link: &Link) -> Result<()> {
    let mut removed = false;
    let mut start = None;
    loop {
        let step = async {
            let call = link.call().await?;
            let keys_of_all = |request: ScanFluentBuilder| {
                request
                    .projection_expression("#collection, #key")
                    .expression_attribute_names("#collection", COLLECTION)
                    .expression_attribute_names("#key", KEY)
                    .consistent_read(true)
            };
            scan(&call, start, keys_of_all).await
        };
        let rows = step.await.map_err(|error| of_the_whole(error, removed))?;
        let is_ours = |row: &&Item| {
            item::text(row, COLLECTION).is_some_and(|name| name::check_collection(name).is_ok())
        };
        let doomed: Vec<_> = rows
            .items
            .iter()
            .filter(is_ours)
            .filter_map(item::row_of)
            .collect();
        let some = !doomed.is_empty();
        batch::remove(link, doomed)
            .await
            .map_err(|(error, some)| of_the_whole(error, some || removed))?;
        removed |= some;
        start = rows.next;
        if start.is_none() {
            return Ok(());
        }
    }
}

/// What one request of a listing has found, and where to go on.
struct Rows {
    items: Vec<Item>,
    next: Option<Position>,
}

impl Rows {
    /// Takes an answer apart, which must lead on from where its request began.
    fn new(
        items: Option<Vec<Item>>,
        next: Option<&Item>,
        start: Option<&Position>,
    ) -> Result<Self> {
        let next = match next {
            Some(row) => Some(position(row).ok_or(OTHER_KEYS)?),
            None => None,
        };
        if next.is_some() && next.as_ref() == start {
            return Err(Failure::refused("the listing does not go on").of_read(LIST));
        }
        Ok(Self {
            items: items.unwrap_or_default(),
            next,
        })
    }
}

/// Queries the rows of a collection behind `start`.
async fn rows_of(
    call: &Call<'_>,
    collection: &str,
    start: Option<Position>,
    narrow: impl Fn(QueryFluentBuilder) -> QueryFluentBuilder,
) -> Result<Rows> {
    let config = &call.link.config;
    let answer = call
        .send(Repeat::Freely, || {
            let request = call
                .client
                .query()
                .table_name(&config.table)
                .key_condition_expression("#collection = :collection")
                .expression_attribute_names("#collection", COLLECTION)
                .expression_attribute_values(
                    ":collection",
                    AttributeValue::S(collection.to_owned()),
                )
                .set_exclusive_start_key(start.as_ref().map(Position::row));
            narrow(request).send()
        })
        .await
        .map_err(|failure| failure.of_read(LIST))?;
    let next = answer.last_evaluated_key;
    Rows::new(answer.items, next.as_ref(), start.as_ref())
}

/// Reads rows of all collections behind `start`.
async fn scan(
    call: &Call<'_>,
    start: Option<Position>,
    narrow: impl Fn(ScanFluentBuilder) -> ScanFluentBuilder,
) -> Result<Rows> {
    let config = &call.link.config;
    let answer = call
        .send(Repeat::Freely, || {
            let request = call
                .client
                .scan()
                .table_name(&config.table)
                .set_exclusive_start_key(start.as_ref().map(Position::row));
            narrow(request).send()
        })
        .await
        .map_err(|failure| failure.of_read(LIST))?;
    let next = answer.last_evaluated_key;
    Rows::new(answer.items, next.as_ref(), start.as_ref())
}

fn position(row: &Item) -> Option<Position> {
    Some(Position::new(
        item::text(row, COLLECTION)?,
        item::text(row, KEY)?,
    ))
}

fn to_i32(rows: usize) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX)
}

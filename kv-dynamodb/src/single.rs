//! Requests for one entry: read, remove, and write with and without a condition.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use kv_core::{Error, Result, Revision, Timestamp, envelope};

use crate::attempt::{Call, Repeat};
use crate::error::{Failure, Kind};
use crate::item::{self, Item, KEY, Record, VALUE};

const WRITE: &str = "write an entry";

/// What has to be stored for a write to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition<'a> {
    Nothing,
    /// This record's text, as last read.
    Record(&'a str),
}

/// Reads the item of a row, live or not.
pub(crate) async fn read(
    call: &Call<'_>,
    row: &Item,
    consistent: bool,
) -> Result<Option<Item>, Failure> {
    let answer = call
        .send(Repeat::Freely, || {
            call.client
                .get_item()
                .table_name(&call.link.config.table)
                .set_key(Some(row.clone()))
                .consistent_read(consistent)
                .send()
        })
        .await?;
    Ok(answer.item)
}

/// Removes the item of a row, and returns it, live or not.
///
/// On the condition that it is there, although nothing else would happen either: DynamoDB Local
/// hands an item out twice to two unconditional requests at the same time.
pub(crate) async fn remove(call: &Call<'_>, row: &Item) -> Result<Option<Item>> {
    let removed = call
        .send(Repeat::Unapplied, || {
            call.client
                .delete_item()
                .table_name(&call.link.config.table)
                .set_key(Some(row.clone()))
                .condition_expression("attribute_exists(#key)")
                .expression_attribute_names("#key", KEY)
                .return_values(ReturnValue::AllOld)
                .send()
        })
        .await;
    match removed {
        Ok(answer) => Ok(answer.attributes),
        Err(failure) if failure.kind == Kind::Condition => Ok(None),
        Err(failure) => Err(failure.of_write("remove an entry")),
    }
}

/// Writes a record, whatever is there.
pub(crate) async fn overwrite(call: &Call<'_>, record: Record) -> Result<Revision> {
    call.send(Repeat::Freely, || {
        call.client
            .put_item()
            .table_name(&call.link.config.table)
            .set_item(Some(record.item.clone()))
            .send()
    })
    .await
    .map_err(|failure| failure.of_write(WRITE))?;
    Ok(record.revision)
}

/// Writes a record unless a live entry is there.
///
/// What has expired is replaced on the condition that it is still the same. No condition looks at
/// the time, so that the service's clock has no say.
pub(crate) async fn create(call: &Call<'_>, record: Record) -> Result<Revision> {
    let clock = &call.link.config.clock;
    let mut expired: Option<String> = None;
    loop {
        let condition = match &expired {
            None => Condition::Nothing,
            Some(text) => Condition::Record(text),
        };
        if write_if(call, &record, condition).await? {
            return Ok(record.revision);
        }
        let stored = read(call, &record.row, true)
            .await
            .map_err(|failure| failure.of_unapplied(WRITE))?;
        expired = match stored {
            // It went in between.
            None => None,
            Some(item) => {
                let text = item::text(&item, VALUE).map(str::to_owned);
                if item::is_present(item, clock.now()) {
                    return Err(Error::AlreadyExists);
                }
                text
            }
        };
    }
}

/// Writes a record if what is there is live and has this revision.
pub(crate) async fn update(
    call: &Call<'_>,
    record: Record,
    revision: &Revision,
    now: Timestamp,
) -> Result<Revision> {
    let stored = live_text(revision, now).ok_or(Error::Conflict)?;
    if write_if(call, &record, Condition::Record(stored)).await? {
        Ok(record.revision)
    } else {
        Err(Error::Conflict)
    }
}

/// Returns the stored text that a revision is of, unless it has expired or is of another store.
fn live_text(revision: &Revision, now: Timestamp) -> Option<&str> {
    let stored = revision.as_bytes()?;
    let entry = envelope::decode_entry(stored.clone()).ok()?;
    if entry.is_expired(now) {
        return None;
    }
    std::str::from_utf8(stored).ok()
}

/// Writes a record on a condition, and tells whether it held.
///
/// The request goes out once. If it may have been applied, one read decides: the record is there,
/// or the outcome stays unknown, because the request may still be on its way.
async fn write_if(call: &Call<'_>, record: &Record, condition: Condition<'_>) -> Result<bool> {
    let written = call
        .send(Repeat::Unapplied, || {
            let request = call
                .client
                .put_item()
                .table_name(&call.link.config.table)
                .set_item(Some(record.item.clone()));
            let request = match condition {
                Condition::Nothing => request
                    .condition_expression("attribute_not_exists(#key)")
                    .expression_attribute_names("#key", KEY),
                Condition::Record(text) => request
                    .condition_expression("#value = :old")
                    .expression_attribute_names("#value", VALUE)
                    .expression_attribute_values(":old", AttributeValue::S(text.to_owned())),
            };
            request.send()
        })
        .await;
    match written {
        Ok(_) => Ok(true),
        Err(failure) if failure.kind == Kind::Condition => Ok(false),
        Err(failure) if failure.may_be_applied => match read(call, &record.row, true).await {
            Ok(Some(item)) if record.is(&item) => Ok(true),
            _ => Err(failure.of_write(WRITE)),
        },
        Err(failure) => Err(failure.of_write(WRITE)),
    }
}

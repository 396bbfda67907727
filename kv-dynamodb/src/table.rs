//! Making the table, and having DynamoDB reclaim what has expired.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    TableDescription, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
};
use kv_core::{Error, Result};
use tracing::warn;

use crate::attempt::{Backoff, Call, Repeat};
use crate::error::{Failure, Kind, OTHER_KEYS, STORE};
use crate::item::{COLLECTION, KEY, TTL};

/// The table's keys, in their order.
const KEYS: [(&str, KeyType); 2] = [(COLLECTION, KeyType::Hash), (KEY, KeyType::Range)];

/// Makes the table if there is none, waits until it can be used, and turns its expiry on.
///
/// # Errors
///
/// [`Error::Unsupported`] when there is a table with other keys; [`Error::Unavailable`] when it is
/// not ready by the deadline.
pub(crate) async fn ensure(call: &Call<'_>) -> Result<()> {
    let mut backoff = Backoff::new(call.deadline);
    loop {
        match describe(call).await? {
            None => create(call).await?,
            Some(table) if is_usable(&table) => {
                check_keys(&table)?;
                break;
            }
            Some(_) => {}
        }
        if !backoff.wait().await {
            return Err(Error::Unavailable {
                store: STORE,
                reason: "its table is still being made".to_owned(),
                source: None,
            });
        }
    }
    enable_expiry(call).await
}

async fn describe(call: &Call<'_>) -> Result<Option<TableDescription>> {
    let table = &call.link.config.table;
    let described = call
        .send(Repeat::Freely, || {
            call.client.describe_table().table_name(table).send()
        })
        .await;
    match described {
        Ok(answer) => Ok(answer.table),
        Err(failure) if failure.kind == Kind::NoTable => Ok(None),
        Err(failure) => Err(failure.of_unapplied("look for its table")),
    }
}

fn is_usable(table: &TableDescription) -> bool {
    matches!(
        table.table_status,
        Some(TableStatus::Active | TableStatus::Updating)
    )
}

fn check_keys(table: &TableDescription) -> Result<()> {
    let keys = table
        .key_schema()
        .iter()
        .map(|key| (key.attribute_name(), key.key_type().clone()));
    if keys.eq(KEYS) {
        return Ok(());
    }
    Err(OTHER_KEYS)
}

async fn create(call: &Call<'_>) -> Result<()> {
    const OPERATION: &str = "create its table";
    let config = &call.link.config;
    let mut attributes = Vec::new();
    let mut keys = Vec::new();
    for (name, kind) in KEYS {
        let attribute = AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind);
        let invalid = |error| Error::backend(STORE, OPERATION, error);
        attributes.push(attribute.build().map_err(invalid)?);
        keys.push(key.build().map_err(invalid)?);
    }
    let created = call
        .send(Repeat::Freely, || {
            let mut request = call
                .client
                .create_table()
                .billing_mode(BillingMode::PayPerRequest);
            if let Some(settings) = &config.table_settings {
                request = settings(request);
            }
            request
                .table_name(&config.table)
                .set_attribute_definitions(Some(attributes.clone()))
                .set_key_schema(Some(keys.clone()))
                .send()
        })
        .await;
    match created {
        Ok(_) => Ok(()),
        // Another process was faster, or an earlier request of ours was applied.
        Err(failure) if failure.code() == Some("ResourceInUseException") => Ok(()),
        Err(failure) => Err(failure.of_unapplied(OPERATION)),
    }
}

/// Has the service reclaim expired items. A service that refuses is no reason to stop: expired
/// entries are absent all the same.
async fn enable_expiry(call: &Call<'_>) -> Result<()> {
    let refused = match try_to_enable_expiry(call).await {
        Ok(()) => return Ok(()),
        Err(failure) if failure.kind == Kind::Refused => failure,
        Err(failure) => return Err(failure.of_unapplied("turn on the expiry of its table")),
    };
    // Another process may have been faster.
    if !matches!(is_expiry_on(call).await, Ok(true)) {
        warn!(
            table = call.link.config.table,
            code = refused.code(),
            "DynamoDB will not reclaim expired entries: the table's time to live could not be \
             turned on"
        );
    }
    Ok(())
}

async fn try_to_enable_expiry(call: &Call<'_>) -> Result<(), Failure> {
    if is_expiry_on(call).await? {
        return Ok(());
    }
    let specification = TimeToLiveSpecification::builder()
        .attribute_name(TTL)
        .enabled(true)
        .build()
        .map_err(|error| Failure::refused(&error.to_string()))?;
    call.send(Repeat::Freely, || {
        call.client
            .update_time_to_live()
            .table_name(&call.link.config.table)
            .time_to_live_specification(specification.clone())
            .send()
    })
    .await?;
    Ok(())
}

async fn is_expiry_on(call: &Call<'_>) -> Result<bool, Failure> {
    let table = &call.link.config.table;
    let answer = call
        .send(Repeat::Freely, || {
            call.client.describe_time_to_live().table_name(table).send()
        })
        .await?;
    let Some(expiry) = answer.time_to_live_description else {
        return Ok(false);
    };
    Ok(matches!(
        expiry.time_to_live_status,
        Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
    ) && expiry.attribute_name.as_deref() == Some(TTL))
}

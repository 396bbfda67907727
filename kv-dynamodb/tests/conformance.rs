//! The suite that every backend runs, with a table shared by all of its cases and, for those that
//! look at everything, one each.

use std::sync::Arc;

use kv_core::ManualClock;
use kv_core::conformance::Fixture;
use kv_dynamodb::DynamoDbStore;

use crate::support::{self, TABLE};

async fn make(clock: Arc<ManualClock>) -> Fixture<DynamoDbStore> {
    let builder = support::builder(TABLE).await;
    let store = builder.clock(clock).build().unwrap();
    Fixture::new(store).with_spoiler(spoil)
}

async fn make_alone(clock: Arc<ManualClock>) -> Fixture<DynamoDbStore> {
    let builder = support::builder(&support::unique("alone")).await;
    Fixture::new(builder.clock(clock).build().unwrap())
}

/// Cuts the record off in the middle of its value.
async fn spoil(collection: String, key: String) {
    let mut item = support::row(&collection, &key);
    let record = format!(r#"{{"collection":"{collection}","key":"{key}","value":{{"n":"#);
    item.insert("value".to_owned(), support::text(record));
    let put = support::client().await.put_item().table_name(TABLE);
    put.set_item(Some(item)).send().await.unwrap();
}

kv_core::conformance_tests!(make, alone = make_alone);
kv_core::undecodable_tests!(make);

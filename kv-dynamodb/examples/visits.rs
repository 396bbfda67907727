//! Counts visits in a DynamoDB table, also when many copies of it run at once.
//!
//! Run with: cargo run -p kv-dynamodb --example visits -- my-table
//!           cargo run -p kv-dynamodb --example visits -- my-table "$ENDPOINT"

use std::env;
use std::error::Error;

use kv_core::{Entry, PutMode, Store, Value};
use kv_dynamodb::DynamoDbStore;
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
struct Visits {
    count: u64,
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "it is what the program is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let table = arguments.next().ok_or("use: visits <table> [endpoint]")?;
    let mut builder = DynamoDbStore::builder(table);
    if let Some(endpoint) = arguments.next() {
        builder = builder.endpoint(endpoint);
    }
    let store = builder.build()?;
    store.open().await?;
    println!("visit number {}", visit(&store).await?.count);
    Ok(())
}

/// Adds one visit, on top of those that others count meanwhile.
async fn visit(store: &DynamoDbStore) -> Result<Visits, Box<dyn Error>> {
    loop {
        let (mut visits, mode) = match store.get("visits", "all").await? {
            Some(Entry {
                value,
                revision: Some(revision),
                ..
            }) => (value.decode::<Visits>()?, PutMode::Update(revision)),
            _ => (Visits::default(), PutMode::Create),
        };
        visits.count += 1;
        let entry = Entry::new(Value::encode(&visits)?);
        match store.put("visits", "all", entry, mode).await {
            Err(kv_core::Error::AlreadyExists | kv_core::Error::Conflict) => {}
            stored => return Ok(stored.map(|_| visits)?),
        }
    }
}

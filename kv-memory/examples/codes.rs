//! Hands out one-time codes that live for a minute, and lets each be used once.
//!
//! Run with: cargo run -p kv-memory --example codes

use std::time::Duration;

use kv_core::{Entry, KeyQuery, PutMode, Result, Store, Value};
use kv_memory::MemoryStore;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, Serialize)]
struct Login {
    user: String,
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<()> {
    let codes = MemoryStore::builder().max_value_bytes(4096).build();

    for (code, user) in [("271828", "ada"), ("314159", "grace")] {
        let end = codes.clock().now().plus_ttl(Duration::from_secs(60))?;
        let value = Value::encode(&Login { user: user.into() })?;
        let entry = Entry::new(value).with_expires_at(end);
        codes.put("codes", code, entry, PutMode::Create).await?;
    }

    for attempt in ["271828", "271828", "000000"] {
        match codes.take("codes", attempt).await? {
            Some(entry) => println!(
                "{attempt}: welcome, {}",
                entry.value.decode::<Login>()?.user
            ),
            None => println!("{attempt}: unknown or already used"),
        }
    }

    let left = codes.keys("codes", KeyQuery::new()).await?.keys.len();
    println!("{left} code is still open");
    Ok(())
}

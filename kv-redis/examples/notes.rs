//! Keeps notes on a Redis server, each for a day.
//!
//! Run with: cargo run -p kv-redis --example notes -- add "buy milk"
//!           cargo run -p kv-redis --example notes -- list
//!
//! `REDIS_URL` says where the server is. Default: `redis://127.0.0.1`.

use std::env;
use std::error::Error;
use std::time::Duration;

use kv_core::{Entry, KeyQuery, PutMode, Store, Value};
use kv_redis::RedisStore;
use serde::{Deserialize, Serialize};

const COLLECTION: &str = "notes";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Serialize, Deserialize)]
struct Note {
    text: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1".to_owned());
    let store = RedisStore::new(url)?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["add", text] => add(&store, text).await,
        ["list"] | [] => list(&store).await,
        _ => Err("use: notes add <text> | notes list".into()),
    }
}

/// Stores a note under the time it was made, or a little later when that is taken.
async fn add(store: &RedisStore, text: &str) -> Result<(), Box<dyn Error>> {
    let note = Note {
        text: text.to_owned(),
    };
    let value = Value::encode(&note)?;
    let mut time = store.clock().now();
    loop {
        let entry = Entry::new(value.clone()).with_expires_at(time.plus_ttl(DAY)?);
        let key = time.to_string();
        match store.put(COLLECTION, &key, entry, PutMode::Create).await {
            Err(kv_core::Error::AlreadyExists) => time = time.plus_ttl(Duration::from_micros(1))?,
            stored => return Ok(stored.map(drop)?),
        }
    }
}

#[expect(clippy::print_stdout, reason = "it is what the program is for")]
async fn list(store: &RedisStore) -> Result<(), Box<dyn Error>> {
    let mut query = KeyQuery::new();
    loop {
        let page = store.keys(COLLECTION, query.clone()).await?;
        for key in page.keys {
            if let Some(entry) = store.get(COLLECTION, &key).await? {
                println!("{key}  {}", entry.value.decode::<Note>()?.text);
            }
        }
        match page.next {
            Some(next) => query = query.with_cursor(next),
            None => return Ok(()),
        }
    }
}

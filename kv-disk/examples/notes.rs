//! Keeps notes in a folder, each for a day.
//!
//! Run with: cargo run -p kv-disk --example notes -- add "buy milk"
//!           cargo run -p kv-disk --example notes -- list

use std::env;
use std::error::Error;
use std::time::Duration;

use kv_core::{Entry, KeyQuery, PutMode, Store, Value};
use kv_disk::DiskStore;
use serde::{Deserialize, Serialize};

const COLLECTION: &str = "notes";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Serialize, Deserialize)]
struct Note {
    text: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::temp_dir().join("kv-disk-notes");
    // Two terminals may keep notes at the same time.
    let store = DiskStore::builder(folder).shared().build()?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["add", text] => add(&store, text).await,
        ["list"] | [] => list(&store).await,
        _ => Err("use: notes add <text> | notes list".into()),
    }
}

/// Stores a note under the time it was made, or a little later when that is taken.
async fn add(store: &DiskStore, text: &str) -> Result<(), Box<dyn Error>> {
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
async fn list(store: &DiskStore) -> Result<(), Box<dyn Error>> {
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

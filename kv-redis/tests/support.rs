//! What the tests share.

use std::thread;
use std::time::Duration;

use kv_core::{Entry, PutMode, Result, Revision, Store, Value};
use kv_redis::{RedisStore, RedisStoreBuilder};
use kv_tests::services::RedisServer;
use redis::{Cmd, FromRedisValue};

/// What a call may take beyond its deadline, on a busy machine.
pub(crate) const SLACK: Duration = Duration::from_millis(100);

/// Starts a server that nobody else uses.
pub(crate) fn server() -> RedisServer {
    RedisServer::start(&[])
}

pub(crate) fn store(server: &RedisServer) -> RedisStore {
    RedisStore::new(server.url()).unwrap()
}

/// Sets up a store that gives up soon.
pub(crate) fn hasty(url: impl Into<String>) -> RedisStoreBuilder {
    RedisStore::builder(url)
        .connect_timeout(Duration::from_millis(200))
        .response_timeout(Duration::from_millis(300))
        .operation_timeout(Duration::from_millis(600))
}

pub(crate) fn entry(text: &str) -> Entry {
    Entry::new(value(text))
}

pub(crate) fn value(text: &str) -> Value {
    Value::encode(&serde_json::json!({ "text": text })).unwrap()
}

pub(crate) async fn put(store: &impl Store, key: &str, text: &str) -> Result<Revision> {
    store.put("c", key, entry(text), PutMode::Overwrite).await
}

pub(crate) async fn create(store: &impl Store, key: &str, text: &str) -> Result<Revision> {
    store.put("c", key, entry(text), PutMode::Create).await
}

pub(crate) async fn get(store: &impl Store, key: &str) -> Option<Value> {
    store.get("c", key).await.unwrap().map(|entry| entry.value)
}

/// Sends the server a command of words, on a connection of its own.
pub(crate) fn command<T: FromRedisValue>(url: &str, words: &[&str]) -> redis::RedisResult<T> {
    let mut command = Cmd::new();
    command.arg(words);
    ask(url, &command)
}

/// Sends the server a command of words that may be sent twice, and again when its connection was
/// ended: sentinels end all of a server that they give another role.
pub(crate) fn command_that_lasts<T: FromRedisValue>(url: &str, words: &[&str]) -> T {
    for _ in 0..4 {
        match command(url, words) {
            Err(error) if error.is_io_error() => thread::sleep(Duration::from_millis(50)),
            answer => return answer.unwrap(),
        }
    }
    command(url, words).unwrap()
}

/// Sends the server a command, on a connection of its own.
pub(crate) fn ask<T: FromRedisValue>(url: &str, command: &Cmd) -> redis::RedisResult<T> {
    let mut connection = redis::Client::open(url)?.get_connection()?;
    command.query(&mut connection)
}

//! No password, key or value in what is shown or logged.

use std::error::Error as StdError;
use std::io;
use std::sync::{Arc, Mutex};

use kv_core::{Error, PutMode, Store};
use kv_redis::RedisStore;
use kv_tests::services::RedisServer;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{command, entry, put, server};

const SECRET: &str = "hunter2";

/// What was logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

pub(crate) fn logged() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}

/// All that an error says of itself and its causes.
fn everything(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    text
}

#[tokio::test]
async fn a_wrong_password_is_an_error_that_does_not_show_it() {
    let (log, _guard) = logged();
    let server = RedisServer::start(&["--requirepass", "correct"]);
    let port = server.port();
    let url = format!("redis://:{SECRET}@127.0.0.1:{port}");
    let builder = RedisStore::builder(&url);
    let store = builder.clone().build().unwrap();
    let other = RedisStore::builder(server.url())
        .username("default")
        .password(SECRET);
    let shown = format!("{builder:?} {store:?} {other:?}");
    assert!(!shown.contains(SECRET), "{shown}");
    assert!(format!("{store:?}").contains(&format!("127.0.0.1:{port}")));
    for store in [
        store,
        other.build().unwrap(),
        RedisStore::new(server.url()).unwrap(),
    ] {
        let error = put(&store, "k", "v").await.unwrap_err();
        assert!(matches!(error, Error::Backend { .. }), "{error:?}");
        assert!(!error.is_retryable());
        let text = everything(&error);
        assert!(
            text.contains("authenticate") && !text.contains(SECRET),
            "{text}"
        );
    }
    assert!(!log.text().contains(SECRET), "{}", log.text());
    let right = RedisStore::builder(server.url())
        .password("correct")
        .build()
        .unwrap();
    put(&right, "k", "v").await.unwrap();
}

#[tokio::test]
async fn a_url_that_is_none_of_redis_is_not_repeated() {
    for url in [
        format!("http://user:{SECRET}@host"),
        SECRET.to_owned(),
        format!("redis://user:{SECRET}@host:port"),
        format!("redis://user:{SECRET}@host/{SECRET}"),
        format!("rediss://user:{SECRET}@host#{SECRET}"),
    ] {
        let error = RedisStore::new(&url).unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        assert!(!everything(&error).contains(SECRET), "{error:?}");
        for builder in [
            RedisStore::cluster([&url]),
            RedisStore::sentinel([&url], "m"),
        ] {
            let error = builder.build().unwrap_err();
            assert!(!everything(&error).contains(SECRET), "{error:?}");
        }
    }
    let pem = RedisStore::builder("rediss://host").client_certificate(SECRET, SECRET);
    assert!(!format!("{pem:?}").contains(SECRET));
    assert!(!everything(&pem.build().unwrap_err()).contains(SECRET));
}

#[tokio::test]
async fn a_user_without_permission_is_told_apart_and_no_key_is_shown() {
    let server = server();
    let rules = [
        "ACL", "SETUSER", "app", "on", ">correct", "~c::*", "+@all", "-getdel",
    ];
    command::<()>(&server.url(), &rules).unwrap();
    let store = RedisStore::builder(server.url())
        .username("app")
        .password("correct")
        .build()
        .unwrap();
    put(&store, SECRET, SECRET).await.unwrap();
    for error in [
        store.delete("c", SECRET).await.unwrap_err(),
        store.get(SECRET, SECRET).await.unwrap_err(),
        store
            .put(SECRET, SECRET, entry(SECRET), PutMode::Create)
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(error, Error::Backend { .. }), "{error:?}");
        assert!(!everything(&error).contains(SECRET), "{error:?}");
    }
}

#[tokio::test]
async fn a_command_that_the_server_does_not_know_does_not_show_its_arguments() {
    let server = RedisServer::start(&["--rename-command", "GETDEL", ""]);
    let store = RedisStore::new(server.url()).unwrap();
    put(&store, SECRET, SECRET).await.unwrap();
    let error = store.take("c", SECRET).await.unwrap_err();
    let text = everything(&error);
    assert!(text.contains("GETDEL") && !text.contains(SECRET), "{text}");
}

#[tokio::test]
async fn a_server_that_does_not_know_how_to_log_in_does_not_show_the_password() {
    let server = RedisServer::start(&["--rename-command", "HELLO", ""]);
    let store = RedisStore::builder(server.url()).password(SECRET);
    let error = put(&store.build().unwrap(), "k", "v").await.unwrap_err();
    let text = everything(&error);
    assert!(text.contains("HELLO") && !text.contains(SECRET), "{text}");
}

#[tokio::test]
async fn a_server_that_may_drop_entries_is_warned_of_once() {
    let (log, _guard) = logged();
    let server = RedisServer::start(&["--maxmemory", "10mb", "--maxmemory-policy", "allkeys-lru"]);
    let store = RedisStore::new(server.url()).unwrap();
    for _ in 0..3 {
        // The first finds no connection, the others a broken one.
        let _ = put(&store, "k", SECRET).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let _ = command::<i64>(&server.url(), &["CLIENT", "KILL", "TYPE", "normal"]);
    }
    let text = log.text();
    assert_eq!(text.matches("maxmemory-policy").count(), 1, "{text}");
    assert!(
        text.contains("allkeys-lru") && !text.contains(SECRET),
        "{text}"
    );
}

#[tokio::test]
async fn a_server_that_keeps_everything_is_not_warned_of() {
    let (log, _guard) = logged();
    let server = RedisServer::start(&["--maxmemory", "10mb"]);
    let store = RedisStore::new(server.url()).unwrap();
    put(&store, "k", "v").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(!log.text().contains("maxmemory-policy"), "{}", log.text());
}

//! Servers that answer with what is no answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use kv_core::{Error, KeyQuery, Store};
use kv_redis::RedisStore;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{SLACK, create, entry, hasty, put};

const DEADLINE: Duration = Duration::from_millis(600);

/// A server that gives the same answer to every request, but to those of a connection that is made.
struct Liar {
    store: RedisStore,
    connections: Arc<AtomicUsize>,
}

impl Liar {
    async fn start(answer: impl Into<Vec<u8>>) -> Self {
        Self::with_greeting(b"%0\r\n", answer).await
    }

    async fn with_greeting(greeting: &[u8], answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let answers = Arc::new((greeting.to_vec(), answer.into()));
        let accepted = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(client, Arc::clone(&answers)));
            }
        });
        let store = hasty(url).build().unwrap();
        Self { store, connections }
    }
}

async fn serve(client: TcpStream, answers: Arc<(Vec<u8>, Vec<u8>)>) {
    let (greeting, answer) = &*answers;
    let mut client = BufReader::new(client);
    while let Some(name) = request(&mut client).await {
        let answer = match name.as_str() {
            "HELLO" => greeting.as_slice(),
            "CLIENT" | "INFO" => b"+OK\r\n",
            _ => answer,
        };
        if client.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// Reads a request, and returns its first word.
async fn request(client: &mut BufReader<TcpStream>) -> Option<String> {
    let words = number(client).await?;
    let mut name = None;
    for _ in 0..words {
        let mut word = vec![0; number(client).await? + 2];
        client.read_exact(&mut word).await.ok()?;
        word.truncate(word.len() - 2);
        name.get_or_insert(String::from_utf8(word).ok()?);
    }
    name
}

async fn number(client: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    client.read_line(&mut line).await.ok()?;
    line.get(1..)?.trim().parse().ok()
}

/// Answers of which none is one to any request.
fn nonsense() -> Vec<Vec<u8>> {
    let text = |text: &str| text.as_bytes().to_vec();
    let nested = |depth: usize| [b"*1\r\n".repeat(depth), text(":1\r\n")].concat();
    vec![
        text("*0\r\n"),
        text(":1\r\n:2"),
        text("#t\r\n"),
        text(",nan\r\n"),
        text("(1\r\n"),
        text("%1\r\n+a\r\n+b\r\n"),
        text("~1\r\n+a\r\n"),
        text("|1\r\n+a\r\n+b\r\n$2\r\n{}\r\n"),
        text(">2\r\n+subscribe\r\n+a\r\n"),
        text(">2\r\n+invalidate\r\n+a\r\n"),
        text(">0\r\n"),
        text(">1\r\n:1\r\n"),
        text("=15\r\ntxt:Some string\r\n"),
        text("=-1\r\n"),
        text("!5\r\nERR x\r\n"),
        text("!-9223372036854775808\r\n"),
        text("*9223372036854775807\r\n:1\r\n"),
        text("%4611686018427387904\r\n:1\r\n"),
        text("%-1\r\n"),
        text("|9223372036854775807\r\n"),
        text("|-1\r\n"),
        text("~2147483647\r\n"),
        text("$9223372036854775807\r\nx"),
        text("$5\r\nhunter2\r\n"),
        text("\r\n\r\n"),
        text("+\u{fffd}\r\n"),
        b"+\xff\xfe\r\n".to_vec(),
        b"-\xff\xfe\r\n".to_vec(),
        text("-\r\n"),
        text("-MOVED\r\n"),
        text("-MOVED 1 :\r\n"),
        text("-ASK 99999999 x:99999999\r\n"),
        text("HTTP/1.1 400 Bad Request\r\n\r\n"),
        nested(50),
        nested(99),
        nested(101),
        nested(100_000),
        vec![b'x'; 1 << 20],
    ]
}

async fn assert_fails_in_time(answer: Vec<u8>) {
    let shown = String::from_utf8_lossy(&answer[..answer.len().min(40)]).into_owned();
    let store = &Liar::start(answer).await.store;
    let start = Instant::now();
    assert!(put(store, "k", "v").await.is_err(), "{shown:?}");
    assert!(create(store, "k", "v").await.is_err(), "{shown:?}");
    let many = vec![("k".to_owned(), entry("v")), ("l".to_owned(), entry("v"))];
    assert!(store.put_many("c", many).await.is_err(), "{shown:?}");
    assert!(store.delete("c", "k").await.is_err(), "{shown:?}");
    assert!(store.take("c", "k").await.is_err(), "{shown:?}");
    assert!(store.delete_many("c", &["k"]).await.is_err(), "{shown:?}");
    assert!(store.keys("c", KeyQuery::new()).await.is_err(), "{shown:?}");
    assert!(store.clear("c").await.is_err(), "{shown:?}");
    assert!(store.get_many("c", &["k"]).await.is_err(), "{shown:?}");
    assert!(store.get("c", "k").await.is_err(), "{shown:?}");
    let took = start.elapsed();
    assert!(took < 10 * (DEADLINE + SLACK), "{shown:?} {took:?}");
}

#[tokio::test]
async fn nonsense_is_an_error_in_time_and_never_a_success() {
    join_all(nonsense().into_iter().map(assert_fails_in_time)).await;
}

#[tokio::test]
async fn nonsense_for_a_greeting_is_no_panic_and_takes_no_longer() {
    let assert_in_time = async |greeting: Vec<u8>| {
        let liar = Liar::with_greeting(&greeting, ":1\r\n").await;
        let start = Instant::now();
        assert!(put(&liar.store, "k", "v").await.is_err());
        assert!(start.elapsed() < DEADLINE + SLACK);
    };
    join_all(nonsense().into_iter().map(assert_in_time)).await;
}

#[tokio::test]
async fn a_connection_with_an_answer_to_nothing_is_given_up() {
    // Every later answer would be that of the request before.
    let liar = Liar::start(">2\r\n+subscribe\r\n+a\r\n$2\r\n{}\r\n").await;
    for n in 1..4 {
        let error = liar.store.get("c", "k").await.unwrap_err();
        assert!(matches!(error, Error::Backend { .. }), "{error:?}");
        assert!(liar.connections.load(Ordering::Relaxed) >= n);
    }
}

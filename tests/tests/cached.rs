//! `Cached` over Redis: what one process keeps follows what others write.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use kv_core::wrappers::Cached;
use kv_core::{Entry, PutMode, Store, StoreExt, Value};
use kv_memory::MemoryStore;
use kv_redis::RedisStore;
use kv_tests::services::RedisServer;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::interop;

const COLLECTION: &str = "cached";
const URL: &str = "KV_TESTS_CACHED_URL";

/// Far longer than it takes to hear of a change.
const PATIENCE: Duration = Duration::from_secs(5);

type Tiers = Cached<RedisStore, MemoryStore>;

/// A cache whose copies do not end during a test.
fn cache(url: &str) -> Tiers {
    let store = RedisStore::new(url).unwrap().cached(MemoryStore::new());
    store.with_max_ttl(Duration::from_secs(3600))
}

fn entry(n: u64) -> Entry {
    Entry::new(Value::encode(&json!({ "n": n })).unwrap())
}

async fn number(store: &Tiers, key: &str) -> Option<u64> {
    let entry = store.get(COLLECTION, key).await.unwrap()?;
    entry.value.decode::<serde_json::Value>().unwrap()["n"].as_u64()
}

/// The other process.
struct Other {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Other {
    fn start(url: &str) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "cached::the_other_process", "--nocapture"])
            .env(URL, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self {
            process,
            orders,
            answers,
        }
    }

    /// Has the other process do something, and returns what it says of it.
    fn order(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").unwrap();
        loop {
            let mut line = String::new();
            assert!(
                self.answers.read_line(&mut line).unwrap() > 0,
                "it has ended"
            );
            // The test harness writes to the same place.
            if let Some(answer) = line.strip_prefix("done ") {
                return answer.trim_end().to_owned();
            }
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Does what the tests of this file order, when one of them has started it; else nothing.
#[tokio::test]
async fn the_other_process() {
    let Ok(url) = env::var(URL) else {
        return;
    };
    let store = cache(&url);
    // Ends a line that the harness has begun.
    writeln!(std::io::stdout()).unwrap();
    let mut lines = std::io::stdin().lines();
    while let Some(Ok(line)) = lines.next() {
        let words: Vec<_> = line.split(' ').collect();
        let said = match *words {
            ["put", key, n] => {
                // A write whose connection is killed may or may not have been applied.
                let entry = entry(n.parse().unwrap());
                let put = || store.put(COLLECTION, key, entry.clone(), PutMode::Overwrite);
                while put().await.is_err() {}
                String::new()
            }
            ["delete", key] => store.delete(COLLECTION, key).await.unwrap().to_string(),
            ["take", key] => store
                .take(COLLECTION, key)
                .await
                .unwrap()
                .is_some()
                .to_string(),
            ["clear"] => store.clear(COLLECTION).await.unwrap().to_string(),
            ["get", key] => format!("{:?}", number(&store, key).await),
            _ => panic!("{line}"),
        };
        writeln!(std::io::stdout(), "done {said}").unwrap();
    }
}

/// Waits until a read of `key` finds `expected`, and returns how long that took.
async fn follows(store: &Tiers, key: &str, expected: Option<u64>) -> Duration {
    let start = Instant::now();
    let followed = timeout(PATIENCE, async {
        while number(store, key).await != expected {
            tokio::task::yield_now().await;
        }
    });
    assert!(followed.await.is_ok(), "{key} is not {expected:?} yet");
    start.elapsed()
}

/// Reads `key` until a copy of it is used.
async fn is_kept(store: &Tiers, url: &str, key: &str) {
    let kept = timeout(PATIENCE, async {
        loop {
            let before = gets(url);
            drop(store.get(COLLECTION, key).await);
            if gets(url) == before {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
    });
    assert!(kept.await.is_ok(), "no copy of {key} is used");
}

/// Sends a command to the server, and returns the beginning of its reply.
fn reply(url: &str, command: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("redis://")).unwrap();
    writeln!(stream, "{command}\r").unwrap();
    let mut reply = vec![0; 16 * 1024];
    let read = stream.read(&mut reply).unwrap();
    String::from_utf8_lossy(&reply[..read]).into_owned()
}

/// How many GETs the server has answered.
fn gets(url: &str) -> u64 {
    let stats = reply(url, "INFO commandstats");
    let calls = stats.split("cmdstat_get:calls=").nth(1);
    let calls = calls.and_then(|calls| calls.split(',').next());
    calls.map_or(0, |calls| calls.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_writes_is_read_within_moments() {
    let server = RedisServer::start(&[]);
    let (store, mut other) = (cache(&server.url()), Other::start(&server.url()));
    let mut took = Vec::new();
    for n in 0..200 {
        assert_eq!(number(&store, "k").await, number(&store, "k").await);
        other.order(&format!("put k {n}"));
        took.push(follows(&store, "k", Some(n)).await);
    }
    took.sort_unstable();
    let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
    writeln!(
        std::io::stderr(),
        "read after {median:?}, at most {longest:?}"
    )
    .unwrap();
    assert!(longest < Duration::from_secs(2), "{longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_removes_is_gone_within_moments() {
    let server = RedisServer::start(&[]);
    let (store, mut other) = (cache(&server.url()), Other::start(&server.url()));
    for (order, answer) in [("delete k", "true"), ("take k", "true"), ("clear", "1")] {
        let put = store.put(COLLECTION, "k", entry(1), PutMode::Overwrite);
        put.await.unwrap();
        is_kept(&store, &server.url(), "k").await;
        assert_eq!(other.order(order), answer);
        follows(&store, "k", None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_python_writes_and_removes_is_read_within_moments() {
    let server = RedisServer::start(&[]);
    let (url, store) = (server.url(), cache(&server.url()));
    let python = |step: serde_json::Value| {
        let arguments = ["redis".to_owned(), server.url()];
        interop::python(&arguments, &[step])
    };
    for n in [1, 2] {
        python(json!(["put", COLLECTION, "k", { "n": n }, null]));
        follows(&store, "k", Some(n)).await;
        is_kept(&store, &url, "k").await;
    }
    python(json!(["delete", COLLECTION, "k"]));
    follows(&store, "k", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_cost_the_server_no_request() {
    let server = RedisServer::start(&[]);
    let (url, store) = (server.url(), cache(&server.url()));
    let put = store.put(COLLECTION, "k", entry(1), PutMode::Create);
    put.await.unwrap();
    is_kept(&store, &url, "k").await;
    let before = gets(&url);
    for _ in 0..1000 {
        assert_eq!(number(&store, "k").await, Some(1));
    }
    assert_eq!(gets(&url), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_read_goes_back_while_others_write_and_connections_are_killed() {
    const KEYS: u64 = 20;
    const WRITES: u64 = 2000;

    let server = RedisServer::start(&[]);
    let (url, store) = (server.url(), cache(&server.url()));
    let mut other = Other::start(&url);
    let writer = tokio::task::spawn_blocking(move || {
        for n in 1..=WRITES {
            other.order(&format!("put k{} {n}", fastrand::u64(..KEYS)));
            if n % 400 == 0 {
                // That of this process's cache, and those of both processes' stores.
                reply(&server.url(), "CLIENT KILL TYPE normal");
            }
        }
        (other, server)
    });
    let mut seen = [None; KEYS as usize];
    let read = async |seen: &mut [Option<u64>]| {
        for (key, seen) in seen.iter_mut().enumerate() {
            // Without a connection there is no answer, which is none that is old.
            let Ok(entry) = store.get(COLLECTION, &format!("k{key}")).await else {
                continue;
            };
            let value = entry.map(|entry| entry.value.decode::<serde_json::Value>().unwrap());
            let now = value.and_then(|value| value["n"].as_u64());
            assert!(now >= *seen, "k{key} was {seen:?} and is {now:?}");
            *seen = now;
        }
    };
    while !writer.is_finished() {
        read(&mut seen).await;
    }
    let (mut other, _server) = writer.await.unwrap();
    for key in 0..KEYS {
        let key = format!("k{key}");
        let fresh = store.get_fresh(COLLECTION, &key).await.unwrap();
        let value = fresh.map(|entry| entry.value.decode::<serde_json::Value>().unwrap());
        let last = value.and_then(|value| value["n"].as_u64());
        follows(&store, &key, last).await;
        assert_eq!(other.order(&format!("get {key}")), format!("{last:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_flushed_or_lost_in_a_restart_is_gone() {
    let mut server = RedisServer::start(&["--save", ""]);
    let (url, store) = (server.url(), cache(&server.url()));
    for restarts in [false, true] {
        let put = store.put(COLLECTION, "k", entry(1), PutMode::Overwrite);
        put.await.unwrap();
        is_kept(&store, &url, "k").await;
        if restarts {
            server.kill();
            server.restart();
        } else {
            assert_eq!(reply(&url, "FLUSHDB"), "+OK\r\n");
        }
        let gone = timeout(PATIENCE, async {
            while !matches!(store.get(COLLECTION, "k").await, Ok(None)) {
                sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(gone.await.is_ok(), "after a restart: {restarts}");
    }
}

//! Encryption over Redis: what somebody who can write to the server can do, and keys that change.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::ops::Range;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use std::{env, io, thread};

use kv_core::{DecryptKind, Entry, Error, PutMode, Store, StoreExt, Value, envelope};
use kv_encryption::{FernetKey, FernetStore, Format, KeyRing};
use kv_redis::RedisStore;
use kv_tests::services::RedisServer;
use redis::Connection;
use serde_json::json;
use tokio::task;

use crate::interop;

const OLD: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const NEW: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

const HOUR: Duration = Duration::from_secs(3600);

/// Where the rotating process's server is.
const URL: &str = "KV_TESTS_ENCRYPTED_URL";

/// The line that it prints when it begins.
const BEGINS: &str = "@begins";

type Encrypted = FernetStore<RedisStore>;

fn ring(keys: &[&str]) -> KeyRing {
    let mut keys = keys.iter().map(|key| FernetKey::from_base64(key).unwrap());
    let primary = KeyRing::new(keys.next().unwrap());
    keys.fold(primary, KeyRing::with_retired)
}

fn open(url: &str, keys: &[&str]) -> Encrypted {
    FernetStore::new(RedisStore::new(url).unwrap(), ring(keys))
}

fn entry(store: &impl Store, value: &serde_json::Value) -> Entry {
    let end = store.clock().now().plus_ttl(HOUR).unwrap();
    Entry::new(Value::encode(value).unwrap()).with_expires_at(end)
}

async fn put(store: &impl Store, collection: &str, key: &str, value: &serde_json::Value) {
    let put = store.put(collection, key, entry(store, value), PutMode::Overwrite);
    put.await.unwrap();
}

async fn value(store: &impl Store, collection: &str, key: &str) -> serde_json::Value {
    let entry = store.get(collection, key).await.unwrap();
    entry.unwrap().value.decode().unwrap()
}

async fn refused(store: &impl Store, collection: &str, key: &str) -> DecryptKind {
    match store.get(collection, key).await {
        Err(Error::Decrypt(kind)) => kind,
        other => panic!("{collection}::{key}: {other:?}"),
    }
}

/// Somebody who has the server's password, and no key of encryption.
struct Intruder(Connection);

impl Intruder {
    fn new(server: &RedisServer) -> Self {
        let client = redis::Client::open(server.url()).unwrap();
        Self(client.get_connection().unwrap())
    }

    fn read(&mut self, row: &str) -> Vec<u8> {
        redis::cmd("GET").arg(row).query(&mut self.0).unwrap()
    }

    /// Writes a row that stays.
    fn write(&mut self, row: &str, bytes: &[u8]) {
        let set = redis::cmd("SET").arg(row).arg(bytes).exec(&mut self.0);
        set.unwrap();
    }

    fn rename(&mut self, from: &str, to: &str) {
        let rename = redis::cmd("RENAME").arg(from).arg(to).exec(&mut self.0);
        rename.unwrap();
    }

    /// Writes a row anew with one member of its record changed.
    fn set(&mut self, row: &str, member: &str, value: serde_json::Value) {
        let mut record: serde_json::Value = serde_json::from_slice(&self.read(row)).unwrap();
        assert!(record[member] != value, "{member} is that already");
        record[member] = value;
        self.write(row, record.to_string().as_bytes());
    }

    /// Returns how long the server keeps a row, in milliseconds.
    fn left(&mut self, row: &str) -> i64 {
        redis::cmd("PTTL").arg(row).query(&mut self.0).unwrap()
    }
}

/// Returns where the token's text is in a row.
fn token(row: &[u8]) -> Range<usize> {
    let find = |part: &[u8]| row.windows(part.len()).position(|found| found == part);
    let before = br#""__encrypted_data__":""#;
    let start = find(before).unwrap() + before.len();
    let length = row[start..].iter().position(|&byte| byte == b'"').unwrap();
    start..start + length
}

#[tokio::test]
async fn every_flipped_bit_of_a_row_is_an_error_or_changes_nothing() {
    let server = RedisServer::start(&[]);
    let store = open(&server.url(), &[OLD]);
    put(&store, "c", "k", &json!({ "secret": "hunter2" })).await;
    let written = store.get("c", "k").await.unwrap().unwrap();
    let mut intruder = Intruder::new(&server);
    let row = intruder.read("c::k");
    let token = token(&row);
    assert!(token.len() > 300, "{token:?}");
    let mut unnoticed = 0;
    for bit in 0..row.len() * 8 {
        let mut flipped = row.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        intruder.write("c::k", &flipped);
        match store.get("c", "k").await {
            Err(_) => {}
            // Whoever can write can also remove.
            Ok(None) => {
                let read = envelope::decode(flipped.into()).unwrap();
                assert!(read.entry.is_expired(store.clock().now()), "bit {bit}");
            }
            Ok(Some(read)) => {
                unnoticed += 1;
                assert!(!token.contains(&(bit / 8)), "bit {bit}");
                let (read, written) = (read.with_revision(None), written.clone());
                assert_eq!(read, written.with_revision(None), "bit {bit}");
            }
        }
    }
    // Such as those of the revision, of which the flipped row has one of its own.
    assert!(unnoticed < row.len() * 3, "{unnoticed}");
    intruder.write("c::k", &row);
    assert_eq!(store.get("c", "k").await.unwrap().unwrap(), written);
}

#[tokio::test]
async fn rows_that_were_swapped_renamed_or_copied_are_refused() {
    let server = RedisServer::start(&[]);
    let store = open(&server.url(), &[OLD]);
    for name in ["ada", "eve"] {
        put(&store, "c", name, &json!({ "token": name })).await;
    }
    let mut intruder = Intruder::new(&server);
    let (ada, eve) = (intruder.read("c::ada"), intruder.read("c::eve"));
    intruder.write("c::ada", &eve);
    intruder.write("c::eve", &ada);
    assert_eq!(refused(&store, "c", "ada").await, DecryptKind::Moved);
    assert_eq!(refused(&store, "c", "eve").await, DecryptKind::Moved);
    // Not even if the record says the new name.
    intruder.set("c::ada", "key", json!("ada"));
    assert_eq!(refused(&store, "c", "ada").await, DecryptKind::Moved);

    intruder.rename("c::eve", "c::bob");
    intruder.write("d::ada", &ada);
    assert_eq!(refused(&store, "c", "bob").await, DecryptKind::Moved);
    assert_eq!(refused(&store, "d", "ada").await, DecryptKind::Moved);
    intruder.set("d::ada", "collection", json!("d"));
    assert_eq!(refused(&store, "d", "ada").await, DecryptKind::Moved);

    intruder.write("c::ada", &ada);
    assert_eq!(value(&store, "c", "ada").await, json!({ "token": "ada" }));
}

#[tokio::test]
async fn a_row_with_other_times_is_refused() {
    let server = RedisServer::start(&[]);
    let store = open(&server.url(), &[OLD]);
    put(&store, "c", "k", &json!({})).await;
    let mut intruder = Intruder::new(&server);
    let row = intruder.read("c::k");
    let later = json!("2999-01-01T00:00:00+00:00");
    let earlier = json!("1999-01-01T00:00:00+00:00");
    for (member, time) in [
        ("expires_at", later),
        ("expires_at", json!(null)),
        ("created_at", earlier),
        ("created_at", json!(null)),
    ] {
        intruder.set("c::k", member, time.clone());
        let kind = refused(&store, "c", "k").await;
        assert_eq!(kind, DecryptKind::Moved, "{member}: {time}");
        intruder.write("c::k", &row);
    }
    // How long the server keeps it is no part of the entry: `write` has set no end.
    assert_eq!(intruder.left("c::k"), -1);
    assert_eq!(value(&store, "c", "k").await, json!({}));
}

#[tokio::test]
async fn a_planted_row_is_refused() {
    let server = RedisServer::start(&[]);
    let store = open(&server.url(), &[OLD]);
    let mut intruder = Intruder::new(&server);
    let plaintext = entry(&store, &json!({ "admin": true }));
    let plaintext = envelope::encode("c", "plaintext", &plaintext).unwrap();
    intruder.write("c::plaintext", &plaintext);
    let kind = refused(&store, "c", "plaintext").await;
    assert_eq!(kind, DecryptKind::NotEncrypted);

    let other = open(&server.url(), &[NEW]);
    put(&other, "c", "other key", &json!({ "admin": true })).await;
    let kind = refused(&store, "c", "other key").await;
    assert_eq!(kind, DecryptKind::UnknownKey);

    let python = open(&server.url(), &[OLD]).with_format(Format::PythonCompatible);
    put(&python, "c", "python", &json!({ "admin": true })).await;
    assert_eq!(refused(&store, "c", "python").await, DecryptKind::Unbound);

    intruder.write("c::no record", b"{}");
    let read = store.get("c", "no record").await;
    assert!(matches!(read, Err(Error::Corrupted { .. })), "{read:?}");

    let rotation = store.rotate(|_| {}).await.unwrap();
    assert_eq!(rotation.rotated, 0);
    assert_eq!(intruder.read("c::plaintext"), plaintext);
}

/// Has Python work on all that is in the server, with these keys.
async fn python(
    server: &RedisServer,
    keys: &str,
    steps: Vec<serde_json::Value>,
) -> Vec<serde_json::Value> {
    let arguments = ["redis".to_owned(), server.url(), format!("fernet:{keys}")];
    let answers = task::spawn_blocking(move || interop::python(&arguments, &steps));
    answers.await.unwrap()
}

#[tokio::test]
async fn python_reads_with_the_new_key_alone_what_was_rotated() {
    let server = RedisServer::start(&[]);
    let names: Vec<_> = (0..30).map(|n| n.to_string()).collect();
    let written = |n: usize| json!({ "n": n, "text": "é🌍" });
    let (of_python, ours): (Vec<_>, Vec<_>) = (0..30).partition(|n| n % 2 == 0);
    let put_by_python = |&n: &usize| {
        let life = (n % 4 == 0).then_some(HOUR.as_secs());
        json!(["put", "c", names[n], written(n), life])
    };
    let steps = of_python.iter().map(put_by_python).collect();
    python(&server, OLD, steps).await;
    let old = open(&server.url(), &[OLD, NEW]).with_format(Format::PythonCompatible);
    for n in ours {
        put(&old, "c", &names[n], &written(n)).await;
    }

    let store = open(&server.url(), &[NEW, OLD]).with_format(Format::PythonCompatible);
    put(&store, "c", &names[29], &written(29)).await;
    let all = || vec![json!(["ttl_many", "c", names])];
    let before = python(&server, &format!("{OLD},{NEW}"), all()).await;
    let rotation = store.rotate(|_| {}).await.unwrap();
    assert_eq!((rotation.rotated, rotation.current), (29, 1));
    assert_eq!(rotation.failed, 0);

    let after = python(&server, NEW, all()).await;
    for n in 0..30 {
        let (before, after) = (&before[0][n], &after[0][n]);
        assert_eq!((&before[0], &after[0]), (&written(n), &written(n)));
        let left = |answer: &serde_json::Value| answer[1].as_f64();
        assert_eq!(left(before).is_none(), left(after).is_none(), "{n}");
        assert_eq!(left(after).is_none(), n % 4 == 2, "{n}");
        // It ends when it did before, which is a little sooner from now.
        assert!(left(after) <= left(before), "{n}");
        let kept = Intruder::new(&server).left(&format!("c::{n}"));
        assert_eq!(kept == -1, n % 4 == 2, "{n}: {kept}");
    }
    let old = open(&server.url(), &[OLD]).with_format(Format::PythonCompatible);
    assert_eq!(refused(&old, "c", "0").await, DecryptKind::Authentication);
}

#[tokio::test]
async fn what_is_compressed_before_it_is_encrypted_is_short_on_the_server() {
    let server = RedisServer::start(&[]);
    let text = json!({ "text": "to be or not to be ".repeat(5000) });
    for format in [Format::Bound, Format::PythonCompatible] {
        let store = open(&server.url(), &[OLD]).with_format(format).compressed();
        put(&store, "c", "k", &text).await;
        let row = Intruder::new(&server).read("c::k");
        assert!(row.len() < 3000, "{}", row.len());
        assert_eq!(value(&store, "c", "k").await, text);
    }
}

/// Rotates what is on the server of the test that has started this process; else does nothing.
#[tokio::test]
async fn the_rotating_process() {
    let Ok(url) = env::var(URL) else {
        return;
    };
    let store = open(&url, &[NEW, OLD]).allow_unbound();
    // Ends a line that the harness has begun.
    let begins = format!("\n{BEGINS}\n");
    io::stdout().write_all(begins.as_bytes()).unwrap();
    let rotation = store.rotate(|_| {}).await.unwrap();
    assert_eq!(rotation.failed, 0, "{rotation:?}");
}

/// A process that rotates, and what it says, which it cannot go on without.
struct Rotating {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Rotating {
    fn start(url: &str) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["encrypted::the_rotating_process", "--exact", "--nocapture"])
            .env(URL, url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        let begins = said.any(|line| line.unwrap() == BEGINS);
        assert!(begins, "it ends early");
        Self { process, said }
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn comes_to_its_end(mut self) {
        self.said.by_ref().for_each(|line| drop(line.unwrap()));
        assert!(self.process.wait().unwrap().success());
    }
}

/// How many entries there are of each format.
const ENTRIES: usize = 1500;

/// Fills a server with entries of both formats, under the old key.
async fn fill(url: &str) {
    for (collection, format) in [("b", Format::Bound), ("p", Format::PythonCompatible)] {
        let old = open(url, &[OLD]).with_format(format);
        let entries = (0..ENTRIES).map(|n| (n.to_string(), entry(&old, &json!({ "n": n }))));
        let entries = entries.collect();
        old.put_many(collection, entries).await.unwrap();
    }
}

/// Checks that each entry is what it was, under the new key alone.
async fn is_all_there(url: &str) {
    let names: Vec<_> = (0..ENTRIES).map(|n| n.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let new = open(url, &[NEW]).allow_unbound();
    for collection in ["b", "p"] {
        let read = new.get_many(collection, &names).await.unwrap();
        for (n, entry) in read.into_iter().enumerate() {
            let entry = entry.unwrap().unwrap();
            let value: serde_json::Value = entry.value.decode().unwrap();
            assert_eq!(value, json!({ "n": n }));
            let left = entry.remaining(new.clock().now());
            assert!(left.is_some_and(|left| left <= HOUR), "{left:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_was_killed_over_and_over_comes_to_its_end() {
    let server = RedisServer::start(&[]);
    let url = server.url();
    fill(&url).await;
    let mut done = Vec::new();
    for _ in 0..10 {
        let rotating = Rotating::start(&url);
        thread::sleep(Duration::from_millis(fastrand::u64(..40)));
        rotating.kill();
        // Without the old key, it counts what the others have done, and does nothing itself.
        let new = open(&url, &[NEW]).allow_unbound();
        done.push(new.rotate(|_| {}).await.unwrap().current);
    }
    assert!(done.is_sorted(), "{done:?}");
    assert!(done[0] < 2 * ENTRIES as u64, "none was killed in time");

    let rotation = open(&url, &[NEW, OLD]).allow_unbound().rotate(|_| {}).await;
    let rotation = rotation.unwrap();
    assert_eq!((rotation.seen(), rotation.failed), (2 * ENTRIES as u64, 0));
    is_all_there(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_rotate_at_once_do_not_disturb_each_other() {
    let server = RedisServer::start(&[]);
    fill(&server.url()).await;
    let both = [(); 2].map(|()| Rotating::start(&server.url()));
    both.into_iter().for_each(Rotating::comes_to_its_end);
    is_all_there(&server.url()).await;
}

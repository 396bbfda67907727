//! The encrypting store over memory against the fernet crate and a memory store used by hand, and
//! against Python's cryptography, by itself and in py-key-value's wrapper over a store in memory.
//!
//! Run with: cargo bench -p kv-bench --bench encryption

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fernet::Fernet;
use futures_util::FutureExt as _;
use kv_bench::{Figure, Goal, Python, compare, compare_rates};
use kv_core::{Entry, PutMode, Store, Value};
use kv_encryption::{FernetKey, FernetStore, KeyRing};
use kv_memory::MemoryStore;

const COLLECTION: &str = "tokens";
const KEY: &str = "token-00000001";
const ROUNDS: usize = 51;
const OPERATIONS: usize = 500;

fn main() {
    let key = FernetKey::generate().expect("the system has random bytes");
    let fernet = Fernet::new(&key.to_base64()).expect("it is a key");
    let ours = FernetStore::new(MemoryStore::new(), KeyRing::new(key));
    let bare = MemoryStore::new();
    let mut python = Python::start("fernet.py", &[]);

    for size in [200, 1024, 16 * 1024] {
        let value = value(size);
        let goal = if size == 1024 {
            Goal::AtMost(1.25)
        } else {
            Goal::Open
        };
        let figure = |name, against| Figure {
            name,
            against,
            size: size as u64,
            goal,
        };
        compare(
            figure("encrypted put, bytes", "fernet and put"),
            ROUNDS,
            OPERATIONS,
            |_| time(|| put(&ours, value.clone())),
            |_| {
                time(|| {
                    let token = fernet.encrypt(value.as_bytes());
                    put(&bare, Value::from_stored(Bytes::from(token)));
                })
            },
        );
        compare(
            figure("encrypted get, bytes", "get and fernet"),
            ROUNDS,
            OPERATIONS,
            |_| time(|| drop(black_box(get(&ours)))),
            |_| {
                time(|| {
                    let entry = get(&bare);
                    let token = std::str::from_utf8(entry.value.as_bytes()).expect("it is text");
                    black_box(fernet.decrypt(token).expect("it is authentic"));
                })
            },
        );
        for (name, against, work) in [
            ("encrypted put, bytes", "Python: encrypt", "encrypt"),
            ("encrypted get, bytes", "Python: decrypt", "decrypt"),
            ("encrypted put, bytes", "py-key-value: put", "put"),
            ("encrypted get, bytes", "py-key-value: get", "get"),
        ] {
            let goal = if size == 1024 {
                Goal::AtLeast(3.0)
            } else {
                Goal::Open
            };
            compare_rates(
                Figure {
                    goal,
                    ..figure(name, against)
                },
                ROUNDS,
                |_| {
                    let took = match work {
                        "encrypt" | "put" => time(|| put(&ours, value.clone())),
                        _ => time(|| drop(black_box(get(&ours)))),
                    };
                    OPERATIONS as f64 / took.as_secs_f64()
                },
                |_| python.rate(&format!("{work} {size} {OPERATIONS}")),
            );
        }
    }
}

/// A value of `size` bytes.
fn value(size: usize) -> Value {
    let filler = "x".repeat(size - r#"{"a":""}"#.len());
    Value::from_json(format!(r#"{{"a":"{filler}"}}"#)).expect("it is an object")
}

fn put(store: &impl Store, value: Value) {
    let entry = Entry::new(value);
    let put = store.put(COLLECTION, KEY, entry, PutMode::Overwrite);
    let put = put.now_or_never().expect("memory does not wait");
    black_box(put.expect("it is stored"));
}

fn get(store: &impl Store) -> Entry {
    let get = store.get(COLLECTION, KEY).now_or_never();
    let entry = get.expect("memory does not wait").expect("it is readable");
    entry.expect("it is there")
}

/// Measures how long doing `work` so many times takes.
fn time(work: impl Fn()) -> Duration {
    let start = Instant::now();
    for _ in 0..OPERATIONS {
        work();
    }
    start.elapsed()
}

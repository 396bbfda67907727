//! Compressed values between Rust and the `CompressionWrapper` of Python's py-key-value.

use std::io::Write as _;
use std::process::{Command, Stdio};

use kv_core::StoreExt;
use kv_memory::MemoryStore;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Answer {
    read: Vec<Value>,
    written: Vec<Value>,
}

fn ask_python(read: &[Value], write: &[Value]) -> Answer {
    let script = kv_tests::workspace().join("tests/tests/python/compressed.py");
    let mut python = Command::new(kv_tests::kv_python())
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let task = json!({ "read": read, "write": write }).to_string();
    let mut input = python.stdin.take().unwrap();
    input.write_all(task.as_bytes()).unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "Python failed: see above");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn values() -> Vec<Value> {
    vec![
        json!({}),
        json!({ "text": "hello world ".repeat(200) }),
        json!({ "text": "é世界 🌍 \u{7f}\u{2028}\u{0}\"\\".repeat(500), "n": u64::MAX, "f": 0.1 }),
        json!({ "rows": (0..5000).map(|n| json!([n, null, { "b": true }])).collect::<Vec<_>>() }),
        json!({ "__compressed_data__": 5 }),
    ]
}

/// Tells whether a stored value is a record.
fn is_record(stored: &Value) -> bool {
    stored["__compressed_data__"].is_string()
}

#[tokio::test]
async fn python_reads_what_we_compress() {
    let inside = MemoryStore::new();
    let store = inside.clone().compressed();
    let mut stored = Vec::new();
    for value in values() {
        store.put_value("c", "k", &value, None).await.unwrap();
        let record: Option<Value> = inside.get_value("c", "k").await.unwrap();
        stored.push(record.unwrap());
    }
    let compressed: Vec<_> = stored.iter().map(is_record).collect();
    assert_eq!(compressed, [false, true, true, true, true]);
    assert_eq!(ask_python(&stored, &[]).read, values());
}

#[tokio::test]
async fn we_read_what_python_compresses() {
    let inside = MemoryStore::new();
    let store = inside.clone().compressed();
    // Python stores the last one as it is, which is then a broken record.
    let values = &values()[..4];
    let written = ask_python(&[], values).written;
    let compressed: Vec<_> = written.iter().map(is_record).collect();
    assert_eq!(compressed, [false, true, true, true]);
    for (value, record) in values.iter().zip(written) {
        inside.put_value("c", "k", &record, None).await.unwrap();
        let read: Option<Value> = store.get_value("c", "k").await.unwrap();
        assert_eq!(read.as_ref(), Some(value));
    }
}

//! The JSON record between Rust and Python's py-key-value, without a service in between.

use std::io::Write as _;
use std::process::{Command, Stdio};

use kv_core::{Entry, Timestamp, Value, envelope};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Answer {
    read: Vec<Read>,
    written: Vec<Written>,
}

/// What Python made of one of our records.
#[derive(Debug, PartialEq, Deserialize)]
struct Read {
    value: serde_json::Value,
    created_at: Option<i64>,
    expires_at: Option<i64>,
}

/// A record that Python made.
#[derive(Deserialize)]
struct Written {
    record: String,
    key: String,
    created_at: i64,
    text: String,
}

fn ask_python(records: &[String]) -> Answer {
    let script = kv_tests::workspace().join("tests/tests/python/envelope.py");
    let mut python = Command::new(kv_tests::python())
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let records = serde_json::to_vec(records).expect("strings are JSON");
    let mut stdin = python.stdin.take().expect("stdin is piped");
    stdin.write_all(&records).expect("Python reads its input");
    drop(stdin);
    let output = python.wait_with_output().expect("Python ends");
    assert!(output.status.success(), "Python failed: see above");
    serde_json::from_slice(&output.stdout).expect("Python answers JSON")
}

#[test]
fn python_reads_what_we_write() {
    let values = [
        json!({}),
        json!({ "b": [1, 2.5, null, true], "a": { "é": "世界 🌍 \u{7f}\u{2028}\u{0}" } }),
        json!({ "most": u64::MAX, "least": i64::MIN }),
    ];
    let times = [
        (None, None),
        (Some(0), Some(1)),
        (Some(Timestamp::MIN.as_micros()), Some(1_500_000)),
        (
            Some(1_767_323_045_123_456),
            Some(Timestamp::MAX.as_micros()),
        ),
    ];
    let mut records = Vec::new();
    let mut expected = Vec::new();
    for value in values {
        for (created_at, expires_at) in times {
            let entry = Entry::new(Value::encode(&value).unwrap())
                .with_created_at(created_at.map(Timestamp::from_micros))
                .with_expires_at(expires_at.map(Timestamp::from_micros));
            let record = envelope::encode("coléction \"c\"", "ключ \\ \u{1}", &entry).unwrap();
            records.push(String::from_utf8(record.to_vec()).unwrap());
            expected.push(Read {
                value: value.clone(),
                created_at,
                expires_at,
            });
        }
    }
    assert_eq!(ask_python(&records).read, expected);
}

#[test]
fn we_read_what_python_writes() {
    let written = ask_python(&[]).written;
    assert!(!written.is_empty());
    for Written {
        record,
        key,
        created_at,
        text,
    } in written
    {
        let read = envelope::decode(record.into()).unwrap();
        assert!(read.is_of("c", &key), "{key}");
        assert_eq!(read.entry.value.as_bytes(), text.as_bytes());
        assert_eq!(
            read.entry.created_at,
            Some(Timestamp::from_micros(created_at))
        );
        assert_eq!(read.entry.expires_at, Some(Timestamp::MAX));
    }
}

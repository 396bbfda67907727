//! The wire form shared with Python, against what Python wrote.

use bytes::Bytes;
use kv_core::{Entry, Error, Timestamp, Value, envelope};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Vectors {
    pub(crate) records: Vec<Record>,
    reader_tolerance: Vec<Odd>,
    fixed_clock: Vec<Fixed>,
    python_json_text: Vec<String>,
}

/// A record that Python wrote.
#[derive(Deserialize)]
pub(crate) struct Record {
    id: String,
    pub(crate) raw: String,
    value_text: String,
    created_at_micros: Option<i64>,
    expires_at_micros: Option<i64>,
    collection: String,
    key: String,
}

/// A record that Python would not write.
#[derive(Deserialize)]
struct Odd {
    name: String,
    raw_hex: String,
}

/// A record that Python writes when the clock stands still.
#[derive(Deserialize)]
struct Fixed {
    label: String,
    created_at_micros: i64,
    expires_at_micros: Option<i64>,
    collection: String,
    key: String,
    value: String,
    json: String,
}

pub(crate) fn vectors() -> Vectors {
    serde_json::from_str(include_str!("data/py-key-value.json")).expect("the vectors are valid")
}

pub(crate) fn decode(record: impl Into<Bytes>) -> kv_core::Result<envelope::Envelope> {
    envelope::decode(record.into())
}

pub(crate) fn decode_value(value: &str) -> kv_core::Result<Bytes> {
    let record = decode(format!(r#"{{"value":{value}}}"#))?;
    Ok(record.entry.value.into_bytes())
}

pub(crate) fn members(record: &[u8]) -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_slice(record).expect("the record is strict JSON")
}

#[test]
fn all_63_records_of_python_decode_to_their_value_times_and_names() {
    let records = vectors().records;
    assert_eq!(records.len(), 63);
    for record in records {
        let decoded = decode(record.raw).unwrap();
        let Entry {
            value,
            created_at,
            expires_at,
            ..
        } = &decoded.entry;
        let id = &record.id;
        assert_eq!(value.as_bytes(), record.value_text.as_bytes(), "{id}");
        assert_eq!(
            created_at.map(Timestamp::as_micros),
            record.created_at_micros,
            "{id}"
        );
        assert_eq!(
            expires_at.map(Timestamp::as_micros),
            record.expires_at_micros,
            "{id}"
        );
        assert!(decoded.is_of(&record.collection, &record.key), "{id}");
    }
}

#[test]
fn every_value_text_of_python_comes_back_to_the_byte() {
    for text in vectors().python_json_text {
        assert_eq!(decode_value(&text).unwrap(), text);
    }
}

#[test]
fn our_record_is_pythons_but_for_the_revision_and_the_spaces() {
    for case in vectors().fixed_clock {
        let expires_at = case.expires_at_micros.map(Timestamp::from_micros);
        let entry = Entry::new(Value::from_json(case.value).unwrap())
            .with_created_at(Timestamp::from_micros(case.created_at_micros))
            .with_expires_at(expires_at);
        let record = envelope::encode(&case.collection, &case.key, &entry).unwrap();

        let mut ours = members(&record);
        let revision = ours.remove("revision").unwrap();
        let revision = revision.as_str().unwrap();
        assert_eq!(ours, members(case.json.as_bytes()), "{}", case.label);
        assert!(revision.len() == 32 && revision.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}

#[test]
fn members_stand_in_sorted_order_without_spaces() {
    let entry = Entry::new(Value::from_json(r#"{"b":1, "a":2}"#).unwrap())
        .with_created_at(Timestamp::from_micros(1_767_323_045_123_456))
        .with_expires_at(Timestamp::from_micros(1_767_323_055_000_000));
    let record = envelope::encode("c\"1\u{1}", "k\\é", &entry).unwrap();
    let record = std::str::from_utf8(&record).unwrap();
    let (before, rest) = record.split_once(r#""revision":""#).unwrap();
    assert_eq!(
        before,
        concat!(
            r#"{"collection":"c\"1\u0001","created_at":"2026-01-02T03:04:05.123456+00:00","#,
            r#""expires_at":"2026-01-02T03:04:15+00:00","key":"k\\é","#,
        )
    );
    assert_eq!(&rest[32..], r#"","value":{"b":1, "a":2},"version":1}"#);
}

#[test]
fn two_writes_of_one_entry_never_have_the_same_bytes() {
    let entry = Entry::new(Value::from_json("{}").unwrap());
    assert_ne!(
        envelope::encode("c", "k", &entry).unwrap(),
        envelope::encode("c", "k", &entry).unwrap()
    );
}

/// What `decode` makes of each odd record, by the names of the vectors.
///
/// `Ok(micros)` reads `{"a":1}` with that expiry. Python's Redis store takes most of what it
/// cannot read for a miss and raises a stray `TypeError` for the rest; its DynamoDB store raises.
/// Here all of it is `Error::Corrupted`, so that damage is never a silent miss.
const ODD: &[(&str, Result<Option<i64>, &str>)] = &[
    ("minimal {value}", Ok(None)),
    // Python raises TypeError. Its predecessor wrote null dates.
    ("created_at null", Ok(None)),
    ("expires_at null", Ok(None)),
    ("no fraction +00:00", Ok(Some(2_110_710_192_000_000))),
    ("3 digits", Ok(Some(2_110_710_192_123_000))),
    ("9 digits", Ok(Some(2_110_710_192_123_456))),
    ("1 digit", Ok(Some(2_110_710_192_100_000))),
    ("naive (no offset)", Err(NO_DATE)),
    ("+02:00 offset", Ok(Some(2_110_702_992_000_000))),
    ("epoch number date", Err(NO_DATE)),
    // Python answers a miss. Here the store judges the expiry by its own clock.
    ("past expires_at", Ok(Some(1_577_836_800_000_000))),
    ("value list", Err("its value is not an object")),
    ("value null", Err("its value is not an object")),
    ("version 2", Ok(None)),
    ("version str", Ok(None)),
    ("extra field", Ok(None)),
    // The names are handed on beside the entry: see `Envelope::is_of`.
    ("wrong key/collection fields", Ok(None)),
    ("trailing garbage", Err("it is not JSON")),
    ("json list", Err("it is not JSON")),
    ("empty", Err("it is not JSON")),
    ("invalid utf8", Err("it is not UTF-8")),
    ("leading ws", Ok(None)),
];

const NO_DATE: &str = "a date is not a time with an offset in the years 1 to 9999";

/// The odd records whose value is something else: it comes back to the byte.
const ODD_VALUES: &[(&str, &str)] = &[
    ("duplicate keys", r#"{"a":1,"a":2}"#),
    ("NaN", r#"{"a":NaN,"b":Infinity}"#),
    ("1e400", r#"{"a":1e400}"#),
    ("lone surrogate", r#"{"a":"\ud800"}"#),
];

#[test]
fn every_odd_record_is_read_or_refused_as_the_table_says() {
    let cases = vectors().reader_tolerance;
    assert_eq!(cases.len(), ODD.len() + ODD_VALUES.len());
    for Odd { name, raw_hex } in cases {
        let raw: Vec<u8> = (0..raw_hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&raw_hex[at..at + 2], 16).unwrap())
            .collect();
        let read = decode(raw).map(|record| {
            let expiry = record.entry.expires_at.map(Timestamp::as_micros);
            (record.entry.value.into_bytes(), expiry)
        });
        let odd_value = ODD_VALUES.iter().find(|(odd, _)| *odd == name);
        let odd = ODD.iter().find(|(odd, _)| *odd == name);
        match (odd_value, odd) {
            (Some((_, value)), _) => assert_eq!(read.unwrap(), (Bytes::from(*value), None)),
            (_, Some((_, Ok(expiry)))) => {
                assert_eq!(
                    read.unwrap(),
                    (Bytes::from(r#"{"a":1}"#), *expiry),
                    "{name}"
                );
            }
            (_, Some((_, Err(expected)))) => match read {
                Err(Error::Corrupted { reason, .. }) => assert_eq!(reason, *expected, "{name}"),
                other => panic!("{name}: {other:?}"),
            },
            _ => panic!("{name} is not in the tables"),
        }
    }
}

#[test]
fn a_value_that_is_a_string_of_json_is_unwrapped() {
    assert_eq!(
        decode_value(r#"" {\"a\" : \"\\u00e9\\ud800\"} ""#).unwrap(),
        r#"{"a" : "\u00e9\ud800"}"#
    );
}

#[test]
fn a_string_that_holds_no_object_is_no_value() {
    for value in [
        r#""""#,
        r#""text""#,
        r#""[1]""#,
        r#""\"{}\"""#,
        r#""{} {}""#,
        r#""\ud800""#,
    ] {
        assert!(
            matches!(decode_value(value), Err(Error::Corrupted { .. })),
            "{value}"
        );
    }
}

#[test]
fn of_a_repeated_member_the_last_one_counts() {
    let record = decode(concat!(
        r#"{"value":1,"expires_at":5,"key":"x","v\u0061lue":{"b":2},"#,
        r#""expires_at":"1970-01-01T00:00:01Z","key":"y","collection":"c"}"#,
    ))
    .unwrap();
    assert_eq!(record.entry.value.as_bytes(), br#"{"b":2}"#);
    assert_eq!(
        record.entry.expires_at,
        Some(Timestamp::from_micros(1_000_000))
    );
    assert!(record.is_of("c", "y"));
}

#[test]
fn a_record_without_its_names_is_of_no_name() {
    for record in [
        r#"{"value":{}}"#,
        r#"{"collection":"c","value":{}}"#,
        r#"{"collection":"c","key":"other","value":{}}"#,
        r#"{"collection":"c","key":7,"value":{}}"#,
        r#"{"collection":"c","key":"\ud800","value":{}}"#,
    ] {
        assert!(!decode(record).unwrap().is_of("c", "k"), "{record}");
    }
}

#[test]
fn the_value_shares_the_bytes_of_the_record() {
    let record = Bytes::from_static(br#"{"value":{"a":1}}"#);
    let value = decode(record.clone()).unwrap().entry.value.into_bytes();
    assert_eq!(value.as_ptr(), record[9..].as_ptr());
}

#[test]
fn the_revision_is_the_records_exact_bytes() {
    let record = Bytes::from_static(br#" {"value": {}} "#);
    let revision = decode(record.clone()).unwrap().entry.revision.unwrap();
    assert_eq!(revision.as_bytes(), Some(&record));
}

#[test]
fn debug_shows_neither_names_nor_value() {
    let record = r#"{"collection":"hunter1","key":"hunter2","value":{"a":"hunter3"}}"#;
    let debug = format!("{:?}", decode(record).unwrap());
    assert!(!debug.contains("hunter"), "{debug}");
}

#[test]
fn the_deepest_value_that_from_json_takes_is_read_back() {
    let deepest = format!("{}1{}", r#"{"a":"#.repeat(127), "}".repeat(127));
    let entry = Entry::new(Value::from_json(deepest).unwrap());
    let record = envelope::encode("c", "k", &entry).unwrap();
    assert_eq!(decode(record).unwrap().entry.value, entry.value);
}

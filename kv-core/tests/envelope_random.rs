//! The wire form on random entries and on damaged records.

use kv_core::{Entry, Timestamp, Value, envelope};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use crate::envelope::{decode, decode_value, members, vectors};

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        any::<String>().prop_map(|value| json!(value)),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(|items| json!(items)),
            vec((any::<String>(), inner), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_object() -> impl Strategy<Value = serde_json::Value> {
    vec((any::<String>(), any_json()), 0..6)
        .prop_map(|members| serde_json::Value::Object(members.into_iter().collect()))
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    let (min, max) = (Timestamp::MIN.as_micros(), Timestamp::MAX.as_micros());
    prop_oneof![
        min..=max,
        (min / 1_000_000..=max / 1_000_000).prop_map(|seconds| seconds * 1_000_000),
    ]
    .prop_map(Timestamp::from_micros)
}

/// Valid JSON, printed in one of two ways, with up to three pieces of it replaced by tokens.
fn nearly_json() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "", "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\ud83d", "0", "1", "-", ".", "e",
        "1.5", "E+2", "true", "null", "NaN", "Infinity", " ", "\n", "\t", "\u{1}", "é", "{}", "[]",
    ]);
    let edits = vec((any::<prop::sample::Index>(), 0..3_usize, token), 0..4);
    (any_object(), any::<bool>(), edits).prop_map(|(value, pretty, edits)| {
        let text = if pretty {
            serde_json::to_string_pretty(&value).expect("a JSON value prints")
        } else {
            value.to_string()
        };
        let mut text: Vec<char> = text.chars().collect();
        for (at, removed, token) in edits {
            let at = at.index(text.len() + 1);
            text.splice(at..(at + removed).min(text.len()), token.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #[test]
    fn an_encoded_entry_comes_back(
        collection in "\\PC{1,20}|[\\x00-\\x7f]{1,20}",
        key in any::<String>(),
        value in any_object(),
        created_at in proptest::option::of(any_time()),
        expires_at in proptest::option::of(any_time()),
    ) {
        let entry = Entry::new(Value::encode(&value).unwrap())
            .with_created_at(created_at)
            .with_expires_at(expires_at);
        let record = envelope::encode(&collection, &key, &entry).unwrap();
        let strict: serde_json::Value = entry.value.decode().unwrap();
        prop_assert_eq!(&members(&record)["value"], &strict);
        let decoded = decode(record).unwrap();
        prop_assert!(decoded.is_of(&collection, &key));
        prop_assert_eq!(decoded.entry.with_revision(None), entry);
    }

    #[test]
    fn the_scanner_takes_what_a_strict_parser_takes(text in nearly_json()) {
        if Value::from_json(text.clone()).is_ok() {
            let value = decode_value(&text);
            prop_assert_eq!(value.unwrap(), text.trim());
        }
    }

    #[test]
    fn the_scanner_takes_no_more_than_pythons_additions(text in nearly_json()) {
        let added = ["NaN", "Infinity", "\\ud", "\\uD"];
        let exponent = |pair: &[u8]| pair[0].is_ascii_digit() && pair[1].eq_ignore_ascii_case(&b'e');
        let pythons = added.iter().any(|added| text.contains(added))
            || text.as_bytes().windows(2).any(exponent);
        if decode_value(&text).is_ok() && !pythons {
            prop_assert!(Value::from_json(text).is_ok());
        }
    }

    #[test]
    fn no_bytes_make_decode_panic(bytes in vec(any::<u8>(), 0..256)) {
        let _ = decode(bytes);
    }

    #[test]
    fn no_damage_to_a_record_makes_decode_panic(
        record in prop::sample::select(vectors().records.into_iter().map(|record| record.raw).collect::<Vec<_>>()),
        edits in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut record = record.into_bytes();
        for (at, byte) in edits {
            let at = at.index(record.len());
            record[at] = byte;
        }
        if cut {
            record.truncate(end.index(record.len()));
        }
        let _ = decode(record);
    }
}

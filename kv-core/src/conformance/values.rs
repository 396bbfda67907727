//! Which values a store takes, and that it changes none.

use bytes::Bytes;

use super::Subject;
use super::subject::entry;
use crate::{Entry, Error, PutMode, Value};

const MEBIBYTE: usize = 1024 * 1024;

pub async fn an_empty_object_is_kept(t: &Subject) {
    assert_kept(t, "{}").await;
}

pub async fn a_value_of_every_json_type_is_kept(t: &Subject) {
    assert_kept(
        t,
        r#"{"null":null,"true":true,"false":false,"int":-42,"float":1.5,"text":"a","list":[1,[2]],"object":{"a":{}}}"#,
    )
    .await;
}

pub async fn a_text_that_looks_like_another_type_is_kept(t: &Subject) {
    assert_kept(t, r#"{"a":"null","b":"1","c":"true","d":"{}","e":""}"#).await;
}

pub async fn a_value_nested_a_hundred_levels_deep_is_kept(t: &Subject) {
    let objects = format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100));
    assert_kept(t, &objects).await;
    let arrays = format!(r#"{{"a":{}{}}}"#, "[".repeat(99), "]".repeat(99));
    assert_kept(t, &arrays).await;
}

pub async fn the_text_of_numbers_is_kept(t: &Subject) {
    assert_kept(
        t,
        r#"{"a":123456789012345678901234567890,"b":-0,"c":1.0,"d":1.50,"e":1E5,"f":1e-7,"g":0.1000000000000000055511151231257827,"h":9007199254740993,"i":18446744073709551615,"j":-0.0}"#,
    )
    .await;
}

pub async fn the_text_of_strings_is_kept(t: &Subject) {
    assert_kept(
        t,
        r#"{"a":"\u00e9é","b":"\/\b\f\n\r\t\"\\","c":"\u0000","d":"\ud83e\udd80🦀","é":" "}"#,
    )
    .await;
}

pub async fn whitespace_inside_a_value_is_kept(t: &Subject) {
    assert_kept(t, "{ \"a\" :\t[ 1 ,\r\n2 ] }").await;
}

pub async fn the_order_and_the_repeats_of_members_are_kept(t: &Subject) {
    assert_kept(t, r#"{"b":1,"a":2,"B":3,"b":4}"#).await;
}

pub async fn members_named_like_those_of_a_record_are_kept(t: &Subject) {
    for text in [
        r#"{"value":{"a":1},"created_at":"x","expires_at":null,"version":1,"revision":"r","collection":"c","key":"k"}"#,
        r#"{"value":{"n":7},"created_at":"2001-01-01T00:00:00+00:00","expires_at":"2001-01-01T00:00:01+00:00"}"#,
        r#"{"__encrypted_data__":"gAAAAA==","__encryption_version__":1}"#,
        r#"{"__compressed_data__":"H4sIAAAA","__compression_version__":1,"__compression_algorithm__":"gzip"}"#,
        r#"{"items":[1,2]}"#,
    ] {
        assert_kept(t, text).await;
    }
}

pub async fn a_value_of_one_mebibyte_is_kept(t: &Subject) {
    let limit = t.store.info().max_value_bytes.unwrap_or(u64::MAX);
    let length = usize::try_from(limit).unwrap_or(MEBIBYTE).min(MEBIBYTE);
    assert_kept(t, &text_of(length)).await;
}

pub async fn a_value_over_the_limit_is_refused_and_changes_nothing(t: &Subject) {
    // Larger limits are the backend's own test: the suite runs on many stores at once.
    let limit = t.store.info().max_value_bytes;
    let Some(limit) = limit.filter(|limit| *limit <= 16 * MEBIBYTE as u64) else {
        return;
    };
    let over = Value::from_json(text_of(usize::try_from(limit).unwrap() + 1)).unwrap();
    t.put("k", entry(1)).await;
    let put = t.try_put("k", Entry::new(over.clone()), PutMode::Overwrite);
    assert_too_large(&put.await.unwrap_err(), limit);
    let entries = vec![("new".into(), entry(2)), ("k".into(), Entry::new(over))];
    let put = t.store.put_many(&t.collection, entries);
    assert_too_large(&put.await.unwrap_err(), limit);
    assert_eq!(t.numbers(&["k", "new"]).await, [Some(1), None]);
}

pub async fn a_short_value_replaces_a_long_one_whole(t: &Subject) {
    t.put("k", Entry::new(Value::from_json(text_of(9000)).unwrap()))
        .await;
    assert_kept(t, "{}").await;
}

fn assert_too_large(error: &Error, limit: u64) {
    assert!(
        matches!(error, Error::TooLarge { limit: told, size } if size > told && *told >= limit),
        "{error:?}"
    );
}

/// The text of an object of `length` bytes that does not compress well.
fn text_of(length: usize) -> String {
    let mut random = fastrand::Rng::with_seed(2);
    let frame = r#"{"a":""}"#.len();
    let filler = (frame..length).map(|_| random.alphanumeric());
    format!(r#"{{"a":"{}"}}"#, filler.collect::<String>())
}

async fn assert_kept(t: &Subject, text: &str) {
    let value = Value::from_json(text.to_owned()).unwrap();
    t.put("k", Entry::new(value.clone())).await;
    assert_text(t.get("k").await, text);
    let many = t.store.get_many(&t.collection, &["k"]).await.unwrap();
    for entry in many {
        assert_text(entry.unwrap(), text);
    }
    assert_text(t.take("k").await, text);
    let entries = vec![("k".into(), Entry::new(value))];
    t.store.put_many(&t.collection, entries).await.unwrap();
    assert_text(t.get("k").await, text);
}

fn assert_text(entry: Option<Entry>, text: &str) {
    let bytes: Bytes = entry.unwrap().value.into_bytes();
    let read = std::str::from_utf8(&bytes).unwrap();
    assert!(read == text, "{} is not {}", head(read), head(text));
}

/// The start of a text, for a message.
fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(200)]
}

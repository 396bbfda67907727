//! The check of a message against examples and against `serde_json`.

use proptest::prelude::*;
use serde_json::Value;

use super::super::json::check;
use super::super::reply::{INVALID_REQUEST, PARSE_ERROR};

const MAX_DEPTH: usize = 128;

fn code(body: &str) -> i32 {
    check(body.as_bytes()).expect_err(body).code
}

fn reason(body: &str) -> String {
    check(body.as_bytes()).expect_err(body).message
}

/// Puts `value` where a message may hold anything.
fn message(value: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{value}}}"#)
}

#[test]
fn messages_of_every_kind_pass() {
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
        r#" {"jsonrpc":"2.0","id":"2.0","method":"2.0","params":[]} "#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","id":-9223372036854775808,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0","method":"m","params":{"a":{"x":1},"b":{"x":1}}}"#,
    ] {
        assert_eq!(check(body.as_bytes()), Ok(()), "{body}");
    }
}

#[test]
fn malformed_json_is_a_parse_error() {
    for body in [
        "",
        " ",
        "{",
        "nul",
        "{}x",
        "{\"a\":1,}",
        "\u{feff}{}",
        "{\"a\":\"\\ud800\"}",
        "\0{}",
        "{'a':1}",
        "{\"a\":NaN}",
        "{\"a\":1e400}",
    ] {
        assert_eq!(code(body), PARSE_ERROR, "{body:?}");
    }
    assert_eq!(check(b"{\"a\":\"\xff\"}").unwrap_err().code, PARSE_ERROR);
    assert_eq!(reason(""), "the body is empty");
}

#[test]
fn batches_and_scalars_are_refused() {
    for body in ["[]", r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#] {
        assert_eq!(code(body), INVALID_REQUEST);
        assert_eq!(reason(body), "batches are not supported");
    }
    for body in ["1", "null", "\"x\"", "true"] {
        assert_eq!(code(body), INVALID_REQUEST);
    }
}

#[test]
fn duplicate_members_are_refused_on_every_level() {
    for body in [
        r#"{"jsonrpc":"2.0","method":"a","method":"b"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","method":"a","m\u0065thod":"b"}"#.to_owned(),
        message(r#"{"a":[{"b":1,"b":2}]}"#),
    ] {
        assert_eq!(code(&body), INVALID_REQUEST, "{body}");
        assert!(reason(&body).starts_with("duplicate member"), "{body}");
    }
    assert_eq!(
        reason(&message("{\"\\n`\":1,\"\\n`\":1}")),
        r"duplicate member `\u{a}\u{60}`"
    );
}

#[test]
fn duplicates_are_found_among_many_members() {
    let object = |last: usize| {
        let members = (0..1000)
            .chain([last])
            .map(|number| format!("\"{number}\":1"));
        message(&format!("{{{}}}", members.collect::<Vec<_>>().join(",")))
    };
    assert_eq!(check(object(1000).as_bytes()), Ok(()));
    for last in [0, 7, 8, 500, 999] {
        assert_eq!(reason(&object(last)), format!("duplicate member `{last}`"));
    }
}

#[test]
fn ids_that_no_answer_could_repeat_are_refused() {
    for id in [
        "1.5",
        "1.0",
        "null",
        "{}",
        "[1]",
        "true",
        "9223372036854775808",
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        assert_eq!(code(&body), INVALID_REQUEST, "{id}");
        assert!(reason(&body).starts_with("`id`"), "{id}");
    }
}

#[test]
fn objects_that_are_no_message_are_refused() {
    for body in [
        "{}",
        r#"{"method":"a"}"#,
        r#"{"jsonrpc":"1.0","method":"a"}"#,
        r#"{"jsonrpc":2.0,"method":"a"}"#,
        r#"{"jsonrpc":"2.0","Method":"a"}"#,
        r#"{"jsonrpc":"2.0","method":5}"#,
        r#"{"jsonrpc":"2.0","id":1}"#,
    ] {
        assert_eq!(code(body), INVALID_REQUEST, "{body}");
    }
}

#[test]
fn nesting_stops_where_serde_json_stops() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| {
            let inner = depth - 1;
            message(&format!("{}1{}", open.repeat(inner), close.repeat(inner)))
        };
        let deepest = nested(MAX_DEPTH - 1);
        assert_eq!(check(deepest.as_bytes()), Ok(()));
        assert!(serde_json::from_str::<Value>(&deepest).is_ok());

        let too_deep = nested(MAX_DEPTH);
        assert_eq!(code(&too_deep), INVALID_REQUEST);
        assert!(serde_json::from_str::<Value>(&too_deep).is_err());
    }
    assert_eq!(code(&message(&"[".repeat(4 << 20))), INVALID_REQUEST);
    assert_eq!(code(&message(&"{\"a\":".repeat(1 << 20))), INVALID_REQUEST);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..8).prop_map(Value::from_iter),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_serde_json_writes_passes(value in any_json()) {
        prop_assert_eq!(check(message(&value.to_string()).as_bytes()), Ok(()));
    }

    #[test]
    fn damaged_json_is_malformed_exactly_when_serde_json_says_so(
        value in any_json(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut body = message(&value.to_string()).into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        let malformed = serde_json::from_slice::<Value>(&body).is_err();
        let refused_as_malformed = check(&body).is_err_and(|r| r.code == PARSE_ERROR);
        // A refusal for another reason may end the reading before the malformed place.
        if malformed {
            prop_assert!(check(&body).is_err());
        } else {
            prop_assert!(!refused_as_malformed);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(body in any::<Vec<u8>>()) {
        let malformed = serde_json::from_slice::<Value>(&body).is_err();
        prop_assert!(check(&body).is_err());
        if !malformed {
            prop_assert_eq!(check(&body).unwrap_err().code, INVALID_REQUEST);
        }
    }
}

#[test]
fn a_message_has_at_most_100_000_values() {
    // Its own four members count.
    let numbers = |count: usize| message(&format!("[{}0]", "0,".repeat(count - 1)));
    assert_eq!(check(numbers(99_996).as_bytes()), Ok(()));
    assert_eq!(code(&numbers(99_997)), INVALID_REQUEST);
    let reason = reason(&numbers(99_997));
    assert_eq!(reason, "the message has more than 100000 values");

    let members: Vec<_> = (0..99_997).map(|n| format!("\"{n}\":0")).collect();
    let object = |members: &[String]| message(&format!("{{{}}}", members.join(",")));
    assert_eq!(check(object(&members[1..]).as_bytes()), Ok(()));
    assert_eq!(code(&object(&members)), INVALID_REQUEST);
}

#[test]
fn an_id_has_at_most_256_bytes_and_no_control_characters() {
    let with_id = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"m"}}"#);
    assert_eq!(check(with_id(&"x".repeat(256)).as_bytes()), Ok(()));
    for id in [
        "x".repeat(257),
        "é".repeat(129),
        r"a\nb".into(),
        "\u{85}".into(),
    ] {
        assert_eq!(
            reason(&with_id(&id)),
            "`id` must have at most 256 bytes and no control characters"
        );
    }
    // What is no id may be long and have lines.
    let method = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{}\n"}}"#,
        "m".repeat(300)
    );
    assert_eq!(check(method.as_bytes()), Ok(()));
}

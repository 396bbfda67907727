//! Taking a value for one of another type, as clients write them: `"10"` for 10.

use std::collections::BTreeMap;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, JsonTypeSet, ValidationError};
use serde_json::{Number, Value};

/// Adds to `places` which types are wanted where `error` is for want of a type.
pub(super) fn wanted(error: &ValidationError<'_>, places: &mut BTreeMap<String, JsonTypeSet>) {
    match error.kind() {
        ValidationErrorKind::Type { kind } => {
            let place = error.instance_path().as_str().to_owned();
            let types = places.entry(place).or_insert_with(JsonTypeSet::empty);
            for kind in kinds(kind) {
                *types = types.insert(kind);
            }
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            for error in context.iter().flatten() {
                wanted(error, places);
            }
        }
        _ => {}
    }
}

/// Returns the types that are asked for.
pub(super) fn kinds(kind: &TypeKind) -> Vec<JsonType> {
    match kind {
        TypeKind::Single(kind) => vec![*kind],
        TypeKind::Multiple(kinds) => kinds.iter().collect(),
    }
}

/// Returns what `value` means as one of `types`; `None` when it means nothing.
pub(super) fn coerced(value: &Value, types: JsonTypeSet) -> Option<Value> {
    let wants = |kind| types.contains(kind);
    match value {
        Value::String(text) => {
            let text = text.trim();
            number(text, types)
                .or_else(|| truth(text).filter(|_| wants(JsonType::Boolean)))
                .or_else(|| composite(text, types))
        }
        Value::Number(number) if wants(JsonType::Boolean) => match number.as_u64()? {
            0 => Some(Value::Bool(false)),
            1 => Some(Value::Bool(true)),
            _ => None,
        },
        _ => None,
    }
}

fn number(text: &str, types: JsonTypeSet) -> Option<Value> {
    let number: Number = serde_json::from_str(text).ok()?;
    let fits =
        types.contains(JsonType::Number) || types.contains(JsonType::Integer) && !number.is_f64();
    fits.then_some(Value::Number(number))
}

fn truth(text: &str) -> Option<Value> {
    if text == "1" || text.eq_ignore_ascii_case("true") {
        return Some(Value::Bool(true));
    }
    let is_false = text == "0" || text.eq_ignore_ascii_case("false");
    is_false.then_some(Value::Bool(false))
}

/// Reads `text` as the JSON of an object or array, as some clients send them.
fn composite(text: &str, types: JsonTypeSet) -> Option<Value> {
    let kind = match text.as_bytes().first()? {
        b'{' => JsonType::Object,
        b'[' => JsonType::Array,
        _ => return None,
    };
    if !types.contains(kind) {
        return None;
    }
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn as_type(value: &Value, kind: JsonType) -> Option<Value> {
        coerced(value, kind.into())
    }

    #[test]
    fn text_becomes_what_it_spells() {
        for (text, kind, value) in [
            ("10", JsonType::Integer, json!(10)),
            (" -10 ", JsonType::Integer, json!(-10)),
            ("18446744073709551615", JsonType::Integer, json!(u64::MAX)),
            ("1.5", JsonType::Number, json!(1.5)),
            ("10", JsonType::Number, json!(10)),
            ("true", JsonType::Boolean, json!(true)),
            ("False", JsonType::Boolean, json!(false)),
            ("1", JsonType::Boolean, json!(true)),
            ("0", JsonType::Boolean, json!(false)),
            (" [1]", JsonType::Array, json!([1])),
            (r#"{"a": "b"}"#, JsonType::Object, json!({"a": "b"})),
        ] {
            assert_eq!(as_type(&text.into(), kind), Some(value), "{text}");
        }
        assert_eq!(as_type(&json!(1), JsonType::Boolean), Some(json!(true)));
    }

    #[test]
    fn text_that_spells_something_else_stays() {
        for (text, kind) in [
            ("1.5", JsonType::Integer),
            ("ten", JsonType::Integer),
            ("NaN", JsonType::Number),
            ("", JsonType::Number),
            ("yes!", JsonType::Boolean),
            ("{}", JsonType::Array),
            ("[1", JsonType::Array),
            ("null", JsonType::Null),
        ] {
            assert_eq!(as_type(&text.into(), kind), None, "{text}");
        }
        assert_eq!(as_type(&json!(2), JsonType::Boolean), None);
        assert_eq!(as_type(&json!(1), JsonType::String), None);
        assert_eq!(as_type(&json!([1]), JsonType::Integer), None);
    }

    #[test]
    fn a_number_is_preferred_to_a_truth() {
        let types = JsonType::Boolean | JsonType::Integer;
        assert_eq!(coerced(&json!("1"), types), Some(json!(1)));
        assert_eq!(coerced(&json!("true"), types), Some(json!(true)));
    }
}

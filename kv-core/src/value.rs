//! [`Value`]: the JSON object that an entry holds, kept as its text.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::json::JsonFault;
use crate::{Error, Result};

/// How deep a value may be nested: what `serde_json` reads.
const MAX_DEPTH: usize = 127;

/// A JSON object, held as its text. Cloning shares the bytes.
///
/// Stores and wrappers move these bytes; only the user's edge encodes and decodes. `Debug` prints
/// the length and never the content, which may be a secret.
///
/// # Examples
///
/// ```
/// use kv_core::Value;
/// use serde_json::json;
///
/// let value = Value::encode(&json!({ "name": "Ada" }))?;
/// assert_eq!(value.as_bytes(), br#"{"name":"Ada"}"#);
/// assert_eq!(value.decode::<serde_json::Value>()?, json!({ "name": "Ada" }));
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Value(Bytes);

impl Value {
    /// Serializes `value` as compact JSON.
    ///
    /// # Errors
    ///
    /// [`Error::NotAnObject`] when `value` serializes to anything but a JSON object (wrap it in
    /// [`Items`](crate::Items)), [`Error::Encode`] when it does not serialize to JSON at all or is
    /// nested deeper than 127 levels, where no reader would take it.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let text = serde_json::to_vec(value).map_err(JsonFault::encode)?;
        if text.first() != Some(&b'{') {
            return Err(Error::NotAnObject);
        }
        if is_too_deep(&text) {
            return Err(JsonFault::too_deep());
        }
        // Without the room that the text left, as a store may keep it for long.
        Ok(Self(text.into_boxed_slice().into()))
    }

    /// Takes JSON text as it is but for the whitespace around it, after checking it against RFC 8259.
    ///
    /// The value shares the bytes, and keeps all of what they are a part of: pass
    /// `Bytes::copy_from_slice(..)` of a small part of a large body that is to be stored for long.
    ///
    /// Stricter than the grammar where a reader would fail later: a lone surrogate, a number that
    /// no `f64` holds and nesting deeper than 127 levels are refused.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] when the text is not such JSON, [`Error::NotAnObject`] when it is not an
    /// object.
    pub fn from_json(text: impl Into<Bytes>) -> Result<Self> {
        let text = text.into();
        serde_json::from_slice::<Checked>(&text).map_err(JsonFault::decode)?;
        let trimmed = text.trim_ascii();
        if trimmed.first() != Some(&b'{') {
            return Err(Error::NotAnObject);
        }
        Ok(Self(text.slice_ref(trimmed)))
    }

    /// Takes text that a store has read back, without checking it.
    ///
    /// For backends, whose records were checked when they were written or are checked by their own
    /// reader. It may hold what Python's `json` writes and RFC 8259 does not allow, such as `NaN`;
    /// [`decode`](Self::decode) then fails and the bytes stay as they are.
    #[must_use]
    pub const fn from_stored(text: Bytes) -> Self {
        Self(text)
    }

    /// Deserializes the object.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] when the object is not a `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.0).map_err(JsonFault::decode)
    }

    /// Returns the JSON text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the JSON text, sharing the bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Returns the length of the JSON text in bytes.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "an object is at least two bytes long"
    )]
    pub const fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.len())
    }
}

/// Tells whether valid JSON is nested deeper than `serde_json` reads: 127 levels.
fn is_too_deep(json: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    false
}

/// JSON that was parsed in full and thrown away. Unlike `IgnoredAny` it looks into strings and
/// numbers.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        while members.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use serde_json::json;

    use super::*;

    #[test]
    fn encode_refuses_what_is_not_an_object() {
        for value in [
            json!(1),
            json!("text"),
            json!([1]),
            json!(null),
            json!(true),
        ] {
            assert!(
                matches!(Value::encode(&value), Err(Error::NotAnObject)),
                "{value}"
            );
        }
    }

    #[test]
    fn from_json_keeps_the_text_as_it_is_but_for_the_whitespace_around_it() {
        let text = r#"{"b" : 1.50, "a":"\u00e9"}"#;
        let around = format!(" \t{text}\r\n");
        for from in [text, &around] {
            let value = Value::from_json(from.to_owned()).unwrap();
            assert_eq!(value.as_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn encode_and_from_json_take_127_levels_and_no_more() {
        let list = |levels| {
            let tricky = json!({ "\"[{\\": "\\\"{{[[" });
            (1..levels).fold(tricky, |inner, level| {
                let in_list = level % 2 == 0 && level + 1 < levels;
                if in_list {
                    json!([inner])
                } else {
                    json!({ "a": inner })
                }
            })
        };
        let deepest = Value::encode(&list(127)).unwrap();
        assert!(Value::from_json(deepest.clone().into_bytes()).is_ok());
        assert!(deepest.decode::<serde_json::Value>().is_ok());
        let error = Value::encode(&list(128)).unwrap_err();
        assert!(matches!(error, Error::Encode { .. }), "{error}");
        let text = serde_json::to_string(&list(128)).unwrap();
        assert!(Value::from_json(text).is_err());
    }

    #[test]
    fn an_encoded_value_takes_no_more_room_than_its_text() {
        let value = Value::encode(&json!({ "name": "Ada", "role": "admin" })).unwrap();
        let length = value.len();
        let buffer = value.into_bytes().try_into_mut().unwrap();
        assert_eq!(buffer.capacity(), length);
    }

    #[test]
    fn from_json_refuses_what_is_not_an_object() {
        assert!(matches!(Value::from_json("[1]"), Err(Error::NotAnObject)));
    }

    #[test]
    fn from_json_refuses_what_a_reader_would_choke_on() {
        let deep = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
        for text in [
            r#"{"a":NaN}"#,
            r#"{"a":1e400}"#,
            r#"{"a":"\ud800"}"#,
            "{",
            "",
            "{}x",
            &deep,
            "\u{feff}{}",
        ] {
            let result = Value::from_json(text.to_owned());
            assert!(matches!(result, Err(Error::Decode { .. })), "{text}");
        }
    }

    #[test]
    fn an_error_of_decode_or_from_json_quotes_nothing_of_the_value() {
        #[derive(Debug, serde::Deserialize)]
        #[expect(dead_code, reason = "it is not decoded")]
        struct Login {
            password: u32,
        }
        let value = Value::encode(&json!({ "password": "hunter2" })).unwrap();
        let error = value.decode::<Login>().unwrap_err();
        let source = error.source().unwrap().to_string();
        assert_eq!(
            source,
            "the data does not match the type asked for at line 1 column 21"
        );
        assert!(!format!("{error:?}").contains("hunter2"));
        let error = Value::from_json(r#"{"password": hunter2}"#).unwrap_err();
        let source = error.source().unwrap().to_string();
        assert_eq!(
            source,
            "the text is not JSON that can be read at line 1 column 14"
        );
    }

    #[test]
    fn an_error_of_encode_quotes_nothing_of_the_value() {
        struct Secret;
        impl Serialize for Secret {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("hunter2 is bad"))
            }
        }
        let error = Value::encode(&Secret).unwrap_err();
        let source = error.source().unwrap().to_string();
        assert_eq!(source, "a part of it has no form in JSON");
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn debug_shows_the_length_and_not_the_content() {
        let value = Value::encode(&json!({ "password": "hunter2" })).unwrap();
        assert_eq!(format!("{value:?}"), "Value(22 bytes)");
    }
}

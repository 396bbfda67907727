//! [`from_text`]: a value of any type from the text that a prompt's argument is.

use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

use super::parameters::plain_bool;

/// Reads `text` as a `T`: as it is when `T` is text, else as JSON.
///
/// # Errors
///
/// When `text` is no `T`.
pub(super) fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    // A type written as a string, such as a date or an enum, may come with its JSON quotes.
    T::deserialize(Text(text)).or_else(|error| serde_json::from_str(text).map_err(|_| error))
}

struct Text<'a>(&'a str);

impl<'de> Deserializer<'de> for Text<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match serde_json::from_str::<Value>(self.0) {
            Ok(value) => value.deserialize_any(visitor),
            Err(_) => visitor.visit_str(self.0),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match plain_bool(self.0).parse() {
            Ok(value) => visitor.visit_bool(value),
            Err(_) => visitor.visit_str(self.0),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.0)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.0)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Speed {
        Fast,
        Exactly(u32),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Name(String);

    #[test]
    fn text_is_taken_as_it_is() {
        assert_eq!(from_text::<String>("12").unwrap(), "12");
        assert_eq!(from_text::<String>("\"a\"").unwrap(), "\"a\"");
        assert_eq!(
            from_text::<Option<String>>("null").unwrap().unwrap(),
            "null"
        );
        assert_eq!(from_text::<Name>("a b").unwrap(), Name("a b".to_owned()));
        assert_eq!(from_text::<char>("x").unwrap(), 'x');
    }

    #[test]
    fn other_types_are_read_as_json() {
        assert_eq!(from_text::<i64>("-7").unwrap(), -7);
        assert_eq!(from_text::<f64>("2").unwrap(), 2.0);
        assert!(from_text::<Option<bool>>("true").unwrap().unwrap());
        assert_eq!(from_text::<Vec<String>>(r#"["a"]"#).unwrap(), ["a"]);
        assert_eq!(from_text::<Value>(r#"{"a":1}"#).unwrap(), json!({"a": 1}));
        assert_eq!(from_text::<Value>("plain").unwrap(), json!("plain"));
    }

    #[test]
    fn a_bool_may_be_written_in_several_ways() {
        for (text, value) in [("true", true), ("1", true), ("yes", true), ("no", false)] {
            assert_eq!(from_text::<bool>(text).unwrap(), value);
        }
        assert!(from_text::<Option<bool>>("1").unwrap().unwrap());
        assert!(from_text::<bool>("maybe").is_err());
        assert_eq!(from_text::<Vec<bool>>("[true]").unwrap(), [true]);
        assert_eq!(from_text::<u8>("1").unwrap(), 1);
    }

    #[test]
    fn an_enum_may_come_bare_or_as_json() {
        assert_eq!(from_text::<Speed>("fast").unwrap(), Speed::Fast);
        assert_eq!(from_text::<Speed>("\"fast\"").unwrap(), Speed::Fast);
        let exactly = from_text::<Speed>(r#"{"exactly":3}"#).unwrap();
        assert_eq!(exactly, Speed::Exactly(3));
    }

    #[test]
    fn an_error_says_what_was_expected() {
        let error = from_text::<i64>("many").unwrap_err().to_string();
        assert_eq!(error, r#"invalid type: string "many", expected i64"#);
    }
}

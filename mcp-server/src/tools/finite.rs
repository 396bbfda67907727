//! Serialization to JSON that refuses numbers JSON cannot hold, where `serde_json` writes `null`.

use std::fmt;

use serde::{Serialize, Serializer, ser};
use serde_json::Value;

/// Serializes `value`.
///
/// # Errors
///
/// When `value` holds a number that is not finite, or a map with keys that are no strings.
pub(crate) fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, serde_json::Error> {
    value.serialize(Finite)?;
    serde_json::to_value(value)
}

/// Serializes to nothing, and fails at the first number that is not finite.
#[derive(Clone, Copy)]
struct Finite;

fn check(finite: bool) -> Result<(), serde_json::Error> {
    if finite {
        return Ok(());
    }
    Err(ser::Error::custom("a number is not finite"))
}

/// Accepts values of types that hold no others.
macro_rules! leaves {
    ($($method:ident($($value:ty),*);)+) => {$(
        fn $method(self, $(_: $value),*) -> Result<(), Self::Error> {
            Ok(())
        }
    )+};
}

/// Looks into the parts of compound values.
macro_rules! compounds {
    ($($compound:ident::$method:ident($($name:ty)?);)+) => {$(
        impl ser::$compound for Finite {
            type Ok = ();
            type Error = serde_json::Error;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $(_: $name,)?
                value: &T,
            ) -> Result<(), Self::Error> {
                value.serialize(*self)
            }

            fn end(self) -> Result<(), Self::Error> {
                Ok(())
            }
        }
    )+};
}

compounds! {
    SerializeSeq::serialize_element();
    SerializeTuple::serialize_element();
    SerializeTupleStruct::serialize_field();
    SerializeTupleVariant::serialize_field();
    SerializeStruct::serialize_field(&'static str);
    SerializeStructVariant::serialize_field(&'static str);
}

impl ser::SerializeMap for Finite {
    type Ok = ();
    type Error = serde_json::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), Self::Error> {
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Self::Error> {
        value.serialize(*self)
    }

    fn end(self) -> Result<(), Self::Error> {
        Ok(())
    }
}

impl Serializer for Finite {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    leaves! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_f32(self, value: f32) -> Result<(), Self::Error> {
        check(value.is_finite())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Self::Error> {
        check(value.is_finite())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Self::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Self::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Self::Error> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Result<(), Self::Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[derive(Serialize)]
    enum Shape {
        Circle { radius: f64 },
        Pair(f32, Option<f64>),
        Scaled(f64),
    }

    #[test]
    fn finite_numbers_become_json() {
        let value = (1.5, [Shape::Circle { radius: 2.0 }], "NaN", None::<f64>);
        assert_eq!(
            to_value(&value).unwrap(),
            json!([1.5, [{"Circle": {"radius": 2.0}}], "NaN", null])
        );
    }

    #[test]
    fn a_number_that_is_not_finite_is_refused_at_any_depth() {
        assert!(to_value(&f32::INFINITY).is_err());
        assert!(to_value(&Shape::Circle { radius: f64::NAN }).is_err());
        assert!(to_value(&Shape::Pair(f32::NAN, None)).is_err());
        assert!(to_value(&Shape::Pair(1.0, Some(f64::NAN))).is_err());
        assert!(to_value(&Shape::Scaled(f64::NEG_INFINITY)).is_err());
        assert!(to_value(&BTreeMap::from([("a", vec![f64::NAN])])).is_err());
    }
}

//! Deserialization of integers: in JSON notation, and as a number without a fraction.
//!
//! GitHub's description declares many ids and counts as `number`. In JSON, a number such as `1.0` or `1e3` is
//! the same integer, since JSON does not distinguish the two types.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Unexpected, Visitor};

/// The target type of an integer property.
pub(crate) trait ReadInteger: Sized {
    /// Converts the integer, or `null`; returns the expected type if `null` is not allowed.
    fn from_integer(integer: Option<i64>) -> Result<Self, &'static str>;
}

impl ReadInteger for i64 {
    fn from_integer(integer: Option<i64>) -> Result<Self, &'static str> {
        integer.ok_or("an integer")
    }
}

impl ReadInteger for Option<i64> {
    fn from_integer(integer: Option<i64>) -> Result<Self, &'static str> {
        Ok(integer)
    }
}

/// Reads the value of a property that is an integer.
pub(crate) fn read_integer<'de, T: ReadInteger, A: MapAccess<'de>>(
    from: &mut A,
    to: &mut T,
) -> Result<(), A::Error> {
    let IntegerSeed(integer) = from.next_value()?;
    *to = T::from_integer(integer)
        .map_err(|expected| A::Error::invalid_type(Unexpected::Unit, &expected))?;
    Ok(())
}

/// Reads a list of integers, where `null` is an empty one. A `null` item is left out.
pub(crate) fn read_integers<'de, A: MapAccess<'de>>(
    from: &mut A,
    to: &mut Vec<i64>,
) -> Result<(), A::Error> {
    let list: Vec<IntegerSeed> = from.next_value::<Option<_>>()?.unwrap_or_default();
    *to = list.into_iter().filter_map(|IntegerSeed(integer)| integer).collect();
    Ok(())
}

/// An integer, or `null`.
struct IntegerSeed(Option<i64>);

impl<'de> Deserialize<'de> for IntegerSeed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(IntegerVisitor).map(Self)
    }
}

struct IntegerVisitor;

impl Visitor<'_> for IntegerVisitor {
    type Value = Option<i64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, integer: i64) -> Result<Self::Value, E> {
        Ok(Some(integer))
    }

    fn visit_u64<E: Error>(self, integer: u64) -> Result<Self::Value, E> {
        let unexpected = Unexpected::Unsigned(integer);
        i64::try_from(integer).map(Some).map_err(|_| E::invalid_value(unexpected, &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        // From 2^53 on, a number of this type stands for several integers.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if number.fract() == 0.0 && number.abs() < EXACT {
            #[allow(clippy::cast_possible_truncation, reason = "it has no fraction and fits")]
            return Ok(Some(number as i64));
        }
        Err(E::invalid_value(Unexpected::Float(number), &self))
    }
}

#[cfg(test)]
mod tests {
    use serde::de::value::MapDeserializer;
    use serde_json::{Value, json};

    use super::*;

    fn property<T>(text: &str, read: impl FnOnce(&mut Map) -> T) -> T {
        let value: Value = serde_json::from_str(text).unwrap();
        let object = json!({ "id": value });
        let mut map = MapDeserializer::new(object.as_object().unwrap().clone().into_iter());
        let key: Result<Option<String>, serde_json::Error> =
            map.next_key_seed(std::marker::PhantomData);
        assert_eq!(key.unwrap().as_deref(), Some("id"));
        read(&mut map)
    }

    type Map = MapDeserializer<'static, serde_json::map::IntoIter, serde_json::Error>;

    fn integer<T: ReadInteger + Default>(text: &str) -> Result<T, String> {
        property(text, |map| {
            let mut integer = T::default();
            let read = read_integer(map, &mut integer);
            read.map(|()| integer).map_err(|error| error.to_string())
        })
    }

    #[test]
    fn an_integer_is_read_however_json_writes_it() {
        for text in ["1000", "1000.0", "1e3", "1.0E+3"] {
            assert_eq!(integer(text), Ok(1000_i64), "{text}");
            assert_eq!(integer(text), Ok(Some(1000_i64)), "{text}");
        }
        assert_eq!(integer("-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(integer::<Option<i64>>("null"), Ok(None));
    }

    #[test]
    fn non_integers_are_rejected() {
        for text in [
            "1.5",
            "9007199254740993.0",
            "1e300",
            "9223372036854775808",
            "\"1\"",
            "null",
            "true",
            "{}",
        ] {
            let error = integer::<i64>(text).unwrap_err();
            assert!(error.contains("expected an integer"), "{text}: {error}");
        }
        assert!(integer::<Option<i64>>("1.5").is_err());
    }

    #[test]
    fn a_list_of_integers_is_read_alike() {
        let list = |text: &str| {
            property(text, |map| {
                let mut list = vec![7];
                read_integers(map, &mut list).map(|()| list).map_err(|error| error.to_string())
            })
        };
        assert_eq!(list("[1, 2.0, 3e0]"), Ok(vec![1, 2, 3]));
        assert_eq!(list("null"), Ok(Vec::new()));
        assert_eq!(list("[1, null, 2]"), Ok(vec![1, 2]));
        assert!(list("[1.5]").is_err());
    }
}

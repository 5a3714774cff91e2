//! Deserialization of times: in RFC 3339 notation, and in the other notations of GitHub.
//!
//! Some webhooks send seconds since 1970 where the description, and GitHub's other responses, have a date and
//! a time (`installation.created_at`). Some send a date and a time without `T` and `Z`.

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Unexpected, Visitor};

/// The target type of a time property.
pub(crate) trait ReadTimestamp: Sized {
    /// Converts the time, or `null`; returns the expected type if `null` is not allowed.
    fn from_timestamp(time: Option<DateTime<Utc>>) -> Result<Self, &'static str>;
}

impl ReadTimestamp for DateTime<Utc> {
    fn from_timestamp(time: Option<DateTime<Utc>>) -> Result<Self, &'static str> {
        time.ok_or("a time, not null")
    }
}

impl ReadTimestamp for Option<DateTime<Utc>> {
    fn from_timestamp(time: Option<DateTime<Utc>>) -> Result<Self, &'static str> {
        Ok(time)
    }
}

/// Reads the value of a property that is a time.
pub(crate) fn read_timestamp<'de, T: ReadTimestamp, A: MapAccess<'de>>(
    from: &mut A,
    to: &mut T,
) -> Result<(), A::Error> {
    let time = from.next_value_seed(TimestampSeed)?;
    *to = T::from_timestamp(time)
        .map_err(|expected| A::Error::invalid_type(Unexpected::Unit, &expected))?;
    Ok(())
}

struct TimestampSeed;

impl<'de> DeserializeSeed<'de> for TimestampSeed {
    type Value = Option<DateTime<Utc>>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl Visitor<'_> for TimestampSeed {
    type Value = Option<DateTime<Utc>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a date-time, such as 2011-01-26T19:01:12Z, or seconds since 1970")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Self::Value, E> {
        let time = DateTime::from_timestamp(seconds, 0);
        time.map(Some).ok_or_else(|| E::invalid_value(Unexpected::Signed(seconds), &self))
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Self::Value, E> {
        self.visit_i64(i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        if let Some(time) = parse_common_form(text) {
            return Ok(Some(time));
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Some(time.to_utc()));
        }
        match NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S") {
            Ok(time) => Ok(Some(time.and_utc())),
            Err(_) => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

/// `2011-01-26T19:01:12Z`, the notation of nearly all times, which needs no parser.
fn parse_common_form(text: &str) -> Option<DateTime<Utc>> {
    let bytes: &[u8; 20] = text.as_bytes().try_into().ok()?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')];
    if marks.iter().any(|&(at, mark)| bytes[at] != mark) {
        return None;
    }
    let number = |from: usize, to: usize| {
        bytes[from..to].iter().try_fold(0_u32, |number, byte| match byte {
            b'0'..=b'9' => {
                Some(number.checked_mul(10)?.checked_add(u32::from(byte.checked_sub(b'0')?))?)
            }
            _ => None,
        })
    };
    let year = i32::try_from(number(0, 4)?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(5, 7)?, number(8, 10)?)?;
    Some(date.and_hms_opt(number(11, 13)?, number(14, 16)?, number(17, 19)?)?.and_utc())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::value::MapDeserializer;
    use serde_json::{Value, json};

    use super::*;

    fn read<T: ReadTimestamp + Default>(value: &Value) -> Result<T, String> {
        let object = json!({ "at": value });
        let mut map = MapDeserializer::new(object.as_object().unwrap().clone().into_iter());
        let key: Result<Option<String>, serde_json::Error> =
            map.next_key_seed(std::marker::PhantomData);
        assert_eq!(key.unwrap().as_deref(), Some("at"));
        let mut time = T::default();
        read_timestamp(&mut map, &mut time).map(|()| time).map_err(|error| error.to_string())
    }

    #[test]
    fn a_time_is_read_however_github_writes_it() {
        let time: DateTime<Utc> = "2018-04-25T20:42:10Z".parse().unwrap();
        for text in [
            "2018-04-25T20:42:10Z",
            "2018-04-25T22:42:10+02:00",
            "2018-04-25 20:42:10",
            "2018-04-25T20:42:10.000Z",
        ] {
            assert_eq!(read(&json!(text)), Ok(time), "{text}");
            assert_eq!(read(&json!(text)), Ok(Some(time)), "{text}");
        }
        assert_eq!(read(&json!(1_524_688_930)), Ok(time));
        assert_eq!(read::<Option<DateTime<Utc>>>(&Value::Null), Ok(None));
    }

    #[test]
    fn invalid_timestamps_are_rejected() {
        for value in [
            json!(null),
            json!("soon"),
            json!("2018-13-25T20:42:10Z"),
            json!(""),
            json!([]),
            json!(i64::MAX),
            json!(1.5),
        ] {
            let error = read::<DateTime<Utc>>(&value).unwrap_err();
            assert!(error.contains("time") || error.contains("1970"), "{error}");
        }
        assert!(read::<Option<DateTime<Utc>>>(&json!("soon")).is_err());
    }

    proptest! {
        #[test]
        fn the_short_way_and_the_long_one_agree(text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]Z") {
            let long = DateTime::parse_from_rfc3339(&text).ok().map(|time| time.to_utc());
            // A leap second is handled separately.
            match parse_common_form(&text) {
                Some(time) => prop_assert_eq!(Some(time), long),
                None => prop_assert!(long.is_none() || text.ends_with(":60Z")),
            }
        }

        #[test]
        fn anything_may_come(text in ".{0,40}") {
            let _ = read::<DateTime<Utc>>(&json!(text));
        }
    }
}

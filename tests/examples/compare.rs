//! Finds data of a JSON value that is lost by decoding and encoding it.

use serde_json::Value;

/// Calls `report` with the JSON path of all that is in `original` but not, or
/// not as it was, in `again`.
pub fn missing(original: &Value, again: &Value, path: &str, report: &mut impl FnMut(&str)) {
    match (original, again) {
        (Value::Object(original), Value::Object(again)) => {
            for (name, value) in original {
                let path = format!("{path}.{name}");
                match again.get(name) {
                    Some(again) => missing(value, again, &path, report),
                    // `null` and nothing are the same to a reader, and so is an empty list.
                    None if is_nothing(value) => {}
                    None => report(&path),
                }
            }
        }
        _ if is_nothing(original) && is_nothing(again) => {}
        (Value::Array(original), Value::Array(again)) => {
            // An item that is `null` is no item, unless it is one of its type.
            let items = original.iter().enumerate();
            let kept: Vec<(usize, &Value)> = if original.len() == again.len() {
                items.collect()
            } else {
                items.filter(|(_, item)| !item.is_null()).collect()
            };
            if kept.len() != again.len() {
                return report(path);
            }
            for ((index, original), again) in kept.into_iter().zip(again) {
                missing(original, again, &format!("{path}[{index}]"), report);
            }
        }
        _ if same(original, again) => {}
        _ => report(path),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(properties) => properties.is_empty(),
        _ => false,
    }
}

/// Equal, or the same number or the same time written in another way.
fn same(original: &Value, again: &Value) -> bool {
    if original == again {
        return true;
    }
    match (original, again) {
        (Value::Number(original), Value::Number(again)) => original.as_f64() == again.as_f64(),
        (original, Value::String(again)) => {
            let again = chrono::DateTime::parse_from_rfc3339(again).ok();
            again.is_some() && time(original) == again
        }
        _ => false,
    }
}

/// A time as RFC 3339 has it, without `T` and `Z`, or in seconds since 1970.
fn time(value: &Value) -> Option<chrono::DateTime<chrono::FixedOffset>> {
    let Some(text) = value.as_str() else {
        return Some(chrono::DateTime::from_timestamp(value.as_i64()?, 0)?.fixed_offset());
    };
    let utc = || {
        let time = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok()?;
        Some(time.and_utc().fixed_offset())
    };
    chrono::DateTime::parse_from_rfc3339(text).ok().or_else(utc)
}

#[test]
fn a_lost_property_is_reported_by_its_path() {
    let original = serde_json::json!({ "a": [{ "b": 1, "c": null }], "d": "2011-01-26T19:01:12Z" });
    let again = serde_json::json!({ "a": [{}], "d": "2011-01-26T20:01:12+01:00" });
    let mut paths = Vec::new();
    missing(&original, &again, "$", &mut |path| paths.push(path.to_owned()));
    assert_eq!(paths, ["$.a[0].b"]);
}

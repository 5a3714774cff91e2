//! Nesting depth of JSON. Decoders recurse, and the stack of a thread is finite.

use serde_json::Value;

pub(crate) use super::drift::nesting::{MAX_NESTING, is_too_deep};

/// Returns whether JSON text nests more deeply than [`MAX_NESTING`], without parsing it. Text that is not
/// JSON can give either result.
pub(super) fn is_text_too_deep(json: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth = depth.saturating_add(1);
                if depth > MAX_NESTING {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Counts the parts of a value, up to a bound: `None` if there are more.
pub(super) fn count_up_to(value: &Value, most: usize) -> Option<usize> {
    let (mut open, mut count) = (vec![value], 0_usize);
    while let Some(value) = open.pop() {
        count = count.checked_add(1).filter(|count| *count <= most)?;
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(properties) => open.extend(properties.values()),
            _ => {}
        }
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn nested(levels: usize) -> Value {
        // Moved, since a copy recurses.
        (1..levels).fold(json!([]), |value, level| match level % 2 {
            0 => Value::Array(vec![json!(1), value]),
            _ => Value::Object(
                [("a".to_owned(), value), ("b".to_owned(), json!(1))].into_iter().collect(),
            ),
        })
    }

    /// Dropping a deeply nested value recurses.
    fn forget(mut value: Value) {
        loop {
            let below = match &mut value {
                Value::Array(items) => items.pop(),
                Value::Object(properties) => properties.remove("a"),
                _ => None,
            };
            match below {
                Some(below) => value = below,
                None => return,
            }
        }
    }

    #[test]
    fn json_within_the_limit_of_serde_json_is_not_too_deep() {
        let deepest = nested(MAX_NESTING);
        assert!(!is_too_deep(&deepest) && !is_text_too_deep(deepest.to_string().as_bytes()));
        assert!(serde_json::from_str::<Value>(&deepest.to_string()).is_ok());
        let deeper = nested(MAX_NESTING + 1);
        assert!(is_too_deep(&deeper) && is_text_too_deep(deeper.to_string().as_bytes()));
        assert!(serde_json::from_str::<Value>(&deeper.to_string()).is_err());
    }

    #[test]
    fn a_hundred_thousand_levels_are_counted_without_recursion() {
        let deep = nested(100_000);
        assert!(is_too_deep(&deep));
        forget(deep);
        let deep = (1..100_000).fold(json!([]), |value, _| Value::Array(vec![value]));
        assert_eq!(count_up_to(&deep, 1_000_000), Some(100_000));
        assert_eq!(count_up_to(&deep, 99_999), None);
        forget(deep);
    }

    proptest! {
        #[test]
        fn brackets_in_strings_are_no_nesting(text in "[\\[\\]{}\"\\\\a]{0,300}") {
            let value = json!({ text.clone(): [text] });
            prop_assert!(!is_text_too_deep(value.to_string().as_bytes()));
        }
    }
}

//! The values of string enums, in a form whose Rust names typify keeps apart.

use serde_json::{Value, json};

/// Returns the description's value for one that was spelled out for typify: `+1` is `-plus\u{E000}1` there,
/// so that `+1` and `-1` do not both become `1`.
pub fn unescape_enum_value(value: &str) -> String {
    value.replace("-plus\u{E000}", "+").replace("-minus\u{E000}", "-")
}

fn escape_enum_value(value: &str) -> String {
    let mut escaped = String::new();
    let mut previous = None;
    let mut rest = value.chars().peekable();
    while let Some(c) = rest.next() {
        let before_digit = rest.peek().is_some_and(char::is_ascii_digit);
        match c {
            '+' => escaped.push_str("-plus\u{E000}"),
            '-' if before_digit && matches!(previous, None | Some('-')) => {
                escaped.push_str("-minus\u{E000}");
            }
            c => escaped.push(c),
        }
        previous = Some(c);
    }
    escaped
}

pub(super) fn string_enum(values: &[&Value]) -> Value {
    let mut strings: Vec<String> = Vec::new();
    for value in values.iter().filter_map(|value| value.as_str()) {
        let value = escape_enum_value(value);
        if !strings.contains(&value) {
            strings.push(value);
        }
    }
    json!({ "type": "string", "enum": strings })
}

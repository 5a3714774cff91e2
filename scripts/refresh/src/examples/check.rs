//! Checks a value against a schema, by the rules of generated types.
//!
//! Responses are read tolerantly: a list or a map can be `null` or missing, a nullable property can be
//! missing, values that an enum does not name are kept, and a union without a matching variant keeps the
//! JSON. Requests are exact.

use serde_json::Value;

use super::LocatedSchema;
use super::shape::{Shape, ValueShape, are_strings};

/// The direction of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Read,
    Sent,
}

/// A mismatch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub wrong: Wrong,
    /// The JSON pointer to the violated schema.
    pub schema: String,
    /// The location in the value: `$.labels[0].name`.
    pub path: String,
}

/// The kind of the mismatch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// A required property is missing.
    Missing(String),
    /// `null`, where the schema does not allow it.
    Null,
    /// Another type than the schema's.
    Type { expected: String, actual: &'static str },
    /// A string that is not a time or a date.
    Format,
    /// A request value that the enum does not name.
    Value(String),
    /// A request property that the schema does not name.
    Unnamed { name: String, of: &'static str },
}

/// The location of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// The whole body, or an item of a list or map.
    Root,
    Required,
    Optional,
}

/// Returns all mismatches. Of several schemas, one must fit.
pub fn violations(
    document: &Value,
    side: Side,
    schemas: &[LocatedSchema<'_>],
    nullable: bool,
    value: &Value,
) -> Vec<Violation> {
    let check = Check { document, side };
    match schemas {
        [] => Vec::new(),
        _ if nullable && value.is_null() => Vec::new(),
        [(schema, at)] => {
            // GitHub writes an object without properties for an empty body.
            let kind = Shape::of(document, schema, at).kind(document);
            let is_nothing = matches!(kind, ValueShape::Map(_)) && side == Side::Read;
            if is_nothing && value.is_null() && schema.get("$ref").is_none() {
                return Vec::new();
            }
            check.value(schema, at, value, "$", Presence::Root)
        }
        several => check.union(several, &several[0].1, value, "$"),
    }
}

struct Check<'a> {
    document: &'a Value,
    side: Side,
}

impl<'a> Check<'a> {
    fn value(
        &self,
        schema: &'a Value,
        at: &str,
        value: &Value,
        path: &str,
        place: Presence,
    ) -> Vec<Violation> {
        let shape = Shape::of(self.document, schema, at);
        if let Some((one, at)) = shape.only_variant() {
            let nothing = value.is_null() && shape.nullable;
            return if nothing { Vec::new() } else { self.value(one, &at, value, path, place) };
        }
        let kind = shape.kind(self.document);
        let wrong = |wrong, at: &str| {
            vec![Violation { wrong, schema: at.to_owned(), path: path.to_owned() }]
        };
        if value.is_null() {
            let fits = self.may_be_null(&shape, &kind, place);
            return if fits { Vec::new() } else { wrong(Wrong::Null, at) };
        }
        let other = |expected: &str| {
            let expected = expected.to_owned();
            wrong(Wrong::Type { expected, actual: type_of(value) }, at)
        };
        match kind {
            ValueShape::Anything => Vec::new(),
            ValueShape::Union(variants) => self.union(&variants, at, value, path),
            ValueShape::List(items) => match value {
                Value::Array(values) => self.items(items.as_slice(), values, path),
                _ => other("array"),
            },
            ValueShape::ListOf(items) => match value {
                Value::Array(values) => self.items(&items, values, path),
                _ => other("array"),
            },
            ValueShape::Map(values) => match (value, values) {
                (Value::Object(map), Some((schema, at))) => map
                    .iter()
                    .flat_map(|(name, value)| {
                        let path = format!("{path}.{name}");
                        self.value(schema, &at, value, &path, Presence::Root)
                    })
                    .collect(),
                (Value::Object(_), None) => Vec::new(),
                _ => other("object"),
            },
            ValueShape::Object if value.is_object() => self.object(&shape, value, path),
            ValueShape::Object => other("object"),
            ValueShape::Scalar(of) => match scalar(of, value) {
                false if self.is_seconds(&shape, value, place) => Vec::new(),
                false => other(of),
                true => self
                    .text(&shape, value, place)
                    .map_or_else(Vec::new, |(what, at)| wrong(what, at)),
            },
        }
    }

    fn may_be_null(&self, shape: &Shape<'a>, kind: &ValueShape<'a>, place: Presence) -> bool {
        if shape.nullable {
            return true;
        }
        match (self.side, kind) {
            (Side::Sent, ValueShape::Anything) => place != Presence::Optional,
            (Side::Sent, _) => false,
            (Side::Read, ValueShape::Anything) => true,
            (Side::Read, ValueShape::Union(variants)) => {
                place == Presence::Optional || !are_strings(self.document, variants)
            }
            (Side::Read, ValueShape::List(_) | ValueShape::ListOf(_) | ValueShape::Map(_)) => {
                place != Presence::Root
            }
            (Side::Read, _) => place == Presence::Optional,
        }
    }

    /// The mismatch of a string with a string schema.
    fn text<'s>(
        &self,
        shape: &'s Shape<'a>,
        value: &Value,
        place: Presence,
    ) -> Option<(Wrong, &'s str)> {
        let text = value.as_str()?;
        if let Some((Value::Array(values), at)) = shape.says("enum") {
            let is_unnamed = self.side == Side::Sent && !values.contains(value);
            return is_unnamed.then(|| (Wrong::Value(text.to_owned()), at));
        }
        let (format, at) = shape.says("format")?;
        let fits = match (self.side, format.as_str()) {
            (Side::Read, Some("date-time")) => is_time(text, place),
            (Side::Read, Some("date")) => text.parse::<chrono::NaiveDate>().is_ok(),
            _ => true,
        };
        (!fits).then_some((Wrong::Format, at))
    }

    /// A time in seconds since 1970.
    fn is_seconds(&self, shape: &Shape<'a>, value: &Value, place: Presence) -> bool {
        let is_time = shape.says("format").is_some_and(|(format, _)| format == "date-time");
        is_time && self.side == Side::Read && place != Presence::Root && value.is_i64()
    }

    fn items(&self, items: &[LocatedSchema<'a>], values: &[Value], path: &str) -> Vec<Violation> {
        let each = values.iter().enumerate().flat_map(|(index, value)| {
            let path = format!("{path}[{index}]");
            match items {
                [] => Vec::new(),
                [(schema, at)] => self.value(schema, at, value, &path, Presence::Root),
                several => self.union(several, &several[0].1, value, &path),
            }
        });
        each.collect()
    }

    /// The violations of the best variant; none in responses, where the JSON is kept.
    fn union(
        &self,
        variants: &[LocatedSchema<'a>],
        at: &str,
        value: &Value,
        path: &str,
    ) -> Vec<Violation> {
        if self.side == Side::Read {
            if are_strings(self.document, variants) && !value.is_string() {
                let expected = "string".to_owned();
                let wrong = Wrong::Type { expected, actual: type_of(value) };
                return vec![Violation { wrong, schema: at.to_owned(), path: path.to_owned() }];
            }
            return Vec::new();
        }
        let variants = variants.iter();
        let tries =
            variants.map(|(schema, at)| self.value(schema, at, value, path, Presence::Root));
        tries.min_by_key(Vec::len).unwrap_or_default()
    }

    fn object(&self, shape: &Shape<'a>, value: &Value, path: &str) -> Vec<Violation> {
        let properties = shape.properties(self.document);
        let required = shape.required();
        let mut found = Vec::new();
        for (name, (schema, at)) in &properties {
            let is_required = required.iter().any(|(required, _)| required == name);
            let place = if is_required { Presence::Required } else { Presence::Optional };
            match value.get(name) {
                Some(value) => {
                    let path = format!("{path}.{name}");
                    found.extend(self.value(schema, at, value, &path, place));
                }
                None if !is_required || self.may_be_missing(schema, at) => {}
                None => {
                    let parts = required.iter().filter(|(required, _)| required == name);
                    found.extend(parts.map(|(_, at)| Violation {
                        wrong: Wrong::Missing((*name).to_owned()),
                        schema: (*at).to_owned(),
                        path: path.to_owned(),
                    }));
                }
            }
        }
        for (name, value) in value.as_object().into_iter().flatten() {
            if !properties.iter().any(|(named, _)| named == name) {
                found.extend(self.unnamed(shape, name, value, path));
            }
        }
        found
    }

    /// Returns whether a required property can be absent when it is read.
    fn may_be_missing(&self, schema: &'a Value, at: &str) -> bool {
        let shape = Shape::of(self.document, schema, at);
        if !shape.nullable
            && let Some((one, at)) = shape.only_variant()
        {
            return self.may_be_missing(one, &at);
        }
        let kind = shape.kind(self.document);
        let is_many =
            matches!(kind, ValueShape::List(_) | ValueShape::ListOf(_) | ValueShape::Map(_));
        // A value of any type has no separate `null`.
        let is_nullable = shape.nullable && !matches!(kind, ValueShape::Anything);
        self.side == Side::Read && (is_nullable || is_many)
    }

    fn unnamed(&self, shape: &Shape<'a>, name: &str, value: &Value, path: &str) -> Vec<Violation> {
        let path = format!("{path}.{name}");
        if let Some((schema, at)) = shape.rest() {
            return self.value(schema, &at, value, &path, Presence::Root);
        }
        if self.side == Side::Read || shape.is_open() {
            return Vec::new();
        }
        let at = shape.says("properties").map(|(_, at)| at.to_owned());
        let wrong = Wrong::Unnamed { name: name.to_owned(), of: type_of(value) };
        vec![Violation { wrong, schema: at.unwrap_or_default(), path }]
    }
}

fn scalar(of: &str, value: &Value) -> bool {
    match of {
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        _ => true,
    }
}

/// A time in a response: of a property, in GitHub's notations beside RFC 3339.
fn is_time(text: &str, place: Presence) -> bool {
    let is_usual = text.parse::<chrono::DateTime<chrono::Utc>>().is_ok();
    let is_plain = || chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").is_ok();
    is_usual || (place != Presence::Root && is_plain())
}

/// The type's name in a schema.
pub fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

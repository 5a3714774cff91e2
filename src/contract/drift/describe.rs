//! Descriptions of schemas for readers.

use serde_json::Value;

use super::document::{Node, SCHEMAS};
use super::shape::{Shape, Type};

/// Maximum number of values and variants that are named; the rest is counted.
const MAX_NAMED: usize = 6;

/// The type of a schema's values: `a string`.
pub(super) fn shape(shape: &Shape<'_>) -> String {
    match shape.of() {
        Type::Any => "anything".to_owned(),
        Type::Object => "an object with properties".to_owned(),
        Type::Map => "a free-form object".to_owned(),
        Type::List => "a list".to_owned(),
        Type::Plain(of @ "integer") => format!("an {of}"),
        Type::Plain(of) => format!("a {of}"),
        Type::Union => variants(&shape.variants()),
    }
}

/// The variants of a union.
pub(super) fn variants(variants: &[Node<'_>]) -> String {
    format!("one of {}", listed(variants.iter().map(variant)))
}

/// A variant: its component, or its type.
pub(super) fn variant(node: &Node<'_>) -> String {
    if let Some(reference) = node.str("$ref") {
        return format!("`{}`", reference.strip_prefix(SCHEMAS).unwrap_or(reference));
    }
    let values = node.get("enum").and_then(|list| list.value.as_array());
    if let Some(values) = values {
        return listed(values.iter().map(|one| value(Some(one))));
    }
    if let Some(of) = node.str("type") {
        return match of {
            "array" => "a list".to_owned(),
            "integer" | "object" => format!("an {of}"),
            of => format!("a {of}"),
        };
    }
    let required = node.strings("required");
    match required.is_empty() {
        true => "a schema".to_owned(),
        false => {
            format!("a schema with {}", listed(required.iter().map(|name| format!("`{name}`"))))
        }
    }
}

/// A value in JSON notation; `none` if there is none.
pub(super) fn value(value: Option<&Value>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| format!("`{value}`"))
}

fn listed(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    let named = words.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(", ");
    match words.len().saturating_sub(MAX_NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

//! Names for the variants of a union, which the description does not contain.
//!
//! A name depends only on the union, never on the selection. The first of these that no sibling shares is
//! used:
//!
//! - its title;
//! - the component that it extends by `allOf`;
//! - the only value of one of its properties, such as `"data_type": "iteration"`;
//! - `object` or `list`, if it is the only one;
//! - `with-…` and a property that only this variant has, required ones first;
//! - `variant-…` and its index.

use std::collections::BTreeSet;

use serde_json::Value;

use super::STAGE;
use crate::document::{self, schema_name};
use crate::names::snake;

/// A variant with the merged content of its `allOf` parts.
struct Variant<'a> {
    raw: &'a Value,
    parts: Vec<&'a Value>,
}

/// The suffixes of the union's name for each of its variants.
pub fn names(document: &Value, union: &str, raw: &[&Value]) -> Vec<String> {
    let variants: Vec<Variant<'_>> = raw
        .iter()
        .map(|raw| {
            let mut parts = Vec::new();
            collect(document, raw, &mut parts, 0);
            Variant { raw, parts }
        })
        .collect();
    let ways: [&dyn Fn(usize) -> Option<String>; 5] = [
        &|index| title(variants.get(index)?),
        &|index| extended(variants.get(index)?, union),
        &|index| constant(document, &variants, index),
        &|index| only_one(&variants, index),
        &|index| distinct_property(&variants, index),
    ];
    let mut names: Vec<Option<String>> = vec![None; raw.len()];
    for way in ways {
        // In words, since a name is part of a JSON pointer.
        let in_words = |name: String| snake(&name).map(|name| name.replace('_', "-"));
        let found: Vec<Option<String>> =
            (0..raw.len()).map(|index| way(index).and_then(in_words)).collect();
        // The names of this way do not conflict with each other, as only the free ones are taken.
        let earlier = names.clone();
        for (name, candidate) in names.iter_mut().zip(&found) {
            let is_free = found.iter().filter(|other| *other == candidate).count() == 1
                && !earlier.contains(candidate);
            if name.is_none() && is_free {
                name.clone_from(candidate);
            }
        }
    }
    let numbered = names.into_iter().enumerate();
    numbered.map(|(index, name)| name.unwrap_or_else(|| format!("variant-{index}"))).collect()
}

/// Maximum nesting of `allOf`; deeper is a defect that another place reports.
const MAX_DEPTH: usize = 30;

fn collect<'a>(document: &'a Value, raw: &'a Value, parts: &mut Vec<&'a Value>, depth: usize) {
    let Ok(schema) = document::resolve(document, raw, STAGE, "") else { return };
    // A repeated part adds nothing.
    if parts.iter().any(|part| std::ptr::eq(*part, schema)) {
        return;
    }
    parts.push(schema);
    if depth < MAX_DEPTH {
        for part in document::array(schema, "allOf") {
            collect(document, part, parts, depth + 1);
        }
    }
}

impl<'a> Variant<'a> {
    fn properties(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let parts = self.parts.iter();
        parts.flat_map(|part| {
            document::object(part, "properties").map(|(name, schema)| (name.as_str(), schema))
        })
    }

    fn has(&self, property: &str) -> bool {
        self.properties().any(|(name, _)| name == property)
    }

    fn kind(&self) -> Option<&'static str> {
        let says = |key: &str, of: &str| {
            self.parts.iter().any(|part| part["type"] == of || part.get(key).is_some())
        };
        if says("properties", "object") {
            Some("object")
        } else if says("items", "array") {
            Some("list")
        } else {
            None
        }
    }
}

fn title(variant: &Variant<'_>) -> Option<String> {
    variant.raw["title"].as_str().map(str::to_owned)
}

/// The first component of an `allOf`, without the words with which the union's name also begins.
fn extended(variant: &Variant<'_>, union: &str) -> Option<String> {
    let mut references =
        document::array(variant.raw, "allOf").filter_map(|part| part["$ref"].as_str());
    let name = schema_name(references.next()?)?;
    let alike = name.split('-').zip(union.split('-')).take_while(|(a, b)| a == b).count();
    let rest: Vec<&str> = name.split('-').skip(alike).collect();
    Some(if rest.is_empty() { name.to_owned() } else { rest.join("-") })
}

/// The value of a property that has only one, and other values in the siblings.
fn constant(document: &Value, variants: &[Variant<'_>], index: usize) -> Option<String> {
    let values = |variant: &Variant<'_>, property: &str| -> Option<BTreeSet<String>> {
        let (_, schema) = variant.properties().find(|(name, _)| *name == property)?;
        let schema = document::resolve(document, schema, STAGE, "").ok()?;
        let values = document::array(schema, "enum").filter_map(Value::as_str);
        Some(values.map(str::to_owned).collect())
    };
    let variant = variants.get(index)?;
    variant.properties().find_map(|(property, _)| {
        let own = values(variant, property)?;
        let mut others = variants.iter().enumerate().filter(|(other, _)| *other != index);
        let distinguishes = own.len() == 1
            && others.all(|(_, other)| {
                values(other, property)
                    .is_none_or(|other| !other.is_empty() && other.is_disjoint(&own))
            });
        if distinguishes { own.into_iter().next() } else { None }
    })
}

fn only_one(variants: &[Variant<'_>], index: usize) -> Option<String> {
    let kind = variants.get(index)?.kind()?;
    let alike = variants.iter().filter(|other| other.kind() == Some(kind)).count();
    (alike == 1).then(|| kind.to_owned())
}

fn distinct_property(variants: &[Variant<'_>], index: usize) -> Option<String> {
    let is_own =
        |property: &&str| variants.iter().filter(|variant| variant.has(property)).count() == 1;
    let variant = variants.get(index)?;
    let required = variant.parts.iter().flat_map(|part| document::array(part, "required"));
    let mut required = required.filter_map(Value::as_str).filter(|name| variant.has(name));
    let property = required
        .find(is_own)
        .or_else(|| variant.properties().map(|(name, _)| name).find(is_own))?;
    Some(format!("with-{property}"))
}

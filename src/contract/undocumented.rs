//! Undocumented properties: those that a body has and the description does not name.
//!
//! JSON Schema allows them.

use std::collections::HashSet;
use std::ptr;

use serde_json::Value;

use super::pointer::escaped;
#[cfg(any(test, feature = "testing"))]
use super::pointer::unescaped;
use super::schema::Schemas;

/// Maximum depth of a body that is searched. GitHub's nest some ten levels deep.
const MAX_DEPTH: usize = 32;

/// Maximum number of properties that are reported for one body.
const MAX_FOUND: usize = 64;

/// Maximum number of comparisons of schema parts with parts of one body. GitHub's largest bodies take less
/// than a tenth.
const MAX_PARTS: usize = 10_000_000;

/// Returns the JSON pointers (RFC 6901) of properties that no part of the schema names.
pub(super) fn undocumented(value: &Value, schema: &Value, schemas: &Schemas) -> Vec<String> {
    let mut look = UndocumentedScan { schemas, parts: 0, found: Vec::new() };
    look.at(value, &[schema], "", 0);
    look.found
}

/// One search of a body.
struct UndocumentedScan<'a> {
    schemas: &'a Schemas,
    /// The number of comparisons of schema parts with parts of the body.
    parts: usize,
    found: Vec<String>,
}

impl UndocumentedScan<'_> {
    fn at(&mut self, value: &Value, parts: &[&Value], path: &str, depth: usize) {
        if depth > MAX_DEPTH || self.found.len() >= MAX_FOUND || self.parts >= MAX_PARTS {
            return;
        }
        let all = flatten(parts, self.schemas);
        self.parts = self.parts.saturating_add(all.len());
        let depth = depth.saturating_add(1);
        match value {
            Value::Object(properties) => {
                let named = |name: &str| -> Vec<&Value> {
                    all.iter().filter_map(|part| part["properties"].get(name)).collect()
                };
                let free: Vec<&Value> = all.iter().filter_map(|part| additional(part)).collect();
                // Without any named property, the description does not define the content.
                let open =
                    !free.is_empty() || all.iter().all(|part| !part["properties"].is_object());
                for (name, value) in properties {
                    let path = format!("{path}/{}", escaped(name));
                    let parts = named(name);
                    match (parts.is_empty(), open) {
                        (false, _) => self.at(value, &parts, &path, depth),
                        (true, true) => self.at(value, &free, &path, depth),
                        (true, false) if self.found.len() < MAX_FOUND => self.found.push(path),
                        (true, false) => return,
                    }
                }
            }
            Value::Array(items) => {
                let parts: Vec<&Value> = all.iter().filter_map(|part| part.get("items")).collect();
                for (index, item) in items.iter().enumerate() {
                    self.at(item, &parts, &format!("{path}/{index}"), depth);
                }
            }
            _ => {}
        }
    }
}

/// The parts of the schema that describe the value at a JSON pointer.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn parts_at<'a>(
    pointer: &str,
    schema: &'a Value,
    schemas: &'a Schemas,
) -> Vec<&'a Value> {
    let mut parts = vec![schema];
    for step in pointer.split('/').skip(1) {
        let step = unescaped(step);
        let all = flatten(&parts, schemas);
        let named: Vec<&Value> = all.iter().filter_map(|p| p["properties"].get(&step)).collect();
        parts = match (named.is_empty(), step.parse::<usize>()) {
            (false, _) => named,
            (true, Ok(_)) if all.iter().any(|part| part.get("items").is_some()) => {
                all.iter().filter_map(|part| part.get("items")).collect()
            }
            (true, _) => all.iter().filter_map(|part| additional(part)).collect(),
        };
    }
    parts
}

/// The schema of properties without a name of their own, where they are allowed.
fn additional(part: &Value) -> Option<&Value> {
    part.get("additionalProperties").filter(|additional| **additional != Value::Bool(false))
}

/// The schemas and all schemas that they are composed of. Each appears once, since they can refer to one
/// another in a cycle.
fn flatten<'a>(parts: &[&'a Value], schemas: &'a Schemas) -> Vec<&'a Value> {
    let (mut all, mut seen) = (Vec::new(), HashSet::new());
    let mut open: Vec<&'a Value> = parts.iter().rev().copied().collect();
    while let Some(part) = open.pop() {
        let schema = schemas.resolve(part);
        if !seen.insert(ptr::from_ref(schema)) {
            continue;
        }
        all.push(schema);
        for keyword in ["oneOf", "anyOf", "allOf"] {
            open.extend(schema[keyword].as_array().into_iter().flatten().rev());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_property_of_any_variant_is_documented() {
        let component = json!({
            "type": "object",
            "properties": { "next": { "$ref": "#/components/schemas/node" }, "name": {} },
        });
        let components = json!({ "node": component });
        let schemas = Schemas::new(components.as_object().unwrap().clone());
        let schema = json!({
            "allOf": [{ "$ref": "#/components/schemas/node" }],
            "oneOf": [
                { "properties": { "a": {} } },
                { "properties": { "list": { "type": "array", "items": { "properties": { "b": {} } } } } },
            ],
            "properties": {
                "free": { "type": "object" },
                "map": { "properties": {}, "additionalProperties": { "properties": { "c": {} } } },
            },
        });
        let value = json!({
            "a": { "anything": 1 }, "name": 1, "new": 1,
            "next": { "next": { "name": 1, "new too": 1 } },
            "list": [{ "b": 1 }, { "b": 1, "d": 2 }],
            "free": { "x": 1 },
            "map": { "any": { "c": 1, "e": 1 } },
        });
        let found = undocumented(&value, &schema, &schemas);
        let expected = ["/list/1/d", "/map/any/e", "/new", "/next/next/new too"];
        assert_eq!(found, expected);
    }
}

//! Properties that a body has and the document does not name: JSON Schema allows them, and for the
//! reader of a document they are news.

use serde_json::Value;

use super::pointer::escaped;
#[cfg(any(test, feature = "testing"))]
use super::pointer::unescaped;
use super::schema::Schemas;

/// How deep a body is looked into. GitHub's nest some ten levels deep.
const MAX_DEPTH: usize = 32;

/// As many are told of one body.
const MAX_FOUND: usize = 64;

/// The JSON pointers (RFC 6901) of properties that no part of the schema names.
pub(super) fn undocumented(value: &Value, schema: &Value, schemas: &Schemas) -> Vec<String> {
    let mut found = Vec::new();
    look(value, &[schema], schemas, "", 0, &mut found);
    found
}

fn look(
    value: &Value,
    parts: &[&Value],
    schemas: &Schemas,
    path: &str,
    depth: usize,
    found: &mut Vec<String>,
) {
    if depth > MAX_DEPTH || found.len() >= MAX_FOUND {
        return;
    }
    let mut all = Vec::new();
    parts.iter().for_each(|part| flatten(part, schemas, 0, &mut all));
    match value {
        Value::Object(properties) => {
            let named = |name: &str| -> Vec<&Value> {
                all.iter().filter_map(|part| part["properties"].get(name)).collect()
            };
            let free: Vec<&Value> = all.iter().filter_map(|part| additional(part)).collect();
            // Without any property named, the document does not say what is in it.
            let open = !free.is_empty() || all.iter().all(|part| !part["properties"].is_object());
            for (name, value) in properties {
                let path = format!("{path}/{}", escaped(name));
                let parts = named(name);
                match (parts.is_empty(), open) {
                    (false, _) => look(value, &parts, schemas, &path, depth + 1, found),
                    (true, true) => look(value, &free, schemas, &path, depth + 1, found),
                    (true, false) => found.push(path),
                }
            }
        }
        Value::Array(items) => {
            let parts: Vec<&Value> = all.iter().filter_map(|part| part.get("items")).collect();
            for (index, item) in items.iter().enumerate() {
                look(item, &parts, schemas, &format!("{path}/{index}"), depth + 1, found);
            }
        }
        _ => {}
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
        let mut all = Vec::new();
        parts.iter().for_each(|part| flatten(part, schemas, 0, &mut all));
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

/// The schema of properties that have no name of their own, where they are allowed.
fn additional(part: &Value) -> Option<&Value> {
    part.get("additionalProperties").filter(|additional| **additional != Value::Bool(false))
}

/// The schema, and all that it is put together from.
fn flatten<'a>(schema: &'a Value, schemas: &'a Schemas, depth: usize, all: &mut Vec<&'a Value>) {
    if depth > MAX_DEPTH {
        return;
    }
    let schema = schemas.resolve(schema);
    all.push(schema);
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let parts = schema[keyword].as_array().into_iter().flatten();
        parts.for_each(|part| flatten(part, schemas, depth + 1, all));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_any_variant_names_is_documented() {
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

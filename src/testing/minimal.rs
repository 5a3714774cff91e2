//! Values that fit a schema, for answers without an example.
//!
//! As small as the schema allows: only required properties, and empty lists.

use serde_json::{Value, json};

use crate::contract::Schemas;

/// Where a schema that contains itself is cut off. GitHub's required properties nest less deeply.
const MAX_DEPTH: usize = 12;

/// The smallest value that fits `schema`, which may refer to those of `schemas`.
pub(super) fn minimal_value(schema: &Value, schemas: &Schemas) -> Value {
    value(schema, schemas, 0)
}

fn value(schema: &Value, schemas: &Schemas, depth: usize) -> Value {
    let schema = schemas.resolve(schema);
    if let Some(known) = given(schema) {
        return known;
    }
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    if let Some(parts) = schema["allOf"].as_array() {
        return all_of(schema, parts, schemas, depth);
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(first) = schema[choice].get(0) {
            let chosen = value(first, schemas, depth + 1);
            // `anyOf` beside properties only says which of them are required.
            return merge(chosen, object(schema, schemas, depth));
        }
    }
    match schema_type(schema) {
        "object" => object(schema, schemas, depth),
        "array" => array(schema, schemas, depth),
        "string" => json!(string(schema)),
        // 1 rather than 0: ids, numbers and counts of what exists start there.
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(1)),
        "boolean" => json!(false),
        _ => json!({}),
    }
}

/// A value that the schema itself gives.
fn given(schema: &Value) -> Option<Value> {
    let example = schema.get("example").filter(|_| is_scalar(schema));
    let first_value = schema["enum"].get(0);
    let known = schema.get("const").or(first_value).or(example)?;
    Some(known.clone())
}

/// Whether the schema's own example is taken: only for texts, and only if it is one.
fn is_scalar(schema: &Value) -> bool {
    // Examples of dates and numbers are not always of the type that they are examples of.
    schema_type(schema) == "string"
        && schema.get("format").is_none()
        && schema.get("pattern").is_none()
        && schema.get("example").is_some_and(Value::is_string)
}

fn schema_type(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(name) => name,
        // OpenAPI 3.1 lists the types; the first that is not `null` will do.
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("null")
        }
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "",
    }
}

fn object(schema: &Value, schemas: &Schemas, depth: usize) -> Value {
    let required = schema["required"].as_array().into_iter().flatten();
    let properties = required.filter_map(|name| {
        let name = name.as_str()?;
        let property = schema["properties"].get(name).unwrap_or(&Value::Null);
        Some((name.to_owned(), value(property, schemas, depth + 1)))
    });
    Value::Object(properties.collect())
}

fn array(schema: &Value, schemas: &Schemas, depth: usize) -> Value {
    let length = schema["minItems"].as_u64().unwrap_or(0);
    let items = (0..length).map(|_| value(&schema["items"], schemas, depth + 1));
    Value::Array(items.collect())
}

fn string(schema: &Value) -> String {
    let text = match schema["pattern"].as_str() {
        Some(pattern) => patterned(pattern),
        None => formatted(schema),
    };
    let shortest = schema["minLength"].as_u64().and_then(|length| usize::try_from(length).ok());
    // The longest that the document asks for has 71 characters.
    format!("{text:x<width$}", width = shortest.unwrap_or(0).min(256))
}

/// A text for a pattern. The document has few; `every_text_keeps_to_its_pattern` tells of a new one.
fn patterned(pattern: &str) -> &'static str {
    const HEX: &str = "6dcb09b5b57875f334f61aebed695e2e4193db5e6dcb09b5b57875f334f61aeb";
    match pattern {
        _ if pattern.contains("ssh-") => "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOctocat",
        _ if pattern.contains("sha256:") => {
            "sha256:6dcb09b5b57875f334f61aebed695e2e4193db5e6dcb09b5b57875f334f61aeb"
        }
        _ if pattern.contains("[0-9a-fA-F]{40}") => &HEX[..40],
        _ if pattern.contains(r"\d+\.\d+") => "1.0.0",
        _ if pattern.starts_with("^https:") => "https://api.github.com/",
        _ if pattern.starts_with("^refs/") => "refs/heads/main",
        _ if pattern.starts_with("^pkg") => "pkg:npm/octocat@1.0.0",
        _ if pattern.starts_with("^(?:[A-Za-z0-9+/]{4})") => "b2N0b2NhdA==",
        _ => "octocat",
    }
}

fn formatted(schema: &Value) -> &'static str {
    match schema["format"].as_str() {
        Some("date-time") => "2011-01-26T19:01:12Z",
        Some("date") => "2011-01-26",
        Some("uri" | "url") => "https://api.github.com/",
        Some("email") => "octocat@github.com",
        Some("uuid") => "0b989ba4-242f-11e5-81e1-c7b6966d2516",
        Some("byte") => "",
        _ => "octocat",
    }
}

fn all_of(schema: &Value, parts: &[Value], schemas: &Schemas, depth: usize) -> Value {
    parts
        .iter()
        .map(|part| value(part, schemas, depth + 1))
        .reduce(merge)
        .map_or(Value::Null, |all| merge(all, object(schema, schemas, depth)))
}

/// Both objects in one; what is not an object stays as it is.
fn merge(left: Value, right: Value) -> Value {
    match (left, right) {
        (Value::Object(mut left), Value::Object(right)) => {
            left.extend(right);
            Value::Object(left)
        }
        (left, _) => left,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::contract::Document;

    fn minimal(schema: Value) -> Value {
        let components = json!({
            "node": {
                "type": "object",
                "required": ["parent", "id"],
                "properties": {
                    "parent": { "$ref": "#/components/schemas/node" },
                    "id": { "type": "integer" },
                    "name": { "type": "string" },
                },
            },
        });
        minimal_value(&schema, &Schemas::new(components.as_object().unwrap().clone()))
    }

    #[test]
    fn only_required_properties() {
        let schema = json!({
            "type": "object",
            "required": ["at", "state", "labels"],
            "properties": {
                "at": { "type": "string", "format": "date-time" },
                "state": { "type": "string", "enum": ["open", "closed"] },
                "labels": { "type": "array", "items": { "type": "string" } },
                "body": { "type": "string" },
            },
        });
        let expected = json!({ "at": "2011-01-26T19:01:12Z", "state": "open", "labels": [] });
        assert_eq!(minimal(schema), expected);
    }

    #[test]
    fn parts_are_joined_and_the_first_choice_is_taken() {
        let part = |name: &str| {
            let properties = json!({ name: { "type": "boolean" } });
            json!({ "type": "object", "required": [name], "properties": properties })
        };
        let schema = json!({ "allOf": [part("a"), { "oneOf": [part("b"), part("c")] }] });
        assert_eq!(minimal(schema), json!({ "a": false, "b": false }));
    }

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let node = minimal(json!({ "$ref": "#/components/schemas/node" }));
        assert_eq!(node["parent"]["parent"]["id"], 1);
    }

    fn has_null(value: &Value) -> bool {
        match value {
            Value::Object(properties) => properties.values().any(has_null),
            Value::Array(items) => items.iter().any(has_null),
            value => value.is_null(),
        }
    }

    #[test]
    fn every_schema_of_the_document_has_a_value() {
        let schemas = Document::built_in().schemas();
        for (name, schema) in schemas.components() {
            let value = minimal_value(schema, schemas);
            assert!(value.to_string().len() < 100_000, "{name}");
            assert!(!has_null(&value), "{name}: {value}");
        }
    }

    #[test]
    fn every_text_keeps_to_its_pattern() {
        let document = Document::built_in().to_json();
        let mut patterns = Vec::new();
        collect(&document, &mut patterns);
        assert!(patterns.len() > 10, "{patterns:?}");
        for schema in patterns {
            // Patterns of what secrets look like stand in examples, as texts.
            let Some(pattern) = schema["pattern"].as_str() else { continue };
            let text = value(schema, &Schemas::new(Map::new()), 0);
            let check = jsonschema::options().build(schema).unwrap();
            assert!(check.is_valid(&text), "{text} for {pattern}");
        }
    }

    fn collect<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
        match value {
            Value::Object(map) => {
                if map.contains_key("pattern") && map.get("type") == Some(&json!("string")) {
                    found.push(value);
                }
                map.values().for_each(|value| collect(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
}

//! Values that conform to a schema, for responses without an example.
//!
//! They are as small as the schema allows: only required properties, and empty lists.

use serde_json::{Value, json};

use crate::contract::Schemas;

/// The depth at which a recursive schema is cut. GitHub's required properties nest less deeply.
const MAX_DEPTH: usize = 12;

/// Maximum number of parts of a value. GitHub's largest have some hundreds.
const MAX_PARTS: usize = 10_000;

/// Returns the smallest value that conforms to `schema`, which can refer to those of `schemas`.
///
/// If there is no such value with at most 10,000 parts and 12 levels, the missing parts are `null`, or left
/// out of a list.
pub(super) fn minimal_value(schema: &Value, schemas: &Schemas) -> Value {
    MinimalValueBuilder { schemas, remaining_parts: MAX_PARTS }.value(schema, 0)
}

struct MinimalValueBuilder<'a> {
    schemas: &'a Schemas,
    /// The remaining number of parts.
    remaining_parts: usize,
}

impl MinimalValueBuilder<'_> {
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        let schemas = self.schemas;
        let schema = schemas.resolve(schema);
        if let Some(known) = provided_value(schema) {
            let size = size(known);
            if size > self.remaining_parts {
                return Value::Null;
            }
            self.remaining_parts = self.remaining_parts.saturating_sub(size);
            return known.clone();
        }
        if depth > MAX_DEPTH || self.remaining_parts == 0 {
            return Value::Null;
        }
        self.remaining_parts = self.remaining_parts.saturating_sub(1);
        let below = depth.saturating_add(1);
        if let Some(parts) = schema["allOf"].as_array() {
            let all = parts
                .iter()
                .take(self.remaining_parts)
                .map(|part| self.value(part, below))
                .reduce(merge);
            return all.map_or(Value::Null, |all| merge(all, self.object(schema, depth)));
        }
        for choice in ["oneOf", "anyOf"] {
            if let Some(first) = schema[choice].get(0) {
                let chosen = self.value(first, below);
                // `anyOf` beside properties only states which of them are required.
                return merge(chosen, self.object(schema, depth));
            }
        }
        match schema_type(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "string" => json!(string(schema)),
            // 1 instead of 0: ids, numbers and counts of existing resources start there.
            "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(1)),
            "boolean" => json!(false),
            _ => json!({}),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let required = schema["required"].as_array().into_iter().flatten();
        let properties = required.filter_map(|name| {
            let name = name.as_str().filter(|_| self.remaining_parts > 0)?;
            let property = schema["properties"].get(name).unwrap_or(&Value::Null);
            Some((name.to_owned(), self.value(property, depth.saturating_add(1))))
        });
        Value::Object(properties.collect())
    }

    fn array(&mut self, schema: &Value, depth: usize) -> Value {
        let mut items = Vec::new();
        let least = schema["minItems"].as_u64().unwrap_or(0);
        let least = usize::try_from(least).unwrap_or(usize::MAX).min(self.remaining_parts);
        for _ in 0..least {
            items.push(self.value(&schema["items"], depth.saturating_add(1)));
        }
        Value::Array(items)
    }
}

/// A value that the schema itself contains.
fn provided_value(schema: &Value) -> Option<&Value> {
    let example = schema.get("example").filter(|_| is_scalar(schema));
    let first_value = schema["enum"].get(0);
    schema.get("const").or(first_value).or(example)
}

/// The number of parts of a value; a long text counts as several.
fn size(value: &Value) -> usize {
    let below =
        |values: &mut dyn Iterator<Item = &Value>| values.map(size).fold(1, usize::saturating_add);
    match value {
        Value::String(text) => (text.len() / 256).saturating_add(1),
        Value::Array(items) => below(&mut items.iter()),
        Value::Object(properties) => below(&mut properties.values()),
        _ => 1,
    }
}

/// Returns whether to use the schema's own example: only for texts, and only if it is one.
fn is_scalar(schema: &Value) -> bool {
    // Examples of dates and numbers do not always have the type of their schema.
    schema_type(schema) == "string"
        && schema.get("format").is_none()
        && schema.get("pattern").is_none()
        && schema.get("example").is_some_and(Value::is_string)
}

fn schema_type(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(name) => name,
        // OpenAPI 3.1 lists the types; the first that is not `null` is sufficient.
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("null")
        }
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "",
    }
}

fn string(schema: &Value) -> String {
    let text = match schema["pattern"].as_str() {
        Some(pattern) => patterned(pattern),
        None => formatted(schema),
    };
    let shortest = schema["minLength"].as_u64().and_then(|length| usize::try_from(length).ok());
    // The longest text that the description requires has 71 characters.
    format!("{text:x<width$}", width = shortest.unwrap_or(0).min(256))
}

/// A text for a pattern. The description has few; the test `every_text_keeps_to_its_pattern` finds new ones.
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

/// Merges both objects; other values stay as they are.
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
    use crate::contract::ApiDescription;

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

    #[test]
    fn a_value_has_a_bounded_number_of_parts() {
        let node = json!({ "$ref": "#/components/schemas/node" });
        for schema in [
            json!({ "type": "array", "minItems": u64::MAX, "items": { "type": "integer" } }),
            json!({ "type": "array", "minItems": u64::MAX, "items": { "enum": ["a"] } }),
            json!({ "type": "array", "minItems": 1000, "items": { "type": "array", "minItems": 1000,
                "items": { "type": "array", "minItems": 1000 } } }),
            json!({ "allOf": vec![&node; 1_000] }),
            json!({ "$ref": "#/components/schemas/wide" }),
            json!({ "$ref": "#/components/schemas/circle" }),
        ] {
            let wide = json!({ "allOf": vec![json!({ "$ref": "#/components/schemas/wide" }); 20] });
            let circle = json!({ "$ref": "#/components/schemas/circle" });
            let components = json!({ "node": minimal_node(), "wide": wide, "circle": circle });
            let schemas = Schemas::new(components.as_object().unwrap().clone());
            let length = minimal_value(&schema, &schemas).to_string().len();
            assert!(length < 1_000_000, "{length} of {schema:.60}");
        }
    }

    fn minimal_node() -> Value {
        json!({
            "type": "object",
            "required": ["a", "b", "c"],
            "properties": {
                "a": { "$ref": "#/components/schemas/node" },
                "b": { "$ref": "#/components/schemas/node" },
                "c": { "type": "string" },
            },
        })
    }

    fn has_null(value: &Value) -> bool {
        match value {
            Value::Object(properties) => properties.values().any(has_null),
            Value::Array(items) => items.iter().any(has_null),
            value => value.is_null(),
        }
    }

    #[test]
    fn every_schema_of_the_description_has_a_value() {
        let schemas = ApiDescription::built_in().schemas();
        for (name, schema) in schemas.components() {
            let value = minimal_value(schema, schemas);
            assert!(value.to_string().len() < 100_000, "{name}");
            assert!(!has_null(&value), "{name}: {value}");
        }
    }

    #[test]
    fn every_text_keeps_to_its_pattern() {
        let document = ApiDescription::built_in().to_json();
        let mut patterns = Vec::new();
        collect(&document, &mut patterns);
        assert!(patterns.len() > 10, "{patterns:?}");
        for schema in patterns {
            // Examples contain patterns of secrets as texts.
            let Some(pattern) = schema["pattern"].as_str() else { continue };
            let text = minimal_value(schema, &Schemas::new(Map::new()));
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

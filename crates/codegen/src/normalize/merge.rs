//! Schemas that become one: the parts of an `allOf`, the strings of a union, and a schema with `null`.

use serde_json::{Value, json};

use crate::document;
use crate::required::NOT_REQUIRED;

/// The schema, or `null`.
pub fn nullable(mut schema: Value) -> Value {
    if let Some(reference) = schema.as_object_mut().and_then(|map| map.shift_remove("$ref")) {
        schema = json!({ "allOf": [{ "$ref": reference }] });
    }
    if !is_anything(&schema) {
        schema["nullable"] = json!(true);
    }
    schema
}

/// The schema, but not `null`.
pub fn without_null(mut schema: Value) -> Value {
    if let Some(map) = schema.as_object_mut()
        && map.shift_remove("nullable").is_some()
        && let Some(parts) = map.shift_remove("allOf")
    {
        return parts[0].clone();
    }
    schema
}

/// A union of strings: the union of their values, or any string.
pub(super) fn merge_strings(variants: &[Value]) -> Value {
    if variants.iter().any(|variant| variant.get("enum").is_none()) {
        return json!({ "type": "string" });
    }
    let mut values: Vec<&Value> = Vec::new();
    for value in variants.iter().flat_map(|variant| document::array(variant, "enum")) {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    json!({ "type": "string", "enum": values })
}

/// Adds `part` to `merged`. If both describe a property, the more specific description stays.
pub(super) fn merge_schema(merged: &mut Value, part: Value) {
    let (Some(merged), Value::Object(part)) = (merged.as_object_mut(), part) else { return };
    for (key, value) in part {
        match (key.as_str(), merged.get_mut(&key)) {
            ("properties", Some(Value::Object(properties))) => {
                let Value::Object(added) = value else { continue };
                for (name, schema) in added {
                    match properties.get(&name) {
                        Some(old) if specificity(old) >= specificity(&schema) => {}
                        _ => {
                            properties.insert(name, schema);
                        }
                    }
                }
            }
            ("required" | "oneOf" | "anyOf" | NOT_REQUIRED, Some(Value::Array(old))) => {
                let Value::Array(added) = value else { continue };
                for item in added {
                    if !old.contains(&item) {
                        old.push(item);
                    }
                }
            }
            (_, Some(_)) => {}
            (_, None) => {
                merged.insert(key, value);
            }
        }
    }
}

/// The specificity of a schema: a reference or properties most, a bare type least.
fn specificity(schema: &Value) -> usize {
    if schema.get("$ref").is_some() || schema.get("properties").is_some() {
        2
    } else {
        usize::from(schema.get("type").is_some() || schema.get("allOf").is_some())
    }
}

pub(super) fn is_anything(schema: &Value) -> bool {
    schema.as_object().is_none_or(|map| map.keys().all(|key| key == "description"))
}

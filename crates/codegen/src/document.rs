//! Navigation in an OpenAPI document that is held as JSON.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The methods that OpenAPI 3.0 gives a path item, in its order.
pub const METHODS: [&str; 8] =
    ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// One operation of the document, with its location.
#[derive(Clone, Copy)]
pub struct LocatedOperation<'a> {
    /// The path template.
    pub path: &'a str,
    /// The method, in lower case.
    pub method: &'a str,
    /// The path item, with the parameters that its operations share.
    pub item: &'a Value,
    /// The operation.
    pub operation: &'a Value,
}

impl LocatedOperation<'_> {
    /// The JSON pointer of the operation.
    pub fn pointer(&self) -> String {
        pointer(&["paths", self.path, self.method])
    }

    /// The operation id; empty if the operation has none.
    pub fn id(&self) -> &str {
        self.operation["operationId"].as_str().unwrap_or_default()
    }
}

/// Every operation, in the description's order.
pub fn operations(document: &Value) -> impl Iterator<Item = LocatedOperation<'_>> {
    document["paths"].as_object().into_iter().flatten().flat_map(|(path, item)| {
        METHODS.iter().filter_map(move |method| {
            let operation = item.get(method)?;
            Some(LocatedOperation { path, method, item, operation })
        })
    })
}

/// The variant of GitHub's description: `api.github.com`, `ghec`, `ghes-3.19`.
pub fn document_name(document: &Value) -> String {
    let info = &document["info"];
    let plan = info["x-github-plan"].as_str().unwrap_or("unknown");
    match &info["x-github-release"] {
        Value::Null => plan.to_owned(),
        Value::String(release) => format!("{plan}-{release}"),
        release => format!("{plan}-{release}"),
    }
}

/// Writes an RFC 6901 JSON pointer.
pub fn pointer(segments: &[&str]) -> String {
    segments.iter().map(|s| format!("/{}", s.replace('~', "~0").replace('/', "~1"))).collect()
}

/// Follows `$ref`s to their target.
pub fn resolve<'a>(
    document: &'a Value,
    mut value: &'a Value,
    stage: &'static str,
    at: &str,
) -> Result<&'a Value> {
    // A chain longer than this is a cycle.
    for _ in 0..32 {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
            return Ok(value);
        };
        value = reference
            .strip_prefix('#')
            .and_then(|pointer| document.pointer(pointer))
            .ok_or_else(|| Error::new(stage, at, format!("unresolved `$ref` to `{reference}`")))?;
    }
    Err(Error::new(stage, at, "a `$ref` refers to itself"))
}

/// The name of the component schema that a `$ref` names.
pub fn schema_name(reference: &str) -> Option<&str> {
    reference.strip_prefix("#/components/schemas/")
}

/// Calls `visit` with every `$ref` below `value`.
pub fn references<'a>(value: &'a Value, visit: &mut impl FnMut(&'a str)) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(reference) if key == "$ref" => visit(reference),
                    _ => references(value, visit),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, visit)),
        _ => {}
    }
}

/// The JSON object at `key`, or an empty one.
pub fn object<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(key).and_then(Value::as_object).into_iter().flatten()
}

/// The JSON array at `key`, or an empty one.
pub fn array<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The component schemas, mutably; created if they are missing.
pub fn schemas_mut(document: &mut Value) -> Option<&mut Map<String, Value>> {
    document
        .as_object_mut()?
        .entry("components")
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()?
        .entry("schemas")
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()
}

/// A scalar as text in the documentation; `None` for any other value, and for text that is empty, long, or no
/// single line of code in Markdown.
pub fn shown(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    let fits = !text.trim().is_empty()
        && text.chars().count() <= MAX_SHOWN
        && !text.contains(|c: char| c == '`' || c.is_control());
    fits.then_some(text)
}

/// Maximum length of a value in the documentation, in characters.
const MAX_SHOWN: usize = 80;

//! Schemas of OpenAPI 3.0 as those of JSON Schema, draft 4.
//!
//! Only what OpenAPI 3.0 has is carried over, so that what was looked at before a schema is compiled
//! is all that it says. What cannot be checked is left out, and told once.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use jsonschema::{Draft, PatternCache, PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value, json};
use tracing::warn;

use crate::sanitize;

/// Keywords that stay as they are. Formats are not checked.
const KEPT: [&str; 15] = [
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "required",
    "type",
    "uniqueItems",
];

/// The most patterns of one document that are compiled. GitHub's has 17.
const MAX_PATTERNS: usize = 256;

/// The largest compiled pattern, and the largest cache of a match, in bytes.
const MAX_PATTERN_BYTES: usize = 256 * 1024;

/// The most notes that are kept of what is not checked.
const MAX_NOTES: usize = 100;

/// The longest part of a document that a note shows, in characters.
const MAX_SHOWN: usize = 200;

/// What one document's schemas share when they are compiled.
#[derive(Default)]
pub(super) struct Compiler {
    patterns: PatternCache,
    seen: Mutex<BTreeSet<String>>,
    unchecked: Mutex<BTreeSet<String>>,
}

impl Compiler {
    /// What is not checked of the document, as far as its schemas were needed.
    pub(super) fn unchecked(&self) -> Vec<String> {
        let notes = self.unchecked.lock().unwrap_or_else(PoisonError::into_inner);
        notes.iter().cloned().collect()
    }

    /// Tells that something is not checked: once.
    pub(super) fn note(&self, what: &str) {
        let mut notes = self.unchecked.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < MAX_NOTES && notes.insert(what.to_owned()) {
            warn!(target: "octowire::contract", part = what, "not checked");
        }
    }

    /// Compiles a schema of draft 4, with patterns that take time in proportion to the text.
    pub(super) fn compile(&self, schema: &Value) -> Result<Validator, ValidationError<'static>> {
        // Without look-around and back-references, which no linear engine has: see
        // `docs/decisions/0031-bounded-checks.md`.
        let patterns =
            PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES);
        jsonschema::options()
            .with_draft(Draft::Draft4)
            .should_validate_formats(false)
            .with_pattern_options(patterns)
            .with_pattern_cache(self.patterns.clone())
            .offline()
            .build(schema)
    }

    /// The schema in draft 4. `components` are those that it may refer to.
    pub(super) fn convert(&self, schema: &Value, components: &Map<String, Value>) -> Value {
        let Some(object) = schema.as_object() else { return schema.clone() };
        let mut converted = Map::new();
        let convert = |schema: &Value| self.convert(schema, components);
        for (key, value) in object {
            let value = match key.as_str() {
                "properties" => value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, schema)| (name.clone(), convert(schema)))
                    .collect(),
                "items" | "not" | "additionalProperties" => convert(value),
                "allOf" | "anyOf" | "oneOf" => {
                    value.as_array().into_iter().flatten().map(convert).collect()
                }
                "pattern" if self.takes(value) => value.clone(),
                // GitHub writes it where nothing is required; draft 4 does not have it.
                "required" if value.as_array().is_some_and(Vec::is_empty) => continue,
                "$ref" if self.knows(value, components) => value.clone(),
                key if KEPT.contains(&key) => value.clone(),
                _ => continue,
            };
            let key = if key == "oneOf" && !object.contains_key("anyOf") { "anyOf" } else { key };
            converted.insert(key.to_owned(), value);
        }
        match object.get("nullable") == Some(&Value::Bool(true)) {
            true => nullable(converted),
            false => Value::Object(converted),
        }
    }

    /// Whether a pattern can be checked.
    fn takes(&self, pattern: &Value) -> bool {
        let Some(text) = pattern.as_str() else { return true };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains(text) {
            if seen.len() >= MAX_PATTERNS {
                self.note(&format!("patterns beyond the first {MAX_PATTERNS}"));
                return false;
            }
            seen.insert(text.to_owned());
        }
        drop(seen);
        // The cache knows it from now on, whether it compiles or not.
        let compiles = self.compile(&json!({ "pattern": text })).is_ok();
        if !compiles {
            self.note(&format!(
                "the pattern {}, which needs look-around, a back-reference or too much memory",
                shown(text)
            ));
        }
        compiles
    }

    /// Whether a reference leads to a component.
    fn knows(&self, reference: &Value, components: &Map<String, Value>) -> bool {
        let text = reference.as_str().unwrap_or_default();
        let is_known = component(text).is_some_and(|name| components.contains_key(name));
        if !is_known {
            self.note(&format!("the reference {}, which is not to a component", shown(text)));
        }
        is_known
    }
}

/// The component that a reference names.
pub(super) fn component(reference: &str) -> Option<&str> {
    let name = reference.strip_prefix("#/components/schemas/")?;
    // These would be read as parts of a pointer or a URI.
    (!name.contains(['/', '~', '%'])).then_some(name)
}

/// A part of a document as a note shows it.
fn shown(text: &str) -> String {
    format!("`{}`", sanitize::text(text, MAX_SHOWN))
}

fn nullable(mut schema: Map<String, Value>) -> Value {
    if let Some(Value::Array(values)) = schema.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    let within = ["$ref", "allOf", "anyOf", "oneOf", "not"];
    if within.iter().any(|keyword| schema.contains_key(*keyword)) {
        return json!({ "anyOf": [{ "type": "null" }, schema] });
    }
    if let Some(of) = schema.get_mut("type") {
        *of = json!([of.clone(), "null"]);
    }
    Value::Object(schema)
}

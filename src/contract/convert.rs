//! Conversion of OpenAPI 3.0 schemas into JSON Schema, draft 4.
//!
//! Only keywords of OpenAPI 3.0 are carried over, so that the checks before compilation cover the whole
//! schema. Parts that cannot be checked are left out, and reported once.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use jsonschema::{Draft, PatternCache, PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value, json};
use tracing::warn;

use crate::sanitize;

/// Keywords that are copied unchanged. Formats are not checked.
const KEPT_KEYWORDS: [&str; 15] = [
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

/// Maximum number of patterns that are compiled for one document. GitHub's has 17.
const MAX_PATTERNS: usize = 256;

/// Maximum size of a compiled pattern, and of the cache of a match, in bytes.
const MAX_PATTERN_BYTES: usize = 256 * 1024;

/// Maximum number of notes about unchecked parts.
const MAX_NOTES: usize = 100;

/// Maximum length of a part of a document in a note, in characters.
const MAX_PREVIEW_CHARS: usize = 200;

/// State that the schemas of one document share during compilation.
#[derive(Default)]
pub(super) struct Compiler {
    patterns: PatternCache,
    noted: Mutex<BTreeSet<String>>,
    unchecked: Mutex<BTreeSet<String>>,
}

impl Compiler {
    /// The unchecked parts of the description, for the schemas used so far.
    pub(super) fn unchecked(&self) -> Vec<String> {
        let notes = self.unchecked.lock().unwrap_or_else(PoisonError::into_inner);
        notes.iter().cloned().collect()
    }

    /// Records an unchecked part, once.
    pub(super) fn record(&self, what: &str) {
        let mut notes = self.unchecked.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < MAX_NOTES && notes.insert(what.to_owned()) {
            warn!(target: "octowire::contract", part = what, "not checked");
        }
    }

    /// Compiles a schema of draft 4, with patterns whose matching time is proportional to the text.
    pub(super) fn compile(&self, schema: &Value) -> Result<Validator, ValidationError<'static>> {
        // Look-around and back-references are not supported by any linear engine: see
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

    /// Returns the schema in draft 4. `components` are the components that it can refer to.
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
                "pattern" if self.accepts_pattern(value) => value.clone(),
                // GitHub writes an empty `required`, which draft 4 does not allow.
                "required" if value.as_array().is_some_and(Vec::is_empty) => continue,
                "$ref" if self.has_component(value, components) => value.clone(),
                key if KEPT_KEYWORDS.contains(&key) => value.clone(),
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

    /// Returns whether a pattern can be checked.
    fn accepts_pattern(&self, pattern: &Value) -> bool {
        let Some(text) = pattern.as_str() else { return true };
        let mut seen = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains(text) {
            if seen.len() >= MAX_PATTERNS {
                self.record(&format!("patterns beyond the first {MAX_PATTERNS}"));
                return false;
            }
            seen.insert(text.to_owned());
        }
        drop(seen);
        // The cache stores the result, whether the pattern compiles or not.
        let compiles = self.compile(&json!({ "pattern": text })).is_ok();
        if !compiles {
            self.record(&format!(
                "the pattern {}, which needs look-around, a back-reference or too much memory",
                preview(text)
            ));
        }
        compiles
    }

    /// Returns whether a reference leads to a component.
    fn has_component(&self, reference: &Value, components: &Map<String, Value>) -> bool {
        let text = reference.as_str().unwrap_or_default();
        let is_known = component(text).is_some_and(|name| components.contains_key(name));
        if !is_known {
            self.record(&format!("the reference {}, which is not to a component", preview(text)));
        }
        is_known
    }
}

/// Returns the component that a reference names.
pub(super) fn component(reference: &str) -> Option<&str> {
    let name = reference.strip_prefix("#/components/schemas/")?;
    // These characters would be parsed as parts of a pointer or a URI.
    (!name.contains(['/', '~', '%'])).then_some(name)
}

/// A part of a document for a note.
fn preview(text: &str) -> String {
    format!("`{}`", sanitize::text(text, MAX_PREVIEW_CHARS))
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

//! Schemas, in the keywords that typify receives: `type`, `format` (of times alone), `enum`, `properties`,
//! `required`, `additionalProperties`, `items`, `oneOf`, `$ref`, `nullable` and `description`.
//!
//! - `allOf` is merged, `anyOf` is read as `oneOf`, and a union beside
//!   `properties` becomes optional properties;
//! - `null` among an enum's values or a union's variants is `nullable`;
//! - bounds (lengths, patterns, ranges), defaults, examples and titles are removed: GitHub checks bounds,
//!   applies defaults itself, and titles collide;
//! - enum values that differ only in `+` and `-` are spelled out, see
//!   [`super::unescape_enum_value`];
//! - a `number` that is an id or a count is an integer, see [`super::is_integer`].

use std::cell::Cell;
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::enum_values::string_enum;
use super::integers::is_integer;
use super::merge::{is_anything, merge_schema, merge_strings, nullable, without_null};
use super::{ID_OR_NAME, OF_OPERATION, STAGE, variants};
use crate::document::{self, schema_name};
use crate::error::{Error, Result};
use crate::hints::{DISCRIMINATOR, DocumentedValues, ValueTable};
use crate::names::squashed;
use crate::required::NOT_REQUIRED;

/// Maximum nesting of schemas. Later readers recurse, and the stack of a thread can be as small as 1 MiB.
const MAX_DEPTH: usize = 30;

/// Maximum number of rewritten schemas, including those that are merged into others. All of GitHub's are
/// about 100,000.
const MAX_REWRITTEN: usize = 2_000_000;

/// Component names that would shadow names in generated code.
const RESERVED: [&str; 15] = [
    "box", "clone", "debug", "default", "from", "hash", "into", "option", "result", "self",
    "string", "tryfrom", "tryinto", "value", "vec",
];

/// The component schemas as they are rewritten.
pub struct Schemas<'a> {
    document: &'a Value,
    reserved: BTreeSet<String>,
    done: Map<String, Value>,
    hoisted: BTreeSet<String>,
    depth: usize,
    /// The number of schemas that were rewritten, or merged into another.
    rewritten: Cell<usize>,
    /// The documented values of properties.
    values: ValueTable,
    /// Whether hoisted schemas belong to a single operation.
    of_operation: bool,
}

impl<'a> Schemas<'a> {
    /// Starts with the schemas of a description. `names` are those of the whole description.
    pub fn new(document: &'a Value, names: &BTreeSet<String>) -> Self {
        let mut done = Map::new();
        done.insert(ID_OR_NAME.to_owned(), json!({ "type": "string" }));
        Self {
            document,
            reserved: names.iter().map(|name| squashed(name)).collect(),
            done,
            hoisted: BTreeSet::new(),
            depth: 0,
            rewritten: Cell::new(0),
            values: ValueTable::new(),
            of_operation: true,
        }
    }

    /// The rewritten component schemas, and the documented values of their properties.
    pub fn finish(self) -> (Map<String, Value>, ValueTable) {
        (self.done, self.values)
    }

    /// From now on, hoisted schemas belong to components.
    pub fn leave_operations(&mut self) {
        self.of_operation = false;
    }

    /// Rewrites one component, unless it is an alias of another.
    pub fn component(&mut self, name: &str) -> Result<()> {
        let written = written_name(name);
        if self.component_for(name) != name || self.done.contains_key(&written) {
            return Ok(());
        }
        let at = document::pointer(&["components", "schemas", name]);
        let raw = &self.document["components"]["schemas"][name];
        let schema = without_null(self.inline(raw, &written, &at)?);
        self.done.insert(written, schema);
        Ok(())
    }

    /// Rewrites a schema at the place of its use. `name` is its name if it becomes a component.
    pub fn schema(&mut self, raw: &Value, name: &str, at: &str) -> Result<Value> {
        let schema = self.inline(raw, name, at)?;
        let named = schema.get("properties").is_some()
            || schema.get("enum").is_some()
            || schema.get("oneOf").is_some();
        if !named {
            return Ok(schema);
        }
        let is_nullable = schema["nullable"] == true;
        let description = schema.get("description").cloned();
        let reference = self.hoist(name, without_null(schema), at)?;
        let mut reference = if is_nullable { nullable(reference) } else { reference };
        if let (Some(map), Some(description)) = (reference.as_object_mut(), description) {
            map.insert("description".to_owned(), description);
        }
        Ok(reference)
    }

    /// Turns an inline schema into a component.
    fn hoist(&mut self, name: &str, mut schema: Value, at: &str) -> Result<Value> {
        let taken = self.reserved.contains(&squashed(name));
        let free = if taken { format!("{name}-inline") } else { name.to_owned() };
        // A number would make it unique, but its assignment would depend on the selection.
        if self.reserved.contains(&squashed(&free)) || !self.hoisted.insert(squashed(&free)) {
            let message = format!(
                "inline schema name `{free}` is already in use: make this schema a component with \
                 an overlay action"
            );
            return Err(Error::new(STAGE, at, message));
        }
        if self.of_operation {
            schema[OF_OPERATION] = json!(true);
        }
        self.done.insert(free.clone(), schema);
        Ok(reference(&free))
    }

    /// Resolves a component's name: `nullable-x` is `x` if [`select`](crate::select) found the two to
    /// be the same.
    fn component_for<'n>(&'n self, name: &'n str) -> &'n str {
        let schema = &self.document["components"]["schemas"][name];
        let base = name
            .strip_prefix("nullable-")
            .and_then(|_| schema_name(self.single_reference(schema)?));
        base.unwrap_or(name)
    }

    fn inline(&mut self, raw: &Value, name: &str, at: &str) -> Result<Value> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::new(STAGE, at, "schemas nest too deeply"));
        }
        self.count(at)?;
        let schema = self.any(raw, name, at);
        self.depth -= 1;
        schema
    }

    /// Counts a schema, up to a bound.
    fn count(&self, at: &str) -> Result<()> {
        self.rewritten.set(self.rewritten.get().saturating_add(1));
        match self.rewritten.get() > MAX_REWRITTEN {
            true => Err(Error::new(STAGE, at, "too many schemas after merging")),
            false => Ok(()),
        }
    }

    fn any(&mut self, raw: &Value, name: &str, at: &str) -> Result<Value> {
        let mut schema = if let Some(target) = raw.get("$ref").and_then(Value::as_str) {
            self.reference(target, at)?
        } else if raw.get("allOf").is_some() {
            match self.single_reference(raw) {
                Some(target) => self.reference(target, at)?,
                None => {
                    let merged = self.merge_all_of(raw, at, 0)?;
                    self.inline(&merged, name, at)?
                }
            }
        } else if raw.get("oneOf").is_some() || raw.get("anyOf").is_some() {
            if raw.get("properties").is_some() {
                let object = self.absorb_union(raw, at)?;
                self.object(&object, name, at)?
            } else {
                self.union(raw, name, at)?
            }
        } else {
            self.plain(raw, name, at)?
        };
        if raw["nullable"] == true {
            schema = nullable(schema);
        }
        if let (Some(map), Some(description)) = (schema.as_object_mut(), raw.get("description")) {
            map.insert("description".to_owned(), description.clone());
        }
        Ok(schema)
    }

    fn reference(&mut self, target: &str, at: &str) -> Result<Value> {
        let name = schema_name(target).ok_or_else(|| {
            Error::new(STAGE, at, format!("`$ref` to `{target}` is not a schema"))
        })?;
        let Some(component) = self.document["components"]["schemas"].get(name) else {
            return Err(Error::new(STAGE, at, format!("unresolved `$ref` to `{target}`")));
        };
        let reference = reference(&written_name(self.component_for(name)));
        let is_nullable = component["nullable"] == true
            || document::array(component, "enum").any(Value::is_null)
            || document::array(component, "oneOf")
                .chain(document::array(component, "anyOf"))
                .any(|variant| variant["type"] == "null");
        Ok(if is_nullable { nullable(reference) } else { reference })
    }

    /// `allOf` around a single `$ref`, which is the notation for a `$ref` with a description.
    fn single_reference<'v>(&self, raw: &'v Value) -> Option<&'v str> {
        let parts = raw["allOf"].as_array()?;
        let lone = parts.len() == 1 && raw.get("properties").is_none();
        if lone { parts[0].get("$ref")?.as_str() } else { None }
    }

    /// Merges all parts into one schema.
    fn merge_all_of(&self, raw: &Value, at: &str, depth: usize) -> Result<Value> {
        if depth > MAX_DEPTH {
            return Err(Error::new(STAGE, at, "an `allOf` contains itself"));
        }
        self.count(at)?;
        let mut merged = raw.clone();
        let parts = merged.as_object_mut().and_then(|map| map.shift_remove("allOf"));
        for part in parts.as_ref().and_then(Value::as_array).into_iter().flatten() {
            let part = document::resolve(self.document, part, STAGE, at)?;
            let part = if part.get("allOf").is_some() {
                self.merge_all_of(part, at, depth + 1)?
            } else {
                part.clone()
            };
            merge_schema(&mut merged, part);
        }
        Ok(merged)
    }

    /// An object that is also a union: the properties of the variants become optional.
    fn absorb_union(&self, raw: &Value, at: &str) -> Result<Value> {
        let mut object = raw.clone();
        for key in ["oneOf", "anyOf"] {
            for variant in document::array(raw, key) {
                let variant = document::resolve(self.document, variant, STAGE, at)?;
                let mut variant = variant.clone();
                if let Some(map) = variant.as_object_mut() {
                    map.shift_remove("required");
                    map.shift_remove("additionalProperties");
                }
                merge_schema(&mut object, variant);
            }
        }
        Ok(object)
    }

    fn union(&mut self, raw: &Value, name: &str, at: &str) -> Result<Value> {
        let mut given: Vec<(&Value, String)> = Vec::new();
        let mut is_nullable = false;
        for key in ["oneOf", "anyOf"] {
            for (index, variant) in document::array(raw, key).enumerate() {
                if variant["type"] == "null" {
                    is_nullable = true;
                } else {
                    given.push((variant, format!("{at}/{key}/{index}")));
                }
            }
        }
        if let [(one, at)] = given.as_slice() {
            let schema = self.inline(one, name, at)?;
            return Ok(if is_nullable { nullable(schema) } else { schema });
        }
        let raw: Vec<&Value> = given.iter().map(|(variant, _)| *variant).collect();
        let names = variants::names(self.document, name, &raw);
        let mut variants: Vec<Value> = Vec::new();
        for ((variant, at), own) in given.iter().zip(names) {
            let name = format!("{name}-{own}");
            let schema = self.inline(variant, &name, at)?;
            is_nullable |= schema["nullable"] == true;
            let mut schema = without_null(schema);
            if schema.get("properties").is_some() || schema.get("oneOf").is_some() {
                schema = self.hoist(&name, schema, at)?;
            }
            if let Some(map) = schema.as_object_mut() {
                map.shift_remove("description");
            }
            if !variants.contains(&schema) {
                variants.push(schema);
            }
        }
        let strings = variants.iter().filter(|variant| variant["type"] == "string").count();
        let union = if strings == variants.len() && strings > 0 {
            merge_strings(&variants)
        } else if variants.len() == 1 {
            variants.remove(0)
        } else if !variants.is_empty() && variants.iter().all(|variant| variant["type"] == "array")
        {
            // Lists of either type are read as a list of a union.
            let items: Vec<&Value> = variants.iter().map(|variant| &variant["items"]).collect();
            let either = self.hoist(&format!("{name}-item"), json!({ "oneOf": items }), at)?;
            json!({ "type": "array", "items": either })
        } else if variants.is_empty() || variants.iter().any(is_anything) {
            json!({})
        } else {
            json!({ "oneOf": variants })
        };
        Ok(if is_nullable { nullable(union) } else { union })
    }

    fn plain(&mut self, raw: &Value, name: &str, at: &str) -> Result<Value> {
        let values: Vec<&Value> = document::array(raw, "enum").collect();
        let all_strings = values.iter().all(|value| value.is_string() || value.is_null());
        if let Some(other) = raw.get("type").filter(|of| !of.is_string()) {
            return Err(Error::new(
                STAGE,
                at,
                format!("`type: {other}` is not valid in OpenAPI 3.0"),
            ));
        }
        let schema = match raw["type"].as_str() {
            Some("string") if !values.is_empty() => string_enum(&values),
            None if !values.is_empty() && all_strings => string_enum(&values),
            Some("string") => match raw["format"].as_str() {
                Some(format @ ("date-time" | "date")) => {
                    json!({ "type": "string", "format": format })
                }
                _ => json!({ "type": "string" }),
            },
            Some("integer") => json!({ "type": "integer", "format": "int64" }),
            Some("number") if is_integer(raw, at) => {
                json!({ "type": "integer", "format": "int64" })
            }
            Some("number") => json!({ "type": "number", "format": "double" }),
            Some("boolean") => json!({ "type": "boolean" }),
            Some("array") => self.array(raw, name, at)?,
            None if raw.get("items").is_some() => self.array(raw, name, at)?,
            Some("object") => self.object(raw, name, at)?,
            None if raw.get("properties").is_some() => self.object(raw, name, at)?,
            None => return Ok(json!({})),
            Some(other) => {
                return Err(Error::new(
                    STAGE,
                    at,
                    format!("`type: {other}` is not valid in OpenAPI 3.0"),
                ));
            }
        };
        Ok(if values.iter().any(|value| value.is_null()) { nullable(schema) } else { schema })
    }

    fn array(&mut self, raw: &Value, name: &str, at: &str) -> Result<Value> {
        let items = raw.get("items").unwrap_or(&Value::Null);
        let items = self.schema(items, &format!("{name}-item"), &format!("{at}/items"))?;
        Ok(json!({ "type": "array", "items": items }))
    }

    fn object(&mut self, raw: &Value, name: &str, at: &str) -> Result<Value> {
        let mut object = Map::new();
        object.insert("type".to_owned(), json!("object"));
        let mut properties = Map::new();
        for (property, schema) in document::object(raw, "properties") {
            let at = format!("{at}{}", document::pointer(&["properties", property]));
            let mut rewritten = self.schema(schema, &format!("{name}-{property}"), &at)?;
            if let Some(discriminator) = schema.get(DISCRIMINATOR) {
                rewritten[DISCRIMINATOR] = discriminator.clone();
            }
            let [default, example] =
                ["default", "example"].map(|key| schema.get(key).and_then(document::shown));
            if default.is_some() || example.is_some() {
                let values = DocumentedValues { default, example };
                self.values.insert((name.to_owned(), property.clone()), values);
            }
            properties.insert(property.clone(), rewritten);
        }
        let required: Vec<&Value> = document::array(raw, "required")
            .filter(|required| required.as_str().is_some_and(|name| properties.contains_key(name)))
            .collect();
        object.insert("required".to_owned(), json!(required));
        if let Some(marked) = raw.get(NOT_REQUIRED) {
            object.insert(NOT_REQUIRED.to_owned(), marked.clone());
        }
        match raw.get("additionalProperties") {
            None | Some(Value::Bool(false)) => {}
            Some(Value::Bool(true)) => {
                object.insert("additionalProperties".to_owned(), json!(true));
            }
            Some(values) => {
                let at = format!("{at}/additionalProperties");
                let values = self.schema(values, &format!("{name}-value"), &at)?;
                object.insert("additionalProperties".to_owned(), values);
            }
        }
        if !properties.is_empty() {
            object.insert("properties".to_owned(), Value::Object(properties));
        }
        Ok(Value::Object(object))
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The name under which a component is written.
fn written_name(name: &str) -> String {
    let hides = RESERVED.contains(&squashed(name).as_str());
    if hides { format!("{name}-object") } else { name.to_owned() }
}

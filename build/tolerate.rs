//! Stage 6, tolerate: separates the schemas of requests and responses, since they have different rules.
//!
//! A component in requests is copied: `x` is for responses, and `x-input` for requests, even if no response
//! uses `x`. *Requests* stay exact, except that an optional list can be left out, which differs from an empty
//! one. [`super::refine`] makes *responses* tolerant, once it knows the response types.
//!
//! Properties are marked with information that typify would lose: their order in the description (typify
//! sorts them, GitHub sends them in this order) and whether `null` can be sent.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::document::{self, schema_name};
use super::error::{Error, Result};
use super::names::squashed;
use super::normalize::{ID_OR_NAME, OF_OPERATION};
use super::{required, select};

const STAGE: &str = "tolerate";

/// Metadata of a property, carried through typify in its description.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldHints {
    /// The index of the property among its siblings.
    pub order: usize,
    /// Whether the description allows `null`.
    pub nullable: bool,
    /// The discriminator of a union.
    pub decided_by: Option<Discriminator>,
}

/// Another property of the same object that determines the variant of a union (our overlay's
/// `x-octowire-discriminator`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Discriminator {
    /// The name of the other property.
    pub property: String,
    /// For each of its values, the component of the variant, or `object` for a map.
    pub variants: Vec<(String, String)>,
}

/// The variant of a [`Discriminator`] that is a map.
pub const OBJECT: &str = "object";

/// Our overlay's key for a [`Discriminator`].
pub const DISCRIMINATOR: &str = "x-octowire-discriminator";

impl Discriminator {
    /// Reads `{ property, mapping }`.
    pub fn read(value: &Value) -> Option<Self> {
        let target = |(constant, target): (&String, &Value)| {
            Some((constant.clone(), target.as_str()?.to_owned()))
        };
        Some(Self {
            property: value["property"].as_str()?.to_owned(),
            variants: value["mapping"].as_object()?.iter().filter_map(target).collect(),
        })
    }

    fn write(&self) -> Value {
        let mapping: serde_json::Map<String, Value> =
            self.variants.iter().map(|(constant, of)| (constant.clone(), json!(of))).collect();
        json!({ "property": self.property, "mapping": mapping })
    }
}

impl FieldHints {
    fn write(&self, description: &str) -> String {
        let null = if self.nullable { "n" } else { "" };
        let decided = self.decided_by.as_ref().map(|by| by.write().to_string());
        let decided = decided.unwrap_or_default();
        format!("\u{E010}{}{null}{decided}\u{E011}{description}", self.order)
    }

    /// Removes the mark from a description.
    pub fn read(description: &str) -> (Self, &str) {
        let marked = description
            .trim_start()
            .strip_prefix('\u{E010}')
            .and_then(|rest| rest.split_once('\u{E011}'));
        let Some((mark, description)) = marked else { return (Self::default(), description) };
        let (mark, decided) = mark.split_at(mark.find('{').unwrap_or(mark.len()));
        let order = mark.trim_end_matches('n').parse().unwrap_or_default();
        let decided_by = serde_json::from_str(decided).ok();
        let decided_by = decided_by.as_ref().and_then(Discriminator::read);
        (Self { order, nullable: mark.ends_with('n'), decided_by }, description)
    }
}

/// The request and response sides of an operation.
const SENT: [&str; 2] = ["parameters", "requestBody"];
const READ: [&str; 1] = ["responses"];

/// Separates request from response schemas, and marks properties.
pub fn split_read_write(document: &mut Value) -> Result<()> {
    split(document)?;
    select::drop_unreachable(document).map_err(|e| Error { stage: STAGE, ..e })?;
    let read = reached(document, &READ)?;
    for (name, schema) in document::schemas_mut(document).into_iter().flatten() {
        if let Some(schema) = schema.as_object_mut() {
            schema.shift_remove(OF_OPERATION);
        }
        add_hints(schema, !read.contains(name));
    }
    Ok(())
}

/// The component schemas reached from one side of all operations.
fn reached(document: &Value, sides: &[&str]) -> Result<BTreeSet<String>> {
    let mut reached = BTreeSet::new();
    let mut open = Vec::new();
    for located in document::operations(document) {
        for side in sides.iter().filter_map(|side| located.operation.get(side)) {
            document::references(side, &mut |reference| open.push(reference.to_owned()));
        }
    }
    while let Some(reference) = open.pop() {
        let name = schema_name(&reference).unwrap_or(&reference).to_owned();
        if reached.contains(&name) {
            continue;
        }
        let Some(schema) = document["components"]["schemas"].get(&name) else {
            let pointer = reference.strip_prefix('#').unwrap_or_default();
            return Err(Error::new(STAGE, pointer, "unresolved `$ref` to a schema"));
        };
        document::references(schema, &mut |reference| open.push(reference.to_owned()));
        reached.insert(name);
    }
    Ok(reached)
}

/// Creates copies for the request side.
fn split(document: &mut Value) -> Result<()> {
    let sent = reached(document, &SENT)?;
    let schemas = &document["components"]["schemas"];
    let taken: BTreeSet<String> = document::object(&document["components"], "schemas")
        .map(|(name, _)| squashed(name))
        .collect();
    let copies: BTreeMap<String, String> = sent
        .iter()
        .filter(|name| *name != ID_OR_NAME && schemas[name.as_str()].get(OF_OPERATION).is_none())
        .map(|name| {
            let mut copy = format!("{name}-input");
            while taken.contains(&squashed(&copy)) {
                copy.push_str("-body");
            }
            (name.clone(), copy)
        })
        .collect();
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        let items = paths.values_mut().filter_map(Value::as_object_mut);
        for operation in items.flat_map(|item| item.values_mut()).filter_map(Value::as_object_mut) {
            for side in SENT {
                if let Some(side) = operation.get_mut(side) {
                    redirect(side, &copies);
                }
            }
        }
    }
    let Some(schemas) = document::schemas_mut(document) else { return Ok(()) };
    for name in &sent {
        let Some(mut schema) = schemas.get(name).cloned() else { continue };
        redirect(&mut schema, &copies);
        schemas.insert(copies.get(name).unwrap_or(name).clone(), schema);
    }
    Ok(())
}

/// Redirects every `$ref` to a component to its copy.
fn redirect(value: &mut Value, copies: &BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(reference) if key == "$ref" => {
                        if let Some(copy) = schema_name(reference).and_then(|name| copies.get(name))
                        {
                            *reference = format!("#/components/schemas/{copy}");
                        }
                    }
                    value => redirect(value, copies),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redirect(item, copies)),
        _ => {}
    }
}

fn add_hints(schema: &mut Value, is_sent: bool) {
    required::relax_marked(schema, is_sent);
    let required: BTreeSet<String> =
        document::array(schema, "required").filter_map(Value::as_str).map(str::to_owned).collect();
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (order, (name, property)) in properties.into_iter().flatten().enumerate() {
        let decided_by = property.get(DISCRIMINATOR).and_then(Discriminator::read);
        let mark = FieldHints { order, nullable: property["nullable"] == true, decided_by };
        if let Some(property) = property.as_object_mut() {
            property.shift_remove(DISCRIMINATOR);
        }
        let description = mark.write(property["description"].as_str().unwrap_or_default());
        if let Some(reference) = property.get("$ref").cloned() {
            *property = json!({ "allOf": [{ "$ref": reference }] });
        }
        let is_list = property["type"] == "array"
            || property["type"] == "object" && property.get("properties").is_none();
        if is_sent && is_list && !required.contains(name) {
            property["nullable"] = json!(true);
        }
        property["description"] = json!(description);
    }
}

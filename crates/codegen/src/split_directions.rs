//! Stage `split_directions`: separates the schemas of requests and responses, since they have different rules.
//!
//! A component in requests is copied: `x` is for responses, and `x-input` for requests, even if no response
//! uses `x`. *Requests* stay exact, except that an optional list can be left out, which differs from an empty
//! one. [`crate::lower`] makes *responses* tolerant, once it knows the response types.
//!
//! A [table](crate::hints) keeps the metadata of properties that typify drops: their order in the description, and
//! whether `null` can be sent.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::document::{self, schema_name};
use crate::error::{Error, Result};
use crate::hints::{DISCRIMINATOR, Discriminator, FieldHints, HintTable, ValueTable};
use crate::names::squashed;
use crate::normalize::{ID_OR_NAME, OF_OPERATION};
use crate::{required, select};

const STAGE: &str = "split_directions";

/// The suffix of a copy.
const COPY: &str = "-input";

/// The request and response sides of an operation.
const SENT: [&str; 2] = ["parameters", "requestBody"];
const READ: [&str; 1] = ["responses"];

/// Separates request from response schemas. Returns the hints of all properties.
pub fn split_directions(document: &mut Value, values: &ValueTable) -> Result<HintTable> {
    split(document)?;
    select::drop_unreachable(document).map_err(|e| Error { stage: STAGE, ..e })?;
    let read = reached(document, &READ)?;
    let mut table = HintTable::default();
    for (name, schema) in document::schemas_mut(document).into_iter().flatten() {
        if let Some(schema) = schema.as_object_mut() {
            schema.shift_remove(OF_OPERATION);
        }
        collect_hints(name, schema, !read.contains(name), values, &mut table);
    }
    Ok(table)
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
            let mut copy = format!("{name}{COPY}");
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

/// Moves the metadata of a schema's properties that typify drops into the table.
fn collect_hints(
    component: &str,
    schema: &mut Value,
    is_sent: bool,
    values: &ValueTable,
    table: &mut HintTable,
) {
    // A copy has the values of its original.
    let original = component.strip_suffix(COPY).unwrap_or(component);
    required::relax_marked(schema, is_sent);
    let required: BTreeSet<String> =
        document::array(schema, "required").filter_map(Value::as_str).map(str::to_owned).collect();
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (order, (name, property)) in properties.into_iter().flatten().enumerate() {
        let nullable = property["nullable"] == true;
        let Some(property) = property.as_object_mut() else { continue };
        let discriminator = property.shift_remove(DISCRIMINATOR);
        let discriminator = discriminator.as_ref().and_then(Discriminator::read);
        let of = |component: &str| values.get(&(component.to_owned(), name.clone())).cloned();
        let mut values = of(component).or_else(|| of(original)).unwrap_or_default();
        if !is_sent {
            // GitHub uses a default for what it is sent.
            values.default = None;
        }
        table.insert(component, name, FieldHints { order, nullable, discriminator, values });
        // Keywords beside a `$ref` are ignored.
        let reference = property.shift_remove("$ref");
        if let Some(reference) = reference {
            property.retain(|key, _| key == "description");
            property.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
        }
        let is_list = property.get("type").is_some_and(|of| of == "array")
            || property.get("type").is_some_and(|of| of == "object")
                && property.get("properties").is_none();
        if is_sent && is_list && !required.contains(name) {
            property.insert("nullable".to_owned(), json!(true));
        }
    }
}

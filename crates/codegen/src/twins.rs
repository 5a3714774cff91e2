//! Part of stage `overlay`: evidence about one schema applies to its twins.
//!
//! The description contains the same object many times: a pull request is a component for a list, another one
//! for a single pull request, and an inline schema in each webhook. If the overlay allows a property to be
//! `null` in one, it can be `null` in all of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::document::{self, pointer};
use crate::names::squashed;
use crate::required::sent_components;
use crate::webhooks::WEBHOOKS;

/// Two objects are the same if they share this percentage of the smaller one's properties.
const SHARED: usize = 80;

/// Smaller objects are the same only if they have the same name: a `head` is not a `base`.
const SMALL: usize = 10;

/// Maximum nesting of schemas; deeper is a defect that a later stage reports.
const MAX_DEPTH: usize = 40;

/// The keywords that contain schemas.
const NESTING: [&str; 6] =
    ["properties", "items", "additionalProperties", "oneOf", "anyOf", "allOf"];

/// An object with its properties in the description.
#[derive(Debug)]
pub struct Object<'a> {
    /// The JSON pointer of its schema.
    pub pointer: String,
    /// Its name: that of the component or the property.
    role: String,
    properties: BTreeMap<&'a str, &'a Value>,
}

/// Allows `null` in the twins of these properties, which are JSON pointers of their schemas. Returns the twins that have
/// changed.
pub fn spread_nullable(document: &mut Value, properties: &BTreeSet<String>) -> Vec<String> {
    let mut twins = BTreeSet::new();
    let all = objects(document);
    for property in properties {
        twins.extend(twins_of(document, &all, property));
    }
    let mut changed = Vec::new();
    for twin in twins {
        if let Some(schema) = document.pointer_mut(&twin).and_then(Value::as_object_mut)
            && schema.insert("nullable".to_owned(), json!(true)) != Some(json!(true))
        {
            changed.push(twin);
        }
    }
    changed
}

/// The same property of equal objects, by the JSON pointers of their schemas. Requests are excluded.
pub fn twins_of(document: &Value, objects: &[Object<'_>], property: &str) -> Vec<String> {
    let Some((object, name)) = property.rsplit_once("/properties/") else { return Vec::new() };
    let Some(own) = objects.iter().find(|other| other.pointer == object) else { return Vec::new() };
    let name = name.replace("~1", "/").replace("~0", "~");
    let Some(schema) = own.properties.get(name.as_str()) else { return Vec::new() };
    let kind = kind(document, schema);
    let is_twin = |other: &&Object<'_>| {
        let Some(schema) = other.properties.get(name.as_str()) else { return false };
        other.pointer != own.pointer
            && are_twins(own, other)
            && self::kind(document, schema) == kind
    };
    let pointer_of =
        |other: &Object<'_>| format!("{}{}", other.pointer, pointer(&["properties", &name]));
    objects.iter().filter(is_twin).map(pointer_of).collect()
}

/// Every object in responses and webhooks.
pub fn objects(document: &Value) -> Vec<Object<'_>> {
    let sent = sent_components(document);
    let mut found = Vec::new();
    for (name, schema) in document::object(&document["components"], "schemas") {
        if !sent.contains(name) {
            let at = pointer(&["components", "schemas", name]);
            collect(schema, &at, name, 0, &mut found);
        }
    }
    for located in document::operations(document) {
        for (status, response) in document::object(located.operation, "responses") {
            for (media, content) in document::object(response, "content") {
                let within = pointer(&["responses", status, "content", media, "schema"]);
                let at = format!("{}{within}", located.pointer());
                collect(&content["schema"], &at, "", 0, &mut found);
            }
        }
    }
    for (key, item) in document::object(document, WEBHOOKS) {
        for (media, content) in document::object(&item["post"]["requestBody"], "content") {
            let steps = [WEBHOOKS, key, "post", "requestBody", "content", media, "schema"];
            collect(&content["schema"], &pointer(&steps), "", 0, &mut found);
        }
    }
    found
}

fn collect<'a>(schema: &'a Value, at: &str, role: &str, depth: usize, found: &mut Vec<Object<'a>>) {
    if depth > MAX_DEPTH {
        return;
    }
    let properties: BTreeMap<&str, &Value> =
        document::object(schema, "properties").map(|(name, of)| (name.as_str(), of)).collect();
    // Most are plain: no pointer is built for these.
    let nests = |schema: &Value| NESTING.iter().any(|key| schema.get(key).is_some());
    for (name, property) in properties.iter().filter(|(_, property)| nests(property)) {
        let at = format!("{at}{}", pointer(&["properties", name]));
        collect(property, &at, name, depth + 1, found);
    }
    if !properties.is_empty() {
        found.push(Object { pointer: at.to_owned(), role: squashed(role), properties });
    }
    for key in ["items", "additionalProperties"] {
        if let Some(schema) = schema.get(key) {
            collect(schema, &format!("{at}/{key}"), role, depth + 1, found);
        }
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        for (index, part) in document::array(schema, key).enumerate() {
            collect(part, &format!("{at}/{key}/{index}"), role, depth + 1, found);
        }
    }
}

fn are_twins(one: &Object<'_>, other: &Object<'_>) -> bool {
    let smaller = one.properties.len().min(other.properties.len());
    // Checked first, since it is cheap.
    if smaller < SMALL && one.role != other.role {
        return false;
    }
    let shared = one.properties.keys().filter(|name| other.properties.contains_key(*name)).count();
    shared > 1 && shared * 100 >= smaller * SHARED
}

/// The approximate type of a schema: `string`, `object`, …
fn kind<'a>(document: &'a Value, schema: &'a Value) -> &'a str {
    let schema = document::resolve(document, schema, "overlay", "").unwrap_or(schema);
    if ["allOf", "oneOf", "anyOf", "properties"].iter().any(|key| schema.get(key).is_some()) {
        return "object";
    }
    schema["type"].as_str().unwrap_or_default()
}

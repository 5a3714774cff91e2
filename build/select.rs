//! Stage 4, select: the operations of the chosen tags, the webhooks of the chosen
//! events, and only the component schemas that they reach.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::document::{self, METHODS};
use super::error::{Error, Result};
use super::webhooks::{self, WEBHOOKS};

const STAGE: &str = "select";

/// The tags or the events to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of the description.
    All,
    /// These, by name.
    Only(BTreeSet<String>),
}

impl Selection {
    fn includes(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }
}

/// The Cargo feature of a tag has the name of the tag.
pub fn feature_variable(tag: &str) -> String {
    format!("CARGO_FEATURE_{}", tag.to_uppercase().replace('-', "_"))
}

/// The Cargo feature of an event is `webhook-` and the name of the event, with hyphens.
pub fn event_feature_variable(event: &str) -> String {
    format!("CARGO_FEATURE_WEBHOOK_{}", event.to_uppercase())
}

/// Every tag of an operation, with the number of its operations.
pub fn tags(document: &Value) -> BTreeMap<&str, usize> {
    let mut tags = BTreeMap::new();
    for located in document::operations(document) {
        if let Some(tag) = tag(located.operation) {
            *tags.entry(tag).or_default() += 1;
        }
    }
    tags
}

/// Every event of a webhook, if the webhook names one.
pub fn events(document: &Value) -> BTreeSet<String> {
    let events = document::object(document, WEBHOOKS);
    events.filter_map(|(key, item)| webhooks::event(key, item).ok()).collect()
}

/// Removes every operation of another tag and every webhook of another event, then every component that is no
/// longer reached.
pub fn select(document: &mut Value, tags: &Selection, events: &Selection) -> Result<()> {
    for located in document::operations(document) {
        if tag(located.operation).is_none() {
            return Err(Error::new(
                STAGE,
                located.pointer(),
                format!("operation `{}` has no tag, so no feature selects it", located.id()),
            ));
        }
    }
    // Defects of the events do not matter to a build without events.
    if *events != Selection::Only(BTreeSet::new()) {
        for (key, item) in document::object(document, WEBHOOKS) {
            webhooks::event(key, item)?;
        }
    }
    fold_nullable(document);
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        for item in paths.values_mut().filter_map(Value::as_object_mut) {
            item.retain(|key, value| {
                !METHODS.contains(&key.as_str()) || tag(value).is_some_and(|tag| tags.includes(tag))
            });
        }
        paths.retain(|_, item| METHODS.iter().any(|method| item.get(method).is_some()));
    }
    if let Some(items) = document.get_mut(WEBHOOKS).and_then(Value::as_object_mut) {
        items.retain(|key, item| {
            webhooks::event(key, item).is_ok_and(|name| events.includes(&name))
        });
    }
    drop_unreachable(document)
}

/// Makes `nullable-x` a reference to `x` if it differs only in `nullable`. This needs the whole description:
/// the name of a type must not depend on whether `x` is selected as well.
fn fold_nullable(document: &mut Value) {
    let Some(schemas) = document::schemas_mut(document) else { return };
    let pairs: Vec<(String, String)> = schemas
        .keys()
        .filter_map(|name| Some((name.clone(), name.strip_prefix("nullable-")?.to_owned())))
        .filter(|(name, base)| {
            schemas.get(base).is_some_and(|base| is_equal_but_nullable(base, &schemas[name]))
        })
        .collect();
    for (name, base) in pairs {
        let reference = format!("#/components/schemas/{base}");
        schemas[&name] = json!({ "allOf": [{ "$ref": reference }], "nullable": true });
    }
}

fn is_equal_but_nullable(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return false };
    let matters = |key: &&String| !matches!(key.as_str(), "nullable" | "title" | "description");
    a.keys().chain(b.keys()).filter(matters).all(|key| a.get(key) == b.get(key))
}

/// Removes the components that no path and no webhook reaches.
pub fn drop_unreachable(document: &mut Value) -> Result<()> {
    let mut reached: BTreeSet<String> = BTreeSet::new();
    let mut open: Vec<String> = Vec::new();
    let mut note = |reference: &str, open: &mut Vec<String>| {
        // A reference into a component needs it as a whole.
        let whole =
            reference.match_indices('/').nth(3).map_or(reference, |(at, _)| &reference[..at]);
        for reference in [whole, reference] {
            // Examples refer to one another, and are not read here.
            if !reference.starts_with("#/components/examples/")
                && reached.insert(reference.to_owned())
            {
                open.push(reference.to_owned());
            }
        }
    };
    for root in ["paths", WEBHOOKS] {
        document::references(&document[root], &mut |reference| note(reference, &mut open));
    }
    while let Some(reference) = open.pop() {
        let target = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
        let Some(target) = target else {
            let pointer = reference.strip_prefix('#').unwrap_or_default();
            return Err(Error::new(STAGE, pointer, format!("unresolved `$ref` to `{reference}`")));
        };
        document::references(target, &mut |reference| note(reference, &mut open));
    }
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        for (kind, members) in components {
            if let Some(members) = members.as_object_mut() {
                retain_reached(kind, members, &reached);
            }
        }
    }
    Ok(())
}

fn retain_reached(kind: &str, members: &mut Map<String, Value>, reached: &BTreeSet<String>) {
    members.retain(|name, _| {
        reached.contains(&format!("#{}", document::pointer(&["components", kind, name])))
    });
}

fn tag(operation: &Value) -> Option<&str> {
    operation["tags"].get(0)?.as_str()
}

//! Stage `select`: keeps the operations of the chosen tags, the webhooks of the chosen events, and only the
//! component schemas that they reach.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::document::{self, METHODS};
use crate::error::{Error, Result};
use crate::webhooks::{self, WEBHOOKS};

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

/// The Cargo features of the library that select the parts of the description.
#[derive(Clone, Copy)]
pub enum Features<'a> {
    /// Every tag and every event.
    All,
    /// These tags and events.
    These {
        /// The tags.
        tags: &'a Selection,
        /// The events.
        events: &'a Selection,
    },
    /// The features for which the function returns true.
    Enabled(&'a dyn Fn(&str) -> bool),
}

/// The tags and the events that features select.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selections {
    /// The tags.
    pub tags: Selection,
    /// The events.
    pub events: Selection,
}

/// The feature of all tags.
const ALL_TAGS: &str = "full";

/// The feature of all events.
const ALL_EVENTS: &str = "webhooks-full";

/// The feature that uses the description at run time.
const RUNTIME_DESCRIPTION: &str = "contract";

impl Features<'_> {
    /// Returns what they select of a description.
    pub fn selections(self, document: &Value) -> Selections {
        match self {
            Self::All => Selections { tags: Selection::All, events: Selection::All },
            Self::These { tags, events } => {
                Selections { tags: tags.clone(), events: events.clone() }
            }
            Self::Enabled(is_enabled) => Selections {
                tags: match is_enabled(ALL_TAGS) {
                    true => Selection::All,
                    false => {
                        let tags = tags(document).into_keys().filter(|tag| is_enabled(tag));
                        Selection::Only(tags.map(str::to_owned).collect())
                    }
                },
                events: match is_enabled(ALL_EVENTS) {
                    true => Selection::All,
                    false => {
                        let mut events = events(document);
                        events.retain(|event| is_enabled(&event_feature(event)));
                        Selection::Only(events)
                    }
                },
            },
        }
    }

    /// Returns whether the library embeds the description.
    pub fn needs_runtime_description(self) -> bool {
        matches!(self, Self::Enabled(is_enabled) if is_enabled(RUNTIME_DESCRIPTION))
    }
}

/// The Cargo feature of an event: `webhook-` and the name of the event, with hyphens. The feature of a tag has
/// the name of the tag.
pub fn event_feature(event: &str) -> String {
    format!("webhook-{}", event.replace('_', "-"))
}

/// The environment variable that Cargo sets for a build script if a feature is enabled.
pub fn feature_variable(feature: &str) -> String {
    format!("CARGO_FEATURE_{}", feature.to_uppercase().replace('-', "_"))
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
            schemas.get(base).is_some_and(|base| {
                schemas.get(name).is_some_and(|own| is_equal_but_nullable(base, own))
            })
        })
        .collect();
    for (name, base) in pairs {
        let reference = format!("#/components/schemas/{base}");
        schemas.insert(name, json!({ "allOf": [{ "$ref": reference }], "nullable": true }));
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
        let whole = reference.match_indices('/').nth(3).and_then(|(at, _)| reference.get(..at));
        for reference in [whole.unwrap_or(reference), reference] {
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

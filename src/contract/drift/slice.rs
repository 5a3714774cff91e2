//! The part of a description that some operations need, to be committed and compared later.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::document::{DescriptionTree, Node, SCHEMAS, TEXTS, WEBHOOKS};
use super::error::UnknownOperation;

/// The kept entries of `info` and of the description itself.
const INFO: [&str; 3] = ["title", "version", "x-github-plan"];
const ROOT: [&str; 3] = ["openapi", "servers", "security"];
/// The kept entries of `x-github`: those that [`compare`](super::compare) reads, except for the
/// documentation's categories. A webhook's [`EVENT`] is kept as well.
const GITHUB: [&str; 6] = [
    "deprecationDate",
    "enabledForGitHubApps",
    "githubCloudOnly",
    "removalDate",
    "supported-webhook-types",
    "triggersNotification",
];
/// The name of a webhook's event; for an operation, it only sorts the documentation.
const EVENT: &str = "subcategory";

/// Returns a small OpenAPI document with only these operations, by their ids, and these webhooks, by their
/// keys, and the components that they reach: the part that a program depends on.
///
/// Texts are omitted: descriptions, titles, examples, links. Keys are sorted, so that equal descriptions give
/// the same slice, which can be committed. Between two slices, [`compare`](super::compare) finds the same
/// changes as between the two descriptions with [`DriftReport::only`](super::DriftReport::only), except for the
/// documentation.
///
/// # Errors
/// If the description has neither an operation nor a webhook with such a name, or is not an OpenAPI document.
pub fn slice(document: &Value, ids: &[&str]) -> Result<Value, UnknownOperation> {
    let unknown = |id: &str| UnknownOperation { id: id.to_owned() };
    let first = ids.first().copied().unwrap_or_default();
    let document = DescriptionTree::new(document).map_err(|_| unknown(first))?;
    let (operations, webhooks) = (document.operations(), document.webhooks());
    let mut slice = Map::new();
    let mut paths: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
    let mut hooks: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
    for id in ids {
        let (entry, into, keys) = match (operations.get(*id), webhooks.get(*id)) {
            (Some(entry), _) => (entry, &mut paths, Keys::Keywords),
            (_, Some(entry)) => (entry, &mut hooks, Keys::Webhook),
            _ => return Err(unknown(id)),
        };
        let item = into.entry(entry.path).or_default();
        item.insert(entry.method, stripped(entry.operation.value, keys));
        for shared in ["parameters", "servers"] {
            if let Some(node) = entry.item.get(shared) {
                item.insert(shared, stripped(node.value, Keys::Keywords));
            }
        }
    }
    for key in ROOT {
        if let Some(node) = document.node().get(key) {
            slice.insert(key.to_owned(), stripped(node.value, Keys::Keywords));
        }
    }
    if let Some(info) = document.node().get("info") {
        let kept =
            INFO.iter().filter_map(|key| Some(((*key).to_owned(), info.get(key)?.value.clone())));
        slice.insert("info".to_owned(), Value::Object(sorted(kept)));
    }
    slice.insert("paths".to_owned(), items(paths));
    slice.insert(WEBHOOKS.to_owned(), items(hooks));
    let components = components(&document, &slice);
    slice.insert("components".to_owned(), components);
    Ok(Value::Object(sorted(slice)))
}

/// The role of an object's keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    Keywords,
    /// Of a webhook itself.
    Webhook,
    /// Names of properties, parameters or components: any name is possible.
    Names,
    /// A value, which stays as it is.
    Data,
}

/// The same without texts, sorted.
fn stripped(value: &Value, keys: Keys) -> Value {
    match value {
        Value::Object(map) => {
            let has_texts = matches!(keys, Keys::Keywords | Keys::Webhook);
            let kept = map.iter().filter(|(key, _)| !has_texts || !TEXTS.contains(&key.as_str()));
            let kept = kept.map(|(key, value)| {
                let value = match (keys, key.as_str()) {
                    (Keys::Data, _) => stripped(value, Keys::Data),
                    (Keys::Names, _) => stripped(value, Keys::Keywords),
                    (_, "properties" | "responses" | "content" | "headers") => {
                        stripped(value, Keys::Names)
                    }
                    (_, "default" | "enum" | "x-github-breaking-changes") => {
                        stripped(value, Keys::Data)
                    }
                    (_, "x-github") => github(value, keys == Keys::Webhook),
                    _ => stripped(value, Keys::Keywords),
                };
                (key.clone(), value)
            });
            Value::Object(sorted(kept))
        }
        Value::Array(list) => list.iter().map(|value| stripped(value, keys)).collect(),
        other => other.clone(),
    }
}

fn github(value: &Value, has_event: bool) -> Value {
    let map = value.as_object().into_iter().flatten();
    let kept = map
        .filter(|(key, _)| GITHUB.contains(&key.as_str()) || (has_event && key.as_str() == EVENT));
    Value::Object(sorted(kept.map(|(key, value)| (key.clone(), value.clone()))))
}

/// The components that the slice refers to, directly and indirectly.
fn components(document: &DescriptionTree<'_>, slice: &Map<String, Value>) -> Value {
    let mut open = BTreeSet::new();
    slice.values().for_each(|value| references(value, &mut open));
    let mut open: Vec<String> = open.into_iter().collect();
    let mut seen: BTreeSet<String> = open.iter().cloned().collect();
    let mut components: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    while let Some(reference) = open.pop() {
        let mut more = BTreeSet::new();
        if let Some((kind, name, node)) = component(document, &reference) {
            let value = stripped(node.value, Keys::Keywords);
            references(&value, &mut more);
            components.entry(kind).or_default().insert(name, value);
        }
        // Whether `nullable-x` equals `x` except for its nullability is visible only beside `x`.
        let base = reference.strip_prefix(SCHEMAS).and_then(|name| name.strip_prefix("nullable-"));
        more.extend(base.map(|base| format!("{SCHEMAS}{base}")));
        open.extend(more.into_iter().filter(|reference| seen.insert(reference.clone())));
    }
    let kinds = components.into_iter();
    Value::Object(sorted(kinds.map(|(kind, of)| (kind, Value::Object(sorted(of))))))
}

/// The component that a reference points to, or into.
fn component<'a>(
    document: &DescriptionTree<'a>,
    reference: &str,
) -> Option<(String, String, Node<'a>)> {
    let mut words = reference.strip_prefix("#/components/")?.split('/');
    let (kind, name) = (words.next()?, words.next()?);
    let node = document.target(&format!("#/components/{kind}/{name}"))?;
    let name = name.replace("~1", "/").replace("~0", "~");
    Some((kind.to_owned(), name, node))
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                found.insert(reference.to_owned());
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

fn items(items: BTreeMap<&str, BTreeMap<&str, Value>>) -> Value {
    let item = |(path, item): (&str, BTreeMap<&str, Value>)| {
        let item = item.into_iter().map(|(key, value)| (key.to_owned(), value));
        (path.to_owned(), Value::Object(sorted(item)))
    };
    Value::Object(sorted(items.into_iter().map(item)))
}

/// A map sorted by its keys, independent of the order that maps keep.
fn sorted(entries: impl IntoIterator<Item = (String, Value)>) -> Map<String, Value> {
    let entries: BTreeMap<String, Value> = entries.into_iter().collect();
    entries.into_iter().collect()
}

//! Navigation in an OpenAPI description.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::nesting::{MAX_NESTING, is_too_deep};
use super::report::DescriptionVersion;

/// The methods that OpenAPI 3.0 gives a path item.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
pub(super) const WEBHOOKS: &str = "x-webhooks";
pub(super) const SCHEMAS: &str = "#/components/schemas/";
/// Maximum length of a chain of references; a longer one is a cycle.
const MAX_CHAIN: usize = 32;
/// Maximum depth of comparison; GitHub's descriptions have a fourth of it.
pub(super) const MAX_DEPTH: usize = 64;
/// Keywords that have no effect on requests or responses.
pub(super) const TEXTS: [&str; 7] =
    ["description", "summary", "title", "example", "examples", "externalDocs", "x-octokit"];

/// A part of a document, with its pointer.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub(super) value: &'a Value,
    pub(super) pointer: String,
}

/// An operation or a webhook.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub(super) path: &'a str,
    pub(super) method: &'a str,
    pub(super) item: Node<'a>,
    pub(super) operation: Node<'a>,
}

/// One of the two descriptions.
pub(super) struct DescriptionTree<'a> {
    pub(super) root: &'a Value,
    /// Components `nullable-x` that equal `x` except for their nullability.
    nullable: BTreeMap<String, String>,
}

impl<'a> Node<'a> {
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.as_object()?.get(key)?;
        Some(Self { value, pointer: format!("{}/{}", self.pointer, escape(key)) })
    }

    pub(super) fn str(&self, key: &str) -> Option<&'a str> {
        self.value.as_object()?.get(key)?.as_str()
    }

    pub(super) fn is_true(&self, key: &str) -> bool {
        self.value.as_object().and_then(|map| map.get(key)) == Some(&Value::Bool(true))
    }

    /// The entries of an object, sorted by key.
    pub(super) fn entries(&self, key: &str) -> BTreeMap<&'a str, Self> {
        let Some(node) = self.get(key) else { return BTreeMap::new() };
        let Some(map) = node.value.as_object() else { return BTreeMap::new() };
        let entry = |(key, value): (&'a String, &'a Value)| {
            (key.as_str(), Self { value, pointer: format!("{}/{}", node.pointer, escape(key)) })
        };
        map.iter().map(entry).collect()
    }

    /// The elements of a list.
    pub(super) fn elements(&self, key: &str) -> Vec<Self> {
        let Some(node) = self.get(key) else { return Vec::new() };
        let elements = node.value.as_array().into_iter().flatten().enumerate();
        let element = |(index, value)| Self { value, pointer: format!("{}/{index}", node.pointer) };
        elements.map(element).collect()
    }

    /// The texts of a list.
    pub(super) fn strings(&self, key: &str) -> BTreeSet<&'a str> {
        let list = self.value.as_object().and_then(|map| map.get(key)).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

impl<'a> DescriptionTree<'a> {
    /// Reads the description. Fails with the defect.
    pub(super) fn new(root: &'a Value) -> Result<Self, String> {
        if is_too_deep(root) {
            return Err(format!("it nests more than {MAX_NESTING} levels deep"));
        }
        let object = root.as_object().ok_or("it is not an object")?;
        match object.get("openapi").map(Value::as_str) {
            None => return Err("it has no `openapi`".to_owned()),
            Some(Some(version)) if version.starts_with("3.0.") => {}
            Some(Some(version)) => return Err(format!("`openapi` is `{version}`")),
            Some(None) => return Err("`openapi` is not a string".to_owned()),
        }
        for key in ["paths", WEBHOOKS] {
            if object.get(key).is_some_and(|value| !value.is_object()) {
                return Err(format!("`{key}` is not an object"));
            }
        }
        if !object.contains_key("paths") && !object.contains_key(WEBHOOKS) {
            return Err("it has no `paths`".to_owned());
        }
        Ok(Self { root, nullable: nullable_components(root) })
    }

    pub(super) fn version(&self) -> DescriptionVersion {
        let info = &self.root["info"];
        let text = |key| info[key].as_str().map(str::to_owned);
        DescriptionVersion {
            version: text("version"),
            plan: text("x-github-plan"),
            operations: self.operations().len(),
            webhooks: self.webhooks().len(),
        }
    }

    pub(super) fn node(&self) -> Node<'a> {
        Node { value: self.root, pointer: String::new() }
    }

    /// Every operation, by its id. An operation without an id, or with the id of another one, is identified
    /// by its method and path.
    pub(super) fn operations(&self) -> BTreeMap<String, Entry<'a>> {
        let mut operations = BTreeMap::new();
        for (path, item) in self.node().entries("paths") {
            for method in METHODS {
                let Some(operation) = item.get(method) else { continue };
                let id = operation.str("operationId");
                let id = id.filter(|id| !operations.contains_key(*id));
                let id = id.map_or_else(|| format!("{method} {path}"), str::to_owned);
                let item = item.clone();
                operations.insert(id, Entry { path, method, item, operation });
            }
        }
        operations
    }

    /// Every webhook, by its key.
    pub(super) fn webhooks(&self) -> BTreeMap<String, Entry<'a>> {
        let entries = self.node().entries(WEBHOOKS).into_iter();
        let webhook = |(key, item): (&'a str, Node<'a>)| {
            let (method, operation) = METHODS.iter().find_map(|method| {
                Some((*method, item.get(method)?)) // GitHub's webhooks use `post`.
            })?;
            Some((key.to_owned(), Entry { path: key, method, item, operation }))
        };
        entries.filter_map(webhook).collect()
    }

    /// Follows references to their target, and returns it with the last reference. If a reference leads
    /// nowhere, returns the reference.
    pub(super) fn resolve(&self, node: &Node<'a>) -> (Option<&'a str>, Node<'a>) {
        let (mut at, mut last) = (node.clone(), None);
        for _ in 0..MAX_CHAIN {
            let Some(reference) = at.str("$ref") else { break };
            let Some(target) = self.target(reference) else { break };
            (at, last) = (target, Some(reference));
        }
        (last, at)
    }

    /// Resolves a reference.
    pub(super) fn target(&self, reference: &str) -> Option<Node<'a>> {
        let pointer = reference.strip_prefix('#')?;
        let value = self.root.pointer(pointer)?;
        Some(Node { value, pointer: pointer.to_owned() })
    }

    /// Resolves a reference to a schema, by the name under which it is compared.
    pub(super) fn named(&self, reference: &str) -> Option<(String, Node<'a>)> {
        if let Some((base, target)) = self.base(reference) {
            return Some((base.to_owned(), target));
        }
        Some((reference.to_owned(), self.target(reference)?))
    }

    /// Returns the reference to `x` for a reference to `nullable-x`, if that is the only difference.
    pub(super) fn base(&self, reference: &str) -> Option<(&str, Node<'a>)> {
        let base = self.nullable.get(reference)?;
        Some((base, self.target(base)?))
    }
}

/// The components `nullable-x` that equal `x` except for their nullability; `x` itself can be nullable as
/// well.
fn nullable_components(root: &Value) -> BTreeMap<String, String> {
    let Some(schemas) = root["components"]["schemas"].as_object() else { return BTreeMap::new() };
    let pairs = schemas.iter().filter_map(|(name, schema)| {
        let base = name.strip_prefix("nullable-")?;
        let same = is_equal_but_nullable(schemas.get(base)?, schema);
        same.then(|| (format!("{SCHEMAS}{name}"), format!("{SCHEMAS}{base}")))
    });
    pairs.collect()
}

fn is_equal_but_nullable(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return false };
    let matters = |key: &&String| key.as_str() != "nullable" && !TEXTS.contains(&key.as_str());
    let mut keys = a.keys().chain(b.keys()).filter(matters);
    b.get("nullable") == Some(&Value::Bool(true))
        && keys.all(|key| is_equal_part(key, a.get(key), b.get(key)))
}

fn is_equal_part(key: &str, a: Option<&Value>, b: Option<&Value>) -> bool {
    a.zip(b).is_some_and(|(a, b)| is_equal_value(a, b, key == "properties", MAX_DEPTH))
}

/// Returns whether two schemas are the same except for texts.
pub(super) fn is_equal_but_texts(a: &Value, b: &Value) -> bool {
    is_equal_value(a, b, false, MAX_DEPTH)
}

/// `names`: the keys are names instead of keywords.
fn is_equal_value(a: &Value, b: &Value, names: bool, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let matters = |key: &&String| names || !TEXTS.contains(&key.as_str());
            let mut keys = a.keys().chain(b.keys()).filter(matters);
            keys.all(|key| {
                let names = !names && key == "properties";
                a.get(key).zip(b.get(key)).is_some_and(|(a, b)| is_equal_value(a, b, names, depth))
            })
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_equal_value(a, b, false, depth))
        }
        _ => a == b,
    }
}

pub(super) fn escape(key: &str) -> String {
    if key.contains(['~', '/']) {
        key.replace('~', "~0").replace('/', "~1")
    } else {
        key.to_owned()
    }
}

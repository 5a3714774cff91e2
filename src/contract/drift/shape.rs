//! The meaning of a schema, independent of its notation: `allOf` merged, unions of one variant unwrapped,
//! `null` separated.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::document::{DescriptionTree, Node, TEXTS};

/// Maximum nesting of `allOf` and unions of one variant; deeper is a cycle.
const MAX_DEPTH: usize = 16;
/// Maximum number of components that one `allOf` can merge.
const MAX_COMPONENTS: usize = 256;

/// The parts of a schema.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts<'a> {
    /// The components that it refers to, by reference. Several apply at once.
    pub(super) references: BTreeMap<String, Node<'a>>,
    /// Its own keywords.
    pub(super) inline: Vec<Node<'a>>,
    pub(super) nullable: bool,
}

/// The merged parts, with components resolved.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape<'a> {
    nodes: Vec<Node<'a>>,
    /// The values of a union that contains only strings, which is one string.
    strings: Option<Strings<'a>>,
    pub(super) properties: BTreeMap<&'a str, Node<'a>>,
    pub(super) required: BTreeSet<&'a str>,
}

/// The values that the variants of a union list; any value, if one of them does not list any.
#[derive(Clone, Debug)]
struct Strings<'a> {
    list: Node<'a>,
    values: Option<Vec<&'a Value>>,
}

/// The type of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type<'a> {
    /// Any value.
    Any,
    /// One of the variants.
    Union,
    /// An object with named properties.
    Object,
    /// An object without named properties.
    Map,
    List,
    Plain(&'a str),
}

impl<'a> Parts<'a> {
    pub(super) fn of(document: &DescriptionTree<'a>, node: &Node<'a>) -> Self {
        let mut parts = Self::default();
        parts.collect(document, node, MAX_DEPTH);
        parts
    }

    /// Adds a schema, and whether it is nullable itself.
    fn collect(&mut self, document: &DescriptionTree<'a>, node: &Node<'a>, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return };
        if let Some(reference) = node.str("$ref") {
            if let Some((base, target)) = document.base(reference) {
                self.nullable = true;
                self.references.insert(base.to_owned(), target);
            } else if let Some(target) = document.target(reference) {
                self.references.insert(reference.to_owned(), target);
            } else {
                self.inline.push(node.clone());
            }
            return;
        }
        self.nullable |= allows_null(node);
        let members = node.elements("allOf");
        let variants = variants(node);
        let own = has_constraints(node);
        match (members.len(), variants.as_slice()) {
            (0, []) => self.inline.push(node.clone()),
            (0, [variant]) if !own => self.collect(document, variant, depth),
            (0, variants) => {
                let null = |variant: &Node<'a>| Self::at(document, variant, depth).nullable;
                self.nullable |= variants.iter().any(null);
                self.inline.push(node.clone());
            }
            (1, []) if !own => members.iter().for_each(|of| self.collect(document, of, depth)),
            (_, variants) => {
                // `null` is valid for the whole only if it is valid for all parts; GitHub writes the
                // nullability beside them.
                let nullable = self.nullable;
                members.iter().for_each(|of| self.collect(document, of, depth));
                self.nullable = nullable;
                if own || !variants.is_empty() {
                    self.inline.push(node.clone());
                }
            }
        }
    }

    fn at(document: &DescriptionTree<'a>, node: &Node<'a>, depth: usize) -> Self {
        let mut parts = Self::default();
        parts.collect(document, node, depth);
        parts
    }

    /// The component, if the schema is only a reference to it.
    pub(super) fn reference(&self) -> Option<(&String, &Node<'a>)> {
        let mut references = self.references.iter();
        let first = references.next()?;
        (self.inline.is_empty() && references.next().is_none()).then_some(first)
    }

    /// Returns whether `null` is an allowed value, directly or through the component.
    pub(super) fn is_nullable(&self, document: &DescriptionTree<'a>) -> bool {
        let (mut nullable, mut next) = (self.nullable, self.reference().map(|(_, at)| at.clone()));
        for _ in 0..MAX_DEPTH {
            let Some(target) = next.filter(|_| !nullable) else { break };
            let parts = Parts::of(document, &target);
            nullable = parts.nullable;
            next = parts.reference().map(|(_, at)| at.clone());
        }
        nullable
    }

    /// Returns whether Rust has an `Option` of it, for `null`; a value of any type has no separate `null`.
    pub(super) fn is_option(&self, document: &DescriptionTree<'a>) -> bool {
        let is_anything = |shape: &Shape<'a>| shape.of() == Type::Any;
        let shape = self.shape(document);
        // A union accepts any value if one of its variants does.
        let variant = |node: &Node<'a>| is_anything(&Parts::of(document, node).shape(document));
        let has_anything = shape.of() == Type::Union && shape.variants().iter().any(variant);
        self.is_nullable(document) && !is_anything(&shape) && !has_anything
    }

    /// All parts merged, with the components resolved.
    pub(super) fn shape(&self, document: &DescriptionTree<'a>) -> Shape<'a> {
        let (mut shape, mut seen) = (Shape::default(), BTreeSet::new());
        shape.take(document, self, &mut seen);
        if shape.of() == Type::Union {
            shape.strings = shape.union_of_strings(document);
        }
        shape
    }
}

impl<'a> Shape<'a> {
    fn take(
        &mut self,
        document: &DescriptionTree<'a>,
        parts: &Parts<'a>,
        seen: &mut BTreeSet<String>,
    ) {
        for node in &parts.inline {
            for (name, property) in node.entries("properties") {
                self.properties.entry(name).or_insert(property);
            }
            self.required.extend(node.strings("required"));
            self.nodes.push(node.clone());
        }
        for (reference, target) in &parts.references {
            if seen.len() < MAX_COMPONENTS && seen.insert(reference.clone()) {
                self.take(document, &Parts::of(document, target), seen);
            }
        }
    }

    /// A union of only strings; nested unions do not count.
    fn union_of_strings(&self, document: &DescriptionTree<'a>) -> Option<Strings<'a>> {
        let mut values = Some(Vec::new());
        for variant in self.variants() {
            let (mut shape, mut seen) = (Self::default(), BTreeSet::new());
            shape.take(document, &Parts::of(document, &variant), &mut seen);
            if shape.of() != Type::Plain("string") {
                return None;
            }
            values = values.zip(shape.values()).map(|(mut values, (_, more))| {
                values.extend(more);
                values
            });
        }
        let list = self.keyword("oneOf").or_else(|| self.keyword("anyOf"))?;
        Some(Strings { list, values })
    }

    /// A keyword, from the first part that has it.
    pub(super) fn keyword(&self, key: &str) -> Option<Node<'a>> {
        self.nodes.iter().find_map(|node| node.get(key))
    }

    pub(super) fn is_true(&self, key: &str) -> bool {
        self.nodes.iter().any(|node| node.is_true(key))
    }

    /// The listed values, without `null`.
    pub(super) fn values(&self) -> Option<(Node<'a>, Vec<&'a Value>)> {
        if let Some(strings) = &self.strings {
            return Some((strings.list.clone(), strings.values.clone()?));
        }
        let list = self.keyword("enum")?;
        let values = list.value.as_array()?.iter().filter(|value| !value.is_null()).collect();
        Some((list, values))
    }

    /// The variants of its unions, without `null`.
    pub(super) fn variants(&self) -> Vec<Node<'a>> {
        if self.strings.is_some() {
            return Vec::new();
        }
        self.nodes.iter().flat_map(variants).collect()
    }

    /// Returns whether there is no part at all.
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The pointer of the first part.
    pub(super) fn pointer(&self) -> &str {
        self.nodes.first().map_or("", |node| &node.pointer)
    }

    pub(super) fn of(&self) -> Type<'a> {
        if self.strings.is_some() {
            return Type::Plain("string");
        }
        let named = self.nodes.iter().find_map(type_name);
        let has = |key| self.nodes.iter().any(|node| node.get(key).is_some());
        let is_union = !self.variants().is_empty();
        match named {
            _ if has("properties") => Type::Object,
            Some("array") if !is_union || has("items") => Type::List,
            _ if is_union => Type::Union,
            Some("object") => Type::Map,
            Some(other) => Type::Plain(other),
            None if has("items") => Type::List,
            None if has("additionalProperties") => Type::Map,
            None => self.type_of_values(),
        }
    }

    /// GitHub omits the type beside some lists of values.
    fn type_of_values(&self) -> Type<'a> {
        match self.values().and_then(|(_, values)| values.first().copied()) {
            Some(Value::String(_)) => Type::Plain("string"),
            Some(Value::Bool(_)) => Type::Plain("boolean"),
            Some(Value::Number(number)) if number.is_f64() => Type::Plain("number"),
            Some(Value::Number(_)) => Type::Plain("integer"),
            _ => Type::Any,
        }
    }
}

/// `type`, which can be a list with `null` in it.
fn type_name<'a>(node: &Node<'a>) -> Option<&'a str> {
    let of = node.value.as_object()?.get("type")?;
    let first = || of.as_array()?.iter().filter_map(Value::as_str).find(|of| *of != "null");
    of.as_str().or_else(first)
}

fn allows_null(node: &Node<'_>) -> bool {
    let has_null = |list: &Value, null: &Value| list.as_array().is_some_and(|of| of.contains(null));
    node.is_true("nullable")
        || node.get("enum").is_some_and(|list| has_null(list.value, &Value::Null))
        || node.get("type").is_some_and(|list| has_null(list.value, &"null".into()))
        || ["oneOf", "anyOf"].iter().any(|key| node.elements(key).iter().any(is_null))
}

/// Returns whether `null` is its only value.
fn is_null(node: &Node<'_>) -> bool {
    let nulls = |list: &Value| {
        list.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_null))
    };
    node.str("type") == Some("null") || node.get("enum").is_some_and(|list| nulls(list.value))
}

/// The variants of a schema's unions, without `null`.
fn variants<'a>(node: &Node<'a>) -> Vec<Node<'a>> {
    let mut variants = node.elements("oneOf");
    variants.extend(node.elements("anyOf"));
    variants.retain(|variant| !is_null(variant));
    variants
}

/// Returns whether a schema has keywords beside its `allOf` and its unions.
fn has_constraints(node: &Node<'_>) -> bool {
    let quiet = |key: &String| {
        matches!(key.as_str(), "allOf" | "oneOf" | "anyOf" | "nullable" | "discriminator")
            || matches!(key.as_str(), "readOnly" | "writeOnly" | "deprecated" | "type")
            || key.starts_with("x-")
            || TEXTS.contains(&key.as_str())
    };
    node.value.as_object().is_some_and(|map| !map.keys().all(quiet))
}

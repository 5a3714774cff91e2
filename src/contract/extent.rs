//! The cost of checking a value against a schema, computed before the check runs.
//!
//! A few lines of a schema that refers to itself, or to others that share references, can describe a check of
//! unbounded time or stack depth. Checks above the bounds are skipped.

use std::collections::{BTreeMap, HashMap};
use std::ptr;

use serde_json::Value;

use super::convert::component;

/// Maximum number of parts of a schema, with all references expanded. The largest of GitHub's has 4,443.
const MAX_PARTS: u64 = 100_000;

/// Maximum depth of these parts. GitHub's nest 16 levels deep.
const MAX_DEPTH: usize = 128;

/// Maximum nesting of the parts of a recursive schema, for one value.
const MAX_APPLIED_DEPTH: usize = 384;

/// Maximum number of applications of these parts to one value.
const MAX_APPLIED: u64 = 1_000_000;

/// A converted schema, with the results of the analysis.
pub(super) struct Converted {
    pub(super) schema: Value,
    parts: u64,
    depth: usize,
    references: Vec<Reference>,
}

/// A reference to a component.
struct Reference {
    name: String,
    /// The depth of the reference.
    depth: usize,
    /// Whether it applies to the same value, and not to a property or an item of it.
    is_here: bool,
}

/// The total extent of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// A check takes at most this many steps for each part of a value.
    Bounded,
    /// The schema contains itself in a property or an item: the cost of a check depends on the value.
    Recursive,
    /// The schema refers only to itself, and so states nothing.
    Circular,
    /// A check might exceed the bounds.
    Excessive,
}

impl Converted {
    pub(super) fn of(schema: Value) -> Self {
        let (mut parts, mut deepest, mut references) = (0_u64, 0_usize, Vec::new());
        let mut open = vec![(&schema, 1_usize, true)];
        while let Some((part, depth, is_here)) = open.pop() {
            parts = parts.saturating_add(1);
            deepest = deepest.max(depth);
            if let Some(name) = part.get("$ref").and_then(Value::as_str).and_then(component) {
                references.push(Reference { name: name.to_owned(), depth, is_here });
            }
            let depth = depth.saturating_add(1);
            open.extend(same_value_parts(part).into_iter().map(|part| (part, depth, is_here)));
            let below = properties(part).map(|(_, part)| part).chain(part.get("items"));
            let below = below.chain(part.get("additionalProperties"));
            open.extend(below.map(|part| (part, depth, false)));
        }
        Self { parts, depth: deepest, references, schema }
    }

    /// Returns the components that it refers to.
    pub(super) fn references(&self) -> impl Iterator<Item = &str> {
        self.references.iter().map(|reference| reference.name.as_str())
    }

    /// Returns the extent, including the referenced components.
    pub(super) fn extent(&self, components: &BTreeMap<String, Self>) -> Extent {
        if self.follow(components, |reference| reference.is_here).is_none() {
            return Extent::Circular;
        }
        match self.follow(components, |_| true) {
            None => Extent::Recursive,
            Some((parts, depth)) if parts > MAX_PARTS || depth > MAX_DEPTH => Extent::Excessive,
            Some(_) => Extent::Bounded,
        }
    }

    /// Returns the parts and depth, including the referenced components; `None` if one of these contains
    /// itself. Only some references are followed.
    fn follow<'s>(
        &'s self,
        components: &'s BTreeMap<String, Self>,
        follows: impl Fn(&Reference) -> bool + Copy,
    ) -> Option<(u64, usize)> {
        let next = |of: &'s Self| {
            let followed = of.references.iter().filter(move |reference| follows(reference));
            followed.map(|reference| (reference.name.as_str(), false))
        };
        let mut known: HashMap<&str, Option<(u64, usize)>> = HashMap::new();
        // Each component is visited twice: before and after its references. This is not recursive, since a
        // chain of references can be as long as the description.
        let mut open: Vec<(&str, bool)> = next(self).collect();
        while let Some((name, is_after)) = open.pop() {
            let Some(component) = components.get(name) else { continue };
            if is_after {
                known.insert(name, Some(component.known_size(&known, follows)));
                continue;
            }
            match known.get(name) {
                Some(Some(_)) => continue,
                Some(None) => return None,
                None => {}
            }
            known.insert(name, None);
            open.push((name, true));
            open.extend(next(component));
        }
        Some(self.known_size(&known, follows))
    }

    /// Returns the parts and depth, from the known extents of the referenced components.
    fn known_size(
        &self,
        known: &HashMap<&str, Option<(u64, usize)>>,
        follows: impl Fn(&Reference) -> bool,
    ) -> (u64, usize) {
        let followed = self.references.iter().filter(|reference| follows(reference));
        followed.fold((self.parts, self.depth), |(parts, depth), reference| {
            let below = known.get(reference.name.as_str()).copied().flatten().unwrap_or_default();
            let deepest = reference.depth.saturating_add(below.1);
            (parts.saturating_add(below.0), depth.max(deepest))
        })
    }

    /// Returns whether a value can be checked against a recursive schema.
    pub(super) fn can_check(&self, value: &Value, components: &BTreeMap<String, Self>) -> bool {
        let mut measure = ApplicationCounter { components, known: HashMap::new() };
        measure
            .count_applications(&self.schema, value, 0)
            .is_some_and(|applied| applied <= MAX_APPLIED)
    }
}

/// Counts how often parts of a schema are applied to parts of a value. The schema does not refer only to
/// itself, so the count terminates.
struct ApplicationCounter<'a> {
    components: &'a BTreeMap<String, Converted>,
    /// By schema and value.
    known: HashMap<(*const Value, *const Value), u64>,
}

impl ApplicationCounter<'_> {
    /// `None` if the bound is exceeded.
    fn count_applications(&mut self, schema: &Value, value: &Value, depth: usize) -> Option<u64> {
        let key = (ptr::from_ref(schema), ptr::from_ref(value));
        if let Some(known) = self.known.get(&key) {
            return Some(*known);
        }
        if depth > MAX_APPLIED_DEPTH || self.known.len() as u64 > MAX_APPLIED {
            return None;
        }
        let depth = depth.saturating_add(1);
        let mut applied = 1_u64;
        let components = self.components;
        let target = schema.get("$ref").and_then(Value::as_str).and_then(component);
        let target = target.and_then(|name| components.get(name)).map(|known| &known.schema);
        for part in same_value_parts(schema).into_iter().chain(target) {
            applied = applied.saturating_add(self.count_applications(part, value, depth)?);
        }
        match value {
            Value::Object(object) => {
                let named = schema.get("properties");
                let other = schema.get("additionalProperties");
                for (name, value) in object {
                    let part = named.and_then(|named| named.get(name)).or(other);
                    if let Some(part) = part {
                        applied =
                            applied.saturating_add(self.count_applications(part, value, depth)?);
                    }
                }
            }
            Value::Array(items) => {
                for (value, part) in items.iter().zip(std::iter::repeat(schema.get("items"))) {
                    let Some(part) = part else { break };
                    applied = applied.saturating_add(self.count_applications(part, value, depth)?);
                }
            }
            _ => {}
        }
        self.known.insert(key, applied);
        (applied <= MAX_APPLIED).then_some(applied)
    }
}

/// The parts that are applied to the same value.
fn same_value_parts(schema: &Value) -> Vec<&Value> {
    let lists = ["allOf", "anyOf", "oneOf"].into_iter();
    let lists = lists.filter_map(|key| schema.get(key)?.as_array()).flatten();
    lists.chain(schema.get("not")).collect()
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

//! Differences between the properties of two objects, or between those of an object and a map.

use std::collections::BTreeSet;

use super::change::ChangeKind;
use super::changes::Position;
use super::differ::Differ;
use super::document::{DescriptionTree, Node};
use super::policy::ChangeFacts;
use super::schema::ValueContext;
use super::shape::{Parts, Shape, Type};

impl<'a> Differ<'a> {
    pub(super) fn objects(
        &mut self,
        old: &Shape<'a>,
        new: &Shape<'a>,
        common: &(Shape<'a>, Shape<'a>),
        at: &Position,
    ) {
        let names: BTreeSet<&str> = [&old.properties, &new.properties]
            .into_iter()
            .flat_map(|of| of.keys().copied())
            .chain([&old.required, &new.required].into_iter().flat_map(|of| of.iter().copied()))
            .collect();
        for name in names {
            let both = (
                old.properties.get(name).or_else(|| common.0.properties.get(name)),
                new.properties.get(name).or_else(|| common.1.properties.get(name)),
            );
            let own = (old.required.contains(name), new.required.contains(name));
            let shared = (common.0.required.contains(name), common.1.required.contains(name));
            let within = at.within(name);
            match both {
                (Some(a), Some(b)) => {
                    let required = (own.0 || shared.0, own.1 || shared.1);
                    // The component's own changes are reported with the component.
                    let required = if own.0 == own.1 { (required.0, required.0) } else { required };
                    self.property(a, b, required, at.is_body, &within);
                }
                (Some(a), None) => self.property_removed(name, a, own.0 || shared.0, &within),
                (None, Some(b)) => {
                    let kind = match own.1 || shared.1 {
                        true => ChangeKind::RequiredPropertyAdded,
                        false => ChangeKind::PropertyAdded,
                    };
                    let message = match kind {
                        ChangeKind::PropertyAdded => format!("`{name}` was added"),
                        _ => format!("`{name}` was added, and is required"),
                    };
                    self.changes.add(&within, kind, ChangeFacts::default(), &b.pointer, message);
                }
                (None, None) if own.0 != own.1 => {
                    let required = (own.0 || shared.0, own.1 || shared.1);
                    self.only_required(name, required, new.pointer(), &within);
                }
                (None, None) => {}
            }
        }
        self.additional_properties(old, new, at);
    }

    fn property(
        &mut self,
        old: &Node<'a>,
        new: &Node<'a>,
        required: (bool, bool),
        setter: bool,
        at: &Position,
    ) {
        if required.0 != required.1 {
            let parts = Parts::of(&self.old, old);
            let facts = ChangeFacts {
                optional: if required.1 {
                    Parts::of(&self.new, new).is_option(&self.new)
                } else {
                    parts.is_option(&self.old)
                },
                list: matches!(parts.shape(&self.old).of(), Type::List | Type::Map),
                setter,
                ..ChangeFacts::default()
            };
            let (kind, message) = match required.1 {
                true => (ChangeKind::PropertyBecameRequired, "it is now required"),
                false => (ChangeKind::PropertyBecameOptional, "it is no longer required"),
            };
            self.changes.add(at, kind, facts, &new.pointer, message.to_owned());
        }
        let required = required.0 && required.1;
        self.schema(old, new, at, ValueContext::Property { required, setter });
    }

    fn property_removed(&mut self, name: &str, old: &Node<'a>, required: bool, at: &Position) {
        let parts = Parts::of(&self.old, old);
        let facts = ChangeFacts {
            optional: parts.is_option(&self.old),
            list: matches!(parts.shape(&self.old).of(), Type::List | Type::Map),
            ..ChangeFacts::default()
        };
        let (kind, message) = match required {
            true => (
                ChangeKind::RequiredPropertyRemoved,
                format!("`{name}`, which was required, was removed"),
            ),
            false => (ChangeKind::PropertyRemoved, format!("`{name}` was removed")),
        };
        self.changes.add(at, kind, facts, &old.pointer, message);
    }

    /// A required name that no property has.
    fn only_required(&mut self, name: &str, required: (bool, bool), pointer: &str, at: &Position) {
        let (kind, message) = match required {
            (false, true) => (
                ChangeKind::PropertyBecameRequired,
                format!("`{name}`, which is not a property, is required"),
            ),
            (true, false) => (
                ChangeKind::PropertyBecameOptional,
                format!("`{name}`, which is not a property, is no longer required"),
            ),
            _ => return,
        };
        let facts = ChangeFacts { nameless: true, ..ChangeFacts::default() };
        self.changes.add(at, kind, facts, pointer, message);
    }

    fn additional_properties(&mut self, old: &Shape<'a>, new: &Shape<'a>, at: &Position) {
        let forbidden = |shape: &Shape<'a>| {
            shape.keyword("additionalProperties").is_some_and(|of| *of.value == false)
        };
        let (kind, message) = match (forbidden(old), forbidden(new)) {
            (true, true) => return,
            (false, false) => {
                return self.within(old, new, "additionalProperties", &at.each("{}"));
            }
            (true, false) => {
                (ChangeKind::AdditionalPropertiesAllowed, "additional properties are now allowed")
            }
            (false, true) => (
                ChangeKind::AdditionalPropertiesForbidden,
                "additional properties are no longer allowed",
            ),
        };
        let pointer = new.keyword("additionalProperties");
        let pointer = pointer.map_or_else(|| new.pointer().to_owned(), |node| node.pointer);
        self.changes.add(at, kind, ChangeFacts::default(), &pointer, message.to_owned());
    }

    /// Compares a map and an object with named properties, on either side. Returns whether all properties of
    /// the object can be values of the map; if so, compares them with it.
    pub(super) fn fits_map(&mut self, old: &Shape<'a>, new: &Shape<'a>, at: &Position) -> bool {
        let was_map = old.of() == Type::Map;
        let (map, object) = if was_map { (old, new) } else { (new, old) };
        let Some(values) = map.keyword("additionalProperties") else { return true };
        let other = object.keyword("additionalProperties").filter(|of| of.value.is_object());
        let mut members: Vec<(&str, Node<'a>)> =
            object.properties.iter().map(|(name, node)| (*name, node.clone())).collect();
        members.extend(other.map(|of| ("{}", of)));
        if *values.value == false {
            return members.is_empty();
        }
        let shape = |document: &DescriptionTree<'a>, node: &Node<'a>| {
            Parts::of(document, node).shape(document).of()
        };
        let trees = match was_map {
            true => (&self.old, &self.new),
            false => (&self.new, &self.old),
        };
        let of = shape(trees.0, &values);
        // A free-form map accepts any value.
        if of == Type::Any {
            return true;
        }
        if !members.iter().all(|(_, node)| shape(trees.1, node) == of) {
            return false;
        }
        for (name, node) in members {
            let (old, new) = if was_map { (&values, &node) } else { (&node, &values) };
            self.schema(old, new, &at.within(name), ValueContext::Standalone);
        }
        true
    }
}

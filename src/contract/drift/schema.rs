//! Differences between two schemas.

use std::collections::BTreeSet;

use super::change::{ChangeKind, ChangeOwner};
use super::changes::Position;
use super::describe;
use super::differ::{ComponentKind, Differ};
use super::document::{MAX_DEPTH, Node, SCHEMAS};
use super::policy::ChangeFacts;
use super::shape::{Parts, Shape, Type};

/// The way in which a user holds the value of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueContext {
    /// Directly: a body, a parameter, an element.
    Standalone,
    /// In a property or parameter; whether it was required, and whether the call has a setter for it.
    Property { required: bool, setter: bool },
    /// As the component itself; its users determine the effect of its nullability.
    Component,
}

impl<'a> Differ<'a> {
    /// Compares two schemas, down to the components that they refer to, which are compared separately.
    pub(super) fn schema(
        &mut self,
        old: &Node<'a>,
        new: &Node<'a>,
        at: &Position,
        held: ValueContext,
    ) {
        if self.depth >= MAX_DEPTH || !self.visit(at.direction, &old.pointer, &new.pointer) {
            return;
        }
        if self.is_unchanged(old.value, new.value) {
            return self.unchanged(new.value, at);
        }
        self.depth = self.depth.saturating_add(1);
        self.annotations(old, new, at);
        let parts = (Parts::of(&self.old, old), Parts::of(&self.new, new));
        self.nullable((old, &parts.0), (new, &parts.1), at, held);
        self.parts(parts.0, parts.1, (&old.pointer, &new.pointer), at);
        self.depth = self.depth.saturating_sub(1);
    }

    /// Returns whether `null` is an allowed value.
    fn nullable(
        &mut self,
        old: (&Node<'a>, &Parts<'a>),
        new: (&Node<'a>, &Parts<'a>),
        at: &Position,
        held: ValueContext,
    ) {
        let is = (old.1.is_nullable(&self.old), new.1.is_nullable(&self.new));
        if held == ValueContext::Component || is.0 == is.1 {
            return;
        }
        let (optional, setter) = match held {
            ValueContext::Property { required, setter } => (!required, setter),
            _ => (false, false),
        };
        let list = matches!(old.1.shape(&self.old).of(), Type::List | Type::Map)
            && matches!(held, ValueContext::Property { .. });
        let facts = ChangeFacts { optional, list, setter, ..ChangeFacts::default() };
        let (kind, message) = match is.1 {
            true => (ChangeKind::BecameNullable, "it can now be `null`"),
            false => (ChangeKind::BecameNotNullable, "it is no longer `null`"),
        };
        // A changed component is one change, independent of its users.
        if let (Some((a, old_target)), Some((b, new_target))) =
            (old.1.reference(), new.1.reference())
            && a == b
            && old.1.nullable == new.1.nullable
            && Parts::of(&self.old, old_target).is_nullable(&self.old)
                != Parts::of(&self.new, new_target).is_nullable(&self.new)
        {
            let (owner, is_first) = self.nullability(a, (optional, list, setter), at);
            let at = Position { owner, path: String::new(), ..*at };
            if is_first {
                self.changes.add(&at, kind, facts, &new_target.pointer, message.to_owned());
            }
            return;
        }
        self.changes.add(at, kind, facts, &new.0.pointer, message.to_owned());
    }

    /// `pointers` are the locations of the two schemas.
    pub(super) fn parts(
        &mut self,
        mut old: Parts<'a>,
        mut new: Parts<'a>,
        pointers: (&str, &str),
        at: &Position,
    ) {
        let shared: BTreeSet<String> = old
            .references
            .keys()
            .filter(|name| new.references.contains_key(*name))
            .cloned()
            .collect();
        let mut common = (Parts::default(), Parts::default());
        for name in &shared {
            if let Some((a, b)) = old.references.remove(name).zip(new.references.remove(name)) {
                self.component(ComponentKind::Schema, (name, &a), (name, &b), at);
                common.0.references.insert(name.clone(), a);
                common.1.references.insert(name.clone(), b);
            }
        }
        if let (true, Some((a, old)), Some((b, new))) =
            (shared.is_empty(), old.reference(), new.reference())
        {
            return self.component(ComponentKind::Schema, (a, old), (b, new), at);
        }
        if old.references.is_empty()
            && new.references.is_empty()
            && old.inline.is_empty()
            && new.inline.is_empty()
        {
            return;
        }
        if shared.is_empty() && self.one_side_is_union(&old, &new, pointers, at) {
            return;
        }
        let shapes = (old.shape(&self.old), new.shape(&self.new));
        let common = (common.0.shape(&self.old), common.1.shape(&self.new));
        self.shapes(&shapes.0, &shapes.1, &common, pointers.1, at);
    }

    fn shapes(
        &mut self,
        old: &Shape<'a>,
        new: &Shape<'a>,
        common: &(Shape<'a>, Shape<'a>),
        pointer: &str,
        at: &Position,
    ) {
        use Type::{Any, List, Map, Object, Plain, Union};
        let has_common = !common.0.is_empty();
        let kind = match (old.of(), new.of()) {
            (Any | Map, Any | Map | Object) | (Object, Any | Map) if has_common => {
                self.objects(old, new, common, at);
                None
            }
            _ if has_common && (old.is_empty() || new.is_empty()) => None,
            (Any, Any) => None,
            (Object, Object) | (Map, Map) => {
                self.objects(old, new, common, at);
                None
            }
            (List, List) => {
                self.items(old, new, at);
                None
            }
            (Union, Union) => None,
            (Plain(a), Plain(b)) if a == b => None,
            (Map, Object) | (Object, Map) if !self.fits_map(old, new, at) => {
                Some(ChangeKind::TypeChanged)
            }
            (Any, _) | (Map, Object) | (Plain("number"), Plain("integer")) => {
                Some(ChangeKind::TypeNarrowed)
            }
            (_, Any) | (Object, Map) | (Plain("integer"), Plain("number")) => {
                Some(ChangeKind::TypeWidened)
            }
            _ => Some(ChangeKind::TypeChanged),
        };
        if let Some(kind) = kind {
            let message = format!("{} became {}", describe::shape(old), describe::shape(new));
            self.changes.add(at, kind, ChangeFacts::default(), pointer, message);
            return;
        }
        self.keywords(old, new, at);
        let variants = (old.variants(), new.variants());
        let pointer = |shape: &Shape<'a>| {
            let union = shape.keyword("oneOf").or_else(|| shape.keyword("anyOf"));
            union.map_or_else(String::new, |list| list.pointer)
        };
        let beside = ChangeFacts { union_beside_properties: true, ..ChangeFacts::default() };
        match (variants.0.is_empty(), variants.1.is_empty()) {
            (true, true) => {}
            (false, false) => self.variants(variants.0, variants.1, at),
            // Beside properties, a union only states which of them belong together.
            (true, false) => {
                let required: BTreeSet<&str> =
                    old.required.union(&common.0.required).copied().collect();
                let harmless = variants.1.iter().any(|variant| only_requires(variant, &required));
                let beside = ChangeFacts { harmless, ..beside };
                let message = format!("it must be {} as well", describe::variants(&variants.1));
                self.changes.add(at, ChangeKind::TypeNarrowed, beside, &pointer(new), message);
            }
            (false, true) => {
                let message =
                    format!("it no longer needs to be {}", describe::variants(&variants.0));
                self.changes.add(at, ChangeKind::TypeWidened, beside, &pointer(old), message);
            }
        }
    }

    fn items(&mut self, old: &Shape<'a>, new: &Shape<'a>, at: &Position) {
        self.within(old, new, "items", &at.each("[]"));
    }

    /// The schema of the elements of a list or a map; any value if there is none.
    pub(super) fn within(&mut self, old: &Shape<'a>, new: &Shape<'a>, key: &str, at: &Position) {
        let of = |shape: &Shape<'a>| shape.keyword(key).filter(|of| *of.value != true);
        match (of(old), of(new)) {
            (None, None) => {}
            (Some(old), Some(new)) => self.schema(&old, &new, at, ValueContext::Standalone),
            (None, Some(new)) => {
                let shape = Parts::of(&self.new, &new).shape(&self.new);
                if shape.of() != Type::Any {
                    let message = format!("anything became {}", describe::shape(&shape));
                    let kind = ChangeKind::TypeNarrowed;
                    self.changes.add(at, kind, ChangeFacts::default(), &new.pointer, message);
                }
            }
            (Some(old), None) => {
                let shape = Parts::of(&self.old, &old).shape(&self.old);
                if shape.of() != Type::Any {
                    let message = format!("{} became anything", describe::shape(&shape));
                    let kind = ChangeKind::TypeWidened;
                    self.changes.add(at, kind, ChangeFacts::default(), &old.pointer, message);
                }
            }
        }
    }
}

/// Returns whether a variant only requires properties that exist anyway.
fn only_requires(variant: &Node<'_>, required: &BTreeSet<&str>) -> bool {
    let only = variant.value.as_object().is_some_and(|map| {
        map.contains_key("required")
            && map.keys().all(|key| matches!(key.as_str(), "required" | "type"))
    });
    only && variant.strings("required").is_subset(required)
}

/// The name of a component in a report.
pub(super) fn component_owner(reference: &str) -> ChangeOwner {
    let name = reference.strip_prefix(SCHEMAS);
    let name = name.or_else(|| reference.strip_prefix("#/components/"));
    ChangeOwner::Component(name.unwrap_or(reference).to_owned())
}

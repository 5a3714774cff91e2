//! The complete comparison: every operation and webhook, then every pair of referenced components, once for
//! each direction.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use super::change::{Change, ChangeKind, Direction};
use super::changes::{ChangeCollector, OwnerId, Position};
use super::document::{DescriptionTree, Node, SCHEMAS, TEXTS, escape};
use super::schema::{ValueContext, component_owner};
use super::shape::Parts;

/// The comparison of two descriptions.
pub(super) struct Differ<'a> {
    pub(super) old: DescriptionTree<'a>,
    pub(super) new: DescriptionTree<'a>,
    pub(super) changes: ChangeCollector,
    /// Pairs of components that were compared, or are queued.
    pairs: BTreeMap<(Direction, ComponentKind, String, String), OwnerId>,
    pending: VecDeque<PendingPair<'a>>,
    /// Components that became or ceased to be nullable, by the way in which their users hold them.
    nullabilities: BTreeMap<(Direction, String, Usage), OwnerId>,
    /// The parts that apply to all operations at once.
    pub(super) shared: BTreeMap<ChangeKind, OwnerId>,
    /// References to the components that are nullable in only one of the descriptions: equal texts can have
    /// different meanings there.
    changeable: BTreeSet<String>,
    /// The parts that were compared within the current owner, by both pointers.
    visited: BTreeSet<(Direction, String, String)>,
    pub(super) depth: usize,
}

/// Maximum number of compared pairs of components. Two of GitHub's descriptions have about 3,000; cycles of
/// components with different lengths produce all pairs.
const MAX_PAIRS: usize = 200_000;

/// Whether a user of a component has an `Option`, a list and its own setter.
type Usage = (bool, bool, bool);

/// The definition of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ComponentKind {
    Schema,
    Parameter,
    Body,
    Response,
    Header,
}

/// A pair of components that is queued for comparison.
struct PendingPair<'a> {
    part: ComponentKind,
    at: Position,
    old: Node<'a>,
    new: Node<'a>,
}

impl<'a> Differ<'a> {
    pub(super) fn new(old: DescriptionTree<'a>, new: DescriptionTree<'a>) -> Self {
        let changeable = changeable(&old, &new);
        Self {
            old,
            new,
            changeable,
            changes: ChangeCollector::default(),
            pairs: BTreeMap::new(),
            pending: VecDeque::new(),
            nullabilities: BTreeMap::new(),
            shared: BTreeMap::new(),
            visited: BTreeSet::new(),
            depth: 0,
        }
    }

    /// Compares everything.
    ///
    /// # Errors
    /// If the comparison exceeds its bound.
    pub(super) fn run(mut self) -> Result<Vec<Change>, String> {
        self.operations();
        self.webhooks();
        while let Some(open) = self.pending.pop_front() {
            if self.pairs.len() > MAX_PAIRS {
                return Err(format!(
                    "its components form more than {MAX_PAIRS} pairs with the old ones"
                ));
            }
            self.start();
            let PendingPair { part, at, old, new } = open;
            match part {
                ComponentKind::Schema => self.schema(&old, &new, &at, ValueContext::Component),
                ComponentKind::Parameter => self.parameter(&old, &new, &at),
                ComponentKind::Body => self.body(&old, &new, &at),
                ComponentKind::Response => self.response(&old, &new, &at),
                ComponentKind::Header => self.header(&old, &new, &at),
            }
        }
        Ok(self.changes.into_changes())
    }

    /// Starts with another owner.
    pub(super) fn start(&mut self) {
        self.visited.clear();
        self.depth = 0;
    }

    /// Returns whether these two were not compared within this owner before.
    pub(super) fn visit(&mut self, direction: Direction, old: &str, new: &str) -> bool {
        self.visited.insert((direction, old.to_owned(), new.to_owned()))
    }

    /// Queues two referenced components, which are compared once, separately.
    pub(super) fn component(
        &mut self,
        part: ComponentKind,
        old: (&str, &Node<'a>),
        new: (&str, &Node<'a>),
        from: &Position,
    ) {
        let key = (from.direction, part, old.0.to_owned(), new.0.to_owned());
        if let Some(&owner) = self.pairs.get(&key) {
            return self.changes.add_reference(from.owner, owner);
        }
        let owner = self.changes.owner_id(component_owner(new.0));
        self.pairs.insert(key, owner);
        self.changes.add_reference(from.owner, owner);
        let path = match old.0 == new.0 {
            true => String::new(),
            false => format!("(instead of {})", component_owner(old.0).name()),
        };
        let at = Position { path, ..Position::new(owner, from.direction) };
        self.pending.push_back(PendingPair { part, at, old: old.1.clone(), new: new.1.clone() });
    }

    /// Returns the owner of the nullability change of a component for users of this kind, and whether this is
    /// its first use.
    pub(super) fn nullability(
        &mut self,
        component: &str,
        user: Usage,
        from: &Position,
    ) -> (OwnerId, bool) {
        let key = (from.direction, component.to_owned(), user);
        let known = self.nullabilities.get(&key).copied();
        let owner = known.unwrap_or_else(|| self.changes.owner_id(component_owner(component)));
        self.nullabilities.insert(key, owner);
        self.changes.add_reference(from.owner, owner);
        (owner, known.is_none())
    }

    /// Compares two parts that can be components: separately if both are, otherwise in place.
    pub(super) fn compare_component_or_inline(
        &mut self,
        part: ComponentKind,
        old: &Node<'a>,
        new: &Node<'a>,
        at: &Position,
        here: impl FnOnce(&mut Self, &Node<'a>, &Node<'a>),
    ) {
        let (a, old) = self.old.resolve(old);
        let (b, new) = self.new.resolve(new);
        match a.zip(b) {
            Some((a, b)) if a == b => self.component(part, (a, &old), (b, &new), at),
            _ => here(self, &old, &new),
        }
    }

    /// Returns whether two schemas have the same text and the same meaning.
    pub(super) fn is_unchanged(&self, old: &Value, new: &Value) -> bool {
        old == new && (self.changeable.is_empty() || !mentions(new, &self.changeable))
    }

    /// Handles parts that are the same in both: only their referenced components can differ.
    pub(super) fn unchanged(&mut self, schema: &'a Value, at: &Position) {
        let Some(map) = schema.as_object() else { return };
        if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
            let old = self.old.named(reference);
            let new = self.new.named(reference);
            if let Some(((a, old), (b, new))) = old.zip(new) {
                self.component(ComponentKind::Schema, (&a, &old), (&b, &new), at);
            }
            return;
        }
        for (key, value) in map {
            match key.as_str() {
                "properties" => {
                    let schemas = value.as_object().into_iter().flat_map(|map| map.values());
                    schemas.for_each(|schema| self.unchanged(schema, at));
                }
                "allOf" | "oneOf" | "anyOf" => {
                    let schemas = value.as_array().into_iter().flatten();
                    schemas.for_each(|schema| self.unchanged(schema, at));
                }
                "items" | "additionalProperties" => self.unchanged(value, at),
                _ => {}
            }
        }
    }

    /// Counts the different texts.
    pub(super) fn texts(&mut self, old: &Node<'a>, new: &Node<'a>, at: &Position) {
        for key in TEXTS {
            let (a, b) = (old.get(key), new.get(key));
            if a.as_ref().map(|node| node.value) != b.as_ref().map(|node| node.value)
                && let Some(node) = b.or(a)
            {
                self.changes.text(at, &node.pointer);
            }
        }
    }
}

fn changeable(old: &DescriptionTree<'_>, new: &DescriptionTree<'_>) -> BTreeSet<String> {
    let Some(schemas) = new.root["components"]["schemas"].as_object() else {
        return BTreeSet::new();
    };
    let references = schemas.keys().map(|name| format!("{SCHEMAS}{}", escape(name)));
    let changed = references.filter(|reference| {
        let both = old.target(reference).zip(new.target(reference));
        both.is_some_and(|(a, b)| {
            Parts::of(old, &a).is_nullable(old) != Parts::of(new, &b).is_nullable(new)
        })
    });
    changed.collect()
}

fn mentions(value: &Value, references: &BTreeSet<String>) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(key, value)| match value {
            Value::String(reference) => key == "$ref" && references.contains(reference),
            _ => mentions(value, references),
        }),
        Value::Array(list) => list.iter().any(|value| mentions(value, references)),
        _ => false,
    }
}

//! What differs between the variants of two unions, in whatever order they stand.

use std::collections::BTreeSet;

use super::change::Kind;
use super::differ::Differ;
use super::document::{Node, SCHEMAS, same};
use super::found::At;
use super::policy::Facts;
use super::schema::Held;
use super::shape::{Parts, Shape, Type};
use super::words;

/// A variant, with what is known of it.
struct Variant<'a> {
    index: usize,
    node: Node<'a>,
    reference: Option<String>,
    shape: Shape<'a>,
}

impl<'a> Differ<'a> {
    /// Pairs the variants and compares the pairs; what has no pair was added or removed.
    pub(super) fn variants(&mut self, old: Vec<Node<'a>>, new: Vec<Node<'a>>, at: &At) {
        let mut old: Vec<_> =
            (0..).zip(old).map(|(index, node)| Variant::of(&self.old, index, node)).collect();
        let mut new: Vec<_> =
            (0..).zip(new).map(|(index, node)| Variant::of(&self.new, index, node)).collect();
        let equal = |a: &Variant<'a>, b: &Variant<'a>| a.reference == b.reference;
        let mut pairs = take_pairs(&mut old, &mut new, |a, b| {
            (a.reference.is_some() && equal(a, b)) || same(a.node.value, b.node.value)
        });
        // The most alike first, then as they stand.
        let mut likely: Vec<(usize, usize, usize)> = Vec::new();
        for a in &old {
            for b in &new {
                let likeness = likeness(&a.shape, &b.shape);
                if likeness >= ALIKE {
                    likely.push((likeness, a.index, b.index));
                }
            }
        }
        likely.sort_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        for (_, a, b) in likely {
            pairs.extend(take_pairs(&mut old, &mut new, |old, new| {
                old.index == a && new.index == b
            }));
        }
        for (a, b) in pairs {
            let at = at.within(&b.label());
            self.schema(&a.node, &b.node, &at, Held::Elsewhere);
        }
        for gone in old {
            let at = at.within(&gone.label());
            let message = format!("the variant {} is gone", words::variant(&gone.node));
            let kind = Kind::VariantRemoved;
            self.found.change(&at, kind, Facts::default(), &gone.node.pointer, message);
        }
        for more in new {
            let at = at.within(&more.label());
            let message = format!("the variant {} was added", words::variant(&more.node));
            let kind = Kind::VariantAdded;
            self.found.change(&at, kind, Facts::default(), &more.node.pointer, message);
        }
    }

    /// If one of the two is a union and the other is not: whether it has the other as a variant.
    /// `pointer` is where the new one stands.
    pub(super) fn one_side_is_union(
        &mut self,
        old: &Parts<'a>,
        new: &Parts<'a>,
        pointer: &str,
        at: &At,
    ) -> bool {
        let shapes = (old.shape(&self.old), new.shape(&self.new));
        let is_union = (
            old.references.is_empty() && shapes.0.of() == Type::Union,
            new.references.is_empty() && shapes.1.of() == Type::Union,
        );
        let kind = match is_union {
            (false, true) if shapes.0.of() != Type::Union => {
                let variants = shapes.1.variants();
                let found = variants.into_iter().find(|variant| {
                    let variant = Variant::of(&self.new, 0, variant.clone());
                    fits(old, &shapes.0, &variant)
                });
                if found.is_some() { Kind::TypeWidened } else { Kind::TypeChanged }
            }
            (true, false) if shapes.1.of() != Type::Union => {
                let variants = shapes.0.variants();
                let found = variants.into_iter().find(|variant| {
                    let variant = Variant::of(&self.old, 0, variant.clone());
                    fits(new, &shapes.1, &variant)
                });
                if found.is_some() { Kind::TypeNarrowed } else { Kind::TypeChanged }
            }
            _ => return false,
        };
        // Anything is more than any union.
        let kind = match (shapes.0.of(), shapes.1.of()) {
            (Type::Any, _) => Kind::TypeNarrowed,
            (_, Type::Any) => Kind::TypeWidened,
            _ => kind,
        };
        let of = |parts: &Parts<'a>, shape: &Shape<'a>| match parts.reference() {
            Some((name, _)) => format!("`{}`", name.strip_prefix(SCHEMAS).unwrap_or(name)),
            None => words::shape(shape),
        };
        let message = format!("{} became {}", of(old, &shapes.0), of(new, &shapes.1));
        self.found.change(at, kind, Facts::default(), pointer, message);
        true
    }
}

impl<'a> Variant<'a> {
    fn of(document: &super::document::Document<'a>, index: usize, node: Node<'a>) -> Self {
        let parts = Parts::of(document, &node);
        let reference = parts.reference().map(|(name, _)| name.clone());
        Self { index, node, reference, shape: parts.shape(document) }
    }

    /// Its component, or its place among the others.
    fn label(&self) -> String {
        match &self.reference {
            Some(name) => format!("({})", name.strip_prefix(SCHEMAS).unwrap_or(name)),
            None => format!("(variant {})", self.index + 1),
        }
    }
}

/// Takes out the pairs that belong together.
fn take_pairs<'a>(
    old: &mut Vec<Variant<'a>>,
    new: &mut Vec<Variant<'a>>,
    together: impl Fn(&Variant<'a>, &Variant<'a>) -> bool,
) -> Vec<(Variant<'a>, Variant<'a>)> {
    let mut pairs = Vec::new();
    let mut left = Vec::new();
    for a in old.drain(..) {
        match new.iter().position(|b| together(&a, b)) {
            Some(at) => pairs.push((a, new.remove(at))),
            None => left.push(a),
        }
    }
    *old = left;
    pairs
}

/// From this on, variants are taken for one another: half of the names of their properties.
const ALIKE: usize = 500;

/// How alike two shapes are, in thousandths.
fn likeness(old: &Shape<'_>, new: &Shape<'_>) -> usize {
    match (old.of(), new.of()) {
        (Type::Object, Type::Object) => {
            let names: (BTreeSet<_>, BTreeSet<_>) =
                (old.properties.keys().collect(), new.properties.keys().collect());
            let both = names.0.intersection(&names.1).count();
            both * 1000 / names.0.union(&names.1).count().max(1)
        }
        (Type::Any, _) | (_, Type::Any) => 0,
        (a, b) if a == b => 600,
        _ => 0,
    }
}

/// Whether the schema is one of the values of the variant.
fn fits(parts: &Parts<'_>, shape: &Shape<'_>, variant: &Variant<'_>) -> bool {
    match (parts.reference(), &variant.reference) {
        (Some((a, _)), Some(b)) if a == b => true,
        _ => likeness(shape, &variant.shape) >= ALIKE,
    }
}

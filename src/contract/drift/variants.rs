//! Differences between the variants of two unions, independent of their order.

use std::collections::BTreeSet;

use super::change::ChangeKind;
use super::changes::Position;
use super::describe;
use super::differ::Differ;
use super::document::{DescriptionTree, Node, SCHEMAS, is_equal_but_texts};
use super::policy::ChangeFacts;
use super::schema::ValueContext;
use super::shape::{Parts, Shape, Type};

/// A variant, with its properties for pairing.
struct Variant<'a> {
    index: usize,
    node: Node<'a>,
    reference: Option<String>,
    shape: Shape<'a>,
}

impl<'a> Differ<'a> {
    /// Pairs the variants and compares the pairs; a variant without a pair was added or removed.
    pub(super) fn variants(&mut self, old: Vec<Node<'a>>, new: Vec<Node<'a>>, at: &Position) {
        let mut old: Vec<_> =
            (0..).zip(old).map(|(index, node)| Variant::of(&self.old, index, node)).collect();
        let mut new: Vec<_> =
            (0..).zip(new).map(|(index, node)| Variant::of(&self.new, index, node)).collect();
        let of = |all: &[Variant<'a>]| one_type(all.iter().map(|one| one.shape.of()));
        let whole = (of(&old), of(&new));
        let equal = |a: &Variant<'a>, b: &Variant<'a>| a.reference == b.reference;
        let mut pairs = take_pairs(&mut old, &mut new, |a, b| {
            (a.reference.is_some() && equal(a, b)) || is_equal_but_texts(a.node.value, b.node.value)
        });
        // The most similar first, then in order.
        let mut likely: Vec<(usize, usize, usize)> = Vec::new();
        for a in &old {
            for b in &new {
                let likeness = likeness(&a.shape, &b.shape);
                if likeness >= MIN_LIKENESS {
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
            self.schema(&a.node, &b.node, &at, ValueContext::Component);
        }
        for gone in old {
            let at = at.within(&gone.label());
            let message = format!("the variant {} was removed", describe::variant(&gone.node));
            let kind = match whole.1 {
                Some(of) if of != gone.shape.of() => ChangeKind::TypeNarrowed,
                _ => ChangeKind::VariantRemoved,
            };
            self.changes.add(&at, kind, ChangeFacts::default(), &gone.node.pointer, message);
        }
        for more in new {
            let at = at.within(&more.label());
            let message = format!("the variant {} was added", describe::variant(&more.node));
            let kind = match whole.0 {
                Some(of) if of != more.shape.of() => ChangeKind::TypeWidened,
                _ => ChangeKind::VariantAdded,
            };
            self.changes.add(&at, kind, ChangeFacts::default(), &more.node.pointer, message);
        }
    }

    /// If one of the two is a union and the other is not, returns whether the union has the other as a
    /// variant, and compares the two then. `pointers` are their locations.
    pub(super) fn one_side_is_union(
        &mut self,
        old: &Parts<'a>,
        new: &Parts<'a>,
        pointers: (&str, &str),
        at: &Position,
    ) -> bool {
        let shapes = (old.shape(&self.old), new.shape(&self.new));
        let is_union = (
            old.references.is_empty() && shapes.0.of() == Type::Union,
            new.references.is_empty() && shapes.1.of() == Type::Union,
        );
        let kind = match is_union {
            (false, true) if shapes.0.of() != Type::Union => {
                let one = (&self.old, old, &shapes.0);
                match best(one, &self.new, shapes.1.variants()) {
                    Some(variant) => {
                        let pointers = (pointers.0, variant.node.pointer.as_str());
                        let parts = Parts::of(&self.new, &variant.node);
                        self.parts(old.clone(), parts, pointers, &at.within(&variant.label()));
                        ChangeKind::TypeWidened
                    }
                    None => ChangeKind::TypeChanged,
                }
            }
            (true, false) if shapes.1.of() != Type::Union => {
                let one = (&self.new, new, &shapes.1);
                match best(one, &self.old, shapes.0.variants()) {
                    Some(variant) => {
                        let pointers = (variant.node.pointer.as_str(), pointers.1);
                        let parts = Parts::of(&self.old, &variant.node);
                        self.parts(parts, new.clone(), pointers, &at.within(&variant.label()));
                        ChangeKind::TypeNarrowed
                    }
                    None => ChangeKind::TypeChanged,
                }
            }
            _ => return false,
        };
        // An unrestricted value is wider than any union.
        let kind = match (shapes.0.of(), shapes.1.of()) {
            (Type::Any, _) => ChangeKind::TypeNarrowed,
            (_, Type::Any) => ChangeKind::TypeWidened,
            _ => kind,
        };
        let of = |parts: &Parts<'a>, shape: &Shape<'a>| match parts.reference() {
            Some((name, _)) => format!("`{}`", name.strip_prefix(SCHEMAS).unwrap_or(name)),
            None => describe::shape(shape),
        };
        let message = format!("{} became {}", of(old, &shapes.0), of(new, &shapes.1));
        self.changes.add(at, kind, ChangeFacts::default(), pointers.1, message);
        true
    }
}

impl<'a> Variant<'a> {
    fn of(document: &DescriptionTree<'a>, index: usize, node: Node<'a>) -> Self {
        let parts = Parts::of(document, &node);
        let reference = parts.reference().map(|(name, _)| name.clone());
        Self { index, node, reference, shape: parts.shape(document) }
    }

    /// Its component, or its index among the others.
    fn label(&self) -> String {
        match &self.reference {
            Some(name) => format!("({})", name.strip_prefix(SCHEMAS).unwrap_or(name)),
            None => format!("(variant {})", self.index.saturating_add(1)),
        }
    }
}

/// The type of all variants, if Rust makes one type of them: a list if all are lists, or a plain type.
/// Neither keeps unknown values.
fn one_type<'a>(mut types: impl Iterator<Item = Type<'a>>) -> Option<Type<'a>> {
    let first = types.next().filter(|of| matches!(of, Type::List | Type::Plain(_)))?;
    types.all(|of| of == first).then_some(first)
}

/// Removes the matching pairs.
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

/// Minimum similarity of paired variants: half of the names of their properties.
const MIN_LIKENESS: usize = 500;

/// The similarity of two shapes, in thousandths.
fn likeness(old: &Shape<'_>, new: &Shape<'_>) -> usize {
    match (old.of(), new.of()) {
        (Type::Object, Type::Object) => {
            let names: (BTreeSet<_>, BTreeSet<_>) =
                (old.properties.keys().collect(), new.properties.keys().collect());
            let both = names.0.intersection(&names.1).count();
            let all = names.0.union(&names.1).count();
            both.saturating_mul(1000).checked_div(all).unwrap_or_default()
        }
        (Type::Any, _) | (_, Type::Any) => 0,
        (a, b) if a == b => 600,
        _ => 0,
    }
}

/// A schema that is not a union, with its description.
type SingleSchema<'s, 'a> = (&'s DescriptionTree<'a>, &'s Parts<'a>, &'s Shape<'a>);

/// The variant that is most similar to the schema, if there is one: the first of several.
fn best<'a>(
    one: SingleSchema<'_, 'a>,
    document: &DescriptionTree<'a>,
    variants: Vec<Node<'a>>,
) -> Option<Variant<'a>> {
    let mut best: Option<((bool, usize, usize), Variant<'a>)> = None;
    for (index, node) in variants.into_iter().enumerate() {
        let variant = Variant::of(document, index, node);
        let is_it = matches!(
            (one.1.reference(), &variant.reference), (Some((a, _)), Some(b)) if a == b
        );
        let likeness = likeness(one.2, &variant.shape);
        let fit = (is_it, likeness, in_common(one, document, &variant.shape));
        let is_better = best.as_ref().is_none_or(|(known, _)| fit > *known);
        if (is_it || likeness >= MIN_LIKENESS) && is_better {
            best = Some((fit, variant));
        }
    }
    best.map(|(_, variant)| variant)
}

/// Distinguishes variants of one type: by the number of common values, and the type of elements.
fn in_common<'a>(
    one: SingleSchema<'_, 'a>,
    document: &DescriptionTree<'a>,
    variant: &Shape<'a>,
) -> usize {
    let items = |document: &DescriptionTree<'a>, shape: &Shape<'a>| {
        let items = shape.keyword("items")?;
        Some(Parts::of(document, &items).shape(document).of())
    };
    match (one.2.values(), variant.values()) {
        _ if variant.of() == Type::List => {
            usize::from(items(one.0, one.2) == items(document, variant))
        }
        (_, None) => usize::MAX,
        (None, Some(_)) => 0,
        (Some((_, all)), Some((_, some))) => all.iter().filter(|one| some.contains(one)).count(),
    }
}

//! Differences between the keywords of two schemas of the same type.

use serde_json::Value;

use super::change::ChangeKind;
use super::changes::Position;
use super::describe;
use super::differ::Differ;
use super::document::Node;
use super::policy::ChangeFacts;
use super::shape::{Shape, Type};

/// Bounds, and whether a higher one is looser.
const LIMITS: [(&str, bool); 9] = [
    ("maxItems", true),
    ("maxLength", true),
    ("maxProperties", true),
    ("maximum", true),
    ("minItems", false),
    ("minLength", false),
    ("minProperties", false),
    ("minimum", false),
    ("multipleOf", false),
];
/// Bounds that are present or absent.
const SWITCHES: [&str; 3] = ["exclusiveMaximum", "exclusiveMinimum", "uniqueItems"];

impl<'a> Differ<'a> {
    pub(super) fn keywords(&mut self, old: &Shape<'a>, new: &Shape<'a>, at: &Position) {
        self.values(old, new, at);
        self.format(old, new, at);
        self.default(old, new, at);
        self.limits(old, new, at);
        for (key, kind) in [
            ("readOnly", ChangeKind::AccessChanged),
            ("writeOnly", ChangeKind::AccessChanged),
            ("discriminator", ChangeKind::DiscriminatorChanged),
            ("not", ChangeKind::TypeChanged),
        ] {
            let (a, b) = (old.keyword(key), new.keyword(key));
            let of = |node: &Option<Node<'a>>| {
                node.as_ref().map(|node| node.value).filter(|value| **value != false)
            };
            if of(&a) != of(&b) {
                let message = match of(&a).zip(of(&b)) {
                    Some(_) => format!("`{key}` changed"),
                    None if of(&b).is_some() => format!("`{key}` was added"),
                    None => format!("`{key}` was removed"),
                };
                // A property that is only sent does not appear in responses.
                let facts = ChangeFacts {
                    hidden: key == "writeOnly" && of(&b).is_some(),
                    ..ChangeFacts::default()
                };
                self.changes.add(at, kind, facts, &pointer(b, a), message);
            }
        }
    }

    fn values(&mut self, old: &Shape<'a>, new: &Shape<'a>, at: &Position) {
        let retyped = old.of() == Type::Plain("string");
        let facts = ChangeFacts { retyped, ..ChangeFacts::default() };
        match (old.values(), new.values()) {
            (None, None) => {}
            (None, Some((list, _))) => {
                let message = "it now allows only listed values".to_owned();
                self.changes.add(at, ChangeKind::EnumIntroduced, facts, &list.pointer, message);
            }
            (Some((list, _)), None) => {
                let message = "it no longer allows only listed values".to_owned();
                self.changes.add(at, ChangeKind::EnumDropped, facts, &list.pointer, message);
            }
            (Some((old_list, old)), Some((new_list, new))) => {
                for gone in old.iter().filter(|value| !new.contains(value)) {
                    let message = format!("the value {} was removed", describe::value(Some(gone)));
                    let kind = ChangeKind::EnumValueRemoved;
                    self.changes.add(at, kind, facts, &old_list.pointer, message);
                }
                for more in new.iter().filter(|value| !old.contains(value)) {
                    let message = format!("the value {} was added", describe::value(Some(more)));
                    let kind = ChangeKind::EnumValueAdded;
                    self.changes.add(at, kind, facts, &new_list.pointer, message);
                }
            }
        }
    }

    /// Only times have a Rust type of their own.
    fn format(&mut self, old: &Shape<'a>, new: &Shape<'a>, at: &Position) {
        let (a, b) = (old.keyword("format"), new.keyword("format"));
        let format = |node: &Option<Node<'a>>| node.as_ref().and_then(|node| node.value.as_str());
        let (before, after) = (format(&a), format(&b));
        if before == after {
            return;
        }
        let is_text =
            |shape: &Shape<'a>| shape.of() == Type::Plain("string") && shape.values().is_none();
        let time = |of: Option<&'a str>| of.filter(|of| matches!(*of, "date-time" | "date"));
        let retyped = is_text(old) && is_text(new) && time(before) != time(after);
        // Without a format, and with one that has more bits, all old values remain valid.
        let harmless = matches!(
            (before, after),
            (_, None) | (Some("int32"), Some("int64")) | (Some("float"), Some("double"))
        );
        let unreadable = retyped && time(before).is_some();
        let facts = ChangeFacts { retyped, unreadable, harmless, ..ChangeFacts::default() };
        let of = |format: Option<&str>| format.map_or("none".to_owned(), |of| format!("`{of}`"));
        let message = format!("the format {} became {}", of(before), of(after));
        self.changes.add(at, ChangeKind::FormatChanged, facts, &pointer(b, a), message);
    }

    fn default(&mut self, old: &Shape<'a>, new: &Shape<'a>, at: &Position) {
        let (a, b) = (old.keyword("default"), new.keyword("default"));
        let value = |node: &Option<Node<'a>>| node.as_ref().map(|node| node.value);
        if value(&a) != value(&b) {
            let (before, after) = (describe::value(value(&a)), describe::value(value(&b)));
            let message = format!("the default {before} became {after}");
            self.changes.add(
                at,
                ChangeKind::DefaultChanged,
                ChangeFacts::default(),
                &pointer(b, a),
                message,
            );
        }
    }

    fn limits(&mut self, old: &Shape<'a>, new: &Shape<'a>, at: &Position) {
        for (key, higher_is_more) in LIMITS {
            if !applies(key, new.of()) {
                continue;
            }
            let nodes = (old.keyword(key), new.keyword(key));
            let number = |node: &Option<Node<'a>>| node.as_ref().and_then(|of| of.value.as_f64());
            let loosened = match (number(&nodes.0), number(&nodes.1)) {
                (None, None) => continue,
                (Some(a), Some(b)) if a == b => continue,
                (None, Some(_)) => false,
                (Some(_), None) => true,
                (Some(a), Some(b)) => (b > a) == higher_is_more,
            };
            self.limit(key, nodes, loosened, at);
        }
        for key in SWITCHES {
            if applies(key, new.of()) && old.is_true(key) != new.is_true(key) {
                self.limit(key, (old.keyword(key), new.keyword(key)), old.is_true(key), at);
            }
        }
        let nodes = (old.keyword("pattern"), new.keyword("pattern"));
        let pattern = |node: &Option<Node<'a>>| node.as_ref().and_then(|of| of.value.as_str());
        match (pattern(&nodes.0), pattern(&nodes.1)) {
            _ if !applies("pattern", new.of()) => {}
            (Some(a), Some(b)) if a != b => {
                let message = format!("the pattern `{a}` became `{b}`");
                let pointer = pointer(nodes.1, nodes.0);
                self.changes.add(
                    at,
                    ChangeKind::PatternChanged,
                    ChangeFacts::default(),
                    &pointer,
                    message,
                );
            }
            (Some(_), None) => self.limit("pattern", nodes, true, at),
            (None, Some(_)) => self.limit("pattern", nodes, false, at),
            _ => {}
        }
    }

    fn limit(
        &mut self,
        key: &str,
        (old, new): (Option<Node<'a>>, Option<Node<'a>>),
        loosened: bool,
        at: &Position,
    ) {
        let value = |node: &Option<Node<'a>>| describe::value(node.as_ref().map(|node| node.value));
        let message = format!("`{key}`: {} became {}", value(&old), value(&new));
        let kind = if loosened { ChangeKind::BoundLoosened } else { ChangeKind::BoundTightened };
        self.changes.add(at, kind, ChangeFacts::default(), &pointer(new, old), message);
    }
}

/// Returns whether a bound applies to values of the type; GitHub writes some beside other types.
fn applies(key: &str, of: Type<'_>) -> bool {
    match of {
        Type::Any | Type::Union => true,
        Type::List => key.ends_with("Items"),
        Type::Object | Type::Map => key.ends_with("Properties"),
        Type::Plain("string") => key.ends_with("Length") || key == "pattern",
        Type::Plain(_) => key.ends_with("imum") || key == "multipleOf",
    }
}

fn pointer(new: Option<Node<'_>>, old: Option<Node<'_>>) -> String {
    new.or(old).map(|node| node.pointer).unwrap_or_default()
}

/// The content of a list of announcements, by version and name.
pub(super) fn announcements<'a>(node: &Node<'a>) -> Vec<((&'a str, &'a str), Node<'a>)> {
    let announced = node.elements("x-github-breaking-changes").into_iter();
    let named = announced.map(|node| {
        let key = |key| node.str(key).unwrap_or_default();
        ((key("version"), key("changeset")), node)
    });
    named.filter(|(_, node)| node.value.is_object()).collect()
}

/// The announced patches under one name, anywhere in the list.
pub(super) fn patches<'a>(
    list: &[((&'a str, &'a str), Node<'a>)],
    key: (&str, &str),
) -> Vec<&'a Value> {
    let patches = list.iter().filter(|(other, _)| *other == key);
    patches.map(|(_, node)| node.value).collect()
}

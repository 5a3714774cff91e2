//! Differences between the parameters, bodies and responses of two operations.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::change::{ChangeKind, Direction};
use super::changes::{OwnerId, Position};
use super::differ::{ComponentKind, Differ};
use super::document::{DescriptionTree, Entry, Node};
use super::policy::ChangeFacts;
use super::schema::ValueContext;

/// The encoding of a parameter.
const ENCODING: [&str; 4] = ["style", "explode", "allowReserved", "x-multi-segment"];

/// Parameters by location and name, in their written and resolved forms.
type Parameters<'a> = BTreeMap<(&'a str, &'a str), (Node<'a>, Node<'a>)>;

impl<'a> Differ<'a> {
    pub(super) fn parameters(&mut self, old: &Entry<'a>, new: &Entry<'a>, at: &Position) {
        let (mut before, mut after) = (parameters(&self.old, old), parameters(&self.new, new));
        for (a, b) in renamed(&before, old.path, &after, new.path) {
            if let Some((a, b)) = before.remove(&("path", a)).zip(after.remove(&("path", b))) {
                let at = at.within(&label(&b.1));
                let name = |node: &Node<'a>| node.str("name").unwrap_or_default().to_owned();
                let message = format!("`{}` became `{}`", name(&a.1), name(&b.1));
                self.changes.add(
                    &at,
                    ChangeKind::ParameterRenamed,
                    ChangeFacts::default(),
                    &b.1.pointer,
                    message,
                );
                self.parameter(&a.1, &b.1, &Position { path: String::new(), ..at });
            }
        }
        let keys: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
        for key in keys {
            match (before.get(&key), after.get(&key)) {
                (Some(a), Some(b)) => self.compare_component_or_inline(
                    ComponentKind::Parameter,
                    &a.0,
                    &b.0,
                    at,
                    |this, a, b| {
                        this.parameter(a, b, at);
                    },
                ),
                (Some((_, gone)), None) => {
                    let message = format!("`{}` was removed", key.1);
                    let at = at.within(&label(gone));
                    let kind = ChangeKind::ParameterRemoved;
                    self.changes.add(&at, kind, ChangeFacts::default(), &gone.pointer, message);
                }
                (None, Some((_, more))) => {
                    let (kind, message) = match is_required(more) {
                        true => (
                            ChangeKind::RequiredParameterAdded,
                            format!("`{}` was added, and is required", key.1),
                        ),
                        false => (ChangeKind::ParameterAdded, format!("`{}` was added", key.1)),
                    };
                    let at = at.within(&label(more));
                    self.changes.add(&at, kind, ChangeFacts::default(), &more.pointer, message);
                }
                (None, None) => {}
            }
        }
    }

    pub(super) fn parameter(&mut self, old: &Node<'a>, new: &Node<'a>, at: &Position) {
        if at.direction == Direction::Webhook {
            return self.texts(old, new, at); // A header, which the library reads without a type.
        }
        let at = &at.within(&label(new));
        let required = (is_required(old), is_required(new));
        let none = ChangeFacts::default();
        if required.0 != required.1 {
            let (kind, message) = match required.1 {
                true => (ChangeKind::ParameterBecameRequired, "it is now required"),
                false => (ChangeKind::ParameterBecameOptional, "it is no longer required"),
            };
            self.changes.add(at, kind, none, &new.pointer, message.to_owned());
        }
        for key in ENCODING {
            let (a, b) = (old.get(key), new.get(key));
            let value = |node: &Option<Node<'a>>| {
                node.as_ref().map(|node| node.value).filter(|value| **value != false)
            };
            if value(&a) != value(&b) {
                let message = format!("`{key}` changed");
                let pointer = b.or(a).map(|node| node.pointer).unwrap_or_default();
                self.changes.add(at, ChangeKind::ParameterEncodingChanged, none, &pointer, message);
            }
        }
        self.texts(old, new, at);
        self.deprecation(old, new, at);
        self.announced(old, new, at);
        let held = ValueContext::Property { required: required.0, setter: true };
        match (schema(old), schema(new)) {
            (Some(old), Some(new)) => self.schema(&old, &new, at, held),
            (None, None) => {}
            (a, b) => {
                let message = "its schema was added or removed".to_owned();
                let pointer = b.or(a).map(|node| node.pointer).unwrap_or_default();
                self.changes.add(at, ChangeKind::TypeChanged, none, &pointer, message);
            }
        }
    }

    pub(super) fn request_body(&mut self, old: &Node<'a>, new: &Node<'a>, at: &Position) {
        let required = |document: &DescriptionTree<'a>, node: &Node<'a>| {
            document.resolve(node).1.is_true("required")
        };
        let none = ChangeFacts::default();
        match (old.get("requestBody"), new.get("requestBody")) {
            (None, None) => {}
            (Some(a), Some(b)) => {
                self.compare_component_or_inline(ComponentKind::Body, &a, &b, at, |this, a, b| {
                    this.body(a, b, at)
                });
            }
            (Some(gone), None) => {
                let message = "a body is no longer accepted".to_owned();
                let at = at.within("body");
                self.changes.add(&at, ChangeKind::RequestBodyRemoved, none, &gone.pointer, message);
            }
            (None, Some(more)) => {
                let (kind, message) = match required(&self.new, &more) {
                    true => (ChangeKind::RequiredRequestBodyAdded, "a required body was added"),
                    false => (ChangeKind::RequestBodyAdded, "an optional body was added"),
                };
                let at = at.within("body");
                self.changes.add(&at, kind, none, &more.pointer, message.to_owned());
            }
        }
    }

    pub(super) fn body(&mut self, old: &Node<'a>, new: &Node<'a>, at: &Position) {
        let word = if at.direction == Direction::Webhook { "payload" } else { "body" };
        let required = (old.is_true("required"), new.is_true("required"));
        if required.0 != required.1 && at.direction == Direction::Request {
            let (kind, message) = match required.1 {
                true => (ChangeKind::RequestBodyBecameRequired, "a body is now required"),
                false => (ChangeKind::RequestBodyBecameOptional, "a body is now optional"),
            };
            let at = at.within(word);
            self.changes.add(&at, kind, ChangeFacts::default(), &new.pointer, message.to_owned());
        }
        self.texts(old, new, at);
        self.content(old, new, word, at);
    }

    pub(super) fn responses(&mut self, old: &Node<'a>, new: &Node<'a>, owner: OwnerId) {
        let (before, after) = (old.entries("responses"), new.entries("responses"));
        let statuses: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
        let is_2xx = |status: &str| status.starts_with('2') || status == "default";
        let has_success = |of: &BTreeMap<&str, Node<'a>>| of.keys().any(|status| is_2xx(status));
        // If neither has another success status, a redirect counts as one.
        let has_no_success = !has_success(&before) && !has_success(&after);
        for status in statuses {
            let is_one_sided = before.contains_key(status) != after.contains_key(status);
            let success = is_2xx(status) || (status == "302" && has_no_success && is_one_sided);
            let direction = if success { Direction::Response } else { Direction::Error };
            let at = Position::new(owner, direction).within(&format!("response {status}"));
            match (before.get(status), after.get(status)) {
                (Some(a), Some(b)) => {
                    // A component is the same under every status.
                    let outside = Position { path: String::new(), ..at.clone() };
                    self.compare_component_or_inline(
                        ComponentKind::Response,
                        a,
                        b,
                        &outside,
                        |this, a, b| {
                            this.response(a, b, &at);
                        },
                    );
                }
                (Some(gone), None) => {
                    let kind = if success {
                        ChangeKind::SuccessStatusRemoved
                    } else {
                        ChangeKind::StatusRemoved
                    };
                    let facts = ChangeFacts {
                        retyped: is_alone(&self.old, gone, status, &after, &self.new),
                        no_success_left: !has_success(&after),
                        ..ChangeFacts::default()
                    };
                    let message = format!("{status} is no longer returned");
                    self.changes.add(&at, kind, facts, &gone.pointer, message);
                }
                (None, Some(more)) => {
                    let kind = if success {
                        ChangeKind::SuccessStatusAdded
                    } else {
                        ChangeKind::StatusAdded
                    };
                    let facts = ChangeFacts {
                        retyped: is_alone(&self.new, more, status, &before, &self.old),
                        harmless: reads_nothing(&self.old, &before),
                        ..ChangeFacts::default()
                    };
                    let message = format!("{status} can be returned");
                    self.changes.add(&at, kind, facts, &more.pointer, message);
                }
                (None, None) => {}
            }
        }
    }

    pub(super) fn response(&mut self, old: &Node<'a>, new: &Node<'a>, at: &Position) {
        self.texts(old, new, at);
        self.announced(old, new, at);
        let (before, after) = (old.entries("headers"), new.entries("headers"));
        let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
        for name in names {
            let within = at.within(&format!("header {name}"));
            let none = ChangeFacts::default();
            match (before.get(name), after.get(name)) {
                (Some(a), Some(b)) => {
                    self.compare_component_or_inline(
                        ComponentKind::Header,
                        a,
                        b,
                        at,
                        |this, a, b| this.header(a, b, &within),
                    );
                }
                (Some(gone), None) => {
                    let message = format!("the header `{name}` was removed");
                    self.changes.add(
                        &within,
                        ChangeKind::HeaderRemoved,
                        none,
                        &gone.pointer,
                        message,
                    );
                }
                (None, Some(more)) => {
                    let message = format!("the header `{name}` was added");
                    self.changes.add(
                        &within,
                        ChangeKind::HeaderAdded,
                        none,
                        &more.pointer,
                        message,
                    );
                }
                (None, None) => {}
            }
        }
        self.content(old, new, "", at);
    }

    pub(super) fn header(&mut self, old: &Node<'a>, new: &Node<'a>, at: &Position) {
        self.texts(old, new, at);
        if let Some((old, new)) = schema(old).zip(schema(new)) {
            self.schema(&old, &new, at, ValueContext::Property { required: false, setter: false });
        }
    }

    /// Media types, each with its schema.
    fn content(&mut self, old: &Node<'a>, new: &Node<'a>, word: &str, at: &Position) {
        let (before, after) = (old.entries("content"), new.entries("content"));
        let media: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
        for name in media {
            // `body application/json`, or `response 200 application/json`.
            let mut label = match word {
                "" => {
                    Position { path: format!("{} {name}", at.path).trim_start().to_owned(), ..*at }
                }
                word => at.within(&format!("{word} {name}")),
            };
            label.is_body = at.direction == Direction::Request;
            match (before.get(name), after.get(name)) {
                (Some(a), Some(b)) => {
                    self.texts(a, b, &label);
                    match (a.get("schema"), b.get("schema")) {
                        (Some(a), Some(b)) => self.schema(&a, &b, &label, ValueContext::Standalone),
                        (None, None) => {}
                        (a, b) => {
                            let message = "its schema was added or removed";
                            let pointer = b.or(a).map(|node| node.pointer).unwrap_or_default();
                            let kind = ChangeKind::TypeChanged;
                            let none = ChangeFacts::default();
                            self.changes.add(&label, kind, none, &pointer, message.to_owned());
                        }
                    }
                }
                (Some(gone), None) => {
                    let facts = ChangeFacts {
                        retyped: is_json(name) || after.is_empty(),
                        ..ChangeFacts::default()
                    };
                    let message = format!("`{name}` was removed");
                    self.changes.add(
                        &label,
                        ChangeKind::MediaTypeRemoved,
                        facts,
                        &gone.pointer,
                        message,
                    );
                }
                (None, Some(more)) => {
                    let facts = ChangeFacts {
                        retyped: is_json(name) || before.is_empty(),
                        ..ChangeFacts::default()
                    };
                    let message = format!("`{name}` was added");
                    self.changes.add(
                        &label,
                        ChangeKind::MediaTypeAdded,
                        facts,
                        &more.pointer,
                        message,
                    );
                }
                (None, None) => {}
            }
        }
    }
}

/// The operation's parameters with the path item's, which it can override.
fn parameters<'a>(document: &DescriptionTree<'a>, entry: &Entry<'a>) -> Parameters<'a> {
    let mut parameters = Parameters::new();
    for from in [&entry.item, &entry.operation] {
        for node in from.elements("parameters") {
            let (_, resolved) = document.resolve(&node);
            if let Some(key) = resolved.str("in").zip(resolved.str("name")) {
                parameters.insert(key, (node, resolved));
            }
        }
    }
    parameters
}

/// The path parameters with another name at the same position of the path.
fn renamed<'a>(
    old: &Parameters<'a>,
    old_path: &'a str,
    new: &Parameters<'a>,
    new_path: &'a str,
) -> Vec<(&'a str, &'a str)> {
    let (before, after) = (names(old_path), names(new_path));
    if before.len() != after.len() {
        return Vec::new();
    }
    let (known, unknown) = (
        |name: &str| old.contains_key(&("path", name)),
        |name: &str| !new.contains_key(&("path", name)),
    );
    let is_renamed = |(a, b): &(&str, &str)| {
        a != b
            && known(a)
            && unknown(a)
            && new.contains_key(&("path", *b))
            && !old.contains_key(&("path", *b))
    };
    before.into_iter().zip(after).filter(is_renamed).collect()
}

/// The names in a path template, in order.
pub(super) fn names(path: &str) -> Vec<&str> {
    path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect()
}

fn is_required(parameter: &Node<'_>) -> bool {
    parameter.is_true("required") || parameter.str("in") == Some("path")
}

fn label(parameter: &Node<'_>) -> String {
    let text = |key| parameter.str(key).unwrap_or_default();
    format!("{} {}", text("in"), text("name"))
}

/// The schema of a parameter or a header; some have a media type.
fn schema<'a>(node: &Node<'a>) -> Option<Node<'a>> {
    let of_media = || node.entries("content").into_values().next()?.get("schema");
    node.get("schema").or_else(of_media)
}

/// Returns whether no other success has the same body.
fn is_alone<'a>(
    document: &DescriptionTree<'a>,
    response: &Node<'a>,
    status: &str,
    others: &BTreeMap<&'a str, Node<'a>>,
    other_document: &DescriptionTree<'a>,
) -> bool {
    let content = |document: &DescriptionTree<'a>, node: &Node<'a>| -> Option<&'a Value> {
        let node = document.resolve(node).1.get("content")?;
        Some(node.value).filter(|content| content.as_object().is_some_and(|map| !map.is_empty()))
    };
    let own = content(document, response);
    let schemas = |content: Option<&'a Value>| -> Vec<(&'a String, Option<&'a Value>)> {
        let media = content.and_then(Value::as_object).into_iter().flatten();
        media.map(|(name, of)| (name, of.get("schema"))).collect()
    };
    !others
        .iter()
        .filter(|(other, _)| other.starts_with('2') && **other != status)
        .any(|(_, other)| schemas(content(other_document, other)) == schemas(own))
}

/// Returns whether no success has a body, so that programs do not read one.
fn reads_nothing<'a>(
    document: &DescriptionTree<'a>,
    responses: &BTreeMap<&'a str, Node<'a>>,
) -> bool {
    let mut successes = responses.iter().filter(|(status, _)| status.starts_with('2')).peekable();
    successes.peek().is_some()
        && successes.all(|(_, node)| document.resolve(node).1.entries("content").is_empty())
}

fn is_json(media: &str) -> bool {
    let essence = media.split(';').next().unwrap_or_default().trim();
    essence == "application/json" || essence.ends_with("+json")
}

//! Differences between the operations and the webhooks of two descriptions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::change::{ChangeKind, ChangeOwner, Direction};
use super::changes::Position;
use super::differ::Differ;
use super::document::{DescriptionTree, Entry, Node};
use super::operation_io::names;
use super::policy::ChangeFacts;

/// The entries of `x-github` that have their own kinds of change.
const ANNOTATIONS: [&str; 4] = ["category", "subcategory", "previews", "requestBodyParameterName"];

type Entries<'a> = BTreeMap<String, Entry<'a>>;

impl<'a> Differ<'a> {
    pub(super) fn operations(&mut self) {
        let (mut old, new) = (self.old.operations(), self.new.operations());
        let renamed = renamed(&old, &new, |entry| {
            Some(format!("{} {}", entry.method, without_names(entry.path)))
        });
        for (id, after) in &new {
            let owner = self.changes.owner_id(ChangeOwner::Operation(id.clone()));
            let at = Position::new(owner, Direction::Operation);
            let former = renamed.get(id).cloned();
            match old.remove(former.as_ref().unwrap_or(id)) {
                Some(before) => {
                    self.start();
                    if let Some(former) = former {
                        let message = format!("`{former}` became `{id}`");
                        self.compare_whole(
                            &at,
                            ChangeKind::OperationRenamed,
                            &after.operation,
                            message,
                        );
                    }
                    self.operation(&before, after, &at);
                }
                None => {
                    let message = format!("{} was added", method_and_path(after));
                    self.compare_whole(&at, ChangeKind::OperationAdded, &after.operation, message);
                }
            }
        }
        for (id, before) in old {
            let owner = self.changes.owner_id(ChangeOwner::Operation(id));
            let at = Position::new(owner, Direction::Operation);
            let message = format!("{} was removed", method_and_path(&before));
            self.compare_whole(&at, ChangeKind::OperationRemoved, &before.operation, message);
        }
    }

    pub(super) fn webhooks(&mut self) {
        let (mut old, new) = (self.old.webhooks(), self.new.webhooks());
        let renamed =
            renamed(&old, &new, |entry| entry.operation.str("operationId").map(str::to_owned));
        for (key, after) in &new {
            let owner = self.changes.owner_id(ChangeOwner::Webhook(key.clone()));
            let at = Position::new(owner, Direction::Webhook);
            let former = renamed.get(key).cloned();
            match old.remove(former.as_ref().unwrap_or(key)) {
                Some(before) => {
                    self.start();
                    if let Some(former) = former {
                        let message = format!("`{former}` became `{key}`");
                        self.compare_whole(
                            &at,
                            ChangeKind::WebhookRenamed,
                            &after.operation,
                            message,
                        );
                    }
                    self.webhook(&before, after, &at);
                }
                None => {
                    let message = format!("`{key}` was added");
                    self.compare_whole(&at, ChangeKind::WebhookAdded, &after.operation, message);
                }
            }
        }
        for (key, before) in old {
            let message = format!("`{key}` was removed");
            let owner = self.changes.owner_id(ChangeOwner::Webhook(key));
            let at = Position::new(owner, Direction::Webhook);
            self.compare_whole(&at, ChangeKind::WebhookRemoved, &before.operation, message);
        }
    }

    fn compare_whole(&mut self, at: &Position, kind: ChangeKind, node: &Node<'a>, message: String) {
        self.changes.add(at, kind, ChangeFacts::default(), &node.pointer, message);
    }

    fn operation(&mut self, before: &Entry<'a>, after: &Entry<'a>, at: &Position) {
        let (old, new) = (&before.operation, &after.operation);
        let moved = without_names(before.path) != without_names(after.path);
        if moved || swaps_parameters(before.path, after.path) {
            let message = format!("`{}` became `{}`", before.path, after.path);
            self.compare_whole(at, ChangeKind::PathMoved, new, message);
        }
        if before.method != after.method {
            let method = |entry: &Entry<'a>| entry.method.to_uppercase();
            let message = format!("{} became {}", method(before), method(after));
            self.compare_whole(at, ChangeKind::MethodChanged, new, message);
        }
        let tags = (tag(old), tag(new));
        if tags.0 != tags.1 {
            let of = |tag: Option<&str>| tag.map_or("none".to_owned(), |tag| format!("`{tag}`"));
            let message = format!("the tag {} became {}", of(tags.0), of(tags.1));
            self.compare_whole(at, ChangeKind::TagChanged, new, message);
        }
        let servers = (server(&self.old, before), server(&self.new, after));
        if servers.0.url != servers.1.url {
            let of = |url: Option<&str>| url.map_or("none".to_owned(), |url| format!("`{url}`"));
            let message = format!("the server {} became {}", of(servers.0.url), of(servers.1.url));
            let shared = servers.0.shared && servers.1.shared;
            self.own_or_shared(
                at,
                ChangeKind::ServerChanged,
                new,
                message,
                shared.then_some("/servers"),
            );
        }
        let security = (security(&self.old, old), security(&self.new, new));
        if security.0 != security.1 {
            let message = "the authentication methods changed".to_owned();
            let shared = old.get("security").is_none() && new.get("security").is_none();
            let shared = shared.then_some("/security");
            self.own_or_shared(at, ChangeKind::SecurityChanged, new, message, shared);
        }
        self.compare_metadata(old, new, at);
        self.parameters(before, after, &Position { direction: Direction::Request, ..at.clone() });
        self.request_body(old, new, &Position { direction: Direction::Request, ..at.clone() });
        self.responses(old, new, at.owner);
    }

    /// A change of the operation, or of the part that applies to all of them, at this location: one change.
    fn own_or_shared(
        &mut self,
        at: &Position,
        kind: ChangeKind,
        node: &Node<'a>,
        message: String,
        shared: Option<&str>,
    ) {
        let Some(pointer) = shared else { return self.compare_whole(at, kind, node, message) };
        if let Some(&owner) = self.shared.get(&kind) {
            return self.changes.add_reference(at.owner, owner);
        }
        let owner = self.changes.owner_id(ChangeOwner::Description);
        self.shared.insert(kind, owner);
        self.changes.add_reference(at.owner, owner);
        let at = Position { owner, ..at.clone() };
        self.changes.add(&at, kind, ChangeFacts::default(), pointer, message);
    }

    fn webhook(&mut self, before: &Entry<'a>, after: &Entry<'a>, at: &Position) {
        let (old, new) = (&before.operation, &after.operation);
        self.compare_metadata(old, new, at);
        let events = (event(old), event(new));
        if events.0 != events.1 {
            let of =
                |event: Option<String>| event.map_or("none".to_owned(), |of| format!("`{of}`"));
            let message = format!("the event {} became {}", of(events.0), of(events.1));
            self.compare_whole(at, ChangeKind::WebhookEventChanged, new, message);
        }
        let sorts = |node: &Node<'a>| {
            let github = node.get("x-github");
            github.map(|node| node.strings("supported-webhook-types")).unwrap_or_default()
        };
        let sorts = (sorts(old), sorts(new));
        for gone in sorts.0.difference(&sorts.1) {
            let message = format!("hooks of type `{gone}` no longer receive it");
            self.compare_whole(at, ChangeKind::WebhookTypeRemoved, new, message);
        }
        for more in sorts.1.difference(&sorts.0) {
            let message = format!("hooks of type `{more}` also receive it");
            self.compare_whole(at, ChangeKind::WebhookTypeAdded, new, message);
        }
        self.parameters(before, after, at);
        self.request_body(old, new, at);
    }

    /// The annotations of an operation or a webhook.
    fn compare_metadata(&mut self, old: &Node<'a>, new: &Node<'a>, at: &Position) {
        self.texts(old, new, at);
        self.deprecation(old, new, at);
        self.announced(old, new, at);
        let github = (old.get("x-github"), new.get("x-github"));
        let is = |key: &str| {
            let is = |node: &Option<Node<'a>>| node.as_ref().is_some_and(|node| node.is_true(key));
            (is(&github.0), is(&github.1))
        };
        let pointer = |key: &str| {
            let node = github.1.as_ref().and_then(|node| node.get(key));
            node.map_or_else(|| new.pointer.clone(), |node| node.pointer)
        };
        let flags = [
            (
                "enabledForGitHubApps",
                (ChangeKind::AppsAllowed, "GitHub Apps may now call it"),
                (ChangeKind::AppsRejected, "GitHub Apps may no longer call it"),
            ),
            (
                "githubCloudOnly",
                (ChangeKind::CloudOnlyChanged, "it is only on GitHub's cloud"),
                (ChangeKind::CloudOnlyChanged, "it is no longer only on GitHub's cloud"),
            ),
            (
                "triggersNotification",
                (ChangeKind::TriggersNotificationChanged, "it triggers notifications"),
                (ChangeKind::TriggersNotificationChanged, "it no longer triggers notifications"),
            ),
        ];
        for (key, on, off) in flags {
            let (kind, message) = match is(key) {
                (false, true) => on,
                (true, false) => off,
                _ => continue,
            };
            self.changes.add(at, kind, ChangeFacts::default(), &pointer(key), message.to_owned());
        }
        // A webhook's subcategory is its event.
        let is_event = |key: &str| at.direction == Direction::Webhook && key == "subcategory";
        for key in ANNOTATIONS.into_iter().filter(|key| !is_event(key)) {
            let value = |node: &Option<Node<'a>>| node.as_ref()?.get(key).map(|node| node.value);
            if value(&github.0) != value(&github.1) {
                let message = format!("`x-github.{key}` changed");
                let kind = ChangeKind::AnnotationChanged;
                self.changes.add(at, kind, ChangeFacts::default(), &pointer(key), message);
            }
        }
    }
}

/// The new names, with the former name of each: names only in the new description that share a mark with
/// names only in the old one.
fn renamed<'a>(
    old: &Entries<'a>,
    new: &Entries<'a>,
    mark: impl Fn(&Entry<'a>) -> Option<String>,
) -> BTreeMap<String, String> {
    let gone: BTreeMap<String, &String> = old
        .iter()
        .filter(|(name, _)| !new.contains_key(*name))
        .filter_map(|(name, entry)| Some((mark(entry)?, name)))
        .collect();
    let mut taken = BTreeSet::new();
    let more = new.iter().filter(|(name, _)| !old.contains_key(*name));
    let renamed = more.filter_map(|(name, entry)| {
        let former = *gone.get(&mark(entry)?)?;
        taken.insert(former).then(|| (name.clone(), former.clone()))
    });
    renamed.collect()
}

/// A path without the names of its parameters, which do not occur in requests.
fn without_names(path: &str) -> String {
    let mut parts = path.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |path, part| {
        let rest = part.split_once('}').map_or("", |(_, rest)| rest);
        path + "{}" + rest
    })
}

/// The event of a webhook, as the build reads it: hyphens in some names are replaced, since no event has one.
fn event(webhook: &Node<'_>) -> Option<String> {
    let github = webhook.get("x-github")?;
    github.str("subcategory").filter(|name| !name.is_empty()).map(|name| name.replace('-', "_"))
}

/// Returns whether a parameter of both paths is at another position in the new one, so that old programs
/// write its value in the place of another.
fn swaps_parameters(old: &str, new: &str) -> bool {
    let (old, new) = (names(old), names(new));
    let place = |name| new.iter().position(|other| *other == name);
    (0..).zip(old).any(|(at, name)| place(name).is_some_and(|now| now != at))
}

fn method_and_path(entry: &Entry<'_>) -> String {
    format!("`{} {}`", entry.method.to_uppercase(), entry.path)
}

fn tag<'a>(operation: &Node<'a>) -> Option<&'a str> {
    operation.elements("tags").first().and_then(|tag| tag.value.as_str())
}

/// The server of an operation.
struct Server<'a> {
    url: Option<&'a str>,
    /// The server is the description's, and neither the operation's own nor the path's.
    shared: bool,
}

fn server<'a>(document: &DescriptionTree<'a>, entry: &Entry<'a>) -> Server<'a> {
    let url = |node: &Node<'a>| node.elements("servers").first()?.str("url");
    let own = url(&entry.operation).or_else(|| url(&entry.item));
    Server { url: own.or_else(|| url(&document.node())), shared: own.is_none() }
}

fn security<'a>(document: &DescriptionTree<'a>, operation: &Node<'a>) -> Option<&'a Value> {
    let own = operation.get("security");
    own.or_else(|| document.node().get("security")).map(|node| node.value)
}

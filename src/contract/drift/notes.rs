//! Annotations: deprecation and announced changes.

use std::collections::BTreeSet;

use super::change::ChangeKind;
use super::changes::Position;
use super::constraints::{announcements, patches};
use super::differ::Differ;
use super::document::Node;
use super::policy::ChangeFacts;

/// The deprecation of a part.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Deprecation<'a> {
    deprecated: bool,
    since: Option<&'a str>,
    removal: Option<&'a str>,
}

impl<'a> Differ<'a> {
    /// Of a schema.
    pub(super) fn annotations(&mut self, old: &Node<'a>, new: &Node<'a>, at: &Position) {
        if old.str("$ref").is_some() && new.str("$ref").is_some() {
            return; // Components report their own changes.
        }
        let (old, new) = (self.old.resolve(old).1, self.new.resolve(new).1);
        self.texts(&old, &new, at);
        self.deprecation(&old, &new, at);
        self.announced(&old, &new, at);
    }

    /// Whether it is deprecated, since when, and until when it remains available.
    pub(super) fn deprecation(&mut self, old: &Node<'a>, new: &Node<'a>, at: &Position) {
        let (before, after) = (Deprecation::of(old), Deprecation::of(new));
        if before == after {
            return;
        }
        let day = |day: Option<&str>| day.unwrap_or("no date").to_owned();
        let (kind, message) = match (before.deprecated, after.deprecated) {
            (false, false) => return,
            (true, false) => (ChangeKind::Undeprecated, "it is no longer deprecated".to_owned()),
            (false, true) => {
                let since = after.since.map(|day| format!(" since {day}")).unwrap_or_default();
                let until = after.removal.map(|day| format!(", until {day}")).unwrap_or_default();
                (ChangeKind::Deprecated, format!("it is deprecated{since}{until}"))
            }
            (true, true) if before.removal == after.removal => (
                ChangeKind::RemovalDateChanged,
                format!("deprecated since {}, before: {}", day(after.since), day(before.since)),
            ),
            (true, true) => (
                ChangeKind::RemovalDateChanged,
                format!("to be removed on {}, before: {}", day(after.removal), day(before.removal)),
            ),
        };
        self.changes.add_dated(at, kind, &new.pointer, message, after.removal);
    }

    /// The changes that later API versions announce.
    pub(super) fn announced(&mut self, old: &Node<'a>, new: &Node<'a>, at: &Position) {
        let (before, after) = (announcements(old), announcements(new));
        let keys: BTreeSet<_> = before.iter().chain(&after).map(|(key, _)| *key).collect();
        for key in keys {
            let (old, new) = (patches(&before, key), patches(&after, key));
            if old == new {
                continue;
            }
            let (version, name) = key;
            let (kind, message) = match (old.is_empty(), new.is_empty()) {
                (true, _) => (
                    ChangeKind::BreakingChangeAnnounced,
                    format!("`{name}` is announced for version {version} of the API"),
                ),
                (_, true) => (
                    ChangeKind::BreakingChangeWithdrawn,
                    format!("`{name}` of version {version} is no longer announced"),
                ),
                _ => (
                    ChangeKind::BreakingChangeAltered,
                    format!("`{name}` of version {version} is announced differently"),
                ),
            };
            let list = if new.is_empty() { &before } else { &after };
            let node = list.iter().find(|(other, _)| *other == key);
            let pointer = node.map(|(_, node)| node.pointer.as_str()).unwrap_or_default();
            self.changes.add(at, kind, ChangeFacts::default(), pointer, message);
        }
    }
}

impl<'a> Deprecation<'a> {
    fn of(node: &Node<'a>) -> Self {
        let github = node.get("x-github");
        let day = |key| node.str(key).or_else(|| github.as_ref()?.str(key));
        let (since, removal) = (day("deprecationDate"), day("removalDate"));
        let deprecated = node.is_true("deprecated") || since.is_some() || removal.is_some();
        Self { deprecated, since, removal }
    }
}

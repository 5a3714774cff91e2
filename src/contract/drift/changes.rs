//! The changes found so far, their locations, and the affected operations.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{Change, ChangeKind, ChangeOwner, Direction};
use super::policy::{self, ChangeFacts};

/// An operation, a webhook or a pair of components, by its number.
pub(super) type OwnerId = usize;

/// The current position of the comparison.
#[derive(Clone, Debug)]
pub(super) struct Position {
    pub(super) owner: OwnerId,
    pub(super) direction: Direction,
    /// The readable form.
    pub(super) path: String,
    /// It is the request body itself, for whose properties the call has setters.
    pub(super) is_body: bool,
}

/// The changes, and the references between owners.
#[derive(Default)]
pub(super) struct ChangeCollector {
    owners: Vec<ChangeOwner>,
    refers_to: Vec<BTreeSet<OwnerId>>,
    changes: Vec<(OwnerId, Change)>,
    /// Per owner and direction: the number of different texts, and the location of the first one.
    texts: BTreeMap<(OwnerId, Direction), (usize, String)>,
}

impl Position {
    pub(super) fn new(owner: OwnerId, direction: Direction) -> Self {
        Self { owner, direction, path: String::new(), is_body: false }
    }

    /// One level deeper.
    pub(super) fn within(&self, segment: &str) -> Self {
        let path = match self.path.as_str() {
            "" => segment.to_owned(),
            path => format!("{path} › {segment}"),
        };
        Self { path, is_body: false, ..*self }
    }

    /// The same, marked with `[]` or `{}`.
    pub(super) fn each(&self, mark: &str) -> Self {
        Self { path: format!("{}{mark}", self.path), is_body: false, ..*self }
    }
}

impl ChangeCollector {
    pub(super) fn owner_id(&mut self, place: ChangeOwner) -> OwnerId {
        self.owners.push(place);
        self.refers_to.push(BTreeSet::new());
        self.owners.len().saturating_sub(1)
    }

    /// Records that changes of `to` affect all that `from` affects.
    pub(super) fn add_reference(&mut self, from: OwnerId, to: OwnerId) {
        if let Some(known) = self.refers_to.get_mut(from) {
            known.insert(to);
        }
    }

    pub(super) fn add(
        &mut self,
        at: &Position,
        kind: ChangeKind,
        facts: ChangeFacts,
        pointer: &str,
        message: String,
    ) {
        let (severity, bump, why) = policy::judge(kind, at.direction, facts);
        let change = Change {
            kind,
            severity,
            bump,
            direction: at.direction,
            owner: self.owners.get(at.owner).cloned().unwrap_or(ChangeOwner::Description),
            pointer: pointer.to_owned(),
            path: at.path.clone(),
            message,
            why,
            removal_date: None,
            operations: Vec::new(),
            webhooks: Vec::new(),
        };
        self.changes.push((at.owner, change));
    }

    /// Records a change with the day of removal that the new description names.
    pub(super) fn add_dated(
        &mut self,
        at: &Position,
        kind: ChangeKind,
        pointer: &str,
        message: String,
        removal: Option<&str>,
    ) {
        self.add(at, kind, ChangeFacts::default(), pointer, message);
        if let Some((_, change)) = self.changes.last_mut() {
            change.removal_date = removal.map(str::to_owned);
        }
    }

    /// Counts a different text. Texts are one change for each owner and direction.
    pub(super) fn text(&mut self, at: &Position, pointer: &str) {
        let first = || (0, pointer.to_owned());
        let (count, _) = self.texts.entry((at.owner, at.direction)).or_insert_with(first);
        *count = count.saturating_add(1);
    }

    /// Returns all changes, with the affected operations and webhooks.
    pub(super) fn into_changes(mut self) -> Vec<Change> {
        for ((owner, direction), (count, pointer)) in std::mem::take(&mut self.texts) {
            let at = Position::new(owner, direction);
            let message = match count {
                1 => "one text changed".to_owned(),
                count => format!("{count} texts changed"),
            };
            self.add(
                &at,
                ChangeKind::DocumentationChanged,
                ChangeFacts::default(),
                &pointer,
                message,
            );
        }
        let reach = self.affected();
        let changes = self.changes.into_iter().map(|(owner, mut change)| {
            for &root in reach.get(&owner).into_iter().flatten() {
                match self.owners.get(root) {
                    Some(ChangeOwner::Operation(id)) => change.operations.push(id.clone()),
                    Some(ChangeOwner::Webhook(key)) => change.webhooks.push(key.clone()),
                    _ => {}
                }
            }
            change.operations.sort_unstable();
            change.webhooks.sort_unstable();
            change
        });
        changes.collect()
    }

    /// For every changed owner, the operations and webhooks that refer to it.
    fn affected(&self) -> BTreeMap<OwnerId, BTreeSet<OwnerId>> {
        let mut reach: BTreeMap<OwnerId, BTreeSet<OwnerId>> =
            self.changes.iter().map(|(owner, _)| (*owner, BTreeSet::new())).collect();
        let roots = self.owners.iter().enumerate().filter_map(|(root, place)| {
            matches!(place, ChangeOwner::Operation(_) | ChangeOwner::Webhook(_)).then_some(root)
        });
        for root in roots {
            let (mut seen, mut open) = (BTreeSet::from([root]), vec![root]);
            while let Some(owner) = open.pop() {
                if let Some(roots) = reach.get_mut(&owner) {
                    roots.insert(root);
                }
                let next = self.refers_to.get(owner).into_iter().flatten();
                open.extend(next.filter(|next| seen.insert(**next)));
            }
        }
        reach
    }
}

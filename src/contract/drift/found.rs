//! The changes found so far, their locations, and the affected operations.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{Change, Direction, Kind, Place};
use super::policy::{self, Facts};

/// An operation, a webhook or a pair of components, by its number.
pub(super) type Owner = usize;

/// The current position of the comparison.
#[derive(Clone, Debug)]
pub(super) struct At {
    pub(super) owner: Owner,
    pub(super) direction: Direction,
    /// The readable form.
    pub(super) path: String,
    /// It is the request body itself, for whose properties the call has setters.
    pub(super) is_body: bool,
}

/// The changes, and the references between owners.
#[derive(Default)]
pub(super) struct Found {
    places: Vec<Place>,
    refers_to: Vec<BTreeSet<Owner>>,
    changes: Vec<(Owner, Change)>,
    /// Per owner and direction: the number of different texts, and the location of the first one.
    texts: BTreeMap<(Owner, Direction), (usize, String)>,
}

impl At {
    pub(super) fn new(owner: Owner, direction: Direction) -> Self {
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

impl Found {
    pub(super) fn owner(&mut self, place: Place) -> Owner {
        self.places.push(place);
        self.refers_to.push(BTreeSet::new());
        self.places.len().saturating_sub(1)
    }

    /// Records that changes of `to` affect all that `from` affects.
    pub(super) fn refers(&mut self, from: Owner, to: Owner) {
        if let Some(known) = self.refers_to.get_mut(from) {
            known.insert(to);
        }
    }

    pub(super) fn change(
        &mut self,
        at: &At,
        kind: Kind,
        facts: Facts,
        pointer: &str,
        message: String,
    ) {
        let (severity, bump, why) = policy::judge(kind, at.direction, facts);
        let change = Change {
            kind,
            severity,
            bump,
            direction: at.direction,
            place: self.places.get(at.owner).cloned().unwrap_or(Place::Document),
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
    pub(super) fn dated(
        &mut self,
        at: &At,
        kind: Kind,
        pointer: &str,
        message: String,
        removal: Option<&str>,
    ) {
        self.change(at, kind, Facts::default(), pointer, message);
        if let Some((_, change)) = self.changes.last_mut() {
            change.removal_date = removal.map(str::to_owned);
        }
    }

    /// Counts a different text. Texts are one change for each owner and direction.
    pub(super) fn text(&mut self, at: &At, pointer: &str) {
        let first = || (0, pointer.to_owned());
        let (count, _) = self.texts.entry((at.owner, at.direction)).or_insert_with(first);
        *count = count.saturating_add(1);
    }

    /// Returns all changes, with the affected operations and webhooks.
    pub(super) fn into_changes(mut self) -> Vec<Change> {
        for ((owner, direction), (count, pointer)) in std::mem::take(&mut self.texts) {
            let at = At::new(owner, direction);
            let message = match count {
                1 => "one text changed".to_owned(),
                count => format!("{count} texts changed"),
            };
            self.change(&at, Kind::DocumentationChanged, Facts::default(), &pointer, message);
        }
        let reach = self.reach();
        let changes = self.changes.into_iter().map(|(owner, mut change)| {
            for &root in reach.get(&owner).into_iter().flatten() {
                match self.places.get(root) {
                    Some(Place::Operation(id)) => change.operations.push(id.clone()),
                    Some(Place::Webhook(key)) => change.webhooks.push(key.clone()),
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
    fn reach(&self) -> BTreeMap<Owner, BTreeSet<Owner>> {
        let mut reach: BTreeMap<Owner, BTreeSet<Owner>> =
            self.changes.iter().map(|(owner, _)| (*owner, BTreeSet::new())).collect();
        let roots = self.places.iter().enumerate().filter_map(|(root, place)| {
            matches!(place, Place::Operation(_) | Place::Webhook(_)).then_some(root)
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

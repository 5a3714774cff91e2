//! All that differs between two documents.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::change::{Bump, Change, Severity};
use super::markdown;

/// What differs between two documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The old document.
    pub old: Edition,
    /// The new document.
    pub new: Edition,
    /// How many changes there are of each severity.
    pub counts: Counts,
    /// What changed: the gravest first, then by place.
    pub changes: Vec<Change>,
}

/// Which document it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Edition {
    /// `info.version`.
    pub version: Option<String>,
    /// Which of GitHub's documents, as `info.x-github-plan` says: `api.github.com`.
    pub plan: Option<String>,
    /// How many operations it has.
    pub operations: usize,
    /// How many webhooks it has.
    pub webhooks: usize,
}

/// How many changes there are of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// [`Severity::Breaking`].
    pub breaking: usize,
    /// [`Severity::Notice`].
    pub notice: usize,
    /// [`Severity::Compatible`].
    pub compatible: usize,
    /// [`Severity::Documentation`].
    pub documentation: usize,
}

impl Report {
    /// Sorts the changes and counts them.
    pub(super) fn new(old: Edition, new: Edition, mut changes: Vec<Change>) -> Self {
        changes.sort_by(|a, b| {
            let key = |change: &'_ Change| (change.direction, change.kind);
            b.severity
                .cmp(&a.severity)
                .then_with(|| a.place.cmp(&b.place))
                .then_with(|| a.path.cmp(&b.path))
                .then_with(|| key(a).cmp(&key(b)))
                .then_with(|| a.pointer.cmp(&b.pointer))
                .then_with(|| a.message.cmp(&b.message))
        });
        let mut counts = Counts::default();
        for change in &changes {
            let count = counts.of_mut(change.severity);
            *count = count.saturating_add(1);
        }
        Self { old, new, counts, changes }
    }

    /// The gravest severity of all changes; `None` if there are no changes.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        self.changes.iter().map(|change| change.severity).max()
    }

    /// The version that this crate needs when it is generated again.
    #[must_use]
    pub fn bump(&self) -> Bump {
        self.changes.iter().map(|change| change.bump).max().unwrap_or(Bump::None)
    }

    /// Whether there are no changes at all, not even of the documentation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What reaches these operations, by their ids, or these webhooks, by their keys. Of a change
    /// that reaches others as well, only these are named.
    ///
    /// An operation or webhook that was renamed is known by its new name.
    #[must_use]
    pub fn only(&self, ids: &[&str]) -> Self {
        let ids: BTreeSet<&str> = ids.iter().copied().collect();
        let kept = |names: &[String]| -> Vec<String> {
            names.iter().filter(|name| ids.contains(name.as_str())).cloned().collect()
        };
        let changes = self.changes.iter().filter_map(|change| {
            let (operations, webhooks) = (kept(&change.operations), kept(&change.webhooks));
            (!operations.is_empty() || !webhooks.is_empty()).then(|| Change {
                operations,
                webhooks,
                ..change.clone()
            })
        });
        Self::new(self.old.clone(), self.new.clone(), changes.collect())
    }

    /// The report in Markdown, for the description of a pull request: a summary, then what breaks,
    /// then what there is to notice, then, folded, what is compatible. Changes of the
    /// documentation are only counted.
    ///
    /// It has at most [`Report::MARKDOWN_LIMIT`] characters. What does not fit is left out, the
    /// least grave first, and how much that is stands in its place.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        markdown::write(self)
    }

    /// The most characters that [`to_markdown`](Self::to_markdown) gives: GitHub takes 65,536 for a
    /// pull request, and something may be added.
    pub const MARKDOWN_LIMIT: usize = 60_000;

    /// The whole report as JSON, with the gravest severity as `severity` and with `bump`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut json = serde_json::to_value(self).unwrap_or_default();
        json["severity"] = self.severity().map_or(Value::Null, |of| of.as_str().into());
        json["bump"] = self.bump().as_str().into();
        json
    }
}

impl Counts {
    /// All of them.
    #[must_use]
    pub const fn total(self) -> usize {
        let grave = self.breaking.saturating_add(self.notice);
        grave.saturating_add(self.compatible).saturating_add(self.documentation)
    }

    const fn of_mut(&mut self, severity: Severity) -> &mut usize {
        match severity {
            Severity::Breaking => &mut self.breaking,
            Severity::Notice => &mut self.notice,
            Severity::Compatible => &mut self.compatible,
            Severity::Documentation => &mut self.documentation,
        }
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.plan.as_deref().unwrap_or("a document");
        write!(f, "{plan} {}", self.version.as_deref().unwrap_or("without a version"))
    }
}

/// One line for each change that is not of the documentation.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { breaking, notice, compatible, documentation } = self.counts;
        write!(
            f,
            "{} to {}: {breaking} breaking, {notice} to notice, {compatible} compatible, \
             {documentation} of the documentation",
            self.old, self.new
        )?;
        for change in &self.changes {
            if change.severity != Severity::Documentation {
                write!(f, "\n{change}")?;
            }
        }
        Ok(())
    }
}

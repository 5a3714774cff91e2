//! The complete result of a comparison.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::change::{Change, SemverBump, Severity};
use super::markdown;

/// The differences between two descriptions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DriftReport {
    /// The old description.
    pub old: DescriptionVersion,
    /// The new description.
    pub new: DescriptionVersion,
    /// The number of changes of each severity.
    pub counts: SeverityCounts,
    /// The changes: the most severe first, then by location.
    pub changes: Vec<Change>,
}

/// A version of the description.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DescriptionVersion {
    /// `info.version`.
    pub version: Option<String>,
    /// The variant of GitHub's description, by `info.x-github-plan`: `api.github.com`.
    pub plan: Option<String>,
    /// The number of operations.
    pub operations: usize,
    /// The number of webhooks.
    pub webhooks: usize,
}

/// The number of changes of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SeverityCounts {
    /// [`Severity::Breaking`].
    pub breaking: usize,
    /// [`Severity::Notice`].
    pub notice: usize,
    /// [`Severity::Compatible`].
    pub compatible: usize,
    /// [`Severity::Documentation`].
    pub documentation: usize,
}

impl DriftReport {
    /// Sorts the changes and counts them.
    pub(super) fn new(
        old: DescriptionVersion,
        new: DescriptionVersion,
        mut changes: Vec<Change>,
    ) -> Self {
        changes.sort_by(|a, b| {
            let key = |change: &'_ Change| (change.direction, change.kind);
            b.severity
                .cmp(&a.severity)
                .then_with(|| a.owner.cmp(&b.owner))
                .then_with(|| a.path.cmp(&b.path))
                .then_with(|| key(a).cmp(&key(b)))
                .then_with(|| a.pointer.cmp(&b.pointer))
                .then_with(|| a.message.cmp(&b.message))
        });
        let mut counts = SeverityCounts::default();
        for change in &changes {
            let count = counts.of_mut(change.severity);
            *count = count.saturating_add(1);
        }
        Self { old, new, counts, changes }
    }

    /// Returns the highest severity of all changes; `None` if there are no changes.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        self.changes.iter().map(|change| change.severity).max()
    }

    /// Returns the version bump that the crate needs when it is generated again.
    #[must_use]
    pub fn bump(&self) -> SemverBump {
        self.changes.iter().map(|change| change.bump).max().unwrap_or(SemverBump::None)
    }

    /// Returns whether there are no changes at all, not even of the documentation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Returns the part of the report that affects these operations, by their ids, or these webhooks, by
    /// their keys. Changes that affect others as well only name these.
    ///
    /// A renamed operation or webhook is identified by its new name.
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

    /// Returns the report in Markdown, for the description of a pull request: a summary, then breaking
    /// changes, then notices, then, folded, compatible changes. Documentation changes are only counted.
    ///
    /// It has at most [`DriftReport::MARKDOWN_LIMIT`] characters. If the changes do not fit, the least severe are
    /// omitted, and a note states their number.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        markdown::write(self)
    }

    /// Maximum number of characters that [`to_markdown`](Self::to_markdown) returns. GitHub accepts 65,536
    /// for a pull request; the rest is reserved for additions.
    pub const MARKDOWN_LIMIT: usize = 60_000;

    /// Returns the complete report as JSON, with the highest severity as `severity` and with `bump`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut json = serde_json::to_value(self).unwrap_or_default();
        json["severity"] = self.severity().map_or(Value::Null, |of| of.as_str().into());
        json["bump"] = self.bump().as_str().into();
        json
    }
}

impl SeverityCounts {
    /// The total.
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

impl fmt::Display for DescriptionVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.plan.as_deref().unwrap_or("a document");
        write!(f, "{plan} {}", self.version.as_deref().unwrap_or("without a version"))
    }
}

/// One line for each change except documentation.
impl fmt::Display for DriftReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SeverityCounts { breaking, notice, compatible, documentation } = self.counts;
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

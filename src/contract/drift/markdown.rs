//! A report in Markdown that fits into the description of a pull request.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::change::{Change, ChangeOwner, Severity};
use super::report::{DriftReport, SeverityCounts};

/// Maximum number of locations of a change in one line; the rest is counted.
const MAX_PLACES: usize = 8;
/// Maximum number of operations and webhooks beside them.
const MAX_REACHED: usize = 3;
/// Reserved for the note about omitted changes.
const RESERVE: usize = 400;

/// One heading with its changes.
struct Section<'a> {
    heading: &'static str,
    changes: Vec<&'a Change>,
    folded: bool,
}

/// Writes the report within [`DriftReport::MARKDOWN_LIMIT`].
pub(super) fn write(report: &DriftReport) -> String {
    let mut out = summary(report);
    let of = |severity: Severity| -> Vec<&Change> {
        report.changes.iter().filter(|change| change.severity == severity).collect()
    };
    let mut notices = of(Severity::Notice);
    // Changes with a removal date come first, the nearest date at the top.
    notices.sort_by_key(|change| (change.removal_date.is_none(), change.removal_date.clone()));
    let sections = [
        Section { heading: "Breaking", changes: of(Severity::Breaking), folded: false },
        Section { heading: "To notice", changes: notices, folded: false },
        Section { heading: "Compatible", changes: of(Severity::Compatible), folded: true },
    ];
    let mut remaining = DriftReport::MARKDOWN_LIMIT.saturating_sub(out.chars().count());
    for section in &sections {
        let text = section.write(remaining);
        remaining = remaining.saturating_sub(text.chars().count());
        out.push_str(&text);
    }
    out
}

/// The two descriptions, and the number of changes.
fn summary(report: &DriftReport) -> String {
    let SeverityCounts { breaking, notice, compatible, documentation } = report.counts;
    let (old, new) = (&report.old, &report.new);
    let mut out = format!(
        "From {} ({} operations, {} webhooks) to {} ({} operations, {} webhooks).\n\n",
        code(&old.to_string()),
        old.operations,
        old.webhooks,
        code(&new.to_string()),
        new.operations,
        new.webhooks
    );
    out.push_str("| For programs that run | Changes | Version of the crate |\n|---|---:|---|\n");
    let rows = [
        ("Breaking", Severity::Breaking, breaking),
        ("To notice", Severity::Notice, notice),
        ("Compatible", Severity::Compatible, compatible),
        ("Documentation only", Severity::Documentation, documentation),
    ];
    for (name, severity, count) in rows {
        let changes = report.changes.iter().filter(|change| change.severity == severity);
        let bump = changes.map(|change| change.bump).max();
        let bump = bump.map_or("", |bump| bump.as_str());
        let _ = writeln!(out, "| {name} | {count} | {bump} |");
    }
    let _ = writeln!(out, "| **Together** | {} | **{}** |", report.counts.total(), report.bump());
    out
}

impl Section<'_> {
    /// The section, within a maximum number of characters.
    fn write(&self, remaining: usize) -> String {
        if self.changes.is_empty() {
            return String::new();
        }
        let count = self.changes.len();
        let (head, tail) = match self.folded {
            true => (
                format!("\n<details>\n<summary>{} ({count})</summary>\n", self.heading),
                "\n</details>\n",
            ),
            false => (format!("\n## {} ({count})\n", self.heading), ""),
        };
        let frame =
            [tail.len(), RESERVE].into_iter().fold(head.chars().count(), usize::saturating_add);
        let Some(mut remaining) = remaining.checked_sub(frame) else {
            return match remaining.checked_sub(RESERVE / 2) {
                Some(_) => format!("\n{}: {count} changes are omitted.\n", self.heading),
                None => String::new(),
            };
        };
        let (mut out, mut written) = (head, 0);
        'groups: for group in groups(&self.changes) {
            let mut text = group.heading();
            for line in group.lines() {
                text.push_str(&line.write());
                let length = text.chars().count();
                if length > remaining {
                    break 'groups;
                }
                remaining = remaining.saturating_sub(length);
                out.push_str(&text);
                text.clear();
                written = line.changes.len().saturating_add(written);
            }
        }
        if written < count {
            let _ =
                writeln!(out, "\n…and {} more, which are omitted.", count.saturating_sub(written));
        }
        out.push_str(tail);
        out
    }
}

/// Changes with the same effect.
struct Group<'a> {
    changes: Vec<&'a Change>,
}

/// Changes that share one line: the same in several locations.
struct Line<'a> {
    changes: Vec<&'a Change>,
}

/// Groups changes with the same effect, the greatest bump first.
fn groups<'a>(changes: &[&'a Change]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for change in changes {
        let mark = |of: &Change| (of.kind, of.direction, of.bump, of.why);
        match groups.iter_mut().find(|group| mark(group.changes[0]) == mark(change)) {
            Some(group) => group.changes.push(change),
            None => groups.push(Group { changes: vec![change] }),
        }
    }
    groups.sort_by_key(|group| {
        let first = group.changes[0];
        (first.removal_date.is_none(), Reverse(first.bump), first.kind, first.direction)
    });
    groups
}

impl<'a> Group<'a> {
    fn heading(&self) -> String {
        let Change { kind, direction, bump, why, .. } = self.changes[0];
        format!("\n**{kind}** ({direction}; bump: {bump}): {}.\n\n", escape_outside_code(why))
    }

    fn lines(&self) -> Vec<Line<'a>> {
        let mut known: BTreeMap<(&str, &str, Option<&str>), usize> = BTreeMap::new();
        let mut lines: Vec<Line<'a>> = Vec::new();
        for change in &self.changes {
            let key = (&*change.path, &*change.message, change.removal_date.as_deref());
            let at = *known.entry(key).or_insert(lines.len());
            match lines.get_mut(at) {
                Some(line) => line.changes.push(change),
                None => lines.push(Line { changes: vec![change] }),
            }
        }
        lines
    }
}

impl Line<'_> {
    /// As an item of a list.
    fn write(&self) -> String {
        let Change { path, message, .. } = self.changes[0];
        let places = self.changes.iter().map(|change| match &change.owner {
            ChangeOwner::Operation(id) => format!("operation {}", code(id)),
            ChangeOwner::Webhook(key) => format!("webhook {}", code(key)),
            ChangeOwner::Component(name) => format!("component {}", code(name)),
            ChangeOwner::Description => "the whole document".to_owned(),
        });
        let mut out = format!("- {}", list_some(places.collect(), MAX_PLACES));
        if !path.is_empty() {
            let _ = write!(out, " at {}", code(path));
        }
        let _ = write!(out, ": {}", escape_outside_code(message));
        let itself: BTreeSet<&str> =
            self.changes.iter().map(|change| change.owner.name()).collect();
        let reached: BTreeSet<&str> = self
            .changes
            .iter()
            .flat_map(|change| change.operations.iter().chain(&change.webhooks))
            .map(String::as_str)
            .filter(|name| !itself.contains(name))
            .collect();
        if !reached.is_empty() {
            let _ = write!(
                out,
                ". Reaches {}",
                list_some(reached.into_iter().map(code).collect(), MAX_REACHED)
            );
        }
        out.push('\n');
        out
    }
}

/// The first ones, and the number of the rest.
fn list_some(words: Vec<String>, most: usize) -> String {
    let more = words.len().saturating_sub(most);
    let named: Vec<String> = words.into_iter().take(most).collect();
    match more {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// Text of the description as code, for any content, on one line.
fn code(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.saturating_add(1));
    match longest {
        0 => format!("{fence}{text}{fence}"),
        _ => format!("{fence} {text} {fence}"),
    }
}

/// Text of the description, escaped so that it contains no Markdown, no HTML and no mentions.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            c if c.is_control() => out.push(' '),
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            '\\' | '*' | '_' | '[' | ']' | '|' | '#' | '~' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// The same for a message, which has names and values within backticks.
fn escape_outside_code(message: &str) -> String {
    let parts: Vec<&str> = message.split('`').collect();
    // With an odd number of backticks, one of them belongs to the description.
    if parts.len().is_multiple_of(2) {
        return escape(&message.replace('`', "'"));
    }
    let written = parts.iter().enumerate().map(|(index, part)| match index % 2 {
        0 => escape(part),
        _ => code(part),
    });
    written.collect()
}

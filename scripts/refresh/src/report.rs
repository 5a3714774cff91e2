//! The report of a refresh: on the screen in short, in files completely.

use std::{fs, path::Path};

use crate::drift::{DriftReport, SemverBump, Severity};
use crate::problem::{Problem, Result};

pub const MARKDOWN: &str = "drift.md";
pub const JSON: &str = "drift.json";
pub const PROPOSAL: &str = "overlay-proposal.yaml";
/// The remaining manual steps, if there are any.
pub const NEXT: &str = "next.md";

/// Maximum number of changes on the screen.
const SHOWN: usize = 20;

/// Writes a file of the report, or removes an older one.
pub fn write(folder: &Path, name: &str, text: Option<&str>) -> Result<()> {
    let path = folder.join(name);
    match text {
        Some(text) => {
            fs::create_dir_all(folder).map_err(|e| Problem::at(folder, "create", &e))?;
            fs::write(&path, text).map_err(|e| Problem::at(&path, "write", &e))
        }
        None if path.exists() => {
            fs::remove_file(&path).map_err(|e| Problem::at(&path, "remove", &e))
        }
        None => Ok(()),
    }
}

/// Removes the files of an earlier run, so that they are not mistaken for this one's.
pub fn clear(folder: &Path) -> Result<()> {
    [MARKDOWN, JSON, PROPOSAL, NEXT].iter().try_for_each(|name| write(folder, name, None))
}

/// Writes the changes, completely. `more` follows them in Markdown.
pub fn write_drift(folder: &Path, report: &DriftReport, more: Option<&str>) -> Result<()> {
    write(folder, MARKDOWN, Some(&(report.to_markdown() + more.unwrap_or_default())))?;
    write(folder, JSON, Some(&format!("{:#}\n", report.to_json())))
}

/// The exit status for scripts: the effect of the changes on users of the library.
pub fn status(report: &DriftReport) -> u8 {
    match report.severity() {
        Some(Severity::Breaking) => 20,
        Some(Severity::Notice) => 10,
        Some(_) | None => 0,
    }
}

/// The changes, in short.
pub fn summary(report: &DriftReport) -> String {
    let counts = &report.counts;
    let mut text = format!(
        "\n## {} to {}\n\n{} breaking, {} to notice, {} compatible, {} of the documentation.\n",
        report.old,
        report.new,
        counts.breaking,
        counts.notice,
        counts.compatible,
        counts.documentation
    );
    let grave: Vec<_> =
        report.changes.iter().filter(|change| change.severity >= Severity::Notice).collect();
    if !grave.is_empty() {
        text.push('\n');
    }
    for change in grave.iter().take(SHOWN) {
        text.push_str(&format!("- {change}\n"));
    }
    if grave.len() > SHOWN {
        text.push_str(&format!("- and {} more\n", grave.len() - SHOWN));
    }
    text
}

/// The next version, in words.
pub fn bump(bump: SemverBump) -> &'static str {
    match bump {
        SemverBump::Major => "a major version (before 1.0, a minor one)",
        SemverBump::Minor => "a minor version",
        SemverBump::Patch => "a patch",
        _ => "no new version",
    }
}

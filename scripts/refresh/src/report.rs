//! What a refresh says: on the screen in short, in files as a whole.

use std::{fs, path::Path};

use crate::drift::{Bump, Report, Severity};
use crate::problem::{Problem, Result};

pub const MARKDOWN: &str = "drift.md";
pub const JSON: &str = "drift.json";
pub const PROPOSAL: &str = "overlay-proposal.yaml";
/// What is left to do by hand, if there is anything.
pub const NEXT: &str = "next.md";

/// The most changes that are shown on the screen.
const SHOWN: usize = 20;

/// Writes a file of the report, or takes an older one away.
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

/// Takes the files of an earlier run away, so that none is read as of this one.
pub fn clear(folder: &Path) -> Result<()> {
    [MARKDOWN, JSON, PROPOSAL, NEXT].iter().try_for_each(|name| write(folder, name, None))
}

/// Writes what changed, whole.
/// `more` follows it in Markdown.
pub fn write_drift(folder: &Path, report: &Report, more: Option<&str>) -> Result<()> {
    write(folder, MARKDOWN, Some(&(report.to_markdown() + more.unwrap_or_default())))?;
    write(folder, JSON, Some(&format!("{:#}\n", report.to_json())))
}

/// The exit status: for scripts, by what a change does to who uses the library.
pub fn status(report: &Report) -> u8 {
    match report.severity() {
        Some(Severity::Breaking) => 20,
        Some(Severity::Notice) => 10,
        Some(_) | None => 0,
    }
}

/// What changed, in short.
pub fn summary(report: &Report) -> String {
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

/// The version that comes next, in words.
pub fn bump(bump: Bump) -> &'static str {
    match bump {
        Bump::Major => "a major version (before 1.0, a minor one)",
        Bump::Minor => "a minor version",
        Bump::Patch => "a patch",
        _ => "no new version",
    }
}

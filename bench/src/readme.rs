//! All measurements with one command, which records their tables in the documents.
//!
//! Each measurement is a process of its own, and its output is written to its section of `bench/README.md`. The tables of
//! the other documents are derived from those sections, so that a figure is measured once.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Result, derived, measure, tables, targets};

const BENCH: &str = "bench/README.md";

/// A section of `bench/README.md`, and the command that measures it.
const SECTIONS: [(&str, &[&str]); 17] = [
    ("calls", &["calls"]),
    ("pairs", &["calls", "--pairs"]),
    ("cache-sim", &["calls", "--cache-sim"]),
    ("latency", &["latency"]),
    ("futures", &["futures"]),
    ("cold", &["cold"]),
    ("pages", &["pages"]),
    ("memory", &["memory"]),
    ("auth", &["auth"]),
    ("cache", &["cache"]),
    ("limits", &["limits"]),
    ("leases", &["leases"]),
    ("store", &["store"]),
    ("webhooks", &["webhooks"]),
    ("telemetry", &["telemetry"]),
    ("peers", &["peers"]),
    ("instructions", &["instructions"]),
];

/// Measures the sections of these names, or all, and records them. `--derive` measures nothing.
pub fn run(names: &[&str]) -> Result<()> {
    let known = |name: &&str| SECTIONS.iter().any(|(section, _)| section == name);
    let sections: Vec<_> = match names {
        [] => SECTIONS.iter().collect(),
        ["--derive"] => Vec::new(),
        names => match names.iter().find(|name| !known(name)) {
            Some(name) => return Err(format!("there is no section {name}").into()),
            None => SECTIONS.iter().filter(|(section, _)| names.contains(section)).collect(),
        },
    };
    let mut failed = Vec::new();
    for (section, arguments) in sections {
        eprintln!("== {section}");
        match measured(arguments) {
            // Written at once, so that an interrupted run keeps what it has measured.
            Ok(output) => edit(BENCH, |document| tables::replace(document, section, &output))?,
            Err(error) => failed.push(format!("{section}: {error}")),
        }
    }
    let bench = read(BENCH)?;
    edit(BENCH, |document| tables::replace(document, "targets", &targets::table(&bench)?))?;
    for (path, section, derive) in derived::TABLES {
        edit(path, |document| tables::replace(document, section, &derive(&bench)?))?;
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("not measured, and left as recorded:\n{}", failed.join("\n")).into()),
    }
}

/// The output of a measurement, which reports its progress on standard error.
fn measured(arguments: &[&str]) -> Result<String> {
    let rounds = measure::rounds().to_string();
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments);
    if arguments.contains(&"--pairs") {
        command.arg(&rounds);
    }
    let run = command.args(["--rounds", &rounds]).stderr(Stdio::inherit()).output()?;
    match run.status.success() {
        true => Ok(String::from_utf8(run.stdout)?),
        false => Err(format!("{command:?}: {}", run.status).into()),
    }
}

fn path(document: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(document)
}

fn read(document: &str) -> Result<String> {
    let path = path(document);
    std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn edit(document: &str, change: impl FnOnce(&str) -> Result<String>) -> Result<()> {
    let changed = change(&read(document)?).map_err(|error| format!("{document}: {error}"))?;
    Ok(std::fs::write(path(document), changed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_is_recorded() {
        let bench = read(BENCH).expect("the document");
        for (section, _) in SECTIONS {
            let text = tables::section(&bench, section).expect("a section");
            assert!(tables::day(text).is_some(), "{section} has no day");
        }
    }

    #[test]
    fn derived_tables_are_those_of_the_recorded_figures() {
        let bench = read(BENCH).expect("the document");
        let expected = targets::table(&bench).expect("a table");
        let recorded = tables::section(&bench, "targets").expect("a section");
        assert_eq!(recorded.trim(), expected.trim(), "run octowire-bench readme --derive");
        for (path, section, derive) in derived::TABLES {
            let document = read(path).expect("the document");
            let recorded = tables::section(&document, section).expect("a section");
            let expected = derive(&bench).expect("a table");
            assert_eq!(
                recorded.trim(),
                expected.trim(),
                "{path}: run octowire-bench readme --derive"
            );
        }
    }
}

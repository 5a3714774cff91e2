//! Where a document comes from: npm, a file, or GitHub's own repository.

mod description;
mod npm;

use std::{fs, path::Path, path::PathBuf};

use serde_json::Value;

use crate::build::{overlay, verify};
use crate::options::Source;
use crate::problem::{Problem, Result};

/// The only edition that is vendored.
pub const EDITION: &str = "api.github.com";

/// A document as it was published, and where.
pub struct Published {
    pub package: String,
    pub version: String,
    /// The file within the package.
    pub file: String,
    pub license: String,
    /// The license's text, where the package has one.
    pub license_text: Option<Vec<u8>>,
    pub bytes: Vec<u8>,
    pub document: Value,
    /// The other editions that were published with it, such as `ghec`; `None` if they are not
    /// at hand.
    pub others: Option<Vec<PathBuf>>,
}

/// Fetches a document. `work` is a folder for what is downloaded; `package` is
/// the package that the vendored document is of.
pub fn fetch(source: &Source, work: &Path) -> Result<Published> {
    match source {
        Source::Npm(version) => npm::fetch(version.as_deref(), work),
        Source::File(path) => file(path),
        Source::Description(reference) => description::fetch(reference.as_deref(), work),
    }
}

fn file(path: &Path) -> Result<Published> {
    let folder = path.parent().and_then(Path::parent).filter(|it| it.join("package.json").exists());
    match folder {
        // It is of a package that somebody has unpacked.
        Some(folder) => npm::unpacked(folder, path),
        None => {
            let (bytes, document) = read(path)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok(Published {
                package: "file".to_owned(),
                version: text(&document["info"]["version"], "unknown"),
                file: name,
                license: text(&document["info"]["license"]["name"], "unknown"),
                license_text: None,
                bytes,
                document,
                others: None,
            })
        }
    }
}

/// Reads a document, and checks that it is one, whole and of the edition that is vendored.
fn read(path: &Path) -> Result<(Vec<u8>, Value)> {
    let bytes = fs::read(path).map_err(|e| Problem::at(path, "read", &e))?;
    let document: Value = serde_json::from_slice(&bytes).map_err(|e| {
        Problem::failed(format!(
            "{} is not valid JSON, or is incomplete: {e}; download it again",
            path.display()
        ))
    })?;
    verify::check(&document)?;
    let edition = overlay::document_name(&document);
    if edition != EDITION {
        return Err(Problem::failed(format!(
            "{} is the document of {edition}, but {EDITION} is vendored; to build from another \
             edition, set OCTOWIRE_OPENAPI",
            path.display()
        )));
    }
    Ok((bytes, document))
}

fn text(value: &Value, otherwise: &str) -> String {
    value.as_str().unwrap_or(otherwise).to_owned()
}

/// Runs a program; gives what it printed.
fn run(command: &mut std::process::Command, doing: &str) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| {
        Problem::failed(format!("cannot run {name} to {doing}: {e}; install it, or pass a file"))
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    Err(Problem::failed(format!("{name} could not {doing} ({}): {said}", output.status)))
}

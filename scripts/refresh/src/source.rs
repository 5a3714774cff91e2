//! The source of a description: npm, a file, or GitHub's own repository.

mod description;
mod npm;

use std::{fs, path::Path, path::PathBuf};

use serde_json::Value;

use crate::options::Source;
use crate::problem::{Problem, Result};
use octowire_codegen::{document, load};

/// The only vendored edition.
pub const VERSION: &str = "api.github.com";

/// A description as it was published, and its source.
pub struct Published {
    pub package: String,
    pub version: String,
    /// The file within the package.
    pub file: String,
    pub license: String,
    /// The text of the license, if the package has one.
    pub license_text: Option<Vec<u8>>,
    pub bytes: Vec<u8>,
    pub document: Value,
    /// The other editions that were published with it, such as `ghec`; `None` if they are not available.
    pub others: Option<Vec<PathBuf>>,
}

/// Fetches a description. `work` is a folder for downloads; `package` is the package of the vendored
/// description.
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
        // It is part of an unpacked package.
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

/// Reads a description, and checks that it is complete and of the vendored edition.
fn read(path: &Path) -> Result<(Vec<u8>, Value)> {
    let bytes = fs::read(path).map_err(|e| Problem::at(path, "read", &e))?;
    let document: Value = serde_json::from_slice(&bytes).map_err(|e| {
        Problem::failed(format!(
            "{} is not valid JSON, or is incomplete: {e}; download it again",
            path.display()
        ))
    })?;
    load::check(&document)?;
    let version = document::document_name(&document);
    if version != VERSION {
        return Err(Problem::failed(format!(
            "{} is the document of {version}, but {VERSION} is vendored; to build from another \
             edition, set OCTOWIRE_OPENAPI",
            path.display()
        )));
    }
    Ok((bytes, document))
}

fn text(value: &Value, otherwise: &str) -> String {
    value.as_str().unwrap_or(otherwise).to_owned()
}

/// Runs a program; returns its output.
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

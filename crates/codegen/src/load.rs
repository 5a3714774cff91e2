//! Stage `load`: checks that the document is the expected one, and that the pipeline can read it.

use std::{fs, path::Path};

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::cycles;
use crate::error::{Error, Result};

const STAGE: &str = "load";

/// `upstream.toml`: the source of the vendored description.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    dead_code,
    reason = "the build needs the checksum alone; the rest is for people and scripts"
)]
pub struct Upstream {
    /// The npm package.
    pub package: String,
    /// The version of the package.
    pub version: String,
    /// The file in the package.
    pub file: String,
    /// The SHA-256 checksum of the file, in hexadecimal digits.
    pub sha256: String,
    /// The day on which the file was retrieved.
    pub retrieved: String,
    /// The SPDX identifier of the license.
    pub license: String,
}

/// Reads the vendored description and checks it against its `upstream.toml`.
pub fn load_vendored(document: &Path, upstream: &Path) -> Result<Value> {
    let bytes = read(document)?;
    let upstream = String::from_utf8(read(upstream)?)
        .map_err(|e| Error::new(STAGE, "", format!("{} is not UTF-8: {e}", upstream.display())))
        .and_then(|text| {
            basic_toml::from_str::<Upstream>(&text)
                .map_err(|e| Error::new(STAGE, "", format!("{}: {e}", upstream.display())))
        })?;
    let actual = sha256(&bytes);
    if actual != upstream.sha256 {
        return Err(Error::new(
            STAGE,
            "",
            format!(
                "{} has SHA-256 {actual}, but upstream.toml says {}: the document was edited \
                 (corrections belong in overlay.yaml) or replaced without its upstream.toml \
                 (refresh both together)",
                document.display(),
                upstream.sha256
            ),
        ));
    }
    parse(&bytes, document)
}

/// Reads a description that the user names, which has no known checksum.
pub fn load_custom(document: &Path) -> Result<Value> {
    parse(&read(document)?, document)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path)
        .map_err(|e| Error::new(STAGE, "", format!("cannot read {}: {e}", path.display())))
}

fn parse(bytes: &[u8], path: &Path) -> Result<Value> {
    let document: Value = serde_json::from_slice(bytes)
        .map_err(|e| Error::new(STAGE, "", format!("{} is not JSON: {e}", path.display())))?;
    check(&document)?;
    Ok(document)
}

/// Checks that the description has the parts that later stages rely on.
pub fn check(document: &Value) -> Result<()> {
    match document["openapi"].as_str() {
        Some(version) if version.starts_with("3.0.") => {}
        Some(version) => {
            return Err(Error::new(
                STAGE,
                "/openapi",
                format!(
                    "unsupported OpenAPI version {version}; the pipeline reads 3.0 (GitHub \
                     publishes both: use the description without `-3.1` in its path)"
                ),
            ));
        }
        None => {
            return Err(Error::new(STAGE, "/openapi", "not an OpenAPI document: no `openapi`"));
        }
    }
    match document.get("paths").map(Value::as_object) {
        Some(Some(paths)) if !paths.is_empty() => cycles::check(document),
        _ => Err(Error::new(STAGE, "/paths", "the document has no `paths`, so no operations")),
    }
}

/// The checksum, as `upstream.toml` has it.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

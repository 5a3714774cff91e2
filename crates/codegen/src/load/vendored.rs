//! The checksum of the vendored description.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{STAGE, parse, read};
use crate::error::{Error, Result};

/// `upstream.toml`: the source of the vendored description.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    dead_code,
    reason = "the check needs the checksum alone; the rest is for people and scripts"
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

/// The checksum, as `upstream.toml` has it.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

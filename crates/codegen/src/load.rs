//! Stage `load`: reads the document, and checks that the pipeline can read it.
//!
//! [`vendored`] checks that the document is the expected one as well, which takes as long as reading it. So the build
//! script leaves that to the tests and the refresh.

use std::{fs, path::Path};

use serde_json::Value;

use crate::cycles;
use crate::error::{Error, Result};

#[cfg(feature = "checksum")]
pub mod vendored;

const STAGE: &str = "load";

/// Reads a description.
pub fn load(document: &Path) -> Result<Value> {
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

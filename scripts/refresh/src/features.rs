//! Checks that the library has a feature for each part of a description, and a name for each scope.

use std::collections::BTreeMap;
use std::{fs, path::Path};

use serde::Deserialize;
use serde_json::Value;

use octowire_codegen::reserved_scopes::ReservedScopes;
use octowire_codegen::select;

use crate::problem::{Problem, Result};

#[derive(Deserialize)]
struct Manifest {
    features: BTreeMap<String, Vec<String>>,
}

/// Describes the features that Cargo.toml lacks: those of tags and of webhook events, and tags that `full`
/// leaves out. Returns nothing if there is no Cargo.toml.
pub fn missing(root: &Path, document: &Value) -> Result<Vec<String>> {
    let path = root.join("Cargo.toml");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&path).map_err(|e| Problem::at(&path, "read", &e))?;
    let manifest: Manifest = basic_toml::from_str(&text)
        .map_err(|e| Problem::failed(format!("{}: {e}", path.display())))?;
    let has = |feature: &str| manifest.features.contains_key(feature);
    let full = manifest.features.get("full").map(Vec::as_slice).unwrap_or_default();
    let mut missing = Vec::new();
    for tag in select::tags(document).into_keys() {
        if !has(tag) {
            missing.push(format!("feature `{tag}`"));
        }
        if !full.iter().any(|other| other == tag) {
            missing.push(format!("`{tag}` in the feature `full`"));
        }
    }
    for event in select::events(document) {
        let feature = select::event_feature(&event);
        if !has(&feature) {
            missing.push(format!("feature `{feature}`"));
        }
    }
    Ok(missing)
}

/// The names that no scope can have in the library at `root`: those of its source, if it is there.
pub fn reserved_scopes(root: &Path) -> octowire_codegen::Result<ReservedScopes> {
    let src = root.join("src");
    if src.is_dir() { ReservedScopes::read(&src) } else { Ok(ReservedScopes::default()) }
}

//! Part of stage `overlay`: its actions, resolved to JSON pointers of the vendored description.
//!
//! A build of the vendored description applies `corrections.json`, and compiles neither a parser of YAML nor an engine of
//! JSONPath. The refresh writes the file from `overlay.yaml`, by the module `overlay`, which evaluates the actions on any
//! description.
//!
//! The file also has the overlay's [names](crate::type_names) of generated types, with all names of each of these types.

use std::collections::BTreeMap;
use std::{fs, path::Path};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::type_names::{TypeName, TypeNames};

const STAGE: &str = "overlay";

/// The file's name.
pub const FILE: &str = "corrections.json";

/// The name of the file that they are resolved from.
pub const OVERLAY: &str = "overlay.yaml";

/// The command that writes the file.
const COMMAND: &str = "./scripts/refresh-openapi.sh --index";

/// The corrections of one description, in their order, and the names of types.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corrections {
    /// The [`fingerprint`] of the overlay that they were resolved from.
    overlay: String,
    corrections: Vec<Correction>,
    types: Vec<TypeName>,
    variants: BTreeMap<String, BTreeMap<String, String>>,
}

impl Corrections {
    /// Returns the names of generated types.
    pub fn type_names(&self) -> TypeNames {
        TypeNames { types: self.types.clone(), variants: self.variants.clone() }
    }
}

/// A correction of some parts of a description.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// The value that is merged into each part; if absent, each is removed.
    pub update: Option<Value>,
    /// The JSON pointers of the parts, in the description that the corrections before this one have changed.
    pub at: Vec<String>,
}

/// Reads the corrections from the folder `openapi`.
///
/// # Errors
/// If the overlay beside the file has changed since the file was written.
pub fn read(openapi: &Path) -> Result<Corrections> {
    let text = |name: &str| {
        let path = openapi.join(name);
        fs::read_to_string(&path)
            .map_err(|e| Error::new(STAGE, "", format!("cannot read {}: {e}", path.display())))
    };
    parse(&text(FILE)?, &text(OVERLAY)?)
}

/// Reads the corrections from the file's text and that of the overlay.
pub fn parse(text: &str, overlay: &str) -> Result<Corrections> {
    let corrections: Corrections = serde_json::from_str(text).map_err(|e| {
        Error::new(STAGE, "", format!("invalid {FILE}: {e}; write it again with {COMMAND}"))
    })?;
    if corrections.overlay != fingerprint(overlay) {
        let message = format!("{FILE} is not that of {OVERLAY}, which has changed; run {COMMAND}");
        return Err(Error::new(STAGE, "/overlay", message));
    }
    Ok(corrections)
}

/// Writes the text of the file: a line for each correction and each name, so that a diff shows them.
pub fn render(corrections: &[Correction], names: &TypeNames, overlay: &str) -> String {
    let corrections: Vec<String> = corrections.iter().map(Correction::to_json).collect();
    let types: Vec<String> = names.types.iter().map(|entry| json!(entry).to_string()).collect();
    let variants = names.variants.iter();
    let variants: Vec<String> =
        variants.map(|(union, names)| format!("{}:{}", json!(union), json!(names))).collect();
    format!(
        "{{\n\"overlay\": \"{}\",\n\"corrections\": [\n{}\n],\n\"types\": [\n{}\n],\n\"variants\": {{\n{}\n}}\n}}\n",
        fingerprint(overlay),
        corrections.join(",\n"),
        types.join(",\n"),
        variants.join(",\n"),
    )
}

/// Applies the corrections.
pub fn apply(document: &mut Value, corrections: &Corrections) -> Result<()> {
    for (index, correction) in corrections.corrections.iter().enumerate() {
        if let Err(missing) = correction.apply(document) {
            return Err(Error::new(
                STAGE,
                format!("/corrections/{index}"),
                format!("{FILE} is not that of the description: no {missing}; run {COMMAND}"),
            ));
        }
    }
    Ok(())
}

impl Correction {
    /// Applies the correction. Fails with the pointer of a part that the description lacks.
    fn apply<'a>(&'a self, document: &mut Value) -> std::result::Result<(), &'a str> {
        for pointer in &self.at {
            let is_there = match &self.update {
                Some(update) => {
                    let target = document.pointer_mut(pointer);
                    target.map(|target| merge(target, update)).is_some()
                }
                None => remove(document, pointer),
            };
            if !is_there {
                return Err(pointer);
            }
        }
        Ok(())
    }

    fn to_json(&self) -> String {
        let mut object = Map::new();
        if let Some(update) = &self.update {
            object.insert("update".to_owned(), update.clone());
        }
        object.insert("at".to_owned(), self.at.iter().cloned().collect());
        Value::Object(object).to_string()
    }
}

/// The update of Overlay 1.0: objects merge by key, an array receives the update as one more element, any
/// other value is replaced.
pub(crate) fn merge(target: &mut Value, update: &Value) {
    match (target, update) {
        (Value::Object(target), Value::Object(update)) => {
            for (key, value) in update {
                match target.get_mut(key) {
                    Some(old) if old.is_object() && value.is_object() => merge(old, value),
                    _ => {
                        target.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(target), update) => target.push(update.clone()),
        (target, update) => *target = update.clone(),
    }
}

/// Removes a part of a document. Returns whether it was there.
pub(crate) fn remove(document: &mut Value, pointer: &str) -> bool {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return false };
    let last = last.replace("~1", "/").replace("~0", "~");
    match document.pointer_mut(parent) {
        Some(Value::Object(map)) => map.shift_remove(&last).is_some(),
        Some(Value::Array(items)) => match last.parse::<usize>() {
            Ok(index) if index < items.len() => {
                items.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

/// A checksum that shows a change: the FNV-1a hash of the text, without the carriage returns that a checkout can add.
fn fingerprint(text: &str) -> String {
    let bytes = text.bytes().filter(|byte| *byte != b'\r');
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

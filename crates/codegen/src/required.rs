//! Stage `required`: a property of a response is required only if every supported version of the description
//! requires it.
//!
//! GitHub documents properties as required that older versions of the description, and so GitHub Enterprise
//! Server and earlier states of github.com, do not have. The refresh collects them in
//! `openapi/not-required.tsv`; this stage makes them optional in responses. Requests stay as in the current
//! description.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::document::{self, schema_name};
use crate::error::{Error, Result};

const STAGE: &str = "required";

/// The file's name.
pub const FILE: &str = "not-required.tsv";

/// Marks the properties of a schema that are required in requests and not in responses.
pub const NOT_REQUIRED: &str = "x-octowire-not-required";

/// A property that the description requires, and other supported versions of it do not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NotRequired {
    /// The JSON pointer of the schema.
    pub schema: String,
    /// The name of the property.
    pub property: String,
    /// The versions that do not require it, such as `20.0.0` or `ghes-3.17`.
    pub versions: Vec<String>,
}

/// Reads the file.
pub fn read(path: &Path) -> Result<Vec<NotRequired>> {
    let text = fs::read_to_string(path)
        .map_err(|e| Error::new(STAGE, "", format!("cannot read {}: {e}", path.display())))?;
    parse(&text)
}

/// Reads the file's text: one line for each property, with tab-separated columns.
pub fn parse(text: &str) -> Result<Vec<NotRequired>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#'));
    let line = |(index, line): (usize, &str)| match line.split('\t').collect::<Vec<_>>()[..] {
        [schema, property, versions] if schema.starts_with('/') && !property.is_empty() => {
            Ok(NotRequired {
                schema: schema.to_owned(),
                property: property.to_owned(),
                versions: versions.split(", ").map(str::to_owned).collect(),
            })
        }
        _ => Err(Error::new(
            STAGE,
            "",
            format!(
                "invalid line {} of {FILE}: expected `schema`, `property` and `versions` separated \
                 by tabs; regenerate the file with ./scripts/refresh-openapi.sh --required",
                index + 1
            ),
        )),
    };
    lines.filter(|(_, line)| !line.is_empty()).map(line).collect()
}

/// Makes these properties optional in responses. A schema that the description does not have is skipped: the
/// file concerns the vendored one.
pub fn relax(document: &mut Value, properties: &[NotRequired]) {
    let sent = sent_components(document);
    for NotRequired { schema: pointer, property, .. } in properties {
        let component = pointer.strip_prefix("/components/schemas/");
        let component = component.and_then(|rest| rest.split('/').next());
        let is_sent = component.is_some_and(|name| sent.contains(name));
        let Some(schema) = document.pointer_mut(pointer).and_then(Value::as_object_mut) else {
            continue;
        };
        if is_sent {
            let marked = schema.entry(NOT_REQUIRED).or_insert_with(|| json!([]));
            if let Some(marked) = marked.as_array_mut() {
                marked.push(json!(property));
            }
        } else if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|name| name != property);
        }
    }
}

/// Makes the marked properties of a response schema optional, and removes the mark.
pub fn relax_marked(schema: &mut Value, is_sent: bool) {
    let Some(schema) = schema.as_object_mut() else { return };
    let Some(marked) = schema.shift_remove(NOT_REQUIRED) else { return };
    let marked = marked.as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut)
        && !is_sent
    {
        required.retain(|name| !marked.contains(name));
    }
}

/// The component schemas that requests can contain.
pub fn sent_components(document: &Value) -> BTreeSet<String> {
    let mut open: Vec<&str> = Vec::new();
    for located in document::operations(document) {
        for side in ["parameters", "requestBody"] {
            if let Some(side) = located.operation.get(side) {
                document::references(side, &mut |reference| open.push(reference));
            }
        }
    }
    let mut seen = BTreeSet::new();
    let mut sent = BTreeSet::new();
    while let Some(reference) = open.pop() {
        if !seen.insert(reference) {
            continue;
        }
        sent.extend(schema_name(reference).map(str::to_owned));
        let target = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
        if let Some(target) = target {
            document::references(target, &mut |reference| open.push(reference));
        }
    }
    sent
}

//! Part of stage `load`: schemas that consist of themselves.
//!
//! A list of itself, or a schema that includes all of itself, has no Rust type, and reading such a document
//! would recurse without end. A schema can have itself in a property: that is a tree.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::document;
use crate::error::{Error, Result};

const STAGE: &str = "load";

/// Maximum number of parts of a schema, with all references expanded. The largest of GitHub's have some
/// hundreds.
const MAX_PARTS: u64 = 100_000;

/// The state of a reference's target: its parts, once those of all its components are known.
type KnownSizes<'a> = BTreeMap<&'a str, Option<u64>>;

/// Rejects schemas that consist of themselves, or that expand to too many parts.
pub fn check(document: &Value) -> Result<()> {
    let mut all = Vec::new();
    document::references(document, &mut |reference| all.push(reference));
    let mut known = KnownSizes::new();
    // Each schema is visited twice: before and after its components. This is not recursive, since a chain of
    // references can be as long as the document.
    let mut open: Vec<(&str, bool)> = all.into_iter().map(|reference| (reference, false)).collect();
    while let Some((reference, is_after)) = open.pop() {
        let pointer = reference.strip_prefix('#').unwrap_or_default();
        // The stage that needs the reference reports one that leads nowhere.
        let Some(target) = document.pointer(pointer).filter(|_| !pointer.is_empty()) else {
            continue;
        };
        let (parts, references) = consists_of(target);
        if is_after {
            let below = references.iter().map(|other| known.get(other).copied().flatten());
            let parts = below.fold(parts, |all, below| all.saturating_add(below.unwrap_or(0)));
            if parts > MAX_PARTS {
                let message = format!("the schema has more than {MAX_PARTS} parts");
                return Err(Error::new(STAGE, pointer, message));
            }
            known.insert(reference, Some(parts));
            continue;
        }
        match known.get(reference) {
            Some(Some(_)) => continue,
            Some(None) => {
                return Err(Error::new(STAGE, pointer, "the schema contains itself"));
            }
            None => {}
        }
        known.insert(reference, None);
        open.push((reference, true));
        open.extend(references.into_iter().map(|reference| (reference, false)));
    }
    Ok(())
}

/// Returns the number of a schema's parts, and the references of these, without those of its properties.
fn consists_of(schema: &Value) -> (u64, Vec<&str>) {
    let (mut parts, mut references, mut open) = (0_u64, Vec::new(), vec![schema]);
    while let Some(schema) = open.pop() {
        parts = parts.saturating_add(1);
        references.extend(schema.get("$ref").and_then(Value::as_str));
        open.extend(["items", "not"].iter().filter_map(|key| schema.get(key)));
        let lists = ["allOf", "anyOf", "oneOf"].into_iter();
        open.extend(lists.flat_map(|key| document::array(schema, key)));
    }
    (parts, references)
}

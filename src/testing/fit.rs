//! Examples that keep to their own schema.
//!
//! Every sixth example of GitHub's document does not: a property is missing, `null` stands for an
//! object, a number is written as text. A mock that answers so would teach its users what GitHub
//! does not do; so whatever does not fit gives way to the smallest value that does, and all else
//! stays.

use serde_json::Value;

use super::minimal::minimal_value;
use crate::contract::{DeviationKind, Schema, Schemas, parts_at, unescaped};

/// Mending one place may show the next one; no example of GitHub's needs more rounds than that.
const MAX_ROUNDS: usize = 12;

/// The example, mended.
pub(super) fn fit(mut example: Value, schema: &Schema, schemas: &Schemas) -> Value {
    for _ in 0..MAX_ROUNDS {
        let misfits = schema.misfits(&example, schemas);
        if misfits.is_empty() {
            break;
        }
        for misfit in misfits {
            let value = smallest_at(&misfit.pointer, schema, schemas);
            match misfit.kind {
                DeviationKind::MissingProperty => insert(&mut example, &misfit.pointer, value),
                _ => {
                    if let Some(place) = example.pointer_mut(&misfit.pointer) {
                        *place = value;
                    }
                }
            }
        }
    }
    // The deepest first, so that the others stay where they are.
    for pointer in schema.undocumented(&example, schemas).iter().rev() {
        remove(&mut example, pointer);
    }
    match schema.fits(&example, schemas) {
        true => example,
        false => minimal_value(&schema.value, schemas),
    }
}

/// The smallest value for a place in a body.
fn smallest_at(pointer: &str, schema: &Schema, schemas: &Schemas) -> Value {
    let parts = parts_at(pointer, &schema.value, schemas);
    let schema = parts.first().copied().unwrap_or(&Value::Null);
    minimal_value(schema, schemas)
}

fn insert(example: &mut Value, pointer: &str, value: Value) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    if let Some(Value::Object(parent)) = example.pointer_mut(parent) {
        parent.insert(unescaped(name), value);
    }
}

fn remove(example: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    if let Some(Value::Object(parent)) = example.pointer_mut(parent) {
        parent.remove(&unescaped(name));
    }
}

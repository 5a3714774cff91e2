//! Corrections of examples that violate their own schema.
//!
//! Every sixth example in GitHub's description does: a property is missing, `null` replaces an object, or a
//! number is written as text. A mock with such responses would differ from GitHub. So the smallest conforming
//! value replaces each violating part, and all other parts stay.

use serde_json::Value;

use super::minimal::minimal_value;
use crate::contract::{DeviationKind, Schema, Schemas, parts_at, unescaped};

/// Maximum number of rounds: correcting one part can reveal another. No example of GitHub's needs more.
const MAX_ROUNDS: usize = 12;

/// The corrected example.
pub(super) fn repair_example(mut example: Value, schema: &Schema, schemas: &Schemas) -> Value {
    for _ in 0..MAX_ROUNDS {
        let misfits = schema.violations(&example, schemas);
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
    // The deepest first, so that the locations of the others stay valid.
    for pointer in schema.undocumented(&example, schemas).iter().rev() {
        remove(&mut example, pointer);
    }
    match schema.is_valid(&example, schemas) {
        true => example,
        false => minimal_value(&schema.value, schemas),
    }
}

/// The smallest value for a location in a body.
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

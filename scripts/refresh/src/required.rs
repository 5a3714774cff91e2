//! `openapi/not-required.tsv`: the properties that the description requires of responses, and other supported
//! versions do not.
//!
//! A refresh compares with the description that was vendored before and with the editions that are published
//! with the new one, and keeps the entries of earlier versions. So the file covers all versions since the
//! first, without downloading them again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::problem::{Problem, Result};
use octowire_codegen::document::{self, document_name, pointer};
pub use octowire_codegen::required::{FILE, NotRequired, parse};
use octowire_codegen::{load, webhooks};

const PREFACE: &str = "\
# Properties that the OpenAPI description requires of responses, and other supported versions of it do not: `Option`
# in the types that are read, so that GitHub Enterprise Server and yesterday's github.com decode.
# Written by `./scripts/refresh-openapi.sh`; see CONTRIBUTING.md.
#
# JSON pointer of the schema, property, versions of api.github.com (the oldest and the newest of several) and editions
# that do not require it; separated by tabs.
";

/// Maximum nesting of schemas; deeper is a defect that the build reports.
const MAX_DEPTH: usize = 40;

/// The required properties of a description's objects, by the JSON pointers of their schemas.
type Requirements = BTreeMap<String, Requirement>;

/// The required properties of an object.
struct Requirement {
    names: BTreeSet<String>,
    /// The variants of the unions and the parts of the `allOf`s that contain the object: if another version
    /// has different ones, their indices are not comparable.
    within: String,
}

/// A description that is still in use beside the vendored one.
pub struct Version {
    /// `20.0.0` for api.github.com, `ghes-3.17` for another edition.
    pub name: String,
    pub document: Value,
}

/// The editions that are published with a description.
#[derive(Default)]
pub struct OtherVersions {
    read: Vec<Version>,
    /// The names of the broken ones, about which nothing is known.
    broken: BTreeSet<String>,
}

impl OtherVersions {
    /// Reads these files.
    pub fn read(paths: &[PathBuf]) -> Self {
        let mut versions = Self::default();
        for path in paths {
            match load::load(path) {
                Ok(document) => {
                    versions.read.push(Version { name: document_name(&document), document });
                }
                Err(_) => {
                    let name = path.file_stem().unwrap_or_default().to_string_lossy();
                    versions.broken.insert(name.into_owned());
                }
            }
        }
        versions
    }
}

/// Returns the properties that `document` requires and one of `versions` or of its editions does not, with
/// the entries in `before` of versions that are no longer available.
///
/// An entry in `before` of an edition stays if the editions are not available (`None`), or if this one is
/// broken; it is removed if the edition is no longer published.
pub fn collect(
    document: &Value,
    versions: &[Version],
    others: Option<&OtherVersions>,
    before: &[NotRequired],
) -> Vec<NotRequired> {
    let stays = |name: &String| {
        is_version(name) || others.is_none_or(|others| others.broken.contains(name))
    };
    let required = requirements(document);
    let mut found: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for entry in before {
        let is_required =
            required.get(&entry.schema).is_some_and(|it| it.names.contains(&entry.property));
        let versions: Vec<String> =
            entry.versions.iter().filter(|name| stays(name)).cloned().collect();
        if is_required && !versions.is_empty() {
            found.insert((entry.schema.clone(), entry.property.clone()), versions);
        }
    }
    let others = others.into_iter().flat_map(|others| &others.read);
    for version in versions.iter().chain(others) {
        let other = requirements(&version.document);
        for (schema, own) in &required {
            let Some(others) = other.get(schema).filter(|it| it.within == own.within) else {
                continue;
            };
            for property in own.names.difference(&others.names) {
                let versions = found.entry((schema.clone(), property.clone())).or_default();
                if !versions.contains(&version.name) {
                    versions.push(version.name.clone());
                }
            }
        }
    }
    let entry = |((schema, property), mut versions): ((String, String), Vec<String>)| {
        shorten(&mut versions);
        NotRequired { schema, property, versions }
    };
    found.into_iter().map(entry).collect()
}

/// The text of the file.
pub fn render(properties: &[NotRequired]) -> String {
    let mut text = PREFACE.to_owned();
    for NotRequired { schema, property, versions } in properties {
        text.push_str(&format!("{schema}\t{property}\t{}\n", versions.join(", ")));
    }
    text
}

/// The additions and removals, for the drift report; `None` if there are none.
pub fn changes(before: &[NotRequired], after: &[NotRequired]) -> Option<String> {
    let key = |entry: &NotRequired| (entry.schema.clone(), entry.property.clone());
    let (old, new): (BTreeSet<_>, BTreeSet<_>) =
        (before.iter().map(key).collect(), after.iter().map(key).collect());
    if old == new {
        return None;
    }
    let mut text = "\n## Required in every supported version\n\n".to_owned();
    for (schema, property) in new.difference(&old) {
        text.push_str(&format!(
            "- `{property}` of `{schema}` is not required in every supported version: it is now an \
             `Option`\n"
        ));
    }
    for (schema, property) in old.difference(&new) {
        text.push_str(&format!(
            "- `{property}` of `{schema}` is no longer on the list: every supported version \
             requires it, or the description does not\n"
        ));
    }
    Some(text)
}

/// Collects from every version in `folder`, which has them as `VERSION/generated/api.github.com.json`, and
/// from the editions beside the newest.
pub fn from_folder(document: &Value, vendored: &str, folder: &Path) -> Result<Vec<NotRequired>> {
    let mut versions = Vec::new();
    let mut others = None;
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let generated = path.join("generated");
        if !is_version(&name) || !generated.is_dir() {
            continue;
        }
        if name == vendored {
            let paths: Vec<PathBuf> = entries(&generated)?
                .into_iter()
                .filter(|path| is_description_version(path))
                .collect();
            others = Some(OtherVersions::read(&paths));
        } else {
            let document = load::load(&generated.join("api.github.com.json"))?;
            versions.push(Version { name, document });
        }
    }
    let Some(others) = others.filter(|others| !versions.is_empty() && !others.read.is_empty())
    else {
        let message = format!(
            "{} needs {vendored}/generated with all editions, and other versions as \
             VERSION/generated/api.github.com.json",
            folder.display()
        );
        return Err(Problem::failed(message));
    };
    if let Some(name) = others.broken.first() {
        let message = format!("{vendored}/generated/{name}.json cannot be read: download it again");
        return Err(Problem::failed(message));
    }
    Ok(collect(document, &versions, Some(&others), &[]))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(folder).map_err(|e| Problem::at(folder, "read", &e))?;
    let mut paths: Vec<PathBuf> = read.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    Ok(paths)
}

fn is_description_version(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".json") && !name.ends_with(".deref.json") && name != "api.github.com.json"
}

/// Returns whether this is a version of api.github.com, or a commit of GitHub's repository, and not an
/// edition.
fn is_version(name: &str) -> bool {
    name != "ghec" && !name.starts_with("ghes-")
}

/// Of several versions of api.github.com, the oldest and the newest; then the editions.
fn shorten(versions: &mut Vec<String>) {
    let order = |name: &String| -> Option<Vec<u64>> {
        name.split('.').map(|number| number.parse().ok()).collect()
    };
    let (mut numbered, mut others): (Vec<String>, Vec<String>) =
        versions.drain(..).partition(|name| is_version(name));
    // A commit has no number; it is newer than all versions with one.
    numbered.sort_by_key(|name| (order(name).is_none(), order(name)));
    others.sort();
    others.dedup();
    versions.extend(numbered.first().cloned());
    versions.extend(numbered.last().filter(|last| numbered.first() != Some(last)).cloned());
    versions.extend(others);
}

/// The required properties of every object in responses and webhooks.
fn requirements(document: &Value) -> Requirements {
    let mut found = Requirements::new();
    for (name, schema) in document::object(&document["components"], "schemas") {
        objects(schema, &pointer(&["components", "schemas", name]), "", 0, &mut found);
    }
    for (name, response) in document::object(&document["components"], "responses") {
        content(response, &pointer(&["components", "responses", name]), &mut found);
    }
    for located in document::operations(document) {
        for (status, response) in document::object(located.operation, "responses") {
            let at = format!("{}{}", located.pointer(), pointer(&["responses", status]));
            content(response, &at, &mut found);
        }
    }
    for (key, item) in document::object(document, webhooks::WEBHOOKS) {
        let at = pointer(&[webhooks::WEBHOOKS, key, "post", "requestBody"]);
        content(&item["post"]["requestBody"], &at, &mut found);
    }
    found
}

fn content(body: &Value, at: &str, found: &mut Requirements) {
    for (media, content) in document::object(body, "content") {
        let at = format!("{at}{}", pointer(&["content", media, "schema"]));
        objects(&content["schema"], &at, "", 0, found);
    }
}

/// The objects of a schema, without those that it refers to.
fn objects(schema: &Value, at: &str, within: &str, depth: usize, found: &mut Requirements) {
    if depth > MAX_DEPTH {
        return;
    }
    if schema.get("properties").is_some() || schema.get("required").is_some() {
        let names = document::array(schema, "required").filter_map(Value::as_str);
        let names = names.map(str::to_owned).collect();
        found.insert(at.to_owned(), Requirement { names, within: within.to_owned() });
    }
    for (name, property) in document::object(schema, "properties") {
        let at = format!("{at}{}", pointer(&["properties", name]));
        objects(property, &at, within, depth + 1, found);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(schema) = schema.get(key) {
            objects(schema, &format!("{at}/{key}"), within, depth + 1, found);
        }
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        let parts: Vec<&Value> = document::array(schema, key).collect();
        let shown = |part: &&Value| match part["$ref"].as_str().or(part["title"].as_str()) {
            Some(name) => name.to_owned(),
            None => "inline".to_owned(),
        };
        let parts_are: Vec<String> = parts.iter().map(shown).collect();
        let within = format!("{within}{key}({})", parts_are.join(","));
        for (index, part) in parts.iter().enumerate() {
            objects(part, &format!("{at}/{key}/{index}"), &within, depth + 1, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn description(required: &[&str]) -> Value {
        json!({ "components": { "schemas": { "issue": {
            "type": "object",
            "properties": { "id": {}, "title": {}, "type": {} },
            "required": required,
        } } } })
    }

    fn version(name: &str, required: &[&str]) -> Version {
        Version { name: name.to_owned(), document: description(required) }
    }

    fn entry(property: &str, versions: &[&str]) -> NotRequired {
        NotRequired {
            schema: "/components/schemas/issue".to_owned(),
            property: property.to_owned(),
            versions: versions.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn others(read: Vec<Version>, broken: &[&str]) -> OtherVersions {
        OtherVersions { read, broken: broken.iter().map(|name| (*name).to_owned()).collect() }
    }

    #[test]
    fn a_property_optional_in_one_version_is_optional() {
        let current = description(&["id", "title", "type"]);
        let versions = [
            version("16.0.0", &["id"]),
            version("9.0.0", &["id"]),
            version("20.0.0", &["id", "title"]),
        ];
        let others = others(vec![version("ghes-3.17", &["title"])], &[]);
        let found = collect(&current, &versions, Some(&others), &[]);
        let expected = [
            entry("id", &["ghes-3.17"]),
            entry("title", &["9.0.0", "16.0.0"]),
            entry("type", &["9.0.0", "20.0.0", "ghes-3.17"]),
        ];
        assert_eq!(found, expected);
        assert_eq!(parse(&render(&found)).unwrap(), expected);
    }

    #[test]
    fn a_refresh_keeps_properties_that_earlier_versions_made_optional() {
        let before = [
            entry("id", &["ghes-3.15"]),
            entry("title", &["16.0.0", "20.0.0"]),
            entry("gone", &["16.0.0"]),
        ];
        let current = description(&["id", "title", "type"]);
        let previous = version("23.0.2", &["id", "title"]);
        let versions = OtherVersions::default();
        let after = collect(&current, &[previous], Some(&versions), &before);
        // An edition that is no longer published is no longer supported.
        assert_eq!(after, [entry("title", &["16.0.0", "20.0.0"]), entry("type", &["23.0.2"])]);
        let report = changes(&before, &after).unwrap();
        let says =
            "`type` of `/components/schemas/issue` is not required in every supported version";
        assert!(report.contains(says), "{report}");
        assert!(changes(&after, &after).is_none());
    }

    #[test]
    fn entries_of_an_unavailable_version_are_preserved() {
        let before = [entry("id", &["ghec", "ghes-3.17"])];
        let current = description(&["id"]);
        assert_eq!(collect(&current, &[], None, &before), before);
        let broken = others(vec![version("ghec", &["id"])], &["ghes-3.17"]);
        assert_eq!(collect(&current, &[], Some(&broken), &before), [entry("id", &["ghes-3.17"])]);
    }

    #[test]
    fn a_commit_is_a_version_and_newer_than_those_with_a_number() {
        let current = description(&["id", "title"]);
        let before = [entry("title", &["16.0.0"])];
        let commit = version("0d1f3a", &["id"]);
        let after = collect(&current, &[commit], Some(&OtherVersions::default()), &before);
        assert_eq!(after, [entry("title", &["16.0.0", "0d1f3a"])]);
        let later = collect(&current, &[], Some(&OtherVersions::default()), &after);
        assert_eq!(later, after);
    }

    #[test]
    fn variants_are_compared_only_if_they_are_the_same() {
        let union = |variants: Value| json!({ "components": { "schemas": { "x": { "oneOf": variants } } } });
        let one = json!({ "title": "One", "required": ["a", "b"] });
        let other = json!({ "title": "Other", "required": ["a"] });
        let current = union(json!([one, other]));
        let before = Version { name: "1.0.0".to_owned(), document: union(json!([other, one])) };
        assert_eq!(collect(&current, &[before], None, &[]), []);
    }

    #[test]
    fn a_schema_that_another_version_does_not_have_says_nothing() {
        let other = Version { name: "16.0.0".to_owned(), document: json!({}) };
        assert_eq!(collect(&description(&["id"]), &[other], None, &[]), []);
    }
}

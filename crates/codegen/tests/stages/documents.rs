//! All stages on the real documents: the vendored one, and those in the folder
//! that `OCTOWIRE_DOCUMENTS` names (`ghec.json`, `ghes-3.19.json`, …), where
//! `scripts/check-documents.sh` puts them.

mod broken;
mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{env, fs};

use serde_json::Value;

use crate::support::{
    lowered_as, lowered_parts, lowered_tags, names, normalized_tags, ok, openapi, split_tags,
};
use octowire_codegen::document::{document_name, operations};
use octowire_codegen::hints::DocumentedValues;
use octowire_codegen::lower::{ApiModel, Pagination};
use octowire_codegen::model::{Definition, Kind, Type};
use octowire_codegen::pipeline::CorrectedDescription;
use octowire_codegen::reserved_scopes::ReservedScopes;
use octowire_codegen::select::Selection;
use octowire_codegen::type_names::TypeNames;
use octowire_codegen::webhooks::Webhook;
use octowire_codegen::{Result, corrections, load, overlay, required, select, webhooks, write};

fn corrected(path: &Path) -> Result<Value> {
    let corrected =
        CorrectedDescription::read(path, &overlay::read(&openapi().join(overlay::FILE))?)?;
    corrected.check_effective()?;
    Ok(corrected.relax(&required::read(&openapi().join(required::FILE))?).document)
}

/// The vendored document as GitHub publishes it.
pub fn uncorrected() -> Value {
    ok(load::load(&openapi().join("api.github.com.json")))
}

pub fn vendored() -> Value {
    static VENDORED: LazyLock<Value> =
        LazyLock::new(|| ok(corrected(&openapi().join("api.github.com.json"))));
    VENDORED.clone()
}

/// The names of types, as a build reads them.
pub fn type_names() -> TypeNames {
    ok(corrections::read(&openapi())).type_names()
}

/// The vendored API with all tags and without events.
pub static VENDORED_API: LazyLock<ApiModel> =
    LazyLock::new(|| ok(lowered_tags(&vendored(), &Selection::All)));

/// Every document, but for the variants without `$ref`s beside them; none, and
/// it says so, unless there is a folder of them.
fn others() -> Vec<PathBuf> {
    let Some(folder) = env::var_os("OCTOWIRE_DOCUMENTS") else {
        println!(
            "skipped: OCTOWIRE_DOCUMENTS is not set, so no document but the vendored one is \
             checked; scripts/check-documents.sh checks them all"
        );
        return Vec::new();
    };
    let files = fs::read_dir(&folder).expect("the folder of documents");
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    let is_document = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".json") && !name.ends_with(".deref.json") && name != "api.github.com.json"
    };
    paths.retain(is_document);
    paths.sort();
    assert!(!paths.is_empty(), "no document in OCTOWIRE_DOCUMENTS={}", folder.display());
    paths
}

fn written_source(api: &ApiModel, name: &str) -> Result<String> {
    let reserved = ReservedScopes::read(&openapi().join("../src"))?;
    write::write(api, name, "version", &reserved)
}

/// Writes every operation, and says how many there are.
fn every_operation(document: &Value, api: &ApiModel) -> Result<usize> {
    let name = document_name(document);
    let expected = operations(document).count();
    let source = written_source(api, &name)?;
    crate::write::parsed(&source);
    let written = source.lines().filter(|line| line.starts_with("crate::Operation {")).count();
    println!("{name}: operations generated: {written} of {expected}");
    assert_eq!(written, expected, "{name}");
    Ok(written)
}

/// The vendored description, before any stage.
pub fn raw() -> Value {
    let text = fs::read_to_string(openapi().join("api.github.com.json"));
    serde_json::from_str(&text.expect("the document")).expect("JSON")
}

#[test]
fn every_operation_of_the_vendored_document_is_written() {
    let raw = raw();
    let items = raw["paths"].as_object().expect("paths").values();
    // Every operation with an identifier, by any method.
    let count = items.filter_map(Value::as_object).flat_map(|item| item.values());
    let count = count.filter(|operation| operation.get("operationId").is_some()).count();
    assert!(count > 1_000, "{count}");
    assert_eq!(ok(every_operation(&vendored(), &VENDORED_API)), count);
}

#[test]
fn every_operation_of_other_documents_is_written() {
    let failed: Vec<String> = others()
        .into_iter()
        .filter_map(|path| {
            let result = corrected(&path).and_then(|document| {
                every_operation(&document, &lowered_tags(&document, &Selection::All)?)
            });
            result.err().map(|error| format!("{}: {error}", path.display()))
        })
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Writes every event, and says how many there are.
fn every_webhook(document: &Value) -> Result<(usize, usize)> {
    let (events, webhooks) = (select::events(document), webhooks::describe(document)?);
    let lowered = lowered_parts(document, &Selection::Only(names(&[])), &Selection::All)?;
    let name = document_name(document);
    crate::write::parsed(&written_source(&lowered, &name)?);
    let source = write::events(&lowered)?;
    for Webhook { event, actions, key, .. } in &webhooks {
        let event = format!(" = {event:?}");
        assert!(source.contains(&event), "{name}: no {event}");
        for action in actions {
            assert!(source.contains(&format!(" = {action:?}: ")), "{name}: no {action} of {key}");
        }
    }
    println!("{name}: {} webhooks of {} events are typed", webhooks.len(), events.len());
    let features = crate::webhooks::features();
    let missing: Vec<&String> = events.difference(&features).collect();
    assert!(missing.is_empty(), "{name}: Cargo.toml has no features for the events {missing:?}");
    Ok((webhooks.len(), events.len()))
}

#[test]
fn every_webhook_of_the_vendored_document_is_typed() {
    let raw = raw();
    let raw = raw["x-webhooks"].as_object().expect("webhooks");
    let events: BTreeSet<Option<&str>> =
        raw.values().map(|item| item["post"]["x-github"]["subcategory"].as_str()).collect();
    assert!(raw.len() > 200 && events.len() > 60, "{} of {}", raw.len(), events.len());
    assert_eq!(ok(every_webhook(&vendored())), (raw.len(), events.len()));
}

#[test]
fn every_webhook_of_other_documents_is_typed() {
    for path in others() {
        assert!(ok(corrected(&path).and_then(|document| every_webhook(&document))).0 > 200);
    }
}

#[test]
fn payloads_do_not_depend_on_which_events_are_selected() {
    let document = vendored();
    let of = |events: &[&str]| {
        let events = Selection::Only(names(events));
        ok(lowered_as(&document, &Selection::Only(names(&[])), &events, type_names()))
    };
    let (few, many) = (of(&["issues", "push"]), of(&["issues", "push", "issue_comment", "label"]));
    for name in few.types.keys() {
        assert!(many.types.contains_key(name), "{name} is not there with more events");
        assert!(same(&few, name, &many, name, &mut Vec::new()), "{name} differs");
    }
}

#[test]
fn every_paginated_operation_streams_its_items() {
    // Their pages are maps, by the digest of the subject, and no lists.
    let maps = ["orgs/list-attestations-bulk", "users/list-attestations-bulk"];
    let names = ["page", "per_page", "cursor", "after", "before"];
    let mut found = Vec::new();
    for call in &VENDORED_API.calls {
        let parameters = &call.operation.parameters;
        let pages = parameters.iter().any(|p| names.contains(&p.name.as_str()));
        if pages && !matches!(call.paging, Pagination::List { .. }) {
            found.push(call.operation.id.as_str());
        }
    }
    found.sort_unstable();
    assert_eq!(found, maps);
}

#[test]
fn the_total_count_of_a_page_counts_the_items_of_its_list() {
    let document = vendored();
    let resolved = |value: &Value| match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).cloned(),
        None => Some(value.clone()),
    };
    let (mut counted, mut searches, mut examples, mut without) = (0, 0, 0, Vec::new());
    for call in &VENDORED_API.calls {
        let Pagination::List { field: Some(field), .. } = &call.paging else { continue };
        if field.total.is_none() {
            continue;
        }
        counted += 1;
        searches += usize::from(field.incomplete_results.is_some());
        let operation = &call.operation;
        let operation = &document["paths"][&operation.path][&operation.method];
        let response = resolved(&operation["responses"]["200"]).expect("a response");
        let content = &response["content"]["application/json"]["examples"];
        let shown: Vec<Value> = content
            .as_object()
            .into_iter()
            .flat_map(|it| it.values())
            .filter_map(resolved)
            .collect();
        let mut seen = 0;
        for example in &shown {
            let page = &example["value"];
            let Some(total) = page["total_count"].as_u64() else { continue };
            let listed = page[&field.name].as_array().map_or(0, Vec::len) as u64;
            seen += 1;
            // The examples of searches are cut; of all others, they are whole.
            let fits = match field.incomplete_results {
                Some(_) => total >= listed,
                None => total == listed,
            };
            assert!(fits, "{}: {listed} of {total}", call.operation.id);
        }
        examples += seen;
        if seen == 0 {
            without.push(call.operation.id.as_str());
        }
    }
    println!(
        "lists with a total_count: {counted}, of which searches: {searches}; examples that it fits: \
         {examples}; without an example: {without:?}"
    );
    assert!(counted >= 73 && examples >= 73, "{counted} lists, {examples} examples");
    assert_eq!(searches, 7);
}

/// The differences between each tag alone and all tags, after some stages.
fn differences(stages: fn(&Value, &Selection) -> Result<Value>) -> Vec<String> {
    let document = vendored();
    let all = ok(stages(&document, &Selection::All));
    let mut differ = Vec::new();
    for (tag, _) in octowire_codegen::select::tags(&document) {
        let one = ok(stages(&document, &Selection::Only(names(&[tag]))));
        for located in operations(&one) {
            if *located.operation != all["paths"][located.path][located.method] {
                differ.push(format!("operation {}", located.id()));
            }
        }
        for (name, schema) in one["components"]["schemas"].as_object().into_iter().flatten() {
            if *schema != all["components"]["schemas"][name] {
                differ.push(format!("schema {name} of {tag}"));
            }
        }
    }
    differ
}

#[test]
fn no_tag_changes_the_schemas_of_another() {
    let differ = differences(normalized_tags);
    assert!(differ.is_empty(), "{} differ: {differ:#?}", differ.len());
}

#[test]
fn no_tag_changes_the_types_of_another() {
    let differ = differences(split_tags);
    assert!(differ.is_empty(), "{} differ: {differ:#?}", differ.len());
}

/// A definition with all aliases followed.
fn followed(lowered: &ApiModel, name: &str) -> Definition {
    let mut definition = lowered.types[name].clone();
    if let Kind::Alias(Type::Named(of)) = &definition.kind {
        return followed(lowered, of);
    }
    definition.doc.clear();
    if let Kind::Struct(fields) = &mut definition.kind {
        for field in fields {
            field.doc.clear();
            field.values = DocumentedValues::default();
        }
    }
    definition.parts_mut().into_iter().for_each(|part| follow(lowered, part));
    definition
}

/// Names a type by the target of its alias.
fn follow(lowered: &ApiModel, of: &mut Type) {
    match of {
        Type::Named(name) => {
            while let Some(Kind::Alias(Type::Named(target))) =
                lowered.types.get(name.as_str()).map(|definition| &definition.kind)
            {
                name.clone_from(target);
            }
        }
        Type::Path(_) => {}
        Type::Option(of) | Type::Vec(of) | Type::Map(of) | Type::Boxed(of) => follow(lowered, of),
    }
}

#[test]
fn types_do_not_depend_on_which_tags_are_selected() {
    let document = vendored();
    let of = |tags: &[&str]| {
        let tags = Selection::Only(names(tags));
        ok(lowered_as(&document, &tags, &Selection::Only(names(&[])), type_names()))
    };
    let (few, many) = (of(&["issues"]), of(&["issues", "pulls", "repos"]));
    let mut differ: BTreeMap<&str, String> = BTreeMap::new();
    for name in few.types.keys() {
        match many.types.contains_key(name) {
            false => drop(differ.insert(name, "is not there with more tags".to_owned())),
            true if few.read.contains(name) != many.read.contains(name) => {
                differ.insert(name, "is read with some tags and sent with others".to_owned());
            }
            true => {
                let same = same(&few, name, &many, name, &mut Vec::new());
                if !same {
                    let few = followed(&few, name);
                    let many = followed(&many, name);
                    differ.insert(name, format!("is {few:?}, and with more tags {many:?}"));
                }
            }
        }
    }
    let shown: String = differ.iter().map(|(name, how)| format!("\n{name} {how}")).collect();
    assert!(differ.is_empty(), "{} types:{shown}", differ.len());
}

/// Whether two types say the same, all the way down.
fn same(
    few: &ApiModel,
    a: &str,
    many: &ApiModel,
    b: &str,
    open: &mut Vec<(String, String)>,
) -> bool {
    if open.iter().any(|(x, y)| x == a && y == b) {
        return true;
    }
    open.push((a.to_owned(), b.to_owned()));
    let (mut one, mut other) = (followed(few, a), followed(many, b));
    let parts: Vec<(Type, Type)> = one
        .parts_mut()
        .into_iter()
        .zip(other.parts_mut())
        .map(|(x, y)| {
            let pair = (x.clone(), y.clone());
            unname(x);
            unname(y);
            pair
        })
        .collect();
    one.kind == other.kind
        && parts.iter().all(|(x, y)| match (named(x), named(y)) {
            (Some(x), Some(y)) => same(few, x, many, y, open),
            (x, y) => x == y,
        })
}

fn unname(of: &mut Type) {
    match of {
        Type::Named(name) => name.clear(),
        Type::Path(_) => {}
        Type::Option(of) | Type::Vec(of) | Type::Map(of) | Type::Boxed(of) => unname(of),
    }
}

fn named(of: &Type) -> Option<&str> {
    let mut found = None;
    of.names(&mut |name| found = Some(name));
    found
}

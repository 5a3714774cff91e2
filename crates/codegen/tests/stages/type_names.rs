//! The names that the overlay gives to types and variants: what an overlay can say, and that ours names each type
//! which many places share.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::documents::{type_names, vendored};
use crate::support::{
    assert_contains, content, document, fails, lowered_as, names, ok, reference, with_response,
};
use octowire_codegen::Result;
use octowire_codegen::document::operations;
use octowire_codegen::lower::ApiModel;
use octowire_codegen::model::{Kind, Type, resolved};
use octowire_codegen::names::pascal;
use octowire_codegen::overlay::parse;
use octowire_codegen::select::Selection;
use octowire_codegen::type_names::{TYPES, TypeName, TypeNames, VARIANTS};
use octowire_codegen::webhooks::describe;

/// The names of an overlay with these entries.
fn parsed(types: Value, variants: Value) -> Result<TypeNames> {
    let overlay = json!({
        "overlay": "1.0.0", "actions": [],
        "x-octowire-types": types, "x-octowire-variants": variants,
    });
    Ok(parse(&overlay.to_string())?.type_names())
}

#[test]
fn an_entry_names_values_or_a_type() {
    let entries = json!([
        { "name": "IssueState", "values": ["open", "closed"] },
        { "name": "IssueStateInput", "values": ["open", "closed"], "request": true },
        { "name": "Owner", "of": "SimpleUser" },
    ]);
    let names = ok(parsed(entries, json!({ "Content": { "Array": "Directory" } })));
    assert_eq!((names.types.len(), names.variants.len()), (3, 1));
    let without = ok(parse(r#"{ "overlay": "1.0.0", "actions": [] }"#)).type_names();
    assert_eq!(without, TypeNames::default());
}

#[test]
fn an_invalid_entry_is_rejected_with_its_place() {
    for (entry, said) in [
        (
            json!({ "name": "issue_state", "values": ["open"] }),
            "`issue_state` is not the name of a",
        ),
        (json!({ "name": "Self", "values": ["open"] }), "`Self` is not the name of a type"),
        (json!({ "name": "A" }), "`A` needs either `values` or `of`"),
        (json!({ "name": "A", "values": ["x"], "of": "B" }), "`A` needs either"),
        (json!({ "name": "A", "of": "B", "request": true }), "`A` needs either"),
        (json!({ "name": "A", "values": ["x", "y", "x"] }), "`A` has a value twice"),
        (json!({ "name": "First", "values": ["y"] }), "named twice"),
        (json!({ "name": "Second", "values": ["b", "a"] }), "named twice"),
    ] {
        let entries = json!([{ "name": "First", "values": ["a", "b"] }, entry]);
        assert_contains(fails(parsed(entries, json!({})), "overlay", "/x-octowire-types/1"), said);
    }
    let variants = json!({ "Content": { "Array": "a directory" } });
    let message = fails(parsed(json!([]), variants), "overlay", "/x-octowire-variants/Content");
    assert_contains(message, "`a directory` is not the name of a variant");
    // Any other key of an entry.
    let entries = json!([{ "name": "A", "values": ["x"], "input": true }]);
    assert_contains(fails(parsed(entries, json!({})), "overlay", ""), "invalid overlay");
}

#[test]
fn the_types_and_variants_of_an_api_have_the_names() {
    let state = json!({ "type": "string", "enum": ["closed", "open"] });
    let user = json!({ "type": "object", "properties": { "state": state } });
    let union = json!({ "oneOf": [
        reference("user"), { "type": "array", "items": { "type": "string" } }, { "type": "string" },
    ] });
    let given = with_response(union, json!({ "user": user }));
    let names = ok(parsed(
        json!([{ "name": "State", "values": ["open", "closed"] }]),
        // The last one would be a second variant of this name.
        json!({ "TestsGetResponse": { "Array": "Directory", "User": "Owner", "String": "Owner" } }),
    ));
    let nothing = Selection::Only(BTreeSet::new());
    let api = ok(lowered_as(&given, &Selection::All, &nothing, names));
    assert_eq!(api.types["UserState"].kind, Kind::Alias(Type::Named("State".to_owned())));
    assert!(matches!(&api.types["State"].kind, Kind::Enum(values) if values[0].name == "open"));
    let Kind::Union(variants) = &api.types["TestsGetResponse"].kind else { panic!("a union") };
    let idents: Vec<&str> = variants.iter().map(|variant| variant.ident.as_str()).collect();
    assert_eq!(idents, ["Owner", "Directory", "String"]);
}

#[test]
fn a_name_of_a_parameter_is_that_of_requests() {
    let sort = json!({ "type": "string", "enum": ["desc", "asc"] });
    let operation = json!({
        "operationId": "tests/get", "tags": ["tests"], "responses": { "200": content(sort.clone()) },
        "parameters": [{ "name": "sort", "in": "query", "schema": sort }],
    });
    let given = document(json!({ "/answer": { "get": operation } }), json!({}));
    let entry = json!([{ "name": "SortDirection", "values": ["asc", "desc"], "request": true }]);
    let names = ok(parsed(entry, json!({})));
    let nothing = Selection::Only(BTreeSet::new());
    let api = ok(lowered_as(&given, &Selection::All, &nothing, names));
    let named = Kind::Alias(Type::Named("SortDirection".to_owned()));
    let aliases: Vec<&String> =
        api.types.iter().filter(|(_, it)| it.kind == named).map(|(name, _)| name).collect();
    assert_eq!(aliases.len(), 1, "{aliases:?}");
    assert!(!api.read.contains("SortDirection") && !api.read.contains(aliases[0]));
}

/// From this number of names on, the definition of a type needs a name of the overlay if the places of the names have
/// little in common.
const MANY: usize = 6;

/// The names of a description by which types are named, each with its owner: the tag of an operation, the event of a
/// webhook, or a component.
fn owners(document: &Value) -> BTreeMap<String, String> {
    let mut owners = BTreeMap::new();
    for (name, _) in document["components"]["schemas"].as_object().into_iter().flatten() {
        owners.insert(pascal(name).unwrap_or_default(), format!("component {name}"));
    }
    for webhook in ok(describe(document)) {
        let name = pascal(&format!("webhook-{}", webhook.key)).unwrap_or_default();
        owners.insert(name, format!("event {}", webhook.event));
    }
    for located in operations(document) {
        let tag = located.id().split('/').next().unwrap_or_default();
        owners.insert(pascal(located.id()).unwrap_or_default(), format!("tag {tag}"));
    }
    owners
}

/// The owner after which a type is named.
fn owner<'a>(owners: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    // A name ends before a word.
    let is_end = |end: &usize| {
        name.get(*end..).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_lowercase()))
    };
    let mut ends = (1..=name.len()).rev().filter(is_end);
    ends.find_map(|end| owners.get(name.get(..end)?)).map(String::as_str)
}

/// The names of each definition that has aliases.
fn shared(api: &ApiModel) -> BTreeMap<&str, Vec<&str>> {
    let mut shared: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, definition) in &api.types {
        if let Kind::Alias(Type::Named(first)) = &definition.kind {
            shared.entry(first).or_default().push(name);
        }
    }
    shared
}

#[test]
fn each_type_that_many_places_share_has_a_name_of_the_overlay() {
    let (document, type_names) = (vendored(), type_names());
    let api = ok(lowered_as(&document, &Selection::All, &Selection::All, type_names.clone()));

    // Each entry has an effect: it names the definition of the type that it describes.
    let has_effect = |entry: &TypeName| match &entry.of {
        Some(of) => resolved(of, &api.types).is_some_and(|(name, _)| name == entry.name),
        None => api.types.get(&entry.name).is_some_and(|definition| {
            entry.matching(&definition.kind, api.read.contains(&entry.name)).is_some()
        }),
    };
    let idle: Vec<&String> =
        type_names.types.iter().filter(|it| !has_effect(it)).map(|it| &it.name).collect();
    assert!(idle.is_empty(), "remove or correct these entries of {TYPES}: {idle:?}");
    for (union, names) in &type_names.variants {
        let Some((_, Kind::Union(variants))) = resolved(union, &api.types) else {
            panic!("{VARIANTS} names variants of `{union}`, which is not a union");
        };
        let idents: BTreeSet<&String> = variants.iter().map(|variant| &variant.ident).collect();
        let expected: BTreeSet<&String> = names.values().collect();
        assert!(expected.is_subset(&idents), "{union} has {idents:?} instead of {expected:?}");
    }

    // No other type has the name of one of several unrelated places.
    let named = names(&type_names.types.iter().map(|it| it.name.as_str()).collect::<Vec<_>>());
    let owners = owners(&document);
    let mut unnamed = Vec::new();
    for (name, aliases) in shared(&api) {
        if aliases.len() + 1 < MANY || named.contains(name) {
            continue;
        }
        let own = owner(&owners, name);
        let others: BTreeSet<&str> = aliases
            .iter()
            .filter_map(|alias| owner(&owners, alias))
            .filter(|other| Some(*other) != own)
            .collect();
        // A component has a name of its own, with which two others can do.
        let is_component = own.is_some_and(|own| own.starts_with("component "));
        let allowed = if is_component { 2 } else { 0 };
        if others.len() > allowed {
            unnamed.push(format!("{name} ({} names, also of {others:?})", aliases.len() + 1));
        }
    }
    assert!(
        unnamed.is_empty(),
        "name these types in openapi/overlay.yaml, under {TYPES}:\n{}",
        unnamed.join("\n")
    );
}

//! The names that the overlay gives to types and variants: what an overlay can say, and that ours names each type
//! which many places share.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::documents::{type_names, vendored};
use crate::support::{
    assert_contains, content, document, fails, lowered_as, names, ok, reference, uncorrected,
    with_response,
};
use octowire_codegen::document::operations;
use octowire_codegen::function_names::function_key;
use octowire_codegen::lower::{ApiModel, lower};
use octowire_codegen::model::{Definition, Kind, Model, Signature, Type, resolved};
use octowire_codegen::names::pascal;
use octowire_codegen::operations::Operation;
use octowire_codegen::overlay::parse;
use octowire_codegen::pipeline::{CorrectedDescription, Parts, SplitDescription};
use octowire_codegen::select::{Features, Selection};
use octowire_codegen::type_names::{TYPES, TypeName, TypeNames, VARIANTS};
use octowire_codegen::webhooks::{Webhook, describe};
use octowire_codegen::{Result, generate, parse_progenitor, select};

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
        { "name": "Reference", "of": ["TagCommit", "BranchCommit"] },
    ]);
    let names = ok(parsed(entries, json!({ "Content": { "Array": "Directory" } })));
    assert_eq!((names.types.len(), names.variants.len()), (4, 1));
    assert_eq!(names.types[2].of, ["SimpleUser"]);
    assert_eq!(names.types[3].of, ["TagCommit", "BranchCommit"]);
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
        (json!({ "name": "Second", "of": ["B", "B"] }), "named twice"),
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

#[test]
fn the_refresh_finds_all_names_of_a_type() {
    let user = json!({ "type": "object", "properties": { "id": { "type": "integer" } } });
    let state = json!({ "type": "string", "enum": ["open", "closed"] });
    let schemas = json!({ "owner": user, "author": user, "assignee": user, "state": state });
    let parts = ["owner", "author", "assignee", "state"].map(|name| (name, reference(name)));
    let properties: serde_json::Map<String, Value> =
        parts.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    let given = with_response(json!({ "type": "object", "properties": properties }), schemas);
    let entries = json!([
        { "name": "User", "of": "Owner" },
        { "name": "Assignee", "of": "Absent" },
        { "name": "IssueState", "values": ["open", "closed"] },
    ]);
    let names = ok(parsed(entries, json!({})));
    let nothing = Selection::Only(BTreeSet::new());
    let api = ok(lowered_as(&given, &Selection::All, &nothing, names.clone()));
    let all = names.with_all_names(&api.types);
    assert_eq!(all.types[0].of, ["Owner", "Assignee", "Author"]);
    // An entry without effect, and one that needs no names.
    assert_eq!(all.types[1].of, ["Absent"]);
    assert!(all.types[2].of.is_empty());
}

/// The types of the vendored description, as they are generated from all of it, lowered for some operations and
/// webhooks only. Other tests prove that a build of these alone generates the same types.
struct Generated {
    types: BTreeMap<String, Definition>,
    signatures: BTreeMap<String, Signature>,
    parts: Parts,
}

impl Generated {
    fn of(document: Value, type_names: TypeNames) -> Result<Self> {
        let corrected = CorrectedDescription { type_names, ..uncorrected(&document) };
        let split = corrected.select(Features::All)?.normalize()?.split_directions()?;
        let SplitDescription { document, hints, parts } = split;
        let model = parse_progenitor::read(generate::generate(&document)?, &hints)?;
        let Model { types, signatures } = model;
        Ok(Self { types, signatures, parts })
    }

    /// Lowers the operations and webhooks that fulfil the conditions.
    fn lowered(
        &self,
        operation: impl Fn(&Operation) -> bool,
        webhook: impl Fn(&Webhook) -> bool,
    ) -> Result<ApiModel> {
        let Parts { operations, webhooks, functions, type_names, .. } = &self.parts;
        let operations: Vec<Operation> =
            operations.iter().filter(|it| operation(it)).cloned().collect();
        let webhooks: Vec<Webhook> = webhooks.iter().filter(|it| webhook(it)).cloned().collect();
        let keys: BTreeSet<String> = operations
            .iter()
            .filter_map(|operation| functions.of_operation(&operation.id))
            .chain(webhooks.iter().filter_map(|webhook| functions.of_webhook(&webhook.key)))
            .map(function_key)
            .collect();
        let mut signatures = self.signatures.clone();
        signatures.retain(|key, _| keys.contains(key));
        let model = Model { types: self.types.clone(), signatures };
        lower(model, operations, webhooks, functions, type_names)
    }
}

#[test]
fn a_shared_type_has_the_same_name_with_each_tag_and_each_event_alone() {
    let (document, type_names) = (vendored(), type_names());
    let named: BTreeSet<String> = type_names.types.iter().map(|it| it.name.clone()).collect();
    let (tags, events): (Vec<String>, Vec<String>) = (
        select::tags(&document).into_keys().map(str::to_owned).collect(),
        select::events(&document).into_iter().collect(),
    );
    let generated = ok(Generated::of(document, type_names));
    let all = ok(generated.lowered(|_| true, |_| true));
    let tags = tags.iter().map(|tag| {
        (format!("tag {tag}"), generated.lowered(|operation| operation.tag == *tag, |_| false))
    });
    let events = events.iter().map(|event| {
        (format!("event {event}"), generated.lowered(|_| false, |webhook| webhook.event == *event))
    });
    let (mut differ, mut shared) = (Vec::new(), 0);
    for (alone, api) in tags.chain(events) {
        let api = ok(api);
        for name in api.types.keys() {
            let first = |api: &ApiModel| Some(resolved(name, &api.types)?.0.to_owned());
            let (one, expected) = (first(&api), first(&all));
            if expected.as_ref().is_none_or(|it| named.contains(it)) {
                shared += 1;
                if one != expected {
                    differ.push(format!("{name} is {one:?} with {alone}, not {expected:?}"));
                }
            }
        }
    }
    assert!(shared > 1_000, "{shared}");
    assert!(differ.is_empty(), "{} differ: {differ:#?}", differ.len());
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
    let is_named = |of: &String, entry: &TypeName| {
        resolved(of, &api.types).is_some_and(|(name, _)| name == entry.name)
    };
    let has_effect = |entry: &TypeName| match entry.of.as_slice() {
        [] => api.types.get(&entry.name).is_some_and(|definition| {
            entry.matching(&definition.kind, api.read.contains(&entry.name)).is_some()
        }),
        of => of.iter().all(|of| is_named(of, entry)),
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

//! Stage 10: the source that is included.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use syn::{File, Item, UseTree};

use crate::support::{
    assert_contains, content, document, fails, ok, reference, with_body, with_body_and_response,
    with_parameters, with_response, written,
};
use octowire_codegen::Result;

/// Parses the written source, and checks that no module has a name twice.
#[track_caller]
pub fn parsed(source: &str) -> File {
    checked(source).unwrap_or_else(|why| panic!("{why}\n{source:.4000}"))
}

fn checked(source: &str) -> std::result::Result<File, String> {
    let file = syn::parse_file(source).map_err(|error| format!("no Rust: {error}"))?;
    distinct(&file.items, "the crate")?;
    Ok(file)
}

fn distinct(items: &[Item], module: &str) -> std::result::Result<(), String> {
    let mut names: Vec<String> = Vec::new();
    let mut methods: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for item in items {
        match item {
            Item::Struct(item) => names.push(item.ident.to_string()),
            Item::Type(item) => names.push(item.ident.to_string()),
            Item::Mod(item) => {
                names.push(item.ident.to_string());
                let items = item.content.as_ref().map_or(&[][..], |(_, items)| items);
                distinct(items, &item.ident.to_string())?;
            }
            Item::Use(item) => used(&item.tree, &mut names),
            Item::Impl(item) if item.trait_.is_none() => {
                let of = quote::ToTokens::to_token_stream(&item.self_ty).to_string();
                let methods = methods.entry(of).or_default();
                methods.extend(item.items.iter().filter_map(|item| match item {
                    syn::ImplItem::Fn(function) => Some(function.sig.ident.to_string()),
                    _ => None,
                }));
            }
            _ => {}
        }
    }
    let prelude = ["Option", "Vec", "Box", "String", "Result", "Default", "Clone", "Debug", "From"];
    let hidden = names.iter().find(|name| prelude.contains(&name.as_str()));
    // Calls are written with whole paths; the macros around types are not.
    if let Some(name) = hidden.filter(|_| module == "types") {
        return Err(format!("{module} has a {name} that hides Rust's own"));
    }
    once(names, module)?;
    methods.into_iter().try_for_each(|(of, names)| once(names, &of))
}

fn once(mut names: Vec<String>, of: &str) -> std::result::Result<(), String> {
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("{of} has {} twice", pair[0])),
        None => Ok(()),
    }
}

fn used(tree: &UseTree, names: &mut Vec<String>) {
    match tree {
        UseTree::Path(path) => used(&path.tree, names),
        UseTree::Name(name) => names.push(name.ident.to_string()),
        UseTree::Group(group) => group.items.iter().for_each(|tree| used(tree, names)),
        _ => {}
    }
}

fn issue() -> Value {
    json!({ "type": "object", "required": ["id", "state"], "properties": {
        "id": { "type": "integer", "description": "Its <id>." },
        "state": { "type": "string", "enum": ["open", "closed", "unknown"] },
        "labels": { "type": "array", "items": { "type": "string" } },
        "owner": { "oneOf": [{ "type": "integer" }, { "type": "string" }] },
        "type": { "type": "string", "nullable": true },
    } })
}

/// Two scopes, with every kind of call.
fn small() -> Value {
    let parameters = json!([
        { "name": "owner", "in": "path", "required": true, "schema": { "type": "string" } },
        { "name": "page", "in": "query", "schema": { "type": "integer" } },
        { "name": "labels", "in": "query", "schema": {
            "type": "array", "items": { "type": "string" },
        } },
        { "name": "since", "in": "query", "schema": { "type": "string", "format": "date-time" } },
        { "name": "X-Kind", "in": "header", "schema": { "type": "string" } },
    ]);
    let issues = json!({ "type": "array", "items": reference("issue") });
    let body = json!({ "type": "object", "required": ["title"], "properties": {
        "title": { "type": "string" }, "milestone": { "type": "integer", "nullable": true },
        "labels": { "type": "array", "items": { "type": "string" } },
    } });
    let operation = |id: &str, parameters: &Value, responses: Value| {
        let tag = id.split('/').next();
        json!({
            "operationId": id, "tags": [tag], "summary": "Does it", "parameters": parameters,
            "description": "At length.", "responses": responses, "externalDocs": {
                "url": "https://docs.github.com/rest/issues#do",
            },
        })
    };
    let owner = json!([parameters[0]]);
    let mut create =
        operation("issues/create", &owner, json!({ "201": content(reference("issue")) }));
    create["requestBody"] = content(body);
    let mut delete = operation("issues/delete", &owner, json!({ "204": { "description": "" } }));
    delete["deprecated"] = json!(true);
    let zip = json!({ "200": { "content": { "application/zip": {} } } });
    document(
        json!({
            "/{owner}/issues": {
                "get": operation("issues/list", &parameters, json!({ "200": content(issues) })),
                "post": create, "delete": delete,
            },
            "/zip": { "get": operation("code-search/zip", &json!([]), zip) },
        }),
        json!({ "issue": issue() }),
    )
}

fn module<'a>(file: &'a File, name: &str) -> &'a [Item] {
    let module = file.items.iter().find_map(|item| match item {
        Item::Mod(module) if module.ident == name => module.content.as_ref(),
        _ => None,
    });
    &module.unwrap_or_else(|| panic!("no module `{name}`")).1
}

/// The public methods of a type.
fn methods(items: &[Item], of: &str) -> Vec<String> {
    let impls = items.iter().filter_map(|item| match item {
        Item::Impl(item) if item.trait_.is_none() => {
            let name = quote::ToTokens::to_token_stream(&item.self_ty).to_string();
            (name.split(' ').next() == Some(of)).then_some(&item.items)
        }
        _ => None,
    });
    let names = impls.flatten().filter_map(|item| match item {
        syn::ImplItem::Fn(function) => Some(function.sig.ident.to_string()),
        _ => None,
    });
    names.collect()
}

#[test]
fn each_scope_has_a_handle_with_its_operations() {
    let file = parsed(&ok(written(&small())));
    assert_eq!(methods(&file.items, "Issues"), ["create", "delete", "list"]);
    assert_eq!(methods(&file.items, "CodeSearch"), ["zip"]);
    assert_eq!(methods(&file.items, "crate"), ["code_search", "issues"]);
}

#[test]
fn each_operation_has_a_builder_with_its_parameters() {
    let file = parsed(&ok(written(&small())));
    let list = ["owner", "page", "labels", "since", "x_kind", "with", "into_request", "send"];
    let issues = module(&file, "issues");
    assert_eq!(methods(issues, "List")[..8], list);
    assert_eq!(methods(issues, "List")[8..], ["pages", "stream"]);
    let create = ["owner", "title", "milestone", "clear_milestone", "labels", "json"];
    assert_eq!(methods(issues, "Create")[..6], create);
    assert_eq!(methods(module(&file, "code_search"), "Zip"), ["with", "into_request", "send"]);
}

#[test]
fn a_call_answers_its_type() {
    let source = ok(written(&small()));
    for response in [
        "crate::ResponseFuture<::std::vec::Vec<types::Issue>> { self.0.send() }",
        "ResponseFuture<types::Issue> { self.0.send() }",
        "ResponseFuture<()> { self.0.send_empty() }",
        "crate::ResponseFuture<crate::ByteStream> { self.0.send_stream() }",
        "crate::Items<types::Issue> { self.0.list(::core::option::Option::None, \
         |page: ::std::vec::Vec<types::Issue>| crate::client::pagination::Listed::items(page)) }",
    ] {
        assert_contains(&source, response);
    }
}

#[test]
fn the_types_are_those_that_operations_use() {
    let source = ok(written(&small()));
    let file = parsed(&source);
    let types = module(&file, "types");
    let is_record = |item: &Item| matches!(item, Item::Struct(item) if item.ident == "Issue");
    assert!(types.iter().any(is_record));
    assert_contains(&source, "codec::open_enum! {");
    assert_contains(&source, "\nIssueState {\n    Open = \"open\",");
    assert_contains(&source, "    UnknownValue = \"unknown\",");
    assert_contains(&source, "codec::read_union! {");
    assert_contains(&source, "\nIssueOwner {");
    assert_contains(&source, "codec::impl_write! { IssuesCreateBody }");
    assert_eq!(
        methods(types, "IssuesCreateBody"),
        ["new", "milestone", "labels"].map(str::to_owned)
    );
}

#[test]
fn request_enums_are_closed() {
    let closed =
        ok(written(&with_body_and_response(reference("issue"), json!({ "issue": issue() }))));
    let (_, after) = closed.split_once("codec::closed_enum! {").expect("an enum that is sent");
    assert_contains(after, "IssueStateInput {");
    parsed(&closed);
}

#[test]
fn an_enum_value_named_other_is_distinct_from_unknown_values() {
    let kind = |values: Value| json!({ "type": "string", "enum": values });
    let schema = json!({ "type": "object", "properties": {
        "kind": kind(json!(["other", "x"])), "more": kind(json!(["other", "OtherValue"])),
    } });
    let source =
        ok(written(&with_body_and_response(reference("thing"), json!({ "thing": schema }))));
    let body = |name: &str| {
        let (_, rest) = source.split_once(&format!("\n{name} {{\n")).expect("an enum");
        rest.split('}').next().unwrap_or_default().to_owned()
    };
    assert_contains(body("ThingKind"), "    Other = \"other\",");
    assert_contains(body("ThingKindInput"), "    OtherValue = \"other\",\n    X = \"x\",");
    let more = body("ThingMoreInput");
    assert_contains(&more, "    OtherValueValue = \"other\",\n    OtherValue = \"OtherValue\",");
    parsed(&source);
}

#[test]
fn the_setter_of_a_parameter_follows_from_its_name_schema_and_description() {
    let search = "See [the syntax](https://docs.github.com/search#query-for-dates).";
    let source = ok(written(&with_parameters(
        "/answer/{number}/{team_id}",
        json!([
            { "name": "number", "in": "path", "schema": { "type": "integer" } },
            { "name": "team_id", "in": "path", "schema": { "type": "string" } },
            { "name": "ids", "in": "query",
              "schema": { "type": "array", "items": { "type": "integer" } } },
            { "name": "created", "in": "query", "description": search,
              "schema": { "type": "string" } },
            { "name": "labels", "in": "query", "description": "A comma-separated list.",
              "schema": { "type": "string" } },
            { "name": "fields", "in": "query", "schema": { "oneOf": [
                { "type": "string" }, { "type": "array", "items": { "type": "string" } } ] } },
            { "name": "recursive", "in": "query",
              "schema": { "oneOf": [{ "type": "boolean" }, { "type": "string" }] } },
            { "name": "day", "in": "query", "schema": { "type": "string", "format": "date" } },
            { "name": "since", "in": "query", "schema": { "type": "string", "format": "date-time" } },
            { "name": "q", "in": "query", "schema": { "type": "string" } },
            { "name": "sort", "in": "query", "schema": { "type": "string", "enum": ["a", "b"] } },
        ]),
    )));
    for (setter, of, call) in [
        ("number", "value: impl crate::IntoInteger", "set_path_integer(0, value)"),
        ("team_id", "value: impl crate::IntoText", "set_path_text(1, value)"),
        ("ids<K>", "values: impl crate::IntoIntegers<K>", "set_query_integers(\"ids[]\", values)"),
        ("created", "value: impl crate::IntoTimeRange", "set_query_time_range(\"created\", value)"),
        ("labels", "value: impl crate::IntoList", "set_query_joined(\"labels\", value)"),
        ("fields", "value: impl crate::IntoList", "set_query_joined(\"fields\", value)"),
        ("recursive", "value: impl crate::IntoText", "set_query_text(\"recursive\", value)"),
        ("day", "value: impl crate::IntoDate", "set_query_date(\"day\", value)"),
        ("since", "value: impl crate::IntoTimestamp", "set_query_time(\"since\", value)"),
        (
            "sort",
            "value: impl crate::IntoEnum<types::TestsGetSort>",
            "set_query_enum::<types::TestsGetSort>(\"sort\", value)",
        ),
    ] {
        let line = format!(
            "pub fn {setter}(mut self, {of}) -> Self {{ self.0.draft_mut().{call}; self }}"
        );
        assert_contains(&source, &line);
    }
    assert_contains(&source, "pub fn q(mut self, value: impl ::core::convert::TryInto<");
    parsed(&source);
}

#[test]
fn the_setter_of_a_body_property_follows_from_its_schema() {
    let schema = json!({ "type": "object", "properties": {
        "count": { "type": "number" }, "ratio": { "type": "number" },
        "team_ids": { "type": "array", "items": { "type": "integer" } },
        "external_id": { "type": "string" }, "day": { "type": "string", "format": "date" },
        "labels": { "type": "array", "items": { "type": "string" } },
        "inputs": { "type": "object", "additionalProperties": true },
        "tags": { "type": "object", "additionalProperties": { "type": "string" } },
    } });
    let source = ok(written(&with_body(schema, json!({}))));
    for line in [
        "pub fn count(mut self, value: impl crate::IntoInteger) -> Self { self.0.draft_mut().set_field_integer(\"count\", value); self }",
        "pub fn ratio(mut self, value: impl ::core::convert::TryInto<f64, Error: ::core::fmt::Display>) -> Self",
        "pub fn team_ids<K>(mut self, values: impl crate::IntoIntegers<K>) -> Self { self.0.draft_mut().set_field_integers(\"team_ids\", values); self }",
        "pub fn labels<K>(mut self, values: impl crate::IntoValues<::std::string::String, K>) -> Self { self.0.draft_mut().set_field_values::<::std::string::String, _>(\"labels\", values); self }",
        "pub fn inputs(mut self, value: impl ::serde::Serialize) -> Self { self.0.draft_mut().set_field_object(\"inputs\", value); self }",
        "self.0.draft_mut().set_field_map::<::std::string::String>(\"tags\", value); self }",
        "pub fn external_id(mut self, value: impl crate::IntoText) -> Self { self.0.draft_mut().set_field_text(\"external_id\", value); self }",
        "pub fn day(mut self, value: impl crate::IntoDate) -> Self { self.0.draft_mut().set_field_date(\"day\", value); self }",
    ] {
        assert_contains(&source, line);
    }
    parsed(&source);
}

#[test]
fn integers_are_read_with_the_reader_of_integers() {
    let schema = json!({ "type": "object", "properties": {
        "run_id": { "type": "number" }, "score": { "type": "number" },
        "sizes": { "type": "array", "items": { "type": "integer" } },
    } });
    let source = ok(written(&with_response(reference("run"), json!({ "run": schema }))));
    for line in [
        "pub run_id: ::core::option::Option<i64>,",
        "pub score: ::core::option::Option<f64>,",
        "0 => codec::read_integer(from, &mut self.run_id),",
        "1 => codec::read_value(from, &mut self.score),",
        "2 => codec::read_integers(from, &mut self.sizes),",
    ] {
        assert_contains(&source, line);
    }
}

#[test]
fn the_operation_table_is_sorted_and_complete() {
    let source = ok(written(&small()));
    assert_contains(&source, "pub static OPERATIONS: &[crate::Operation] = &[");
    let ids: Vec<&str> =
        source.lines().filter(|line| line.starts_with("crate::Operation {")).collect();
    assert_contains(
        ids[0],
        "id: \"code-search/zip\", tag: \"code-search\", method: ::http::Method::GET",
    );
    assert_contains(ids[0], "accept: \"*/*\", parameters: &[], statuses: &[200]");
    assert_contains(ids[1], "location: crate::ParameterLocation::Body, required: true");
    assert_contains(ids[2], "deprecated: true");
    assert_contains(ids[3], "path: \"/{owner}/issues\", server: None");
    let location = "{ name: \"X-Kind\", setter: \"x_kind\", location: crate::ParameterLocation::Header, required: false";
    assert_contains(ids[3], location);
    assert_contains(&source, "pub const OPENAPI_DESCRIPTION: &str = \"api.github.com\";");
    assert_contains(&source, "pub const OPENAPI_VERSION: &str = \"1.2.3\";");
}

#[test]
fn the_same_document_is_written_the_same() {
    assert_eq!(ok(written(&small())), ok(written(&small())));
}

#[test]
fn a_body_of_another_media_type_is_written_with_a_setter() {
    let mut given = with_body(json!({}), json!({}));
    given["paths"]["/answer"]["post"]["requestBody"]["content"] =
        json!({ "multipart/form-data": {} });
    let file = parsed(&ok(written(&given)));
    assert_eq!(methods(module(&file, "tests"), "Send")[0], "body");
}

#[test]
fn a_deprecated_operation_says_so() {
    assert_contains(ok(written(&small())), "#[deprecated = \"GitHub will remove this operation");
}

#[test]
fn a_record_that_is_too_large_is_an_error() {
    let record = |count: usize| {
        let properties: serde_json::Map<_, _> =
            (0..count).map(|n| (format!("p{n}"), json!({ "type": "integer" }))).collect();
        written(&with_response(json!({ "type": "object", "properties": properties }), json!({})))
    };
    ok(record(255));
    assert_contains(fails(record(256), "write", ""), "has 256 properties, more than 255");
}

#[test]
fn a_large_record_that_may_be_absent_is_boxed() {
    let text = |count: usize| -> serde_json::Map<_, _> {
        (0..count).map(|n| (format!("p{n}"), json!({ "type": "string" }))).collect()
    };
    let mut holder = text(30);
    holder.insert("app".to_owned(), reference("large"));
    let schemas = json!({
        "small": { "type": "object", "properties": text(20) },
        "large": { "type": "object", "properties": text(50) },
        // Small, since what makes it large is behind a pointer.
        "holder": { "type": "object", "properties": holder },
    });
    let of = |name: &str| json!({ "allOf": [reference(name)], "nullable": true });
    let thing = json!({ "type": "object", "required": ["owner"], "properties": {
        "user": of("small"), "app": of("large"), "holder": of("holder"), "owner": reference("large"),
        "apps": { "type": "array", "items": reference("large") },
    }});
    let source = ok(written(&with_response(thing, schemas)));
    assert_contains(&source, "pub user: ::core::option::Option<Small>,");
    assert_contains(&source, "pub app: ::core::option::Option<::std::boxed::Box<Large>>,");
    assert_contains(&source, "pub holder: ::core::option::Option<Holder>,");
    assert_contains(&source, "pub owner: Large,");
    assert_contains(&source, "pub apps: ::std::vec::Vec<Large>,");
}

/// The error of the written source if it is no valid Rust; `None` if nothing is written.
pub fn flaw(result: &Result<String>) -> Option<String> {
    checked(result.as_ref().ok()?).err()
}

/// Checks that each name leads to Rust or to an error.
#[track_caller]
fn evaded<const N: usize>(names: [&str; N], written: impl Fn(&str) -> Result<String>) {
    let flaws: Vec<String> = names
        .into_iter()
        .filter_map(|name| flaw(&written(name)).map(|why| format!("{name:?}: {why}")))
        .collect();
    assert!(flaws.is_empty(), "{flaws:#?}");
}

fn called(id: &str) -> Value {
    let mut given = with_parameters("/a", json!([]));
    given["paths"]["/a"]["get"]["operationId"] = json!(id);
    given
}

const ODD_NAMES: [&str; 14] = [
    "+1", "", "1", "self", "crate", "Self", "_", "\u{fc}", "body", "clear", "type", "\u{e9}\n",
    "\"", "-",
];

#[test]
fn operations_may_be_called_as_rusts_keywords() {
    evaded(["type/fn", "self/super", "crate/self", "move/type"], |id| written(&called(id)));
}

#[test]
fn operations_whose_names_are_no_rust_are_evaded() {
    let ids = ["a/1st", "1st/a", "issues/", "/", "/a", "\u{fc}/\u{fc}", "a\n/b", "a\"/b"];
    evaded(ids, |id| written(&called(id)));
}

#[test]
fn operations_named_like_module_imports_are_renamed() {
    let ids = [
        "tests/request",
        "tests/body",
        "tests/pages",
        "tests/items",
        "tests/types",
        "tests/byte-stream",
        "tests/display",
        "types/list",
        "operations/get",
        "tests/option",
    ];
    evaded(ids, |id| written(&called(id)));
}

#[test]
fn properties_whose_names_are_no_rust_are_evaded() {
    let object = |name: &str| json!({ "type": "object", "properties": { name: { "type": "integer" }, "x": {} } });
    evaded(ODD_NAMES, |name| written(&with_body(object(name), json!({}))));
    evaded(ODD_NAMES, |name| written(&with_response(object(name), json!({}))));
}

#[test]
fn parameters_whose_names_are_no_rust_are_evaded() {
    let query = |name: &str| json!([{ "name": name, "in": "query", "schema": {} }]);
    evaded(ODD_NAMES, |name| written(&with_parameters("/a", query(name))));
}

#[test]
fn operations_that_are_one_rust_name_are_an_error() {
    let operation = |id: &str| json!({ "operationId": id, "tags": ["a"], "responses": {} });
    let paths = json!({ "/a": { "get": operation("a/b-c") }, "/b": { "get": operation("a/b_c") } });
    assert_eq!(flaw(&written(&document(paths, json!({})))), None);
}

#[test]
fn components_that_are_one_rust_name_are_an_error() {
    let object =
        |name: &str| json!({ "type": "object", "properties": { name: { "type": "integer" } } });
    let union = json!({ "oneOf": [reference("a-b"), reference("a_b")] });
    let schemas = json!({ "a-b": object("x"), "a_b": object("y") });
    if let Ok(source) = written(&with_response(union, schemas)) {
        assert_contains(&source, "pub x:");
        assert_contains(&source, "pub y:");
        parsed(&source);
    }
}

#[test]
fn components_called_as_rusts_own_types_are_evaded() {
    let names = ["option", "vec", "string", "box", "result", "default", "str", "value", "hash-map"];
    let object = json!({ "type": "object", "properties": { "marker": { "type": "integer" } } });
    let result = |name: &str| written(&with_response(reference(name), json!({ name: object })));
    evaded(names, result);
    for name in names {
        if let Ok(source) = result(name) {
            assert!(
                source.contains("pub marker: ::core::option::Option<i64>"),
                "{name} is another type"
            );
        }
    }
}

#[test]
fn a_list_is_sent_with_brackets() {
    let list = |name: &str| {
        json!([{
            "name": name, "in": "query",
            "schema": { "type": "array", "items": { "type": "string" } },
        }])
    };
    for name in ["owner", "owner[]"] {
        let source = ok(written(&with_parameters("/a", list(name))));
        let call = "set_query_values::<::std::string::String, _>(\"owner[]\", values)";
        assert_contains(&source, call);
        assert_contains(&source, "crate::OperationParameter { name: \"owner[]\"");
    }
}

#[test]
fn a_variant_named_other_is_written_alike_in_responses_and_requests() {
    let titled = |title: &str| json!({ "title": title, "type": "object", "properties": { title: { "type": "string" } } });
    let union = json!({ "oneOf": [titled("other"), titled("team")] });
    for given in [with_response(union.clone(), json!({})), with_body(union, json!({}))] {
        let source = ok(written(&given));
        assert_contains(&source, "    OtherVariant(Tests");
        assert_contains(&source, "Self::OtherVariant(value)");
        assert_contains(&source, "    Team(Tests");
        parsed(&source);
    }
}

/// An object with these properties, all of them required.
fn variant(properties: Value) -> Value {
    let required: Vec<&String> =
        properties.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

#[test]
fn a_union_lists_the_constants_that_distinguish_its_variants() {
    let text = json!({ "type": "string" });
    let one_of = |values: &[&str]| json!({ "type": "string", "enum": values });
    let schemas = json!({
        "opened": variant(json!({ "event": one_of(&["opened"]), "side": one_of(&["a", "b"]), "id": text })),
        "closed": variant(json!({ "event": one_of(&["closed"]), "side": one_of(&["b", "c"]) })),
        "plain": variant(json!({ "event": text })),
    });
    let union = json!({ "oneOf": [reference("opened"), reference("closed"), reference("plain")] });
    let source = ok(written(&with_response(union, schemas)));
    // Sides overlap, so that they tell nothing.
    for variant in [
        "Opened(Opened) [as_opened into_opened &Opened] Record { Opened; 0 1 2; \"event\": &[\"opened\"] };",
        "Closed(Closed) [as_closed into_closed &Closed] Record { Closed; 0 1; \"event\": &[\"closed\"] };",
        "Plain(Plain) [as_plain into_plain &Plain] Record { Plain; 0;  };",
    ] {
        assert_contains(&source, variant);
    }
}

#[test]
fn an_accessor_returns_text_and_slices_by_reference_and_simple_values_by_value() {
    let text = |format: &str| json!({ "type": "string", "format": format });
    for (schema, written_as) in [
        (
            json!({ "type": "string" }),
            "(::std::string::String) [as_string into_string &str] String;",
        ),
        (json!({ "type": "integer" }), "(i64) [as_integer into_integer i64 = *] Integer;"),
        (json!({ "type": "boolean" }), "(bool) [as_boolean into_boolean bool = *] Boolean;"),
        (text("date-time"), " ::chrono::DateTime<::chrono::Utc> = *] String;"),
        (
            json!({ "type": "array", "items": { "type": "string" } }),
            "[as_array into_array &[::std::string::String]] Array;",
        ),
        (
            json!({ "type": "object" }),
            "[as_object into_object &::std::collections::BTreeMap<::std::string::String, ::serde_json::Value>] Map;",
        ),
    ] {
        let opened = variant(json!({ "id": { "type": "string" } }));
        let union = json!({ "oneOf": [reference("opened"), schema] });
        let source = ok(written(&with_response(union, json!({ "opened": opened }))));
        assert_contains(&source, written_as);
    }
}

#[test]
fn another_property_of_the_object_decides_a_union() {
    let text = json!({ "type": "string" });
    let schemas = json!({
        "push": variant(json!({ "ref": text })),
        "watch": variant(json!({ "action": text })),
        "event": variant(json!({
            "payload": {
                "oneOf": [reference("push"), reference("watch"), { "type": "object" }],
                "x-octowire-discriminator": {
                    "property": "type",
                    "mapping": { "WatchEvent": "watch", "PushEvent": "push", "PublicEvent": "object" },
                },
            },
            "type": text,
        })),
    });
    let source = ok(written(&with_response(reference("event"), schemas)));
    assert_contains(
        &source,
        "codec::DecideVariant::decide(&mut self.payload, codec::Discriminant::constant(&self.type_), \
         &[(\"WatchEvent\", 1), (\"PushEvent\", 0), (\"PublicEvent\", 2)]);",
    );
    assert_contains(&source, "0 => codec::undecided(from, &mut self.payload),");
}

#[test]
fn an_invalid_discriminator_is_an_error() {
    let text = json!({ "type": "string" });
    let event = |property: &str, target: &str| {
        let schemas = json!({
            "push": variant(json!({ "ref": text })),
            "watch": variant(json!({ "action": text })),
            "event": variant(json!({
                "payload": {
                    "oneOf": [reference("push"), reference("watch")],
                    "x-octowire-discriminator": { "property": property, "mapping": { "A": target } },
                },
                "type": text,
            })),
        });
        written(&with_response(reference("event"), schemas))
    };
    ok(event("type", "push"));
    let message = fails(event("type", "star"), "write", "");
    assert_contains(message, "`A` maps to `star`, which is not a variant");
    assert_contains(
        fails(event("kind", "push"), "write", ""),
        "the discriminator `kind` is missing",
    );
}

#[test]
fn a_union_of_text_and_a_record_with_a_name_has_a_name() {
    let text = json!({ "type": "string" });
    let label = json!({ "type": "object", "properties": { "name": text, "color": text } });
    let of = |record: Value| {
        let union = json!({ "oneOf": [text, reference("label")] });
        ok(written(&with_response(union, json!({ "label": record }))))
    };
    assert_contains(
        of(label.clone()),
        "pub fn name(&self) -> ::core::option::Option<&str> { match self { \
         Self::String(name) => ::core::option::Option::Some(name), \
         Self::Label(value) => value.name.as_deref(), \
         Self::Other(value) => value.get(\"name\")?.as_str() } }",
    );
    let mut required = label.clone();
    required["required"] = json!(["name"]);
    assert_contains(
        of(required),
        "Self::Label(value) => ::core::option::Option::Some(&value.name),",
    );
    let mut nameless = label;
    nameless["properties"]["name"] = json!({ "type": "integer" });
    assert!(!of(nameless).contains("fn name"));
}

#[test]
fn a_union_of_any_object_is_sent_as_json() {
    let any = json!({ "type": "object", "additionalProperties": true });
    let body = |payload: Value| {
        let body = json!({ "type": "object", "properties": { "payload": payload } });
        ok(written(&with_body(body, json!({}))))
    };
    let source = body(json!({ "oneOf": [any, { "type": "string" }] }));
    assert_contains(
        &source,
        "impl ::core::convert::TryFrom<::serde_json::Value> for TestsSendBodyPayload {",
    );
    assert_contains(
        &source,
        "::serde_json::Value::Object(value) => ::core::result::Result::Ok(Self::Object(value.into_iter().collect())), \
         ::serde_json::Value::String(value) => ::core::result::Result::Ok(Self::String(value)), \
         _ => ::core::result::Result::Err(\"expected a JSON object or text\") } }",
    );
    // The record of the body accepts it as well.
    assert_contains(
        &source,
        "pub fn payload(mut self, value: impl ::core::convert::TryInto<TestsSendBodyPayload, Error: ::core::fmt::Display>) -> Self \
         { self.payload = self.invalid_values.check(\"payload\", ::core::convert::TryInto::<TestsSendBodyPayload>::try_into(value)); self }",
    );
    parsed(&source);
    let body = json!({ "type": "object", "required": ["payload"], "properties": {
        "payload": { "oneOf": [any, { "type": "string" }] },
    } });
    assert_contains(
        ok(written(&with_body(body, json!({})))),
        "::try_into(payload)).unwrap_or_else(|| TestsSendBodyPayload::Object(::core::default::Default::default()))",
    );
    let scalars = json!({ "type": "object", "properties": {
        "payload": { "oneOf": [{ "type": "integer" }, { "type": "string" }] },
    } });
    let source = ok(written(&with_body(scalars, json!({}))));
    assert!(!source.contains("TryFrom<::serde_json::Value>"), "{source}");
    assert!(!source.contains("invalid_values"), "{source}");
}

#[test]
fn a_request_record_accepts_the_values_that_calls_accept() {
    let schema = json!({ "type": "object", "required": ["side", "lines", "labels"], "properties": {
        "side": { "type": "string", "enum": ["LEFT", "RIGHT"] },
        "lines": { "type": "array", "items": { "type": "integer" } },
        "labels": { "type": "array", "items": { "type": "string" } },
        "position": { "type": "integer" },
        "until": { "type": "string", "format": "date-time" },
        "day": { "type": "string", "format": "date" },
        "inputs": { "type": "object", "additionalProperties": true },
        "tags": { "type": "object", "additionalProperties": { "type": "string" } },
        "external_id": { "type": "string" },
        "text": { "type": "string" },
        "note": { "type": "integer", "nullable": true },
    } });
    let source = ok(written(&with_body(reference("comment"), json!({ "comment": schema }))));
    for part in [
        "#[derive(Clone)]\n#[non_exhaustive]\npub struct CommentInput {",
        "    invalid_values: codec::InvalidValues,\n}",
        "self.invalid_values.debug(f.debug_struct(\"CommentInput\")\n.field(\"side\", &self.side)\n",
        "pub fn new<K0, K1>(side: impl crate::IntoEnum<CommentSideInput>, \
         lines: impl crate::IntoIntegers<K0>, labels: impl crate::IntoValues<::std::string::String, K1>) -> Self {",
        "let mut invalid_values = codec::InvalidValues::default(); Self { side: invalid_values.check(\"side\", \
         crate::IntoEnum::<CommentSideInput>::into_enum(side))\
         .unwrap_or_else(<CommentSideInput as codec::NamedStrings>::placeholder)",
        "lines: invalid_values.check(\"lines\", crate::api::into_values::Integers::integers(lines)).unwrap_or_default()",
        "note: ::core::default::Default::default(), invalid_values }",
        "pub fn position(mut self, value: impl crate::IntoInteger) -> Self { self.position = \
         self.invalid_values.check(\"position\", crate::IntoInteger::into_integer(value)); self }",
        "pub fn until(mut self, value: impl crate::IntoTimestamp) -> Self",
        "pub fn day(mut self, value: impl crate::IntoDate) -> Self",
        "pub fn inputs(mut self, value: impl ::serde::Serialize) -> Self",
        "pub fn tags(mut self, value: impl ::core::iter::IntoIterator<Item = (impl ::core::convert::Into<::std::string::String>, \
         impl ::core::convert::TryInto<::std::string::String, Error: ::core::fmt::Display>)>) -> Self { self.tags = \
         self.invalid_values.check(\"tags\", codec::to_map::<::std::string::String>(value)); self }",
        "pub fn external_id(mut self, value: impl crate::IntoText) -> Self { self.external_id = \
         ::core::option::Option::Some(crate::IntoText::into_text(value)); self }",
        "pub fn text(mut self, value: impl ::core::convert::Into<::std::string::String>) -> Self",
        "pub fn note(mut self, value: impl ::core::convert::Into<::core::option::Option<i64>>) -> Self",
        "self.invalid_values.report() } }",
    ] {
        assert_contains(&source, part);
    }
    parsed(&source);
    // A record of text only accepts any value.
    let schema = json!({ "type": "object", "properties": { "text": { "type": "string" } } });
    let source = ok(written(&with_body(reference("comment"), json!({ "comment": schema }))));
    assert_contains(
        &source,
        "#[derive(Clone, Debug, Default)]\n#[non_exhaustive]\npub struct CommentInput {",
    );
    assert!(!source.contains("invalid_values"), "{source}");
}

#[test]
fn a_required_property_of_a_request_record_has_a_setter_if_its_value_is_checked() {
    let required = ["side", "line", "lines", "title", "note", "range"];
    let schema = json!({ "type": "object", "required": required, "properties": {
        "side": { "type": "string", "enum": ["LEFT", "RIGHT"] },
        "line": { "type": "integer" },
        "lines": { "type": "array", "items": { "type": "integer" } },
        "title": { "type": "string" },
        "note": { "type": "integer", "nullable": true },
        "range": { "type": "object", "properties": { "text": { "type": "string" } } },
    } });
    let source = ok(written(&with_body(reference("comment"), json!({ "comment": schema }))));
    for part in [
        "/// With all that GitHub requires. An invalid value fails the call before it is sent, unless the setter of its \
         property receives a valid one.\n",
        "/// Sets [`side`](Self::side). An invalid value fails the call before it is sent.\n",
        "pub fn side(mut self, value: impl crate::IntoEnum<CommentSideInput>) -> Self { self.side = \
         self.invalid_values.check(\"side\", crate::IntoEnum::<CommentSideInput>::into_enum(value))\
         .unwrap_or_else(<CommentSideInput as codec::NamedStrings>::placeholder); self }",
        "pub fn line(mut self, value: impl crate::IntoInteger) -> Self { self.line = \
         self.invalid_values.check(\"line\", crate::IntoInteger::into_integer(value)).unwrap_or_default(); self }",
        "pub fn lines<K>(mut self, value: impl crate::IntoIntegers<K>) -> Self { self.lines = \
         self.invalid_values.check(\"lines\", crate::api::into_values::Integers::integers(value))\
         .unwrap_or_default(); self }",
    ] {
        assert_contains(&source, part);
    }
    // `new` takes any value of these.
    for ident in ["title", "note", "range"] {
        assert!(!source.contains(&format!("self.{ident} = ")), "{source}");
    }
    parsed(&source);
}

#[test]
fn a_response_record_keeps_unknown_fields() {
    let read = ok(written(&with_response(reference("issue"), json!({ "issue": issue() }))));
    assert_contains(&read, "unknown_properties: codec::UnknownFields,");
    assert_contains(&read, "self.unknown_properties.write(_to)");
    let sent = ok(written(&with_body(reference("issue"), json!({ "issue": issue() }))));
    assert!(!sent.contains("unknown_properties"), "{sent}");
}

/// An object with these texts.
fn texts(names: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
    json!({ "type": "object", "properties": properties })
}

#[test]
fn a_record_with_content_and_its_encoding_has_the_methods_of_a_file() {
    let mut blob = texts(&["content", "encoding"]);
    blob["required"] = json!(["content", "encoding"]);
    blob["properties"]["size"] = json!({ "type": "integer" });
    let mut gist = texts(&["content", "encoding"]);
    gist["properties"]["truncated"] = json!({ "type": "boolean" });
    let read = |schema: &Value| {
        ok(written(&with_response(reference("thing"), json!({ "thing": schema }))))
    };
    assert_contains(
        read(&blob),
        "codec::file_content! { Thing, file => codec::FileContent { \
         content: ::core::option::Option::Some(file.content.as_str()), \
         encoding: ::core::option::Option::Some(file.encoding.as_str()), \
         size: file.size, is_truncated: false } }",
    );
    assert_contains(
        read(&gist),
        "{ content: file.content.as_deref(), encoding: file.encoding.as_deref(), \
         size: ::core::option::Option::None, is_truncated: file.truncated.unwrap_or_default() } }",
    );
    for other in [texts(&["content"]), texts(&["encoding", "contents"])] {
        assert!(!read(&other).contains("file_content!"));
    }
    let sent = ok(written(&with_body(reference("thing"), json!({ "thing": blob }))));
    assert!(!sent.contains("file_content!"), "{sent}");
}

#[test]
fn a_union_with_one_file_returns_it() {
    let schemas = json!({
        "blob": texts(&["content", "encoding"]), "gist": texts(&["content", "encoding", "url"]),
        "link": texts(&["target"]),
    });
    let union = |variants: &[&str]| {
        let variants: Vec<Value> = variants.iter().map(|name| reference(name)).collect();
        ok(written(&with_response(json!({ "oneOf": variants }), schemas.clone())))
    };
    let source = union(&["link", "blob"]);
    assert_contains(&source, "codec::file_variant! { TestsGetResponse { Blob(Blob) Link } }");
    parsed(&source);
    assert!(!union(&["blob", "gist"]).contains("file_variant!"), "none of the two is the file");
}

#[test]
fn a_property_that_is_base64_has_a_setter_of_bytes() {
    let mut file = texts(&["message", "content"]);
    file["properties"]["content"]["description"] = json!("The file, using Base64 encoding.");
    let line = |arguments: &str| {
        format!(
            "pub fn content_bytes(mut self, value: impl ::core::convert::AsRef<[u8]>) -> Self \
             {{ self.0.draft_mut().set_field_base64({arguments}, value.as_ref()); self }}"
        )
    };
    let source = ok(written(&with_body(file, json!({}))));
    assert_contains(&source, &line("\"content\", ::core::option::Option::None"));
    assert!(!source.contains("message_bytes"), "{source}");
    let mut blob = texts(&["content", "encoding"]);
    blob["properties"]["encoding"]["description"] = json!("`utf-8` and `base64` are supported.");
    let source = ok(written(&with_body(blob, json!({}))));
    assert_contains(&source, &line("\"content\", ::core::option::Option::Some(\"encoding\")"));
    assert!(!source.contains("encoding_bytes"), "{source}");
    let source = ok(written(&with_body(texts(&["content", "title"]), json!({}))));
    assert!(!source.contains("_bytes"), "{source}");
    // The property has its own setter.
    let both = texts(&["content", "content_bytes", "encoding"]);
    let source = ok(written(&with_body(both, json!({}))));
    assert_contains(&source, "pub fn content_bytes_(mut self, value: impl ::core::convert::AsRef");
    parsed(&source);
}

#[test]
fn an_operation_that_returns_a_file_by_its_media_type_has_a_method_for_it() {
    let mut document = with_response(json!({ "type": "object" }), json!({}));
    document["paths"]["/answer"]["get"]["x-octowire-stream-media-type"] =
        json!("application/octet-stream");
    let source = ok(written(&document));
    assert_contains(
        &source,
        "pub fn send_stream(self) -> crate::ResponseFuture<crate::ByteStream> \
         { self.0.accept(\"application/octet-stream\").send_stream() }",
    );
    parsed(&source);
}

//! Stage 9: tolerant and exact, paging and bodies.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{
    assert_contains, call, content, definition, document, fails, field, fields, generated, lowered,
    ok, reference, split, with_body, with_body_and_response, with_parameters, with_response,
};
use octowire_codegen::function_names::FunctionNames;
use octowire_codegen::lower::{ApiModel, Body, ListField, Pagination, Property, lower};
use octowire_codegen::model::{Kind, Model, Signature, Type};
use octowire_codegen::names::{snake, snake_of_camel};
use octowire_codegen::operations::describe;
use octowire_codegen::parse_progenitor::read;
use octowire_codegen::type_names::TypeNames;

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn object(properties: Value) -> Value {
    json!({ "type": "object", "properties": properties })
}

fn string() -> Value {
    json!({ "type": "string" })
}

fn thing() -> Value {
    json!({ "type": "object", "required": ["must", "must_list"], "properties": {
        "zeta": string(), "must": string(), "alpha": { "type": "string", "nullable": true },
        "list": list(string()), "must_list": list(string()),
        "state": { "type": "string", "enum": ["open", "closed"] },
        "map": { "type": "object", "additionalProperties": string() },
    } })
}

fn read_thing() -> ApiModel {
    ok(lowered(&with_response(reference("thing"), json!({ "thing": thing() }))))
}

fn sent_thing() -> ApiModel {
    ok(lowered(&with_body(reference("thing"), json!({ "thing": thing() }))))
}

fn properties(lowered: &ApiModel) -> &[Property] {
    match &call(lowered, "tests/send").body {
        Body::Json { properties, .. } => properties,
        _ => panic!("a JSON body"),
    }
}

/// The items over which `GET /{org}/things` with `page` iterates.
fn paging(schema: Value, schemas: Value, parameter: &str) -> Pagination {
    paging_of("/things", schema, schemas, parameter, None)
}

fn paging_of(
    path: &str,
    schema: Value,
    schemas: Value,
    parameter: &str,
    items: Option<&str>,
) -> Pagination {
    let parameters = json!([{ "name": parameter, "in": "query", "schema": { "type": "integer" } }]);
    let mut given = with_parameters(path, parameters);
    given["paths"][path]["get"]["responses"] = json!({ "200": content(schema) });
    given["components"]["schemas"] = schemas;
    if let Some(items) = items {
        given["paths"][path]["get"]["x-octowire-items"] = json!(items);
    }
    call(&ok(lowered(&given)), "tests/get").paging.clone()
}

fn option(of: Type) -> Type {
    Type::Option(Box::new(of))
}

#[test]
fn properties_stand_in_the_documents_order() {
    let lowered = read_thing();
    let names: Vec<&str> = fields(&lowered, "Thing").iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["zeta", "must", "alpha", "list", "must_list", "state", "map"]);
}

#[test]
fn a_list_that_is_read_is_never_absent() {
    let lowered = read_thing();
    for name in ["list", "must_list"] {
        let strings = Type::Vec(Box::new(Type::path("String")));
        assert_eq!(field(&lowered, "Thing", name).ty, strings, "{name}");
    }
    assert!(matches!(field(&lowered, "Thing", "map").ty, Type::Map(_)));
}

#[test]
fn a_nullable_list_that_is_read_is_never_absent() {
    let mut thing = thing();
    for name in ["list", "must_list"] {
        thing["properties"][name]["nullable"] = json!(true);
    }
    let lowered = ok(lowered(&with_response(reference("thing"), json!({ "thing": thing }))));
    for name in ["list", "must_list"] {
        assert!(matches!(field(&lowered, "Thing", name).ty, Type::Vec(_)), "{name}");
    }
}

#[test]
fn a_list_that_is_sent_may_be_left_out() {
    let lowered = sent_thing();
    assert!(matches!(field(&lowered, "ThingInput", "list").ty, Type::Option(_)));
    assert!(matches!(field(&lowered, "ThingInput", "must_list").ty, Type::Vec(_)));
}

#[test]
fn request_fields_distinguish_null_from_absent() {
    let lowered = sent_thing();
    let twice = option(option(Type::path("String")));
    assert_eq!(field(&lowered, "ThingInput", "alpha").ty, twice);
    assert_eq!(field(&lowered, "ThingInput", "zeta").ty, option(Type::path("String")));
}

#[test]
fn a_schema_of_requests_and_responses_has_two_types() {
    let lowered =
        ok(lowered(&with_body_and_response(reference("thing"), json!({ "thing": thing() }))));
    assert!(lowered.read.contains("Thing") && !lowered.read.contains("ThingInput"));
    assert!(matches!(field(&lowered, "Thing", "list").ty, Type::Vec(_)));
    assert!(matches!(field(&lowered, "ThingInput", "list").ty, Type::Option(_)));
    let state = |of: &str| field(&lowered, of, "state").ty.unwrapped().clone();
    assert_ne!(state("Thing"), state("ThingInput"));
}

#[test]
fn unreachable_types_are_removed() {
    let thing = thing();
    let mut given = with_response(reference("thing"), json!({ "thing": thing }));
    given["paths"]["/answer"]["get"]["responses"]["404"] = content(reference("error"));
    given["components"]["schemas"]["error"] = object(json!({ "message": string() }));
    let lowered = ok(lowered(&given));
    let names: Vec<&str> = lowered.types.keys().map(String::as_str).collect();
    assert_eq!(names, ["Thing", "ThingState"]);
}

#[test]
fn a_component_that_is_a_scalar_is_written_as_one() {
    let schemas = json!({ "number": { "type": "integer" }, "numbers": list(reference("number")) });
    let holder = object(json!({ "one": reference("number"), "more": reference("numbers") }));
    let lowered = ok(lowered(&with_response(holder, schemas)));
    let record = "TestsGetResponse";
    assert_eq!(field(&lowered, record, "one").ty, option(Type::path("i64")));
    assert_eq!(field(&lowered, record, "more").ty, Type::Vec(Box::new(Type::path("i64"))));
}

#[test]
fn a_unions_variants_have_short_names() {
    let schemas = json!({
        "user": object(json!({ "login": string() })), "team": object(json!({ "slug": string() })),
    });
    let union = json!({ "oneOf": [
        reference("user"), reference("team"), { "type": "integer" }, string(),
        list(string()), object(json!({ "inline": string() })), { "type": "boolean" },
    ] });
    let lowered = ok(lowered(&with_response(union, schemas)));
    let Kind::Union(variants) = &definition(&lowered, "TestsGetResponse").kind else {
        panic!("a union")
    };
    let names: Vec<&str> = variants.iter().map(|variant| variant.ident.as_str()).collect();
    let expected = ["User", "Team", "Integer", "String", "Array", "WithInline", "Boolean"];
    assert_eq!(names, expected);
}

#[test]
fn a_list_is_streamed_item_by_item() {
    for parameter in ["page", "per_page", "cursor", "after", "before"] {
        let paging = paging(list(string()), json!({}), parameter);
        let item = Type::path("String");
        assert_eq!(paging, Pagination::List { item, field: None, optional: false }, "{parameter}");
    }
}

#[test]
fn an_operation_without_a_page_parameter_is_not_streamed() {
    assert_eq!(paging(list(string()), json!({}), "sort"), Pagination::None);
}

#[test]
fn the_list_in_a_page_is_found() {
    let number = || json!({ "type": "integer" });
    let item = Type::path("String");
    let found = |field: &str| Pagination::List {
        item: item.clone(),
        field: Some(ListField {
            ident: field.to_owned(),
            name: field.to_owned(),
            total: None,
            incomplete_results: None,
        }),
        optional: false,
    };
    // The only one.
    let one = object(json!({ "count": number(), "anything": list(string()) }));
    assert_eq!(paging(one, json!({}), "page"), found("anything"));
    // With several candidates: `items`, the name of the path, or the choice of the overlay.
    let several = object(json!({ "errors": list(number()), "items": list(string()) }));
    assert_eq!(paging(several, json!({}), "page"), found("items"));
    let several = object(json!({ "errors": list(number()), "things": list(string()) }));
    assert_eq!(paging(several.clone(), json!({}), "page"), found("things"));
    let of = |items| paging_of("/other", several.clone(), json!({}), "page", items);
    assert_eq!(of(Some("things")), found("things"));
    assert_eq!(of(None), Pagination::Pages);
}

#[test]
fn the_total_count_and_completeness_fields_of_a_page_are_found() {
    let of = |properties: Value| match paging(object(properties), json!({}), "page") {
        Pagination::List { field: Some(field), .. } => (field.total, field.incomplete_results),
        other => panic!("{other:?}"),
    };
    let total = || Some("total_count".to_owned());
    let missing = || Some("incomplete_results".to_owned());
    for count in ["integer", "number"] {
        let page = json!({
            "total_count": { "type": count }, "incomplete_results": { "type": "boolean" },
            "items": list(string()),
        });
        assert_eq!(of(page), (total(), missing()), "{count}");
        let nullable = json!({
            "total_count": { "type": count, "nullable": true }, "items": list(string()),
        });
        assert_eq!(of(nullable), (total(), None), "{count}");
    }
    // Other counts, and fields that are no count.
    for other in ["total_seats", "total_active_count", "count"] {
        let page = json!({ other: { "type": "integer" }, "items": list(string()) });
        assert_eq!(of(page), (None, None), "{other}");
    }
    let page =
        json!({ "total_count": string(), "incomplete_results": string(), "items": list(string()) });
    assert_eq!(of(page), (None, None));
}

#[test]
fn the_list_of_a_page_has_the_name_that_it_has_in_json() {
    let page = object(json!({ "total_count": { "type": "integer" }, "type": list(string()) }));
    let Pagination::List { field: Some(field), .. } = paging(page, json!({}), "page") else {
        panic!()
    };
    assert_eq!(field.name, "type");
    assert_ne!(field.ident, "type");
}

#[test]
fn a_page_without_a_list_has_pages() {
    assert_eq!(paging(object(json!({ "a": string() })), json!({}), "page"), Pagination::Pages);
    assert_eq!(paging(string(), json!({}), "page"), Pagination::Pages);
}

#[test]
fn a_page_that_may_be_absent_is_streamed_as_empty() {
    let mut given = with_parameters(
        "/things",
        json!([
            { "name": "page", "in": "query", "schema": { "type": "integer" } },
        ]),
    );
    given["paths"]["/things"]["get"]["responses"] =
        json!({ "200": content(list(string())), "204": { "description": "" } });
    let lowered = ok(lowered(&given));
    let item = Type::path("String");
    let expected = Pagination::List { item, field: None, optional: true };
    assert_eq!(call(&lowered, "tests/get").paging, expected);
}

#[test]
fn a_bodys_properties_have_setters() {
    let lowered = sent_thing();
    let properties = properties(&lowered);
    let names: Vec<&str> = properties.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["zeta", "must", "alpha", "list", "must_list", "state", "map"]);
    let of = |name: &str| properties.iter().find(|p| p.name == name).expect("a property");
    assert!(of("must").required && !of("zeta").required);
    assert!(of("alpha").nullable && !of("zeta").nullable && !of("list").nullable);
    assert_eq!(of("alpha").ty, Type::path("String"));
}

#[test]
fn a_union_as_a_body_has_the_properties_of_all_its_objects() {
    let one = json!({ "type": "object", "required": ["a"], "properties": { "a": string() } });
    let other = json!({ "type": "object", "required": ["a"], "properties": {
        "a": string(), "b": string(),
    } });
    let union = json!({ "oneOf": [one, other, list(string())] });
    let lowered = ok(lowered(&with_body(union, json!({}))));
    let shown: Vec<_> = properties(&lowered).iter().map(|p| (&*p.name, p.required)).collect();
    assert_eq!(shown, [("a", false), ("b", false)]);
}

#[test]
fn setters_keep_clear_of_methods_keywords_and_one_another() {
    let body = object(json!({ "send": string(), "type": string(), "page": string() }));
    let mut given = with_body(body, json!({}));
    given["paths"]["/answer"]["post"]["parameters"] = json!([
        { "name": "page", "in": "query", "schema": string() },
        { "name": "stream", "in": "query", "schema": string() },
        { "name": "X-Thing", "in": "header", "schema": string() },
    ]);
    let lowered = ok(lowered(&given));
    let parameters = &call(&lowered, "tests/send").parameters;
    let idents: Vec<&str> = parameters.iter().map(|p| p.ident.as_str()).collect();
    assert_eq!(idents, ["page", "stream_", "x_thing"]);
    let idents: Vec<&str> = properties(&lowered).iter().map(|p| p.ident.as_str()).collect();
    assert_eq!(idents, ["body_send", "type_", "body_page"]);
}

#[test]
fn names_that_are_one_rust_name_get_setters_of_their_own() {
    let body = object(json!({ "a-b": string(), "a_b": string() }));
    let mut given = with_body(body, json!({}));
    given["paths"]["/answer"]["post"]["parameters"] = json!([
        { "name": "x-y", "in": "query", "schema": string() },
        { "name": "x_y", "in": "query", "schema": string() },
    ]);
    // An error will do as well.
    let Ok(lowered) = lowered(&given) else { return };
    let parameters = call(&lowered, "tests/send").parameters.iter().map(|p| p.ident.as_str());
    let all: Vec<&str> =
        parameters.chain(properties(&lowered).iter().map(|p| p.ident.as_str())).collect();
    let distinct: BTreeSet<&str> = all.iter().copied().collect();
    assert_eq!(distinct.len(), all.len(), "{all:?}");
}

#[test]
fn an_operation_that_progenitor_left_out_is_an_error() {
    let given = document(
        json!({ "/a": { "get": { "operationId": "a/b", "tags": ["a"], "responses": {} } } }),
        json!({}),
    );
    let functions = FunctionNames::assign(["a/b"].into_iter(), [].into_iter());
    let names = TypeNames::default();
    let result = lower(Model::default(), ok(describe(&given)), Vec::new(), &functions, &names);
    let message = fails(result, "lower", "/paths/~1a/get");
    assert_contains(message, "progenitor generated no function for this operation");
}

#[test]
fn a_function_of_no_operation_is_an_error() {
    let mut model = Model::default();
    model.signatures.insert("ab".to_owned(), Signature { parameters: Vec::new(), output: None });
    let (functions, names) = (FunctionNames::default(), TypeNames::default());
    let result = lower(model, Vec::new(), Vec::new(), &functions, &names);
    assert_contains(fails(result, "lower", "/paths"), "`ab`, which belongs to no operation");
}

#[test]
fn operations_are_paired_with_functions_by_id() {
    let operation = |id: &str, of: &str| {
        json!({ "operationId": id, "tags": ["a"], "responses": {
            "200": content(json!({ "type": of })),
        } })
    };
    // Three of the ids are the same in snake case.
    let given = document(
        json!({
            "/c": { "get": operation("z/last", "boolean"), "put": operation("a/b-c", "string") },
            "/b": { "get": operation("a-b/c", "integer") },
            "/a": { "get": operation("a_b/c", "number") },
        }),
        json!({}),
    );
    let split = ok(split(&given));
    let parts = split.parts.clone();
    let tokens = ok(generated(&split.document));
    let mut model = ok(read(tokens, &split.hints));
    // The order of a map, and of the operations, has no meaning.
    let mut operations = parts.operations;
    operations.reverse();
    model.signatures = model.signatures.into_iter().rev().collect();
    let api = ok(lower(model, operations, Vec::new(), &parts.functions, &parts.type_names));
    for (id, of) in [("z/last", "bool"), ("a/b-c", "String"), ("a-b/c", "i64"), ("a_b/c", "f64")] {
        assert_eq!(call(&api, id).output, Some(Type::path(of)), "{id}");
    }
}

#[test]
fn plain_names_are_snake_case() {
    for (name, expected) in [
        ("per_page", "per_page"),
        ("X-GitHub-Api-Version", "x_github_api_version"),
        ("r#type", "type_"),
        ("filter[name]", "filter_name"),
        ("a--b", "a_b"),
    ] {
        assert_eq!(snake(name).as_deref(), Some(expected));
    }
    assert_eq!(snake("-"), None);
}

#[test]
fn variants_have_accessors_in_snake_case() {
    for (ident, expected) in [
        ("File", "file"),
        ("WithMessage", "with_message"),
        ("ProjectsV2DraftIssue", "projects_v2_draft_issue"),
        ("Variant0", "variant0"),
        ("HTTPError", "httperror"),
        ("Other_", "other_"),
    ] {
        assert_eq!(snake_of_camel(ident), expected);
    }
}

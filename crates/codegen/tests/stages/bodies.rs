//! A body that is a union: its setters accept the values of every variant.

use serde_json::{Value, json};

use crate::documents::{VENDORED_API, vendored};
use crate::support::{
    assert_contains, call, lowered, lowered_tags, ok, reference, with_body, written,
};
use octowire_codegen::document::{self, operations};
use octowire_codegen::lower::{ApiModel, Body, CallModel, Property};
use octowire_codegen::model::{Kind, Type};
use octowire_codegen::select::Selection;

fn object(properties: Value) -> Value {
    json!({ "type": "object", "properties": properties })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn string() -> Value {
    json!({ "type": "string" })
}

fn values(values: &[&str]) -> Value {
    json!({ "type": "string", "enum": values })
}

/// The body of `tests/send`, whose property `a` is each of these in a variant of its own.
fn either(variants: &[Value]) -> Value {
    let variants = variants.iter().enumerate().map(|(index, a)| {
        let own = format!("own_{index}");
        object(json!({ "a": a, own: string() }))
    });
    with_body(json!({ "oneOf": variants.collect::<Vec<_>>() }), json!({}))
}

fn properties(call: &CallModel) -> &[Property] {
    match &call.body {
        Body::Json { properties, .. } => properties,
        _ => &[],
    }
}

/// The argument type of the setter of `a`.
fn setter(variants: &[Value]) -> (Type, ApiModel) {
    let lowered = ok(lowered(&either(variants)));
    let found = properties(call(&lowered, "tests/send")).iter().find(|found| found.name == "a");
    (found.expect("a setter").ty.clone(), lowered)
}

/// The definition behind a type's name, followed through aliases.
fn kind<'a>(lowered: &'a ApiModel, of: &Type) -> Option<&'a Kind> {
    let Type::Named(name) = of.unboxed() else { return None };
    match &lowered.types.get(name)?.kind {
        Kind::Alias(of) => kind(lowered, of),
        kind => Some(kind),
    }
}

fn named(name: &str) -> Type {
    Type::Named(name.to_owned())
}

#[test]
fn the_values_of_all_variants_enums_are_taken() {
    let (of, lowered) = setter(&[values(&["text", "date"]), values(&["date", "select"])]);
    assert_eq!(of, named("TestsSendBodyA"));
    let Some(Kind::Enum(values)) = kind(&lowered, &of) else { panic!("an enum") };
    let names: Vec<&str> = values.iter().map(|value| value.name.as_str()).collect();
    assert_eq!(names, ["text", "date", "select"]);
}

#[test]
fn a_string_takes_the_values_of_enums_as_well() {
    assert_eq!(setter(&[values(&["text"]), string()]).0, Type::path("String"));
}

#[test]
fn a_property_equal_in_all_variants_keeps_its_type() {
    assert_eq!(setter(&[string(), string()]).0, Type::path("String"));
    let strings = Type::Vec(Box::new(Type::path("String")));
    assert_eq!(setter(&[list(string()), list(string())]).0, strings);
}

#[test]
fn types_that_differ_are_taken_through_a_union_of_their_own() {
    let thing = object(json!({ "name": string() }));
    let (of, lowered) = setter(&[json!({ "type": "integer" }), string(), thing]);
    assert_eq!(of, named("TestsSendBodyA"));
    let Some(Kind::Union(variants)) = kind(&lowered, &of) else { panic!("a union") };
    assert_eq!(variants.len(), 3);
    let source = ok(written(&either(&[json!({ "type": "integer" }), string()])));
    for from in ["<i64>", "<&str>", "<::std::string::String>"] {
        assert_contains(
            &source,
            &format!("impl ::core::convert::From{from} for TestsSendBodyA {{"),
        );
    }
}

#[test]
fn lists_that_differ_are_taken_as_a_list_of_either() {
    let thing = object(json!({ "name": string() }));
    let (of, lowered) = setter(&[list(string()), list(thing)]);
    assert_eq!(of, Type::Vec(Box::new(named("TestsSendBodyAItem"))));
    let Type::Vec(item) = of else { panic!("a list") };
    let Some(Kind::Union(variants)) = kind(&lowered, &item) else { panic!("a union") };
    let names: Vec<&str> = variants.iter().map(|variant| variant.ident.as_str()).collect();
    assert_eq!(names, ["String", "Object"]);
}

#[test]
fn a_property_nullable_in_one_variant_can_be_set_to_null() {
    let variants = [string(), json!({ "type": "string", "nullable": true })];
    let lowered = ok(lowered(&either(&variants)));
    let found = properties(call(&lowered, "tests/send")).iter().find(|found| found.name == "a");
    assert!(found.expect("a setter").nullable);
}

#[test]
fn a_body_that_two_operations_share_is_united_once() {
    let union = json!({ "oneOf": [
        object(json!({ "a": values(&["x"]) })), object(json!({ "a": values(&["y"]), "b": {} })),
    ] });
    let mut given = with_body(reference("thing"), json!({ "thing": union }));
    let mut other = given["paths"]["/answer"]["post"].clone();
    other["operationId"] = json!("tests/other");
    given["paths"]["/other"] = json!({ "post": other });
    let lowered = ok(lowered(&given));
    for id in ["tests/send", "tests/other"] {
        assert_eq!(properties(call(&lowered, id))[0].ty, named("ThingInputA"), "{id}");
    }
}

/// Whether the setter's type takes all that the document allows.
fn takes(document: &Value, lowered: &ApiModel, of: &Type, schema: &Value) -> bool {
    let schema = ok(document::resolve(document, schema, "test", ""));
    let parts = || ["oneOf", "anyOf"].into_iter().flat_map(|key| document::array(schema, key));
    if parts().next().is_some() && schema.get("properties").is_none() {
        let some = |part: &&Value| part["type"] != "null";
        return parts().filter(some).all(|part| takes(document, lowered, of, part));
    }
    let is = |name: &str| *of.unboxed() == Type::path(name);
    if is("::serde_json::Value") {
        return true;
    }
    if let Some(Kind::Union(variants)) = kind(lowered, of) {
        return variants.iter().any(|variant| takes(document, lowered, &variant.ty, schema));
    }
    // GitHub leaves the type out where an enum says it.
    let implied = schema.get("enum").map(|_| "string");
    match (schema["type"].as_str().or(implied), of.unboxed(), kind(lowered, of)) {
        (Some("string"), _, Some(Kind::Enum(known))) => {
            let mut named = document::array(schema, "enum").filter_map(Value::as_str).peekable();
            named.peek().is_some() && named.all(|text| known.iter().any(|value| value.name == text))
        }
        (Some("string"), Type::Path(_), _) => {
            is("String") || schema["format"] == "date-time" || schema["format"] == "date"
        }
        (Some("integer"), ..) => is("i64") || is("f64"),
        // An id or a count is an integer: `numbers.rs` has them all.
        (Some("number"), ..) => is("i64") || is("f64"),
        (Some("boolean"), ..) => is("bool"),
        (Some("array"), Type::Vec(of), _) => takes(document, lowered, of, &schema["items"]),
        (Some("object") | None, _, Some(Kind::Struct(fields))) => {
            document::object(schema, "properties").all(|(name, schema)| {
                let field = fields.iter().find(|field| field.name == *name);
                field.is_some_and(|field| {
                    let of = field.ty.unwrapped().unwrapped();
                    takes(document, lowered, of, schema)
                })
            })
        }
        (Some("object") | None, Type::Map(_), _) => true,
        _ => false,
    }
}

/// The properties of each variant of an operation's body that are wider than their setters.
fn narrower(document: &Value, lowered: &ApiModel) -> (usize, Vec<String>) {
    let mut unions = 0;
    let mut found = Vec::new();
    for located in operations(document) {
        let Some(body) = located.operation.get("requestBody") else { continue };
        let body = ok(document::resolve(document, body, "test", ""));
        let schema = &body["content"]["application/json"]["schema"];
        let schema = ok(document::resolve(document, schema, "test", ""));
        let variants: Vec<&Value> =
            document::array(schema, "oneOf").chain(document::array(schema, "anyOf")).collect();
        unions += usize::from(!variants.is_empty());
        let setters = properties(call(lowered, located.id()));
        for variant in variants.into_iter().chain([schema]) {
            let variant = ok(document::resolve(document, variant, "test", ""));
            for (name, schema) in document::object(variant, "properties") {
                let setter = setters.iter().find(|property| property.name == *name);
                if !setter.is_some_and(|setter| takes(document, lowered, &setter.ty, schema)) {
                    let of = setter.map(|setter| &setter.ty);
                    found.push(format!("{}: {name}: {of:?} for {schema}", located.id()));
                }
            }
        }
    }
    (unions, found)
}

#[test]
fn no_setter_of_the_vendored_document_takes_less_than_its_body() {
    let document = vendored();
    let (unions, found) = narrower(&document, &VENDORED_API);
    assert!(unions >= 20, "bodies that are unions: {unions}");
    assert!(found.is_empty(), "{}: {found:#?}", found.len());
}

#[test]
fn fields_of_a_project_are_added_with_any_data_type() {
    let lowered =
        ok(lowered_tags(&vendored(), &Selection::Only(crate::support::names(&["projects"]))));
    for id in ["projects/add-field-for-org", "projects/add-field-for-user"] {
        let setters = properties(call(&lowered, id));
        let of = &setters.iter().find(|property| property.name == "data_type").expect("it").ty;
        let Some(Kind::Enum(values)) = kind(&lowered, of) else { panic!("{id}: {of:?}") };
        let names: Vec<&str> = values.iter().map(|value| value.name.as_str()).collect();
        assert_eq!(names, ["text", "number", "date", "single_select", "iteration"], "{id}");
    }
}

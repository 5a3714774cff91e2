//! Stage 8: progenitor's and typify's part.

use serde_json::{Value, json};

use crate::support::{
    assert_contains, content, document, fails, generated, ok, split, split_document, with_response,
};
use octowire_codegen::hints::HintTable;
use octowire_codegen::model::{Kind, Model, Signature, Type};
use octowire_codegen::normalize::ID_OR_NAME;
use octowire_codegen::parse_progenitor;

fn integer() -> Value {
    json!({ "type": "integer", "format": "int64" })
}

/// Reads the functions, of a document whose types have no properties.
fn read(document: &Value) -> Model {
    ok(parse_progenitor::read(ok(generated(document)), &HintTable::default()))
}

/// The signature of the only operation.
fn signature(model: &Model) -> &Signature {
    assert_eq!(model.signatures.len(), 1);
    model.signatures.values().next().expect("a signature")
}

/// An operation that answers the schema, as normalization leaves it.
fn operation(id: &str, schema: Value) -> Value {
    json!({ "operationId": id, "tags": ["tests"], "parameters": [], "responses": {
        "200": content(schema),
    } })
}

#[test]
fn an_operation_becomes_a_signature() {
    let mut get = operation("tests/get", integer());
    get["parameters"] = json!([
        { "name": "owner", "in": "path", "required": true, "schema": { "type": "string" } },
        { "name": "page", "in": "query", "required": false, "schema": integer() },
    ]);
    let given = document(json!({ "/{owner}": { "get": get } }), json!({}));
    let model = read(&given);
    let signature = signature(&model);
    assert_eq!(signature.output, Some(Type::path("i64")));
    let mut parameters = signature.parameters.clone();
    parameters.sort();
    let page = Type::Option(Box::new(Type::path("i64")));
    let expected = [("owner".to_owned(), Type::path("String")), ("page".to_owned(), page)];
    assert_eq!(parameters, expected);
}

#[test]
fn a_signature_is_found_by_the_name_of_its_function() {
    let of = |schema: Value| json!({ "post": operation("z/post", schema), "get": operation("y/get", integer()) });
    let given = document(
        json!({ "/b": of(json!({ "type": "boolean" })), "/a": {
            "get": operation("a/get", json!({ "type": "string" })),
        } }),
        json!({}),
    );
    let model = read(&given);
    for (function, path) in [("yget", "i64"), ("zpost", "bool"), ("aget", "String")] {
        assert_eq!(model.signatures[function].output, Some(Type::path(path)), "{function}");
    }
}

#[test]
fn schemas_become_types() {
    let user = json!({ "type": "object", "required": ["id"], "properties": {
        "id": { "type": "integer" }, "type": { "type": "string" },
        "created_at": { "type": "string", "format": "date-time" },
        "born": { "type": "string", "format": "date" },
        "score": { "type": "number" }, "next": { "$ref": "#/components/schemas/user" },
        "anything": {}, "counts": { "type": "object", "additionalProperties": { "type": "integer" } },
    } });
    let reference = crate::support::reference("user");
    let split = ok(split(&with_response(reference, json!({ "user": user }))));
    let model = ok(parse_progenitor::read(ok(generated(&split.document)), &split.hints));
    let Kind::Struct(fields) = &model.types["User"].kind else { panic!("a record") };
    let of = |name: &str| fields.iter().find(|field| field.name == name).expect("a field");
    assert!(of("id").required && !of("type").required);
    assert_eq!(of("id").ty, Type::path("i64"));
    assert_eq!(of("type").ident, "type_");
    let optional = |of: Type| Type::Option(Box::new(of));
    let time = Type::path("::chrono::DateTime<::chrono::Utc>");
    assert_eq!(of("created_at").ty, optional(time));
    assert_eq!(of("born").ty, optional(Type::path("::chrono::NaiveDate")));
    assert_eq!(of("score").ty, optional(Type::path("f64")));
    let next = Type::Boxed(Box::new(Type::Named("User".to_owned())));
    assert_eq!(of("next").ty, optional(next));
    assert_eq!(of("anything").ty, optional(Type::path("::serde_json::Value")));
    assert_eq!(of("counts").ty.unwrapped(), &Type::Map(Box::new(Type::path("i64"))));
}

#[test]
fn an_id_or_a_name_is_our_own_type() {
    let mut get = operation("tests/get", integer());
    let schema = json!({ "$ref": format!("#/components/schemas/{ID_OR_NAME}") });
    get["parameters"] = json!([{ "name": "id", "in": "path", "required": true, "schema": schema }]);
    let schemas = json!({ ID_OR_NAME: { "type": "string" } });
    let given = document(json!({ "/{id}": { "get": get } }), schemas);
    let model = read(&given);
    let id = ("id".to_owned(), Type::path(octowire_codegen::generate::ID_OR_NAME_TYPE));
    assert_eq!(signature(&model).parameters, [id]);
}

#[test]
fn bytes_have_no_type() {
    let mut get = operation("tests/get", json!({}));
    let octets = json!({ "schema": { "type": "string", "format": "binary" } });
    get["responses"]["200"]["content"] = json!({ "application/octet-stream": octets });
    let given = document(json!({ "/a": { "get": get } }), json!({}));
    assert_eq!(signature(&read(&given)).output, None);
}

#[test]
fn a_description_without_operations_is_generated_too() {
    let model = read(&document(json!({}), json!({})));
    assert!(model.signatures.is_empty());
}

#[test]
fn input_that_is_not_openapi_is_an_error() {
    for given in [json!(null), json!({}), json!({ "openapi": "3.0.3", "paths": 7 })] {
        assert_contains(fails(generated(&given), "generate", ""), "`openapiv3` cannot read");
    }
}

#[test]
fn an_operation_that_is_not_understood_is_named() {
    let mut bad = operation("tests/bad", integer());
    bad["responses"]["200"]["content"]["application/json"]["schema"] = json!({ "type": "text" });
    let given = document(
        json!({ "/good": { "get": operation("tests/good", integer()) }, "/b~d": { "put": bad } }),
        json!({}),
    );
    assert_contains(fails(generated(&given), "generate", "/paths/~1b~0d/put"), "text");
}

#[test]
fn where_progenitor_panics_its_words_are_the_error() {
    // Two success bodies, which normalization leaves no operation with.
    let mut bad = operation("tests/bad", integer());
    bad["responses"]["201"] = content(json!({ "type": "string" }));
    let given = document(
        json!({ "/good": { "get": operation("tests/good", integer()) }, "/bad": { "get": bad } }),
        json!({}),
    );
    let message = fails(generated(&given), "generate", "/paths/~1bad/get");
    assert_contains(message, "progenitor panicked: ");
}

#[test]
fn enum_values_that_are_one_rust_name_are_an_error_that_says_where() {
    let values = json!({ "type": "string", "enum": ["a b", "a_b"] });
    let given = ok(split_document(&with_response(values, json!({}))));
    fails(generated(&given), "generate", "/paths/~1answer/get");
}

#[test]
fn the_same_document_makes_the_same_tokens() {
    let values = json!({ "type": "string", "enum": ["a", "b", "c"] });
    let object = json!({ "type": "object", "properties": { "x": values, "y": {}, "z": values } });
    let given = ok(split_document(&with_response(object, json!({}))));
    let once = ok(generated(&given)).to_string();
    assert_eq!(ok(generated(&given)).to_string(), once);
}

//! Small documents, and the stages run on them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fmt};

use proc_macro2::TokenStream;
use serde_json::{Value, json};

use octowire_codegen::lower::{ApiModel, CallModel};
use octowire_codegen::model::{Definition, Field, Kind};
use octowire_codegen::pipeline::{CorrectedDescription, SplitDescription};
use octowire_codegen::reserved_scopes::ReservedScopes;
use octowire_codegen::select::{Features, Selection};
use octowire_codegen::type_names::TypeNames;
use octowire_codegen::{Result, generate, load, normalize};

/// The folder of the vendored document and the overlay.
pub fn openapi() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi")
}

/// A document with these paths and component schemas.
pub fn document(paths: Value, schemas: Value) -> Value {
    json!({
        "openapi": "3.0.3",
        "info": { "title": "Small", "version": "1.2.3", "x-github-plan": "api.github.com" },
        "servers": [{ "url": "https://api.github.com" }],
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

/// JSON content of a schema.
pub fn content(schema: Value) -> Value {
    json!({ "description": "", "content": { "application/json": { "schema": schema } } })
}

/// A document whose one operation, `tests/get`, answers the schema.
pub fn with_response(schema: Value, schemas: Value) -> Value {
    let operation = json!({
        "operationId": "tests/get", "tags": ["tests"], "responses": { "200": content(schema) },
    });
    document(json!({ "/answer": { "get": operation } }), schemas)
}

/// A document whose one operation, `tests/send`, takes the schema as its body.
pub fn with_body(schema: Value, schemas: Value) -> Value {
    let operation = json!({
        "operationId": "tests/send", "tags": ["tests"], "requestBody": content(schema),
        "responses": { "204": { "description": "" } },
    });
    document(json!({ "/answer": { "post": operation } }), schemas)
}

/// A document whose one operation, `tests/both`, takes and answers the schema.
pub fn with_body_and_response(schema: Value, schemas: Value) -> Value {
    let operation = json!({
        "operationId": "tests/both", "tags": ["tests"], "requestBody": content(schema.clone()),
        "responses": { "200": content(schema) },
    });
    document(json!({ "/answer": { "post": operation } }), schemas)
}

/// A document whose one operation is `GET path` with these parameters.
pub fn with_parameters(path: &str, parameters: Value) -> Value {
    let operation = json!({
        "operationId": "tests/get", "tags": ["tests"], "parameters": parameters,
        "responses": { "204": { "description": "" } },
    });
    document(json!({ path: { "get": operation } }), json!({}))
}

/// A description as it is, as the first stage would correct it.
pub fn uncorrected(document: &Value) -> CorrectedDescription {
    let name = octowire_codegen::document::document_name(document);
    let (corrections, stale, type_names) = (Vec::new(), Vec::new(), TypeNames::default());
    CorrectedDescription { document: document.clone(), name, corrections, stale, type_names }
}

/// The tags without events.
fn tags_only(tags: &Selection, run: impl FnOnce(Features<'_>) -> Result<Value>) -> Result<Value> {
    run(Features::These { tags, events: &Selection::Only(names(&[])) })
}

/// The description after the stage `normalize`.
pub fn normalized(document: &Value) -> Result<Value> {
    normalized_tags(document, &Selection::All)
}

/// The description of some tags after the stage `normalize`.
pub fn normalized_tags(document: &Value, tags: &Selection) -> Result<Value> {
    let mut document = tags_only(tags, |features| {
        Ok(uncorrected(document).select(features)?.normalize()?.document)
    })?;
    // The mark for the next stage, which removes it.
    for (_, schema) in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
        if let Some(schema) = schema.as_object_mut() {
            schema.shift_remove(normalize::OF_OPERATION);
        }
    }
    Ok(document)
}

/// The result of the stage `split_directions`.
pub fn split(document: &Value) -> Result<SplitDescription> {
    uncorrected(document).select(Features::All)?.normalize()?.split_directions()
}

/// The description after the stage `split_directions`.
pub fn split_document(document: &Value) -> Result<Value> {
    Ok(split(document)?.document)
}

/// The description of some tags after the stage `split_directions`.
pub fn split_tags(document: &Value, tags: &Selection) -> Result<Value> {
    tags_only(tags, |features| {
        Ok(uncorrected(document).select(features)?.normalize()?.split_directions()?.document)
    })
}

/// The result of the stage `generate`.
pub fn generated(document: &Value) -> Result<TokenStream> {
    generate::generate(document)
}

/// The result of the stage `lower`.
pub fn lowered(document: &Value) -> Result<ApiModel> {
    lowered_tags(document, &Selection::All)
}

/// The result of the stage `lower`, of some tags.
pub fn lowered_tags(document: &Value, tags: &Selection) -> Result<ApiModel> {
    lowered_parts(document, tags, &Selection::Only(names(&[])))
}

/// The result of the stage `lower`, of some tags and some events.
pub fn lowered_parts(document: &Value, tags: &Selection, events: &Selection) -> Result<ApiModel> {
    lowered_as(document, tags, events, TypeNames::default())
}

/// The same, with the names of an overlay.
pub fn lowered_as(
    document: &Value,
    tags: &Selection,
    events: &Selection,
    type_names: TypeNames,
) -> Result<ApiModel> {
    let features = Features::These { tags, events };
    let corrected = CorrectedDescription { type_names, ..uncorrected(document) };
    let split = corrected.select(features)?.normalize()?.split_directions()?;
    Ok(split.lower()?.model)
}

/// All stages but the overlay, of all tags and events.
pub fn written(document: &Value) -> Result<String> {
    Ok(written_with_events(document)?.0)
}

/// The same, with the source of the events.
pub fn written_with_events(document: &Value) -> Result<(String, String)> {
    load::check(document)?;
    let reserved = ReservedScopes::default();
    let generated = uncorrected(document).generate(&[], &reserved, Features::All)?;
    Ok((generated.sources.api, generated.sources.events))
}

/// The error's message, of a failure of this stage at this pointer.
#[track_caller]
pub fn fails<T>(result: Result<T>, stage: &str, pointer: &str) -> String {
    match result {
        Ok(_) => panic!("stage `{stage}` should fail at `{pointer}`, but nothing does"),
        Err(error) => {
            assert_eq!((error.stage, error.pointer.as_str()), (stage, pointer), "{error}");
            error.message
        }
    }
}

/// Unwraps a result that must be a success.
#[track_caller]
pub fn ok<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
pub fn assert_contains(text: impl fmt::Display, part: &str) {
    let text = text.to_string();
    assert!(text.contains(part), "no `{part}` in:\n{text}");
}

/// The schema that the only operation of a normalized document answers.
#[track_caller]
pub fn response_schema(normalized: &Value) -> &Value {
    let schema = normalized
        .pointer("/paths/~1answer/get/responses/200/content/application~1json/schema")
        .or_else(|| {
            normalized
                .pointer("/paths/~1answer/post/responses/200/content/application~1json/schema")
        });
    schema.expect("an operation that answers JSON")
}

/// The schema that the only operation of a normalized document takes.
#[track_caller]
pub fn body(normalized: &Value) -> &Value {
    normalized
        .pointer("/paths/~1answer/post/requestBody/content/application~1json/schema")
        .expect("an operation that takes JSON")
}

pub fn schema<'a>(document: &'a Value, name: &str) -> &'a Value {
    &document["components"]["schemas"][name]
}

/// The normalized response of `tests/get`, with the components.
pub fn normalized_response(schema: Value, schemas: Value) -> (Value, Value) {
    let normalized = ok(normalized(&with_response(schema, schemas)));
    (response_schema(&normalized).clone(), normalized["components"]["schemas"].clone())
}

pub fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// A `$ref` that may be `null`.
pub fn nullable_reference(name: &str) -> Value {
    json!({ "allOf": [reference(name)], "nullable": true })
}

#[track_caller]
pub fn definition<'a>(lowered: &'a ApiModel, name: &str) -> &'a Definition {
    let names: Vec<&String> = lowered.types.keys().collect();
    lowered.types.get(name).unwrap_or_else(|| panic!("no {name} among {names:?}"))
}

#[track_caller]
pub fn fields<'a>(lowered: &'a ApiModel, name: &str) -> &'a [Field] {
    match &definition(lowered, name).kind {
        Kind::Struct(fields) => fields,
        other => panic!("{name} is no record but {other:?}"),
    }
}

#[track_caller]
pub fn field<'a>(lowered: &'a ApiModel, record: &str, name: &str) -> &'a Field {
    let fields = fields(lowered, record);
    fields.iter().find(|field| field.name == name).unwrap_or_else(|| panic!("no {name}"))
}

#[track_caller]
pub fn call<'a>(lowered: &'a ApiModel, id: &str) -> &'a CallModel {
    lowered.calls.iter().find(|call| call.operation.id == id).expect("an operation of this id")
}

pub fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Runs a test in a process of its own: an overflow of the stack cannot be
/// caught, and would end the other tests as well.
#[track_caller]
pub fn alone(test: &str, body: impl FnOnce()) {
    const ALONE: &str = "OCTOWIRE_TEST_ALONE";
    if env::var_os(ALONE).is_some() {
        return body();
    }
    let output = Command::new(env::current_exe().expect("the test's path"))
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .expect("the test runs again");
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {shown}", output.status);
    assert_contains(String::from_utf8_lossy(&output.stdout), "1 passed");
}

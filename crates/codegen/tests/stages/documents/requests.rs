//! Every example of a JSON request body can be said with the type that its
//! operation sends: each property has a field, and each value a type that
//! takes it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{broken, corrected, others, vendored};
use crate::support::{call, lowered, lowered_tags, ok, with_body};
use octowire_codegen::Result;
use octowire_codegen::document::{self, operations};
use octowire_codegen::lower::{Body, CallModel};
use octowire_codegen::model::{Definition, Kind, Type};
use octowire_codegen::operations::is_json;
use octowire_codegen::select::Selection;

type Types = BTreeMap<String, Definition>;

/// Whether something can be sent, and if not, why.
type Fit = std::result::Result<(), String>;

/// An example of a request.
struct Example {
    operation: String,
    key: String,
    /// Whether GitHub takes the request without a body, too.
    optional: bool,
    body: Value,
}

/// Every example of a JSON request body.
fn examples(document: &Value) -> Result<Vec<Example>> {
    let resolve = |value| document::resolve(document, value, "examples", "");
    let mut examples = Vec::new();
    for located in operations(document) {
        let request = resolve(&located.operation["requestBody"])?;
        for (_, media) in document::object(request, "content").filter(|(of, _)| is_json(of)) {
            let mut push = |key: &str, body: &Value| {
                examples.push(Example {
                    operation: located.id().to_owned(),
                    key: key.to_owned(),
                    optional: request["required"] != true,
                    body: body.clone(),
                });
            };
            media.get("example").into_iter().for_each(|body| push("example", body));
            for (key, example) in document::object(media, "examples") {
                resolve(example)?.get("value").into_iter().for_each(|body| push(key, body));
            }
        }
    }
    Ok(examples)
}

/// Tries to send each example, named by its operation and its own name.
fn sent(document: &Value) -> Result<BTreeMap<String, Fit>> {
    let lowered = lowered_tags(document, &Selection::All)?;
    let calls: BTreeMap<&str, &CallModel> =
        lowered.calls.iter().map(|call| (call.operation.id.as_str(), call)).collect();
    let mut results = BTreeMap::new();
    for Example { operation, key, optional, body } in examples(document)? {
        let Body::Json { ty: of, .. } = &calls[operation.as_str()].body else {
            panic!("{operation} takes JSON, but has no type for it");
        };
        // An example that is `null` shows that the body may be left out.
        let fit =
            if optional && body.is_null() { Ok(()) } else { fits(&lowered.types, of, &body, "$") };
        results.insert(format!("{operation} {key}"), fit);
    }
    let fit = results.values().filter(|fit| fit.is_ok()).count();
    let name = document::document_name(document);
    println!("{name}: request examples that can be sent: {fit} of {}", results.len());
    Ok(results)
}

/// Returns examples that cannot be sent and are not listed as broken, and the reverse.
fn surprises(document: &Value) -> Result<BTreeMap<String, String>> {
    let reasons: BTreeMap<&str, &str> =
        broken::EXAMPLES.iter().chain(broken::ELSEWHERE).copied().collect();
    let surprise = |(name, fit): (String, Fit)| match (fit, reasons.contains_key(name.as_str())) {
        (Ok(()), false) | (Err(_), true) => None,
        (Ok(()), true) => Some((name, "is called broken, and can be sent".to_owned())),
        (Err(why), false) => Some((name, why)),
    };
    Ok(sent(document)?.into_iter().filter_map(surprise).collect())
}

/// Whether a type can say a value, and if not, why.
fn fits(types: &Types, of: &Type, value: &Value, path: &str) -> Fit {
    let when = |fits: bool| match fits {
        true => Ok(()),
        false => Err(format!("{path} is {value}, not {of:?}")),
    };
    match of {
        Type::Named(name) => {
            let Some(definition) = types.get(name) else {
                return Err(format!("{path} is of a type {name} that is not there"));
            };
            definition_fits(types, definition, value, path)
        }
        Type::Boxed(of) => fits(types, of, value, path),
        Type::Option(_) if value.is_null() => Ok(()),
        Type::Option(of) => fits(types, of, value, path),
        Type::Vec(of) => {
            let Some(items) = value.as_array() else { return when(false) };
            let mut items = items.iter().enumerate();
            items.try_for_each(|(i, item)| fits(types, of, item, &format!("{path}[{i}]")))
        }
        Type::Map(of) => {
            let Some(map) = value.as_object() else { return when(false) };
            map.iter().try_for_each(|(name, item)| fits(types, of, item, &format!("{path}.{name}")))
        }
        Type::Path(of) => when(match of.as_str() {
            "i64" | "u64" | "i32" => value.is_i64(),
            "f64" => value.is_number(),
            "bool" => value.is_boolean(),
            "String" => value.is_string(),
            "crate::IdOrName" => value.is_string() || value.is_i64(),
            time if time.starts_with("::chrono::") => value.is_string(),
            "::serde_json::Value" => true,
            map if map.starts_with("::serde_json::Map<") => value.is_object(),
            other => panic!("{other} is not known here"),
        }),
    }
}

fn definition_fits(types: &Types, definition: &Definition, value: &Value, path: &str) -> Fit {
    match &definition.kind {
        Kind::Alias(of) => fits(types, of, value, path),
        Kind::Enum(values) => match value.as_str() {
            Some(text) if values.iter().any(|value| value.name == text) => Ok(()),
            _ => Err(format!("{path} is {value}, which the document does not name")),
        },
        Kind::Union(variants) => {
            let mut why = Vec::new();
            for variant in variants {
                match fits(types, &variant.ty, value, path) {
                    Ok(()) => return Ok(()),
                    Err(reason) => why.push(reason),
                }
            }
            Err(why.join("; "))
        }
        Kind::Struct(fields) => {
            let Some(object) = value.as_object() else {
                return Err(format!("{path} is {value}, not an object"));
            };
            for field in fields.iter().filter(|field| field.required && !field.catch_all) {
                if !object.contains_key(&field.name) {
                    return Err(format!("{path} lacks {}", field.name));
                }
            }
            for (name, value) in object {
                let path = format!("{path}.{name}");
                match fields.iter().find(|field| !field.catch_all && field.name == *name) {
                    // An optional property that GitHub does not accept as `null` is omitted if it is `None`.
                    Some(field) if !field.required && !field.nullable && value.is_null() => {
                        return Err(format!("{path} is null, which cannot be sent"));
                    }
                    Some(field) => fits(types, &field.ty, value, &path)?,
                    None => {
                        match fields.iter().find(|field| field.catch_all).map(|field| &field.ty) {
                            Some(Type::Map(of)) => fits(types, of, value, &path)?,
                            _ => return Err(format!("{path} is no property")),
                        }
                    }
                }
            }
            Ok(())
        }
    }
}

/// Those of a list that are no examples of the document.
fn missing(list: &[(&'static str, &str)], document: &Value) -> Vec<&'static str> {
    let name = |example: Example| format!("{} {}", example.operation, example.key);
    let there: BTreeSet<String> = ok(examples(document)).into_iter().map(name).collect();
    list.iter().map(|(name, _)| *name).filter(|name| !there.contains(*name)).collect()
}

#[test]
fn every_request_example_of_the_vendored_document_can_be_sent_but_those_that_are_broken() {
    let document = vendored();
    let surprises = ok(surprises(&document));
    assert!(surprises.is_empty(), "{surprises:#?}");
    assert!(ok(examples(&document)).len() >= 400, "examples are missed");
    let missing = missing(broken::EXAMPLES, &document);
    assert!(missing.is_empty(), "these are gone, so they are not broken: {missing:#?}");
}

#[test]
fn every_request_example_of_other_documents_can_be_sent_but_those_that_are_broken() {
    for path in others() {
        let document = ok(corrected(&path));
        let name = document::document_name(&document);
        let surprises = ok(surprises(&document));
        assert!(surprises.is_empty(), "{name}: {surprises:#?}");
        if name == "ghec" {
            let missing = missing(broken::ELSEWHERE, &document);
            assert!(missing.is_empty(), "these are gone, so they are not broken: {missing:#?}");
        }
    }
}

#[test]
fn an_example_that_cannot_be_sent_is_reported_by_its_path() {
    use serde_json::json;
    let schema = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string" },
            "kind": { "type": "string", "enum": ["a", "b"] },
            "ids": { "type": "array", "items": { "type": "integer" } },
            "files": {
                "type": "object",
                "additionalProperties": {
                    "type": "object", "nullable": true,
                    "properties": { "content": { "type": "string" } },
                },
            },
        },
        "required": ["name"],
    });
    let lowered = ok(lowered(&with_body(schema, json!({}))));
    let Body::Json { ty: of, .. } = &call(&lowered, "tests/send").body else { panic!("no JSON") };
    let why = |body: Value| fits(&lowered.types, of, &body, "$").err().unwrap_or_default();
    for (body, expected) in [
        (json!({ "name": "n", "kind": "a", "ids": [1], "files": { "f": null } }), ""),
        (json!({ "kind": "a" }), "$ lacks name"),
        (json!({ "name": "n", "other": 1 }), "$.other is no property"),
        (json!({ "name": "n", "kind": "c" }), "$.kind is \"c\", which"),
        (json!({ "name": "n", "kind": null }), "$.kind is null, which"),
        (json!({ "name": "n", "ids": [1, "2"] }), "$.ids[1] is \"2\", not"),
        (json!({ "name": "n", "files": { "f": { "content": 1 } } }), "$.files.f.content is 1, not"),
        (json!([]), "$ is [], not an object"),
    ] {
        let why = why(body.clone());
        assert!(
            why.starts_with(expected) && why.is_empty() == expected.is_empty(),
            "{body}: {why}"
        );
    }
}

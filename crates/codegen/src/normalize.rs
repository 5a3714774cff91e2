//! Stage `normalize`: reduces the description to the keywords that progenitor and typify support.
//!
//! GitHub's description contains parts that they do not support. This stage converts them:
//!
//! - several success bodies become one `oneOf`; a body beside an empty 204 becomes a nullable one; errors
//!   (4xx, 5xx) and 304 are left out, since the call path reads them in the same way for every operation;
//! - of several request media types, JSON is kept, or text, or octets;
//! - every inline object, enum and union becomes a component, so that types are named after their location,
//!   and no heuristic of typify renames them when the description grows;
//! - `nullable` moves from a component to each `$ref` to it; `nullable-x` is
//!   `x`, nullable; see [`schema`] for the rest.

mod enum_values;
mod integers;
mod merge;
pub mod schema;
mod variants;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::document::{self, LocatedOperation};
use crate::error::{Error, Result};
use crate::hints::ValueTable;
use crate::operations::{self, Input, Operation, Output};
use crate::pipeline::Parts;
use crate::webhooks;

pub use enum_values::unescape_enum_value;
pub use integers::is_integer;

const STAGE: &str = "normalize";

/// The component for "an integer or a name" in a path, such as a workflow's id or file name. The generator
/// replaces it by a hand-written type.
pub const ID_OR_NAME: &str = "octowire-id-or-name";

/// Marks a component that was inline in a single operation, and so is used either in requests or in
/// responses.
pub const OF_OPERATION: &str = "x-octowire-of-operation";

/// Rewrites the description. `parts` describes its operations and its webhooks. `names` are the component
/// schemas of the whole description; a hoisted schema must not have one of these names, regardless of the
/// selection.
///
/// Each operation gets the id that names its function in progenitor's output. A webhook becomes an operation
/// that returns its payload, after all others: it is read by the same rules, and only the last stage
/// distinguishes the two kinds. The documented values of properties are returned beside the document.
pub fn normalize(
    document: &Value,
    parts: &Parts,
    names: &BTreeSet<String>,
) -> Result<(Value, ValueTable)> {
    let described: BTreeMap<&str, &Operation> =
        parts.operations.iter().map(|operation| (operation.id.as_str(), operation)).collect();
    let mut schemas = schema::Schemas::new(document, names);
    let mut paths = Map::new();
    for located in document::operations(document) {
        let function = parts.functions.of_operation(located.id());
        let (Some(described), Some(function)) = (described.get(located.id()), function) else {
            let message = format!("operation `{}` is not described", located.id());
            return Err(Error::new(STAGE, located.pointer(), message));
        };
        let operation = operation(document, located, described, function, &mut schemas)?;
        let item = paths.entry(located.path).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(located.method.to_owned(), operation);
        }
    }
    for webhook in &parts.webhooks {
        let (raw, at) = webhooks::payload(document, &webhook.key)?;
        let name = format!("webhook-{}", webhook.key);
        let schema = schemas.schema(raw, &name, &at)?;
        let path = format!("/{}/{}", webhooks::WEBHOOKS, webhook.key);
        paths.insert(
            path,
            json!({ "get": {
                "operationId": parts.functions.of_webhook(&webhook.key),
                "tags": [webhooks::WEBHOOKS],
                "responses": success(schema),
            } }),
        );
    }
    schemas.leave_operations();
    for (name, _) in document["components"]["schemas"].as_object().into_iter().flatten() {
        schemas.component(name)?;
    }
    let (schemas, values) = schemas.finish();
    let normalized = json!({
        "openapi": "3.0.3",
        "info": { "title": document["info"]["title"], "version": document["info"]["version"] },
        "paths": paths,
        "components": { "schemas": schemas },
    });
    Ok((normalized, values))
}

/// The component schemas' names, collected before any are removed.
pub fn schema_names(document: &Value) -> BTreeSet<String> {
    document["components"]["schemas"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect()
}

fn operation(
    document: &Value,
    located: LocatedOperation<'_>,
    described: &Operation,
    function: &str,
    schemas: &mut schema::Schemas<'_>,
) -> Result<Value> {
    let mut operation = json!({
        "operationId": function,
        "tags": [described.scope()],
        "parameters": parameters(document, located, described, schemas)?,
        "responses": response(document, located, described, schemas)?,
    });
    if let Some(body) = request_body(document, located, described, schemas)? {
        operation["requestBody"] = body;
    }
    Ok(operation)
}

fn parameters(
    document: &Value,
    located: LocatedOperation<'_>,
    described: &Operation,
    schemas: &mut schema::Schemas<'_>,
) -> Result<Value> {
    let resolved = operations::resolved_parameters(document, located)?;
    let mut parameters = Vec::new();
    for parameter in &described.parameters {
        let original = resolved.iter().enumerate().find(|(_, other)| {
            other["name"] == parameter.name.as_str() && other["in"] == parameter.location
        });
        let (index, original) = original.unwrap_or((0, &&Value::Null));
        let at = format!("{}/parameters/{index}/schema", located.pointer());
        let Some(raw) = original.get("schema") else {
            let message = format!("parameter `{}` has no schema", parameter.name);
            return Err(Error::new(STAGE, at, message));
        };
        let raw = document::resolve(document, raw, STAGE, &at)?;
        let schema = if raw.get("oneOf").is_some() || raw.get("anyOf").is_some() {
            either(raw, parameter.location)
        } else {
            let name = format!("{}-{}", flat(&described.id), parameter.name);
            schemas.schema(raw, &name, &at)?
        };
        parameters.push(json!({
            "name": parameter.name,
            "in": parameter.location,
            "required": parameter.required,
            "schema": schema,
        }));
    }
    Ok(Value::Array(parameters))
}

/// A parameter with several types: in a path an id or a name, in a query its text (lists are
/// comma-separated).
fn either(schema: &Value, location: &str) -> Value {
    let has_integer = document::array(schema, "oneOf")
        .chain(document::array(schema, "anyOf"))
        .any(|variant| variant["type"] == "integer");
    if has_integer && location == "path" {
        json!({ "$ref": format!("#/components/schemas/{ID_OR_NAME}") })
    } else {
        json!({ "type": "string" })
    }
}

fn response(
    document: &Value,
    located: LocatedOperation<'_>,
    described: &Operation,
    schemas: &mut schema::Schemas<'_>,
) -> Result<Value> {
    let mut nullable = match described.output {
        Output::Empty => return Ok(json!({ "204": { "description": "" } })),
        Output::Bytes => {
            let octets = json!({ "schema": { "type": "string", "format": "binary" } });
            return Ok(json!({
                "200": { "description": "", "content": { "application/octet-stream": octets } }
            }));
        }
        Output::Json { nullable } => nullable,
    };
    let mut bodies: Vec<&Value> = Vec::new();
    let mut at = format!("{}/responses", located.pointer());
    for (status, response) in operations::successes(document, located)? {
        for (media, content) in document::object(response, "content") {
            if operations::is_json(media)
                && let Some(schema) = content.get("schema")
                && !bodies.contains(&schema)
            {
                if bodies.is_empty() {
                    let within = document::pointer(&[status, "content", media, "schema"]);
                    at = format!("{}/responses{within}", located.pointer());
                }
                bodies.push(schema);
            }
        }
    }
    let count = bodies.len();
    bodies = without_empty_alternative(document, bodies, &at)?;
    nullable |= bodies.len() < count;
    let name = format!("{}-response", flat(&described.id));
    let mut schema = match bodies.as_slice() {
        [] => json!({}),
        [one] => schemas.schema(one, &name, &at)?,
        several => schemas.schema(&json!({ "oneOf": several }), &name, &at)?,
    };
    // GitHub writes an object without properties for an empty body.
    let says_nothing = schema["type"] == "object" && schema.get("properties").is_none();
    if nullable || says_nothing {
        schema = merge::nullable(schema);
    }
    Ok(success(schema))
}

fn success(schema: Value) -> Value {
    json!({ "200": { "description": "", "content": { "application/json": { "schema": schema } } } })
}

/// Removes the empty object of another status beside a body that decodes from `{}` as well, so that the
/// response has that body's type instead of a union.
fn without_empty_alternative<'a>(
    document: &'a Value,
    bodies: Vec<&'a Value>,
    at: &str,
) -> Result<Vec<&'a Value>> {
    let is_nothing = |schema: &Value| {
        schema["type"] == "object"
            && document::object(schema, "properties").next().is_none()
            && schema.get("additionalProperties").is_none_or(|rest| rest == false)
    };
    let mut rest = Vec::new();
    for body in &bodies {
        let resolved = document::resolve(document, body, STAGE, at)?;
        if !is_nothing(resolved) {
            rest.push((*body, resolved));
        }
    }
    Ok(match rest.as_slice() {
        [(one, resolved)]
            if resolved.get("properties").is_some()
                && document::array(resolved, "required").next().is_none() =>
        {
            vec![*one]
        }
        _ => bodies,
    })
}

fn request_body(
    document: &Value,
    located: LocatedOperation<'_>,
    described: &Operation,
    schemas: &mut schema::Schemas<'_>,
) -> Result<Option<Value>> {
    let (media, schema) = match described.input {
        Input::None => return Ok(None),
        Input::Text => ("text/plain", json!({ "type": "string" })),
        Input::OctetStream | Input::Other => {
            ("application/octet-stream", json!({ "type": "string", "format": "binary" }))
        }
        Input::Json => {
            let at = format!("{}/requestBody", located.pointer());
            let body = document::resolve(document, &located.operation["requestBody"], STAGE, &at)?;
            let content = document::object(body, "content")
                .find(|(media, _)| operations::is_json(media))
                .ok_or_else(|| Error::new(STAGE, &at, "no JSON content"))?;
            let name = format!("{}-body", flat(&described.id));
            let at = format!("{at}{}", document::pointer(&["content", content.0, "schema"]));
            let schema = content.1.get("schema").unwrap_or(&Value::Null);
            ("application/json", merge::without_null(schemas.schema(schema, &name, &at)?))
        }
    };
    Ok(Some(json!({ "required": true, "content": { media: { "schema": schema } } })))
}

/// `issues/list-for-repo` as one word: `issues-list-for-repo`.
fn flat(id: &str) -> String {
    id.replace('/', "-")
}

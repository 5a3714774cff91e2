//! Comparison of the hand-written types of this library with the description.

use schemars::{JsonSchema, schema_for};
use serde_json::Value;

use crate::contract::document::ApiDescription;
use crate::contract::undocumented::parts_at;

/// Asserts that a type matches the description of an operation's response with a status. Each of its
/// properties is documented there, under the same name and with a compatible type, and its required
/// properties are always sent.
pub(crate) fn assert_reads<T: JsonSchema>(operation: &str, status: u16) {
    let document = ApiDescription::built_in();
    let response = document.operation(operation).unwrap().response(status).unwrap();
    assert_mirrors::<T>(operation, &response.content["application/json"].schema.value);
}

/// Asserts the same for a component of the description.
pub(crate) fn assert_reads_component<T: JsonSchema>(name: &str) {
    let components = ApiDescription::built_in().schemas().components();
    assert_mirrors::<T>(name, &components[name]);
}

fn assert_mirrors<T: JsonSchema>(what: &str, documented: &Value) {
    let own = schema_for!(T).to_value();
    let mut found = Vec::new();
    compare(&own, &own, documented, "", &mut found);
    assert!(found.is_empty(), "{what}: {found:#?}");
}

fn compare(own: &Value, root: &Value, documented: &Value, at: &str, found: &mut Vec<String>) {
    let (schemas, own) = (ApiDescription::built_in().schemas(), resolved(own, root));
    for (name, property) in own["properties"].as_object().into_iter().flatten() {
        let place = format!("{at}/{name}");
        let parts = parts_at(&format!("/{name}"), documented, schemas);
        let Some(part) = parts.first() else {
            found.push(format!("{place} is not documented"));
            continue;
        };
        let part = schemas.resolve(part);
        let (reads, sent) = (types(property, root), documented_types(part));
        for of in &sent {
            if !reads.is_empty() && !reads.contains(of) {
                found.push(format!("{place} may be {of}, and is read as {reads:?}"));
            }
        }
        let lists = |schema: &Value| {
            let required = schemas.resolve(schema)["required"].as_array().cloned();
            required.is_some_and(|required| required.contains(&name.as_str().into()))
        };
        if lists(own) && !lists(documented) {
            found.push(format!("{place} need not be there, and must be to be read"));
        }
        match (resolved(property, root).get("items"), part.get("items")) {
            (Some(own), Some(documented)) => compare(own, root, documented, &place, found),
            _ => compare(property, root, part, &place, found),
        }
    }
}

/// The schema of a type: behind a reference, and without `null`.
fn resolved<'a>(own: &'a Value, root: &'a Value) -> &'a Value {
    if let Some(reference) = own["$ref"].as_str() {
        return root.pointer(reference.trim_start_matches('#')).unwrap_or(own);
    }
    let variants = own["anyOf"].as_array();
    match variants.and_then(|all| all.iter().find(|variant| variant["type"] != "null")) {
        Some(variant) => resolved(variant, root),
        None => own,
    }
}

/// The types that a type reads; any type if nothing is specified.
fn types(own: &Value, root: &Value) -> Vec<String> {
    let mut types = named(&own["type"]);
    if own.get("anyOf").is_some() {
        types.push("null".to_owned());
    }
    types.extend(named(&resolved(own, root)["type"]));
    types
}

fn documented_types(part: &Value) -> Vec<String> {
    let mut types = named(&part["type"]);
    if part["nullable"] == true {
        types.push("null".to_owned());
    }
    types
}

fn named(of: &Value) -> Vec<String> {
    let all = of.as_array().map_or(std::slice::from_ref(of), Vec::as_slice);
    all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is looked at")]
    struct Wrong {
        id: String,
        body: String,
        title: String,
        nothing: Option<u64>,
        user: Option<Login>,
    }

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is looked at")]
    struct Login {
        login: String,
        name: String,
    }

    #[test]
    fn a_type_that_does_not_read_a_documented_value_is_reported() {
        let own = schema_for!(Wrong).to_value();
        let documented = &ApiDescription::built_in().schemas().components()["issue"];
        let mut found = Vec::new();
        compare(&own, &own, documented, "", &mut found);
        found.sort();
        assert_eq!(
            found,
            [
                "/body may be null, and is read as [\"string\", \"string\"]",
                "/body need not be there, and must be to be read",
                "/id may be integer, and is read as [\"string\", \"string\"]",
                "/nothing is not documented",
                "/user/name may be null, and is read as [\"string\", \"string\"]",
                "/user/name need not be there, and must be to be read",
            ]
        );
    }
}

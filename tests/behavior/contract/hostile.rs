//! Any description or value is read, compared, validated and served within bounds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use octowire::contract::{ApiDescription, RequestToValidate, ResponseToValidate, drift};
use octowire::http::{HeaderMap, StatusCode};
use octowire::testing::MockGitHub;
use proptest::prelude::*;
use reqwest::Method;
use serde_json::{Map, Value, json};

/// The time of work that would take minutes, or not end, without a bound.
const LONG: Duration = Duration::from_secs(60);

fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// A document with a schema at every place that has one.
fn with_schema(schema: &Value, schemas: Value) -> Value {
    let content = json!({ "application/json": { "schema": schema } });
    let parameter = |name: &str, place: &str| json!({ "name": name, "in": place, "required": true, "schema": schema });
    let list =
        json!({ "name": "list", "in": "query", "schema": { "type": "array", "items": schema } });
    let operation = json!({
        "operationId": "tests/both", "tags": ["tests"],
        "parameters": [
            parameter("p", "path"), parameter("q", "query"), list, parameter("x-h", "header"),
        ],
        "requestBody": { "required": true, "content": content },
        "responses": { "200": {
            "description": "", "content": content, "headers": { "X-H": { "schema": schema } },
        } },
    });
    json!({
        "openapi": "3.0.3", "info": { "title": "Hostile", "version": "1" },
        "paths": { "/t/{p}": { "post": operation } },
        "components": { "schemas": schemas },
    })
}

/// A schema that contains others at some place.
type Nesting = (&'static str, fn(&Value) -> Value);

/// Schemas that contain themselves, or one another, at each kind of place.
fn recursive_schemas() -> Vec<(String, Value)> {
    let (x, y) = (schema("x"), schema("y"));
    let schemas = |x: Value, y: Value| json!({ "x": x, "y": y });
    let mut all = vec![("$ref".to_owned(), schemas(x.clone(), x.clone()))];
    let places: [Nesting; 14] = [
        ("allOf", |of| json!({ "allOf": [of] })),
        ("oneOf", |of| json!({ "oneOf": [of] })),
        ("anyOf", |of| json!({ "anyOf": [of] })),
        ("not", |of| json!({ "not": of })),
        ("items", |of| json!({ "type": "array", "items": of, "minItems": 3 })),
        (
            "properties",
            |of| json!({ "type": "object", "required": ["a", "b"], "properties": { "a": of, "b": of } }),
        ),
        ("additionalProperties", |of| json!({ "type": "object", "additionalProperties": of })),
        ("nullable", |of| json!({ "allOf": [of], "nullable": true })),
        ("allOf of many", |of| json!({ "allOf": vec![of; 20] })),
        ("anyOf of many", |of| json!({ "anyOf": vec![of; 20], "type": "integer" })),
        ("all at once", |of| {
            json!({ "allOf": [of, of], "anyOf": [of, { "type": "integer" }], "oneOf": [of, of],
                "not": of, "items": of, "properties": { "a": of }, "additionalProperties": of })
        }),
        ("allOf in allOf", |of| json!({ "allOf": [{ "allOf": [of, of] }, of] })),
        ("a property of many", |of| json!({ "properties": { "a": { "allOf": [of, of] } } })),
        ("items of many", |of| json!({ "items": { "anyOf": [of, of, { "type": "array" }] } })),
    ];
    for (name, make) in places {
        all.push((format!("{name}: itself"), schemas(make(&x), json!({}))));
        all.push((format!("{name}: another"), schemas(make(&y), make(&x))));
        all.push((format!("{name}: by a reference"), schemas(make(&y), x.clone())));
    }
    // No circle, but as many parts as two to the 60th.
    let doubling = |key: &str| -> Map<String, Value> {
        let part = |level: usize| {
            let next = schema(&format!("c{}", level + 1));
            json!({ key: [next, { "allOf": [next] }] })
        };
        let mut schemas: Map<String, Value> =
            (0..60).map(|level| (format!("c{level}"), part(level))).collect();
        schemas.insert("c60".to_owned(), json!({ "type": "object" }));
        schemas.insert("x".to_owned(), schema("c0"));
        schemas
    };
    for key in ["allOf", "anyOf", "oneOf"] {
        all.push((format!("{key} twice as many each"), doubling(key).into()));
    }
    // Longer than a stack is deep.
    let chain = |last: Value| -> Value {
        let link = |level: usize| {
            let next = schema(&format!("c{}", level + 1));
            (format!("c{level}"), json!({ "allOf": [next], "description": "" }))
        };
        let mut schemas: Map<String, Value> = (0..4_000).map(link).collect();
        schemas.insert("c4000".to_owned(), last);
        schemas.insert("x".to_owned(), schema("c0"));
        schemas.into()
    };
    all.push(("a long chain".to_owned(), chain(json!({ "type": "object" }))));
    all.push(("a long circle".to_owned(), chain(schema("x"))));
    all
}

/// Values of all types, and those that nest.
fn values() -> Vec<Value> {
    let deep = |wrap: fn(Value) -> Value| (0..120).fold(json!(1), |value, _| wrap(value));
    vec![
        json!(null),
        json!(1),
        json!("a"),
        json!([[], [[1]], [{ "a": [] }]]),
        json!({ "a": { "a": { "a": 1, "b": 2 } }, "b": 3 }),
        deep(|value| json!([value])),
        deep(|value| json!({ "a": value })),
        deep(|value| json!({ "c": [value] })),
    ]
}

/// Requests and answers, checked.
fn checked(read: &ApiDescription) {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    headers.insert("x-h", "1".parse().unwrap());
    let method = Method::POST;
    for value in values() {
        let body = value.to_string();
        for path in ["/t/1?q=1&list=1,a,2", "/t/a?q=true&list[]=a&q=b"] {
            let request = RequestToValidate::new(&method, path, &headers).body(body.as_bytes());
            let _ = read.check_request(request).map(|matched| matched.deviations);
        }
        for operation in read.operations() {
            let status = StatusCode::OK;
            let response = ResponseToValidate::new(&method, status, &headers, body.as_bytes());
            let _ = read.check_response(operation, response);
        }
    }
}

/// All that reads a document.
fn exercise(document: &Value) -> Option<ApiDescription> {
    let read = ApiDescription::from_slice(document.to_string().as_bytes()).ok()?;
    assert!(read.operation_at(&Method::POST, "/t/1").is_some());
    checked(&read);
    let _ = drift::slice(document, &["tests/both"]).unwrap();
    let _ = drift::compare(document, document).unwrap();
    for schema in [json!({}), json!({ "type": "object", "properties": { "a": {} } })] {
        let other =
            with_schema(&schema, json!({ "x": schema, "c0": schema, "y": { "type": "string" } }));
        let _ = drift::compare(document, &other).unwrap().to_markdown();
        let _ = drift::compare(&other, document).unwrap();
    }
    Some(read)
}

#[test]
fn schemas_that_contain_themselves_are_checked_within_bounds() {
    for (name, schemas) in recursive_schemas() {
        let began = Instant::now();
        let (nullable, at) = (json!({ "allOf": [schema("x")], "nullable": true }), schema("x"));
        for place in [&at, &nullable, &json!({ "oneOf": [at, { "type": "string" }] })] {
            assert!(exercise(&with_schema(place, schemas.clone())).is_some(), "{name}");
        }
        assert!(began.elapsed() < LONG, "{name}: {:?}", began.elapsed());
    }
}

#[test]
fn self_referring_components_of_any_kind_are_handled() {
    let itself = |sort: &str| json!({ "$ref": format!("#/components/{sort}/x") });
    let sorts = ["parameters", "responses", "headers", "requestBodies", "examples", "schemas"];
    let mut components = Map::new();
    for sort in sorts {
        components.insert(sort.to_owned(), json!({ "x": itself(sort) }));
    }
    let content = json!({ "application/json": {
        "schema": itself("schemas"), "examples": { "default": itself("examples") },
    } });
    let operation = |parameters: Value, body: Value, response: Value| {
        json!({ "operationId": "tests/both", "tags": ["tests"], "parameters": parameters,
            "requestBody": body, "responses": { "200": response } })
    };
    let response = json!({ "content": content, "headers": { "X-H": itself("headers") } });
    let body = json!({ "content": content });
    for operation in [
        operation(json!([itself("parameters")]), itself("requestBodies"), itself("responses")),
        operation(json!([]), body.clone(), response),
        operation(json!([itself("schemas")]), itself("responses"), itself("requestBodies")),
    ] {
        let document = json!({
            "openapi": "3.0.3", "info": {}, "components": components,
            "paths": { "/t/{p}": { "post": operation, "parameters": [itself("parameters")] } },
        });
        assert!(exercise(&document).is_some());
    }
}

/// As deep as JSON may nest, without any reference.
#[test]
fn schemas_that_nest_as_deeply_as_json_may_are_read() {
    let wraps: [fn(Value) -> Value; 6] = [
        |of| json!({ "properties": { "a": of } }),
        |of| json!({ "items": of }),
        |of| json!({ "additionalProperties": of }),
        |of| json!({ "allOf": [of, {}] }),
        |of| json!({ "oneOf": [of, { "type": "string" }], "type": "object" }),
        |of| json!({ "not": of }),
    ];
    for wrap in wraps {
        for levels in [20, 50, 100] {
            let deep = (0..levels).fold(json!({ "type": "integer" }), |of, _| wrap(of));
            let _ = exercise(&with_schema(&deep, json!({ "x": deep })));
            let other = (0..levels).fold(json!({ "type": "boolean" }), |of, _| wrap(of));
            let (deep, other) = (with_schema(&deep, json!({})), with_schema(&other, json!({})));
            let _ = drift::compare(&deep, &other).map(|report| report.to_markdown());
        }
    }
}

/// The drop of what nests deeply recurses.
fn forget(mut value: Value) {
    while let Some(below) = value.as_array_mut().and_then(Vec::pop) {
        value = below;
    }
}

#[test]
fn a_description_of_a_hundred_thousand_levels_is_an_error() {
    let levels = 100_000;
    let deep = |open: &str, close: &str| open.repeat(levels) + "1" + &close.repeat(levels);
    for deep in [deep("[", "]"), deep("{\"a\":", "}"), deep("{\"allOf\":[", "]}")] {
        for place in [
            format!("{{\"openapi\":\"3.0.3\",\"info\":{{}},\"paths\":{{}},\"x-other\":{deep}}}"),
            format!("{{\"openapi\":\"3.0.3\",\"info\":{{}},\"paths\":{{\"/\":{{\"x\":{deep}}}}}}}"),
            format!(
                "{{\"openapi\":\"3.0.3\",\"info\":{{}},\"paths\":{{}},\
                 \"components\":{{\"schemas\":{{\"x\":{deep}}}}}}}"
            ),
            deep.clone(),
        ] {
            let error = ApiDescription::from_slice(place.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("nests more than 127 levels deep"), "{error}");
        }
    }
    let plain = with_schema(&json!({}), json!({}));
    let mut deep = plain.clone();
    deep["x-other"] = (0..levels).fold(json!(1), |value, _| Value::Array(vec![value]));
    let error = drift::compare(&plain, &deep).unwrap_err().to_string();
    assert!(error.contains("the new document") && error.contains("127 levels"), "{error}");
    assert!(drift::compare(&deep, &plain).is_err());
    assert!(drift::slice(&deep, &["tests/both"]).is_err());
    forget(deep["x-other"].take());
}

#[test]
fn a_body_of_a_hundred_thousand_levels_is_no_json() {
    let document =
        ApiDescription::from_slice(with_schema(&json!({}), json!({})).to_string().as_bytes());
    let (document, headers) = (document.unwrap(), HeaderMap::new());
    let body = "[".repeat(100_000) + &"]".repeat(100_000);
    let request = RequestToValidate::new(&Method::POST, "/t/1?q=1", &headers).body(body.as_bytes());
    let found = document.check_request(request).unwrap().deviations;
    assert!(
        found.iter().any(|deviation| deviation.message.starts_with("is not valid JSON")),
        "{found:?}"
    );
}

#[test]
fn operations_that_refer_to_a_large_component_again_and_again_are_an_error() {
    let large = json!({ "enum": vec![1; 100_000] });
    let operation = json!({
        "parameters": [{ "$ref": "#/components/parameters/large" }], "responses": {},
    });
    let paths: Map<String, Value> =
        (0..400).map(|at| (format!("/{at}"), json!({ "get": operation }))).collect();
    let document = json!({
        "openapi": "3.0.3", "info": {}, "paths": paths, "components": { "parameters": {
            "large": { "name": "large", "in": "query", "schema": large },
        } },
    });
    let error =
        ApiDescription::from_slice(document.to_string().as_bytes()).unwrap_err().to_string();
    assert!(error.contains("too large in total"), "{error}");
}

#[test]
fn circles_of_components_of_different_lengths_are_an_error_and_not_compared_for_ever() {
    let circle = |length: usize| {
        let part = |at: usize| {
            let next = schema(&format!("c{}", (at + 1) % length));
            (
                format!("c{at}"),
                json!({ "type": "object", "properties": { "a": next }, "maxProperties": length }),
            )
        };
        with_schema(&schema("c0"), (0..length).map(part).collect())
    };
    let error = drift::compare(&circle(997), &circle(991)).unwrap_err().to_string();
    assert!(error.contains("more than 200000 pairs"), "{error}");
    assert!(drift::compare(&circle(50), &circle(49)).is_ok());
}

/// Patterns that take a backtracking engine time in proportion to the square of the text's length, or to
/// a power of two.
#[test]
fn patterns_are_matched_in_time_that_is_in_proportion_to_the_text() {
    let patterns = [
        "(?<=a+)b",
        "(a+)+$",
        "^(a|a)*$",
        "^(a|aa)+$",
        "(.*)*x",
        "^a*a*a*a*a*a*a*b$",
        "(?=a+)a+b",
        "(a*)\\1b",
        "a{1000000}",
        "((a{100}){100}){100}",
        "^(?!x)a+$",
        "(?:a+b?)+c",
        "^[a]+[a]+[a]+[a]+b$",
    ];
    let text = "a".repeat(50_000);
    for pattern in patterns {
        let began = Instant::now();
        let at = json!({ "type": "string", "pattern": pattern, "maxLength": 5 });
        let document = with_schema(&at, json!({}));
        let document = ApiDescription::from_slice(document.to_string().as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/json".parse().unwrap());
        let (method, body) = (Method::POST, json!(text).to_string());
        for _ in 0..2 {
            let request =
                RequestToValidate::new(&method, "/t/aab?q=aab", &headers).body(body.as_bytes());
            let found = document.check_request(request).unwrap().deviations;
            // All else is checked.
            assert!(found.iter().any(|found| found.message.contains("maxLength")), "{found:?}");
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{pattern}: {:?}", began.elapsed());
        let linear =
            !["(?<", "(?=", "(?!", "\\1", "000}", "{100}"].iter().any(|it| pattern.contains(it));
        let unchecked = document.unchecked();
        assert_eq!(unchecked.len(), usize::from(!linear), "{unchecked:?}");
        assert!(
            unchecked.iter().all(|line| line.contains(&format!("`{pattern}`"))),
            "{unchecked:?}"
        );
    }
}

#[test]
fn unchecked_parts_are_listed_once_within_bounds() {
    let many: Map<String, Value> = (0..2_000)
        .map(|at| {
            (format!("p{at}"), json!({ "pattern": format!("(?=a{at}){}", "b".repeat(1_000)) }))
        })
        .collect();
    let document = with_schema(&json!({ "properties": many, "$ref": "#/nowhere" }), json!({}));
    let document = ApiDescription::from_slice(document.to_string().as_bytes()).unwrap();
    let headers = HeaderMap::new();
    let request = RequestToValidate::new(&Method::POST, "/t/1?q=1", &headers).body(b"{}");
    let _ = document.check_request(request).unwrap();
    let unchecked = document.unchecked();
    assert_eq!(unchecked.len(), 100);
    assert!(unchecked.iter().all(|line| line.len() < 400), "{unchecked:?}");
}

#[tokio::test]
async fn the_mock_server_responds_with_recursive_schemas() {
    for (name, schemas) in recursive_schemas() {
        let began = Instant::now();
        let document = with_schema(&schema("x"), schemas);
        let document = ApiDescription::from_slice(document.to_string().as_bytes()).unwrap();
        let mock = MockGitHub::builder().description(Arc::new(document)).start().await;
        let example = mock.example_request("tests/both");
        assert!(example.body.len() < 1_000_000, "{name}: {}", example.body.len());
        let client = reqwest::Client::new();
        for body in values() {
            let url = format!("{}/t/1?q=1", mock.base_url());
            let request = client.post(url).header("x-h", "1").json(&body);
            let response = request.send().await.unwrap();
            assert!(response.status().as_u16() < 500, "{name}: {}", response.status());
            assert!(response.bytes().await.unwrap().len() < 1_000_000, "{name}");
        }
        assert!(began.elapsed() < LONG, "{name}: {:?}", began.elapsed());
    }
}

/// Places of a document, by their pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let mut below = |key: &str, value: &Value| {
        let key = key.replace('~', "~0").replace('/', "~1");
        places(value, &format!("{at}/{key}"), found);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| below(key, value)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(at, it)| below(&at.to_string(), it))
        }
        _ => {}
    }
}

/// A document with something of everything.
fn usual() -> Value {
    let at = json!({ "type": "object", "required": ["a"], "properties": {
        "a": { "type": "string", "pattern": "^a+$", "nullable": true, "enum": ["a", "b"] },
        "b": { "type": "array", "minItems": 1, "items": { "oneOf": [schema("x"), schema("y")] } },
    }, "additionalProperties": schema("y") });
    let x = json!({ "allOf": [schema("y"), { "properties": { "c": schema("x") } }] });
    with_schema(&at, json!({ "x": x, "y": { "anyOf": [{ "type": "integer", "minimum": 1 }, at] } }))
}

fn pieces() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("("),
        json!("object"),
        json!([]),
        json!({}),
        json!([null]),
        json!({ "$ref": 1 }),
        json!({ "$ref": "#" }),
        json!({ "$ref": "#/components" }),
        json!({ "$ref": "#/components/schemas/x/allOf/0" }),
        json!({ "$ref": "https://example.com" }),
        json!({ "type": ["string", "null"] }),
        json!({ "id": "http://[" }),
        json!({ "definitions": { "a": { "$ref": "#/definitions/a" } }, "$ref": "#/definitions/a" }),
        schema("x"),
        schema("y"),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]

    /// A damaged description leads to an error, a deviation or no finding, and never to a panic.
    #[test]
    fn a_damaged_document_is_read_compared_and_checked(
        changes in prop::collection::vec((any::<prop::sample::Index>(), pieces()), 1..6),
    ) {
        let mut document = usual();
        for (at, piece) in changes {
            let mut found = Vec::new();
            places(&document, "", &mut found);
            if let Some(place) = document.pointer_mut(at.get(&found).as_str()) {
                *place = piece;
            }
        }
        let _ = drift::compare(&usual(), &document).map(|report| report.to_markdown());
        let _ = drift::compare(&document, &usual());
        let _ = drift::slice(&document, &["tests/both"]);
        if let Ok(read) = ApiDescription::from_slice(document.to_string().as_bytes()) {
            checked(&read);
        }
    }

    #[test]
    fn any_request_and_response_can_be_validated(
        path in "(/t/|/repositories/|/)[ -~]{0,60}(\\?[ -~]{0,60})?",
        kind in "(application/json|text/[a-z]{0,5}|[ -~]{0,20})",
        body in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let read = ApiDescription::from_slice(usual().to_string().as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("content-type", kind.parse().unwrap());
        for document in [&read, ApiDescription::built_in()] {
            let request = RequestToValidate::new(&Method::POST, &path, &headers).body(&body);
            let _ = document.check_request(request);
            let response = ResponseToValidate::new(&Method::GET, StatusCode::OK, &headers, &body);
            let _ = document.check_response(&document.operations()[0], response.accept(Some(&kind)));
        }
    }
}

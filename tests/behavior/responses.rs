//! A response behaves like its body, and its metadata hides none of the body's properties.

use std::collections::BTreeSet;

use crate::sources;
use crate::support::{Server, json_response};
use http::Method;
use octowire::{Response, ResponseMeta};
use serde_json::{Value, json};
use syn::{ImplItem, Item, Type, Visibility};

/// A response with this body.
async fn response<T: serde::de::DeserializeOwned>(body: &str) -> Response<T> {
    let headers = "x-github-request-id: R1\r\netag: \"1\"\r\n";
    let server = Server::fixed_response(json_response("200 OK", headers, body)).await;
    server.client().request(Method::GET, "/x").send().await.unwrap()
}

#[tokio::test]
async fn a_response_iterates_as_its_body() {
    let mut numbers = response::<Vec<u64>>("[1,2,3]").await;
    for number in &mut numbers {
        *number *= 2;
    }
    let mut sum = 0;
    for number in &numbers {
        sum += number;
    }
    assert_eq!((sum, numbers.len()), (12, 3));
    for (number, expected) in numbers.into_iter().zip([2, 4, 6]) {
        assert_eq!(number, expected);
    }
    assert_eq!(response::<Option<u64>>("7").await.into_iter().count(), 1);
}

#[tokio::test]
async fn a_response_serializes_as_its_body() {
    let body = json!({ "status": "queued", "url": "https://example.com/" });
    let response = response::<Value>(&body.to_string()).await;
    assert_eq!(serde_json::to_value(&response).unwrap(), body);
}

#[tokio::test]
async fn the_metadata_stays_with_the_body_that_is_cloned_converted_or_split() {
    fn check(meta: &ResponseMeta) {
        assert_eq!((meta.status().as_u16(), meta.request_id()), (200, Some("R1")));
        assert_eq!((meta.operation(), meta.url().path()), ("GET /x", "/x"));
        assert_eq!(meta.headers()["etag"], "\"1\"");
    }
    let original = response::<Vec<u64>>("[1,2]").await;
    // A clone from before the first use of the headers has them too.
    let (early, (numbers, meta)) = (original.clone(), original.clone().into_parts());
    check(original.meta());
    check(early.meta());
    check(&meta);
    assert_eq!((numbers, early.into_inner()), (vec![1, 2], vec![1, 2]));
    let length = original.map(|numbers| numbers.len());
    check(length.meta());
    assert_eq!(*length, 2);
}

#[tokio::test]
async fn the_debug_output_of_metadata_has_no_headers() {
    let shown = format!("{:?}", response::<u64>("7").await);
    assert!(shown.starts_with("Response { meta: ResponseMeta {"), "{shown}");
    assert!(shown.contains("R1") && shown.ends_with("value: 7 }"), "{shown}");
    assert!(!shown.contains("etag"), "{shown}");
}

/// Otherwise `response.url()` and `response.url` would be different values.
#[test]
fn no_property_of_a_response_in_the_description_has_the_name_of_a_method() {
    let methods = methods_of_response();
    assert!(methods.contains("meta") && methods.contains("into_inner"), "{methods:?}");
    let methods: BTreeSet<_> = methods.iter().map(|name| plain(name)).collect();
    let properties = response_properties();
    assert!(properties.contains("url") && properties.len() > 1_000, "{}", properties.len());
    let shared = properties.iter().filter(|name| methods.contains(&plain(name)));
    let shared: Vec<_> = shared.collect();
    assert!(shared.is_empty(), "rename the methods of these names: {shared:?}");
}

/// Returns the names of the public inherent methods of `Response`.
fn methods_of_response() -> BTreeSet<String> {
    let file = syn::parse_file(&sources::text("src/response/mod.rs")).unwrap();
    let mut names = BTreeSet::new();
    for item in file.items {
        let Item::Impl(block) = item else { continue };
        let Type::Path(of) = &*block.self_ty else { continue };
        let is_response = of.path.segments.last().is_some_and(|last| last.ident == "Response");
        if block.trait_.is_some() || !is_response {
            continue;
        }
        for item in block.items {
            if let ImplItem::Fn(method) = item
                && matches!(method.vis, Visibility::Public(_))
            {
                names.insert(method.sig.ident.to_string());
            }
        }
    }
    names
}

/// Returns the names of the properties in the bodies of all responses, at any depth.
fn response_properties() -> BTreeSet<String> {
    let description: Value =
        serde_json::from_str(&sources::text("openapi/api.github.com.json")).unwrap();
    let mut found =
        Properties { description: &description, names: BTreeSet::new(), seen: BTreeSet::new() };
    for path in description["paths"].as_object().unwrap().values() {
        for operation in path.as_object().unwrap().values() {
            let Some(responses) = operation["responses"].as_object() else { continue };
            for response in responses.values() {
                let Some(content) = found.resolve(response)["content"].as_object() else {
                    continue;
                };
                content.values().for_each(|media| found.add(&media["schema"]));
            }
        }
    }
    found.names
}

struct Properties<'a> {
    description: &'a Value,
    names: BTreeSet<String>,
    /// The references that have been followed.
    seen: BTreeSet<&'a str>,
}

impl<'a> Properties<'a> {
    fn resolve(&self, part: &'a Value) -> &'a Value {
        match part["$ref"].as_str() {
            Some(reference) => self.description.pointer(reference.trim_start_matches('#')).unwrap(),
            None => part,
        }
    }

    /// Adds the properties of a schema, and of all schemas in it.
    fn add(&mut self, schema: &'a Value) {
        if let Some(reference) = schema["$ref"].as_str()
            && !self.seen.insert(reference)
        {
            return;
        }
        let schema = self.resolve(schema);
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            self.names.insert(name.clone());
            self.add(property);
        }
        for part in ["allOf", "anyOf", "oneOf"] {
            schema[part].as_array().into_iter().flatten().for_each(|part| self.add(part));
        }
        let parts = ["items", "additionalProperties"].into_iter();
        parts.filter_map(|part| schema.get(part)).for_each(|part| self.add(part));
    }
}

/// Returns a name without what distinguishes a property from its field, as `_links` and `links` are the same.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

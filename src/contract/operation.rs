//! One operation of the OpenAPI description.

use std::collections::BTreeMap;
use std::fmt;

use http::Method;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::document::Components;
use super::schema::Schema;
use super::value_budget::ValueBudget;
use crate::api::default_resource::default_resource;
use crate::api::operation::ParameterLocation;

/// One operation of GitHub's API, as the OpenAPI description defines it.
pub struct OperationSpec {
    id: String,
    method: Method,
    path: String,
    documentation_url: String,
    deprecated: bool,
    rate_limit: String,
    pub(super) parameters: Vec<ParameterSpec>,
    pub(crate) request_body: Option<RequestBody>,
    /// By status: a number, `2XX` or `default`.
    pub(crate) responses: BTreeMap<String, Response>,
}

/// A parameter in the path, the query or a header.
pub struct ParameterSpec {
    name: String,
    location: ParameterLocation,
    required: bool,
    allows_slash: bool,
    /// The maximum page length, if the parameter is a page length and its description names a maximum.
    pub(crate) max_per_page: Option<u64>,
    pub(crate) schema: Schema,
    pub(crate) example: Option<Value>,
}

impl fmt::Debug for OperationSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperationSpec")
            .field("id", &self.id)
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ParameterSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParameterSpec")
            .field("name", &self.name)
            .field("location", &self.location)
            .field("required", &self.required)
            .finish_non_exhaustive()
    }
}

pub(crate) struct RequestBody {
    pub(super) required: bool,
    pub(crate) content: MediaTypes,
}

/// The response of an operation with one status.
pub(crate) struct Response {
    pub(crate) headers: BTreeMap<String, Schema>,
    pub(crate) content: MediaTypes,
}

/// Bodies by media type.
pub(crate) type MediaTypes = BTreeMap<String, MediaType>;

pub(crate) struct MediaType {
    pub(crate) schema: Schema,
    /// Schemas that the description allows only in its text (our overlay's `x-octowire-also-accepts`).
    pub(super) additional_schemas: Vec<Schema>,
    /// The first example. `null` counts as none: the description has it where an example is missing.
    pub(crate) example: Option<Value>,
}

impl OperationSpec {
    /// Returns GitHub's name, such as `issues/list-for-repo`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the HTTP method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Returns the path template, such as `/repos/{owner}/{repo}/issues`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the URL of GitHub's page about the operation.
    #[must_use]
    pub fn documentation_url(&self) -> &str {
        &self.documentation_url
    }

    /// Returns whether GitHub has deprecated the operation.
    #[must_use]
    pub fn is_deprecated(&self) -> bool {
        self.deprecated
    }

    /// Returns the rate limit resource that calls count against, like
    /// [`Operation::rate_limit`](crate::Operation::rate_limit).
    #[must_use]
    pub fn rate_limit(&self) -> &str {
        &self.rate_limit
    }

    /// Returns the parameters in the path, the query and headers.
    #[must_use]
    pub fn parameters(&self) -> &[ParameterSpec] {
        &self.parameters
    }

    /// Returns the parameter with this name and location.
    #[must_use]
    pub fn parameter(&self, location: ParameterLocation, name: &str) -> Option<&ParameterSpec> {
        let mut all = self.parameters.iter();
        all.find(|parameter| parameter.location == location && parameter.name == name)
    }

    /// Returns the statuses that the description lists, such as `200`, `2XX` or `default`.
    pub fn statuses(&self) -> impl Iterator<Item = &str> {
        self.responses.keys().map(String::as_str)
    }

    /// Returns the media types of the request body; none if the operation takes no body.
    pub fn request_media_types(&self) -> impl Iterator<Item = &str> {
        let content = self.request_body.iter().flat_map(|body| body.content.keys());
        content.map(String::as_str)
    }

    /// Returns the response with this status.
    pub(crate) fn response(&self, status: u16) -> Option<&Response> {
        let range = format!("{}XX", status / 100);
        let named = self.responses.get(&status.to_string()).or_else(|| self.responses.get(&range));
        named.or_else(|| self.responses.get("default"))
    }

    pub(super) fn allows_slash(&self, parameter: &str) -> bool {
        let parameter = self.parameter(ParameterLocation::Path, parameter);
        parameter.is_some_and(|parameter| parameter.allows_slash)
    }

    /// Reads an operation; `None` if the bound on copied values is exceeded.
    pub(super) fn read(
        path: &str,
        method: Method,
        raw: RawOperation,
        shared: &[RawValue],
        components: &Components,
        budget: &mut ValueBudget,
    ) -> Option<Self> {
        let mut parameters: Vec<ParameterSpec> = Vec::new();
        for parameter in shared.iter().chain(&raw.parameters) {
            let parameter = resolve(&parameter.0, &components.parameters);
            let Some(parameter) = ParameterSpec::read(parameter, budget)? else { continue };
            // Parameters of an operation override those of its path.
            parameters.retain(|p| p.name != parameter.name || p.location != parameter.location);
            parameters.push(parameter);
        }
        let body = match &raw.request_body {
            Some(body) => {
                let body = resolve(&body.0, &components.request_bodies);
                let content = content(body, components, budget)?;
                Some(RequestBody { required: body["required"] == true, content })
            }
            None => None,
        };
        let responses = raw.responses.into_iter().map(|(status, response)| {
            let response = resolve(&response.0, &components.responses);
            Some((status, Response::read(response, components, budget)?))
        });
        let responses = responses.collect::<Option<_>>()?;
        let docs = raw.external_docs.map(|docs| docs.url);
        Some(Self {
            id: raw.operation_id.unwrap_or_else(|| format!("{method} {path}")),
            method,
            path: path.to_owned(),
            documentation_url: docs.unwrap_or_else(|| "https://docs.github.com/rest".to_owned()),
            deprecated: raw.deprecated,
            rate_limit: raw.rate_limit.unwrap_or_else(|| default_resource(path).to_owned()),
            parameters,
            request_body: body.filter(|body| !body.content.is_empty()),
            responses,
        })
    }
}

impl ParameterSpec {
    /// Returns the name in GitHub's spelling, such as `per_page`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the location of the value.
    #[must_use]
    pub fn location(&self) -> ParameterLocation {
        self.location
    }

    /// Returns whether a request must have the parameter.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Returns whether the value of a path parameter can contain `/`, like the path of a file.
    #[must_use]
    pub fn allows_slash(&self) -> bool {
        self.allows_slash
    }

    /// Reads a parameter. Returns `None` if it is not one, or if the bound on copied values is
    /// exceeded.
    fn read(parameter: &Value, budget: &mut ValueBudget) -> Option<Option<Self>> {
        let location = match parameter["in"].as_str() {
            Some("path") => ParameterLocation::Path,
            Some("query") => ParameterLocation::Query,
            Some("header") => ParameterLocation::Header,
            _ => return Some(None),
        };
        let Some(name) = parameter["name"].as_str() else { return Some(None) };
        Some(Some(Self {
            name: name.to_owned(),
            location,
            required: parameter["required"] == true,
            allows_slash: parameter["x-multi-segment"] == true,
            max_per_page: parameter["x-octowire-max-per-page"].as_u64(),
            schema: Schema::new(budget.try_copy(&parameter["schema"])?),
            example: match parameter.get("example") {
                Some(example) => Some(budget.try_copy(example)?),
                None => None,
            },
        }))
    }
}

impl Response {
    fn read(response: &Value, components: &Components, budget: &mut ValueBudget) -> Option<Self> {
        let headers = response["headers"].as_object().into_iter().flatten();
        let headers = headers.map(|(name, header)| {
            let header = resolve(header, &components.headers);
            Some((name.to_ascii_lowercase(), Schema::new(budget.try_copy(&header["schema"])?)))
        });
        let headers = headers.collect::<Option<_>>()?;
        Some(Self { headers, content: content(response, components, budget)? })
    }
}

fn content(body: &Value, components: &Components, budget: &mut ValueBudget) -> Option<MediaTypes> {
    let media_types = body["content"].as_object().into_iter().flatten();
    media_types
        .map(|(name, media_type)| {
            let also = media_type["x-octowire-also-accepts"].as_array().into_iter().flatten();
            let also = also.map(|schema| Some(Schema::new(budget.try_copy(schema)?)));
            let read = MediaType {
                additional_schemas: also.collect::<Option<_>>()?,
                schema: Schema::new(budget.try_copy(&media_type["schema"])?),
                example: match example(media_type, components) {
                    Some(example) => Some(budget.try_copy(example)?),
                    None => None,
                },
            };
            Some((name.to_ascii_lowercase(), read))
        })
        .collect()
}

fn example<'a>(media_type: &'a Value, components: &'a Components) -> Option<&'a Value> {
    let examples = media_type["examples"].as_object();
    // `crates/codegen/src/runtime_description.rs` marks the first one; a sorted map does not keep the order.
    let named = media_type["x-octowire-first-example"].as_str();
    let first = examples.and_then(|examples| match named {
        Some(name) => examples.get(name),
        None => examples.values().next(),
    });
    let first = first.and_then(|first| resolve(first, &components.examples).get("value"));
    first.or_else(|| media_type.get("example")).filter(|example| !example.is_null())
}

/// Resolves `#/components/…/name`.
fn resolve<'a>(value: &'a Value, components: &'a BTreeMap<String, RawValue>) -> &'a Value {
    let name = value["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    match name.and_then(|name| components.get(name)) {
        Some(component) => &component.0,
        None => value,
    }
}

/// A part of the description, unchanged.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct RawValue(Value);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawOperation {
    operation_id: Option<String>,
    external_docs: Option<ExternalDocs>,
    #[serde(default)]
    deprecated: bool,
    #[serde(rename = "x-octowire-rate-limit-resource")]
    rate_limit: Option<String>,
    #[serde(default)]
    parameters: Vec<RawValue>,
    request_body: Option<RawValue>,
    #[serde(default)]
    responses: BTreeMap<String, RawValue>,
}

#[derive(Deserialize)]
struct ExternalDocs {
    url: String,
}

/// The operations of a path.
pub(super) struct PathItem {
    pub(super) operations: Vec<(Method, RawOperation)>,
    pub(super) parameters: Vec<RawValue>,
}

impl<'de> Deserialize<'de> for PathItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Item;

        impl<'de> Visitor<'de> for Item {
            type Value = PathItem;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a path item")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PathItem, A::Error> {
                let mut item = PathItem { operations: Vec::new(), parameters: Vec::new() };
                while let Some(key) = map.next_key::<String>()? {
                    let method = match key.as_str() {
                        "get" => Method::GET,
                        "put" => Method::PUT,
                        "post" => Method::POST,
                        "delete" => Method::DELETE,
                        "patch" => Method::PATCH,
                        "head" => Method::HEAD,
                        "options" => Method::OPTIONS,
                        "parameters" => {
                            item.parameters = map.next_value()?;
                            continue;
                        }
                        _ => {
                            map.next_value::<serde::de::IgnoredAny>()?;
                            continue;
                        }
                    };
                    item.operations.push((method, map.next_value()?));
                }
                Ok(item)
            }
        }

        deserializer.deserialize_map(Item)
    }
}

//! Validation of requests.

use std::collections::{BTreeSet, HashSet};
use std::ptr;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::deviation::{Deviation, DeviationKind};
use super::document::ApiDescription;
use super::operation::{MediaType, OperationSpec, ParameterSpec};
use super::pointer::json_path;
use super::response::is_json;
use super::router::MAX_PATH_BYTES;
use super::schema::Schemas;
use crate::api::operation::ParameterLocation;

/// A request, as the input of [`ApiDescription::check_request`].
#[derive(Clone, Copy, Debug)]
pub struct RequestToValidate<'a> {
    method: &'a Method,
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
    body: &'a [u8],
}

impl<'a> RequestToValidate<'a> {
    /// Creates a request with a method and a path below the API's base URL, encoded as it is sent, with the
    /// query if there is one.
    #[must_use]
    pub fn new(method: &'a Method, path_and_query: &'a str, headers: &'a HeaderMap) -> Self {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        Self { method, path, query, headers, body: b"" }
    }

    /// Creates a request with a separate query.
    #[cfg(feature = "testing")]
    pub(crate) fn of(
        method: &'a Method,
        path: &'a str,
        query: &'a str,
        headers: &'a HeaderMap,
    ) -> Self {
        Self { method, path, query, headers, body: b"" }
    }

    /// Sets the body; none by default.
    #[must_use]
    pub fn body(mut self, body: &'a [u8]) -> Self {
        self.body = body;
        self
    }
}

/// The operation of a request, and the values that the request passes to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MatchedRequest<'a> {
    /// The operation.
    pub operation: &'a OperationSpec,
    /// The parameters in the path, decoded.
    pub path: Vec<(String, String)>,
    /// The parameters in the query, decoded and in order.
    pub query: Vec<(String, String)>,
    /// The body, if it is JSON.
    pub body: Option<Value>,
    /// The deviations from the description.
    pub deviations: Vec<Deviation>,
    /// The path parameters that have an id instead of a name, as in GitHub's own links.
    #[cfg_attr(not(feature = "testing"), allow(dead_code))]
    pub(crate) by_id: &'static [&'static str],
}

impl ApiDescription {
    /// Finds the operation of a request, and the request's deviations. Paths by id, such as
    /// `/repositories/1296269/issues`, match the operation of the corresponding path by name.
    ///
    /// The check covers the parameters in the path and the query (unknown names, types and values), required
    /// parameters, and the JSON body with all its properties.
    ///
    /// # Errors
    /// If no operation has this method and path.
    pub fn check_request(
        &self,
        request: RequestToValidate<'_>,
    ) -> Result<MatchedRequest<'_>, Deviation> {
        let Some(target) = self.route(request.method, request.path) else {
            let asked = format!("{} {}", request.method, request.path);
            return Err(Deviation::new(
                &asked,
                DeviationKind::UnknownOperation,
                "path",
                self.other_methods(request.path),
            ));
        };
        let operation = &self.operations[target.index];
        let mut matched = MatchedRequest {
            operation,
            path: target.parameters,
            query: pairs(request.query),
            body: None,
            deviations: Vec::new(),
            by_id: target.by_id,
        };
        let MatchedRequest { path, query, body, deviations, .. } = &mut matched;
        let mut check = RequestCheck { operation, schemas: self.schemas(), deviations };
        for (name, value) in path.iter() {
            if let Some(parameter) = operation.parameter(ParameterLocation::Path, name) {
                check.value("path", parameter, &[value]);
            }
        }
        check.query(query);
        check.headers(request.headers);
        *body = check.body(request);
        Ok(matched)
    }

    /// Suggests the methods that a path has, if it is known with another method.
    fn other_methods(&self, path: &str) -> String {
        if path.len() > MAX_PATH_BYTES {
            return format!("the path is longer than {MAX_PATH_BYTES} bytes");
        }
        let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let known: Vec<String> = methods
            .iter()
            .filter_map(|method| self.operation_at(method, path))
            .map(|operation| format!("{} ({})", operation.method(), operation.id()))
            .collect();
        match known.is_empty() {
            true => "the OpenAPI description has no such path".to_owned(),
            false => {
                format!("the OpenAPI description has this path only with {}", known.join(", "))
            }
        }
    }
}

impl MatchedRequest<'_> {
    /// Returns the value of a path parameter, decoded.
    #[must_use]
    pub fn path_parameter(&self, name: &str) -> Option<&str> {
        value_of(&self.path, name)
    }

    /// Returns the first value of a query parameter, decoded.
    #[must_use]
    pub fn query_parameter(&self, name: &str) -> Option<&str> {
        value_of(&self.query, name)
    }
}

/// The first value with this name.
pub(crate) fn value_of<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let (_, value) = pairs.iter().find(|(known, _)| known == name)?;
    Some(value)
}

/// Maximum number of unknown parameters that are reported for one request.
const MAX_UNKNOWN: usize = 64;

struct RequestCheck<'a> {
    operation: &'a OperationSpec,
    schemas: &'a Schemas,
    deviations: &'a mut Vec<Deviation>,
}

impl RequestCheck<'_> {
    fn add(&mut self, kind: DeviationKind, path: impl Into<String>, message: impl Into<String>) {
        self.deviations.push(Deviation::new(self.operation.id(), kind, path, message));
    }

    fn query(&mut self, query: &[(String, String)]) {
        for parameter in &self.operation.parameters {
            if parameter.location() != ParameterLocation::Query {
                continue;
            }
            let values: Vec<&String> = query
                .iter()
                .filter(|(name, _)| is_named(parameter, name))
                .map(|(_, value)| value)
                .collect();
            match values.as_slice() {
                [] if parameter.is_required() => {
                    let message = "is required, but missing";
                    let path = format!("query {}", parameter.name());
                    self.add(DeviationKind::MissingParameter, path, message);
                }
                [] => {}
                values => self.value("query", parameter, values),
            }
        }
        let mut unknown: BTreeSet<&str> = BTreeSet::new();
        let parameters = self.operation.parameters.iter();
        let parameters =
            parameters.filter(|parameter| parameter.location() == ParameterLocation::Query);
        let known: Vec<&str> = parameters.map(ParameterSpec::name).collect();
        for (name, _) in query {
            let is_known = known.iter().any(|known| is_called(known, name));
            if is_known || unknown.len() >= MAX_UNKNOWN || !unknown.insert(name) {
                continue;
            }
            let message = match known.is_empty() {
                true => "is an unknown parameter: the operation has none".to_owned(),
                false => format!("is an unknown parameter: the operation has {}", known.join(", ")),
            };
            self.add(DeviationKind::UnknownParameter, format!("query {name}"), message);
        }
    }

    fn headers(&mut self, headers: &HeaderMap) {
        for parameter in &self.operation.parameters {
            if parameter.location() == ParameterLocation::Header
                && parameter.is_required()
                && !headers.contains_key(parameter.name())
            {
                let message = "is required, but missing";
                let path = format!("header {}", parameter.name());
                self.add(DeviationKind::MissingParameter, path, message);
            }
        }
    }

    fn value<T: AsRef<str>>(&mut self, place: &str, parameter: &ParameterSpec, all: &[T]) {
        let schema = self.schemas.resolve(&parameter.schema.value);
        let is_list = schema["type"] == "array";
        let value = match (is_list, all) {
            (true, all) => {
                let split = all.iter().flat_map(|one| one.as_ref().split(','));
                split.map(|one| typed(one, &schema["items"], self.schemas)).collect()
            }
            (false, [.., last]) => typed(last.as_ref(), schema, self.schemas),
            (false, []) => return,
        };
        for misfit in parameter.schema.violations(&value, self.schemas) {
            let path = format!("{place} {}", parameter.name());
            self.add(misfit.kind, path, misfit.message);
        }
    }

    /// Checks the body, and returns it if it is JSON.
    fn body(&mut self, request: RequestToValidate<'_>) -> Option<Value> {
        let Some(described) = &self.operation.request_body else {
            // Clients send `{}` to operations without a body.
            if !matches!(request.body, b"" | b"{}" | b"null") {
                let message = "unexpected body";
                self.add(DeviationKind::UnexpectedBody, "$", message);
            }
            return None;
        };
        if request.body.is_empty() {
            if described.required {
                let message = "required body is missing";
                self.add(DeviationKind::MissingBody, "$", message);
            }
            return None;
        }
        let json = described.content.get("application/json");
        let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
        let content_type = content_type.trim().to_ascii_lowercase();
        // GitHub reads JSON with any media type, such as the one that `curl -d` sends.
        let MediaType { schema, additional_schemas: also, .. } =
            described.content.get(&content_type).or(json)?;
        if json.is_none() && !is_json(&content_type) {
            return None;
        }
        let value = match serde_json::from_slice::<Value>(request.body) {
            Ok(value) => value,
            Err(error) => {
                self.add(DeviationKind::NotJson, "$", format!("is not valid JSON: {error}"));
                return None;
            }
        };
        if also.iter().any(|schema| schema.is_valid(&value, self.schemas)) {
            return Some(value);
        }
        for misfit in schema.violations(&value, self.schemas) {
            self.add(misfit.kind, json_path(&misfit.pointer), misfit.message);
        }
        for pointer in schema.undocumented(&value, self.schemas) {
            let message = "is an undocumented property";
            self.add(DeviationKind::UndocumentedProperty, json_path(&pointer), message);
        }
        Some(value)
    }
}

/// Lists can also be sent as `a[]`.
fn is_named(parameter: &ParameterSpec, name: &str) -> bool {
    is_called(parameter.name(), name)
}

fn is_called(parameter: &str, name: &str) -> bool {
    parameter == name || name.strip_suffix("[]") == Some(parameter)
}

/// Converts text from a URL or a header into the type of its schema; keeps the text if it does not convert.
pub(super) fn typed(text: &str, schema: &Value, schemas: &Schemas) -> Value {
    // Of the variants, the first whose type the text has.
    let asked =
        leaves(schema, schemas).into_iter().find_map(|schema| match schema["type"].as_str() {
            Some("integer" | "number") => serde_json::from_str(text).ok().filter(Value::is_number),
            Some("boolean") => serde_json::from_str(text).ok().filter(Value::is_boolean),
            _ => None,
        });
    asked.unwrap_or_else(|| json!(text))
}

/// The schema, or all its variants in order. Each appears once, since variants can refer to one another in a
/// cycle.
fn leaves<'a>(schema: &'a Value, schemas: &'a Schemas) -> Vec<&'a Value> {
    let (mut leaves, mut seen, mut open) = (Vec::new(), HashSet::new(), vec![schema]);
    while let Some(schema) = open.pop() {
        let schema = schemas.resolve(schema);
        if !seen.insert(ptr::from_ref(schema)) {
            continue;
        }
        let variants =
            ["oneOf", "anyOf", "allOf"].iter().find_map(|keyword| schema[keyword].as_array());
        match variants {
            Some(variants) => open.extend(variants.iter().rev()),
            None => leaves.push(schema),
        }
    }
    leaves
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

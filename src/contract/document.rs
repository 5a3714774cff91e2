//! The parts of GitHub's OpenAPI description that the library needs at run time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::nesting::{MAX_NESTING, is_text_too_deep};
use super::operation::{OperationSpec, PathItem, RawValue};
use super::router::{MAX_PATH_BYTES, Router, Target};
use super::schema::Schemas;
use super::value_budget::ValueBudget;
use crate::endpoints::id_path;

/// An OpenAPI description of GitHub's API: of github.com, or of GitHub Enterprise.
///
/// ```
/// use octowire::contract::ApiDescription;
///
/// let document = ApiDescription::built_in();
/// let operation = document.operation("issues/get").unwrap();
/// assert_eq!(operation.path(), "/repos/{owner}/{repo}/issues/{issue_number}");
/// ```
///
/// You can look up operations, and validate requests and responses: see
/// [`check_request`](Self::check_request) and [`check_response`](Self::check_response).
pub struct ApiDescription {
    json: DescriptionText,
    version: String,
    pub(super) operations: Vec<OperationSpec>,
    router: Router,
    schemas: Schemas,
}

/// The text of a document, for functions that need the whole of it.
enum DescriptionText {
    BuiltIn,
    Custom(Arc<[u8]>),
}

/// The description that requests and responses are validated against.
#[derive(Clone)]
pub(crate) enum DescriptionSource {
    /// The library's own document, parsed on first use.
    BuiltIn,
    Custom(Arc<ApiDescription>),
}

impl DescriptionSource {
    pub(crate) fn description(&self) -> &ApiDescription {
        match self {
            Self::BuiltIn => ApiDescription::built_in(),
            Self::Custom(document) => document,
        }
    }
}

/// Why a document cannot be read: it is not an OpenAPI 3.0 document, one of its operations is incomplete, or
/// it exceeds the limits of size or nesting. The message names the place.
#[derive(Debug)]
pub struct ApiDescriptionError(String);

/// The part of the library's own description that `build.rs` embeds: all operations, with the corrections of
/// `overlay.yaml`.
const BUILT_IN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/document.json"));

/// Parsed once per process; takes about 30 MB.
static READ: LazyLock<Result<ApiDescription, ApiDescriptionError>> =
    LazyLock::new(|| ApiDescription::read(BUILT_IN, DescriptionText::BuiltIn));

impl ApiDescription {
    /// Returns the description that this library was generated from, with its corrections: all operations,
    /// including those of disabled features, without their texts.
    #[must_use]
    pub fn built_in() -> &'static Self {
        // The test `every_operation_of_the_built_in_document_is_read` keeps it readable. If a custom
        // description of `OCTOWIRE_OPENAPI` is not, this description is empty, and every response
        // deviates.
        static EMPTY: LazyLock<ApiDescription> = LazyLock::new(ApiDescription::empty);
        match &*READ {
            Ok(document) => document,
            Err(_) => &EMPTY,
        }
    }

    /// Reads a document, such as
    /// [those that GitHub publishes](https://github.com/github/rest-api-description).
    ///
    /// # Errors
    /// - If the text is not JSON, or not an OpenAPI 3.0 document.
    /// - If it nests more than 127 levels deep, or a path has more than 64 segments.
    /// - If its operations refer to the same parts so often that they have more than 20 million values in
    ///   total.
    pub fn from_slice(json: &[u8]) -> Result<Self, ApiDescriptionError> {
        if is_text_too_deep(json) {
            return Err(ApiDescriptionError(format!(
                "it nests more than {MAX_NESTING} levels deep"
            )));
        }
        Self::read(json, DescriptionText::Custom(json.into()))
    }

    /// Returns the unchecked parts that have come up so far: one line for each, at most 100.
    ///
    /// - Patterns with look-around or back-references, which take unbounded time to match, and those
    ///   that take more than 256 KiB. GitHub's descriptions have none.
    /// - Schema keywords that OpenAPI 3.0 does not have, and references to missing components.
    /// - Schemas with too many nested references, and values that repeat themselves in a recursive schema,
    ///   which would take unbounded time.
    ///
    /// All other parts of the description are checked. Each line is also logged once, as a warning with the
    /// target `octowire::contract`.
    #[must_use]
    pub fn unchecked(&self) -> Vec<String> {
        self.schemas.unchecked()
    }

    /// Returns the version, such as `1.1.4`. GitHub's descriptions have kept the same one for years.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns every operation, sorted by id.
    #[must_use]
    pub fn operations(&self) -> &[OperationSpec] {
        &self.operations
    }

    /// Returns the operation with this id, such as `issues/get`.
    #[must_use]
    pub fn operation(&self, id: &str) -> Option<&OperationSpec> {
        let found = self.operations.binary_search_by(|operation| operation.id().cmp(id));
        found.ok().map(|index| &self.operations[index])
    }

    /// Returns the operation of a request. The path is relative to the API's base URL and encoded as it is
    /// sent. `HEAD` is available wherever `GET` is.
    #[must_use]
    pub fn operation_at(&self, method: &Method, path: &str) -> Option<&OperationSpec> {
        self.route(method, path).map(|target| &self.operations[target.index])
    }

    /// Returns the whole document as JSON, parsed again on each call.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let bytes = match &self.json {
            DescriptionText::BuiltIn => BUILT_IN,
            DescriptionText::Custom(bytes) => bytes,
        };
        // The same text was parsed before, as a document.
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    pub(crate) fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    pub(super) fn route(&self, method: &Method, path: &str) -> Option<Target> {
        if path.len() > MAX_PATH_BYTES {
            return None;
        }
        let found = self.router.find(method.as_str(), path);
        found.or_else(|| {
            let alias = id_path::resolve(path)?;
            let target = self.router.find(method.as_str(), &alias.path)?;
            Some(Target { by_id: alias.names, ..target })
        })
    }

    fn read(json: &[u8], text: DescriptionText) -> Result<Self, ApiDescriptionError> {
        let document: RawDescription = serde_json::from_slice(json).map_err(|error| {
            ApiDescriptionError(format!("it is not an OpenAPI document: {error}"))
        })?;
        if !document.openapi.starts_with("3.0.") {
            let message = format!("OpenAPI {} is not supported, only 3.0", document.openapi);
            return Err(ApiDescriptionError(message));
        }
        let RawDescription { info, paths, components, .. } = document;
        let mut rest = ValueBudget::default();
        let mut operations: Vec<OperationSpec> = Vec::new();
        for (path, item) in paths {
            let shared = item.parameters;
            for (method, raw) in item.operations {
                let read = OperationSpec::read(&path, method, raw, &shared, &components, &mut rest);
                operations.push(read.ok_or_else(|| {
                    ApiDescriptionError(format!(
                        "its operations are too large in total, at {path:.100}"
                    ))
                })?);
            }
        }
        operations.sort_by(|a, b| a.id().cmp(b.id()));
        let mut router = Router::default();
        for (index, operation) in operations.iter().enumerate() {
            router.add(index, operation).map_err(ApiDescriptionError)?;
        }
        let schemas = Schemas::new(components.schemas);
        Ok(Self { json: text, version: info.version, operations, router, schemas })
    }

    fn empty() -> Self {
        Self {
            json: DescriptionText::BuiltIn,
            version: String::new(),
            operations: Vec::new(),
            router: Router::default(),
            schemas: Schemas::new(Map::new()),
        }
    }
}

impl fmt::Debug for ApiDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiDescription")
            .field("version", &self.version)
            .field("operations", &self.operations.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ApiDescriptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid OpenAPI description: {}", self.0)
    }
}

impl std::error::Error for ApiDescriptionError {}

#[derive(Deserialize)]
struct RawDescription {
    openapi: String,
    info: Info,
    paths: BTreeMap<String, PathItem>,
    #[serde(default)]
    components: Components,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    version: String,
}

/// The components that operations refer to.
#[derive(Default, Deserialize)]
pub(super) struct Components {
    #[serde(default)]
    pub(super) schemas: Map<String, Value>,
    #[serde(default)]
    pub(super) examples: BTreeMap<String, RawValue>,
    #[serde(default)]
    pub(super) parameters: BTreeMap<String, RawValue>,
    #[serde(default)]
    pub(super) responses: BTreeMap<String, RawValue>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, RawValue>,
    #[serde(default, rename = "requestBodies")]
    pub(super) request_bodies: BTreeMap<String, RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_of_the_built_in_document_is_checked() {
        let document = ApiDescription::built_in();
        let none = Value::Null;
        for operation in document.operations() {
            let content = operation.responses.values().flat_map(|of| of.content.values());
            let sent = operation.request_body.iter().flat_map(|body| body.content.values());
            let media_types = content.chain(sent).map(|media_type| &media_type.schema);
            let parameters = operation.parameters().iter().map(|parameter| &parameter.schema);
            media_types.chain(parameters).for_each(|schema| {
                schema.is_valid(&none, document.schemas());
            });
        }
        assert_eq!(document.unchecked(), [""; 0]);
    }

    #[test]
    fn every_operation_of_the_built_in_document_is_read() {
        let document = READ.as_ref().unwrap();
        assert!(document.operations().len() >= 1_000, "{document:?}");
        for operation in crate::api::OPERATIONS {
            let documented = document.operation(operation.id).expect(operation.id);
            assert_eq!(documented.path(), operation.path);
            assert_eq!(*documented.method(), operation.method);
            assert_eq!(documented.rate_limit(), operation.rate_limit);
            assert!(!documented.responses.is_empty(), "{}", operation.id);
        }
    }

    #[test]
    fn an_invalid_description_is_rejected_with_the_reason() {
        for (text, reason) in [
            ("[]", "not an OpenAPI document"),
            ("{\"openapi\": \"3.0.3\"", "EOF"),
            ("{\"openapi\": \"3.1.0\", \"info\": {}, \"paths\": {}}", "is not supported, only 3.0"),
            ("{\"openapi\": \"3.0.3\", \"info\": {}}", "missing field `paths`"),
        ] {
            let error = ApiDescription::from_slice(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}

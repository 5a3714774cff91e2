//! GitHub's OpenAPI document, as far as the stand-in needs it.
//!
//! The document has 13 MB. Only what is named here is kept, the rest is skipped while reading.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fmt, fs};

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

const VENDORED: &str = "openapi/api.github.com.json";

#[derive(Deserialize)]
pub(super) struct Document {
    pub(super) paths: BTreeMap<String, PathItem>,
    components: Components,
}

#[derive(Deserialize)]
pub(super) struct PathItem {
    get: Option<OperationObject>,
    put: Option<OperationObject>,
    post: Option<OperationObject>,
    delete: Option<OperationObject>,
    patch: Option<OperationObject>,
    #[serde(default)]
    pub(super) parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OperationObject {
    pub(super) operation_id: String,
    pub(super) external_docs: Option<ExternalDocs>,
    #[serde(default)]
    pub(super) parameters: Vec<Parameter>,
    pub(super) responses: BTreeMap<String, Response>,
}

#[derive(Deserialize)]
pub(super) struct ExternalDocs {
    pub(super) url: String,
}

#[derive(Deserialize)]
pub(super) struct Parameter {
    #[serde(rename = "$ref")]
    reference: Option<String>,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default, rename = "in")]
    pub(super) location: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) schema: Value,
    #[serde(default, rename = "x-multi-segment")]
    pub(super) multi_segment: bool,
}

#[derive(Deserialize)]
pub(super) struct Response {
    #[serde(rename = "$ref")]
    reference: Option<String>,
    #[serde(default)]
    pub(super) content: BTreeMap<String, MediaType>,
}

#[derive(Deserialize)]
pub(super) struct MediaType {
    #[serde(default)]
    pub(super) schema: Value,
    example: Option<Value>,
    examples: Option<FirstExample>,
}

/// The first of a response's examples. A sorted map would not know which one that is.
struct FirstExample(Option<Example>);

#[derive(Deserialize)]
struct Example {
    #[serde(rename = "$ref")]
    reference: Option<String>,
    value: Option<Value>,
}

#[derive(Deserialize)]
struct Components {
    #[serde(default)]
    schemas: Map<String, Value>,
    #[serde(default)]
    examples: BTreeMap<String, Example>,
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
    #[serde(default)]
    responses: BTreeMap<String, Response>,
}

impl Document {
    /// Reads the document that the client was built from: the vendored one, or the one that
    /// `OCTOWIRE_OPENAPI` names.
    pub(super) fn read() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = env::var_os("OCTOWIRE_OPENAPI").map_or(VENDORED.into(), PathBuf::from);
        let path = manifest.join(path);
        let text = fs::read(&path).unwrap_or_else(|error| {
            panic!("cannot read GitHub's OpenAPI document {}: {error}", path.display())
        });
        serde_json::from_slice(&text).unwrap_or_else(|error| {
            panic!("{} is not an OpenAPI document: {error}", path.display())
        })
    }

    pub(super) fn parameter<'a>(&'a self, parameter: &'a Parameter) -> &'a Parameter {
        resolve(&parameter.reference, &self.components.parameters).unwrap_or(parameter)
    }

    pub(super) fn response<'a>(&'a self, response: &'a Response) -> &'a Response {
        resolve(&response.reference, &self.components.responses).unwrap_or(response)
    }

    /// The example of a body. `null` counts as none: the document has it where nobody wrote one.
    pub(super) fn example<'a>(&'a self, media_type: &'a MediaType) -> Option<&'a Value> {
        let first = media_type.examples.as_ref().and_then(|first| {
            let example = first.0.as_ref()?;
            let example = resolve(&example.reference, &self.components.examples).unwrap_or(example);
            example.value.as_ref()
        });
        first.or(media_type.example.as_ref())
    }

    pub(super) fn schemas(&self) -> &Map<String, Value> {
        &self.components.schemas
    }
}

impl PathItem {
    pub(super) fn operations(&self) -> impl Iterator<Item = (&'static str, &OperationObject)> {
        [
            ("GET", &self.get),
            ("PUT", &self.put),
            ("POST", &self.post),
            ("DELETE", &self.delete),
            ("PATCH", &self.patch),
        ]
        .into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
    }
}

/// What `#/components/…/name` points at.
fn resolve<'a, T>(
    reference: &Option<String>,
    components: &'a BTreeMap<String, T>,
) -> Option<&'a T> {
    components.get(reference.as_ref()?.rsplit('/').next()?)
}

impl<'de> Deserialize<'de> for FirstExample {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct First;

        impl<'de> Visitor<'de> for First {
            type Value = FirstExample;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a map of examples")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FirstExample, A::Error> {
                let first = map.next_entry::<IgnoredAny, Example>()?;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(FirstExample(first.map(|(_, example)| example)))
            }
        }

        deserializer.deserialize_map(First)
    }
}

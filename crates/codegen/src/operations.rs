//! Metadata of each operation beside its types: the rows of the operation table, and the text of its
//! documentation. It is read before [`crate::normalize`] removes the parts that progenitor does not support.

mod content;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::document::{self, LocatedOperation};
use crate::error::{Error, Result};

pub use content::{Input, MissingBody, Output, is_json, successes};

const STAGE: &str = "operations";

/// One operation of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// `issues/list-for-repo`
    pub id: String,
    /// The tag, which is also the Cargo feature: `issues`.
    pub tag: String,
    /// The method, in lower case.
    pub method: String,
    /// The path template.
    pub path: String,
    /// The server, if the description gives the operation its own.
    pub server: Option<String>,
    /// The summary, in Markdown.
    pub summary: String,
    /// The description, in Markdown.
    pub description: String,
    /// The URL of GitHub's documentation.
    pub documentation_url: String,
    /// Whether GitHub will remove the operation.
    pub deprecated: bool,
    /// Every documented status.
    pub statuses: Vec<u16>,
    /// Path parameters first, in the order of the path's template.
    pub parameters: Vec<Parameter>,
    /// The list that pages consist of, if the description has several (our overlay's `x-octowire-items`).
    pub items: Option<String>,
    /// The rate limit that it counts against (our overlay's `x-octowire-rate-limit-resource`).
    pub rate_limit: String,
    /// The media type by which an operation whose result is JSON returns bytes instead (our overlay's
    /// `x-octowire-stream-media-type`).
    pub stream_media_type: Option<String>,
    /// It creates content, which has a separate limit.
    pub creates_content: bool,
    /// The result.
    pub output: Output,
    /// The body.
    pub input: Input,
    /// The effect of a call without a body.
    pub missing_body: MissingBody,
}

/// A parameter in the path, the query or a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The name in the description.
    pub name: String,
    /// `path`, `query` or `header`.
    pub location: &'static str,
    /// Whether the description requires it.
    pub required: bool,
    /// The value can contain a literal `/` (GitHub's `x-multi-segment`).
    pub allows_slash: bool,
    /// The value is a list, which GitHub accepts as `name[]=a&name[]=b`.
    pub brackets: bool,
    /// Types other than text that GitHub accepts for a value that is sent as text.
    pub text: Text,
    /// The value that GitHub uses if it is absent.
    pub default: Option<String>,
    /// The description, in Markdown.
    pub description: String,
}

/// The type of a parameter that is sent as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// Text.
    Plain,
    /// Text, an integer or a boolean: an id, or one of several types of the description.
    Mixed,
    /// `a,b,c`.
    List,
    /// A date, or a range of dates in GitHub's search syntax.
    TimeRange,
}

impl Operation {
    /// The JSON pointer of the operation in the description.
    pub fn pointer(&self) -> String {
        document::pointer(&["paths", &self.path, &self.method])
    }

    /// `issues` of `issues/list-for-repo`: the handle that has the method.
    pub fn scope(&self) -> &str {
        self.id.split_once('/').map_or(self.tag.as_str(), |(scope, _)| scope)
    }

    /// `list-for-repo` of `issues/list-for-repo`.
    pub fn name(&self) -> &str {
        self.id.split_once('/').map_or(self.id.as_str(), |(_, name)| name)
    }
}

/// Describes every operation of the description, in its order.
pub fn describe(document: &Value) -> Result<Vec<Operation>> {
    let mut ids = BTreeSet::new();
    let mut operations = Vec::new();
    for located in document::operations(document) {
        if !ids.insert(located.id().to_owned()) {
            let message = format!("duplicate operation id `{}`", located.id());
            return Err(Error::new(STAGE, located.pointer(), message));
        }
        operations.push(describe_one(document, located)?);
    }
    Ok(operations)
}

fn describe_one(document: &Value, located: LocatedOperation<'_>) -> Result<Operation> {
    let LocatedOperation { path, method, operation, .. } = located;
    if located.id().is_empty() {
        return Err(Error::new(STAGE, located.pointer(), "operation without `operationId`"));
    }
    let text = |key: &str| operation[key].as_str().unwrap_or_default().to_owned();
    Ok(Operation {
        id: located.id().to_owned(),
        tag: operation["tags"][0].as_str().unwrap_or_default().to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        server: server(document, operation),
        summary: text("summary"),
        description: text("description"),
        documentation_url: operation["externalDocs"]["url"].as_str().unwrap_or_default().to_owned(),
        deprecated: operation["deprecated"].as_bool().unwrap_or_default(),
        statuses: document::object(operation, "responses")
            .filter_map(|(s, _)| s.parse().ok())
            .collect(),
        parameters: parameters(document, located)?,
        items: operation["x-octowire-items"].as_str().map(str::to_owned),
        rate_limit: operation["x-octowire-rate-limit-resource"]
            .as_str()
            .unwrap_or("core")
            .to_owned(),
        stream_media_type: operation["x-octowire-stream-media-type"].as_str().map(str::to_owned),
        creates_content: creates_content(method, operation),
        output: content::output(document, located)?,
        input: content::input(document, located)?,
        missing_body: content::missing_body(document, located)?,
    })
}

/// Returns whether the operation notifies users, as GitHub's `x-github.triggersNotification` states, or
/// creates a resource.
fn creates_content(method: &str, operation: &Value) -> bool {
    let notifies = operation["x-github"]["triggersNotification"] == true;
    notifies || (method == "post" && operation["responses"].get("201").is_some())
}

/// The operation's own server, if it differs from the description's host.
fn server(document: &Value, operation: &Value) -> Option<String> {
    let url = operation["servers"][0]["url"].as_str()?;
    (Some(url) != document["servers"][0]["url"].as_str()).then(|| url.to_owned())
}

/// The operation's parameters with the path item's, which it can override.
pub fn resolved_parameters<'a>(
    document: &'a Value,
    located: LocatedOperation<'a>,
) -> Result<Vec<&'a Value>> {
    let mut parameters: Vec<&Value> = Vec::new();
    let both = document::array(located.operation, "parameters")
        .chain(document::array(located.item, "parameters"));
    for parameter in both {
        let parameter = document::resolve(document, parameter, STAGE, &located.pointer())?;
        let same =
            |other: &&Value| other["name"] == parameter["name"] && other["in"] == parameter["in"];
        if !parameters.iter().any(same) {
            parameters.push(parameter);
        }
    }
    Ok(parameters)
}

fn parameters(document: &Value, located: LocatedOperation<'_>) -> Result<Vec<Parameter>> {
    let mut parameters = Vec::new();
    for parameter in resolved_parameters(document, located)? {
        let Some(name) = parameter["name"].as_str().filter(|name| !name.is_empty()) else {
            return Err(Error::new(STAGE, located.pointer(), "parameter without a name"));
        };
        let location = match parameter["in"].as_str() {
            Some("path") => "path",
            Some("query") => "query",
            Some("header") => "header",
            other => {
                return Err(Error::new(
                    STAGE,
                    located.pointer(),
                    format!("unsupported parameter location {other:?}"),
                ));
            }
        };
        let at = located.pointer();
        let schema = document::resolve(document, &parameter["schema"], STAGE, &at)?;
        let description = parameter["description"].as_str().unwrap_or_default();
        parameters.push(Parameter {
            name: name.to_owned(),
            location,
            required: location == "path" || parameter["required"].as_bool().unwrap_or_default(),
            allows_slash: parameter["x-multi-segment"].as_bool().unwrap_or_default(),
            brackets: location == "query" && !name.ends_with("[]") && schema["type"] == "array",
            text: text(name, location, schema, description),
            default: schema.get("default").and_then(document::shown),
            description: description.to_owned(),
        });
    }
    let order = |parameter: &Parameter| {
        let place = located.path.find(&format!("{{{}}}", parameter.name));
        (parameter.location != "path", if parameter.location == "path" { place } else { None })
    };
    parameters.sort_by_key(order);
    for parameter in parameters.iter().filter(|parameter| parameter.location == "path") {
        if !located.path.contains(&format!("{{{}}}", parameter.name)) {
            return Err(Error::new(
                STAGE,
                located.pointer(),
                format!("path parameter `{}` is not in the path", parameter.name),
            ));
        }
    }
    let named = parameters.iter().filter(|parameter| parameter.location == "path").count();
    if named != located.path.matches('{').count() {
        return Err(Error::new(
            STAGE,
            located.pointer(),
            "the path contains a parameter without a definition",
        ));
    }
    Ok(parameters)
}

/// The type of a parameter that is sent as text. The description's types are too narrow here, so its words
/// are used.
fn text(name: &str, location: &str, schema: &Value, description: &str) -> Text {
    let variants = ["oneOf", "anyOf"].into_iter().flat_map(|key| document::array(schema, key));
    let types: BTreeSet<&str> = variants.filter_map(|variant| variant["type"].as_str()).collect();
    let words = description.to_ascii_lowercase().replace('-', " ");
    if words.contains("#query for dates") {
        Text::TimeRange
    } else if location == "query" && (types.contains("array") || words.contains("comma separated"))
    {
        Text::List
    } else if types.len() > 1 || is_id(name) {
        Text::Mixed
    } else {
        Text::Plain
    }
}

/// Returns whether a value with this name is an id.
pub fn is_id(name: &str) -> bool {
    name == "id" || name.ends_with("_id")
}

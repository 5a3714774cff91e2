//! Metadata of operations from GitHub's OpenAPI description, as the generated code carries it.
//!
//! The build writes the table itself; this module does not know how a call is made.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::borrow::Cow;

use http::Method;

use crate::error::OperationName;

/// Returns the label in metrics: the operation's id, or the client's own name for its request.
pub(crate) fn metric_name(label: &OperationName) -> &'static str {
    match label {
        Cow::Borrowed(label) => label,
        Cow::Owned(_) => "request",
    }
}

/// One operation of GitHub's REST API, from GitHub's OpenAPI description.
///
/// The values are generated at build time, one for each operation whose Cargo feature is enabled. GitHub's own index is
/// <https://docs.github.com/en/rest>.
#[derive(Debug)]
#[non_exhaustive]
pub struct Operation {
    /// The operation's id, such as `issues/list-for-repo`.
    pub id: &'static str,
    /// The tag of the operation, such as `issues`.
    pub tag: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// The path template, such as `/repos/{owner}/{repo}/issues`.
    pub path: &'static str,
    /// The server, if the description has one for this operation alone.
    ///
    /// Uploads are sent to the client's [upload URL](crate::ClientBuilder::upload_url), an Enterprise Server's
    /// management API to the server of its base URL.
    pub server: Option<&'static str>,
    /// The `Accept` header, such as `application/vnd.github+json`.
    pub accept: &'static str,
    /// The parameters: path parameters come first, in the template's order.
    pub parameters: &'static [OperationParameter],
    /// The behavior of a call without a body.
    pub missing_body: MissingBody,
    /// The [rate limit](https://docs.github.com/en/rest/rate-limit/rate-limit) that calls count against, with its name
    /// in `x-ratelimit-resource`: `core` for most, `none` for no limit. A different name in a response takes
    /// precedence.
    pub rate_limit: &'static str,
    /// Whether it is a content-creating request, of which GitHub allows [80 a minute and 500 an
    /// hour](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits):
    /// it sends notifications, or the description has a response 201 (Created).
    pub creates_content: bool,
    /// The response statuses in the description.
    pub statuses: &'static [u16],
    /// GitHub's documentation page of the operation.
    pub documentation_url: &'static str,
    /// Whether GitHub has deprecated the operation.
    pub deprecated: bool,
}

/// A parameter of an [`Operation`].
#[derive(Debug)]
#[non_exhaustive]
pub struct OperationParameter {
    /// The parameter's name at GitHub, such as `per_page`.
    pub name: &'static str,
    /// The method of the operation's builder that sets it, such as `per_page`; `ref_` for `ref`,
    /// which is a keyword.
    pub setter: &'static str,
    /// The location of the value.
    pub location: ParameterLocation,
    /// Whether a call without it is rejected before it is sent.
    pub required: bool,
    /// Whether the value of a path parameter can contain `/`, such as a file's path.
    pub allows_slash: bool,
}

/// The behavior of a call of an [`Operation`] without a body.
///
/// A body that GitHub's description requires must be set, with one exception: a `POST` whose schema accepts `{}`
/// creates a resource with GitHub's defaults, such as a codespace, and is sent with `{}`. An update without properties
/// is an error; to send one on purpose, set an empty object as the whole body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MissingBody {
    /// The call is sent as it is: the operation has no body, or an optional one.
    Send,
    /// The call is sent with the empty object, `{}`.
    SendEmptyObject,
    /// The call is rejected before it is sent, as an [`InvalidRequest`](crate::ErrorKind::InvalidRequest).
    Reject,
}

/// The location of a [`OperationParameter`]'s value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParameterLocation {
    /// A segment of the path.
    Path,
    /// The query string.
    Query,
    /// A header of the request.
    Header,
    /// A property of the JSON body.
    Body,
}

impl Operation {
    /// Returns the parameter of this name at this location.
    #[must_use]
    pub fn parameter(
        &self,
        location: ParameterLocation,
        name: &str,
    ) -> Option<&OperationParameter> {
        self.parameters
            .iter()
            .find(|parameter| parameter.location == location && parameter.name == name)
    }

    /// Returns the path parameter at this position of the template.
    pub(crate) fn path_parameter(&self, index: usize) -> Option<&OperationParameter> {
        self.parameters.get(index).filter(|parameter| parameter.location == ParameterLocation::Path)
    }

    /// Returns the position of the path parameter of this name in the template.
    pub(crate) fn path_position(&self, name: &str) -> Option<usize> {
        let mut parameters = self.parameters.iter();
        parameters.position(|parameter| {
            parameter.location == ParameterLocation::Path && parameter.name == name
        })
    }
}

//! What GitHub's document says about an operation, as the generated code carries it.
//!
//! The table itself is written by the build; nothing here knows how a call is made.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::borrow::Cow;

use http::Method;

/// What messages call an operation: its id, or the method and path of a call made by hand.
pub(crate) type Label = Cow<'static, str>;

/// What metrics call it: by its operation, or by what the client itself calls it.
pub(crate) fn metric_name(label: &Label) -> &'static str {
    match label {
        Cow::Borrowed(label) => label,
        Cow::Owned(_) => "request",
    }
}

/// One operation of GitHub's REST API, as GitHub's OpenAPI document describes it.
///
/// The values are generated at build time, one for each operation whose Cargo
/// feature is on.
/// GitHub's own index is <https://docs.github.com/en/rest>.
#[derive(Debug)]
#[non_exhaustive]
pub struct Operation {
    /// The operation's id, such as `issues/list-for-repo`.
    pub id: &'static str,
    /// The tag that groups it, such as `issues`.
    pub tag: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// The path as a template, such as `/repos/{owner}/{repo}/issues`.
    pub path: &'static str,
    /// The server, where the document names one for this operation alone.
    ///
    /// Uploads go to the client's [upload URL](crate::ClientBuilder::upload_url), an Enterprise
    /// Server's management API to the server of its base URL.
    pub server: Option<&'static str>,
    /// The `Accept` header, such as `application/vnd.github+json`.
    pub accept: &'static str,
    /// The parameters: those of the path come first, in the template's order.
    pub parameters: &'static [Parameter],
    /// What becomes of a call that is sent without a body.
    pub no_body: NoBody,
    /// The [rate limit](https://docs.github.com/en/rest/rate-limit/rate-limit) that calls count
    /// against, as `x-ratelimit-resource` names it: `core` for most, `none` for no limit. An
    /// answer that names another goes before it.
    pub rate_limit: &'static str,
    /// Whether it creates content, of which GitHub allows
    /// [80 a minute and 500 an hour](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits):
    /// people are notified, or the document says that something is created (201).
    pub creates_content: bool,
    /// The statuses which the document lists for its answers.
    pub statuses: &'static [u16],
    /// GitHub's page about the operation.
    pub documentation_url: &'static str,
    /// Whether GitHub says that it will go away.
    pub deprecated: bool,
}

/// A parameter of an [`Operation`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Parameter {
    /// The name as GitHub spells it, such as `per_page`.
    pub name: &'static str,
    /// The method of the operation's builder that sets it, such as `per_page`; `ref_` for `ref`,
    /// which is a keyword.
    pub setter: &'static str,
    /// Where the value goes.
    pub location: Location,
    /// Whether a call without it is refused before it is sent.
    pub required: bool,
    /// Whether the value of a path parameter may contain `/`, as a file's path does.
    pub multi_segment: bool,
}

/// What becomes of a call of an [`Operation`] that is sent without a body.
///
/// A body that GitHub's document requires must be given, with one exception: a `POST` for which
/// `{}` is a body that fits makes something of which all is up to GitHub, such as a codespace, and
/// is sent with `{}`. To update nothing is a mistake; who means it says so by giving an empty
/// object as the whole body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoBody {
    /// It is sent as it is: the operation takes no body, or can do without.
    Sent,
    /// It is sent with the empty object, `{}`.
    EmptyObject,
    /// It is refused before it is sent, as an
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest).
    Refused,
}

/// Where the value of a [`Parameter`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Location {
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
    /// The parameter of this name at this place.
    #[must_use]
    pub fn parameter(&self, location: Location, name: &str) -> Option<&Parameter> {
        self.parameters
            .iter()
            .find(|parameter| parameter.location == location && parameter.name == name)
    }

    /// The path's parameter at this place of the template.
    pub(crate) fn path_parameter(&self, index: usize) -> Option<&Parameter> {
        self.parameters.get(index).filter(|parameter| parameter.location == Location::Path)
    }
}

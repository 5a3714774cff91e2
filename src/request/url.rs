//! The URL of a request, and the validation of its parts.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
pub(crate) use url::Url;

use super::spec::{invalid, missing_parameter};
use super::{RequestDraft, Target};
use crate::api::operation::{Operation, OperationParameter};
use crate::endpoints::{Endpoints, has_credentials};
use crate::error::Result;

/// All but the unreserved characters of RFC 3986, as GitHub's own clients do.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl RequestDraft {
    /// Returns the URL of the request.
    pub(super) fn url(&self, endpoints: &Endpoints) -> Result<Url> {
        let mut url = match (&self.target, self.operation) {
            (Target::Url(url), _) => url.clone(),
            (Target::Raw(text), _) => resolve_raw(text, endpoints)?,
            (Target::Template(values), Some(operation)) => {
                let base = endpoints.for_operation(operation.server);
                let mut path = base_path(base);
                expand_template(&mut path, operation, values)?;
                with_path(base, &path)
            }
            (Target::Template(_), None) => return Err(invalid("the request has no operation")),
        };
        if !self.query.is_empty() {
            let mut query = url.query().unwrap_or_default().to_owned();
            for (name, value) in &self.query {
                if !query.is_empty() {
                    query.push('&');
                }
                query.extend(utf8_percent_encode(name, ENCODED));
                query.push('=');
                query.extend(utf8_percent_encode(value, ENCODED));
            }
            url.set_query(Some(&query));
        }
        Ok(url)
    }
}

/// Fills the operation's path template.
fn expand_template(
    text: &mut String,
    operation: &Operation,
    values: &[Option<String>],
) -> Result<()> {
    let mut rest = operation.path;
    for (index, value) in values.iter().enumerate() {
        let Some((before, after)) = rest.split_once('{') else {
            break;
        };
        let parameter = operation
            .path_parameter(index)
            .ok_or_else(|| invalid("the operation does not describe its path"))?;
        let value = value.as_ref().ok_or_else(|| missing_parameter(parameter))?;
        text.push_str(before);
        push_segment(text, parameter, value)?;
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    text.push_str(rest);
    Ok(())
}

/// Writes one value, and rejects a value that would change the structure of the path.
fn push_segment(text: &mut String, parameter: &OperationParameter, value: &str) -> Result<()> {
    // Most values are a name or a number, and need no encoding.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !value.is_empty() && value.bytes().all(plain) {
        text.push_str(value);
        return Ok(());
    }
    let mut segments = value.split(|c| parameter.allows_slash && c == '/');
    // The root of a repository's contents is the only empty path.
    let root = parameter.allows_slash && value.is_empty();
    if !root && segments.clone().any(|segment| matches!(segment, "" | "." | "..")) {
        let segment = if parameter.allows_slash {
            "it has an empty, `.` or `..` segment"
        } else {
            "it is empty, `.` or `..`"
        };
        return Err(invalid(format!(
            "invalid path parameter {:?}: {segment}, which would change the path",
            parameter.name
        )));
    }
    if let Some(first) = segments.next() {
        text.extend(utf8_percent_encode(first, ENCODED));
    }
    for segment in segments {
        text.push('/');
        text.extend(utf8_percent_encode(segment, ENCODED));
    }
    Ok(())
}

/// Returns the URL of a path or URL that the caller supplied; rejected if its target differs from its appearance.
fn resolve_raw(text: &str, endpoints: &Endpoints) -> Result<Url> {
    if text.contains('#') {
        return Err(invalid("the path contains `#`").with_advice("percent-encode it as %23"));
    }
    if is_absolute(text) {
        let url = Url::parse(text).map_err(|error| invalid(format!("invalid URL: {error}")))?;
        if has_credentials(&url) {
            return Err(invalid("the URL contains a user name or password")
                .with_advice("configure the token on the client"));
        }
        endpoints.require_trusted(&url, "the URL")?;
        return Ok(url);
    }
    let (after, query) = match text.split_once('?') {
        Some((after, query)) => (after, Some(query)),
        None => (text, None),
    };
    let mut path = base_path(endpoints.api());
    if !after.starts_with('/') {
        path.push('/');
    }
    path.push_str(after);
    let mut url = with_path(endpoints.api(), &path);
    url.set_query(query);
    if !endpoints.contains(&url) {
        return Err(invalid("the path escapes the API base URL with `..`"));
    }
    Ok(url)
}

/// Returns the URL of these segments below a base URL; each is encoded.
pub(super) fn join_segments(base: &Url, segments: &[&str]) -> Result<Url> {
    let mut path = base_path(base);
    for segment in segments {
        if matches!(*segment, "" | "." | "..") {
            return Err(invalid("a path segment is empty, `.` or `..`"));
        }
        path.push('/');
        path.extend(utf8_percent_encode(segment, ENCODED));
    }
    Ok(with_path(base, &path))
}

/// Returns the path of a base URL, as a prefix.
fn base_path(base: &Url) -> String {
    let mut path = String::with_capacity(96);
    path.push_str(base.path().trim_end_matches('/'));
    path
}

/// Returns the base's server with this path. It is cheaper than parsing the whole URL, and a path cannot become a part
/// of the server's name.
fn with_path(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(path);
    url
}

fn is_absolute(path: &str) -> bool {
    let starts = |scheme: &str| {
        path.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    starts("https://") || starts("http://")
}

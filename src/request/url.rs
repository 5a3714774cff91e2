//! The URL of a request, and the validation of its parts.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
pub(crate) use url::Url;

use super::path_values::{PathValue, PathValues};
use super::request_url::{RelativeReference, RequestUrl};
use super::spec::{invalid, missing_parameter};
use super::{RequestDraft, Target};
use crate::api::operation::{Operation, OperationParameter};
use crate::endpoints::{BaseUrl, Endpoints, has_credentials};
use crate::error::Result;

/// All but the unreserved characters of RFC 3986, as GitHub's own clients do.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl RequestDraft {
    /// Returns the URL of the request.
    pub(super) fn url(&self, endpoints: &Endpoints) -> Result<RequestUrl> {
        let mut url = match (&self.target, self.operation) {
            (Target::Template(values), Some(operation)) => {
                let reference = self.operation_reference(endpoints, operation, values)?;
                return Ok(RequestUrl::relative(reference));
            }
            (Target::Template(_), None) => return Err(invalid("the request has no operation")),
            (Target::Url(url), _) => url.clone(),
            (Target::Raw(text), _) => resolve_raw(text, endpoints)?,
        };
        if !self.query.is_empty() {
            let mut query = url.query().unwrap_or_default().to_owned();
            let is_empty = query.is_empty();
            push_query(&mut query, is_empty, &self.query);
            url.set_query(Some(&query));
        }
        Ok(RequestUrl::Parsed(url))
    }

    /// Returns the path of an operation, with these values for its path template, and the query.
    fn operation_reference(
        &self,
        endpoints: &Endpoints,
        operation: &Operation,
        values: &PathValues,
    ) -> Result<RelativeReference> {
        let pairs = self.query.iter().map(|(name, value)| name.len() + value.len() + 2);
        let capacity = operation.path.len() + values.text_len() + pairs.sum::<usize>();
        let mut reference =
            RelativeReference::new(endpoints.base_for_operation(operation.server), capacity);
        expand_template(&mut reference.text, operation, values)?;
        if !self.query.is_empty() {
            push_query(reference.begin_query(), true, &self.query);
        }
        Ok(reference)
    }
}

/// Adds the parameters to the query at the end of this text. `is_empty` is whether the query has none yet.
fn push_query(query: &mut String, is_empty: bool, parameters: &[(Cow<'static, str>, String)]) {
    for (index, (name, value)) in parameters.iter().enumerate() {
        if index > 0 || !is_empty {
            query.push('&');
        }
        query.extend(utf8_percent_encode(name, ENCODED));
        query.push('=');
        query.extend(utf8_percent_encode(value, ENCODED));
    }
}

/// Fills the operation's path template.
fn expand_template(text: &mut String, operation: &Operation, values: &PathValues) -> Result<()> {
    let mut rest = operation.path;
    for (index, value) in values.iter().enumerate() {
        let Some((before, after)) = split_at_byte(rest, b'{') else {
            break;
        };
        let parameter = operation
            .path_parameter(index)
            .ok_or_else(|| invalid("the operation does not describe its path"))?;
        text.push_str(before);
        match value.ok_or_else(|| missing_parameter(parameter))? {
            PathValue::Text(value) => push_segment(text, parameter, value)?,
            PathValue::Integer(value) => push_integer(text, *value),
        }
        rest = split_at_byte(after, b'}').map_or("", |(_, rest)| rest);
    }
    text.push_str(rest);
    Ok(())
}

/// Returns the parts before and after the first ASCII character of this code. The parts are so short that a search by
/// words takes longer.
fn split_at_byte(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|other| other == byte)?;
    let (before, after) = text.split_at_checked(at)?;
    Some((before, after.get(1..)?))
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

/// Writes an integer, which is a segment without characters to encode.
fn push_integer(text: &mut String, value: i64) {
    // Writing to a `String` cannot fail.
    let _ = write!(text, "{value}");
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
    let mut reference = RelativeReference::new(endpoints.api_base(), text.len() + 1);
    if !after.starts_with('/') {
        reference.text.push('/');
    }
    reference.text.push_str(after);
    if let Some(query) = query {
        reference.begin_query().push_str(query);
    }
    let url = reference.resolve();
    if !endpoints.contains(&url) {
        return Err(invalid("the path escapes the API base URL with `..`"));
    }
    Ok(url)
}

/// Returns the URL of these segments below a base URL; each is encoded.
pub(super) fn join_segments(base: &Arc<BaseUrl>, segments: &[&str]) -> Result<Url> {
    let capacity = segments.iter().map(|segment| segment.len() + 1).sum();
    let mut reference = RelativeReference::new(base, capacity);
    for segment in segments {
        if matches!(*segment, "" | "." | "..") {
            return Err(invalid("a path segment is empty, `.` or `..`"));
        }
        reference.text.push('/');
        reference.text.extend(utf8_percent_encode(segment, ENCODED));
    }
    Ok(reference.resolve())
}

fn is_absolute(path: &str) -> bool {
    let starts = |scheme: &str| {
        path.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    starts("https://") || starts("http://")
}

#[cfg(test)]
mod tests;

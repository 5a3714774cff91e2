//! The bodies of an operation: what it takes, and what a successful response contains.

use serde_json::Value;

use super::STAGE;
use crate::document::{self, LocatedOperation};
use crate::error::Result;

/// The result of a successful operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// JSON.
    Json {
        /// Whether another success status has no body.
        nullable: bool,
    },
    /// Only the status.
    Empty,
    /// Bytes: an archive, a log, text.
    Bytes,
}

/// The body that the operation takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// No body.
    None,
    /// JSON.
    Json,
    /// Text.
    Text,
    /// Bytes.
    OctetStream,
    /// With a media type that the caller names, such as `multipart/form-data`.
    Other,
}

/// The effect of a call without a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingBody {
    /// It is sent as it is.
    Send,
    /// It is sent with `{}`.
    SendEmptyObject,
    /// It is rejected.
    Reject,
}

/// The success responses with their statuses, resolved.
pub fn successes<'a>(
    document: &'a Value,
    located: LocatedOperation<'a>,
) -> Result<Vec<(&'a str, &'a Value)>> {
    document::object(located.operation, "responses")
        .filter(|(status, _)| status.starts_with('2'))
        .map(|(status, response)| {
            let at = format!("{}{}", located.pointer(), document::pointer(&["responses", status]));
            Ok((status.as_str(), document::resolve(document, response, STAGE, &at)?))
        })
        .collect()
}

pub(super) fn output(document: &Value, located: LocatedOperation<'_>) -> Result<Output> {
    let successes = successes(document, located)?;
    let contents = || successes.iter().map(|(_, response)| document::object(response, "content"));
    let json = contents().flatten().any(|(media, _)| is_json(media));
    let other = contents().flatten().any(|(media, _)| !is_json(media));
    let empty = contents().any(|mut content| content.next().is_none());
    Ok(match (json, other, empty) {
        (true, _, nullable) => Output::Json { nullable },
        (false, true, _) => Output::Bytes,
        (false, false, true) => Output::Empty,
        // No success is documented: the response is a redirect to a file.
        (false, false, false) => Output::Bytes,
    })
}

pub(super) fn input(document: &Value, located: LocatedOperation<'_>) -> Result<Input> {
    let Some(body) = located.operation.get("requestBody") else { return Ok(Input::None) };
    let body = document::resolve(document, body, STAGE, &located.pointer())?;
    let media: Vec<&str> =
        document::object(body, "content").map(|(media, _)| media.as_str()).collect();
    if media.iter().any(|media| is_json(media)) {
        Ok(Input::Json)
    } else if media.iter().any(|media| media.starts_with("text/")) {
        Ok(Input::Text)
    } else if media.contains(&"application/octet-stream") || media.contains(&"*/*") {
        Ok(Input::OctetStream)
    } else if media.is_empty() {
        Ok(Input::None)
    } else {
        Ok(Input::Other)
    }
}

/// A required body must be set, unless the operation is a POST and `{}` is a valid body: it creates a
/// resource for which GitHub chooses everything, such as a codespace. An empty update is a mistake.
pub(super) fn missing_body(document: &Value, located: LocatedOperation<'_>) -> Result<MissingBody> {
    let Some(body) = located.operation.get("requestBody") else { return Ok(MissingBody::Send) };
    let at = format!("{}/requestBody", located.pointer());
    let body = document::resolve(document, body, STAGE, &at)?;
    if body["required"] != true || document::object(body, "content").next().is_none() {
        return Ok(MissingBody::Send);
    }
    let json = document::object(body, "content").find(|(media, _)| is_json(media));
    let schema = json.and_then(|(_, content)| content.get("schema"));
    Ok(match schema {
        Some(schema) if located.method == "post" && takes_nothing(document, schema, &at, 0)? => {
            MissingBody::SendEmptyObject
        }
        _ => MissingBody::Reject,
    })
}

/// Maximum nesting of a body's `allOf` and variants; deeper bodies are required.
const MAX_DEPTH: usize = 30;

/// Returns whether `{}` is one of the schema's values.
fn takes_nothing(document: &Value, schema: &Value, at: &str, depth: usize) -> Result<bool> {
    if depth > MAX_DEPTH {
        return Ok(false);
    }
    let schema = document::resolve(document, schema, STAGE, at)?;
    let is_object = schema.get("type").is_none_or(|of| of == "object");
    let asks = document::array(schema, "required").next().is_some()
        || schema["minProperties"].as_u64().is_some_and(|least| least > 0);
    if !is_object || asks {
        return Ok(false);
    }
    for part in document::array(schema, "allOf") {
        if !takes_nothing(document, part, at, depth + 1)? {
            return Ok(false);
        }
    }
    for key in ["oneOf", "anyOf"] {
        let mut variants = document::array(schema, key).peekable();
        if variants.peek().is_none() {
            continue;
        }
        let mut any = false;
        for variant in variants {
            any |= takes_nothing(document, variant, at, depth + 1)?;
        }
        if !any {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns whether a media type is JSON that follows the operation's schema.
pub fn is_json(media: &str) -> bool {
    media.split(';').next().unwrap_or_default().trim() == "application/json"
}

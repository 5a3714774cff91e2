//! The message of an error's body, in any format.

use std::fmt;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::{Deserializer, Map, Value};

use super::api::ApiErrorDetail;
use crate::sanitize;

/// Maximum length of a message that is read from plain text or from a page, in characters.
const MAX_TEXT_CHARS: usize = 400;
/// Maximum length of a message that is read from JSON, in characters.
const MAX_JSON_CHARS: usize = 8_192;
/// Maximum length of the part of a page that is searched for its title, in bytes.
const MAX_SEARCHED_BYTES: usize = 64 * 1024;
/// Maximum nesting of a message in a JSON body.
const MAX_DEPTH: usize = 3;

/// Properties that hold a message, the best one first: GitHub's REST API, OAuth, other services
/// behind GitHub's addresses, and problem details (RFC 9457).
const PROPERTIES: [&str; 6] =
    ["message", "error_description", "error", "description", "detail", "title"];

/// Elements that hold a message, in an XML error and in an HTML page.
const ELEMENTS: [&str; 4] = ["message", "title", "h1", "code"];

/// Format of a body that is not JSON, detected from its beginning or its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Markup {
    Html,
    Xml,
}

impl Markup {
    pub(crate) fn of(headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let says = |part: &[u8]| {
            let value = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
            value.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
        };
        let body = body.trim_ascii_start();
        if body.starts_with(b"<?xml") || (says(b"xml") && !says(b"html")) {
            Some(Self::Xml)
        } else {
            (says(b"text/html") || body.starts_with(b"<")).then_some(Self::Html)
        }
    }

    /// Returns the name of the body for an error.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Html => "an HTML page",
            Self::Xml => "an XML document",
        }
    }
}

/// Purpose of reading a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// For a decision. The text is truncated but not redacted, and must not be kept.
    Classify,
    /// For storage and display.
    Display,
}

impl Purpose {
    /// Returns a text on one line with a maximum number of characters.
    pub(super) fn line(self, text: &str, max_chars: usize) -> String {
        match self {
            Self::Classify => text.chars().take(max_chars).collect(),
            Self::Display => sanitize::text(text, max_chars).into_owned(),
        }
    }

    /// Returns the same for sentences, in which line breaks and tabs become spaces.
    pub(super) fn prose(self, text: &str) -> String {
        match self {
            Self::Classify => {
                let spaced = |it| if matches!(it, '\n' | '\r' | '\t') { ' ' } else { it };
                text.chars().take(MAX_JSON_CHARS).map(spaced).collect()
            }
            Self::Display => sanitize::prose(text, MAX_JSON_CHARS).into_owned(),
        }
    }
}

/// Returns the best text of a JSON body; empty if it has none.
pub(super) fn json_message(value: &Value, details: &[ApiErrorDetail], purpose: Purpose) -> String {
    let text = find_message(value, MAX_DEPTH).unwrap_or_else(|| {
        let described =
            details.iter().filter(|detail| detail.message.is_some() || detail.code.is_some());
        described.map(ApiErrorDetail::summary).collect::<Vec<_>>().join(", ")
    });
    purpose.prose(&text)
}

fn is_space(character: char) -> bool {
    character.is_whitespace() || character.is_control()
}

fn find_message(value: &Value, depth: usize) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim()).filter(|t| !t.is_empty()).map(str::to_owned),
        Value::Object(_) => {
            let depth = depth.checked_sub(1)?;
            PROPERTIES.iter().find_map(|name| find_message(value.get(name)?, depth))
        }
        _ => None,
    }
}

/// Returns the text of a body that is not JSON; empty if it has none.
pub(super) fn non_json_message(headers: &HeaderMap, body: &[u8], purpose: Purpose) -> String {
    if Markup::of(headers, body).is_some() {
        let page = String::from_utf8_lossy(&body[..body.len().min(MAX_SEARCHED_BYTES)]);
        let lower = page.to_ascii_lowercase();
        let texts = ELEMENTS.iter().filter_map(|name| element_text(&page, &lower, name));
        return texts
            .map(|text| collapse(&text, purpose))
            .find(|text| !text.is_empty())
            .unwrap_or_default();
    }
    match std::str::from_utf8(body) {
        // JSON that broke off, and content that is not text.
        Ok(text) if !text.trim_start().starts_with(['{', '[', '"']) && !text.contains('\0') => {
            collapse(text, purpose)
        }
        _ => String::new(),
    }
}

/// Returns a body that broke off without an incomplete character at its end.
pub(super) fn whole_characters(body: &[u8]) -> &[u8] {
    match std::str::from_utf8(body) {
        Err(error) if error.error_len().is_none() => &body[..error.valid_up_to()],
        _ => body,
    }
}

/// Returns the members of a JSON object that broke off, of which the last one is incomplete. For a decision,
/// the beginning of a text is sufficient as well. Returns `None` if there are no members.
pub(super) fn members_of_broken_json(body: &[u8], purpose: Purpose) -> Option<Value> {
    let text = std::str::from_utf8(body).ok()?.trim_start();
    if !text.starts_with('{') {
        return None;
    }
    let mut members = Map::new();
    let mut read = |text: &str| {
        // The error at the end of the text is expected.
        let _ = Deserializer::from_str(text).deserialize_map(Members(&mut members));
    };
    match purpose {
        Purpose::Display => read(text),
        // If the body breaks off within a text, this is its end.
        Purpose::Classify => read(&[text, "\"}"].concat()),
    }
    (!members.is_empty()).then_some(Value::Object(members))
}

/// Keeps each member of an object as it is read.
struct Members<'a>(&'a mut Map<String, Value>);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry()? {
            self.0.insert(name, value);
        }
        Ok(())
    }
}

/// Returns the text within the first element with this name, without the tags in it.
fn element_text(page: &str, lower: &str, name: &str) -> Option<String> {
    let open = format!("<{name}");
    let starts = lower.match_indices(&open).map(|(at, _)| at.saturating_add(open.len()));
    let start = starts.into_iter().find(|at| {
        lower[*at..].starts_with(|next: char| next == '>' || next.is_ascii_whitespace())
    })?;
    let start = start.checked_add(lower.get(start..)?.find('>')?)?.checked_add(1)?;
    let end = start.checked_add(lower.get(start..)?.find(&format!("</{name}"))?)?;
    let (mut text, mut tag) = (String::new(), false);
    for character in page[start..end].chars() {
        match character {
            '<' => tag = true,
            '>' if tag => tag = false,
            _ if !tag => text.push(character),
            _ => {}
        }
    }
    const ENTITIES: [(&str, &str); 8] = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&middot;", "·"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ];
    Some(ENTITIES.iter().fold(text, |text, (entity, meant)| text.replace(entity, meant)))
}

/// On one line, with one space between words, of bounded length.
fn collapse(text: &str, purpose: Purpose) -> String {
    let mut line = String::new();
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        // A secret within the visible part ends before this position.
        if line.len() > MAX_SEARCHED_BYTES {
            break;
        }
    }
    purpose.line(&line, MAX_TEXT_CHARS)
}

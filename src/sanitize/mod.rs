//! Sanitizing of external text, so that it is safe to store and show.
//!
//! Bodies, header values, names and paths that come from outside pass through this module before they reach an error, a
//! log, a span, a metric, a store or the dashboard. It escapes characters that could forge lines or reorder text,
//! redacts secrets, and bounds the length.
//!
//! [One table](decision) decides which parts of a request are secrets. [Known secrets](secrets) are those that this
//! process has used: the module remembers keyed fingerprints of them, not the secrets. Tokens of GitHub's formats are
//! redacted also if they are not known, since a proxy can repeat a token of another client.
//!
//! A secret of fewer than [eight bytes](secrets::MIN_SECRET_BYTES), or a secret that a server encodes in another way
//! than those in [`forms`] and [`encoded`], is not recognized.
//!
//! The client makes decisions with the text as it was sent: this module is for stored and shown text.

use std::borrow::Cow;
use std::fmt::{self, Display, Write};
use std::ops::Range;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;

mod characters;
mod credential;
mod decision;
mod encoded;
mod exchange;
mod formats;
mod forms;
mod looks;
mod names;
mod protocol;
mod received;
mod secrets;

pub(crate) use credential::SecretHeader;
pub(crate) use decision::is_secret_header;
pub(crate) use exchange::{MAX_HEADER_BYTES, bounded, has_secret_parameter, sent};
pub(crate) use protocol::is_of_protocol;
pub(crate) use received::{ReceivedHeaders, redacted};
#[allow(unused_imports, reason = "the features decide which secrets are settings")]
pub(crate) use secrets::pin;
pub(crate) use secrets::remember;

/// Replaces a secret.
pub(crate) const HIDDEN: &str = "[hidden]";

/// Ends a truncated text.
const ELLIPSIS: char = '…';

/// Bytes after the shown part that can contain the rest of a secret that begins within it: the longest piece of a
/// secret in its longest encoding.
const LOOKAHEAD_BYTES: usize = secrets::MAX_PIECE_BYTES * 6;

/// Returns the text on one line of at most `max_chars` characters, without secrets.
///
/// Control, bidirectional and invisible characters are escaped as Rust escapes them (`\n`,
/// `\u{202e}`). A text that is longer ends in `…`. The cost depends on `max_chars`, not on the length of
/// the text.
pub(crate) fn text(text: &str, max_chars: usize) -> Cow<'_, str> {
    shown(text, max_chars, false)
}

/// Returns the same for sentences: line breaks and tabs become spaces.
pub(crate) fn prose(text: &str, max_chars: usize) -> Cow<'_, str> {
    shown(text, max_chars, true)
}

fn shown(text: &str, max_chars: usize, is_prose: bool) -> Cow<'_, str> {
    let (shown, complete) = beginning(text, max_chars);
    let read = floor_char_boundary(text, shown.saturating_add(LOOKAHEAD_BYTES));
    let ranges = hidden_ranges(&text[..read]);
    if complete && ranges.is_empty() && !text.chars().any(characters::is_hazard) {
        return Cow::Borrowed(text);
    }
    let mut line = Line::new(max_chars, is_prose);
    let mut next = 0;
    for range in ranges {
        if range.start >= shown {
            break;
        }
        line.escaped(&text[next..range.start]);
        line.part(HIDDEN);
        next = range.end;
    }
    if next < shown {
        line.escaped(&text[next..shown]);
        next = shown;
    }
    line.finish(next < text.len())
}

/// Returns the end of the visible part of a text, in bytes, and whether that is the whole text.
fn beginning(text: &str, max_chars: usize) -> (usize, bool) {
    if text.len() <= max_chars {
        return (text.len(), true);
    }
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => (end, false),
        None => (text.len(), true),
    }
}

/// Returns the same for bytes; invalid UTF-8 is shown as `U+FFFD`.
pub(crate) fn bytes(bytes: &[u8], max_chars: usize) -> Cow<'_, str> {
    // A character has four bytes at most.
    let read = max_chars.saturating_mul(4).saturating_add(LOOKAHEAD_BYTES);
    match String::from_utf8_lossy(&bytes[..bytes.len().min(read)]) {
        Cow::Borrowed(lossy) => text(lossy, max_chars),
        Cow::Owned(lossy) => Cow::Owned(text(&lossy, max_chars).into_owned()),
    }
}

/// Returns the same for a `Display` value, of which no more is formatted than is visible.
pub(crate) fn display(value: &dyn Display, max_chars: usize) -> String {
    let limit = max_chars.saturating_mul(4).saturating_add(LOOKAHEAD_BYTES);
    let mut beginning = Beginning { text: String::new(), limit };
    // Formatting fails once the line is full.
    let _ = write!(beginning, "{value}");
    text(&beginning.text, max_chars).into_owned()
}

/// Returns a copy of a body, up to this many bytes, with its known secrets replaced by `[hidden]` and otherwise as it
/// was sent. JSON remains JSON: a number that is a secret becomes a string.
pub(crate) fn body(body: &[u8], max_bytes: usize) -> Bytes {
    let end = body.len().min(max_bytes);
    let read = body.len().min(end.saturating_add(LOOKAHEAD_BYTES));
    let mut ranges = secrets::find(&body[..read]);
    ranges.retain(|range| range.start < end);
    if ranges.is_empty() {
        return Bytes::copy_from_slice(&body[..end]);
    }
    for range in &mut ranges {
        // A secret can begin with the letter of an escape, such as `\n`.
        let before = body[..range.start].iter().rev().take_while(|byte| **byte == b'\\').count();
        range.start -= before % 2;
    }
    merge(&mut ranges);
    let shown = ranges.last().map_or(end, |range| range.end.max(end));
    let clean = without(&body[..shown], &ranges);
    let is_json = |text: &[u8]| serde_json::from_slice::<IgnoredAny>(text).is_ok();
    if end == body.len() && !is_json(&clean) && is_json(body) {
        return json_body(body);
    }
    clean.into()
}

/// Returns the same for JSON with a secret that is not within a string.
fn json_body(body: &[u8]) -> Bytes {
    let clean = serde_json::from_slice(body).ok().and_then(|mut value: Value| {
        json(&mut value);
        serde_json::to_vec(&value).ok()
    });
    // Or the secret spans several values.
    clean
        .filter(|clean| !has_secret(clean))
        .map_or(Bytes::from_static(b"\"[hidden]\""), Bytes::from)
}

/// Replaces known secrets in the strings, names and numbers of JSON.
pub(crate) fn json(value: &mut Value) {
    match value {
        Value::String(text) => hide(text),
        Value::Array(items) => items.iter_mut().for_each(json),
        Value::Object(map) => {
            let items = std::mem::take(map).into_iter().map(|(mut name, mut value)| {
                hide(&mut name);
                json(&mut value);
                (name, value)
            });
            *map = items.collect();
        }
        Value::Number(number) if has_secret(number.to_string().as_bytes()) => {
            *value = HIDDEN.into();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Replaces known secrets in a text that is otherwise unchanged.
pub(crate) fn hide(text: &mut String) {
    let ranges = known_ranges(text);
    // Ranges are at character boundaries.
    if !ranges.is_empty()
        && let Ok(clean) = String::from_utf8(without(text.as_bytes(), &ranges))
    {
        *text = clean;
    }
}

/// Returns the bytes with `[hidden]` in place of each of these ranges, which are ordered and disjoint.
fn without(bytes: &[u8], ranges: &[Range<usize>]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(bytes.len());
    let mut next = 0;
    for range in ranges {
        clean.extend_from_slice(&bytes[next..range.start]);
        clean.extend_from_slice(HIDDEN.as_bytes());
        next = range.end;
    }
    clean.extend_from_slice(&bytes[next..]);
    clean
}

/// Returns an incomplete body without its last word, back to white space, a quote or a separator: it can be the
/// beginning of a secret, and only whole secrets are recognized.
pub(crate) fn without_last_run(mut body: Bytes) -> Bytes {
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`,;&".contains(byte);
    let run = body.iter().rev().take(LOOKAHEAD_BYTES).take_while(|byte| !is_end(byte)).count();
    body.truncate(body.len() - run);
    body
}

/// Returns whether the bytes contain a known secret.
pub(crate) fn has_secret(bytes: &[u8]) -> bool {
    !secrets::find(bytes).is_empty()
}

/// Returns the ranges of known secrets and of tokens of GitHub's formats in the text, ordered and disjoint.
fn hidden_ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = known_ranges(text);
    formats::find(text.as_bytes(), &mut ranges);
    merge(&mut ranges);
    ranges
}

/// Returns the ranges of known secrets in the text, ordered and disjoint, at character boundaries.
fn known_ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = secrets::find(text.as_bytes());
    for range in &mut ranges {
        range.start = floor_char_boundary(text, range.start);
        while !text.is_char_boundary(range.end) {
            range.end += 1;
        }
    }
    merge(&mut ranges);
    ranges
}

/// Returns the last boundary of a character that is not after `at`.
fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Sorts ranges, and joins those that overlap or touch.
fn merge(ranges: &mut Vec<Range<usize>>) {
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|next, range| {
        let joined = next.start <= range.end;
        if joined {
            range.end = range.end.max(next.end);
        }
        joined
    });
}

/// A line of bounded length that is being written.
struct Line {
    text: String,
    chars: usize,
    max_chars: usize,
    /// Whether line breaks and tabs become spaces.
    is_prose: bool,
    /// The position at which to truncate if more follows, so that the ellipsis fits.
    cut: usize,
    full: bool,
}

impl Line {
    fn new(max_chars: usize, is_prose: bool) -> Self {
        Self { text: String::new(), chars: 0, max_chars, is_prose, cut: 0, full: false }
    }

    /// Adds a part that is shown whole or not at all.
    fn part(&mut self, part: &str) {
        let chars = part.chars().count();
        if self.full || self.chars + chars > self.max_chars {
            self.full = true;
            return;
        }
        self.chars += chars;
        self.text.push_str(part);
        if self.chars < self.max_chars {
            self.cut = self.text.len();
        }
    }

    fn escaped(&mut self, text: &str) {
        let mut buffer = [0; 4];
        for character in text.chars() {
            if self.full {
                return;
            }
            if self.is_prose && matches!(character, '\n' | '\r' | '\t') {
                self.part(" ");
            } else if characters::is_hazard(character) {
                self.part(&characters::escape(character));
            } else {
                self.part(character.encode_utf8(&mut buffer));
            }
        }
    }

    fn finish(mut self, more: bool) -> Cow<'static, str> {
        if self.full || more {
            self.text.truncate(self.cut);
            if self.max_chars > 0 {
                self.text.push(ELLIPSIS);
            }
        }
        Cow::Owned(self.text)
    }
}

/// The beginning of the text that is written to it.
struct Beginning {
    text: String,
    limit: usize,
}

impl Write for Beginning {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let available = self.limit - self.text.len();
        if part.len() > available {
            self.text.push_str(&part[..floor_char_boundary(part, available)]);
            return Err(fmt::Error);
        }
        self.text.push_str(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests;

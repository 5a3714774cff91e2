//! The headers of a response, whose secrets are redacted at first use.
//!
//! Most callers read none of the headers, and the client itself reads a few. So a response keeps them as
//! [`ReceivedHeaders`], from which no other module gets a secret, except in `Link` and `Location`, which are followed and
//! must not be shown: single values are checked when they are read, and all values are redacted before any code stores or
//! shows them.

use bytes::Bytes;
use http::header::{ETAG, LAST_MODIFIED, LINK, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::HIDDEN;
use super::encoded::has_escape;
use super::protocol::{DECISIVE, is_of_protocol};
use super::secrets::{self, MIN_SECRET_BYTES, Secrets};
use crate::util::{http_date, known_names};

/// A copy of the headers of a response as they were received, in one allocation of about their length: it does not keep
/// the buffer of the connection, which can be a thousand times as large.
///
/// Most headers are the code of a [known name](known_names), the length of the value in two bytes, and the value. All
/// others are a zero, the length of the name in two bytes, that of the value in four, whose highest bit marks it as
/// sensitive, the name, and the value.
#[derive(Clone)]
pub(crate) struct ReceivedHeaders {
    lines: Box<[u8]>,
    /// The number of evictions of known secrets before the response was received.
    evictions: u64,
}

const SENSITIVE: u32 = 1 << 31;

/// One received header.
struct Line<'a> {
    /// The code of the name, or zero.
    code: u8,
    /// The name, if it has no code.
    name: &'a [u8],
    value: &'a [u8],
    is_sensitive: bool,
}

impl ReceivedHeaders {
    /// Copies the headers of a response that has just been received. A value of 2 GiB or more is left out.
    pub(crate) fn copy(headers: &HeaderMap) -> Self {
        Self { lines: joined(headers), evictions: secrets::evictions() }
    }

    /// Returns the first value of each of these different headers, as in the [redacted](Self::redacted) headers. Returns
    /// `None` if one of them can contain a secret.
    pub(crate) fn first<const N: usize>(
        &self,
        names: [&HeaderName; N],
    ) -> Option<[Option<&[u8]>; N]> {
        let mut known = None;
        self.first_if(names, |value| {
            self.has_no_secret(value, known.get_or_insert_with(secrets::known).secrets())
        })
    }

    /// Returns the first values if none of them contains a secret. `has_no_secret` decides on those that can.
    fn first_if<const N: usize>(
        &self,
        names: [&HeaderName; N],
        mut has_no_secret: impl FnMut(&[u8]) -> bool,
    ) -> Option<[Option<&[u8]>; N]> {
        let found = self.first_received(names);
        let is_clean = found.iter().zip(names).all(|(value, name)| {
            // One value with a secret removes all values of a validator.
            value.is_none_or(|value| {
                !is_validator(name) && (is_never_redacted(name, value) || has_no_secret(value))
            })
        });
        is_clean.then_some(found)
    }

    fn has_no_secret(&self, value: &[u8], known: &Secrets) -> bool {
        known.has_all_since(self.evictions) && known.ranges(value).is_empty()
    }

    fn first_received<const N: usize>(&self, names: [&HeaderName; N]) -> [Option<&[u8]>; N] {
        // The position of each known name among the names, from one on.
        let mut positions = [0_u8; known_names::COUNT + 1];
        for (position, name) in (1..).zip(names) {
            let code = known_names::code(name.as_str());
            if code != known_names::OTHER {
                positions[usize::from(code)] = position;
            }
        }
        let mut found = [None; N];
        for line in lines(&self.lines) {
            let at = match positions.get(usize::from(line.code)) {
                Some(0) if line.code == known_names::OTHER => {
                    names.iter().position(|name| name.as_str().as_bytes() == line.name)
                }
                position => position.and_then(|position| usize::from(*position).checked_sub(1)),
            };
            if let Some(place) = at.and_then(|at| found.get_mut(at))
                && place.is_none()
            {
                *place = Some(line.value);
            }
        }
        found
    }

    /// Returns the headers with their known secrets redacted: at least those that were known when the response was
    /// received. If so many were evicted since then that one might be missing, all values are hidden that could contain
    /// one.
    ///
    /// A validator with a secret is dropped. `Link` and `Location` are unchanged, since they are followed, and are marked
    /// as sensitive: `Debug` does not show them, and no store receives them. A protocol word by which the client decides
    /// is unchanged as well.
    pub(crate) fn redacted(&self) -> HeaderMap {
        // Before the lock is taken, since it allocates.
        let headers = self.to_map();
        self.redact(headers, secrets::known().secrets())
    }

    #[cfg(test)]
    fn redacted_by(&self, known: &Secrets) -> HeaderMap {
        self.redact(self.to_map(), known)
    }

    fn redact(&self, mut headers: HeaderMap, known: &Secrets) -> HeaderMap {
        if known.has_all_since(self.evictions) {
            redact_known(&mut headers, &self.lines, known);
        } else {
            hide(&mut headers, |name, value| {
                // The client decides by words of the protocol, such as `no-store`, and they are not secrets.
                let is_kept = is_never_redacted(name, value)
                    || DECISIVE.contains(&name.as_str()) && is_of_protocol(value);
                (is_followed(name) || !is_kept).then(|| HIDDEN.into())
            });
        }
        headers
    }

    /// Returns the headers as they were received. Their values share one allocation.
    fn to_map(&self) -> HeaderMap {
        let copy = Bytes::copy_from_slice(&self.lines);
        let count = lines(&copy).count();
        let mut headers = HeaderMap::try_with_capacity(count).unwrap_or_default();
        for line in lines(&copy) {
            // Copies of valid names and values are valid, and another map had this number of headers.
            let name = known_names::name(line.code).cloned();
            let name = name.or_else(|| HeaderName::from_lowercase(line.name).ok());
            let value = HeaderValue::from_maybe_shared(copy.slice_ref(line.value));
            if let (Some(name), Ok(mut value)) = (name, value) {
                value.set_sensitive(line.is_sensitive);
                let _ = headers.try_append(name, value);
            }
        }
        headers
    }
}

/// Returns a redacted copy of headers, which does not keep the buffer of the connection.
pub(crate) fn redacted(headers: &HeaderMap) -> HeaderMap {
    ReceivedHeaders::copy(headers).redacted()
}

/// Returns the headers as lines.
fn joined(headers: &HeaderMap) -> Box<[u8]> {
    // That of headers with known names.
    let length = headers.values().map(|value| value.len().saturating_add(3)).sum();
    let mut lines = Vec::with_capacity(length);
    for (name, value) in headers {
        let (code, bytes) = (known_names::code(name.as_str()), value.as_bytes());
        match u16::try_from(bytes.len()) {
            Ok(length) if code != known_names::OTHER && !value.is_sensitive() => {
                let [low, high] = length.to_le_bytes();
                lines.extend_from_slice(&[code, low, high]);
                lines.extend_from_slice(bytes);
            }
            _ => push_other(&mut lines, name, value),
        }
    }
    lines.into()
}

fn push_other(lines: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    let mark = if value.is_sensitive() { SENSITIVE } else { 0 };
    // The maximum length of a name fits in two bytes.
    let name_length = u16::try_from(name.as_str().len());
    let value_length = u32::try_from(value.len()).ok().filter(|length| *length < SENSITIVE);
    if let (Ok(name_length), Some(value_length)) = (name_length, value_length) {
        lines.push(known_names::OTHER);
        lines.extend_from_slice(&name_length.to_le_bytes());
        lines.extend_from_slice(&(value_length | mark).to_le_bytes());
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(value.as_bytes());
    }
}

/// Reads [`joined`] headers.
fn lines(mut rest: &[u8]) -> impl Iterator<Item = Line<'_>> {
    std::iter::from_fn(move || {
        let (&[code, low, high], after) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes([low, high]));
        let line;
        (line, rest) = if code == known_names::OTHER {
            other_line(length, after)?
        } else {
            let (value, after) = after.split_at_checked(length)?;
            (Line { code, name: &[], value, is_sensitive: false }, after)
        };
        Some(line)
    })
}

/// Reads the rest of a header without a code. Returns it, and what follows.
fn other_line(name_length: usize, rest: &[u8]) -> Option<(Line<'_>, &[u8])> {
    let (length, rest) = rest.split_first_chunk()?;
    let length = u32::from_le_bytes(*length);
    let (name, rest) = rest.split_at_checked(name_length)?;
    let (value, rest) = rest.split_at_checked((length & !SENSITIVE).try_into().ok()?)?;
    let is_sensitive = length & SENSITIVE != 0;
    Some((Line { code: known_names::OTHER, name, value, is_sensitive }, rest))
}

/// Returns whether a value is unchanged whichever secrets are known: it is too short for one, it is followed, or it is a
/// number or a date by which the client decides.
fn is_never_redacted(name: &HeaderName, value: &[u8]) -> bool {
    value.len() < MIN_SECRET_BYTES
        || is_followed(name)
        || DECISIVE.contains(&name.as_str())
            && (value.iter().all(u8::is_ascii_digit) || is_date(value))
}

fn is_followed(name: &HeaderName) -> bool {
    *name == LINK || *name == LOCATION
}

fn is_validator(name: &HeaderName) -> bool {
    *name == ETAG || *name == LAST_MODIFIED
}

fn is_date(value: &[u8]) -> bool {
    http_date::parse(value).is_some()
}

/// Redacts the known secrets in headers, given all of their values in one text.
fn redact_known(headers: &mut HeaderMap, all: &[u8], known: &Secrets) {
    // One search of all values is sufficient for nearly all responses. Only a value with an escape needs its own.
    let can_have_plain = known.can_have_plain(all);
    // Only in values: codes and lengths can be the same bytes as escapes.
    if !can_have_plain && !lines(all).any(|line| has_escape(line.value)) {
        return;
    }
    hide(headers, |name, value| {
        if !can_have_plain && !has_escape(value) {
            return None;
        }
        let mut ranges = known.ranges(value);
        if !ranges.is_empty() && DECISIVE.contains(&name.as_str()) {
            let is_date = is_date(value);
            ranges.retain(|range| !is_date && !is_of_protocol(&value[range.clone()]));
        }
        (!ranges.is_empty()).then(|| super::without(value, &ranges))
    });
}

/// Replaces the values for which `redact` returns another one.
fn hide(headers: &mut HeaderMap, redact: impl Fn(&HeaderName, &[u8]) -> Option<Vec<u8>>) {
    let mut validators = Vec::new();
    for (name, value) in headers.iter_mut() {
        let Some(clean) = redact(name, value.as_bytes()) else { continue };
        if is_followed(name) {
            value.set_sensitive(true);
        } else if is_validator(name) {
            validators.push(name.clone());
        } else {
            // The redacted value is a valid header value.
            let hidden = || HeaderValue::from_static(HIDDEN);
            let mut clean = HeaderValue::try_from(clean).unwrap_or_else(|_| hidden());
            clean.set_sensitive(value.is_sensitive());
            *value = clean;
        }
    }
    for name in validators {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests;

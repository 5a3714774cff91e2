//! Conversion of the position of a serde_json error in a JSON body to a path such as `$.items[3].user`.
//!
//! serde_json reports the line and column up to which it has read. The body is scanned, not decoded, up to there. This
//! happens for errors only, and does not require valid JSON.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::sanitize;

/// Maximum length of a key in a path, in characters.
const MAX_KEY_CHARS: usize = 100;

/// Returns the path of the value that was being read at this line and column of serde_json.
pub(crate) fn locate(body: &[u8], line: usize, column: usize) -> String {
    let read = offset(body, line, column);
    let mut scanner = Scanner { body, at: 0, steps: Vec::new() };
    scanner.run(read);
    scanner.path()
}

/// Returns how many bytes precede a position: serde_json counts lines from 1, and as the column the bytes that it has
/// read of the line.
fn offset(body: &[u8], line: usize, column: usize) -> usize {
    let start = match line.checked_sub(2) {
        None => 0,
        Some(breaks) => body
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .nth(breaks)
            .map_or(body.len(), |(index, _)| index.saturating_add(1)),
    };
    start.saturating_add(column).min(body.len())
}

/// Returns the step to a property, such as `.items`; empty for `None`.
pub(crate) fn key(name: Option<&str>) -> String {
    let mut path = String::new();
    if let Some(name) = name {
        push_key(&mut path, format!("\"{name}\"").as_bytes());
    }
    path
}

struct Scanner<'a> {
    body: &'a [u8],
    at: usize,
    /// The open containers, each with the current position in it.
    steps: Vec<Step<'a>>,
}

enum Step<'a> {
    /// In an array, at this index.
    Index(usize),
    /// In an object, at the value of this key: a JSON string with its quotes.
    Key(&'a [u8]),
    /// In an object, before a key.
    BeforeKey,
}

impl<'a> Scanner<'a> {
    /// Scans tokens until `read` bytes are consumed, so that `steps` lead to the value that was read last, or was about
    /// to be read.
    fn run(&mut self, read: usize) {
        loop {
            self.skip_whitespace();
            let start = self.at;
            let Some(token) = self.token() else { return };
            let behind = read > start;
            match token[0] {
                // A container that has not started is the value that was about to be read.
                b'{' | b'[' if !behind => return,
                b'{' => self.steps.push(Step::BeforeKey),
                b'[' => self.steps.push(Step::Index(0)),
                _ if !behind => {
                    self.skip_unread_token(token[0]);
                    return;
                }
                b'}' | b']' => {
                    self.steps.pop();
                }
                b',' => match self.steps.last_mut() {
                    Some(Step::Index(index)) => *index = index.saturating_add(1),
                    Some(step) => *step = Step::BeforeKey,
                    None => {}
                },
                b':' => continue,
                b'"' => {
                    let complete = token.len() > 1 && token.ends_with(b"\"");
                    if let Some(step @ Step::BeforeKey) = self.steps.last_mut()
                        && complete
                    {
                        *step = Step::Key(token);
                    }
                }
                _ => {}
            }
            // The next byte decides whether a value was about to be read.
            let undecided = matches!(token[0], b'{' | b'[' | b',');
            if read <= self.at && !undecided {
                return;
            }
        }
    }

    /// Marks this token as unread. A number or string in an array is always read before it is rejected, so the error
    /// belongs to the array.
    fn skip_unread_token(&mut self, first: u8) {
        let of_the_array = match self.steps.last() {
            Some(Step::Index(0)) if first == b']' => true,
            Some(Step::Index(_)) => !matches!(first, b'}' | b']' | b',' | b':'),
            _ => false,
        };
        if of_the_array {
            self.steps.pop();
        }
    }

    fn token(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        let rest = self.body.get(start..).filter(|rest| !rest.is_empty())?;
        let length = match rest[0] {
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            b'"' => string_length(rest),
            _ => {
                let ends = |byte: &u8| b" \t\r\n{}[],:\"".contains(byte);
                rest.iter().position(ends).unwrap_or(rest.len())
            }
        };
        self.at = start.saturating_add(length);
        Some(&rest[..length])
    }

    fn skip_whitespace(&mut self) {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        self.at = self.at.saturating_add(rest.iter().take_while(blank).count());
    }

    fn path(&self) -> String {
        let mut path = String::from("$");
        for step in &self.steps {
            match step {
                Step::Index(index) => path.push_str(&format!("[{index}]")),
                Step::Key(quoted) => push_key(&mut path, quoted),
                Step::BeforeKey => {}
            }
        }
        path
    }
}

/// Returns the length of a JSON string that starts here, with its quotes, or of the part that exists.
fn string_length(rest: &[u8]) -> usize {
    let mut escaped = false;
    let end = rest.iter().skip(1).position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    });
    end.map_or(rest.len(), |end| end.saturating_add(2))
}

/// Writes `.name`, or `["any other key"]` as JSON spells it.
fn push_key(path: &mut String, quoted: &[u8]) {
    let name = quoted.strip_prefix(b"\"").unwrap_or(quoted);
    let name = name.strip_suffix(b"\"").unwrap_or(name);
    let shown = sanitize::bytes(name, MAX_KEY_CHARS);
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if !name.is_empty() && !name[0].is_ascii_digit() && name.iter().all(plain) {
        path.push('.');
        path.push_str(&shown);
    } else {
        path.push_str(&format!("[\"{shown}\"]"));
    }
}

#[cfg(test)]
mod tests;

//! gh's file `hosts.yml`: where it is, and the token of a host in it.
//!
//! `gh` stores a token there if the system has no keyring, or with `gh auth login --insecure-storage`. This module reads
//! the part of YAML that `gh` writes: mappings in block style with indentation by spaces, plain and quoted scalars on
//! one line, `{}`, and comments. Any other line is reported, and the token is left to `gh` itself.

use std::path::PathBuf;

use secrecy::SecretString;

use crate::policy::auth::environment::Environment;

/// Returns the path of the file, as `gh` determines it; `None` if the home directory is unknown.
///
/// See `GH_CONFIG_DIR` in <https://cli.github.com/manual/gh_help_environment>.
pub(super) fn path(environment: &dyn Environment, is_windows: bool) -> Option<PathBuf> {
    let folder = |name: &str| {
        environment.variable(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    let app_data = || if is_windows { folder("AppData") } else { None };
    let home = || folder(if is_windows { "USERPROFILE" } else { "HOME" });
    let config = folder("GH_CONFIG_DIR")
        .or_else(|| Some(folder("XDG_CONFIG_HOME")?.join("gh")))
        .or_else(|| Some(app_data()?.join("GitHub CLI")))
        .or_else(|| Some(home()?.join(".config").join("gh")))?;
    Some(config.join("hosts.yml"))
}

/// The longest chain of mappings; that of a token has four: host, `users`, the user's name, `oauth_token`.
const MAX_DEPTH: usize = 8;

/// Returns the token of a host: that of the host itself, which `gh` keeps equal to the active user's, or that of the
/// active user.
///
/// # Errors
/// The number of the first line that is not as `gh` writes it; 1 if the file is not text.
pub(super) fn find_token(bytes: &[u8], host: &str) -> Result<Option<SecretString>, usize> {
    let text = std::str::from_utf8(bytes).map_err(|_| 1_usize)?;
    let mut login = Login::default();
    // The entries that contain the current one, and the current one itself.
    let mut open: Vec<Entry<'_>> = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let number = index.saturating_add(1);
        let Some(entry) = Entry::parse(line).map_err(|Unsupported| number)? else { continue };
        enter(&mut open, entry).map_err(|Unsupported| number)?;
        login.add(&open, host);
    }
    Ok(login.token().map(SecretString::from))
}

/// A line that is not as `gh` writes it.
struct Unsupported;

/// Replaces the entries that end before this one.
fn enter<'a>(open: &mut Vec<Entry<'a>>, entry: Entry<'a>) -> Result<(), Unsupported> {
    let is_first = open.is_empty();
    let mut has_ended = false;
    while open.last().is_some_and(|last| last.indent > entry.indent) {
        open.pop();
        has_ended = true;
    }
    match open.last() {
        Some(last) if last.indent == entry.indent => {
            open.pop();
        }
        // A mapping begins: its entries have the indentation of this one.
        Some(last) if !has_ended && last.value.is_none() => {}
        None if is_first => {}
        _ => return Err(Unsupported),
    }
    if open.len() >= MAX_DEPTH {
        return Err(Unsupported);
    }
    open.push(entry);
    Ok(())
}

/// The entries of one host that concern its token.
#[derive(Default)]
struct Login<'a> {
    user: Option<&'a str>,
    token: Option<&'a str>,
    /// The names of users, and their tokens.
    users: Vec<(&'a str, &'a str)>,
}

impl<'a> Login<'a> {
    /// Adds the last entry, if it is one of them. The first one of a name counts.
    fn add(&mut self, open: &[Entry<'a>], host: &str) {
        let value = open.last().and_then(|entry| entry.value);
        let Some(value) = value.filter(|value| !value.is_empty()) else { return };
        match open {
            [first, ..] if !first.key.eq_ignore_ascii_case(host) => {}
            [_, Entry { key: "user", .. }] => self.user = self.user.or(Some(value)),
            [_, Entry { key: "oauth_token", .. }] => self.token = self.token.or(Some(value)),
            [_, Entry { key: "users", .. }, user, Entry { key: "oauth_token", .. }] => {
                self.users.push((user.key, value));
            }
            _ => {}
        }
    }

    fn token(&self) -> Option<&'a str> {
        self.token.or_else(|| {
            let active = self.user?;
            self.users.iter().find(|(name, _)| *name == active).map(|(_, token)| *token)
        })
    }
}

/// A line `key: value`.
struct Entry<'a> {
    indent: usize,
    key: &'a str,
    /// `None` if there is none, so that a mapping can follow.
    value: Option<&'a str>,
}

impl<'a> Entry<'a> {
    /// Parses a line; `None` if it is blank or a comment.
    fn parse(line: &'a str) -> Result<Option<Self>, Unsupported> {
        let content = line.trim_start_matches(' ');
        let indent = line.len().saturating_sub(content.len());
        let content = content.trim_end_matches([' ', '\t']);
        if content.is_empty() || content.starts_with('#') {
            return Ok(None);
        }
        if content.contains(char::is_control) {
            return Err(Unsupported);
        }
        let (key, rest) = split_key(content)?;
        Ok(Some(Self { indent, key, value: parse_value(rest)? }))
    }
}

/// Splits a line into its key and the text after the colon.
fn split_key(content: &str) -> Result<(&str, &str), Unsupported> {
    if content.starts_with(['"', '\'']) {
        let (key, rest) = split_quoted(content)?;
        let rest = rest.strip_prefix(':').ok_or(Unsupported)?;
        return if rest.is_empty() || rest.starts_with(' ') {
            Ok((key, rest))
        } else {
            Err(Unsupported)
        };
    }
    let split = content.split_once(": ").or_else(|| Some((content.strip_suffix(':')?, "")));
    split.filter(|(key, _)| is_plain(key)).ok_or(Unsupported)
}

fn parse_value(text: &str) -> Result<Option<&str>, Unsupported> {
    let text = text.trim_start_matches(' ');
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    if text.starts_with(['"', '\'']) {
        let (value, rest) = split_quoted(text)?;
        let comment = rest.trim_start_matches(' ');
        let is_end = rest.is_empty() || (rest.starts_with(' ') && comment.starts_with('#'));
        return if is_end { Ok(Some(value)) } else { Err(Unsupported) };
    }
    let value = text.split_once(" #").map_or(text, |(value, _)| value).trim_end_matches(' ');
    match value {
        "~" | "null" | "Null" | "NULL" => Ok(None),
        // A user without entries.
        "{}" => Ok(Some("")),
        _ if is_plain(value) => Ok(Some(value)),
        _ => Err(Unsupported),
    }
}

/// Splits a text after the quoted scalar at its beginning. Quotes and escapes within it are not supported: no token and
/// no name contains them.
fn split_quoted(text: &str) -> Result<(&str, &str), Unsupported> {
    let mut parts = text.chars();
    let quote = parts.next().ok_or(Unsupported)?;
    let (value, rest) = parts.as_str().split_once(quote).ok_or(Unsupported)?;
    if value.contains('\\') || rest.starts_with(quote) {
        Err(Unsupported)
    } else {
        Ok((value, rest))
    }
}

/// Returns whether a text is a plain scalar on one line (YAML 1.2, 7.3.3), without those that begin with an indicator.
fn is_plain(text: &str) -> bool {
    const INDICATORS: &str = "-?:,[]{}#&*!|>'\"%@`";
    !text.starts_with(|first: char| INDICATORS.contains(first))
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([' ', ':'])
        && !text.is_empty()
}

#[cfg(test)]
mod tests;

//! Patterns for places in JSON: see [`ComparisonRules`](super::ComparisonRules#patterns).

use std::fmt::Write;

/// One step from a value into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathSegment<'a> {
    Key(&'a str),
    Index(usize),
    /// Any index of an unordered list: only `[*]` matches it.
    Item(usize),
}

/// The input of a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<PatternToken>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum PatternToken {
    Key(String),
    Index(usize),
    /// A property whose name has this beginning and end.
    Affixes(String, String),
    /// Exactly one step, of any kind.
    Any,
    /// Any number of steps.
    Deep,
}

impl Pattern {
    /// # Errors
    /// The defect of the pattern.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some(mut rest) = text.strip_prefix('$') else {
            return Err("a pattern begins with $".to_owned());
        };
        let mut tokens = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("..") {
                tokens.push(PatternToken::Deep);
                rest = match after.starts_with('[') {
                    true => after,
                    false => name(after, &mut tokens)?,
                };
            } else if let Some(after) = rest.strip_prefix('.') {
                rest = name(after, &mut tokens)?;
            } else if let Some(after) = rest.strip_prefix('[') {
                rest = bracket(after, &mut tokens)?;
            } else {
                return Err(format!("`.` or `[` is expected before {rest:?}"));
            }
        }
        Ok(Self(tokens))
    }

    /// Returns whether the pattern matches this location.
    pub(super) fn matches(&self, path: &[PathSegment<'_>]) -> bool {
        // As with `*` in file names, only the last `..` can need to match more steps.
        let (mut token, mut step) = (0, 0);
        let mut retry = None;
        loop {
            match self.0.get(token) {
                Some(PatternToken::Deep) => {
                    retry = Some((token, step));
                    token = token.saturating_add(1);
                    continue;
                }
                Some(one) if path.get(step).is_some_and(|step| one.matches(step)) => {
                    token = token.saturating_add(1);
                    step = step.saturating_add(1);
                    continue;
                }
                None if step == path.len() => return true,
                _ => {}
            }
            match &mut retry {
                Some((deep, from)) if *from < path.len() => {
                    *from = from.saturating_add(1);
                    (token, step) = (deep.saturating_add(1), *from);
                }
                _ => return false,
            }
        }
    }
}

impl PatternToken {
    fn matches(&self, step: &PathSegment<'_>) -> bool {
        match (self, step) {
            (Self::Any, _) => true,
            (Self::Key(key), PathSegment::Key(name)) => key == name,
            (Self::Index(index), PathSegment::Index(place)) => index == place,
            (Self::Affixes(start, end), PathSegment::Key(name)) => {
                name.strip_prefix(start.as_str()).is_some_and(|rest| rest.ends_with(end))
            }
            _ => false,
        }
    }
}

/// Reads `name`, `na*me` or `*`, and returns the rest.
fn name<'a>(text: &'a str, tokens: &mut Vec<PatternToken>) -> Result<&'a str, String> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    tokens.push(match name.split_once('*') {
        _ if name.is_empty() => return Err("a name is missing".to_owned()),
        _ if name == "*" => PatternToken::Any,
        Some((_, end)) if end.contains('*') => return Err(format!("{name:?} has two `*`")),
        Some((start, end)) => PatternToken::Affixes(start.to_owned(), end.to_owned()),
        None => PatternToken::Key(name.to_owned()),
    });
    Ok(rest)
}

/// Reads `*]`, `3]` or `"a name"]`, and returns the rest.
fn bracket<'a>(text: &'a str, tokens: &mut Vec<PatternToken>) -> Result<&'a str, String> {
    if text.starts_with('"') {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let Some(Ok(key)) = values.next() else {
            return Err("the name in brackets is not a JSON string".to_owned());
        };
        tokens.push(PatternToken::Key(key));
        let rest = text.get(values.byte_offset()..).unwrap_or_default();
        return rest.strip_prefix(']').ok_or_else(|| "`]` is missing".to_owned());
    }
    let Some((inner, rest)) = text.split_once(']') else {
        return Err("`]` is missing".to_owned());
    };
    tokens.push(match inner.parse() {
        _ if inner == "*" => PatternToken::Any,
        Ok(index) => PatternToken::Index(index),
        Err(_) => return Err(format!("{inner:?} is neither an index, `*`, nor a quoted name")),
    });
    Ok(rest)
}

/// Writes a path in pattern notation; `starred` has `[*]` for each index.
pub(super) fn render(path: &[PathSegment<'_>], starred: bool) -> String {
    let mut text = String::from("$");
    for step in path {
        // Writing to a string cannot fail.
        let _ = match step {
            PathSegment::Index(_) | PathSegment::Item(_) if starred => write!(text, "[*]"),
            PathSegment::Index(index) | PathSegment::Item(index) => write!(text, "[{index}]"),
            PathSegment::Key(key) if plain(key) => write!(text, ".{key}"),
            PathSegment::Key(key) => write!(text, "[{}]", serde_json::Value::from(*key)),
        };
    }
    text
}

fn plain(key: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    !key.is_empty() && key.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use PathSegment::{Index, Item, Key};

    #[test]
    fn a_pattern_means_the_places_that_its_grammar_says() {
        let table: &[(&str, &[PathSegment<'_>], bool)] = &[
            ("$", &[], true),
            ("$", &[Key("a")], false),
            ("$.a", &[Key("a")], true),
            ("$.a", &[Key("a"), Key("b")], false),
            (r#"$["a.b"]"#, &[Key("a.b")], true),
            (r#"$["a\"]"].c"#, &[Key("a\"]"), Key("c")], true),
            ("$.items[*].at", &[Key("items"), Index(3), Key("at")], true),
            ("$.items[*].at", &[Key("items"), Item(3), Key("at")], true),
            ("$.items[3]", &[Key("items"), Index(3)], true),
            ("$.items[3]", &[Key("items"), Item(3)], false),
            ("$.*", &[Key("a")], true),
            ("$.*.b", &[Key("a"), Key("c")], false),
            ("$..id", &[Key("id")], true),
            ("$..id", &[Key("a"), Index(0), Key("id")], true),
            ("$..id", &[Key("id"), Key("a")], false),
            ("$..a..b", &[Key("a"), Key("a"), Key("c"), Key("b")], true),
            ("$..a.b", &[Key("a"), Key("a"), Key("b")], true),
            ("$..a.b", &[Key("a"), Key("c"), Key("b")], false),
            ("$..[0]", &[Key("a"), Index(0)], true),
            ("$..*", &[], false),
            ("$..*_url", &[Key("user"), Key("html_url")], true),
            ("$..*_url", &[Key("url")], false),
            ("$.ab*ba", &[Key("aba")], false),
            ("$.ab*ba", &[Key("abba")], true),
            ("$.a*", &[Index(0)], false),
            (r#"$["a*"]"#, &[Key("ab")], false),
        ];
        for (pattern, path, matches) in table {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(path), *matches, "{pattern}");
        }
    }

    #[test]
    fn an_invalid_pattern_is_rejected_with_the_reason() {
        for (text, reason) in [
            ("", "begins with $"),
            ("items", "begins with $"),
            ("$items", "is expected before"),
            ("$.", "a name is missing"),
            ("$..", "a name is missing"),
            ("$.a*b*", "has two `*`"),
            ("$[", "`]` is missing"),
            ("$[-1]", "neither an index"),
            (r#"$["a]"#, "not a JSON string"),
            (r#"$["a""#, "`]` is missing"),
        ] {
            let error = Pattern::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_path_is_shown_as_the_pattern_that_means_it() {
        let path = [Key("items"), Index(3), Key("a.b"), Key("c-d")];
        assert_eq!(render(&path, false), r#"$.items[3]["a.b"].c-d"#);
        assert_eq!(render(&path, true), r#"$.items[*]["a.b"].c-d"#);
        for starred in [false, true] {
            assert!(Pattern::parse(&render(&path, starred)).unwrap().matches(&path));
        }
    }
}

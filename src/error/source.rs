//! Sources of an error, sanitized for display.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::{BoxError, Error};
use crate::sanitize;

/// Maximum length of the text of one source, in characters.
const MAX_SOURCE_CHARS: usize = 1_000;
/// Maximum length of a chain of sources; further ones are dropped.
const MAX_SOURCES: usize = 16;

/// Returns the source. If it, or one of its own sources, shows text that an error must not show, only their
/// sanitized texts remain.
pub(super) fn sanitized(source: BoxError) -> Arc<dyn StdError + Send + Sync> {
    let (texts, is_clean) = source_texts(&*source);
    if is_clean {
        return Arc::from(source);
    }
    let mut chain = None;
    for text in texts.into_iter().rev() {
        chain = Some(Box::new(SourceText { text, source: chain }));
    }
    match chain {
        Some(text) => Arc::from(text as BoxError),
        None => Arc::from(source),
    }
}

/// Returns the texts of an error and its sources, and whether they are unchanged.
fn source_texts(mut error: &(dyn StdError + 'static)) -> (Vec<String>, bool) {
    let (mut texts, mut is_clean) = (Vec::new(), true);
    loop {
        // This library's own error is sanitized, including its sources.
        if error.is::<Error>() {
            texts.push(error.to_string());
            return (texts, is_clean);
        }
        let text = sanitize::display(error, MAX_SOURCE_CHARS);
        is_clean = is_clean && error.to_string() == text;
        texts.push(text);
        match error.source() {
            Some(source) if texts.len() < MAX_SOURCES => error = source,
            Some(_) => return (texts, false),
            None => return (texts, is_clean),
        }
    }
}

/// A source of which only the text remains.
struct SourceText {
    text: String,
    source: Option<Box<Self>>,
}

impl fmt::Display for SourceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SourceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)?;
        match &self.source {
            Some(source) => write!(f, ": {source:?}"),
            None => Ok(()),
        }
    }
}

impl StdError for SourceText {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other(text: impl Into<String>) -> std::io::Error {
        std::io::Error::other(text.into())
    }

    #[test]
    fn a_clean_source_is_unchanged() {
        assert!(sanitized(Box::new(other("a"))).is::<std::io::Error>());
    }

    #[test]
    fn a_source_that_forges_lines_or_is_long_shows_its_text_only() {
        #[derive(Debug)]
        struct Outer(std::io::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("outer")
            }
        }
        impl StdError for Outer {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(&self.0)
            }
        }
        let inner = other(format!("a\nFORGED {}", "x".repeat(1 << 20)));
        let source = sanitized(Box::new(Outer(inner)));
        let shown = format!("{source} {source:?} {}", source.source().unwrap());
        assert!(shown.starts_with(r#"outer "outer": "a\\nFORGED"#), "{shown}");
        assert!(shown.len() < 3_000 && !shown.contains('\n'), "{shown}");
    }
}

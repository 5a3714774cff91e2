//! Escaping of text for HTML.

/// Escapes text for HTML content and attributes, and braces, which templates have around their placeholders.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '{' => escaped.push_str("&#123;"),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_an_attribute_begins_an_element_or_is_a_placeholder() {
        let text = "</p>\"'&amp;{base}\u{e9}";
        let expected = "&lt;/p&gt;&quot;&#39;&amp;amp;&#123;base}\u{e9}";
        assert_eq!(escaped(text), expected);
    }
}

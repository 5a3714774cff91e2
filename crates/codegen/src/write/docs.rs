//! Converts GitHub's Markdown for rustdoc.

use std::fmt::{self, Write};

/// Writes a doc comment, each line after `indent`.
pub fn doc(out: &mut String, indent: &str, text: &str) -> fmt::Result {
    let mut fenced = false;
    let mut empty = true;
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    for line in text.trim().lines() {
        let line = line.trim_end();
        let trimmed = line.trim_start();
        if trimmed.starts_with("```") {
            fenced = !fenced;
            // rustdoc treats a fence without a language as Rust, and would run it.
            let fence = if fenced { "```text" } else { "```" };
            writeln!(out, "{indent}/// {fence}")?;
        } else if fenced {
            writeln!(out, "{indent}/// {line}")?;
        } else if trimmed.is_empty() {
            if !empty {
                writeln!(out, "{indent}///")?;
            }
        } else {
            // Four spaces would start a code block, which would become a doc test.
            let depth = (line.len() - trimmed.len()).min(3);
            writeln!(out, "{indent}/// {:depth$}{}", "", inline(trimmed))?;
        }
        empty = trimmed.is_empty();
    }
    if fenced {
        writeln!(out, "{indent}/// ```")?;
    }
    Ok(())
}

/// The first sentence or line, for lists.
pub fn summary(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default().trim();
    if line.is_empty() || line.ends_with('.') { line.to_owned() } else { format!("{line}.") }
}

/// One line: links made absolute, callouts named, and text outside of code escaped if rustdoc would treat it
/// as HTML or as a link to an item.
fn inline(line: &str) -> String {
    let line = callout(line).replace("](/", "](https://docs.github.com/");
    let mut shown = String::with_capacity(line.len());
    let mut code = false;
    let mut rest = line.as_str();
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            '`' => {
                code = !code;
                shown.push(c);
            }
            '<' if !code && autolink(rest).is_some() => {
                let end = autolink(rest).unwrap_or_default();
                shown.push_str(&rest[..end]);
                rest = &rest[end..];
                continue;
            }
            '<' | '>' if !code => {
                shown.push('\\');
                shown.push(c);
            }
            '[' if !code && !is_link(rest) => shown.push_str("\\["),
            'h' if !code && is_bare_url(rest, &shown) => {
                let end = url_end(rest);
                shown.push('<');
                shown.push_str(&rest[..end]);
                shown.push('>');
                rest = &rest[end..];
                continue;
            }
            c => shown.push(c),
        }
        rest = after;
    }
    // Code that this line does not close is closed here, since rustdoc reads it across lines.
    if code {
        shown = shown.replace('`', "\\`");
    }
    shown
}

fn callout(line: &str) -> String {
    let Some(rest) = line.strip_prefix("> ") else {
        return line.trim_start_matches("> ").to_owned();
    };
    for (marker, name) in [
        ("[!NOTE]", "**Note:**"),
        ("[!WARNING]", "**Warning:**"),
        ("[!IMPORTANT]", "**Important:**"),
        ("[!TIP]", "**Tip:**"),
        ("[!CAUTION]", "**Caution:**"),
    ] {
        if let Some(rest) = rest.strip_prefix(marker) {
            return format!("{name} {}", rest.trim());
        }
    }
    rest.to_owned()
}

/// The end of `<https://…>`.
fn autolink(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('<')?;
    let end = inner.find('>')?;
    let is_url = inner.starts_with("https://") || inner.starts_with("http://");
    (is_url && !inner[..end].contains(char::is_whitespace)).then_some(end + 2)
}

fn is_link(rest: &str) -> bool {
    rest.find("](").is_some_and(|middle| {
        let target = &rest[middle + 2..];
        !rest[1..middle].contains('[') && (target.starts_with("http") || target.starts_with('#'))
    })
}

fn is_bare_url(rest: &str, before: &str) -> bool {
    (rest.starts_with("https://") || rest.starts_with("http://"))
        && !before.ends_with(['(', '<', '"'])
        && !before.ends_with("](")
        // Within a link's text, a URL is only text.
        && before.rfind('[').is_none_or(|open| before[open..].contains(']') || before[..open].ends_with('\\'))
}

fn url_end(url: &str) -> usize {
    let end = url
        .find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '`' | ')' | ']'))
        .unwrap_or(url.len());
    url[..end].trim_end_matches(['.', ',', ';', ':', '\'', '*', '_']).len()
}

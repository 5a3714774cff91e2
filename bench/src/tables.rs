//! The tables of measurements: those that a document records between markers, and figures taken from them.

use crate::Result;

/// The text of a document between `<!-- measured: NAME -->` and `<!-- /measured -->`, without the markers.
pub fn section<'a>(document: &'a str, name: &str) -> Result<&'a str> {
    let (start, end) = bounds(document, name)?;
    Ok(&document[start..end])
}

/// The document with another text between the markers.
pub fn replace(document: &str, name: &str, text: &str) -> Result<String> {
    let (start, end) = bounds(document, name)?;
    Ok(format!("{}\n{}\n\n{}", &document[..start], text.trim(), &document[end..]))
}

fn bounds(document: &str, name: &str) -> Result<(usize, usize)> {
    const END: &str = "<!-- /measured -->";
    let marker = format!("<!-- measured: {name} -->\n");
    let start = document.find(&marker).ok_or_else(|| format!("no marker {}", marker.trim()))?;
    let start = start + marker.len();
    let length = document[start..].find(END).ok_or_else(|| format!("{name} has no {END}"))?;
    Ok((start, start + length))
}

/// The day of a recorded section, after `Last run, on `.
pub fn day(section: &str) -> Option<&str> {
    section.split_once("Last run, on ")?.1.split(':').next()
}

/// The size of a recorded run, such as `15 rounds`: the end of its first line.
pub fn size(section: &str) -> Option<&str> {
    let line = section.split_once("Last run, on ")?.1.lines().next()?;
    Some(line.trim_end_matches('.').rsplit_once("; ")?.1)
}

/// A figure of a section: the cell of the row that begins with these cells, in the column of this name. A spread is left
/// out. `None` if no table has it.
pub fn figure<'a>(section: &'a str, row: &[&str], column: &str) -> Option<&'a str> {
    let mut header: Vec<&str> = Vec::new();
    for line in section.lines() {
        let Some(cells) = cells(line) else {
            header.clear();
            continue;
        };
        if header.is_empty() {
            header = cells;
        } else if cells.starts_with(row)
            && let Some(place) = header.iter().position(|name| *name == column)
        {
            let cell = cells.get(place)?.split(" ± ").next()?;
            return Some(cell).filter(|cell| !cell.is_empty());
        }
    }
    None
}

fn cells(line: &str) -> Option<Vec<&str>> {
    let line = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(line.split('|').map(str::trim).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "text\n<!-- measured: one -->\nold\n<!-- /measured -->\nmore\n\
        <!-- measured: two -->\n<!-- /measured -->\nend\n";

    #[test]
    fn a_section_is_replaced_alone() {
        let replaced = replace(DOCUMENT, "two", "| a |\n").expect("a section");
        assert_eq!(section(&replaced, "two").expect("a section"), "\n| a |\n\n");
        assert_eq!(section(&replaced, "one").expect("a section"), "old\n");
        assert!(replaced.starts_with("text\n") && replaced.ends_with("end\n"), "{replaced}");
        // It does not grow.
        assert_eq!(replace(&replaced, "two", "| a |\n").expect("a section"), replaced);
        assert!(replace(DOCUMENT, "three", "").is_err());
        assert!(section("<!-- measured: one -->\nold", "one").is_err());
    }

    #[test]
    fn figures_are_found_by_row_and_column() {
        let section = "Last run, on 1 May 2026: a machine.\n\n| body | client | CPU |\n|---|---|--:|\n\
            | 1 KB | bare | 75.7 ± 11 % |\n| 1 KB | octowire | 89.4 ± 2 % |\n\n\
            | client | 16 |\n|---|--:|\n| octowire | 25974 |\n";
        assert_eq!(day(section), Some("1 May 2026"));
        assert_eq!(figure(section, &["1 KB", "octowire"], "CPU"), Some("89.4"));
        assert_eq!(figure(section, &["octowire"], "16"), Some("25974"));
        assert_eq!(figure(section, &["1 KB", "octowire"], "16"), None);
        assert_eq!(figure(section, &["10 KB"], "CPU"), None);
    }
}

//! The table of attacks in `docs/attacks.md` names tests that exist.

use crate::sources;

#[test]
fn each_attack_in_the_table_names_a_test_that_exists() {
    let table = sources::text("docs/attacks.md");
    let rows: Vec<_> = table
        .lines()
        .filter(|line| {
            line.starts_with('|') && !line.starts_with("|---") && !line.contains("| Test |")
        })
        .collect();
    assert!(rows.len() > 40, "{} rows", rows.len());
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        let [_attack, _first, _now, test] = cells[..] else { panic!("four cells: {row}") };
        let named = test.trim().trim_matches('`').split_once("`<br>`");
        let (file, name) = named.unwrap_or_else(|| panic!("a file and a test: {row}"));
        let source = sources::text(file);
        let before = source.split_once(&format!("fn {name}(")).map(|(before, _)| before);
        // The macros of `proptest!` have the attribute as well.
        let is_test = before.is_some_and(|before| {
            let attributes = before.rsplit("\n\n").next().unwrap_or_default();
            attributes.contains("#[test]") || attributes.contains("#[tokio::test")
        });
        assert!(is_test, "{file} has no test {name}");
    }
}

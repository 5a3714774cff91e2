//! `openapi/index.txt` lists the operations from which the library is generated.

use octowire_refresh::index::{COMMAND, FILE, differences};
use octowire_refresh::refresh::index_of;

use crate::support::root;

#[test]
fn the_index_is_that_of_the_vendored_document() {
    let path = root().join("openapi").join(FILE);
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let expected = index_of(&root()).unwrap();
    let lines = expected.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
    println!("index: {lines} operations and webhooks");
    assert!(
        there == expected,
        "openapi/{FILE} is not that of the document and the overlay. Write it again with\n\n    \
         {COMMAND}\n\nand look at its diff. It begins with:\n{}",
        differences(&there, &expected, 12).join("\n")
    );
}

#[test]
fn index_changes_are_shown_as_a_diff() {
    let there = "# preface\na/b  GET /a\nc/d  GET /c  200\n";
    let expected = "# preface\nc/d  GET /c  200 404\ne/f  GET /e\n";
    let differences = |most| differences(there, expected, most);
    assert_eq!(
        differences(9),
        ["- a/b  GET /a", "- c/d  GET /c  200", "+ c/d  GET /c  200 404", "+ e/f  GET /e"]
    );
    assert_eq!(differences(1), ["- a/b  GET /a"]);
}

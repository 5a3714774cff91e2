//! `openapi/index.txt` lists the operations from which the library is generated, and `openapi/corrections.json` has the
//! corrections that the build applies.

use std::sync::LazyLock;

use octowire_codegen::corrections;
use octowire_refresh::index::{COMMAND, FILE, differences};
use octowire_refresh::refresh::{DerivedFiles, derived_of};

use crate::support::{corrected, overlay, root};

static DERIVED: LazyLock<DerivedFiles> = LazyLock::new(|| derived_of(&root()).unwrap());

#[test]
fn the_index_is_that_of_the_vendored_document() {
    let path = root().join("openapi").join(FILE);
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let expected = &DERIVED.index;
    let lines = expected.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
    println!("index: {lines} operations and webhooks");
    assert!(
        there == *expected,
        "openapi/{FILE} is not that of the document and the overlay. Write it again with\n\n    \
         {COMMAND}\n\nand look at its diff. It begins with:\n{}",
        differences(&there, expected, 12).join("\n")
    );
}

#[test]
fn the_corrections_are_those_of_the_overlay() {
    let path = root().join("openapi").join(corrections::FILE);
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == DERIVED.corrections,
        "{} is not that of the document and the overlay. Write it again with\n\n    {COMMAND}",
        path.display()
    );
}

#[test]
fn a_build_corrects_the_document_as_the_overlay_does() {
    let folder = root().join("openapi");
    let mut document = octowire_codegen::load::load(&folder.join("api.github.com.json")).unwrap();
    corrections::apply(&mut document, &corrections::read(&folder).unwrap()).unwrap();
    // With the order of the properties.
    let (built, evaluated) = (document.to_string(), corrected(&overlay()).document.to_string());
    assert!(built == evaluated);
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

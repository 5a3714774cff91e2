//! Which `number`s of the vendored document are integers. `numbers.tsv` has them all, so that a
//! refresh shows new ones.

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs};

use serde_json::{Value, json};

use crate::documents::vendored;
use octowire_codegen::document::pointer;
use octowire_codegen::normalize::is_integer;

/// The place of each `number` and its meaning.
fn numbers(value: &Value, at: &str, found: &mut BTreeMap<String, &'static str>) {
    if value["type"] == "number" {
        found.insert(at.to_owned(), if is_integer(value, at) { "integer" } else { "number" });
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                // A value, and no schema.
                if !["example", "examples", "default", "enum"].contains(&key.as_str()) {
                    numbers(value, &format!("{at}{}", pointer(&[key])), found);
                }
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                numbers(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn the_numbers_of_the_vendored_document_are_those_of_the_table() {
    let mut found = BTreeMap::new();
    numbers(&vendored(), "", &mut found);
    let now: String = found.iter().map(|(at, of)| format!("{of}\t{at}\n")).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stages/numbers.tsv");
    if env::var_os("OCTOWIRE_UPDATE_NUMBERS").is_some() {
        fs::write(&path, &now).expect("the table");
    }
    let table = fs::read_to_string(&path).unwrap_or_default();
    let missing = |of: &str, from: &str| -> Vec<String> {
        let lines = of.lines().filter(|line| !from.lines().any(|other| other == *line));
        lines.map(str::to_owned).collect()
    };
    let (new, gone) = (missing(&now, &table), missing(&table, &now));
    assert!(
        new.is_empty() && gone.is_empty(),
        "look whether each is an integer, and then run the test with OCTOWIRE_UPDATE_NUMBERS=1\n\
         new: {new:#?}\ngone: {gone:#?}"
    );
    println!("{} numbers, {} of them integers", found.len(), now.matches("integer\t").count());
}

#[test]
fn a_number_is_an_integer_by_its_name_unless_the_description_has_a_fraction() {
    let at = |name: &str| format!("/components/schemas/a/properties/{name}");
    let plain = json!({ "type": "number" });
    for name in ["id", "run_id", "number", "total_count", "size", "start_line", "end_column"] {
        assert!(is_integer(&plain, &at(name)), "{name}");
    }
    for name in ["duration", "score", "percentage", "price", "amount", "minutes", "grid", "value"] {
        assert!(!is_integer(&plain, &at(name)), "{name}");
    }
    assert!(is_integer(&plain, &at("ids/items")));
    assert!(!is_integer(&plain, "/components/schemas/id"));
    for (key, value) in
        [("example", json!(0.5)), ("default", json!(1.5)), ("enum", json!([1, 2.5]))]
    {
        assert!(!is_integer(&json!({ "type": "number", key: value }), &at("size")), "{key}");
    }
    assert!(is_integer(&json!({ "type": "number", "example": 7.0, "minimum": 1 }), &at("id")));
}

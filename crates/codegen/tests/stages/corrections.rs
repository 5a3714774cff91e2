//! Part of stage `overlay`: what a build reads of the overlay. The tests of the overlay compare the effects of both.

use serde_json::{Value, json};

use crate::support::{assert_contains, fails, ok, openapi};
use octowire_codegen::corrections::{Correction, apply, parse, read, render};
use octowire_codegen::type_names::TypeNames;
use octowire_codegen::{Result, overlay};

const OVERLAY: &str = "overlay: 1.0.0\nactions: []\n";

/// The file with the corrections and without names.
fn rendered(corrections: &[Correction]) -> String {
    render(corrections, &TypeNames::default(), OVERLAY)
}

/// The corrections, written and read again, applied to a document.
fn corrected(mut document: Value, corrections: &[Correction]) -> Result<Value> {
    apply(&mut document, &parse(&rendered(corrections), OVERLAY)?)?;
    Ok(document)
}

fn update(at: &[&str], update: Value) -> Correction {
    Correction { update: Some(update), at: at.iter().map(ToString::to_string).collect() }
}

fn removal(at: &[&str]) -> Correction {
    Correction { update: None, at: at.iter().map(ToString::to_string).collect() }
}

#[test]
fn corrections_apply_in_order_to_all_their_parts() {
    let document = json!({ "a": { "x": 1, "y": [1, 2, 3] }, "b/c": {} });
    let corrections = [
        update(&["/a", "/b~1c"], json!({ "n": null, "z": 5 })),
        removal(&["/a/y/2", "/a/y/0", "/a/x"]),
        update(&["/a/y"], json!(4)),
    ];
    let expected = r#"{"a":{"y":[2,4],"n":null,"z":5},"b/c":{"n":null,"z":5}}"#;
    assert_eq!(ok(corrected(document, &corrections)).to_string(), expected);
}

#[test]
fn each_correction_is_a_line_of_the_file() {
    let text = rendered(&[update(&["/a"], json!({ "n": 1 })), removal(&["/b", "/c"])]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[2..5],
        [r#""corrections": ["#, r#"{"update":{"n":1},"at":["/a"]},"#, r#"{"at":["/b","/c"]}"#]
    );
}

#[test]
fn each_name_is_a_line_of_the_file_and_read_as_it_was() {
    let overlay = json!({
        "overlay": "1.0.0", "actions": [],
        "x-octowire-types": [
            { "name": "SortInput", "values": ["asc", "desc"], "request": true },
            { "name": "Owner", "of": "SimpleUser" },
        ],
        "x-octowire-variants": { "Content": { "Array": "Directory" }, "Label": { "String": "Name" } },
    });
    let names = ok(overlay::parse(&overlay.to_string())).type_names();
    let text = render(&[], &names, OVERLAY);
    for line in [
        "\n{\"name\":\"SortInput\",\"values\":[\"asc\",\"desc\"],\"request\":true},\n",
        "\n{\"name\":\"Owner\",\"of\":[\"SimpleUser\"]}\n",
        "\n\"Content\":{\"Array\":\"Directory\"},\n\"Label\":{\"String\":\"Name\"}\n",
    ] {
        assert_contains(&text, line);
    }
    assert_eq!(ok(parse(&text, OVERLAY)).type_names(), names);
}

#[test]
fn a_part_that_the_description_lacks_is_named_with_the_command() {
    let document = json!({ "a": [1], "b": {}, "c": 1 });
    for missing in ["/x", "/a/1", "/a/x", "/b/x", "/c/x", "x"] {
        for correction in [removal(&["/c", missing]), update(&["/b", missing], json!({ "n": 1 }))] {
            let corrections = [update(&["/b"], json!({ "n": 1 })), correction];
            let result = corrected(document.clone(), &corrections);
            let message = fails(result, "overlay", "/corrections/1");
            assert_contains(&message, &format!("no {missing}"));
            assert_contains(&message, "./scripts/refresh-openapi.sh --index");
        }
    }
}

#[test]
fn corrections_of_another_overlay_are_rejected() {
    let text = rendered(&[]);
    let message = fails(parse(&text, "overlay: 1.0.0\nactions: [ ]\n"), "overlay", "/overlay");
    assert_contains(&message, "overlay.yaml, which has changed");
    assert_contains(&message, "./scripts/refresh-openapi.sh --index");
    // A checkout on Windows can add carriage returns.
    ok(parse(&text, &OVERLAY.replace('\n', "\r\n")));
}

#[test]
fn an_invalid_file_is_rejected() {
    for text in ["", "[]", "{}", r#"{ "overlay": "", "corrections": [{ "remove": [] }] }"#] {
        let message = fails(parse(text, OVERLAY), "overlay", "");
        assert_contains(&message, "invalid corrections.json");
        assert_contains(&message, "./scripts/refresh-openapi.sh --index");
    }
    let absent = openapi().join("absent");
    assert_contains(fails(read(&absent), "overlay", ""), "absent");
}

#[test]
fn our_corrections_are_valid() {
    let ours = ok(overlay::read(&openapi().join(overlay::FILE))).type_names();
    let mut read = ok(read(&openapi())).type_names();
    // With further names of each type.
    for (read, ours) in read.types.iter_mut().zip(&ours.types) {
        read.of.truncate(ours.of.len());
    }
    assert_eq!(read, ours);
}

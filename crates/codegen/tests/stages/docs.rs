//! Stage 10: GitHub's Markdown as rustdoc takes it.

use serde_json::json;

use crate::support::{assert_contains, ok, with_parameters, with_response, written};
use crate::write::{flaw, parsed};

/// The lines that a description becomes on a property.
fn documented(text: &str) -> Vec<String> {
    let object = json!({ "type": "object", "properties": {
        "marker": { "type": "integer", "description": text },
    } });
    let source = ok(written(&with_response(object, json!({}))));
    parsed(&source);
    let (before, _) = source.split_once("    pub marker:").expect("the property");
    let lines: Vec<&str> = before.lines().collect();
    let first = lines.iter().rposition(|line| !line.starts_with("    ///")).map_or(0, |n| n + 1);
    let without = |line: &&str| {
        let line = line.trim_start().trim_start_matches("///");
        line.strip_prefix(' ').unwrap_or(line).to_owned()
    };
    lines[first..].iter().map(without).collect()
}

#[test]
fn plain_text_stays_as_it_is() {
    assert_eq!(documented("Its name.\n\nAnd *more*."), ["Its name.", "", "And *more*."]);
}

#[test]
fn html_is_escaped_outside_of_code() {
    assert_eq!(documented("An <id> of `Vec<T>`."), ["An \\<id\\> of `Vec<T>`."]);
}

#[test]
fn intra_doc_link_syntax_is_escaped() {
    assert_eq!(documented("A [list] of `[x]`."), ["A \\[list] of `[x]`."]);
    let link = "See [the docs](https://docs.github.com/a).";
    assert_eq!(documented(link), [link]);
}

#[test]
fn links_on_githubs_own_site_are_made_absolute() {
    assert_eq!(
        documented("See [the docs](/rest/issues)."),
        ["See [the docs](https://docs.github.com/rest/issues)."]
    );
}

#[test]
fn bare_urls_become_links() {
    assert_eq!(documented("At https://a.b/c."), ["At <https://a.b/c>."]);
    assert_eq!(documented("At <https://a.b/c>.").len(), 1);
    assert_eq!(documented("`https://a.b/c`"), ["`https://a.b/c`"]);
}

#[test]
fn an_autolink_stays_one() {
    let shown = documented("At <https://a.b/c>.").remove(0);
    assert!(!shown.contains("\\<"), "{shown}");
}

#[test]
fn callouts_are_named() {
    for (marker, name) in
        [("NOTE", "Note"), ("WARNING", "Warning"), ("IMPORTANT", "Important"), ("TIP", "Tip")]
    {
        let shown = documented(&format!("> [!{marker}]\n> Mind this.")).join(" ");
        assert_contains(&shown, &format!("**{name}:**"));
        assert_contains(&shown, "Mind this.");
    }
}

#[test]
fn code_is_never_taken_for_a_doc_test() {
    assert_eq!(documented("```\nlet x: [u8; <n>];\n```"), ["```text", "let x: [u8; <n>];", "```"]);
    assert_eq!(documented("```json\n{}\n```"), ["```text", "{}", "```"]);
    assert_eq!(documented("Text:\n\n        four spaces")[2], "   four spaces");
    assert_eq!(documented("Text:\n\n\ttab")[2].trim_start(), "tab");
}

#[test]
fn code_that_is_not_closed_is_closed() {
    assert_eq!(documented("```\ncode"), ["```text", "code", "```"]);
    assert_eq!(documented("A ` alone."), ["A \\` alone."]);
}

/// Texts that a comment, a string or an attribute might end at.
const ODD_TEXTS: [&str; 12] = [
    "a\rb",
    "a\r\nb",
    "*/ fn x() {}",
    "a\"b",
    "\\",
    "\u{2028}a",
    "a\u{b}b",
    "\0",
    "a\nb",
    "{}",
    "/",
    "\r",
];

#[track_caller]
fn stays_inside(change: impl Fn(&mut serde_json::Value, &str)) {
    let mut flaws = Vec::new();
    for text in ODD_TEXTS {
        let mut given =
            with_parameters("/a", json!([{ "name": "x", "in": "query", "schema": {} }]));
        given["paths"]["/a"]["get"]["deprecated"] = json!(true);
        change(&mut given["paths"]["/a"]["get"], text);
        flaws.extend(flaw(&written(&given)).map(|why| format!("{text:?}: {why}")));
    }
    assert!(flaws.is_empty(), "{flaws:#?}");
}

#[test]
fn a_description_cannot_leave_its_comment() {
    stays_inside(|get, text| get["description"] = json!(text));
    stays_inside(|get, text| get["summary"] = json!(text));
    stays_inside(|get, text| get["parameters"][0]["description"] = json!(text));
}

#[test]
fn an_address_cannot_leave_its_comment_or_attribute() {
    stays_inside(|get, text| get["externalDocs"] = json!({ "url": text }));
}

#[test]
fn an_operation_without_a_summary_has_no_lone_dot() {
    let source = ok(written(&with_parameters("/a", json!([]))));
    let dot = source.lines().find(|line| line.trim() == "/// .");
    assert_eq!(dot, None);
}

//! Values that parameters of the vendored description accept beyond their types.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::documents::vendored;
use crate::support::ok;
use octowire_codegen::document::{operations, resolve};
use octowire_codegen::operations::{Text, describe, resolved_parameters};

/// The names of parameters that stand for this.
fn called(text: Text) -> BTreeSet<String> {
    let operations = ok(describe(&vendored()));
    let parameters = operations.into_iter().flat_map(|operation| operation.parameters);
    parameters.filter(|parameter| parameter.text == text).map(|parameter| parameter.name).collect()
}

#[test]
fn parameters_in_the_search_syntax_of_dates_are_known() {
    let expected = ["created", "modified", "published", "updated"].map(str::to_owned);
    assert_eq!(called(Text::TimeRange), BTreeSet::from(expected));
}

#[test]
fn parameters_that_are_a_list_in_one_text_are_known() {
    let lists = called(Text::List);
    for name in ["labels", "severity", "state", "affects", "cwes", "fields", "has", "targets"] {
        assert!(lists.contains(name), "{name}: {lists:?}");
    }
    assert!(!lists.contains("q") && !lists.contains("sort"), "{lists:?}");
}

#[test]
fn no_parameter_has_a_format_that_its_words_contradict() {
    let document = vendored();
    let mut found = BTreeSet::new();
    for located in operations(&document) {
        for parameter in ok(resolved_parameters(&document, located)) {
            let schema = ok(resolve(&document, &parameter["schema"], "test", ""));
            let words = parameter["description"].as_str().unwrap_or_default();
            let format = schema["format"].as_str();
            let is_text = schema["type"] == "string";
            let wrong = is_text
                && (words.contains("#query-for-dates") && format.is_some()
                    || words.contains("ISO 8601") && format != Some("date-time")
                    || words.contains("`YYYY-MM-DD` format") && format != Some("date"));
            if wrong {
                found.insert(format!("{} {}: {format:?}", located.id(), parameter["name"]));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_parameter_lacks_a_value_that_its_words_name_in_a_list() {
    // `a`, `b` or `c` of the words of a parameter that has `a` and `b`.
    let document = vendored();
    let mut found = BTreeSet::new();
    for located in operations(&document) {
        for parameter in ok(resolved_parameters(&document, located)) {
            let schema = ok(resolve(&document, &parameter["schema"], "test", ""));
            let Some(values) = schema["enum"].as_array() else { continue };
            let words = parameter["description"].as_str().unwrap_or_default();
            let Some((_, rest)) = words.split_once("Set to ") else { continue };
            let sentence = rest.split(" to ").next().unwrap_or_default();
            for value in sentence.split(['`', ',', ' ']).filter(|word| !word.is_empty()) {
                let is_known = values.iter().filter_map(Value::as_str).any(|known| known == value);
                if !is_known && value != "or" {
                    found.insert(format!("{} {}: {value}", located.id(), parameter["name"]));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

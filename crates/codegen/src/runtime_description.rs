//! The description as the library embeds it, for the features that use it at run time: all operations,
//! regardless of the enabled tags, without texts.

use serde_json::{Map, Value};

/// Names the first of several examples, since a sorted map does not keep the order.
const FIRST: &str = "x-octowire-first-example";

/// The maximum page length that a `per_page` parameter allows.
const MAX_PAGE_ITEMS: &str = "x-octowire-max-per-page";

/// The texts of a schema or an operation.
const PROSE: [&str; 3] = ["description", "summary", "title"];

/// The description as compact JSON.
pub fn runtime_description(document: &Value) -> String {
    let mut document = document.clone();
    strip(&mut document, false);
    document.to_string()
}

/// `names`: the keys are names, as of properties, and not keywords.
fn strip(value: &mut Value, names: bool) {
    match value {
        Value::Object(map) => {
            if !names {
                note_max_page_items(map);
                map.retain(|key, value| !(PROSE.contains(&key.as_str()) && value.is_string()));
                name_first(map);
            }
            for (key, value) in map.iter_mut() {
                // The content of an example is data.
                if names || !matches!(key.as_str(), "example" | "examples" | "default" | "enum") {
                    strip(value, key == "properties" && !names);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| strip(item, false)),
        _ => {}
    }
}

/// Names the first example of a media type.
fn name_first(map: &mut Map<String, Value>) {
    let examples = map.get("examples").and_then(Value::as_object);
    if let Some(first) = examples.and_then(|examples| examples.keys().next()).cloned() {
        map.insert(FIRST.to_owned(), Value::String(first));
    }
}

/// Keeps the maximum page length, which the description contains only in a text.
fn note_max_page_items(map: &mut Map<String, Value>) {
    if map.get("name").and_then(Value::as_str) != Some("per_page") {
        return;
    }
    let described = map.get("description").and_then(Value::as_str).unwrap_or_default();
    let longest = described.split_once("(max ").and_then(|(_, rest)| rest.split(')').next());
    if let Some(longest) = longest.and_then(|number| number.parse::<u64>().ok()) {
        map.insert(MAX_PAGE_ITEMS.to_owned(), longest.into());
    }
}

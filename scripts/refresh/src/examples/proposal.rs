//! Overlay actions, in the format of `overlay.yaml`, for a maintainer to accept.

use serde_json::{Value, json};
use serde_json_path::JsonPath;

use super::check::{Side, Violation, Wrong};

/// Maximum number of examples in a description.
const NAMED: usize = 3;

/// Line width of the overlay.
const WIDTH: usize = 118;

/// A location where examples do not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub wrong: Wrong,
    pub side: Side,
    /// The JSON pointer to the schema.
    pub schema: String,
    /// The location in the value, for the first example.
    pub path: String,
    /// The examples, in the overlay's notation.
    pub evidence: Vec<String>,
}

/// An overlay action.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    pub target: String,
    why: String,
    /// `None` to remove the target.
    pub update: Option<Value>,
}

impl Proposal {
    pub fn new(violation: &Violation, side: Side) -> Self {
        let Violation { wrong, schema, path } = violation.clone();
        Self { wrong, side, schema, path, evidence: Vec::new() }
    }

    /// The actions; none if a maintainer has to decide.
    pub fn actions(&self, document: &Value) -> Vec<Action> {
        let target = json_path(&self.schema);
        let what = if self.side == Side::Read { "responses" } else { "requests" };
        let update = |target: String, why: String, update: Value| {
            vec![Action { target, why, update: Some(update) }]
        };
        match &self.wrong {
            Wrong::Missing(name) => vec![Action {
                target: format!("{target}.required[?@ == {}]", quoted(name)),
                why: format!("Required, yet {what} lack `{name}`."),
                update: None,
            }],
            Wrong::Null => {
                let why = format!("Not nullable, yet null in {what}.");
                update(target, why, json!({ "nullable": true }))
            }
            Wrong::Format => vec![Action {
                target: format!("{target}.format"),
                why: format!("Not always of this format in {what}."),
                update: None,
            }],
            Wrong::Value(value) => {
                let why = format!("Not among the values, yet `{value}` is sent.");
                update(format!("{target}.enum"), why, json!(value))
            }
            Wrong::Unnamed { name, of } => {
                let why = format!("Not a property by the schema, yet `{name}` is sent.");
                update(format!("{target}.properties"), why, json!({ name: { "type": of } }))
            }
            Wrong::Type { expected, actual } => {
                self.either(document, &target, expected, actual).unwrap_or_default()
            }
        }
    }

    /// One type or the other, if the existing one is a reference or a scalar.
    fn either(
        &self,
        document: &Value,
        target: &str,
        expected: &str,
        actual: &str,
    ) -> Option<Vec<Action>> {
        if matches!(actual, "array" | "object") {
            return None;
        }
        let schema = document.pointer(&self.schema)?;
        let (goes, variant) = match schema.get("$ref") {
            Some(reference) => ("['$ref']", json!({ "$ref": reference })),
            None if matches!(expected, "array" | "object") => return None,
            None if schema.get("enum").is_some() => return None,
            None => (".type", json!({ "type": schema.get("type")? })),
        };
        let which =
            |of: &str| format!("{} {of}", if of.starts_with(['a', 'i', 'o']) { "an" } else { "a" });
        Some(vec![
            Action {
                target: format!("{target}{goes}"),
                why: format!(
                    "By the schema {}, yet {} in examples. The next action allows both.",
                    which(expected),
                    which(actual)
                ),
                update: None,
            },
            Action {
                target: target.to_owned(),
                why: format!("Either {} or {}.", which(expected), which(actual)),
                update: Some(json!({ "oneOf": [variant, { "type": actual }] })),
            },
        ])
    }

    fn cited(&self) -> String {
        let (named, more) = self.evidence.split_at(NAMED.min(self.evidence.len()));
        let word = if self.evidence.len() == 1 { "Example" } else { "Examples" };
        let more = match more.len() {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        format!("{word}: {}{more}.", named.join(", "))
    }
}

/// The beginning of the proposals' file.
const PREFACE: &str = "\
# Proposed for openapi/overlay.yaml: examples of the document which do not fit its schemas.
#
# Look at each. If the example is right, move the action to its place among the others. If the example is wrong
# itself, put it on the list in tests/examples/broken.rs (for a request, crates/codegen/tests/stages/documents/broken.rs),
# with the reason. A schema that many operations share is loosened for all of them.
overlay: 1.0.0
info:
  title: \"Proposed corrections\"
  version: \"1\"
actions:
";

/// The proposals as the text of an overlay. `editions` are the corrected descriptions that were published
/// together.
pub fn render(proposals: &[Proposal], document: &Value, versions: &[(String, Value)]) -> String {
    let mut text = PREFACE.to_owned();
    let mut none = true;
    for proposal in proposals {
        let actions = proposal.actions(document);
        none &= actions.is_empty();
        if actions.is_empty() {
            text.push_str(&by_hand(proposal));
        }
        for action in actions {
            text.push_str(&written(&action, &proposal.cited(), versions));
        }
    }
    // An empty list would be `null` in YAML.
    if none { text.replacen("\nactions:\n", "\nactions: []\n", 1) } else { text }
}

fn written(action: &Action, cited: &str, versions: &[(String, Value)]) -> String {
    let mut text = format!(
        "\n  - target: {}\n    description: >-\n{}",
        target(&action.target),
        wrapped(&format!("{} {cited}", action.why), "      ")
    );
    match &action.update {
        None => text.push_str("    remove: true\n"),
        Some(update) => text.push_str(&format!("    update:{}\n", yaml(update, 6))),
    }
    let matches = |document: &Value| {
        JsonPath::parse(&action.target).is_ok_and(|path| !path.query(document).is_empty())
    };
    let those: Vec<&str> = versions
        .iter()
        .filter(|(_, document)| matches(document))
        .map(|(name, _)| name.as_str())
        .collect();
    if versions.len() == 1 || those.len() < versions.len() {
        text.push_str(&format!("    x-octowire-expected-in: [{}]\n", those.join(", ")));
    }
    text
}

/// Deviations that an action alone cannot express.
fn by_hand(proposal: &Proposal) -> String {
    let Proposal { wrong, schema, path, .. } = proposal;
    let what = match wrong {
        Wrong::Type { expected, actual } => format!("{path} is of type {actual}, not {expected}"),
        other => format!("{path}: {other:?}"),
    };
    let text = format!(
        "No action is proposed, since the example may be wrong, or a schema is to be chosen: \
         {what} ({schema}). {}",
        proposal.cited()
    );
    format!("\n{}", wrapped(&text, "  # "))
}

/// A target in double quotes, on two lines if it is long.
fn target(path: &str) -> String {
    let text = json!(path).to_string();
    let room = WIDTH - "  - target: ".len();
    if text.chars().count() <= room {
        return text;
    }
    let at =
        text.char_indices().take(room).filter(|(at, c)| matches!(c, '.' | '[') && *at > 2).last();
    match at {
        Some((at, _)) => format!("{}\\\n      {}", &text[..at], &text[at..]),
        None => text,
    }
}

fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let width = indent.len() + lines[last].chars().count() + 1 + word.chars().count();
        match lines[last].as_str() {
            "" => lines[last].push_str(word),
            _ if width > WIDTH => lines.push(word.to_owned()),
            _ => lines[last] = format!("{} {word}", lines[last]),
        }
    }
    lines.iter().map(|line| format!("{indent}{line}\n")).collect()
}

/// A small value in YAML's block style.
fn yaml(value: &Value, indent: usize) -> String {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                format!("\n{:indent$}{}:{}", "", key_text(key), yaml(value, indent + 2))
            })
            .collect(),
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                // Of one property each.
                Value::Object(map) => map
                    .iter()
                    .map(|(key, value)| {
                        format!(
                            "\n{:indent$}- {}:{}",
                            "",
                            key_text(key),
                            yaml(value, indent + 4),
                            indent = indent - 2
                        )
                    })
                    .collect(),
                other => format!("\n{:indent$}- {other}", "", indent = indent - 2),
            })
            .collect(),
        Value::String(text) if is_plain(text) => format!(" {text}"),
        other => format!(" {other}"),
    }
}

fn key_text(key: &str) -> String {
    if is_plain(key) { key.to_owned() } else { json!(key).to_string() }
}

/// Returns whether YAML parses it as this string without quotes.
fn is_plain(text: &str) -> bool {
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$'))
        && !words.contains(&text.to_lowercase().as_str())
}

/// Keys that precede names chosen by GitHub.
const NAMES: [&str; 7] =
    ["schemas", "properties", "paths", "responses", "content", "x-webhooks", "requestBodies"];

/// Converts a JSON pointer into the JSONPath of the overlay's targets.
pub fn json_path(pointer: &str) -> String {
    let mut path = "$".to_owned();
    let mut before = String::new();
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        let is_word = step.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && step.starts_with(|c: char| c.is_ascii_alphabetic());
        let is_name = NAMES.contains(&before.as_str());
        if !is_name && is_word {
            path.push_str(&format!(".{step}"));
        } else if !is_name && step.parse::<usize>().is_ok() {
            path.push_str(&format!("[{step}]"));
        } else {
            path.push_str(&format!("[{}]", quoted(&step)));
        }
        // A property can have the name `properties`.
        before = if is_name { String::new() } else { step };
    }
    path
}

/// A string of JSONPath.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_written_as_the_overlay_writes_targets() {
        for (pointer, path) in [
            ("/components/schemas/full-name", "$.components.schemas['full-name']"),
            (
                "/components/schemas/a/properties/properties/items/anyOf/1",
                "$.components.schemas['a'].properties['properties'].items.anyOf[1]",
            ),
            (
                "/paths/~1a~1{b}/get/responses/200/content/application~1json/schema",
                "$.paths['/a/{b}'].get.responses['200'].content['application/json'].schema",
            ),
        ] {
            assert_eq!(json_path(pointer), path);
            assert!(JsonPath::parse(path).is_ok(), "{path}");
        }
    }
}

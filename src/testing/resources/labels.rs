//! Labels, of a repository and of its issues.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::issues::set;
use super::{Repository, ResourceRequest, WireResponse};

impl Repository {
    pub(super) fn label_call(
        &mut self,
        call: &str,
        ask: &ResourceRequest<'_>,
    ) -> Option<WireResponse> {
        Some(match call {
            "list-labels-for-repo" => ask.list(self.labels.values().cloned().collect()),
            "create-label" => self.create_label(ask),
            "get-label" => match self.labels.get(&ask.parameter("name")?.to_lowercase()) {
                Some(label) => ask.reply(label),
                None => ask.not_found(),
            },
            "update-label" => self.update_label(ask.parameter("name")?, ask),
            "delete-label" => match self.labels.remove(&ask.parameter("name")?.to_lowercase()) {
                Some(label) => {
                    let name = label["name"].as_str().unwrap_or_default().to_owned();
                    for issue in self.issues.values_mut() {
                        remove_label(issue, &name);
                    }
                    ask.no_content()
                }
                None => ask.not_found(),
            },
            "list-labels-on-issue"
            | "add-labels"
            | "set-labels"
            | "remove-label"
            | "remove-all-labels" => self.labels_call(call, ask.number("issue_number")?, ask),
            _ => return None,
        })
    }

    /// A call for the labels of an issue.
    fn labels_call(&mut self, call: &str, number: u64, ask: &ResourceRequest<'_>) -> WireResponse {
        if !self.issues.contains_key(&number) {
            return ask.not_found();
        }
        // Labels that were only named become new ones of the repository.
        let given = match ask.body {
            Value::Array(_) => ask.body.clone(),
            Value::String(name) => json!([name]),
            body => body["labels"].clone(),
        };
        let mut labels = match self.labels_of(&given) {
            Value::Array(labels) => labels,
            _ => Vec::new(),
        };
        let Some(issue) = self.issues.get_mut(&number) else { return ask.not_found() };
        match call {
            "add-labels" => {
                let known: Vec<Value> =
                    issue["labels"].as_array().into_iter().flatten().cloned().collect();
                labels.retain(|label| known.iter().all(|known| known["name"] != label["name"]));
                let all: Vec<Value> = known.into_iter().chain(labels).collect();
                set(issue, "labels", all.into());
            }
            "set-labels" => set(issue, "labels", labels.into()),
            "remove-all-labels" => {
                set(issue, "labels", json!([]));
                return ask.no_content();
            }
            "remove-label" => {
                let name = ask.parameter("name").unwrap_or_default();
                if !remove_label(issue, name) {
                    return ask.not_found();
                }
            }
            _ => {
                let labels = issue["labels"].as_array().cloned().unwrap_or_default();
                return ask.list(labels);
            }
        }
        ask.reply(&issue["labels"])
    }

    fn create_label(&mut self, ask: &ResourceRequest<'_>) -> WireResponse {
        let name = ask.body["name"].as_str().unwrap_or_default().to_owned();
        if name.is_empty() {
            return ask.invalid("Label", "name", "missing_field");
        }
        if self.labels.contains_key(&name.to_lowercase()) {
            return ask.invalid("Label", "name", "already_exists");
        }
        let mut label = self.new_label(&name);
        copy(ask.body, &mut label, &["color", "description"]);
        self.labels.insert(name.to_lowercase(), label.clone());
        ask.created(&label)
    }

    fn update_label(&mut self, name: &str, ask: &ResourceRequest<'_>) -> WireResponse {
        let Some(mut label) = self.labels.get(&name.to_lowercase()).cloned() else {
            return ask.not_found();
        };
        let old = label["name"].as_str().unwrap_or_default().to_owned();
        let new = ask.body["new_name"].as_str().unwrap_or(&old).to_owned();
        if new.to_lowercase() != old.to_lowercase() && self.labels.contains_key(&new.to_lowercase())
        {
            return ask.invalid("Label", "name", "already_exists");
        }
        set(&mut label, "name", json!(new));
        set(&mut label, "url", json!(self.label_url(&new)));
        copy(ask.body, &mut label, &["color", "description"]);
        self.labels.remove(&old.to_lowercase());
        self.labels.insert(new.to_lowercase(), label.clone());
        for issue in self.issues.values_mut() {
            for known in issue["labels"].as_array_mut().into_iter().flatten() {
                if known["name"] == old {
                    *known = label.clone();
                }
            }
        }
        ask.reply(&label)
    }

    /// The named labels, as names or as objects; new ones become the repository's.
    pub(super) fn labels_of(&mut self, given: &Value) -> Value {
        let given = given.as_array().into_iter().flatten();
        let mut names: Vec<String> = Vec::new();
        for label in given {
            let name = label.as_str().or(label["name"].as_str()).unwrap_or_default();
            if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                names.push(name.to_owned());
            }
        }
        let labels = names.iter().map(|name| match self.labels.get(&name.to_lowercase()) {
            Some(known) => known.clone(),
            None => {
                let label = self.new_label(name);
                self.labels.insert(name.to_lowercase(), label.clone());
                label
            }
        });
        labels.collect()
    }

    fn label_url(&self, name: &str) -> String {
        self.url(&format!("labels/{}", utf8_percent_encode(name, NON_ALPHANUMERIC)))
    }

    fn new_label(&mut self, name: &str) -> Value {
        let mut label = self.examples.label.clone();
        let id = self.next_id();
        set(&mut label, "id", json!(id));
        set(&mut label, "name", json!(name));
        set(&mut label, "url", json!(self.label_url(name)));
        set(&mut label, "color", json!("ededed"));
        set(&mut label, "default", json!(false));
        set(&mut label, "description", Value::Null);
        label
    }
}

/// Removes a label from an issue, and returns whether it had it.
fn remove_label(issue: &mut Value, name: &str) -> bool {
    let Some(labels) = issue["labels"].as_array_mut() else { return false };
    let before = labels.len();
    labels.retain(|label| {
        !label["name"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name))
    });
    labels.len() < before
}

fn copy(from: &Value, to: &mut Value, names: &[&str]) {
    for name in names {
        if let Some(value) = from.get(*name) {
            set(to, name, value.clone());
        }
    }
}

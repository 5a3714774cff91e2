//! Issues.

use serde_json::{Value, json};

use super::{Repository, ResourceRequest, WireResponse};

impl Repository {
    pub(super) fn issue_call(
        &mut self,
        call: &str,
        ask: &ResourceRequest<'_>,
    ) -> Option<WireResponse> {
        Some(match call {
            "create" => self.create_issue(ask),
            "list-for-repo" => ask.list(self.list_issues(ask)),
            "get" => match self.issues.get(&ask.number("issue_number")?) {
                Some(issue) => ask.reply(issue),
                None => ask.not_found(),
            },
            "update" => self.update_issue(ask),
            "add-assignees" | "remove-assignees" => self.assign(call, ask),
            "lock" | "unlock" => match self.issues.get_mut(&ask.number("issue_number")?) {
                Some(issue) => {
                    set(issue, "locked", json!(call == "lock"));
                    ask.no_content()
                }
                None => ask.not_found(),
            },
            _ => return None,
        })
    }

    fn create_issue(&mut self, ask: &ResourceRequest<'_>) -> WireResponse {
        let title = title(&ask.body["title"]);
        if title.is_empty() {
            return ask.invalid("Issue", "title", "missing_field");
        }
        let (number, id) = (self.next_number(), self.next_id());
        let url = self.url(&format!("issues/{number}"));
        let mut issue = self.examples.issue.clone();
        let now = ask.now();
        set(&mut issue, "id", json!(id));
        set(&mut issue, "number", json!(number));
        set(&mut issue, "title", json!(title));
        set(&mut issue, "body", ask.body["body"].clone());
        set(&mut issue, "state", json!("open"));
        set(&mut issue, "state_reason", Value::Null);
        set(&mut issue, "locked", json!(false));
        set(&mut issue, "comments", json!(0));
        set(&mut issue, "closed_at", Value::Null);
        set(&mut issue, "closed_by", Value::Null);
        set(&mut issue, "created_at", now.clone());
        set(&mut issue, "updated_at", now);
        set(&mut issue, "html_url", json!(self.html_url(&format!("issues/{number}"))));
        for below in ["comments", "events"] {
            set(&mut issue, &format!("{below}_url"), json!(format!("{url}/{below}")));
        }
        set(&mut issue, "labels_url", json!(format!("{url}/labels{{/name}}")));
        set(&mut issue, "url", json!(url));
        if let Some(issue) = issue.as_object_mut() {
            // The example is also a pull request.
            issue.remove("pull_request");
            issue.remove("active_lock_reason");
        }
        self.set_details(&mut issue, ask.body, true);
        let reply = ask.created(&issue);
        self.issues.insert(number, issue);
        reply
    }

    fn update_issue(&mut self, ask: &ResourceRequest<'_>) -> WireResponse {
        let number = ask.number("issue_number").unwrap_or_default();
        let Some(mut issue) = self.issues.get(&number).cloned() else {
            return ask.not_found();
        };
        let body = ask.body;
        if body.get("title").is_some_and(|given| !given.is_null()) {
            let title = title(&body["title"]);
            if title.is_empty() {
                return ask.invalid("Issue", "title", "missing_field");
            }
            set(&mut issue, "title", json!(title));
        }
        if let Some(text) = body.get("body") {
            set(&mut issue, "body", text.clone());
        }
        if let Some(state) = body["state"].as_str() {
            let closed = state == "closed";
            if closed != (issue["state"] == "closed") {
                set(&mut issue, "closed_at", if closed { ask.now() } else { Value::Null });
                let reason = if closed { "completed" } else { "reopened" };
                set(&mut issue, "state_reason", json!(reason));
            }
            set(&mut issue, "state", json!(state));
        }
        if let Some(reason) = body.get("state_reason").filter(|reason| !reason.is_null()) {
            set(&mut issue, "state_reason", reason.clone());
        }
        set(&mut issue, "updated_at", ask.now());
        self.set_details(&mut issue, body, false);
        let reply = ask.reply(&issue);
        self.issues.insert(number, issue);
        reply
    }

    fn assign(&mut self, call: &str, ask: &ResourceRequest<'_>) -> WireResponse {
        let user = self.examples.issue["user"].clone();
        let number = ask.number("issue_number").unwrap_or_default();
        let Some(issue) = self.issues.get_mut(&number) else { return ask.not_found() };
        let logins =
            ask.body["assignees"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let logins: Vec<&str> = logins.collect();
        let is_named = |user: &Value| {
            user["login"]
                .as_str()
                .is_some_and(|is| logins.iter().any(|it| it.eq_ignore_ascii_case(is)))
        };
        let mut users = issue["assignees"].as_array().cloned().unwrap_or_default();
        users.retain(|user| !is_named(user));
        if call == "add-assignees" {
            users.extend(logins.iter().map(|login| named(&user, login)));
        }
        set(issue, "assignee", users.first().cloned().unwrap_or_default());
        set(issue, "assignees", users.into());
        set(issue, "updated_at", ask.now());
        ask.reply(issue)
    }

    /// Labels, assignees and the milestone: those in the body, or none for a new issue.
    fn set_details(&mut self, issue: &mut Value, body: &Value, new: bool) {
        if new || body.get("labels").is_some() {
            let labels = self.labels_of(&body["labels"]);
            set(issue, "labels", labels);
        }
        if new || body.get("assignees").is_some() || body.get("assignee").is_some() {
            let mut logins: Vec<&str> = body["assignees"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            logins.extend(body["assignee"].as_str().filter(|login| !login.is_empty()));
            let user = self.examples.issue["user"].clone();
            let users: Vec<Value> = logins.iter().map(|login| named(&user, login)).collect();
            set(issue, "assignee", users.first().cloned().unwrap_or_default());
            set(issue, "assignees", users.into());
        }
        if new || body.get("milestone").is_some() {
            let mut milestone = Value::Null;
            if let Some(number) = body["milestone"].as_u64() {
                milestone = self.examples.issue["milestone"].clone();
                set(&mut milestone, "number", json!(number));
            }
            set(issue, "milestone", milestone);
        }
    }

    fn list_issues(&self, ask: &ResourceRequest<'_>) -> Vec<Value> {
        let mut issues: Vec<&Value> =
            self.issues.values().filter(|issue| matches_filters(issue, ask)).collect();
        let text = |issue: &Value, name: &str| issue[name].as_str().unwrap_or_default().to_owned();
        match ask.query("sort") {
            Some("updated") => issues.sort_by_key(|issue| text(issue, "updated_at")),
            Some("comments") => issues.sort_by_key(|issue| issue["comments"].as_u64()),
            // They are in the order in which they were created.
            _ => {}
        }
        if ask.query("direction") != Some("asc") {
            issues.reverse();
        }
        issues.into_iter().cloned().collect()
    }
}

/// Returns whether an issue matches the filters of a list.
fn matches_filters(issue: &Value, ask: &ResourceRequest<'_>) -> bool {
    let state = ask.query("state").unwrap_or("open");
    let is_one_of = |asked: &str, is: Option<String>| match (asked, is) {
        ("*", is) => is.is_some(),
        ("none", is) => is.is_none(),
        (asked, is) => is.is_some_and(|is| is.eq_ignore_ascii_case(asked)),
    };
    let login = |user: &Value| user["login"].as_str().map(str::to_owned);
    let labels = ask.query("labels").into_iter().flat_map(|labels| labels.split(','));
    let mut labels = labels.filter(|label| !label.is_empty());
    let has = |label: &str| {
        let mut all = issue["labels"].as_array().into_iter().flatten();
        all.any(|known| known["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(label)))
    };
    (state == "all" || issue["state"] == state)
        && labels.all(has)
        && ask.is_recent(issue)
        && ask.query("creator").is_none_or(|asked| is_one_of(asked, login(&issue["user"])))
        && ask.query("assignee").is_none_or(|asked| {
            let users = issue["assignees"].as_array().map_or(&[][..], Vec::as_slice);
            match users {
                [] => is_one_of(asked, None),
                users => users.iter().any(|user| is_one_of(asked, login(user))),
            }
        })
        && ask.query("milestone").is_none_or(|asked| {
            is_one_of(asked, issue["milestone"]["number"].as_u64().map(|number| number.to_string()))
        })
}

/// The description allows a number for a title; GitHub returns it as text.
fn title(given: &Value) -> String {
    match given {
        Value::Number(number) => number.to_string(),
        title => title.as_str().unwrap_or_default().trim().to_owned(),
    }
}

/// A user with this login, and otherwise the data of the example.
fn named(user: &Value, login: &str) -> Value {
    let text = user.to_string().replace("octocat", login);
    serde_json::from_str(&text).unwrap_or_else(|_| user.clone())
}

pub(super) fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

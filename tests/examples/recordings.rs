//! Recorded responses of GitHub: every recorded success decodes into the type of its operation, each
//! union is read as the variant that its discriminator names, and nothing is lost.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{BufRead, BufReader};

use flate2::read::GzDecoder;
use serde_json::Value;

use octowire::types::{
    Event, EventPayload, IssueEventForIssue, ReposGetContentResponse, TimelineIssueEvents,
};

use crate::{Decoded, compare, decode};

/// A recorded exchange.
struct Recording {
    method: String,
    path: String,
    status: u64,
    year: u64,
    body: Value,
}

impl Recording {
    fn name(&self) -> String {
        format!("{} {} {} ({})", self.method, self.path, self.status, self.year)
    }
}

fn recordings() -> Vec<Recording> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/responses.jsonl.gz");
    let lines = BufReader::new(GzDecoder::new(std::fs::File::open(path).unwrap())).lines();
    let read = |line: std::io::Result<String>| {
        let mut line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        let (method, path) = (text("method"), text("path"));
        let (status, year) = (line["status"].as_u64().unwrap(), line["year"].as_u64().unwrap());
        Recording { method, path, status, year, body: line["body"].take() }
    };
    lines.map(read).collect()
}

/// Finds operations by path, as GitHub does; with the older paths that GitHub redirects to, or that it
/// writes in `Link` headers.
struct Routes(Vec<(String, Vec<String>, String)>);

impl Routes {
    fn new() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/api.github.com.json");
        let description: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let mut routes = Vec::new();
        for (path, item) in description["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap();
                routes.push((method.to_uppercase(), segments(path), id.to_owned()));
            }
        }
        Self(routes)
    }

    fn find(&self, method: &str, path: &str) -> Option<&str> {
        let path = path.split('?').next().unwrap_or_default();
        let mut given = segments(path);
        let first: Vec<&str> = given.iter().map(String::as_str).collect();
        let alias: Option<(&[&str], usize)> = match first.as_slice() {
            ["repositories", _, ..] => Some((&["repos", "owner", "repo"], 2)),
            ["organizations", _, "team", _, ..] => Some((&["orgs", "org", "teams", "team"], 4)),
            ["organizations", _, ..] => Some((&["orgs", "org"], 2)),
            ["user", id, _, ..] if id.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some((&["users", "username"], 2))
            }
            _ => None,
        };
        if let Some((to, instead_of)) = alias {
            given.splice(..instead_of, to.iter().map(|segment| (*segment).to_owned()));
        }
        let fitting =
            self.0.iter().filter(|(of, template, _)| of == method && fits(template, &given));
        // The one that is literal first.
        fitting
            .max_by_key(|(_, template, _)| {
                template.iter().map(|segment| !segment.contains('{')).collect::<Vec<_>>()
            })
            .map(|(.., id)| id.as_str())
    }
}

fn segments(path: &str) -> Vec<String> {
    path.trim_matches('/').split('/').map(str::to_owned).collect()
}

fn fits(template: &[String], given: &[String]) -> bool {
    // A path or a ref may have several segments.
    let open = ["{path}", "{ref}", "{basehead}", "{branch}"];
    let is_open = template.last().is_some_and(|last| open.contains(&last.as_str()));
    // The root of a repository has no path.
    let is_root = template.last().is_some_and(|last| last == "{path}");
    let lengths = template.len() == given.len()
        || is_open && template.len() < given.len()
        || is_root && template.len() == given.len() + 1;
    lengths
        && template.iter().zip(given).all(|(template, given)| {
            template == given || template.contains('{') && !given.is_empty()
        })
}

/// Paths that are not (or no longer) in the description, so that their responses have no type.
const UNDESCRIBED: &[(&str, &str)] = &[
    ("/projects", "Projects (classic) were removed from the API in 2025."),
    ("/orgs/hub4j-test-org/projects", "Projects (classic) were removed from the API in 2025."),
    ("/users/t0m4uk1991/projects", "Projects (classic) were removed from the API in 2025."),
    ("/authorizations", "The OAuth Authorizations API was removed in 2020."),
    ("/organizations/7544739/team/", "Team discussions were removed in 2025."),
    ("/orgs/hub4j-test-org/external-group", "It is described for Enterprise Cloud only."),
    (
        "/orgs/hub4j-test-org/teams/acme-developers/external-groups",
        "It is described for Enterprise Cloud only.",
    ),
    ("/git/refs", "The path of `git/get-ref` before 2020, which answers one or several refs."),
    ("/statuses/", "The path of `repos/list-commit-statuses-for-ref` before 2014."),
];

fn is_undescribed(path: &str) -> bool {
    UNDESCRIBED.iter().any(|(part, _)| path.contains(part))
}

/// Bodies that were edited by hand after they were recorded.
const EDITED: &[(&str, &str)] = &[];

#[test]
fn every_recorded_success_decodes_and_nothing_is_lost() {
    let routes = Routes::new();
    let (mut decoded, mut undescribed) = (0, 0);
    let mut failed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut lost: BTreeMap<String, usize> = BTreeMap::new();
    let mut unread: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for recording in recordings() {
        let is_json = recording.body.is_object() || recording.body.is_array();
        if !(200..300).contains(&recording.status) || !is_json {
            continue;
        }
        let operation = routes.find(&recording.method, &recording.path);
        let body = serde_json::to_vec(&recording.body).unwrap();
        let Some((operation, result)) = operation.and_then(|id| Some((id, decode(id, &body)?)))
        else {
            if !is_undescribed(&recording.path) {
                failed.entry("no operation".to_owned()).or_default().push(recording.name());
            }
            undescribed += 1;
            continue;
        };
        match result {
            Ok(Decoded { again, raw }) => {
                decoded += 1;
                if !raw.is_empty() {
                    unread.insert(format!("{operation} {}", recording.name()), raw);
                }
                compare::missing(&recording.body, &again, "$", &mut |path| {
                    *lost.entry(format!("{operation} {}", shape(path))).or_default() += 1;
                });
            }
            Err(error) => {
                if EDITED.iter().all(|(name, _)| *name != recording.name()) {
                    let reason = format!("{operation}: {error}");
                    let reason = reason.split(" at line").next().unwrap_or_default().to_owned();
                    failed.entry(reason).or_default().push(recording.name());
                }
            }
        }
    }
    println!("recorded successes decoded: {decoded}; without a description: {undescribed}");
    let failures: usize = failed.values().map(Vec::len).sum();
    assert!(failed.is_empty(), "{failures} do not decode: {failed:#?}");
    assert!(lost.is_empty(), "{} properties are lost: {lost:#?}", lost.len());
    assert!(unread.is_empty(), "unions are raw JSON: {unread:#?}");
    assert!(decoded >= 800, "only {decoded} were found");
}

/// The name of the variant of an event: `PushEvent` of `PushEvent(…)`.
fn variant(union: &impl Debug) -> String {
    format!("{union:?}").split('(').next().unwrap_or_default().to_owned()
}

#[test]
fn recorded_unions_decode_to_the_variant_of_their_constants() {
    let routes = Routes::new();
    let mut wrong: BTreeMap<String, usize> = BTreeMap::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut check = |union: &'static str, found: String, expected: &[String]| {
        *counts.entry(union).or_default() += 1;
        if !expected.contains(&found) {
            *wrong.entry(format!("{union}: {found} for {expected:?}")).or_default() += 1;
        }
    };
    for recording in recordings().into_iter().filter(|it| (200..300).contains(&it.status)) {
        let Some(operation) = routes.find(&recording.method, &recording.path) else { continue };
        let body = recording.body;
        match operation {
            id if id.starts_with("activity/") && id.contains("events") => {
                for event in serde_json::from_value::<Vec<Event>>(body).unwrap() {
                    let of = event.type_.clone().unwrap_or_default();
                    // Its payload is an empty object.
                    let expected = if of == "PublicEvent" { "Object".to_owned() } else { of };
                    check("EventPayload", variant(&event.payload), &[expected]);
                    if let EventPayload::PushEvent(push) = &event.payload {
                        assert!(push.ref_.starts_with("refs/"));
                    }
                }
            }
            "issues/list-events-for-timeline" => {
                for (event, of) in events::<TimelineIssueEvents>(body) {
                    check("TimelineIssueEvents", variant(&event), &expected(&of));
                }
            }
            "issues/list-events" => {
                for (event, of) in events::<IssueEventForIssue>(body) {
                    check("IssueEventForIssue", variant(&event), &expected(&of));
                }
            }
            "repos/get-content" => {
                let expected = match &body["type"] {
                    Value::String(of) if of == "file" => "File",
                    Value::String(of) if of == "symlink" => "Symlink",
                    Value::String(of) if of == "submodule" => "Submodule",
                    _ => "Directory",
                };
                let content: ReposGetContentResponse = serde_json::from_value(body).unwrap();
                check("ReposGetContentResponse", variant(&content), &[expected.to_owned()]);
            }
            _ => {}
        }
    }
    println!("recorded unions: {counts:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(counts["EventPayload"] > 50 && counts.len() >= 3, "{counts:?}");
}

/// Events of an issue, each with its name.
fn events<T: serde::de::DeserializeOwned>(body: Value) -> Vec<(T, String)> {
    let names: Vec<String> = body
        .as_array()
        .into_iter()
        .flatten()
        .map(|event| event["event"].as_str().unwrap_or_default().to_owned())
        .collect();
    serde_json::from_value::<Vec<T>>(body).unwrap().into_iter().zip(names).collect()
}

/// The variants that an event of an issue may be read as: the one of its name, or the one of the
/// events that have nothing of their own.
fn expected(event: &str) -> [String; 3] {
    let words = event.split(['_', '-']).map(|word| {
        let (first, rest) = word.split_at(1.min(word.len()));
        first.to_uppercase() + rest
    });
    let name: String = words.collect();
    let plain = "StateChangeIssueEvent".to_owned();
    [format!("{name}IssueEvent"), format!("Timeline{name}Event"), plain]
}

/// A path without its indices.
fn shape(path: &str) -> String {
    let mut shape = String::new();
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => inside = true,
            ']' => {
                inside = false;
                shape.push_str("[]");
            }
            c if !inside => shape.push(c),
            _ => {}
        }
    }
    shape
}

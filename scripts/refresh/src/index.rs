//! `openapi/index.txt`: a line for each operation and each webhook, so that the diff of a refresh shows
//! additions and removals to readers who do not read JSON.

use std::fmt::Write;

use octowire_codegen::lower::{ApiModel, Body, CallModel};
use octowire_codegen::operations::Operation;
use octowire_codegen::webhooks::Webhook;

/// The file's name.
pub const FILE: &str = "index.txt";

/// The command that writes it.
pub const COMMAND: &str = "./scripts/refresh-openapi.sh --index";

const PREFACE: &str = "\
# Every operation and every webhook that the library is generated from, by tag and by name.
# Written by `./scripts/refresh-openapi.sh`; not read by the build.
#
# operation  METHOD path  parameters of the path  ?of the query  @headers  {the body}  statuses  [deprecated]
# * is required.
";

/// The text of the file.
pub fn index(api: &ApiModel, webhooks: &[Webhook]) -> String {
    let mut calls: Vec<&CallModel> = api.calls.iter().collect();
    calls.sort_by_key(|call| (&call.operation.tag, &call.operation.id));
    let mut webhooks: Vec<&Webhook> = webhooks.iter().collect();
    webhooks.sort_by_key(|webhook| (&webhook.event, &webhook.key));
    let mut text = PREFACE.to_owned();
    let mut tag = None;
    for call in calls {
        if tag != Some(&call.operation.tag) {
            tag = Some(&call.operation.tag);
            text.push_str(&format!("\n# {}\n", call.operation.tag));
        }
        text.push_str(&operation(call));
    }
    text.push_str("\n# webhooks\n");
    for Webhook { key, event, actions, .. } in webhooks {
        let action = if actions.is_empty() { String::new() } else { ".".to_owned() };
        text.push_str(&format!("{key}  webhook {event}{action}{}\n", actions.join("|")));
    }
    text
}

fn operation(call: &CallModel) -> String {
    let Operation { id, method, path, server, statuses, deprecated, .. } = &call.operation;
    let server = server.as_deref().unwrap_or_default().trim_end_matches('/');
    let mut line = format!("{id}  {} {server}{path}", method.to_uppercase());
    for (location, mark) in [("path", ""), ("query", "?"), ("header", "@")] {
        let of_location = call.operation.parameters.iter().filter(|it| it.location == location);
        let names = of_location.map(|it| format!("{mark}{}", starred(&it.name, it.required)));
        append(&mut line, &names.collect::<Vec<_>>().join(" "));
    }
    append(&mut line, &body(&call.body));
    let statuses: Vec<String> = statuses.iter().map(u16::to_string).collect();
    append(&mut line, &statuses.join(" "));
    append(&mut line, if *deprecated { "deprecated" } else { "" });
    line + "\n"
}

fn append(line: &mut String, column: &str) {
    if !column.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(line, "  {column}");
    }
}

fn body(body: &Body) -> String {
    match body {
        Body::None => String::new(),
        Body::Text => "{text}".to_owned(),
        Body::Octets => "{bytes}".to_owned(),
        Body::Other => "{any media type}".to_owned(),
        Body::Json { properties, .. } if properties.is_empty() => "{JSON}".to_owned(),
        Body::Json { properties, .. } => {
            let names = properties.iter().map(|it| starred(&it.name, it.required));
            format!("{{{}}}", names.collect::<Vec<_>>().join(" "))
        }
    }
}

fn starred(name: &str, required: bool) -> String {
    format!("{name}{}", if required { "*" } else { "" })
}

/// The first lines in which two indices differ, in diff notation.
pub fn differences(there: &str, expected: &str, most: usize) -> Vec<String> {
    let lines =
        |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    let (there, expected) = (lines(there), lines(expected));
    let gone = there.difference(&expected).map(|line| format!("- {line}"));
    let come = expected.difference(&there).map(|line| format!("+ {line}"));
    let mut differing: Vec<String> = gone.chain(come).collect();
    differing.sort_by(|a, b| a[2..].cmp(&b[2..]).then(b.cmp(a)));
    differing.truncate(most);
    differing
}

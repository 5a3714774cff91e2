//! Checks the examples of a description against its own schemas: finds those that the library could not
//! decode, or not send.

mod check;
mod proposal;
mod shape;

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::Value;

pub use check::{Side, Violation, Wrong, violations};
pub use proposal::{Proposal, render};

use crate::payloads::Payload;
use crate::{broken_requests, broken_responses};
use octowire_codegen::document::{self, LocatedOperation, operations};
use octowire_codegen::operations::{Output, describe, is_json, successes};
use octowire_codegen::webhooks::{self, Webhook};
use octowire_codegen::{Error, Result};

const STAGE: &str = "examples";

/// A schema, and the JSON pointer to it.
pub type LocatedSchema<'a> = (&'a Value, String);

/// An example with its possible schemas.
pub struct Example<'a> {
    /// In the notation of the lists of broken examples: `issues/get 200 default`.
    pub name: String,
    /// In the overlay's notation: `issues/get (200 default)`.
    pub evidence: String,
    pub side: Side,
    pub body: Value,
    /// Several if different statuses have different bodies.
    schemas: Vec<LocatedSchema<'a>>,
    /// Whether the body can be absent.
    nullable: bool,
}

impl Example<'_> {
    /// Whether the example is known to be wrong itself.
    pub fn is_broken(&self) -> bool {
        let names = |list: &[(&str, &str)]| list.iter().any(|(name, _)| *name == self.name);
        match self.side {
            Side::Read => names(broken_responses::EXAMPLES),
            Side::Sent => names(broken_requests::EXAMPLES) || names(broken_requests::ELSEWHERE),
        }
    }

    pub fn violations(&self, document: &Value) -> Vec<Violation> {
        violations(document, self.side, &self.schemas, self.nullable, &self.body)
    }
}

/// Every example of a JSON body in the description, and every payload.
pub fn examples<'a>(document: &'a Value, payloads: &[Payload]) -> Result<Vec<Example<'a>>> {
    let mut examples = Vec::new();
    for (located, described) in operations(document).zip(describe(document)?) {
        responses(document, located, described.output, &mut examples)?;
        requests(document, located, &mut examples)?;
    }
    let webhooks = webhooks::describe(document)?;
    for payload in payloads {
        examples.extend(delivered(document, &webhooks, payload)?);
    }
    Ok(examples)
}

fn responses<'a>(
    document: &'a Value,
    located: LocatedOperation<'a>,
    output: Output,
    examples: &mut Vec<Example<'a>>,
) -> Result<()> {
    let Output::Json { nullable } = output else { return Ok(()) };
    let mut schemas: Vec<LocatedSchema<'a>> = Vec::new();
    let mut found: Vec<(&str, &str, &Value)> = Vec::new();
    for (status, response) in successes(document, located)? {
        let raw = &located.operation["responses"][status];
        let at = format!("{}{}", located.pointer(), document::pointer(&["responses", status]));
        let at = target(raw).unwrap_or(at);
        for (media, content) in document::object(response, "content").filter(|(of, _)| is_json(of))
        {
            if let Some(schema) = content.get("schema")
                && !schemas.iter().any(|(other, _)| *other == schema)
            {
                let at = format!("{at}{}", document::pointer(&["content", media, "schema"]));
                schemas.push((schema, at));
            }
            found.extend(
                bodies(document, content)?.into_iter().map(|(key, body)| (status, key, body)),
            );
        }
    }
    for (status, key, body) in found {
        examples.push(Example {
            name: format!("{} {status} {key}", located.id()),
            evidence: format!("{} ({status} {key})", located.id()),
            side: Side::Read,
            body: inlined(document, body, 0, &Cell::new(MAX_VALUES))?,
            schemas: schemas.clone(),
            nullable,
        });
    }
    Ok(())
}

fn requests<'a>(
    document: &'a Value,
    located: LocatedOperation<'a>,
    examples: &mut Vec<Example<'a>>,
) -> Result<()> {
    let Some(raw) = located.operation.get("requestBody") else { return Ok(()) };
    let at = target(raw).unwrap_or_else(|| format!("{}/requestBody", located.pointer()));
    let request = document::resolve(document, raw, STAGE, &at)?;
    for (media, content) in document::object(request, "content").filter(|(of, _)| is_json(of)) {
        let Some(schema) = content.get("schema") else { continue };
        let at = format!("{at}{}", document::pointer(&["content", media, "schema"]));
        for (key, body) in bodies(document, content)? {
            examples.push(Example {
                name: format!("{} {key}", located.id()),
                evidence: format!("{} (request, {key})", located.id()),
                side: Side::Sent,
                body: inlined(document, body, 0, &Cell::new(MAX_VALUES))?,
                schemas: vec![(schema, at.clone())],
                nullable: request["required"] != true,
            });
        }
    }
    Ok(())
}

fn delivered<'a>(
    document: &'a Value,
    webhooks: &[Webhook],
    payload: &Payload,
) -> Result<Option<Example<'a>>> {
    let action = payload.body["action"].as_str();
    let is_of = |webhook: &&Webhook| {
        let actions = &webhook.actions;
        webhook.event == payload.event
            && (actions.is_empty() || actions.iter().any(|of| Some(of.as_str()) == action))
    };
    // An event that GitHub has removed cannot be read incorrectly.
    let Some(webhook) = webhooks.iter().find(is_of) else { return Ok(None) };
    let schema = webhooks::payload(document, &webhook.key)?;
    Ok(Some(Example {
        name: payload.name.clone(),
        evidence: payload.name.clone(),
        side: Side::Read,
        body: payload.body.clone(),
        schemas: vec![schema],
        nullable: false,
    }))
}

/// The examples of some content, by their names.
fn bodies<'a>(document: &'a Value, content: &'a Value) -> Result<Vec<(&'a str, &'a Value)>> {
    let mut bodies: Vec<(&str, &Value)> = Vec::new();
    bodies.extend(content.get("example").map(|body| ("example", body)));
    for (key, example) in document::object(content, "examples") {
        let example = document::resolve(document, example, STAGE, "")?;
        bodies.extend(example.get("value").map(|body| (key.as_str(), body)));
    }
    Ok(bodies)
}

/// Maximum nesting of an example; deeper, it refers to itself.
const MAX_DEPTH: usize = 100;

/// Maximum number of values of an example, including those that it refers to.
const MAX_VALUES: usize = 1_000_000;

/// The value with the examples that it refers to: GitHub writes `$ref`s within examples, too. `left` is the
/// remaining number of values.
fn inlined(document: &Value, value: &Value, depth: usize, left: &Cell<usize>) -> Result<Value> {
    if depth > MAX_DEPTH {
        return Err(Error::new(STAGE, "", "an example contains itself"));
    }
    let less = left.get().checked_sub(1);
    left.set(less.ok_or_else(|| Error::new(STAGE, "", "an example is too large"))?);
    let reference = value.get("$ref").and_then(Value::as_str);
    if reference.is_some_and(|reference| reference.starts_with('#')) {
        let example = document::resolve(document, value, STAGE, "")?;
        return inlined(document, &example["value"], depth + 1, left);
    }
    match value {
        Value::Array(items) => {
            items.iter().map(|it| inlined(document, it, depth + 1, left)).collect()
        }
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| Ok((name.clone(), inlined(document, value, depth + 1, left)?)))
            .collect(),
        other => Ok(other.clone()),
    }
}

/// The pointer to the target of a `$ref`.
fn target(raw: &Value) -> Option<String> {
    Some(raw.get("$ref")?.as_str()?.strip_prefix('#')?.to_owned())
}

/// The overlay actions that make every example fit that is not wrong itself.
pub fn proposals(document: &Value, payloads: &[Payload]) -> Result<Vec<Proposal>> {
    let mut found: BTreeMap<(String, Wrong), Proposal> = BTreeMap::new();
    let mut order = Vec::new();
    for example in examples(document, payloads)?.iter().filter(|example| !example.is_broken()) {
        for violation in example.violations(document) {
            let key = (violation.schema.clone(), violation.wrong.clone());
            let proposal = found.entry(key.clone()).or_insert_with(|| {
                order.push(key);
                Proposal::new(&violation, example.side)
            });
            if !proposal.evidence.contains(&example.evidence) {
                proposal.evidence.push(example.evidence.clone());
            }
        }
    }
    Ok(order.iter().filter_map(|key| found.remove(key)).collect())
}

//! The generated webhook events: an enum of events, and for each event with actions an enum of these. Their
//! building blocks are in `src/webhooks/event/generated.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use super::STAGE;
use super::docs::doc;
use crate::document;
use crate::error::{Error, Result};
use crate::lower::{EntityType, Payload, PayloadRoles, PayloadShape};
use crate::names::pascal;
use crate::webhooks::WEBHOOKS;

/// The path of the macros.
const MACROS: &str = "crate::webhooks::event::generated";

pub fn write(payloads: &[Payload], concerned: &BTreeSet<EntityType>) -> Result<String> {
    let mut events: BTreeMap<&str, Vec<&Payload>> = BTreeMap::new();
    for payload in payloads {
        events.entry(&payload.webhook.event).or_default().push(payload);
    }
    let mut out = String::new();
    write_all(&mut out, payloads, concerned).map_err(|e| Error::new(STAGE, "", e))?;
    let mut variants = String::new();
    let mut names = BTreeMap::new();
    for (event, payloads) in &events {
        let ident = ident(event, event, &mut names)?;
        let Some(first) = payloads.first() else { continue };
        let result = if first.webhook.actions.is_empty() {
            plain(&mut variants, &ident, first)
        } else {
            let actions = actions(payloads)?;
            with_actions(&mut out, &mut variants, &ident, first, &actions)
        };
        result.map_err(|e| Error::new(STAGE, "", e))?;
    }
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{MACROS}::events! {{\n{variants}}}");
    Ok(out)
}

fn write_all(
    out: &mut String,
    payloads: &[Payload],
    concerned: &BTreeSet<EntityType>,
) -> fmt::Result {
    for EntityType { ty: of, label } in concerned {
        let label = label.map(|label| format!(", {label}")).unwrap_or_default();
        writeln!(out, "{MACROS}::concerned! {{ {of}{label} }}")?;
    }
    // Of equal payloads, one is written.
    let mut records: BTreeMap<&str, &PayloadRoles> = BTreeMap::new();
    let mut unions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut others = BTreeSet::new();
    for Payload { resolved, shape, .. } in payloads {
        match shape {
            PayloadShape::Record(roles) => {
                records.insert(resolved, roles);
            }
            PayloadShape::Union(variants) => {
                records.extend(variants.iter().map(|(_, name, roles)| (name.as_str(), roles)));
                unions.insert(resolved, variants.iter().map(|(ident, ..)| &**ident).collect());
            }
            PayloadShape::Other => {
                others.insert(resolved);
            }
        }
    }
    for (name, PayloadRoles { roles, action }) in records {
        let mut entries: Vec<String> =
            roles.iter().map(|(role, ident)| format!("{}: {ident}", role.name())).collect();
        entries.extend(action.as_ref().map(|ident| format!("action: {ident}")));
        writeln!(out, "{MACROS}::payload! {{ {name} {{ {} }} }}", entries.join(", "))?;
    }
    for (name, variants) in unions {
        writeln!(out, "{MACROS}::payload_union! {{ {name} {{ {} }} }}", variants.join(", "))?;
    }
    for name in others {
        writeln!(out, "{MACROS}::payload! {{ {name} {{ }} }}")?;
    }
    Ok(())
}

/// The actions of an event, each with its ident.
fn actions<'a>(payloads: &[&'a Payload]) -> Result<Vec<(&'a Payload, &'a str, String)>> {
    let mut names = BTreeMap::new();
    let mut actions = Vec::new();
    for payload in payloads {
        for action in &payload.webhook.actions {
            let ident = ident(action, &payload.webhook.key, &mut names)?;
            actions.push((*payload, action.as_str(), ident));
        }
    }
    Ok(actions)
}

fn plain(variants: &mut String, ident: &str, payload: &Payload) -> fmt::Result {
    about(variants, "    ", payload, &payload.webhook.summary)?;
    writeln!(variants, "    payload {ident} = {:?}: {};", payload.webhook.event, payload.name)
}

fn with_actions(
    out: &mut String,
    variants: &mut String,
    ident: &str,
    first: &Payload,
    actions: &[(&Payload, &str, String)],
) -> fmt::Result {
    let event = &first.webhook.event;
    let name = format!("{ident}Event");
    writeln!(out, "{MACROS}::actions! {{")?;
    about(out, "", first, &first.webhook.summary)?;
    writeln!(out, "{name} = {event:?} {{")?;
    for (payload, action, ident) in actions {
        let text = &payload.webhook.description;
        doc(out, "    ", if text.is_empty() { action } else { text })?;
        writeln!(out, "    {ident} = {action:?}: {},", payload.name)?;
    }
    writeln!(out, "}}\n}}")?;
    writeln!(variants, "    /// `{event}`, by action.\n    actions {ident} = {event:?}: {name};")
}

fn about(out: &mut String, indent: &str, payload: &Payload, text: &str) -> fmt::Result {
    let webhook = &payload.webhook;
    let text = format!(
        "The event `{}`: {text}\n\nFeature `webhook-{}`, [GitHub's documentation]({})",
        webhook.event,
        webhook.event.replace('_', "-"),
        webhook.documentation_url
    );
    doc(out, indent, &text)
}

/// A variant's name, which is unique.
fn ident<'a>(name: &'a str, key: &str, taken: &mut BTreeMap<String, &'a str>) -> Result<String> {
    let fail =
        |message: String| Err(Error::new(STAGE, document::pointer(&[WEBHOOKS, key]), message));
    let Some(mut ident) = pascal(name) else {
        return fail(format!("`{name}` cannot be converted to a Rust identifier"));
    };
    // The name for events that the description does not have.
    if ident == "Unknown" {
        "UnknownVariant".clone_into(&mut ident);
    }
    if let Some(other) = taken.insert(ident.clone(), name) {
        return fail(format!("`{name}` and `{other}` both map to `{ident}`"));
    }
    Ok(ident)
}

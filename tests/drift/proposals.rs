//! Examples that do not fit their schemas are found, and the overlay actions
//! that make them fit are proposed.

use octowire_codegen::overlay::{Action, apply, parse};
use octowire_refresh::examples::{self, Proposal, Side};
use octowire_refresh::payloads::Payload;
use octowire_refresh::source::VERSION;
use serde_json::{Value, json};

use crate::support::{corrected, none, overlay, payloads};

/// The same that tests/examples, tests/webhooks and crates/codegen find with the generated types:
/// which shows that this check rejects their effect, and nothing else.
#[test]
fn every_example_fits_its_schema_but_those_that_are_called_broken() {
    let corrected = corrected(&overlay());
    let examples = examples::examples(&corrected.document, &payloads()).unwrap();
    let mut surprises = Vec::new();
    for example in &examples {
        let violations = example.violations(&corrected.document);
        if violations.is_empty() == example.is_broken() {
            surprises.push(format!("{}: {violations:?}", example.name));
        }
    }
    let sent = examples.iter().filter(|example| example.side == Side::Sent).count();
    println!("examples: {} are read, {sent} are sent", examples.len() - sent);
    assert!(sent > 400 && examples.len() - sent > 1_300);
    assert!(surprises.is_empty(), "{surprises:#?}");
}

/// The proposals for a document, and the text that they are written as.
fn proposed(document: &Value, payloads: &[Payload]) -> (Vec<Proposal>, String) {
    let proposals = examples::proposals(document, payloads).unwrap();
    let versions = [(VERSION.to_owned(), document.clone())];
    let text = examples::render(&proposals, document, &versions);
    (proposals, text)
}

#[test]
fn the_current_overlay_needs_no_proposals() {
    let (proposals, _) = proposed(&corrected(&overlay()).document, &payloads());
    assert!(proposals.is_empty(), "{proposals:#?}");
}

#[test]
fn an_action_that_is_taken_out_is_proposed_again_with_its_evidence() {
    let payloads = payloads();
    let (_, text) = proposed(&corrected(&none()).document, &payloads);
    let all = parse(&text).unwrap().actions;
    // One action of each kind in the current overlay.
    let mut checked = 0;
    for kind in [
        "Required, yet responses lack ",
        "Not nullable, yet null in responses.",
        "Not nullable, yet null in requests.",
    ] {
        let mut without = overlay();
        let says = |it: &Action| it.description.starts_with(kind);
        let is_taken = |action: &Action| all.iter().any(|it| says(it) && does_the_same(it, action));
        let Some(at) = without.actions.iter().position(is_taken) else {
            println!("no action of the overlay is proposed as `{kind}`");
            continue;
        };
        let taken = without.actions.remove(at);
        let (_, text) = proposed(&corrected(&without).document, &payloads);
        let actions = parse(&text).unwrap().actions;
        let again = actions.iter().find(|action| does_the_same(action, &taken));
        let again = again.unwrap_or_else(|| panic!("{taken:#?} is not proposed:\n{text}"));
        let cites = again.description.strip_prefix(kind).is_some_and(|it| it.contains("Example"));
        assert!(cites, "{again:#?}");
        println!("proposed again: {}", again.target);
        checked += 1;
    }
    assert!(checked > 0);
}

/// Returns whether two actions have the same effect.
fn does_the_same(one: &Action, other: &Action) -> bool {
    (&one.target, &one.update, one.remove) == (&other.target, &other.update, other.remove)
}

#[test]
fn accepting_all_proposals_leaves_none() {
    let payloads = payloads();
    let mut document = corrected(&none()).document;
    let (proposals, text) = proposed(&document, &payloads);
    println!("without an overlay, {} places are found", proposals.len());
    assert!(proposals.len() > 100, "{}", proposals.len());
    apply(&mut document, &parse(&text).unwrap(), VERSION).unwrap();
    let (proposals, _) = proposed(&document, &payloads);
    assert!(proposals.is_empty(), "{proposals:#?}");
}

/// A document whose one operation answers, and takes, the schema, with an example of it.
fn example(schema: Value, body: Value) -> Value {
    let content = |schema: &Value| {
        let media = json!({ "schema": schema, "example": body });
        json!({ "content": { "application/json": media } })
    };
    json!({
        "openapi": "3.0.3",
        "info": { "version": "1", "x-github-plan": VERSION },
        "paths": { "/a": { "post": {
            "operationId": "a/b", "tags": ["a"],
            "requestBody": content(&schema),
            "responses": { "200": content(&schema) },
        } } },
    })
}

/// The deviations of each side.
fn wrong(schema: Value, body: Value) -> (Vec<String>, Vec<String>) {
    let document = example(schema, body);
    let proposals = examples::proposals(&document, &[]).unwrap();
    let of = |side| {
        let of_side = proposals.iter().filter(|proposal| proposal.side == side);
        of_side.map(|it| format!("{:?} {}", it.wrong, it.path)).collect()
    };
    (of(Side::Read), of(Side::Sent))
}

#[test]
fn proposals_relax_responses_and_keep_requests_exact() {
    let object = |properties: Value, required: Value| {
        let (kind, all) = ("object", properties);
        json!({ "type": kind, "properties": all, "required": required })
    };
    let text = json!({ "type": "string" });
    let list = json!({ "type": "array", "items": text });
    let choice = json!({ "type": "string", "enum": ["a"] });
    let either = json!({ "oneOf": [{ "type": "string" }, { "type": "integer" }] });
    let time = json!({ "type": "string", "format": "date-time" });
    for (schema, body, read, sent) in [
        (object(json!({ "a": text }), json!(["a"])), json!({}), "Missing(\"a\") $", "="),
        (object(json!({ "a": list }), json!(["a"])), json!({}), "", "Missing(\"a\") $"),
        (object(json!({ "a": list }), json!(["a"])), json!({ "a": null }), "", "Null $.a"),
        (object(json!({ "a": text }), json!(["a"])), json!({ "a": null }), "Null $.a", "="),
        (object(json!({ "a": text }), json!([])), json!({ "a": null }), "", "Null $.a"),
        (object(json!({ "a": choice }), json!([])), json!({ "a": "b" }), "", "Value(\"b\") $.a"),
        (
            object(json!({ "a": text }), json!([])),
            json!({ "b": 1 }),
            "",
            "Unnamed { name: \"b\", of: \"integer\" } $.b",
        ),
        (
            object(json!({ "a": either }), json!([])),
            json!({ "a": true }),
            "",
            "Type { expected: \"string\", actual: \"boolean\" } $.a",
        ),
        (object(json!({ "a": time }), json!([])), json!({ "a": "soon" }), "Format $.a", ""),
        (object(json!({ "a": time }), json!([])), json!({ "a": "2020-01-01 00:00:00" }), "", ""),
        (list, json!(["a", 1]), "Type { expected: \"string\", actual: \"integer\" } $[1]", "="),
    ] {
        let found = wrong(schema.clone(), body.clone());
        let sent = if sent == "=" { read } else { sent };
        let expected =
            [read, sent].map(|one| if one.is_empty() { Vec::new() } else { vec![one.to_owned()] });
        assert_eq!([found.0, found.1], expected, "{body} of {schema}");
    }
}

#[test]
fn a_deviation_is_located_at_the_schema_that_states_it() {
    let part = |name: &str| {
        let properties = json!({ name: { "type": "string" } });
        json!({ "type": "object", "properties": properties, "required": [name] })
    };
    let named = json!({ "$ref": "#/components/schemas/named" });
    let content = "/paths/~1a/post/responses/200/content/application~1json/schema";
    for (schema, body, place) in [
        // Each part of an `allOf` has its own required properties.
        (json!({ "allOf": [part("a"), part("b")] }), json!({ "a": "" }), "/allOf/1"),
        (json!({ "allOf": [part("a"), named] }), json!({ "a": "" }), "named"),
        // Properties that a variant adds to an object are optional.
        (json!({ "properties": {}, "anyOf": [part("a")] }), json!({}), "nothing"),
        (
            json!({ "properties": {}, "anyOf": [part("a")] }),
            json!({ "a": 1 }),
            "/anyOf/0/properties/a",
        ),
        // A union of one is that one; of several, the JSON stays.
        (json!({ "oneOf": [part("a")] }), json!({}), "/oneOf/0"),
        (json!({ "oneOf": [part("a"), part("b")] }), json!({}), "nothing"),
        // A reference is loosened where it stands if it may be null, as a component if it lacks.
        (json!({ "type": "array", "items": named }), json!([null]), "/items"),
        (json!({ "type": "array", "items": named }), json!([{}]), "named"),
    ] {
        let mut document = example(schema.clone(), body.clone());
        document["components"] = json!({ "schemas": { "named": part("name") } });
        let proposals = examples::proposals(&document, &[]).unwrap();
        let read = proposals.iter().find(|proposal| proposal.side == Side::Read);
        let found = read.map_or("nothing", |read| {
            let place = read.schema.strip_prefix(content);
            place.unwrap_or_else(|| read.schema.rsplit('/').next().unwrap())
        });
        assert_eq!(found, place, "{body} of {schema}");
    }
}

#[test]
fn deviations_without_an_overlay_action_are_left_to_a_maintainer() {
    let schema = json!({ "type": "array", "items": { "type": "string" } });
    let document = example(schema, json!({ "a": "an item, torn" }));
    let (proposals, text) = proposed(&document, &[]);
    assert_eq!(proposals.len(), 2);
    assert!(parse(&text).unwrap().actions.is_empty());
    assert!(text.contains("# No action is proposed, since the example may be wrong"), "{text}");
    assert!(text.contains("$ is of type object, not array"), "{text}");
    assert!(text.contains("Example: a/b (200 example)."), "{text}");
}

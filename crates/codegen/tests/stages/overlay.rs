//! Stage 2: our corrections, as Overlay 1.0 has them.

use serde_json::{Value, json};

use crate::support::{assert_contains, fails, ok, openapi};
use octowire_codegen::document::document_name;
use octowire_codegen::overlay::{apply, apply_what_matches, parse, read};
use octowire_codegen::{Result, corrections};

/// An overlay with the actions, which are given as JSON (which is YAML). What a build reads of it has the same effect.
fn overlaid(document: Value, actions: Value) -> Result<Value> {
    let text = json!({ "overlay": "1.0.0", "info": {}, "actions": actions }).to_string();
    let overlay = parse(&text)?;
    let mut corrected = document.clone();
    apply(&mut corrected, &overlay, "api.github.com")?;
    let applied = apply_what_matches(&mut document.clone(), &overlay, "api.github.com")?;
    let resolved = corrections::render(&applied.corrections, &overlay.type_names(), &text);
    let mut again = document;
    corrections::apply(&mut again, &corrections::parse(&resolved, &text)?)?;
    assert_eq!(again.to_string(), corrected.to_string(), "{resolved}");
    Ok(corrected)
}

fn update(target: &str, update: Value) -> Value {
    json!([{ "target": target, "description": "Why.", "update": update }])
}

fn remove(target: &str) -> Value {
    json!([{ "target": target, "description": "Why.", "remove": true }])
}

#[test]
fn an_object_takes_the_updates_properties_and_keeps_its_own() {
    let document = json!({ "a": { "kept": 1, "changed": 2 } });
    let done = ok(overlaid(document, update("$.a", json!({ "changed": 3, "added": [4] }))));
    assert_eq!(done, json!({ "a": { "kept": 1, "changed": 3, "added": [4] } }));
}

#[test]
fn objects_within_objects_merge_as_well() {
    let document = json!({ "a": { "b": { "kept": 1, "c": { "d": 2 } } } });
    let done = ok(overlaid(document, update("$.a", json!({ "b": { "c": { "e": 3 } } }))));
    assert_eq!(done, json!({ "a": { "b": { "kept": 1, "c": { "d": 2, "e": 3 } } } }));
}

#[test]
fn an_array_takes_the_update_as_one_more_element() {
    let done = ok(overlaid(json!({ "a": [1] }), update("$.a", json!(2))));
    assert_eq!(done, json!({ "a": [1, 2] }));
}

#[test]
fn any_other_target_is_replaced() {
    let document = json!({ "a": "old", "b": { "c": null } });
    let done = ok(overlaid(document.clone(), update("$.a", json!({ "x": 1 }))));
    assert_eq!(done["a"], json!({ "x": 1 }));
    let done = ok(overlaid(document, update("$.b", json!({ "c": { "x": 1 } }))));
    assert_eq!(done["b"], json!({ "c": { "x": 1 } }));
}

#[test]
fn an_action_changes_every_target() {
    let document = json!({ "a": { "x": { "n": 1 }, "y": { "n": 1 }, "z": { "n": 2 } } });
    let done = ok(overlaid(document, update("$.a[?@.n == 1]", json!({ "n": 5 }))));
    assert_eq!(done, json!({ "a": { "x": { "n": 5 }, "y": { "n": 5 }, "z": { "n": 2 } } }));
}

#[test]
fn actions_apply_in_order_to_the_result_of_the_previous_action() {
    let actions = json!([
        { "target": "$.a", "description": "First.", "update": { "b": { "c": 1 } } },
        { "target": "$.a.b", "description": "Then.", "update": { "d": 2 } },
        { "target": "$.a.b.c", "description": "Last.", "remove": true },
    ]);
    assert_eq!(ok(overlaid(json!({ "a": {} }), actions)), json!({ "a": { "b": { "d": 2 } } }));
}

#[test]
fn a_property_is_removed_and_the_others_keep_their_order() {
    let document = json!({ "a": { "x": 1, "y": 2, "z": 3 } });
    let done = ok(overlaid(document, remove("$.a.x")));
    assert_eq!(done.to_string(), r#"{"a":{"y":2,"z":3}}"#);
}

#[test]
fn names_with_slashes_and_tildes_are_found() {
    let document = json!({ "paths": { "/a/{b}": { "get": 1 }, "x~y": 2, "~1": 3 } });
    let done = ok(overlaid(document.clone(), remove("$.paths['/a/{b}'].get")));
    assert_eq!(done["paths"]["/a/{b}"], json!({}));
    let done = ok(overlaid(document, remove("$.paths['x~y', '~1']")));
    assert_eq!(done, json!({ "paths": { "/a/{b}": { "get": 1 } } }));
}

#[test]
fn several_elements_of_an_array_are_removed_at_once() {
    let document = json!({ "required": ["a", "b", "c", "d"] });
    let done = ok(overlaid(document.clone(), remove("$.required[?@ == 'a' || @ == 'c']")));
    assert_eq!(done, json!({ "required": ["b", "d"] }));
    let done = ok(overlaid(document, remove("$.required[*]")));
    assert_eq!(done, json!({ "required": [] }));
}

#[test]
fn the_order_in_which_a_target_names_elements_does_not_matter() {
    for target in ["$.required[2, 0]", "$.required[?@ == 'c', ?@ == 'a']", "$.required[2::-2]"] {
        let document = json!({ "required": ["a", "b", "c", "d"] });
        let done = ok(overlaid(document, remove(target)));
        assert_eq!(done, json!({ "required": ["b", "d"] }), "{target}");
    }
}

#[test]
fn an_element_that_is_named_twice_is_removed_once() {
    let document = json!({ "required": ["a", "b", "c"] });
    let done = ok(overlaid(document, remove("$.required[0, 0]")));
    assert_eq!(done, json!({ "required": ["b", "c"] }));
}

#[test]
fn a_target_nested_in_another_target_is_removed_with_it() {
    let document = json!({ "x": { "x": [1, 2], "y": 3 }, "z": [{ "x": 1 }] });
    let done = ok(overlaid(document, remove("$..x")));
    assert_eq!(done, json!({ "z": [{}] }));
}

#[test]
fn an_action_without_a_match_fails_and_is_named() {
    let actions = json!([
        { "target": "$.a", "description": "Fine.", "remove": true },
        { "target": "$.absent", "description": "Required, yet absent.\nMore.", "remove": true },
    ]);
    let message = fails(overlaid(json!({ "a": 1 }), actions), "overlay", "/actions/1");
    assert_contains(&message, "target `$.absent` (Required, yet absent.)");
    assert_contains(&message, "matches nothing in api.github.com");
    assert_contains(&message, "remove the action");
    assert_contains(&message, "x-octowire-expected-in");
}

#[test]
fn an_action_for_other_descriptions_can_match_nothing() {
    let action = |documents: Value| {
        json!([{
            "target": "$.a", "description": "Why.", "update": { "n": 1 },
            "x-octowire-expected-in": documents,
        }])
    };
    let elsewhere = json!(["ghec", "ghes-3.19"]);
    assert_eq!(ok(overlaid(json!({}), action(elsewhere.clone()))), json!({}));
    // If it matches, it is still applied.
    assert_eq!(ok(overlaid(json!({ "a": {} }), action(elsewhere))), json!({ "a": { "n": 1 } }));
    let here = json!(["ghec", "api.github.com"]);
    fails(overlaid(json!({}), action(here)), "overlay", "/actions/0");
    assert_eq!(ok(overlaid(json!({}), action(json!([])))), json!({}));
}

#[test]
fn an_overlay_of_another_version_is_rejected() {
    for version in ["1.1.0", "2.0.0", "1.0", ""] {
        let text = json!({ "overlay": version, "actions": [] }).to_string();
        assert_contains(fails(parse(&text), "overlay", "/overlay"), "use 1.0.0");
    }
    ok(parse("overlay: 1.0.0\nactions: []"));
}

#[test]
fn an_action_updates_or_removes_and_never_both_or_neither() {
    for action in [
        json!({ "target": "$.a", "description": "Why.", "update": 1, "remove": true }),
        json!({ "target": "$.a", "description": "Why." }),
        json!({ "target": "$.a", "description": "Why.", "remove": false }),
    ] {
        let message = fails(overlaid(json!({ "a": 1 }), json!([action])), "overlay", "/actions/0");
        assert_contains(&message, "either `update` or `remove: true`");
    }
}

#[test]
fn a_target_that_is_no_jsonpath_is_rejected() {
    for target in ["", "a.b", "$.a[", "$['a", "$.a[?]"] {
        let message = fails(overlaid(json!({}), remove(target)), "overlay", "/actions/0");
        assert_contains(&message, &format!("target `{target}` (Why.)"));
    }
}

#[test]
fn an_action_has_a_target_and_says_why() {
    for action in [
        json!({ "description": "Why.", "remove": true }),
        json!({ "target": "$.a", "remove": true }),
        json!({ "target": "$.a", "description": "Why.", "removed": true }),
    ] {
        let message = fails(overlaid(json!({ "a": 1 }), json!([action])), "overlay", "");
        assert_contains(&message, "invalid overlay");
    }
}

#[test]
fn an_invalid_overlay_is_rejected() {
    for text in ["", "- a", "overlay: 1.0.0", "overlay: [", "actions: []"] {
        assert_contains(fails(parse(text), "overlay", ""), "invalid overlay");
    }
    let absent = openapi().join("absent.yaml");
    assert_contains(fails(read(&absent), "overlay", ""), "absent.yaml");
}

#[test]
fn a_description_is_named_after_plan_and_release() {
    let name = |info: Value| document_name(&json!({ "info": info }));
    assert_eq!(name(json!({ "x-github-plan": "api.github.com" })), "api.github.com");
    let release = |release: Value| json!({ "x-github-plan": "ghes", "x-github-release": release });
    assert_eq!(name(release(json!("3.19"))), "ghes-3.19");
    assert_eq!(name(release(json!(3.17))), "ghes-3.17");
    assert_eq!(name(json!({})), "unknown");
    assert_eq!(document_name(&json!(null)), "unknown");
}

#[test]
fn for_another_description_actions_without_effect_are_named_and_the_others_apply() {
    let overlay = json!({ "overlay": "1.0.0", "actions": [
        { "target": "$.gone", "description": "First.\nMore.", "remove": true },
        { "target": "$.a", "description": "Second.", "update": { "b": 1 } },
        { "target": "$.a", "description": "Third.", "update": { "b": 1 } },
        { "target": "$.elsewhere", "description": "Fourth.", "remove": true,
          "x-octowire-expected-in": ["ghec"] },
    ] });
    let overlay = ok(parse(&overlay.to_string()));
    let mut document = json!({ "a": {} });
    let stale = ok(apply_what_matches(&mut document, &overlay, "api.github.com")).stale;
    assert_eq!(document, json!({ "a": { "b": 1 } }));
    let named: Vec<_> = stale.iter().map(|stale| (stale.index, stale.about.as_str())).collect();
    assert_eq!(named, [(0, "First."), (2, "Third.")]);
    assert!(!stale[0].dangling && !stale[1].dangling);
    assert_contains(&stale[0].message, "matches nothing in api.github.com");
    assert_contains(&stale[1].message, "changes nothing in api.github.com");
}

#[test]
fn an_update_that_refers_to_nothing_is_not_applied() {
    let actions = update("$.a", json!({ "b": [{ "$ref": "#/components/schemas/gone" }] }));
    let document = json!({ "a": {}, "components": { "schemas": {} } });
    let message = fails(overlaid(document.clone(), actions.clone()), "overlay", "/actions/0");
    assert_contains(
        message,
        "refers to `#/components/schemas/gone`, which is not in api.github.com",
    );
    let overlay = json!({ "overlay": "1.0.0", "actions": actions });
    let mut same = document.clone();
    let overlay = ok(parse(&overlay.to_string()));
    let stale = ok(apply_what_matches(&mut same, &overlay, "ghes-3.9")).stale;
    assert_eq!((stale.len(), &same), (1, &document));
    assert!(stale[0].dangling);
    // If it is not expected, that is no error.
    let mut elsewhere = actions;
    elsewhere[0]["x-octowire-expected-in"] = json!(["ghec"]);
    assert_eq!(ok(overlaid(document.clone(), elsewhere)), document);
}

#[test]
fn a_discriminator_of_a_component_that_is_not_there_is_not_applied() {
    let mapping =
        |target: &str| json!({ "x-octowire-discriminator": { "mapping": { "A": target } } });
    let document = json!({ "a": {}, "components": { "schemas": { "there": {} } } });
    ok(overlaid(document.clone(), update("$.a", mapping("there"))));
    ok(overlaid(document.clone(), update("$.a", mapping("object"))));
    let message =
        fails(overlaid(document, update("$.a", mapping("gone"))), "overlay", "/actions/0");
    assert_contains(message, "refers to `gone`, which is not in api.github.com");
}

#[test]
fn an_update_without_effect_is_accepted_if_no_effect_is_expected() {
    let mut actions = update("$.a", json!({ "b": 1 }));
    let document = json!({ "a": { "b": 1 } });
    let message = fails(overlaid(document.clone(), actions.clone()), "overlay", "/actions/0");
    assert_contains(message, "changes nothing");
    actions[0]["x-octowire-expected-in"] = json!(["ghec"]);
    assert_eq!(ok(overlaid(document.clone(), actions)), document);
}

#[test]
fn our_overlay_is_valid() {
    ok(read(&openapi().join("overlay.yaml")));
}

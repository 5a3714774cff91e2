//! A refresh replaces everything or nothing, and its exit status states the
//! effect on users of the library.

#[path = "refresh/atomic.rs"]
mod atomic;
#[path = "refresh/description_versions.rs"]
mod description_versions;
#[path = "refresh/failures.rs"]
mod failures;
#[path = "refresh/small_description.rs"]
mod small_description;
#[path = "refresh/sources.rs"]
mod sources;

use serde_json::{Value, json};

use crate::support::{assert_contains, files};
use small_description::{Small, document, text};

/// The small document, changed.
fn changed(version: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut document = document(version);
    change(&mut document);
    document
}

/// Another summary, which does not change the API.
fn reworded(version: &str) -> Value {
    changed(version, |document| {
        document["paths"]["/things/{id}"]["get"]["summary"] = json!("Of a thing");
    })
}

/// A build accepts the derived files, and writing them again changes nothing.
#[track_caller]
fn assert_derived_files_are_current(small: &Small) {
    octowire_codegen::corrections::read(&small.path("openapi")).unwrap();
    let before = small.openapi();
    assert_eq!(small.run(&["--index"]).status, 0);
    assert!(before == small.openapi());
}

#[test]
fn every_file_is_replaced_and_comments_stay() {
    let small = Small::new();
    let new = reworded("2.0.0");
    let said = small.run(&[&small.publish(&new)]);
    assert_eq!(said.status, 0, "{}", said.text);
    assert_eq!(small.read("openapi/api.github.com.json"), text(&new));
    let upstream = small.read("openapi/upstream.toml");
    assert_contains(&upstream, "# Where it comes from.\npackage = \"@octokit/openapi\"\n");
    assert_contains(&upstream, "version = \"2.0.0\"\nfile = \"generated/api.github.com.json\"\n");
    assert!(!upstream.contains("2020-01-01"), "{upstream}");
    let overlay = small.read("openapi/overlay.yaml");
    assert_contains(
        &overlay,
        "# Ours.\noverlay: 1.0.0\ninfo:\n  title: Small\n  version: \"2.0.0\"\n",
    );
    assert_eq!(small.read("openapi/LICENSE"), "New licence");
    assert_contains(&small.read("openapi/index.txt"), "\nthings/get  GET /things/{id}  id*  200\n");
    let removed = "\n{\"at\":[\"/components/schemas/thing/required/1\"]}\n";
    assert_contains(&small.read("openapi/corrections.json"), removed);
    assert_derived_files_are_current(&small);
    assert!(!small.path(".refresh-openapi").exists());
    assert_contains(&said.text, "openapi/ is @octokit/openapi 2.0.0 now");
}

#[test]
fn properties_not_required_in_every_version_stay_listed() {
    let small = Small::new();
    let grown = |version: &str| {
        let mut new = document(version);
        let thing = &mut new["components"]["schemas"]["thing"];
        thing["properties"]["size"] = json!({ "type": "integer" });
        thing["required"] = json!(["id", "name", "size"]);
        new
    };
    let mut description_version = grown("2.0.0");
    description_version["info"]["x-github-plan"] = json!("ghes");
    description_version["info"]["x-github-release"] = json!("3.17");
    description_version["components"]["schemas"]["thing"]["required"] = json!(["name", "size"]);
    small.publish_as("ghes-3.17", &description_version);
    let said = small.run(&[&small.publish(&grown("2.0.0"))]);
    let listed = small.read("openapi/not-required.tsv");
    let (schema, size) = ("/components/schemas/thing", "size\t1.0.0\n");
    assert!(listed.ends_with(&format!("\n{schema}\tid\tghes-3.17\n{schema}\t{size}")), "{listed}");
    assert_contains(&said.text, "## Required in every supported version");
    assert_contains(&small.read("target/drift/drift.md"), "it is now an `Option`");
    // The edition is not supported any longer; the version that was vendored before is.
    std::fs::remove_file(small.path("package/generated/ghes-3.17.json")).unwrap();
    small.run(&[&small.publish(&grown("3.0.0"))]);
    let listed = small.read("openapi/not-required.tsv");
    assert!(listed.ends_with(&format!("separated by tabs.\n{schema}\t{size}")), "{listed}");
}

#[test]
fn a_second_refresh_changes_nothing_and_reports_it() {
    let small = Small::new();
    let path = small.publish(&reworded("2.0.0"));
    assert_eq!(small.run(&[&path]).status, 0);
    // On another day.
    let upstream = small.read("openapi/upstream.toml");
    let (head, tail) = upstream.split_once("retrieved = \"").unwrap();
    small.write("openapi/upstream.toml", &format!("{head}retrieved = \"2020-02-02{}", &tail[10..]));
    let before = small.openapi();
    let said = small.run(&[&path]);
    assert_eq!(said.status, 0);
    assert_contains(&said.text, "Nothing to do: openapi/ already has @octokit/openapi 2.0.0");
    assert!(before == small.openapi());
}

#[test]
fn checking_reports_and_replaces_nothing() {
    let small = Small::new();
    let before = small.openapi();
    let path = small.publish(&changed("2.0.0", |document| {
        document["paths"]["/things/{id}"].as_object_mut().unwrap().remove("delete");
    }));
    let report = small.path("elsewhere");
    let said = small.run(&["--check", &path, "--report", &report.to_string_lossy()]);
    assert_eq!(said.status, 20, "{}", said.text);
    assert!(before == small.openapi());
    assert_contains(&small.read("elsewhere/drift.md"), "things/delete");
    let json: Value = serde_json::from_str(&small.read("elsewhere/drift.json")).unwrap();
    assert_eq!(json["severity"], "breaking");
}

#[test]
fn the_exit_status_is_the_gravest_change() {
    let at = "/paths/~1things~1{id}/get";
    let removed = changed("2.0.0", |document| {
        document["paths"]["/things/{id}"].as_object_mut().unwrap().remove("delete");
    });
    let deprecated = changed("2.0.0", |document| {
        document.pointer_mut(at).unwrap()["deprecated"] = json!(true);
    });
    let added = changed("2.0.0", |document| {
        let mut other = document.pointer(at).unwrap().clone();
        other["operationId"] = json!("things/update");
        document["paths"]["/things/{id}"]["put"] = other;
    });
    for (new, status) in [(reworded("2.0.0"), 0), (added, 0), (deprecated, 10), (removed, 20)] {
        let small = Small::new();
        let said = small.run(&[&small.publish(&new)]);
        assert_eq!(said.status, status, "{}", said.text);
        assert_eq!(small.read("openapi/api.github.com.json"), text(&new), "{}", said.text);
    }
}

#[test]
fn another_version_of_the_same_document_is_written_down() {
    let small = Small::new();
    let document = document("1.0.0");
    let path = small.publish(&document);
    let manifest = small.read("package/package.json").replace("1.0.0", "1.0.1");
    small.write("package/package.json", &manifest);
    assert_eq!(small.run(&[&path]).status, 0);
    assert_contains(&small.read("openapi/upstream.toml"), "version = \"1.0.1\"");
}

/// Mended, `name` is required no more.
fn mended(version: &str) -> Value {
    changed(version, |document| {
        document["components"]["schemas"]["thing"]["required"] = json!(["id"]);
    })
}

const SECOND: &str =
    "  - target: $.paths['/things/{id}'].delete\n    description: Gone.\n    remove: true\n";

#[test]
fn every_action_without_effect_is_named_in_one_run() {
    let small = Small::new();
    small.write("openapi/overlay.yaml", &(small.read("openapi/overlay.yaml") + SECOND));
    let mut new = mended("2.0.0");
    new["paths"]["/things/{id}"].as_object_mut().unwrap().remove("delete");
    let said = small.fails(small.command(&[&small.publish(&new)]), 2);
    assert_contains(&said, "2 of the overlay's actions no longer have an effect");
    assert_contains(&said, "/actions/0: $.components.schemas.thing.required[?@ == 'name']\n");
    assert_contains(&said, "/actions/1: $.paths['/things/{id}'].delete\n    Gone: matches nothing");
    assert_contains(&said, "`x-octowire-expected-in`; delete it.");
    assert_contains(&said, "--prune-overlay");
}

#[test]
fn pruning_takes_them_out_and_leaves_every_other_byte() {
    let small = Small::new();
    let overlay = small.read("openapi/overlay.yaml");
    small.write("openapi/overlay.yaml", &(overlay.clone() + SECOND));
    let said = small.run(&["--prune-overlay", &small.publish(&mended("2.0.0"))]);
    // Nothing changes for users of the library: the overlay already made the correction.
    assert_eq!(said.status, 0, "{}", said.text);
    let head = overlay.split("  - target").next().unwrap().replace("1.0.0\"", "2.0.0\"");
    assert_eq!(small.read("openapi/overlay.yaml"), head + SECOND);
    assert_contains(&said.text, "The overlay was pruned, except for the comments:\n  /actions/0:");
    assert_derived_files_are_current(&small);
}

#[test]
fn an_action_that_another_version_needs_is_kept_for_it() {
    let small = Small::new();
    let path = small.publish(&mended("2.0.0"));
    let ghec = changed("2.0.0", |document| document["info"]["x-github-plan"] = json!("ghec"));
    small.publish_as("ghec", &ghec);
    // A broken example can need it as well.
    small.write("package/generated/ghes-3.13.json", "{ \"openapi\": ");
    let said = small.fails(small.command(&[&path]), 2);
    assert_contains(&said, "`x-octowire-expected-in: [ghec, ghes-3.13]`");
    let said = small.run(&["--prune-overlay", &path]);
    assert_contains(&said.text, "openapi/ is @octokit/openapi 2.0.0 now");
    let overlay = small.read("openapi/overlay.yaml");
    assert!(
        overlay.ends_with("    remove: true\n    x-octowire-expected-in: [ghec, ghes-3.13]\n"),
        "{overlay}"
    );
    assert_derived_files_are_current(&small);
}

#[test]
fn an_update_needed_by_another_version_is_kept_and_has_no_effect_here() {
    let small = Small::new();
    let action = "  - target: $.components.schemas.thing.properties.name\n    description: Null.\n    \
                  update:\n      nullable: true\n";
    small.write("openapi/overlay.yaml", &(small.read("openapi/overlay.yaml") + action));
    let new = changed("2.0.0", |document| {
        document["components"]["schemas"]["thing"]["properties"]["name"]["nullable"] = json!(true);
    });
    let path = small.publish(&new);
    let ghec = changed("2.0.0", |document| document["info"]["x-github-plan"] = json!("ghec"));
    small.publish_as("ghec", &ghec);
    assert_eq!(small.run(&["--prune-overlay", &path]).status, 0);
    let overlay = small.read("openapi/overlay.yaml");
    assert!(overlay.ends_with("    x-octowire-expected-in: [ghec]\n"), "{overlay}");
    assert_derived_files_are_current(&small);
    // It fails no build, and no other refresh.
    small.publish(&changed("3.0.0", |document| {
        document["paths"] = new["paths"].clone();
        document["components"] = new["components"].clone();
    }));
    assert_eq!(small.run(&[&path]).status, 0);
}

#[test]
fn without_the_other_versions_no_action_is_deleted() {
    let small = Small::new();
    let overlay = small.read("openapi/overlay.yaml");
    small.write("new.json", &text(&mended("2.0.0")));
    let new = small.path("new.json").to_string_lossy().into_owned();
    for arguments in [&["--prune-overlay", &new][..], &[&new]] {
        let said = small.fails(small.command(arguments), 2);
        assert_contains(&said, "it is unknown whether another edition needs it");
        assert_contains(&said, "--prune-overlay cannot be used");
    }
    let named = |names: &str| format!("{overlay}    x-octowire-expected-in: [{names}]\n");
    small.write("openapi/overlay.yaml", &named("api.github.com"));
    small.fails(small.command(&["--prune-overlay", &new]), 2);
    small.write("openapi/overlay.yaml", &named("api.github.com, ghec"));
    assert_eq!(small.run(&["--prune-overlay", &new]).status, 0);
    let expected = named("ghec").replace("\"1.0.0\"", "\"2.0.0\"");
    assert_eq!(small.read("openapi/overlay.yaml"), expected);
}

#[test]
fn an_update_whose_reference_is_gone_is_named_and_never_pruned() {
    let small = Small::new();
    let action = "  - target: $.components.schemas.thing.properties.name\n    description: More.\n    \
                  update:\n      x-more:\n        $ref: \"#/components/schemas/other\"\n";
    let before = small.read("openapi/overlay.yaml") + action;
    small.write("openapi/overlay.yaml", &before);
    let path = small.publish(&reworded("2.0.0"));
    for arguments in [&["--prune-overlay", &path][..], &[&path]] {
        let said = small.fails(small.command(arguments), 2);
        assert_contains(&said, "refers to `#/components/schemas/other`, which is not in");
        assert_contains(&said, "the defect is not fixed");
        assert!(!said.contains("has fixed"), "{said}");
        assert_eq!(small.read("openapi/overlay.yaml"), before);
    }
}

#[test]
fn features_that_cargo_toml_lacks_are_named() {
    let small = Small::new();
    small.write("Cargo.toml", "[features]\nfull = []\nthings = []\n");
    let new = changed("2.0.0", |document| {
        document["paths"]["/things/{id}"]["get"]["tags"] = json!(["parts"]);
    });
    let said = small.run(&[&small.publish(&new)]);
    let needs = "Cargo.toml needs: feature `parts`, `parts` in the feature `full`, `things` in the";
    assert_contains(&said.text, needs);
    assert_contains(&small.read("target/drift/next.md"), &format!("- {needs}"));
}

#[test]
fn no_report_of_an_earlier_run_is_left() {
    let small = Small::new();
    small.write("mine/next.md", "old");
    small.write("mine/drift.md", "old");
    small.write("mine/notes.txt", "mine");
    let report = small.path("mine").to_string_lossy().into_owned();
    small.fails(small.command(&["./missing.json", "--report", &report]), 1);
    let left: Vec<_> = files(&small.path("mine")).into_keys().collect();
    assert_eq!(left, ["notes.txt"]);
}

#[test]
fn corrections_for_new_examples_are_proposed() {
    let small = Small::new();
    let new = changed("2.0.0", |document| {
        let thing = &mut document["components"]["schemas"]["thing"];
        thing["required"] = json!(["id", "name", "color"]);
        thing["properties"]["color"] = json!({ "type": "string" });
    });
    let said = small.run(&[&small.publish(&new)]);
    assert_contains(&said.text, "Examples do not fit their schemas, in 1 places");
    assert_contains(&small.read("target/drift/next.md"), "in 1 places: `overlay-proposal.yaml`");
    let proposal = small.read("target/drift/overlay-proposal.yaml");
    assert_contains(
        &proposal,
        "  - target: \"$.components.schemas['thing'].required[?@ == 'color']\"",
    );
    assert_contains(&proposal, "Examples: things/get (200 example), things/delete (200 example).");
    // Once there is nothing to propose, no old proposal is left.
    small.run(&[&small.publish(&reworded("3.0.0"))]);
    assert!(!small.path("target/drift/overlay-proposal.yaml").exists());
    assert!(!small.path("target/drift/next.md").exists());
}

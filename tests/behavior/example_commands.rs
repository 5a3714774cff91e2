//! The commands in the documents run the examples.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources;

const PACKAGE: &str = "-p octowire-examples ";

/// The examples, each with the feature that it requires, if there is one.
fn examples() -> BTreeMap<String, Option<String>> {
    let manifest = sources::text("examples/Cargo.toml");
    let sections = manifest.split("[[example]]").skip(1);
    let sections = sections.map(|section| {
        let value = |key: &str| {
            let mut lines = section.lines();
            lines.find_map(|line| line.strip_prefix(key)).map(str::to_owned)
        };
        let name = value("name = ").expect("an example has a name");
        let required = value("required-features = ");
        let required = required.map(|list| list.trim_matches(['[', ']', '"']).to_owned());
        (name.trim_matches('"').to_owned(), required)
    });
    sections.collect()
}

/// The documents with commands.
fn documents() -> Vec<String> {
    let mut documents =
        ["README.md", "CONTRIBUTING.md", "examples/README.md"].map(str::to_owned).to_vec();
    documents.extend(sources::names("docs/guide").map(|name| format!("docs/guide/{name}")));
    let programs = sources::names("examples").filter(|name| name.ends_with(".rs"));
    documents.extend(programs.map(|name| format!("examples/{name}")));
    documents
}

#[test]
fn each_command_names_the_package_and_the_features_of_its_example() {
    let examples = examples();
    let mut shown = BTreeSet::new();
    for document in documents() {
        let text = sources::text(&document);
        for line in text.lines() {
            let Some((before, after)) = line.split_once("--example ") else { continue };
            assert!(before.ends_with(PACKAGE), "{document}: no `{PACKAGE}` in: {line}");
            let mut words = after.split([' ', '`']);
            let name = words.next().unwrap_or_default();
            let required = examples.get(name);
            let required = required.unwrap_or_else(|| panic!("{document}: no example {name}"));
            let features = words.next().filter(|word| *word == "--features").and(words.next());
            let mut features = features.unwrap_or_default().split(',');
            if let Some(required) = required {
                assert!(
                    features.any(|it| it == required),
                    "{document}: no `{required}` in: {line}"
                );
            }
            if document == format!("examples/{name}.rs") {
                shown.insert(name.to_owned());
            }
        }
    }
    let all: BTreeSet<String> = examples.into_keys().collect();
    assert_eq!(shown, all, "the first lines of each example have its command");
}

#[test]
fn the_feature_all_has_the_feature_of_every_example() {
    let manifest = sources::text("examples/Cargo.toml");
    let all = manifest.split_once("\nall = [").and_then(|(_, rest)| rest.split_once("\n]"));
    let (all, _) = all.expect("a feature `all`");
    for required in examples().into_values().flatten() {
        assert!(all.contains(&format!("\"{required}\"")), "`{required}` is not in `all`");
    }
}

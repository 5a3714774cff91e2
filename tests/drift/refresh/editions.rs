//! Refreshes between real editions, forth and back: those in the folder that
//! `OCTOWIRE_VERSIONS` names (`22.0.0/generated/api.github.com.json`, …), where
//! `scripts/check-versions.sh --few` puts them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Copy, assert_contains, files, root};

fn refresh(copy: &Copy, document: &Path, options: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_octowire-refresh"))
        .arg("--root")
        .arg(copy.root())
        .arg(document)
        .args(options)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap()).concat();
    (output.status.code().unwrap_or(-1), text)
}

fn document(version: &str) -> Option<PathBuf> {
    let Some(folder) = env::var_os("OCTOWIRE_VERSIONS") else {
        println!(
            "skipped: OCTOWIRE_VERSIONS is not set, so there is no {version}; \
             scripts/check-versions.sh --few fetches it"
        );
        return None;
    };
    let path = Path::new(&folder).join(version).join("generated/api.github.com.json");
    assert!(path.exists(), "no {}", path.display());
    Some(path)
}

/// How many changes there are of which kind.
fn in_short(said: &str) -> &str {
    said.lines().find(|line| line.contains(" breaking, ")).unwrap_or(said)
}

/// To an older edition, which lacks some of what the overlay corrects, and back to the one that is
/// vendored, with its own overlay.
fn there_and_back(version: &str) {
    let Some(older) = document(version) else { return };
    let vendored = Copy::of(&root());
    let copy = Copy::of(&root());

    let (status, said) = refresh(&copy, &older, &[]);
    assert_eq!(status, 2, "{said}");
    assert_contains(&said, "of the overlay's actions do nothing any more");
    assert!(files(&copy.root().join("openapi")) == files(&vendored.root().join("openapi")));

    let (status, said) = refresh(&copy, &older, &["--prune-overlay"]);
    assert_eq!(status, 20, "{said}");
    println!("to {version}: {}", in_short(&said));
    let now = files(&copy.root().join("openapi"));
    assert!(now["api.github.com.json"] == std::fs::read(&older).unwrap(), "not byte for byte");

    let newer = vendored.root().join("openapi/api.github.com.json");
    let (status, said) = refresh(&copy, &newer, &[]);
    assert_eq!(status, 20, "{said}");
    println!("and back: {}", in_short(&said));
    // What was pruned is proposed again, since the defects are there again.
    let proposal = copy.root().join("target/drift/overlay-proposal.yaml");
    let proposal = std::fs::read_to_string(proposal).unwrap();
    assert_contains(
        &proposal,
        "['oidc-custom-property-inclusion'].required[?@ == 'inclusion_source']",
    );
    let now = files(&copy.root().join("openapi"));
    assert!(now["api.github.com.json"] == std::fs::read(&newer).unwrap(), "not byte for byte");
    let (status, said) = refresh(&copy, &newer, &[]);
    assert_eq!(status, 0, "{said}");
    assert_contains(&said, "Nothing to do");
}

#[test]
fn from_version_22_to_the_vendored_one_and_back() {
    there_and_back("22.0.0");
}

#[test]
fn from_version_16_to_the_vendored_one_and_back() {
    there_and_back("16.0.0");
}

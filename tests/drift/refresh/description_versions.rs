//! Refreshes between published versions, forward and back: those in the folder that
//! `OCTOWIRE_VERSIONS` names (`22.0.0/generated/api.github.com.json`, …), where
//! `scripts/check-versions.sh --few` puts them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use octowire_codegen::overlay::{self, Action};
use octowire_codegen::pipeline::CorrectedDescription;
use octowire_refresh::problem::{StaleActionReport, StaleResolution};
use octowire_refresh::prune::prune;

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

/// Deletes the actions that pruning leaves to a maintainer: those that refer to items missing in the older version.
fn settle(copy: &Copy, older: &Path) {
    let path = copy.root().join("openapi/overlay.yaml");
    let overlay = overlay::read(&path).unwrap();
    let mut stale = CorrectedDescription::read(older, &overlay).unwrap().stale;
    stale.retain(|action| action.dangling);
    if stale.is_empty() {
        return;
    }
    let before = files(&copy.root().join("openapi"));
    let (status, said) = refresh(copy, older, &["--prune-overlay"]);
    assert_eq!(status, 2, "{said}");
    assert_contains(&said, "the defect is not fixed");
    assert!(files(&copy.root().join("openapi")) == before);
    println!("{} actions are left to a person", stale.len());
    let stale: Vec<StaleActionReport> = stale
        .into_iter()
        .map(|action| StaleActionReport { action, fate: StaleResolution::Delete })
        .collect();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, prune(&text, &overlay, &stale).unwrap()).unwrap();
}

fn actions(path: &Path) -> Vec<Action> {
    overlay::read(path).unwrap().actions
}

/// Whether an action cites examples of the document that is vendored.
fn is_cited(action: &Action) -> bool {
    ["Example: ", "Examples: "].iter().any(|word| action.description.contains(word))
}

/// The number of changes of each kind.
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
    assert_contains(&said, "of the overlay's actions no longer have an effect");
    assert!(files(&copy.root().join("openapi")) == files(&vendored.root().join("openapi")));

    settle(&copy, &older);
    let (status, said) = refresh(&copy, &older, &["--prune-overlay"]);
    assert_eq!(status, 20, "{said}");
    println!("to {version}: {}", in_short(&said));
    let now = files(&copy.root().join("openapi"));
    assert!(now["api.github.com.json"] == std::fs::read(&older).unwrap(), "not byte for byte");

    let newer = vendored.root().join("openapi/api.github.com.json");
    let (status, said) = refresh(&copy, &newer, &[]);
    assert_eq!(status, 20, "{said}");
    println!("and back: {}", in_short(&said));
    // Pruned actions are proposed again, since the defects are present again.
    let ours = actions(&vendored.root().join("openapi/overlay.yaml"));
    let left = actions(&copy.root().join("openapi/overlay.yaml"));
    let is_left = |action: &Action| left.iter().any(|other| other.target == action.target);
    let pruned: Vec<&Action> = ours
        .iter()
        .filter(|it| !is_left(it) && it.description.contains(" yet ") && is_cited(it))
        .collect();
    let proposals = copy.root().join("target/drift/overlay-proposal.yaml");
    let proposals = if pruned.is_empty() { Vec::new() } else { actions(&proposals) };
    let is_proposed = |it: &&&Action| proposals.iter().any(|other| other.target == it.target);
    let again = pruned.iter().filter(is_proposed).count();
    println!("of {} actions that were pruned, {again} are proposed again", pruned.len());
    // Those that a person wrote in another way are not.
    assert!(again * 2 > pruned.len() || pruned.is_empty(), "{pruned:#?}");
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

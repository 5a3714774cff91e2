//! The vendored description in its current state.

use octowire_codegen::load;
use octowire_codegen::load::vendored::sha256;
use octowire_refresh::features;
use octowire_refresh::records::value;

use crate::support::{corrected, overlay, root};

#[test]
fn the_vendored_description_matches_upstream_toml() {
    let folder = root().join("openapi");
    load::vendored::load_vendored(
        &folder.join("api.github.com.json"),
        &folder.join("upstream.toml"),
    )
    .unwrap();
    let upstream = std::fs::read_to_string(folder.join("upstream.toml")).unwrap();
    let bytes = std::fs::read(folder.join("api.github.com.json")).unwrap();
    assert_eq!(value(&upstream, "sha256"), Some(sha256(&bytes)));
    let retrieved = value(&upstream, "retrieved").unwrap();
    assert!(retrieved.parse::<chrono::NaiveDate>().is_ok(), "{retrieved} is no date");
}

#[test]
fn the_overlay_is_for_the_version_that_is_vendored() {
    let read = |name: &str| std::fs::read_to_string(root().join("openapi").join(name)).unwrap();
    let version = value(&read("upstream.toml"), "version").unwrap();
    let line = format!("  version: \"{version}\"\n");
    assert!(read("overlay.yaml").contains(&line), "overlay.yaml does not say {}", line.trim());
}

#[test]
fn every_action_of_the_overlay_does_something() {
    let corrected = corrected(&overlay());
    assert!(corrected.stale.is_empty(), "{:#?}", corrected.stale);
}

#[test]
fn every_tag_of_the_description_has_a_feature() {
    let missing = features::missing(&root(), &corrected(&overlay()).document).unwrap();
    assert!(missing.is_empty(), "Cargo.toml needs: {missing:#?}");
}

//! The generated source of a few operations and one webhook, so that a change of the generator shows in review.
//!
//! `description.json` is an excerpt of GitHub's description, without its examples. It does not follow the
//! refreshes, so only a change of the generator changes the output. After such a change, write the output
//! again, and commit the difference:
//!
//! ```sh
//! OCTOWIRE_UPDATE_GOLDEN=1 cargo test -p octowire-codegen --test golden
//! ```

use std::path::{Path, PathBuf};
use std::{env, fs};

use octowire_codegen::overlay::{self, Overlay};
use octowire_codegen::pipeline::{CorrectedDescription, Sources};
use octowire_codegen::reserved_scopes::ReservedScopes;
use octowire_codegen::select::Features;
use octowire_codegen::{Result, load};

/// The variable with which the test writes the files instead of comparing them.
const UPDATE: &str = "OCTOWIRE_UPDATE_GOLDEN";

/// Corrects one property, so that the output has an effect of the overlay.
const OVERLAY: &str = "\
overlay: 1.0.0
actions:
  - target: $.components.schemas['org-private-registry-configuration'].properties.username
    description: An example of an action.
    update: { nullable: true, description: The name that the overlay describes. }
";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn generate() -> Result<Sources> {
    let description = load::load(&folder().join("description.json"))?;
    let overlay: Overlay = overlay::parse(OVERLAY)?;
    let corrected = CorrectedDescription::new(description, &overlay)?;
    corrected.check_effective()?;
    let is_enabled = |feature: &str| ["full", "webhooks-full"].contains(&feature);
    let features = Features::Enabled(&is_enabled);
    Ok(corrected.generate(&[], &ReservedScopes::default(), features)?.sources)
}

/// The first line in which two texts differ, with its number.
fn difference(golden: &str, now: &str) -> String {
    let mut lines = golden.lines().zip(now.lines()).enumerate();
    match lines.find(|(_, (golden, now))| golden != now) {
        Some((index, (golden, now))) => format!("line {}:\n- {golden}\n+ {now}", index + 1),
        None => format!("{} lines, and {} now", golden.lines().count(), now.lines().count()),
    }
}

#[test]
fn the_generated_source_is_that_of_the_golden_files() {
    let sources = generate().unwrap_or_else(|error| panic!("{error}"));
    let mut differ = Vec::new();
    for (name, now) in sources.files() {
        let path = folder().join(name);
        if env::var_os(UPDATE).is_some() {
            fs::write(&path, now).expect("the golden file is written");
        }
        let golden = fs::read_to_string(&path).unwrap_or_default();
        if golden != now {
            differ.push(format!("{name}, {}", difference(&golden, now)));
        }
    }
    assert!(
        differ.is_empty(),
        "the generated source has changed: look at the difference, and write it with {UPDATE}=1\n{}",
        differ.join("\n")
    );
}

//! Generates Rust source from GitHub's OpenAPI description: reads the files of `openapi/`, runs the pipeline of
//! the crate `octowire-codegen`, and saves its results.

use std::path::{Path, PathBuf};
use std::{env, fs, process::ExitCode};

use octowire_codegen::pipeline::CorrectedDescription;
use octowire_codegen::reserved_scopes::ReservedScopes;
use octowire_codegen::select::{Features, feature_variable};
use octowire_codegen::{Error, Result, corrections, load, required};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One clear error, without the output of a panic.
            println!(
                "cargo::error=octowire cannot be generated from the OpenAPI document: {error}"
            );
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let openapi = root.join("openapi");
    for input in ["build.rs", "openapi"] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    println!("cargo::rerun-if-env-changed=OCTOWIRE_OPENAPI");

    // The tests check the checksum and the scopes of the vendored description, so only another description needs the
    // methods of `Client`.
    let (corrected, reserved_scopes) = match env::var_os("OCTOWIRE_OPENAPI").map(PathBuf::from) {
        None => {
            let description = load::load(&openapi.join("api.github.com.json"))?;
            let corrections = corrections::read(&openapi)?;
            let corrected = CorrectedDescription::vendored(description, &corrections)?;
            (corrected, ReservedScopes::default())
        }
        Some(other) => {
            println!("cargo::rerun-if-changed={}", other.display());
            println!("cargo::warning=octowire is generated from {}", other.display());
            (custom(&other, &openapi)?, ReservedScopes::read(&root.join("src"))?)
        }
    };
    let not_required = required::read(&openapi.join(required::FILE))?;
    let is_enabled = |feature: &str| env::var_os(feature_variable(feature)).is_some();
    let generated =
        corrected.generate(&not_required, &reserved_scopes, Features::Enabled(&is_enabled))?;

    let out = PathBuf::from(variable("OUT_DIR")?);
    for (name, source) in generated.sources.files() {
        let target = out.join(name);
        fs::write(&target, source).map_err(|e| {
            Error::new("write", "", format!("cannot write {}: {e}", target.display()))
        })?;
    }
    Ok(())
}

/// Reads another description, and applies the overlay. Fails if an action has no effect that it should have.
#[cfg(feature = "custom-openapi")]
fn custom(description: &Path, openapi: &Path) -> Result<CorrectedDescription> {
    use octowire_codegen::overlay;

    let overlay = overlay::read(&openapi.join(overlay::FILE))?;
    let corrected = CorrectedDescription::read(description, &overlay)?;
    corrected.check_effective()?;
    // With all names of each shared type, which the refresh finds.
    let type_names = corrections::read(openapi)?.type_names();
    Ok(CorrectedDescription { type_names, ..corrected })
}

#[cfg(not(feature = "custom-openapi"))]
fn custom(_: &Path, _: &Path) -> Result<CorrectedDescription> {
    let message = "OCTOWIRE_OPENAPI is set; enable the feature `custom-openapi` of octowire";
    Err(Error::new("overlay", "", message))
}

fn variable(name: &'static str) -> Result<String> {
    env::var(name).map_err(|e| Error::new("build", "", format!("{name}: {e}; run this with Cargo")))
}

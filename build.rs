//! Generates Rust source from GitHub's OpenAPI description: reads the files of `openapi/`, runs the pipeline of
//! the crate `octowire-codegen`, and saves its results.

use std::{env, fs, path::PathBuf, process::ExitCode};

use octowire_codegen::pipeline::{self, Inputs};
use octowire_codegen::reserved_scopes::ReservedScopes;
use octowire_codegen::select::{Features, feature_variable};
use octowire_codegen::{Error, Result, load};

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
    let (document, reserved_scopes) = match env::var_os("OCTOWIRE_OPENAPI").map(PathBuf::from) {
        None => (openapi.join("api.github.com.json"), ReservedScopes::default()),
        Some(other) => {
            println!("cargo::rerun-if-changed={}", other.display());
            println!("cargo::warning=octowire is generated from {}", other.display());
            (other, ReservedScopes::read(&root.join("src"))?)
        }
    };
    let description = load::load(&document)?;
    let inputs = Inputs::read(&openapi, reserved_scopes)?;
    let is_enabled = |feature: &str| env::var_os(feature_variable(feature)).is_some();
    let generated = pipeline::run(description, &inputs, Features::Enabled(&is_enabled))?;

    let out = PathBuf::from(variable("OUT_DIR")?);
    for (name, source) in generated.sources.files() {
        let target = out.join(name);
        fs::write(&target, source).map_err(|e| {
            Error::new("write", "", format!("cannot write {}: {e}", target.display()))
        })?;
    }
    Ok(())
}

fn variable(name: &'static str) -> Result<String> {
    env::var(name).map_err(|e| Error::new("build", "", format!("{name}: {e}; run this with Cargo")))
}

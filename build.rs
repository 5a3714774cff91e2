//! From GitHub's OpenAPI document to Rust source, in nine stages.

#[path = "build/mod.rs"]
mod build;

use std::{env, fs, path::PathBuf, process::ExitCode};

use build::{
    Error, Result, generate, model, normalize, operations, overlay, refine, select, tolerate,
    verify, write,
};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One clear error, without the noise of a panic.
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
    for input in ["build.rs", "build", "openapi"] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    println!("cargo::rerun-if-env-changed=OCTOWIRE_OPENAPI");

    let mut document = match env::var_os("OCTOWIRE_OPENAPI").map(PathBuf::from) {
        None => {
            verify::vendored(&openapi.join("api.github.com.json"), &openapi.join("upstream.toml"))?
        }
        Some(other) => {
            println!("cargo::rerun-if-changed={}", other.display());
            println!("cargo::warning=octowire is generated from {}", other.display());
            verify::other(&other)?
        }
    };
    let name = overlay::document_name(&document);
    let version = document["info"]["version"].as_str().unwrap_or_default().to_owned();
    let schema_names = normalize::schema_names(&document);

    overlay::apply(&mut document, &overlay::read(&openapi.join("overlay.yaml"))?, &name)?;
    let tags = chosen_tags(&document);
    select::select(&mut document, &tags)?;
    let operations = operations::describe(&document)?;
    let mut document = normalize::normalize(&document, &operations, &schema_names)?;
    tolerate::tolerate(&mut document)?;
    let tokens = generate::generate(&document)?;
    let refined = refine::refine(model::read(tokens)?, operations)?;
    save("api.rs", &write::write(&refined, &name, &version)?)?;
    save("decoders.rs", &write::decoders(&refined))
}

fn save(name: &str, source: &str) -> Result<()> {
    let target = PathBuf::from(variable("OUT_DIR")?).join(name);
    fs::write(&target, source)
        .map_err(|e| Error::new("write", "", format!("cannot write {}: {e}", target.display())))
}

/// The tags whose Cargo features are on.
fn chosen_tags(document: &serde_json::Value) -> select::Tags {
    if env::var_os("CARGO_FEATURE_FULL").is_some() {
        return select::Tags::All;
    }
    let is_on = |tag: &&str| env::var_os(select::feature_variable(tag)).is_some();
    select::Tags::Only(
        select::tags(document).into_keys().filter(is_on).map(str::to_owned).collect(),
    )
}

fn variable(name: &'static str) -> Result<String> {
    env::var(name).map_err(|e| Error::new("build", "", format!("{name}: {e}; run this with Cargo")))
}

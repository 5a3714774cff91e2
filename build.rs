//! Generates Rust source from GitHub's OpenAPI description, in ten stages.

#[path = "build/mod.rs"]
mod build;

use std::{env, fs, path::PathBuf, process::ExitCode};

use build::select::Selection;
use build::{
    Error, Result, embed, generate, model, normalize, operations, overlay, refine, required,
    select, tolerate, verify, webhooks, write,
};

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
    for input in ["build.rs", "build", "openapi"] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    println!("cargo::rerun-if-env-changed=OCTOWIRE_OPENAPI");

    let mut document = match env::var_os("OCTOWIRE_OPENAPI").map(PathBuf::from) {
        None => verify::load_vendored(
            &openapi.join("api.github.com.json"),
            &openapi.join("upstream.toml"),
        )?,
        Some(other) => {
            println!("cargo::rerun-if-changed={}", other.display());
            println!("cargo::warning=octowire is generated from {}", other.display());
            verify::load_custom(&other)?
        }
    };
    let name = overlay::document_name(&document);
    let version = document["info"]["version"].as_str().unwrap_or_default().to_owned();
    let schema_names = normalize::schema_names(&document);

    overlay::apply(&mut document, &overlay::read(&openapi.join("overlay.yaml"))?, &name)?;
    required::relax(&mut document, &required::read(&openapi.join(required::FILE))?);
    if is_on("CARGO_FEATURE_CONTRACT") {
        save("document.json", &embed::runtime_description(&document))?;
    }
    let (tags, events) = (chosen_tags(&document), chosen_events(&document));
    select::select(&mut document, &tags, &events)?;
    let operations = operations::describe(&document)?;
    let webhooks = webhooks::describe(&document)?;
    let mut document = normalize::normalize(&document, &operations, &webhooks, &schema_names)?;
    tolerate::split_read_write(&mut document)?;
    let tokens = generate::generate(&document)?;
    let refined = refine::lower(model::read(tokens)?, operations, webhooks)?;
    save("api.rs", &write::write(&refined, &name, &version)?)?;
    save("events.rs", &write::events(&refined)?)?;
    save("decoders.rs", &write::decoders(&refined))?;
    save("unions.rs", &write::unions(&refined))
}

fn save(name: &str, source: &str) -> Result<()> {
    let target = PathBuf::from(variable("OUT_DIR")?).join(name);
    fs::write(&target, source)
        .map_err(|e| Error::new("write", "", format!("cannot write {}: {e}", target.display())))
}

/// The tags whose Cargo features are enabled.
fn chosen_tags(document: &serde_json::Value) -> Selection {
    if is_on("CARGO_FEATURE_FULL") {
        return Selection::All;
    }
    let tags = select::tags(document).into_keys();
    let chosen = tags.filter(|tag| is_on(&select::feature_variable(tag)));
    Selection::Only(chosen.map(str::to_owned).collect())
}

/// The webhook events whose Cargo features are enabled.
fn chosen_events(document: &serde_json::Value) -> Selection {
    if is_on("CARGO_FEATURE_WEBHOOKS") {
        return Selection::All;
    }
    let events = select::events(document).into_iter();
    Selection::Only(events.filter(|event| is_on(&select::event_feature_variable(event))).collect())
}

fn is_on(feature: &str) -> bool {
    env::var_os(feature).is_some()
}

fn variable(name: &'static str) -> Result<String> {
    env::var(name).map_err(|e| Error::new("build", "", format!("{name}: {e}; run this with Cargo")))
}

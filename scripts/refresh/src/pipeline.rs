//! All stages of the build on a complete description, as `build.rs` runs them.

use std::path::Path;

use serde_json::Value;

use crate::build::overlay::{Overlay, Stale};
use crate::build::refine::Refined;
use crate::build::required::NotRequired;
use crate::build::select::Choice;
use crate::build::{
    Result, generate, model, normalize, operations, overlay, refine, required, select, tolerate,
    verify, webhooks, write,
};

/// A description with the overlay's corrections.
pub struct Corrected {
    pub document: Value,
    /// `api.github.com`
    pub name: String,
    /// The actions without effect on it.
    pub stale: Vec<Stale>,
}

/// Corrects a description by the matching actions of the overlay.
pub fn correct(mut document: Value, overlay: &Overlay) -> Result<Corrected> {
    let name = overlay::document_name(&document);
    let stale = overlay::apply_what_matches(&mut document, overlay, &name)?;
    Ok(Corrected { document, name, stale })
}

/// Reads a description of any edition, and corrects it.
pub fn correct_file(path: &Path, overlay: &Overlay) -> Result<Corrected> {
    correct(verify::other(path)?, overlay)
}

/// Runs a corrected description through the remaining stages, up to the source. The properties in
/// `not_required` are optional in responses.
pub fn generate(corrected: &Corrected, not_required: &[NotRequired]) -> Result<Refined> {
    let mut document = corrected.document.clone();
    required::relax(&mut document, not_required);
    let version = document["info"]["version"].as_str().unwrap_or_default().to_owned();
    let schema_names = normalize::schema_names(&document);
    select::select(&mut document, &Choice::All, &Choice::All)?;
    let operations = operations::describe(&document)?;
    let webhooks = webhooks::describe(&document)?;
    let mut document = normalize::normalize(&document, &operations, &webhooks, &schema_names)?;
    tolerate::tolerate(&mut document)?;
    let tokens = generate::generate(&document)?;
    let refined = refine::refine(model::read(tokens)?, operations, webhooks)?;
    write::write(&refined, &corrected.name, &version)?;
    write::events(&refined)?;
    write::decoders(&refined);
    write::unions(&refined);
    Ok(refined)
}

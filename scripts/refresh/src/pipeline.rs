//! The build's stages, all of them and on everything, as `build.rs` runs them.

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

/// A document with the overlay's corrections.
pub struct Corrected {
    pub document: Value,
    /// `api.github.com`
    pub name: String,
    /// The actions that do nothing to it.
    pub stale: Vec<Stale>,
}

/// Corrects a document by what of the overlay matches.
pub fn correct(mut document: Value, overlay: &Overlay) -> Result<Corrected> {
    let name = overlay::document_name(&document);
    let stale = overlay::apply_what_matches(&mut document, overlay, &name)?;
    Ok(Corrected { document, name, stale })
}

/// Reads a document of any edition, and corrects it.
pub fn correct_file(path: &Path, overlay: &Overlay) -> Result<Corrected> {
    correct(verify::other(path)?, overlay)
}

/// Takes a document with its corrections through the stages that are left, up to the source.
/// Responses need not have `not_required`.
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

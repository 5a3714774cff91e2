//! All stages of the build on a complete description, as `build.rs` runs them.

use std::path::Path;

use serde_json::Value;

use crate::build::overlay::{Overlay, StaleAction};
use crate::build::refine::ApiModel;
use crate::build::required::NotRequired;
use crate::build::select::Selection;
use crate::build::{
    Result, generate, model, normalize, operations, overlay, refine, required, select, tolerate,
    verify, webhooks, write,
};

/// A description with the overlay's corrections.
pub struct PatchedDescription {
    pub document: Value,
    /// `api.github.com`
    pub name: String,
    /// The actions without effect on it.
    pub stale: Vec<StaleAction>,
}

/// Corrects a description by the matching actions of the overlay.
pub fn correct(mut document: Value, overlay: &Overlay) -> Result<PatchedDescription> {
    let name = overlay::document_name(&document);
    let stale = overlay::apply_what_matches(&mut document, overlay, &name)?;
    Ok(PatchedDescription { document, name, stale })
}

/// Reads a description of any edition, and corrects it.
pub fn correct_file(path: &Path, overlay: &Overlay) -> Result<PatchedDescription> {
    correct(verify::load_custom(path)?, overlay)
}

/// Runs a corrected description through the remaining stages, up to the source. The properties in
/// `not_required` are optional in responses.
pub fn generate(corrected: &PatchedDescription, not_required: &[NotRequired]) -> Result<ApiModel> {
    let mut document = corrected.document.clone();
    required::relax(&mut document, not_required);
    let version = document["info"]["version"].as_str().unwrap_or_default().to_owned();
    let schema_names = normalize::schema_names(&document);
    select::select(&mut document, &Selection::All, &Selection::All)?;
    let operations = operations::describe(&document)?;
    let webhooks = webhooks::describe(&document)?;
    let mut document = normalize::normalize(&document, &operations, &webhooks, &schema_names)?;
    tolerate::split_read_write(&mut document)?;
    let tokens = generate::generate(&document)?;
    let refined = refine::lower(model::read(tokens)?, operations, webhooks)?;
    write::write(&refined, &corrected.name, &version)?;
    write::events(&refined)?;
    write::decoders(&refined);
    write::unions(&refined);
    Ok(refined)
}

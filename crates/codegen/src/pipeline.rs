//! The order of the stages: from GitHub's OpenAPI description to Rust source.
//!
//! Each stage is a method of its predecessor's result, so that no stage can run before another that it needs.
//! [`CorrectedDescription::generate`] is the chain of those after the first. The build script, the refresh and the tests
//! all use these methods.
//!
//! ```text
//! overlay → required → select → normalize → split_directions → generate → parse → lower → write
//! ```

use std::collections::BTreeSet;
#[cfg(feature = "overlay")]
use std::path::Path;

use serde_json::Value;

#[cfg(feature = "overlay")]
use crate::corrections::Correction;
use crate::corrections::Corrections;
use crate::error::Result;
use crate::function_names::FunctionNames;
use crate::hints::{HintTable, ValueTable};
use crate::lower::ApiModel;
use crate::operations::Operation;
#[cfg(feature = "overlay")]
use crate::overlay::{Overlay, StaleAction};
use crate::required::NotRequired;
use crate::reserved_scopes::ReservedScopes;
use crate::select::{Features, Selections};
use crate::type_names::TypeNames;
use crate::webhooks::Webhook;
use crate::{
    corrections, document, generate, lower, normalize, operations, parse_progenitor, required,
    runtime_description, select, split_directions, webhooks, write,
};
#[cfg(feature = "overlay")]
use crate::{load, overlay};

/// A description with the overlay's corrections.
#[derive(Debug, Clone)]
pub struct CorrectedDescription {
    /// The description.
    pub document: Value,
    /// The variant of the description: `api.github.com`, `ghec`, `ghes-3.19`.
    pub name: String,
    /// What the actions of the overlay have changed.
    #[cfg(feature = "overlay")]
    pub corrections: Vec<Correction>,
    /// The actions without effect on it.
    #[cfg(feature = "overlay")]
    pub stale: Vec<StaleAction>,
    /// The overlay's names of generated types.
    pub type_names: TypeNames,
}

impl CorrectedDescription {
    /// Stage `overlay` of the vendored description: applies the corrections that were resolved for it.
    pub fn vendored(mut document: Value, corrections: &Corrections) -> Result<Self> {
        corrections::apply(&mut document, corrections)?;
        let name = document::document_name(&document);
        Ok(Self {
            document,
            name,
            #[cfg(feature = "overlay")]
            corrections: Vec::new(),
            #[cfg(feature = "overlay")]
            stale: Vec::new(),
            type_names: corrections.type_names(),
        })
    }

    /// Stage `overlay` of any description: applies every action that matches.
    #[cfg(feature = "overlay")]
    pub fn new(mut document: Value, overlay: &Overlay) -> Result<Self> {
        let name = document::document_name(&document);
        let applied = overlay::apply_what_matches(&mut document, overlay, &name)?;
        let overlay::Applied { corrections, stale } = applied;
        Ok(Self { document, name, corrections, stale, type_names: overlay.type_names() })
    }

    /// Reads a description of any variant, and applies every action that matches.
    #[cfg(feature = "overlay")]
    pub fn read(path: &Path, overlay: &Overlay) -> Result<Self> {
        Self::new(load::load(path)?, overlay)
    }

    /// Fails if an action of the overlay has no effect: GitHub has corrected the defect, and the action can
    /// be removed.
    #[cfg(feature = "overlay")]
    pub fn check_effective(&self) -> Result<()> {
        match self.stale.first() {
            None => Ok(()),
            Some(stale) => Err(stale.into()),
        }
    }

    /// Runs all further stages.
    pub fn generate(
        self,
        not_required: &[NotRequired],
        reserved_scopes: &ReservedScopes,
        features: Features<'_>,
    ) -> Result<GeneratedApi> {
        self.relax(not_required)
            .select(features)?
            .normalize()?
            .split_directions()?
            .lower()?
            .write(reserved_scopes)
    }

    /// Stage `required`: makes these properties optional in responses.
    #[must_use]
    pub fn relax(mut self, not_required: &[NotRequired]) -> Self {
        required::relax(&mut self.document, not_required);
        self
    }

    /// Stage `select`: keeps the parts that the features select, and describes them.
    pub fn select(self, features: Features<'_>) -> Result<SelectedDescription> {
        let Self { mut document, name, type_names, .. } = self;
        let schema_names = normalize::schema_names(&document);
        let runtime_description = features
            .needs_runtime_description()
            .then(|| runtime_description::runtime_description(&document));
        let Selections { tags, events } = features.selections(&document);
        select::select(&mut document, &tags, &events)?;
        let operations = operations::describe(&document)?;
        let webhooks = webhooks::describe(&document)?;
        let functions = FunctionNames::assign(
            operations.iter().map(|operation| operation.id.as_str()),
            webhooks.iter().map(|webhook| webhook.key.as_str()),
        );
        let version = document["info"]["version"].as_str().unwrap_or_default().to_owned();
        let parts = Parts {
            name,
            version,
            runtime_description,
            operations,
            webhooks,
            functions,
            type_names,
        };
        Ok(SelectedDescription { document, schema_names, parts })
    }
}

/// Parts of the description that later stages need and its rewritten form lacks.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The variant of the description.
    pub name: String,
    /// The version of the description.
    pub version: String,
    /// The description as the library embeds it, if a feature needs it.
    pub runtime_description: Option<String>,
    /// The selected operations.
    pub operations: Vec<Operation>,
    /// The selected webhooks.
    pub webhooks: Vec<Webhook>,
    /// The functions that progenitor generates for them.
    pub functions: FunctionNames,
    /// The overlay's names of generated types.
    pub type_names: TypeNames,
}

/// The selected part of a description.
#[derive(Debug, Clone)]
pub struct SelectedDescription {
    /// The description, with the selected operations and webhooks, and the components that they reach.
    pub document: Value,
    /// The component schemas of the whole description.
    pub schema_names: BTreeSet<String>,
    /// The selected operations and webhooks.
    pub parts: Parts,
}

impl SelectedDescription {
    /// Stage `normalize`: reduces the description to the keywords that progenitor and typify support.
    pub fn normalize(self) -> Result<NormalizedDescription> {
        let Self { document, schema_names, parts } = self;
        let (document, values) = normalize::normalize(&document, &parts, &schema_names)?;
        Ok(NormalizedDescription { document, values, parts })
    }
}

/// A description in the keywords that progenitor and typify support.
#[derive(Debug, Clone)]
pub struct NormalizedDescription {
    /// The description.
    pub document: Value,
    /// The documented values of properties.
    pub values: ValueTable,
    /// Its operations and webhooks.
    pub parts: Parts,
}

impl NormalizedDescription {
    /// Stage `split_directions`: separates the schemas of requests and responses.
    pub fn split_directions(self) -> Result<SplitDescription> {
        let Self { mut document, values, parts } = self;
        let hints = split_directions::split_directions(&mut document, &values)?;
        Ok(SplitDescription { document, hints, parts })
    }
}

/// A description whose requests and responses share no schema.
#[derive(Debug, Clone)]
pub struct SplitDescription {
    /// The description.
    pub document: Value,
    /// The metadata of properties that typify drops.
    pub hints: HintTable,
    /// Its operations and webhooks.
    pub parts: Parts,
}

impl SplitDescription {
    /// Stages `generate`, `parse_progenitor` and `lower`: the types and the calls.
    pub fn lower(self) -> Result<LoweredApi> {
        let Self { document, hints, parts } = self;
        let tokens = generate::generate(&document)?;
        let model = parse_progenitor::read(tokens, &hints)?;
        let Parts {
            name,
            version,
            runtime_description,
            operations,
            webhooks,
            functions,
            type_names,
        } = parts;
        let model = lower::lower(model, operations, webhooks, &functions, &type_names)?;
        Ok(LoweredApi { model, name, version, runtime_description })
    }
}

/// The types and the calls.
pub struct LoweredApi {
    /// The types and the calls.
    pub model: ApiModel,
    name: String,
    version: String,
    runtime_description: Option<String>,
}

impl LoweredApi {
    /// Stage `write`: prints the source.
    pub fn write(self, reserved_scopes: &ReservedScopes) -> Result<GeneratedApi> {
        let Self { model, name, version, runtime_description } = self;
        let sources = Sources {
            api: write::write(&model, &name, &version, reserved_scopes)?,
            events: write::events(&model)?,
            decoders: write::decoders(&model),
            unions: write::unions(&model),
            runtime_description,
        };
        Ok(GeneratedApi { model, sources })
    }
}

/// The result of the pipeline.
pub struct GeneratedApi {
    /// The types and the calls.
    pub model: ApiModel,
    /// The source that was written of them.
    pub sources: Sources,
}

/// The generated files.
pub struct Sources {
    /// The types, the calls and the operation table.
    pub api: String,
    /// The events of webhooks.
    pub events: String,
    /// The decoder of each operation's response, for the tests.
    pub decoders: String,
    /// The unions in responses with samples, for the tests.
    pub unions: String,
    /// The description as JSON, if a feature needs it at run time.
    pub runtime_description: Option<String>,
}

impl Sources {
    /// The files, by name.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let sources = [
            ("api.rs", self.api.as_str()),
            ("events.rs", &self.events),
            ("decoders.rs", &self.decoders),
            ("unions.rs", &self.unions),
        ];
        let description = self.runtime_description.as_deref();
        sources.into_iter().chain(description.map(|text| ("document.json", text)))
    }
}

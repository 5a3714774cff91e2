//! The refresh, from the old description to the new one.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::{fs, mem};

use serde_json::Value;

use crate::drift::{self, DriftReport};
use crate::examples::{self, Proposal};
use crate::options::{Options, Source};
use crate::problem::{Problem, Result, StaleActionReport};
use crate::required::{self, NotRequired, OtherVersions, Version};
use crate::source::{self, Published};
use crate::swap::ReplacementTransaction;
use crate::{description_versions, features, index, payloads, prune, records, report};
use octowire_codegen::model::Definition;
use octowire_codegen::overlay::{self, Overlay};
use octowire_codegen::pipeline::CorrectedDescription;
use octowire_codegen::required::relax;
use octowire_codegen::reserved_scopes::ReservedScopes;
use octowire_codegen::select::Features;
use octowire_codegen::{corrections, load, webhooks};

const DOCUMENT: &str = "api.github.com.json";
const UPSTREAM: &str = "upstream.toml";
const OVERLAY: &str = overlay::FILE;
const LICENSE: &str = "LICENSE";

/// The vendored files.
struct Vendored {
    document: Value,
    upstream: String,
    overlay_text: String,
    overlay: Overlay,
    not_required: Vec<NotRequired>,
    reserved_scopes: ReservedScopes,
}

impl Vendored {
    fn read(root: &Path) -> Result<Self> {
        let folder = root.join("openapi");
        let text = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(|e| Problem::at(&path, "read", &e))
        };
        Ok(Self {
            document: load::vendored::load_vendored(
                &folder.join(DOCUMENT),
                &folder.join(UPSTREAM),
            )?,
            upstream: text(UPSTREAM)?,
            overlay: overlay::read(&folder.join(OVERLAY))?,
            overlay_text: text(OVERLAY)?,
            not_required: not_required_before(&folder.join(required::FILE))?,
            reserved_scopes: features::reserved_scopes(root)?,
        })
    }

    fn upstream_value(&self, key: &str) -> String {
        records::value(&self.upstream, key).unwrap_or_default()
    }

    /// Returns whether the description is already vendored.
    fn is(&self, published: &Published) -> bool {
        self.upstream_value("package") == published.package
            && self.upstream_value("version") == published.version
            && self.upstream_value("sha256") == load::vendored::sha256(&published.bytes)
    }
}

/// Imports a description; returns the exit status. If it returns an error, nothing has changed.
pub fn run(options: &Options, source: &Source, out: &mut impl Write) -> Result<u8> {
    let mut say = |text: String| writeln!(out, "{text}").map_err(Problem::failed);
    let staging = ReplacementTransaction::open(&options.root)?;
    if staging.repaired {
        say("An earlier refresh was interrupted: openapi/ has been restored.".to_owned())?;
    }
    report::clear(&options.report())?;
    let vendored = Vendored::read(&options.root)?;
    let mut published = source::fetch(source, &staging.work()?)?;
    let which = format!("{} {}", published.package, published.version);
    if vendored.is(&published) {
        say(format!(
            "Nothing to do: openapi/ already has {which}, since {}.",
            vendored.upstream_value("retrieved")
        ))?;
        return Ok(0);
    }
    say(format!("{which}: {} bytes", published.bytes.len()))?;

    let others = published.others.take();
    let others = others.as_deref();
    let not_required = not_required(&vendored, &published, others);
    let before = CorrectedDescription::new(vendored.document, &vendored.overlay)?;
    let after = CorrectedDescription::new(mem::take(&mut published.document), &vendored.overlay)?;
    // Like the types: a property that not every version requires is an `Option`.
    let relaxed = |document: &Value, list: &[NotRequired]| {
        let mut document = document.clone();
        relax(&mut document, list);
        document
    };
    let drift = drift::compare(
        &relaxed(&before.document, &vendored.not_required),
        &relaxed(&after.document, &not_required),
    );
    let drift = drift.map_err(Problem::failed)?;
    let of_required = required::changes(&vendored.not_required, &not_required);
    report::write_drift(&options.report(), &drift, of_required.as_deref())?;

    let stale = description_versions::stale(&after, &vendored.overlay, others);
    let can_be_pruned = |action: &StaleActionReport| options.prune && action.can_be_pruned();
    if !stale.iter().all(can_be_pruned) {
        return Err(Problem::Stale(stale));
    }
    let overlay = prune::prune(&vendored.overlay_text, &vendored.overlay, &stale)?;
    let generated =
        after.clone().generate(&not_required, &vendored.reserved_scopes, Features::All)?;
    let proposals = examples::proposals(&after.document, &payloads::read(&options.root)?)?;
    propose(options, &proposals, &after, &vendored.overlay, others)?;
    let features = features::missing(&options.root, &after.document)?;
    let left = left(&proposals, &features);
    report::write(&options.report(), report::NEXT, left.as_deref())?;
    let index = index::index(&generated.model, &webhooks::describe(&after.document)?);

    if !options.check {
        let upstream = records::upstream(&vendored.upstream, &published, &records::today());
        let overlay = records::overlay_version(&overlay, &published.version)?;
        let corrections = resolve_corrections(&published.bytes, &overlay, &generated.model.types)?;
        let mut files = vec![
            (DOCUMENT, published.bytes),
            (UPSTREAM, upstream.into_bytes()),
            (OVERLAY, overlay.into_bytes()),
            (corrections::FILE, corrections.into_bytes()),
            (index::FILE, index.into_bytes()),
            (required::FILE, required::render(&not_required).into_bytes()),
        ];
        files.extend(published.license_text.map(|text| (LICENSE, text)));
        staging.replace(&files)?;
    }
    let mut summary = report::summary(&drift);
    summary.push_str(of_required.as_deref().unwrap_or_default());
    if !stale.is_empty() {
        let actions: String = stale.iter().map(ToString::to_string).collect();
        summary.push_str(&format!("\nThe overlay was pruned, except for the comments:\n{actions}"));
    }
    // Standard output might be closed, but the refresh has been done.
    let _ = say(summary + "\n" + &next(options, &drift, &proposals, &features, &which));
    Ok(report::status(&drift))
}

/// The optional properties of responses after the refresh: the previously vendored description becomes one of
/// the other versions.
fn not_required(
    vendored: &Vendored,
    published: &Published,
    others: Option<&[PathBuf]>,
) -> Vec<NotRequired> {
    let versions = others.map(OtherVersions::read);
    let before =
        Version { name: vendored.upstream_value("version"), document: vendored.document.clone() };
    let known = &vendored.not_required;
    required::collect(&published.document, &[before], versions.as_ref(), known)
}

/// The content of the file; empty if it does not exist yet.
fn not_required_before(path: &Path) -> Result<Vec<NotRequired>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(required::parse(&text)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Problem::at(path, "read", &error)),
    }
}

/// Writes the properties that not all versions in a folder require.
pub fn write_required(options: &Options, folder: &Path) -> Result<()> {
    let staging = ReplacementTransaction::open(&options.root)?;
    let vendored = Vendored::read(&options.root)?;
    let version = vendored.upstream_value("version");
    let properties = required::from_folder(&vendored.document, &version, folder)?;
    staging.replace(&[(required::FILE, required::render(&properties).into_bytes())])
}

/// Writes the proposals, if there are any.
fn propose(
    options: &Options,
    proposals: &[Proposal],
    after: &CorrectedDescription,
    overlay: &Overlay,
    others: Option<&[PathBuf]>,
) -> Result<()> {
    let mut text = None;
    if !proposals.is_empty() {
        let mut all = vec![(after.name.clone(), after.document.clone())];
        all.extend(
            description_versions::corrected(others, overlay)
                .map(|other| (other.name, other.document)),
        );
        text = Some(examples::render(proposals, &after.document, &all));
    }
    report::write(&options.report(), report::PROPOSAL, text.as_deref())
}

/// The further steps that the description requires, in Markdown, for the description of a pull request.
fn left(proposals: &[Proposal], features: &[String]) -> Option<String> {
    let mut text = String::new();
    if !features.is_empty() {
        text.push_str(&format!("- Cargo.toml needs: {}.\n", features.join(", ")));
    }
    if !proposals.is_empty() {
        text.push_str(&format!(
            "- Examples do not fit their schemas, in {} places: `{}` proposes overlay actions.\n",
            proposals.len(),
            report::PROPOSAL
        ));
    }
    (!text.is_empty()).then(|| format!("## Left to do\n\n{text}"))
}

/// The next steps, in words.
fn next(
    options: &Options,
    drift: &DriftReport,
    proposals: &[Proposal],
    features: &[String],
    which: &str,
) -> String {
    let folder = options.report();
    let mut text = format!(
        "The full report is in {} and {}.\n",
        folder.join(report::MARKDOWN).display(),
        folder.join(report::JSON).display()
    );
    if !proposals.is_empty() {
        text.push_str(&format!(
            "Examples do not fit their schemas, in {} places: {} proposes overlay actions.\n",
            proposals.len(),
            folder.join(report::PROPOSAL).display()
        ));
    }
    if !features.is_empty() {
        text.push_str(&format!("Cargo.toml needs: {}.\n", features.join(", ")));
    }
    if options.check {
        return text + "Nothing was replaced (--check).";
    }
    text + &format!(
        "\n\
         openapi/ is {which} now. Next:\n\
         - read `git diff openapi/index.txt`\n\
         - run ./scripts/test.sh and ./scripts/check-documents.sh\n\
         - write CHANGELOG.md: this requires {}",
        report::bump(drift.bump())
    )
}

/// The corrections that an overlay makes to a description, as a build reads them. Those that were found before pruning can
/// include effects of actions that are gone. `types` are all types that are generated from the description.
fn resolve_corrections(
    description: &[u8],
    overlay: &str,
    types: &BTreeMap<String, Definition>,
) -> Result<String> {
    let document = serde_json::from_slice(description).map_err(Problem::failed)?;
    let corrected = CorrectedDescription::new(document, &overlay::parse(overlay)?)?;
    let type_names = corrected.type_names.with_all_names(types);
    Ok(corrections::render(&corrected.corrections, &type_names, overlay))
}

/// Files of `openapi/` that are derived from the description and the overlay.
pub struct DerivedFiles {
    /// The list of operations and webhooks.
    pub index: String,
    /// The corrections that a build applies.
    pub corrections: String,
}

/// Writes the derived files of the vendored description.
pub fn write_derived(options: &Options) -> Result<()> {
    let staging = ReplacementTransaction::open(&options.root)?;
    let DerivedFiles { index, corrections } = derived_of(&options.root)?;
    staging.replace(&[
        (index::FILE, index.into_bytes()),
        (corrections::FILE, corrections.into_bytes()),
    ])
}

/// The expected derived files of the vendored description. Fails if an action of the overlay has no effect.
pub fn derived_of(root: &Path) -> Result<DerivedFiles> {
    let vendored = Vendored::read(root)?;
    let Vendored { document, overlay, overlay_text, not_required, reserved_scopes, .. } = vendored;
    let corrected = CorrectedDescription::new(document, &overlay)?;
    corrected.check_effective()?;
    let webhooks = webhooks::describe(&corrected.document)?;
    let generated = corrected.clone().generate(&not_required, &reserved_scopes, Features::All)?;
    let type_names = corrected.type_names.with_all_names(&generated.model.types);
    let corrections = corrections::render(&corrected.corrections, &type_names, &overlay_text);
    Ok(DerivedFiles { index: index::index(&generated.model, &webhooks), corrections })
}

//! Runs other descriptions through all stages of the build: older versions, and other variants. Actions of the
//! overlay without effect are ignored there.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use octowire_codegen::overlay::{self, Overlay};
use octowire_codegen::pipeline::CorrectedDescription;
use octowire_codegen::required::{self, NotRequired};
use octowire_codegen::reserved_scopes::ReservedScopes;
use octowire_codegen::select::Features;
use octowire_codegen::{Result, document, webhooks};

use crate::features;
use crate::problem::{self, Problem};

/// Processes each description; returns the number of failures.
pub fn run(root: &Path, files: &[PathBuf], out: &mut impl Write) -> problem::Result<usize> {
    let folder = root.join("openapi");
    let inputs = Inputs {
        overlay: overlay::read(&folder.join(overlay::FILE))?,
        not_required: required::read(&folder.join(required::FILE))?,
        reserved_scopes: features::reserved_scopes(root)?,
    };
    let mut failed = 0;
    for file in files {
        let started = Instant::now();
        let line = catch_unwind(AssertUnwindSafe(|| generate(file, &inputs)));
        let seconds = started.elapsed().as_secs_f32();
        let line = match line {
            Ok(Ok(counts)) => counts.line(seconds),
            Ok(Err(error)) => {
                failed += 1;
                format!("{}: FAILED: {error}", file.display())
            }
            Err(panic) => {
                failed += 1;
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                format!("{}: PANICKED: {}", file.display(), text.unwrap_or("no panic message"))
            }
        };
        // One line for each, for any error text.
        writeln!(out, "{}", line.replace('\n', " ")).map_err(Problem::failed)?;
    }
    Ok(failed)
}

/// The inputs of the stages beside a description.
struct Inputs {
    overlay: Overlay,
    not_required: Vec<NotRequired>,
    reserved_scopes: ReservedScopes,
}

struct Counts {
    name: String,
    version: String,
    operations: usize,
    webhooks: usize,
    stale: usize,
}

fn generate(file: &Path, inputs: &Inputs) -> Result<Counts> {
    let Inputs { overlay, not_required, reserved_scopes } = inputs;
    let corrected = CorrectedDescription::read(file, overlay)?;
    let generated = corrected.clone().generate(not_required, reserved_scopes, Features::All)?;
    let webhooks = webhooks::describe(&corrected.document)?.len();
    let operations = document::operations(&corrected.document).count();
    assert_eq!(generated.model.calls.len(), operations, "operations are missing in the result");
    Ok(Counts {
        version: corrected.document["info"]["version"].as_str().unwrap_or_default().to_owned(),
        name: corrected.name,
        operations,
        webhooks,
        stale: corrected.stale.len(),
    })
}

impl Counts {
    /// A row of a table in Markdown.
    fn line(&self, seconds: f32) -> String {
        let Self { name, version, operations, webhooks, stale } = self;
        format!("| {version} | {name} | {operations} | {webhooks} | {stale} | {seconds:.1} |")
    }
}

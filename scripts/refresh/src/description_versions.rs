//! The other editions that are published with a description, and the overlay actions that they still need.

use std::path::{Path, PathBuf};

use octowire_codegen::overlay::{Action, Overlay};
use octowire_codegen::pipeline::CorrectedDescription;

use crate::problem::{StaleActionReport, StaleResolution};
use crate::source::VERSION;

/// The other editions, except broken ones, which do not block a refresh.
pub fn corrected<'a>(
    others: Option<&'a [PathBuf]>,
    overlay: &'a Overlay,
) -> impl Iterator<Item = CorrectedDescription> + 'a {
    others.into_iter().flatten().filter_map(|path| CorrectedDescription::read(path, overlay).ok())
}

/// The actions without effect on the description, and what to do with each. An action is not deleted if an
/// edition might need it that is missing or cannot be read.
pub fn stale(
    after: &CorrectedDescription,
    overlay: &Overlay,
    others: Option<&[PathBuf]>,
) -> Vec<StaleActionReport> {
    if after.stale.is_empty() {
        return Vec::new();
    }
    // An action that is expected everywhere is stale wherever it has no effect.
    let mut everywhere = overlay.clone();
    everywhere.actions.iter_mut().for_each(|action| action.expected_in = None);
    let (mut known, mut broken) = (Vec::new(), Vec::new());
    for path in others.into_iter().flatten() {
        match CorrectedDescription::read(path, &everywhere) {
            Ok(CorrectedDescription { name, stale, .. }) => known.push((name, stale)),
            Err(_) => broken.push(stem(path)),
        }
    }
    let stale = after.stale.iter().map(|action| {
        let index = action.index;
        let named = &overlay.actions[index];
        let needed_in: Vec<String> = known
            .iter()
            // An action with a dangling reference has no effect there.
            .filter(|(_, stale)| !stale.iter().any(|it| it.index == index && !it.dangling))
            .map(|(name, _)| name.clone())
            .chain(broken.iter().filter(|name| may_concern(named, name)).cloned())
            .collect();
        let fate = match others {
            _ if action.dangling => StaleResolution::Dangling,
            None => narrowed(named),
            Some(_) if !needed_in.is_empty() => StaleResolution::Narrow(needed_in),
            Some(_) if broken.is_empty() => StaleResolution::Delete,
            Some(_) => StaleResolution::Unknown,
        };
        StaleActionReport { action: action.clone(), fate }
    });
    stale.collect()
}

/// Returns whether an action is expected in an edition.
fn may_concern(action: &Action, version: &str) -> bool {
    action.expected_in.as_ref().is_none_or(|names| names.iter().any(|name| name == version))
}

/// The remaining editions of those that an action names.
fn narrowed(action: &Action) -> StaleResolution {
    let named = action.expected_in.iter().flatten();
    let left: Vec<String> = named.filter(|name| *name != VERSION).cloned().collect();
    if left.is_empty() { StaleResolution::Unknown } else { StaleResolution::Narrow(left) }
}

/// `ghes-3.13` of `generated/ghes-3.13.json`.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

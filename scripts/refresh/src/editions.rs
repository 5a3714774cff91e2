//! The other editions that are published with a document, and what of the
//! overlay they still need.

use std::path::{Path, PathBuf};

use crate::build::overlay::{Action, Overlay};
use crate::pipeline::{self, Corrected};
use crate::problem::{Fate, StaleAction};
use crate::source::EDITION;

/// The other editions, but for those that are broken: they keep nothing from coming in.
pub fn corrected<'a>(
    others: Option<&'a [PathBuf]>,
    overlay: &'a Overlay,
) -> impl Iterator<Item = Corrected> + 'a {
    others.into_iter().flatten().filter_map(|path| pipeline::correct_file(path, overlay).ok())
}

/// The actions that do nothing to the document, with what becomes of each. Nothing is deleted that
/// an edition may need which is not there, or cannot be read.
pub fn stale(after: &Corrected, overlay: &Overlay, others: Option<&[PathBuf]>) -> Vec<StaleAction> {
    if after.stale.is_empty() {
        return Vec::new();
    }
    // Expected everywhere, an action is stale wherever it does nothing.
    let mut everywhere = overlay.clone();
    everywhere.actions.iter_mut().for_each(|action| action.expected_in = None);
    let (mut known, mut broken) = (Vec::new(), Vec::new());
    for path in others.into_iter().flatten() {
        match pipeline::correct_file(path, &everywhere) {
            Ok(Corrected { name, stale, .. }) => known.push((name, stale)),
            Err(_) => broken.push(stem(path)),
        }
    }
    let stale = after.stale.iter().map(|action| {
        let index = action.index;
        let named = &overlay.actions[index];
        let needed_in: Vec<String> = known
            .iter()
            // One that dangles there is not mended there.
            .filter(|(_, stale)| !stale.iter().any(|it| it.index == index && !it.dangling))
            .map(|(name, _)| name.clone())
            .chain(broken.iter().filter(|name| may_concern(named, name)).cloned())
            .collect();
        let fate = match others {
            _ if action.dangling => Fate::Dangling,
            None => narrowed(named),
            Some(_) if !needed_in.is_empty() => Fate::Narrow(needed_in),
            Some(_) if broken.is_empty() => Fate::Delete,
            Some(_) => Fate::Unknown,
        };
        StaleAction { action: action.clone(), fate }
    });
    stale.collect()
}

/// Whether an action is expected in an edition.
fn may_concern(action: &Action, edition: &str) -> bool {
    action.expected_in.as_ref().is_none_or(|names| names.iter().any(|name| name == edition))
}

/// Of the editions that an action names, those that are left.
fn narrowed(action: &Action) -> Fate {
    let named = action.expected_in.iter().flatten();
    let left: Vec<String> = named.filter(|name| *name != EDITION).cloned().collect();
    if left.is_empty() { Fate::Unknown } else { Fate::Narrow(left) }
}

/// `ghes-3.13` of `generated/ghes-3.13.json`.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

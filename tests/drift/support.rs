//! The repository's folders, and copies of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use octowire_codegen::overlay::{self, Overlay};
use octowire_codegen::pipeline::CorrectedDescription;
use octowire_refresh::payloads::{self, Payload};
use tempfile::TempDir;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn overlay() -> Overlay {
    overlay::read(&root().join("openapi/overlay.yaml")).unwrap()
}

/// The vendored document with the corrections of an overlay.
pub fn corrected(overlay: &Overlay) -> CorrectedDescription {
    CorrectedDescription::read(&root().join("openapi/api.github.com.json"), overlay).unwrap()
}

pub fn payloads() -> Vec<Payload> {
    payloads::read(&root()).unwrap()
}

/// An overlay without actions.
pub fn none() -> Overlay {
    overlay::parse("overlay: 1.0.0\nactions: []\n").unwrap()
}

/// A copy of the folder `openapi/`, which goes when this does.
pub struct Copy {
    folder: TempDir,
}

impl Copy {
    pub fn of(root: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("openapi");
        fs::create_dir(&to).unwrap();
        for (name, bytes) in files(&root.join("openapi")) {
            fs::write(to.join(name), bytes).unwrap();
        }
        Self { folder }
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }
}

/// The files of a folder, by name.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (name(&path), fs::read(&path).unwrap()))
        .collect()
}

#[track_caller]
pub fn assert_contains(text: &str, part: &str) {
    assert!(text.contains(part), "no `{part}` in:\n{text}");
}

//! Scopes that the generated code cannot have, since their names are taken in the library.
//!
//! A scope becomes a method of `Client` (`client.issues()`) and a module of `octowire::api`. If GitHub adds a
//! scope with the name of a hand-written method, such as `cache` or `usage`, the stage `write` names the
//! operation and the conflict. Without the check, rustc would report duplicate definitions in generated code.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::{ImplItem, Item, Type, Visibility};

use crate::entity::ENTITIES;
use crate::error::{Error, Result};

const STAGE: &str = "reserved_scopes";

/// The name of the type whose methods are the scopes.
const CLIENT: &str = "Client";

/// The modules of `octowire::api` that no scope is named after, beside those of the entities, and the method of a
/// trait that `Client` derives.
const OTHERS: [(&str, &str); 3] = [
    ("types", "the module of generated types"),
    ("events", "the module of webhook events"),
    ("clone", "`Client::clone`"),
];

/// Maximum depth of folders below `src/`.
const MAX_FOLDERS: usize = 16;

/// The reserved names, each with its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservedScopes(BTreeMap<String, String>);

impl Default for ReservedScopes {
    /// The names that are reserved without regard to `Client`.
    fn default() -> Self {
        let others = OTHERS.map(|(name, owner)| (name.to_owned(), owner.to_owned()));
        let entities = ENTITIES.iter().map(|entity| {
            (entity.method.to_owned(), format!("the module of the handles of {}", entity.noun))
        });
        Self(others.into_iter().chain(entities).collect())
    }
}

impl ReservedScopes {
    /// Reads the methods of `Client` from the library's source.
    ///
    /// Fails if a file cannot be read or parsed, or if there are no such methods.
    pub fn read(src: &Path) -> Result<Self> {
        let mut reserved = Self::default();
        let without_client = reserved.0.len();
        for path in rust_files(src)? {
            let fail = |e: &dyn std::fmt::Display| {
                Error::new(STAGE, "", format!("cannot read {}: {e}", path.display()))
            };
            let text = fs::read_to_string(&path).map_err(|e| fail(&e))?;
            reserved.add_source(&text).map_err(|e| fail(&e))?;
        }
        if reserved.0.len() == without_client {
            let message = format!("no `impl {CLIENT}` in {}", src.display());
            return Err(Error::new(STAGE, "", message));
        }
        Ok(reserved)
    }

    /// Adds the methods of `Client` in a source file, whether they are public or not.
    pub fn add_source(&mut self, text: &str) -> syn::Result<()> {
        // Most files have none, and parsing all would take a second.
        if !text.contains("impl Client") {
            return Ok(());
        }
        let file = syn::parse_file(text)?;
        let has_own_client = file.items.iter().any(|item| match item {
            // A private type of the same name, as in a test.
            Item::Struct(item) => item.ident == CLIENT && matches!(item.vis, Visibility::Inherited),
            _ => false,
        });
        if has_own_client {
            return Ok(());
        }
        for item in &file.items {
            let Item::Impl(block) = item else { continue };
            let is_client =
                matches!(&*block.self_ty, Type::Path(path) if path.path.is_ident(CLIENT));
            if !is_client || block.trait_.is_some() {
                continue;
            }
            for item in &block.items {
                if let ImplItem::Fn(method) = item {
                    let name = method.sig.ident.to_string();
                    let owner = format!("`{CLIENT}::{name}`");
                    self.0.insert(name, owner);
                }
            }
        }
        Ok(())
    }

    /// Returns the owner of a reserved name; `None` if a scope can have the name.
    pub fn owner(&self, scope: &str) -> Option<&str> {
        self.0.get(scope).map(String::as_str)
    }
}

/// All Rust files of a folder and the folders in it.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        let fail =
            |e| Error::new(STAGE, "", format!("cannot read the folder {}: {e}", folder.display()));
        for entry in fs::read_dir(&folder).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            if path.is_dir() && depth < MAX_FOLDERS {
                open.push((path, depth + 1));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

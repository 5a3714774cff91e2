//! The sources of this repository, for tests that read them.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;

use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprLit, ImplItem, Item, ItemMod, Lit, Meta, Token};

/// Returns the text of a file of the repository.
pub fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn exists(path: &str) -> bool {
    root().join(path).is_file()
}

/// Returns the names of the files in a folder of the repository.
pub fn names(folder: &str) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let files = entries.map(Result::unwrap).filter(|entry| entry.file_type().unwrap().is_file());
    files.map(|entry| entry.file_name().into_string().unwrap())
}

/// Returns the path and the text of each Rust file below `src/`, including those that only tests contain.
pub fn files() -> Vec<(String, String)> {
    let (mut files, mut folders) = (Vec::new(), vec!["src".to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.ends_with(".rs") {
                let text = text(&path);
                files.push((path, text));
            }
        }
    }
    files
}

/// A module of the library in a file of its own, without items that are compiled for tests or fuzzers only.
pub struct Module {
    /// The names from the crate root, which has none itself.
    pub path: Vec<String>,
    pub file: String,
    pub syntax: syn::File,
}

/// Returns the modules that are compiled for users, without generated code: the crate root, and all that it declares.
pub fn modules() -> Vec<Module> {
    let mut modules = Vec::new();
    let mut declared = VecDeque::from([(Vec::new(), "src/lib.rs".to_owned())]);
    while let Some((path, file)) = declared.pop_front() {
        let parsed = syn::parse_file(&text(&file));
        let mut syntax = parsed.unwrap_or_else(|error| panic!("{file}: {error}"));
        remove_test_items(&mut syntax.items);
        declare(&syntax.items, &path, &file, &mut declared);
        modules.push(Module { path, file, syntax });
    }
    modules
}

/// Returns the file of a module without the attribute `path`.
pub fn file_of_module(path: &[String]) -> String {
    let path = format!("src/{}", path.join("/"));
    let file = format!("{path}.rs");
    if exists(&file) { file } else { format!("{path}/mod.rs") }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn remove_test_items(items: &mut Vec<Item>) {
    items.retain(|item| !is_for_tests(attributes_of(item)));
    for item in items {
        match item {
            Item::Mod(ItemMod { content: Some((_, items)), .. }) => remove_test_items(items),
            Item::Impl(block) => block.items.retain(|item| match item {
                ImplItem::Fn(function) => !is_for_tests(&function.attrs),
                ImplItem::Const(constant) => !is_for_tests(&constant.attrs),
                _ => true,
            }),
            _ => {}
        }
    }
}

/// Adds the modules that a module declares, and their files.
fn declare(
    items: &[Item],
    path: &[String],
    file: &str,
    declared: &mut VecDeque<(Vec<String>, String)>,
) {
    for item in items {
        let Item::Mod(module) = item else { continue };
        let path = [path, &[module.ident.to_string()]].concat();
        if let Some((_, items)) = &module.content {
            declare(items, &path, file, declared);
            continue;
        }
        let file = match given_path(module) {
            Some(given) => {
                let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
                format!("{folder}/{given}")
            }
            None => file_of_module(&path),
        };
        declared.push_back((path, file));
    }
}

fn given_path(module: &ItemMod) -> Option<String> {
    let attribute = module.attrs.iter().find(|attribute| attribute.path().is_ident("path"))?;
    match &attribute.meta {
        Meta::NameValue(pair) => text_of(&pair.value),
        _ => None,
    }
}

fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn text_of(value: &Expr) -> Option<String> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}

/// Returns whether the attributes limit an item to builds for tests, benchmarks or fuzzers of this repository.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            list.parse_args::<Meta>().is_ok_and(|condition| is_test_condition(&condition))
        }
        _ => false,
    })
}

fn is_test_condition(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::NameValue(pair) => {
            let value = text_of(&pair.value).unwrap_or_default();
            pair.path.is_ident("feature") && ["__fuzz", "__bench"].contains(&value.as_str())
        }
        Meta::List(list) => {
            let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            let mut parts = parts.into_iter().flatten();
            match list.path.get_ident().map(ToString::to_string).as_deref() {
                Some("all") => parts.any(|part| is_test_condition(&part)),
                Some("any") => parts.all(|part| is_test_condition(&part)),
                _ => false,
            }
        }
    }
}

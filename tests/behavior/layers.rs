//! A module of the library imports from the layers below it, and from nothing else.
//!
//! The test reads `src/` without code that is compiled for tests or fuzzers only, and without generated code. It follows
//! `use`, and every other path that begins with `crate`, `self` or `super`, also in the arguments of macros.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proc_macro2::{TokenStream, TokenTree};
use syn::UseTree;
use syn::visit::{self, Visit};

use crate::sources;

/// The layers, lowest first. Modules in one row do not import each other. The longest matching name decides.
const LAYERS: &[&[&str]] = &[
    &["util"],
    &["sanitize"],
    &["headers"],
    &["time"],
    &["runtime"],
    &["error"],
    &["meter"],
    &["codec"],
    &["api"],
    &["endpoints"],
    &["request"],
    &["response"],
    &["contract"],
    &["transport"],
    &["store"],
    &["policy::context"],
    &[
        "policy::auth",
        "policy::rate_limit",
        "policy::cache",
        "policy::usage",
        "policy::retry",
        "policy::circuit_breaker",
        "policy::poll",
    ],
    &["observability"],
    &["pipeline"],
    &["client"],
    &["server"],
    &["webhooks", "testing", "migration", "blocking", "registration"],
    &["dashboard"],
];

/// Lower modules that policies do not import: they are handed plain values.
const HIDDEN_FROM_POLICIES: &[&str] =
    &["request", "transport", "api::types", "api::operation::Operation"];

/// Macros that are exported, which Rust places in the crate root.
const EXPORTED_MACROS: &[&str] = &["operations"];

/// Imports against the layers: file, the path's beginning, and why it stays. At most five.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// The largest set of files that import each other in a circle.
const MAX_FILE_CYCLE: usize = 4;

#[derive(Debug)]
struct Import {
    file: String,
    line: usize,
    /// The module that contains the import.
    module: Vec<String>,
    /// The imported path, below the crate.
    path: Vec<String>,
}

#[test]
fn imports_point_to_lower_layers_only() {
    assert!(SOURCES.files.len() > 200, "{} files were read", SOURCES.files.len());
    let mut wrong = Vec::new();
    let mut unused: BTreeSet<usize> = (0..EXCEPTIONS.len()).collect();
    for import in &SOURCES.imports {
        let path = import.path.join("::");
        let place = format!("{}:{}: crate::{path}", import.file, import.line);
        let (Some((from, importer)), to) = (layer(&import.module), layer(&import.path)) else {
            wrong.push(format!("{place}: the importing module is in no layer"));
            continue;
        };
        let reason = match to {
            None if EXPORTED_MACROS.contains(&path.as_str()) => continue,
            // A name that the crate root re-exports.
            None => "is imported from the crate root, and not from its own module",
            Some((_, imported)) if imported == importer => continue,
            Some((to, _)) if to > from => "is in a higher layer",
            Some((to, _)) if to == from => "is in another module of the same layer",
            Some(_) if importer.starts_with("policy::") && is_hidden(&path) => {
                "is hidden from policies"
            }
            Some(_) => continue,
        };
        let exception = EXCEPTIONS
            .iter()
            .position(|(file, begin, _)| *file == import.file && covers(begin, &path));
        match exception {
            Some(index) => drop(unused.remove(&index)),
            None => wrong.push(format!("{place} {reason}")),
        }
    }
    assert!(wrong.is_empty(), "{} imports:\n{}", wrong.len(), wrong.join("\n"));
    assert!(unused.is_empty(), "unused exceptions: {unused:?}");
    assert!(EXCEPTIONS.len() <= 5);
}

/// A layer that does not exist would let imports pass.
#[test]
fn each_layer_is_a_module() {
    for name in LAYERS.concat() {
        let path: Vec<_> = name.split("::").map(str::to_owned).collect();
        assert!(sources::exists(&sources::file_of_module(&path)), "{name}");
    }
}

#[test]
fn few_files_import_each_other() {
    let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for import in &SOURCES.imports {
        if let Some(imported) = SOURCES.file_of(&import.path)
            && imported != import.file
        {
            graph.entry(import.file.as_str()).or_default().insert(imported);
        }
    }
    let largest = largest_cycle(&graph);
    assert!(largest.len() <= MAX_FILE_CYCLE, "{} files: {largest:#?}", largest.len());
}

fn is_hidden(path: &str) -> bool {
    HIDDEN_FROM_POLICIES.iter().any(|name| covers(name, path))
}

/// Returns whether a path is the module or item of this name, or leads into it.
fn covers(name: &str, path: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Returns the rank and the name of the layer that a path leads to.
fn layer(path: &[String]) -> Option<(usize, &'static str)> {
    let text = path.join("::");
    let names =
        LAYERS.iter().enumerate().flat_map(|(rank, row)| row.iter().map(move |name| (rank, *name)));
    names.filter(|(_, name)| covers(name, &text)).max_by_key(|(_, name)| name.len())
}

/// The modules that are compiled for users, and their imports.
#[derive(Default)]
struct Sources {
    /// The file of each module.
    files: BTreeMap<Vec<String>, String>,
    imports: Vec<Import>,
}

static SOURCES: LazyLock<Sources> = LazyLock::new(Sources::read);

impl Sources {
    fn read() -> Self {
        let mut sources = Self::default();
        // The root only declares modules, and re-exports for users.
        for module in sources::modules().into_iter().filter(|module| !module.path.is_empty()) {
            let sources::Module { path, file, syntax } = module;
            let mut reader =
                Reader { file: file.clone(), module: path.clone(), imports: Vec::new() };
            reader.visit_file(&syntax);
            sources.imports.append(&mut reader.imports);
            sources.files.insert(path, file);
        }
        sources
    }

    /// Returns the file that defines the longest module within a path.
    fn file_of(&self, path: &[String]) -> Option<&str> {
        let modules = (1..=path.len()).rev().map(|length| &path[..length]);
        modules.filter_map(|module| self.files.get(module)).map(String::as_str).next()
    }
}

/// Reads the imports of one file.
struct Reader {
    file: String,
    module: Vec<String>,
    imports: Vec<Import>,
}

impl Reader {
    /// Adds a path, if it begins with `crate`, `self` or `super`.
    fn add(&mut self, segments: &[String], line: usize) {
        let mut path = match segments.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.module.clone(),
            _ => return,
        };
        for segment in segments {
            match segment.as_str() {
                "crate" | "self" => {}
                "super" => drop(path.pop()),
                other => path.push(other.to_owned()),
            }
        }
        if !path.is_empty() {
            let (file, module) = (self.file.clone(), self.module.clone());
            self.imports.push(Import { file, line, module, path });
        }
    }

    fn add_tree(&mut self, prefix: &[String], tree: &UseTree, line: usize) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree, line),
            UseTree::Name(name) => self.add(&with(&name.ident), line),
            UseTree::Rename(rename) => self.add(&with(&rename.ident), line),
            UseTree::Glob(_) => self.add(prefix, line),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_tree(prefix, tree, line);
                }
            }
        }
    }

    /// Adds the paths within the arguments of a macro, which are not parsed.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let (mut segments, mut line, mut colons) = (Vec::new(), 0, 0);
        for token in tokens {
            match &token {
                TokenTree::Ident(ident) if segments.is_empty() || colons == 2 => {
                    line = ident.span().start().line;
                    segments.push(ident.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(sign) if sign.as_char() == ':' && colons < 2 => {
                    colons += 1;
                    continue;
                }
                _ => {}
            }
            self.add(&std::mem::take(&mut segments), line);
            colons = 0;
            match token {
                TokenTree::Ident(ident) => segments.push(ident.to_string()),
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                _ => {}
            }
        }
        self.add(&segments, line);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.module.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        self.add_tree(&[], &import.tree, import.use_token.span.start().line);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        let line = path.segments.first().map_or(0, |part| part.ident.span().start().line);
        self.add(&segments, line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.add_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    // `pub(in crate::…)` is no import.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}

/// Returns the largest strongly connected part of a graph, by Kosaraju's algorithm.
fn largest_cycle<'a>(graph: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    fn visit<'a>(
        node: &'a str,
        graph: &BTreeMap<&'a str, BTreeSet<&'a str>>,
        seen: &mut BTreeSet<&'a str>,
        finished: &mut Vec<&'a str>,
    ) {
        if seen.insert(node) {
            for next in graph.get(node).into_iter().flatten() {
                visit(next, graph, seen, finished);
            }
            finished.push(node);
        }
    }
    let mut reverse: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, all) in graph {
        for to in all {
            reverse.entry(to).or_default().insert(from);
        }
    }
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    for node in graph.keys() {
        visit(node, graph, &mut seen, &mut order);
    }
    let (mut seen, mut largest) = (BTreeSet::new(), BTreeSet::new());
    for node in order.into_iter().rev() {
        let mut part = Vec::new();
        visit(node, &reverse, &mut seen, &mut part);
        if part.len() > largest.len() {
            largest = part.into_iter().collect();
        }
    }
    largest
}

//! Errors, logs, hints of attributes and `Debug` name only items that exist: a name that a user cannot find is no advice.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{ExprLit, Ident, Lit, LitStr};

use crate::sources;

/// Names of GitHub, OAuth, metrics' labels and other crates.
const OTHER_NAMES: &[&str] = &[
    "bad_verification_code",
    "error_description",
    "failed_attempt",
    "install_default",
    "MiB",
    "node_id",
    "raw_url",
    "slow_down",
];

/// All files are parsed once for both tests.
static NAMES: LazyLock<Names> = LazyLock::new(Names::read);

#[test]
fn errors_and_logs_name_only_items_that_exist() {
    let names = &*NAMES;
    assert!(names.defined.len() > 3_000, "{} names were read", names.defined.len());
    assert!(names.used.len() > 30, "{} names are used in texts", names.used.len());
    let missing = names.used.iter().filter(|(_, name)| !names.exists(name));
    let missing: Vec<_> = missing.map(|(file, name)| format!("{file}: {name}")).collect();
    assert!(missing.is_empty(), "texts name what does not exist:\n{}", missing.join("\n"));
}

#[test]
fn debug_shows_the_name_of_the_type() {
    let names = &*NAMES;
    assert!(names.shown.len() > 40, "{} implementations were read", names.shown.len());
    let wrong = names.shown.iter().filter(|(name, shown)| {
        let first = shown.split(|letter: char| !letter.is_alphanumeric()).next();
        let first = first.unwrap_or_default();
        first.starts_with(|letter: char| letter.is_ascii_uppercase()) && first != name
    });
    let wrong: Vec<_> = wrong.map(|(name, shown)| format!("{name} is shown as {shown}")).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[derive(Default)]
struct Names {
    file: String,
    /// All identifiers of the source.
    defined: BTreeSet<String>,
    functions: BTreeSet<String>,
    /// Types, with their methods or variants.
    members: BTreeSet<(String, String)>,
    /// The names within texts for users, with the file of each.
    used: BTreeSet<(String, String)>,
    /// Types whose `Debug` is written by hand, with the texts of it.
    shown: Vec<(String, String)>,
}

impl Names {
    fn read() -> Self {
        let mut names = Self::default();
        for module in sources::modules() {
            names.file = module.file;
            names.visit_file(&module.syntax);
        }
        names
    }

    fn exists(&self, name: &str) -> bool {
        if let Some(function) = name.strip_suffix("()") {
            return self.functions.contains(function) || OTHER_NAMES.contains(&function);
        }
        match name.rsplit_once("::") {
            Some((owner, member)) => {
                let owner = owner.rsplit("::").next().unwrap_or(owner);
                let is_own = self.members.iter().any(|(name, _)| name == owner);
                match is_own {
                    true => self.members.contains(&(owner.to_owned(), member.to_owned())),
                    false => self.defined.contains(owner) && self.defined.contains(member),
                }
            }
            None => self.defined.contains(name) || OTHER_NAMES.contains(&name),
        }
    }

    fn text(&mut self, text: &str) {
        let is_part =
            |character: char| !character.is_alphanumeric() && !"_:(){}.".contains(character);
        for word in text.split(is_part) {
            let word = word.trim_matches(['.', ':']);
            if word.contains(['{', '}']) {
                continue;
            }
            let word = word.rsplit('.').next().unwrap_or(word);
            let is_call = word.ends_with("()");
            let name = word.trim_start_matches('(').split(['(', ')']).next().unwrap_or_default();
            let is_path = name.contains("::");
            let is_snake = name.contains('_')
                && name.chars().all(|part| part.is_ascii_lowercase() || part == '_');
            // A prefix of a token is no name.
            if name.ends_with('_') || name.is_empty() {
                continue;
            }
            if is_call && !is_path {
                self.used.insert((self.file.clone(), format!("{name}()")));
            } else if is_path || is_snake || is_type_name(name) {
                self.used.insert((self.file.clone(), name.to_owned()));
            }
        }
    }

    fn tokens(&mut self, tokens: TokenStream) {
        let mut is_attribute = false;
        for token in tokens {
            let follows_hash = std::mem::replace(&mut is_attribute, false);
            match token {
                // Documentation of generated items.
                TokenTree::Group(_) if follows_hash => {}
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Punct(sign) => is_attribute = sign.as_char() == '#',
                TokenTree::Ident(ident) => drop(self.defined.insert(ident.to_string())),
                TokenTree::Literal(literal) => {
                    if let Ok(text) = syn::parse_str::<LitStr>(&literal.to_string()) {
                        self.prose(&text.value());
                    }
                }
            }
        }
    }

    /// Reads a text, if it is a sentence.
    fn prose(&mut self, text: &str) {
        if text.contains(' ') {
            self.text(text);
        }
    }
}

/// Whether a word consists of several, each with a capital letter.
fn is_type_name(word: &str) -> bool {
    let capitals = word.chars().filter(char::is_ascii_uppercase).count();
    capitals >= 2
        && word.starts_with(|first: char| first.is_ascii_uppercase())
        && !word.contains(|letter: char| !letter.is_ascii_alphanumeric())
        && !word.as_bytes().windows(2).any(|pair| pair.iter().all(u8::is_ascii_uppercase))
}

/// The texts with which `Debug` names its type.
#[derive(Default)]
struct ShownNames(Vec<String>);

impl<'ast> Visit<'ast> for ShownNames {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let names_type = ["debug_struct", "debug_tuple", "write_str"];
        if names_type.iter().any(|method| call.method == method)
            && let Some(syn::Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) = call.args.first()
        {
            self.0.push(text.value());
        }
        visit::visit_expr_method_call(self, call);
    }
}

/// Returns the name of a type whose `Debug` is written by hand, with the names that its code shows.
fn shown_names(block: &syn::ItemImpl) -> Option<(String, Vec<String>)> {
    let (shown_as, _) = block.trait_.as_ref()?;
    let syn::Type::Path(of) = &*block.self_ty else { return None };
    if shown_as.segments.last()?.ident != "Debug" {
        return None;
    }
    let mut shown = ShownNames::default();
    shown.visit_item_impl(block);
    Some((of.path.segments.last()?.ident.to_string(), shown.0))
}

impl<'ast> Visit<'ast> for Names {
    fn visit_ident(&mut self, ident: &'ast Ident) {
        self.defined.insert(ident.to_string());
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.functions.insert(signature.ident.to_string());
        visit::visit_signature(self, signature);
    }

    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        if let Some((name, shown)) = shown_names(block) {
            self.shown.extend(shown.into_iter().map(|text| (name.clone(), text)));
        }
        if let syn::Type::Path(path) = &*block.self_ty
            && let Some(owner) = path.path.segments.last()
        {
            for item in &block.items {
                if let syn::ImplItem::Fn(function) = item {
                    let name = function.sig.ident.to_string();
                    self.members.insert((owner.ident.to_string(), name));
                }
            }
        }
        visit::visit_item_impl(self, block);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        for variant in &item.variants {
            self.members.insert((item.ident.to_string(), variant.ident.to_string()));
        }
        visit::visit_item_enum(self, item);
    }

    fn visit_expr_lit(&mut self, literal: &'ast ExprLit) {
        if let Lit::Str(text) = &literal.lit {
            self.prose(&text.value());
        }
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    // Documentation is checked by rustdoc; other attributes have hints of the compiler.
    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if !attribute.path().is_ident("doc") {
            visit::visit_attribute(self, attribute);
        }
    }
}

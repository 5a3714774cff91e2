//! Scopes that have the name of a method of `Client`.

use serde_json::{Value, json};

use octowire_codegen::pipeline::CorrectedDescription;
use octowire_codegen::reserved_scopes::ReservedScopes;
use octowire_codegen::select::Features;
use octowire_codegen::{Result, overlay};

use crate::support::{assert_contains, fails, ok, openapi, with_parameters};

/// A description whose one operation has this id.
fn of_scope(scope: &str) -> Value {
    let mut document = with_parameters("/answer", json!([]));
    document["paths"]["/answer"]["get"]["operationId"] = json!(format!("{scope}/get"));
    document
}

fn generate(document: Value, reserved: &ReservedScopes) -> Result<String> {
    let none = ok(overlay::parse("overlay: 1.0.0\nactions: []\n"));
    let corrected = CorrectedDescription::new(document, &none)?;
    Ok(corrected.generate(&[], reserved, Features::All)?.sources.api)
}

#[test]
fn a_new_scope_with_the_name_of_a_client_method_is_named_with_the_method() {
    let reserved = ok(ReservedScopes::read(&openapi().join("../src")));
    for scope in ["cache", "usage", "health", "batch", "graphql", "request", "as-app", "repo"] {
        let result = generate(of_scope(scope), &reserved);
        let message = fails(result, "write", "/paths/~1answer/get");
        let method = scope.replace('-', "_");
        assert_contains(&message, &format!("cannot be called `{method}`"));
        assert_contains(&message, &format!("`Client::{method}`"));
    }
}

#[test]
fn a_new_scope_with_the_name_of_a_module_is_named_with_the_module() {
    for (scope, owner) in [
        ("types", "the module of generated types"),
        ("events", "the module of webhook events"),
        ("repo", "the module of the handles of a repository"),
        ("org", "the module of the handles of an organization"),
        ("user", "the module of the handles of a user"),
        ("enterprise", "the module of the handles of an enterprise"),
    ] {
        let result = generate(of_scope(scope), &ReservedScopes::default());
        assert_contains(fails(result, "write", "/paths/~1answer/get"), owner);
    }
}

#[test]
fn any_other_scope_is_generated() {
    let reserved = ok(ReservedScopes::read(&openapi().join("../src")));
    let source = ok(generate(of_scope("telescopes"), &reserved));
    assert_contains(source, "pub fn telescopes(&self) -> Telescopes<'_>");
}

#[test]
fn only_the_methods_of_client_are_reserved() {
    let mut reserved = ReservedScopes::default();
    for source in [
        "impl Client { pub fn open(&self) {} pub(crate) fn inner(&self) {} fn own(&self) {} const N: u8 = 0; }",
        "impl Display for Client { fn fmt(&self) {} } // impl Client\nimpl ClientBuilder { fn build(self) {} }",
        "// impl Client\nfn free() {} mod tests { impl Client { fn in_a_test(&self) {} } }",
        "struct Client; impl Client { fn of_another(&self) {} }",
    ] {
        reserved.add_source(source).expect("Rust");
    }
    for name in ["open", "inner", "own"] {
        assert_eq!(reserved.owner(name), Some(&*format!("`Client::{name}`")));
    }
    for name in ["fmt", "build", "free", "in_a_test", "of_another", "N"] {
        assert_eq!(reserved.owner(name), None, "{name}");
    }
}

#[test]
fn a_library_without_a_client_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("lib.rs"), "fn main() {}").expect("a file");
    let message = fails(ReservedScopes::read(folder.path()), "reserved_scopes", "");
    assert_contains(message, "no `impl Client` in ");
    std::fs::write(folder.path().join("lib.rs"), "impl Client {").expect("a file");
    assert_contains(fails(ReservedScopes::read(folder.path()), "reserved_scopes", ""), "lib.rs");
    fails(ReservedScopes::read(&folder.path().join("absent")), "reserved_scopes", "");
}

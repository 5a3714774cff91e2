//! The handles of entities: which operations they have, and their source.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::documents::{VENDORED_API, raw};
use crate::support::{assert_contains, document, ok, written};
use octowire_codegen::document::operations;
use octowire_codegen::entity::ENTITIES;
use octowire_codegen::names::{pascal, snake};
use octowire_codegen::reserved_scopes::ReservedScopes;
use octowire_codegen::write;

/// A description of operations: each an id and a path, with the names of query parameters after a `?`.
fn of_operations(described: &[(&str, &str)]) -> Value {
    let mut paths = json!({});
    for &(id, target) in described {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let in_path = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        let in_path = in_path.map(|name| (name, "path"));
        let in_query = query.split('&').filter(|name| !name.is_empty()).map(|name| (name, "query"));
        let parameters: Vec<Value> = in_path
            .chain(in_query)
            .map(|(name, location)| {
                json!({
                    "name": name, "in": location, "required": true, "schema": { "type": "string" },
                })
            })
            .collect();
        let tag = id.split('/').next();
        paths[path] = json!({ "get": {
            "operationId": id, "tags": [tag], "summary": "Does it", "parameters": parameters,
            "responses": { "204": { "description": "" } },
            "externalDocs": { "url": format!("https://docs.github.com/rest/{id}#do") },
        } });
    }
    document(paths, json!({}))
}

/// The source of an entity's module, without its line breaks at both ends.
fn module<'a>(source: &'a str, entity: &str) -> Option<&'a str> {
    let (_, rest) = source.split_once(&format!("\npub mod {entity} {{\n"))?;
    // Blocks end in a line of one brace, and so does the module, after its last block.
    rest.split_once("\n}\n}\n").map(|(module, _)| module)
}

/// The methods of an entity's handles that create calls, as `handle.method`.
fn calls(source: &str, entity: &str) -> Vec<String> {
    let (mut handle, mut found) = ("", Vec::new());
    for line in module(source, entity).unwrap_or_default().lines() {
        if let Some(name) = line.strip_prefix("impl ") {
            handle = name.trim_end_matches(" {");
        } else if let Some(method) = line.strip_prefix("    #[inline] pub fn ") {
            let name = method.split('(').next().unwrap_or_default();
            found.push(format!("{handle}.{name}"));
        }
    }
    found
}

#[test]
fn a_handle_has_the_operations_whose_path_has_all_parameters_of_its_entity() {
    let source = ok(written(&of_operations(&[
        ("issues/list", "/issues"),
        ("issues/list-for-repo", "/repos/{owner}/{repo}/issues"),
        ("issues/list-for-org", "/orgs/{org}/issues"),
        ("teams/add-repo", "/orgs/{org}/teams/{team_slug}/repos/{owner}/{repo}"),
        ("teams/add-member", "/orgs/{org}/teams/{team_slug}/members/{username}"),
        ("gists/list-for-user", "/users/{username}/gists"),
        ("gists/list-of-owner", "/gists/{owner}"),
        ("enterprise-teams/list", "/enterprises/{enterprise}/teams"),
        ("search/in-query", "/search?owner&repo&org&username&enterprise"),
        ("repos/create-from-template", "/repos/{template_owner}/{template_repo}/generate"),
    ])));
    crate::write::parsed(&source);
    assert_eq!(calls(&source, "repo"), ["Issues.list_for_repo", "Teams.add_repo"]);
    assert_eq!(
        calls(&source, "org"),
        ["Issues.list_for_org", "Teams.add_member", "Teams.add_repo"]
    );
    assert_eq!(calls(&source, "user"), ["Gists.list_for_user", "Teams.add_member"]);
    assert_eq!(calls(&source, "enterprise"), ["EnterpriseTeams.list"]);
}

#[test]
fn the_handles_of_an_entity_are_written_with_one_line_for_each_call() {
    let mut given = of_operations(&[
        ("code-search/zip", "/search/{owner}/{repo}"),
        ("issues/get", "/repos/{owner}/{repo}/issues/{number}"),
        ("issues/list", "/issues"),
    ]);
    given["paths"]["/search/{owner}/{repo}"]["get"]["deprecated"] = json!(true);
    let source = ok(written(&given));
    let expected = r#"/// Calls of [`RepositoryHandle`](crate::RepositoryHandle), one handle for each scope.
#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]
#[allow(clippy::all, clippy::pedantic, deprecated)]
pub mod repo {
use super::{OPERATIONS, code_search, issues};
impl crate::RepositoryHandle {
    /// The operations of [`CodeSearch`].
    #[cfg_attr(docsrs, doc(cfg(any(feature = "code-search"))))] #[inline] #[must_use] pub fn code_search(&self) -> CodeSearch { CodeSearch(self.0.clone()) }
    /// The operations of [`Issues`].
    #[cfg_attr(docsrs, doc(cfg(any(feature = "issues"))))] #[inline] #[must_use] pub fn issues(&self) -> Issues { Issues(self.0.clone()) }
}
/// The operations `code-search/…` of a repository, called by `github.repo(owner, repo).code_search()`. [GitHub's documentation](https://docs.github.com/rest/code-search/zip)
#[cfg_attr(docsrs, doc(cfg(any(feature = "code-search"))))] #[derive(Clone, Debug)] pub struct CodeSearch(crate::client::entity::EntityClient);
impl CodeSearch {
    /// Does it. `code-search/zip`
    #[deprecated = "GitHub will remove this operation, see https://docs.github.com/rest/code-search/zip#do"]
    #[inline] pub fn zip(&self) -> code_search::Zip { code_search::Zip(self.0.call(&OPERATIONS[0])) }
}
/// The operations `issues/…` of a repository, called by `github.repo(owner, repo).issues()`. [GitHub's documentation](https://docs.github.com/rest/issues/get)
#[cfg_attr(docsrs, doc(cfg(any(feature = "issues"))))] #[derive(Clone, Debug)] pub struct Issues(crate::client::entity::EntityClient);
impl Issues {
    /// Does it. `issues/get`
    #[inline] pub fn get(&self) -> issues::Get { issues::Get(self.0.call(&OPERATIONS[1])) }
}
}
/// Every operation of this build, sorted by id.
"#;
    assert_contains(&source, expected);
    assert_contains(
        &source,
        "/// The operations `issues/…`, called by `github.issues()` or \
         `github.repo(owner, repo).issues()`. [GitHub's documentation](",
    );
    for entity in ["org", "user", "enterprise"] {
        assert_eq!(module(&source, entity), None, "no operation has its parameters");
    }
}

/// The calls of entities: the entity, the id of the operation, the builder, and the method.
type Call = (&'static str, String, String, String);

/// Reads the calls of the generated handles. The operation is that of the row with the method's number.
fn generated_calls(source: &str) -> BTreeSet<Call> {
    let rows = source.lines().filter_map(|line| line.strip_prefix("crate::Operation { id: \""));
    let ids: Vec<&str> = rows.filter_map(|row| row.split('"').next()).collect();
    let mut found = BTreeSet::new();
    for entity in &ENTITIES {
        let module = module(source, entity.method).expect("a module");
        for line in module.lines().filter(|line| line.contains("self.0.call(")) {
            let method = line.strip_prefix("    #[inline] pub fn ").expect("a method");
            let (method, rest) = method.split_once("(&self) -> ").expect("a method");
            let (builder, rest) = rest.split_once(" { ").expect("a body");
            let request = rest.strip_prefix(builder).expect("the builder of the result");
            let index = request.strip_prefix("(self.0.call(&OPERATIONS[").expect("an operation");
            let index: usize = index.split(']').next().unwrap().parse().expect("a number");
            let id = ids[index].to_owned();
            let call = (entity.method, id, builder.to_owned(), method.to_owned());
            assert!(found.insert(call), "twice: {line}");
        }
    }
    found
}

#[test]
fn every_operation_of_the_vendored_document_is_reached_by_the_entities_of_its_path_alone() {
    let raw = raw();
    let mut expected = BTreeSet::new();
    let mut scopes = BTreeSet::new();
    for located in operations(&raw) {
        let (scope, name) = located.id().split_once('/').expect("a scope");
        let scope = snake(scope).expect("a name");
        let builder = format!("{scope}::{}", pascal(name).expect("a name"));
        let method = snake(name).expect("a name");
        for entity in &ENTITIES {
            let has = |name: &&str| located.path.contains(&format!("{{{name}}}"));
            if entity.parameters.iter().all(has) {
                let id = located.id().to_owned();
                expected.insert((entity.method, id, builder.clone(), method.clone()));
                scopes.insert((entity.method, scope.clone()));
            }
        }
    }
    for entity in &ENTITIES {
        let count = expected.iter().filter(|call| call.0 == entity.method).count();
        assert!(count > 40, "{count} of {}", entity.noun);
    }

    let source = ok(write::write(&VENDORED_API, "vendored", "1", &ReservedScopes::default()));
    let generated = generated_calls(&source);
    let missing: Vec<_> = expected.difference(&generated).collect();
    let more: Vec<_> = generated.difference(&expected).collect();
    assert!(missing.is_empty() && more.is_empty(), "missing: {missing:#?}\nmore: {more:#?}");
    for (entity, scope) in &scopes {
        let accessor = format!("pub fn {scope}(&self) -> ");
        assert_contains(module(&source, entity).expect("a module"), &accessor);
    }

    // Every build with all tags compiles them.
    let (_, handles) = source.split_once("\npub mod repo {\n").expect("the first module");
    let (handles, _) = handles.split_once("\npub static OPERATIONS").expect("the end");
    let (own, all) = (handles.lines().count(), source.lines().count());
    println!("{own} of {all} generated lines are handles of entities");
    assert!(own * 100 <= all * 3, "{own} of {all} lines");
}

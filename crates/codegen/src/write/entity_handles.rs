//! The generated part of the handles of entities: a module for each entity, with a handle for each scope.
//!
//! A method is one line: the library finds the path parameters by their names, so that no call needs code or an
//! instance of a generic function of its own.

use std::fmt::{self, Write};

use super::calls::{LINTS, ScopeCalls, feature, ident_or_empty, method};
use super::docs::doc;
use super::texts;
use crate::entity::{ENTITIES, Entity};
use crate::lower::CallModel;
use crate::names::{pascal, snake};

/// The calls of one scope that an entity has, each with its position in the operation table.
type EntityCalls<'a> = (&'a str, Vec<(usize, &'a CallModel)>);

pub(super) fn write(out: &mut String, scopes: &ScopeCalls<'_>) -> fmt::Result {
    for entity in &ENTITIES {
        let mut of_entity: Vec<EntityCalls<'_>> = Vec::new();
        for (scope, calls) in scopes {
            let calls =
                calls.iter().copied().filter(|(_, call)| entity.has_operation(&call.operation));
            let calls: Vec<_> = calls.collect();
            if !calls.is_empty() {
                of_entity.push((*scope, calls));
            }
        }
        if !of_entity.is_empty() {
            module(out, entity, &of_entity)?;
        }
    }
    Ok(())
}

fn module(out: &mut String, entity: &Entity, scopes: &[EntityCalls<'_>]) -> fmt::Result {
    let Entity { method, handle, .. } = entity;
    let modules: Vec<String> =
        scopes.iter().map(|(scope, _)| ident_or_empty(snake(scope))).collect();
    writeln!(
        out,
        "/// Calls of [`{handle}`](crate::{handle}), one handle for each scope.\n{LINTS}pub mod {method} {{\n\
         use super::{{OPERATIONS, {}}};\nimpl crate::{handle} {{",
        modules.join(", "),
    )?;
    for (scope, calls) in scopes {
        let (name, module) = (ident_or_empty(pascal(scope)), ident_or_empty(snake(scope)));
        writeln!(
            out,
            "    /// The operations of [`{name}`].\n    {} #[inline] #[must_use] \
             pub fn {module}(&self) -> {name} {{ {name}(self.0.clone()) }}",
            feature(calls),
        )?;
    }
    writeln!(out, "}}")?;
    for (scope, calls) in scopes {
        scope_handle(out, entity, scope, calls)?;
    }
    writeln!(out, "}}")
}

fn scope_handle(
    out: &mut String,
    entity: &Entity,
    scope: &str,
    calls: &[(usize, &CallModel)],
) -> fmt::Result {
    let urls = calls.iter().map(|(_, call)| call.operation.documentation_url.as_str());
    let text = format!(
        "The operations `{}/…` of {}, called by `{}`. [GitHub's documentation]({})",
        scope.escape_debug(),
        entity.noun,
        path(entity, scope),
        texts::common_page(urls),
    );
    doc(out, "", &text)?;
    let name = ident_or_empty(pascal(scope));
    writeln!(
        out,
        "{} #[derive(Clone, Debug)] pub struct {name}(crate::client::entity::EntityClient);\n\
         impl {name} {{",
        feature(calls),
    )?;
    for (index, call) in calls {
        method(out, call, &format!("self.0.call(&OPERATIONS[{index}])"))?;
    }
    writeln!(out, "}}")
}

/// The path of a handle: `github.repo(owner, repo).issues()`.
fn path(entity: &Entity, scope: &str) -> String {
    format!("{}.{}()", entity.path(), ident_or_empty(snake(scope)))
}

/// The paths of the handles that have calls of a scope, as code.
pub(super) fn paths(scope: &str, calls: &[(usize, &CallModel)]) -> Vec<String> {
    let entities = ENTITIES
        .iter()
        .filter(|entity| calls.iter().any(|(_, call)| entity.has_operation(&call.operation)));
    entities.map(|entity| format!("`{}`", path(entity, scope))).collect()
}

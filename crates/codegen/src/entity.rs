//! Entities: the repositories, organizations, users and enterprises for which the client has a handle.
//!
//! `github.repo(owner, repo).issues()` has the operations `issues/…` whose path contains `owner` and `repo`, and
//! their calls start with both. The library has the handle (`src/client/entity.rs`), and the stage `write` adds a
//! method to it for each scope with such operations.

use crate::operations::Operation;

/// A kind of entity: a handle of the library, and the path parameters that its calls start with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entity {
    /// The method of `Client` that creates the handle, and the generated module: `repo`.
    pub method: &'static str,
    /// The type of the handle: `RepositoryHandle`.
    pub handle: &'static str,
    /// Its name in documentation: `a repository`.
    pub noun: &'static str,
    /// The path parameters, in the order of the method's arguments. All of them are text.
    pub parameters: &'static [&'static str],
}

/// All entities.
pub static ENTITIES: [Entity; 4] = [
    Entity {
        method: "repo",
        handle: "RepositoryHandle",
        noun: "a repository",
        parameters: &["owner", "repo"],
    },
    Entity {
        method: "org",
        handle: "OrganizationHandle",
        noun: "an organization",
        parameters: &["org"],
    },
    Entity { method: "user", handle: "UserHandle", noun: "a user", parameters: &["username"] },
    Entity {
        method: "enterprise",
        handle: "EnterpriseHandle",
        noun: "an enterprise",
        parameters: &["enterprise"],
    },
];

impl Entity {
    /// Returns whether the path of the operation contains all parameters of the entity.
    pub fn has_operation(&self, operation: &Operation) -> bool {
        self.parameters.iter().all(|name| {
            let mut parameters = operation.parameters.iter();
            parameters.any(|parameter| parameter.location == "path" && parameter.name == *name)
        })
    }

    /// The call that creates the handle: `github.repo(owner, repo)`.
    pub fn path(&self) -> String {
        format!("github.{}({})", self.method, self.parameters.join(", "))
    }
}

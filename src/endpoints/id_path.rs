//! Paths that identify a repository, an organization, a team or an account by its id.
//!
//! GitHub's own links use them: after `/repos/octocat/hello-world/issues`, the next page is at
//! `/repositories/1296269/issues?page=2`. GitHub's description does not contain these paths. Only this table knows
//! them; the cache, the contract checker and the mock server use it.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

/// A kind of resource that has paths by name and paths by id.
struct AliasFamily {
    by_name: &'static str,
    by_id: &'static str,
    /// The parameters of the path by name that one id replaces.
    names: &'static [&'static str],
}

const FAMILIES: [AliasFamily; 3] = [
    AliasFamily { by_name: "/repos", by_id: "/repositories", names: &["owner", "repo"] },
    AliasFamily { by_name: "/orgs", by_id: "/organizations", names: &["org"] },
    // `/user/repos` belongs to the authenticated user, and `/user/583231/repos` to the account with this id.
    AliasFamily { by_name: "/users", by_id: "/user", names: &["username"] },
];

/// The parameter that a team's id replaces, below an organization's id.
const TEAM: &[&str] = &["org", "team_slug"];

/// The path by name that corresponds to a path by id.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "contract"), allow(dead_code))]
pub(crate) struct PathAlias {
    /// The path, with the id in the place of each name.
    pub(crate) path: String,
    /// The parameters whose names are unknown.
    pub(crate) names: &'static [&'static str],
}

/// Returns the path by name that corresponds to a path by id. Both are relative to the base URL.
#[cfg_attr(not(feature = "contract"), allow(dead_code))]
pub(crate) fn resolve(path: &str) -> Option<PathAlias> {
    let (family, id, rest) = FAMILIES.iter().find_map(|family| {
        let (id, rest) = split_id(path, family.by_id)?;
        Some((family, id, rest))
    })?;
    if family.by_name == "/orgs"
        && let Some((team, rest)) = split_id(rest, "/team")
    {
        return Some(PathAlias { path: format!("/orgs/{id}/teams/{team}{rest}"), names: TEAM });
    }
    let mut path = family.by_name.to_owned();
    for _ in family.names {
        path.push('/');
        path.push_str(id);
    }
    path.push_str(rest);
    Some(PathAlias { path, names: family.names })
}

/// Returns the prefix of the other paths of the same resources: for a path by name, that of all paths by id, and the
/// reverse. Which id has which name is not known.
pub(crate) fn counterpart_prefix(path: &str) -> Option<&'static str> {
    FAMILIES.iter().find_map(|family| {
        if split_id(path, family.by_id).is_some() {
            return Some(family.by_name);
        }
        let rest = path.strip_prefix(family.by_name)?;
        rest.starts_with('/').then_some(family.by_id)
    })
}

/// Returns the path of a repository by its id.
pub(crate) fn repository_path_by_id(id: u64) -> String {
    format!("/repositories/{id}")
}

/// Returns the path of an organization by its id.
pub(crate) fn organization_path_by_id(id: u64) -> String {
    format!("/organizations/{id}")
}

/// Returns the id after this prefix, and the rest of the path, which can be empty.
fn split_id<'a>(path: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    let rest = path.strip_prefix(prefix)?.strip_prefix('/')?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (id, below) = rest.split_at(end);
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    is_id.then_some((id, below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_by_id_stands_for_a_path_by_name() {
        for (path, expected) in [
            ("/repositories/7/issues", Some("/repos/7/7/issues")),
            ("/repositories/7", Some("/repos/7/7")),
            ("/repositories/7/", Some("/repos/7/7/")),
            ("/organizations/7/repos", Some("/orgs/7/repos")),
            ("/organizations/7/team/9/members", Some("/orgs/7/teams/9/members")),
            ("/organizations/7/team", Some("/orgs/7/team")),
            ("/user/7/followers", Some("/users/7/followers")),
            ("/repositories", None),
            ("/repositories/x/issues", None),
            ("/repositories//issues", None),
            ("/repositories/-7/issues", None),
            ("/repositoriesx/7", None),
            ("/user/repos", None),
            ("/user/keys/7", None),
            ("/users/7/repos", None),
            ("/repos/o/r/issues", None),
            ("", None),
        ] {
            let path_by_name = resolve(path).map(|alias| alias.path);
            assert_eq!(path_by_name.as_deref(), expected, "{path}");
        }
        let team = resolve("/organizations/7/team/9/repos").unwrap();
        assert_eq!(team.names, ["org", "team_slug"]);
    }

    #[test]
    fn both_sorts_of_paths_have_a_counterpart() {
        for (path, expected) in [
            ("/repos/o/r/issues", Some("/repositories")),
            ("/repositories/7/issues", Some("/repos")),
            ("/orgs/o", Some("/organizations")),
            ("/organizations/7", Some("/orgs")),
            ("/users/u/events", Some("/user")),
            ("/user/7/events", Some("/users")),
            ("/user/repos", None),
            ("/repositories", None),
            ("/gists/7", None),
        ] {
            assert_eq!(counterpart_prefix(path), expected, "{path}");
        }
    }
}

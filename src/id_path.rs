//! Paths that name a repository, an organization, a team or an account by its id.
//!
//! GitHub's own links do: after `/repos/octocat/hello-world/issues`, the next page is at
//! `/repositories/1296269/issues?page=2`. GitHub's description does not have these paths. This table is
//! the one place that knows them; the cache, the contract checker and the mock ask it.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

/// A kind of resource that has paths by name and paths by id.
struct Family {
    by_name: &'static str,
    by_id: &'static str,
    /// The parameters of the path by name that one id stands for.
    names: &'static [&'static str],
}

const FAMILIES: [Family; 3] = [
    Family { by_name: "/repos", by_id: "/repositories", names: &["owner", "repo"] },
    Family { by_name: "/orgs", by_id: "/organizations", names: &["org"] },
    // `/user/repos` is the authenticated user's, and `/user/583231/repos` the account's of this id.
    Family { by_name: "/users", by_id: "/user", names: &["username"] },
];

/// The parameter that a team's id stands for, below an organization's id.
const TEAM: &[&str] = &["org", "team_slug"];

/// A path by name that a path by id stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "contract"), allow(dead_code))]
pub(crate) struct Alias {
    /// The path, with the id in the place of each name.
    pub(crate) path: String,
    /// The parameters whose names are not known.
    pub(crate) names: &'static [&'static str],
}

/// The path by name that a path by id stands for. Both are below the API's address.
#[cfg_attr(not(feature = "contract"), allow(dead_code))]
pub(crate) fn resolve(path: &str) -> Option<Alias> {
    let (family, id, rest) = FAMILIES.iter().find_map(|family| {
        let (id, rest) = id_below(path, family.by_id)?;
        Some((family, id, rest))
    })?;
    if family.by_name == "/orgs"
        && let Some((team, rest)) = id_below(rest, "/team")
    {
        return Some(Alias { path: format!("/orgs/{id}/teams/{team}{rest}"), names: TEAM });
    }
    let mut path = family.by_name.to_owned();
    for _ in family.names {
        path.push('/');
        path.push_str(id);
    }
    path.push_str(rest);
    Some(Alias { path, names: family.names })
}

/// The prefix of the other paths at which the resources of a path are as well: for a path by name,
/// that of all paths by id, and the reverse. Which id has which name is not known.
pub(crate) fn counterpart(path: &str) -> Option<&'static str> {
    FAMILIES.iter().find_map(|family| {
        if id_below(path, family.by_id).is_some() {
            return Some(family.by_name);
        }
        let rest = path.strip_prefix(family.by_name)?;
        rest.starts_with('/').then_some(family.by_id)
    })
}

/// The path of a repository by its id.
pub(crate) fn of_repository(id: u64) -> String {
    format!("/repositories/{id}")
}

/// The path of an organization by its id.
pub(crate) fn of_organization(id: u64) -> String {
    format!("/organizations/{id}")
}

/// The id after this prefix, and what is behind it: empty, or a path.
fn id_below<'a>(path: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
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
            assert_eq!(counterpart(path), expected, "{path}");
        }
    }
}

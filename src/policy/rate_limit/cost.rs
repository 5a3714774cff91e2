//! The limits that a call counts against.

use std::borrow::Cow;

use http::Method;

/// A call, as limits count it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestCost {
    pub(crate) points: u32,
    pub(crate) graphql: bool,
    pub(crate) creates_content: bool,
    /// The primary limit, as far as it is known before the response.
    pub(crate) resource: Cow<'static, str>,
    /// For a write: the owner of the resource that it changes.
    pub(crate) owner: Option<Box<str>>,
}

/// GitHub's [points](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#calculating-points-for-the-secondary-rate-limit).
const READ_POINTS: u32 = 1;
const WRITE_POINTS: u32 = 5;

impl RequestCost {
    /// Returns the cost of a REST call with this path below the API's base URL.
    pub(crate) fn rest(
        method: &Method,
        path: &str,
        resource: Cow<'static, str>,
        creates_content: bool,
    ) -> Self {
        let write = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        Self {
            points: if write { WRITE_POINTS } else { READ_POINTS },
            graphql: false,
            creates_content: write && creates_content,
            resource,
            owner: write.then(|| owner(path)).flatten(),
        }
    }

    /// Returns the cost of a GraphQL call.
    pub(crate) fn graphql(mutation: bool) -> Self {
        Self {
            points: if mutation { WRITE_POINTS } else { READ_POINTS },
            graphql: true,
            creates_content: mutation,
            resource: Cow::Borrowed("graphql"),
            owner: None,
        }
    }
}

/// Returns the user or organization that a path concerns, in lower case, as GitHub ignores case.
fn owner(path: &str) -> Option<Box<str>> {
    let mut segments = path.trim_start_matches('/').split('/');
    let first = segments.next()?;
    let owner = segments.next().filter(|owner| !owner.is_empty())?;
    matches!(first, "repos" | "orgs" | "users" | "enterprises")
        .then(|| owner.to_ascii_lowercase().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(method: Method, path: &str) -> RequestCost {
        RequestCost::rest(&method, path, Cow::Borrowed("core"), true)
    }

    #[test]
    fn reads_cost_a_point_and_writes_five() {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            let cost = rest(method, "/repos/o/r");
            assert_eq!((cost.points, cost.creates_content, cost.owner), (1, false, None));
        }
        for method in [Method::POST, Method::PATCH, Method::PUT, Method::DELETE] {
            let cost = rest(method, "/repos/Octo/r");
            assert_eq!((cost.points, cost.creates_content), (5, true));
            assert_eq!(cost.owner.as_deref(), Some("octo"));
        }
        assert_eq!((RequestCost::graphql(false).points, RequestCost::graphql(true).points), (1, 5));
    }

    #[test]
    fn the_owner_is_read_from_the_path() {
        for (path, expected) in [
            ("/repos/o/r/issues", Some("o")),
            ("repos/o", Some("o")),
            ("/orgs/O", Some("o")),
            ("/enterprises/e/x", Some("e")),
            ("/repos//r", None),
            ("/repos", None),
            ("/user/repos", None),
            ("", None),
        ] {
            assert_eq!(owner(path).as_deref(), expected, "{path}");
        }
    }
}

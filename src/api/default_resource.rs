//! The rate limit of a path without a description.

/// The `Operation::rate_limit` of an operation that counts against no limit.
pub(crate) const NO_LIMIT: &str = "none";

/// Returns the [rate limit](https://docs.github.com/en/rest/rate-limit/rate-limit) that calls of this path count
/// against, if no description of an operation names one. The path is relative to the API's base URL, with or without
/// its first `/`.
///
/// GitHub specifies one limit for the search of code, which is the one endpoint `/search/code`; one for all other
/// searches; one for the conversions of App manifests, which the client requests without a description; and one for all
/// resources "not related to search". Reading the status of the limits counts against none. The limits of other single
/// operations, such as `scim`, need a description.
pub(crate) fn default_resource(path: &str) -> &'static str {
    match path.strip_prefix('/').unwrap_or(path) {
        "rate_limit" => NO_LIMIT,
        "search/code" => "code_search",
        path if path.starts_with("search/") => "search",
        path if path.starts_with("app-manifests/") => "integration_manifest",
        _ => "core",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_segments_decide_with_or_without_the_first_slash() {
        for (path, expected) in [
            ("rate_limit", "none"),
            ("rate_limits", "core"),
            ("rate_limit/history", "core"),
            ("search/code", "code_search"),
            // Another search, whose name begins in the same way.
            ("search/codespaces", "search"),
            ("search/code-scanning", "search"),
            ("search/code/x", "search"),
            ("search/issues", "search"),
            ("search/", "search"),
            ("search", "core"),
            ("searches/issues", "core"),
            ("repos/search/code", "core"),
            ("app-manifests/c0de/conversions", "integration_manifest"),
            ("app-manifests", "core"),
            ("repos/o/rate_limit", "core"),
            ("graphql", "core"),
            ("", "core"),
        ] {
            assert_eq!(default_resource(path), expected, "{path}");
            assert_eq!(default_resource(&format!("/{path}")), expected, "/{path}");
        }
        // An empty segment is another path, which GitHub does not have.
        assert_eq!(default_resource("//rate_limit"), "core");
    }

    /// The limits that GitHub specifies for single operations, which no path alone implies.
    const OF_OPERATIONS: [&str; 5] = [
        "actions_runner_registration",
        "code_scanning_autofix",
        "dependency_sbom",
        "dependency_snapshots",
        "scim",
    ];

    #[test]
    fn each_described_operation_has_the_default_of_its_path_or_a_limit_of_its_own() {
        for operation in crate::api::OPERATIONS {
            let is_own = OF_OPERATIONS.contains(&operation.rate_limit);
            assert!(
                is_own || default_resource(operation.path) == operation.rate_limit,
                "{}: {}",
                operation.id,
                operation.rate_limit,
            );
        }
    }
}

//! Numbers from outside do not overflow: in the modules that parse them, clippy reports arithmetic
//! that can, and CI accepts no warning.

use crate::sources;

/// The modules that parse input from outside, or calculate with its values. The lint of a module
/// is that of all modules below it.
const MODULES: [&str; 18] = [
    "src/policy/auth/mod.rs",
    "src/contract/mod.rs",
    "src/error/mod.rs",
    "src/headers/mod.rs",
    "src/client/graphql.rs",
    "src/response/graphql.rs",
    "src/endpoints/id_path.rs",
    "src/api/integers.rs",
    "src/codec/json_path.rs",
    "src/api/operation.rs",
    "src/migration/mod.rs",
    "src/time/ring.rs",
    "src/observability/dashboard_series.rs",
    "src/meter/catalog.rs",
    "src/observability/recent.rs",
    "src/testing/mod.rs",
    "src/api/timestamps.rs",
    "src/codec/mod.rs",
];

const LINT: &str = "#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]";

#[test]
fn arithmetic_is_checked_where_numbers_come_from_outside() {
    let without: Vec<&str> = MODULES
        .into_iter()
        .filter(|module| !sources::text(module).lines().any(|line| line == LINT))
        .collect();
    assert!(without.is_empty(), "no {LINT} in {without:?}");
}

/// An exception has a reason, which proves that nothing overflows.
#[test]
fn no_module_allows_the_lint_without_a_reason() {
    let files = sources::files();
    assert!(files.len() > 100);
    for (path, text) in files {
        for (at, _) in text.match_indices("clippy::arithmetic_side_effects") {
            let start = text[..at].rfind("#[").max(text[..at].rfind("#![")).unwrap_or(0);
            let is_allowed =
                text[start..at].contains("allow(") || text[start..at].contains("expect(");
            let attribute = text[start..].split(")]").next().unwrap_or_default();
            assert!(!is_allowed || attribute.contains("reason"), "{path}: {attribute}");
        }
    }
}

/// Clippy takes warnings for errors in the script that has to succeed.
#[test]
fn a_warning_is_an_error_of_the_script() {
    let command =
        r#"cargo clippy --locked "${both[@]}" --all-features --all-targets -- -D warnings"#;
    assert!(sources::text("scripts/test.sh").contains(command));
}

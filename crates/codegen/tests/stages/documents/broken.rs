//! Request examples that are themselves broken.

/// Examples of the vendored document that cannot be sent, by operation and name, and why.
pub const EXAMPLES: &[(&str, &str)] = &[
    (
        "codespaces/create-with-pr-for-authenticated-user default",
        "Copied from codespaces/create-for-authenticated-user (`repository_id`, `ref`); here the pull request in the path says both.",
    ),
    (
        "codespaces/publish-for-authenticated-user default",
        "`repository` stands for `name`, the only property of the body that is \"A name for the new repository\".",
    ),
    (
        "codespaces/set-repositories-for-secret-for-authenticated-user default",
        "Ids of repositories as strings; they are \"repository ids\" by the description, and integers in the path of the operations for a single one.",
    ),
    (
        "orgs/create-issue-field default",
        "The options lack `priority`, which is required here and in orgs/update-issue-field, whose examples all have it.",
    ),
    (
        "orgs/list-attestations-bulk withPredicateType",
        "`predicateType` stands for `predicate_type`, as the body and the queries of the operations for a single digest call it.",
    ),
    (
        "projects/add-field-for-org single_select_field",
        "The options are in the form of responses, with `raw` and `html`; \"The display name of the option\" that is sent is a string.",
    ),
    (
        "projects/add-field-for-user single_select_field",
        "The options are in the form of responses, with `raw` and `html`; \"The display name of the option\" that is sent is a string.",
    ),
    (
        "security-advisories/update-repository-advisory update_vvrs",
        "The value of `vulnerabilities` stands where the body does.",
    ),
    (
        "users/list-attestations-bulk withPredicateType",
        "`predicateType` stands for `predicate_type`, as the body and the queries of the operations for a single digest call it.",
    ),
];

/// Examples of ghec, and in part of ghes, that cannot be sent.
pub const ELSEWHERE: &[(&str, &str)] = &[
    (
        "enterprise-admin/create-audit-log-stream default",
        "Written for an older form: an access key that is not encrypted, though \"you must encrypt the credentials\".",
    ),
    (
        "enterprise-admin/update-audit-log-stream default",
        "Written for an older form: an access key that is not encrypted, though \"you must encrypt the credentials\".",
    ),
    (
        "repos/create-enterprise-ruleset default",
        "`org_name` stands for `organization_name`, and the condition for repositories, of which each combination has one, is left out.",
    ),
    (
        "repos/update-enterprise-ruleset default",
        "`org_name` stands for `organization_name`, and the condition for repositories, of which each combination has one, is left out.",
    ),
];

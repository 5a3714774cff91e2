//! Examples that are themselves broken.

/// The examples that cannot decode, by operation, status and name, and why.
pub const EXAMPLES: &[(&str, &str)] = &[
    (
        "actions/list-org-variables 200 default",
        "A variable's value is written as the boolean true; variables are strings, as the request body and the other examples say.",
    ),
    (
        "agents/list-org-variables 200 default",
        "A variable's value is written as the boolean true; variables are strings, as the request body and the other examples say.",
    ),
    (
        "apps/list-installation-requests-for-authenticated-app 200 exampleKey1",
        "`login` is left out of an otherwise complete user; every user has one, and `simple-user` is the most used schema of all.",
    ),
    (
        "classroom/get-a-classroom 200 default",
        "Typing error: \"false,\" as a string for a boolean.",
    ),
    (
        "classroom/get-an-assignment 200 default",
        "Typing errors: \"12,\", \"true,\" and \"false,\" for an integer and booleans, `stater_code_repository` for `starter_code_repository`; the classroom is a short form.",
    ),
    (
        "classroom/list-accepted-assignments-for-an-assignment 200 default",
        "An item of the list stands where the list is returned (with \"12,\" and \"false,\" for an integer and booleans).",
    ),
    (
        "classroom/list-assignments-for-a-classroom 200 default",
        "An item of the list stands where the list is returned (with \"12,\" and \"false,\" for an integer and booleans).",
    ),
    (
        "classroom/list-classrooms 200 default",
        "An item of the list stands where the list is returned (with \"12,\" and \"false,\" for an integer and booleans).",
    ),
    (
        "dependabot/repository-access-for-enterprise 200 default",
        "`gravatar_id` is the number 1: a placeholder. It is a string, mostly empty, in every other example.",
    ),
    (
        "dependabot/repository-access-for-org 200 default",
        "`gravatar_id` is the number 1: a placeholder. It is a string, mostly empty, in every other example.",
    ),
    (
        "enterprise-team-organizations/get-assignments 200 default",
        "An organization stands where a list of them is returned.",
    ),
    (
        "meta/get 200 default",
        "The SSH key fingerprints are the placeholder 1234567890; real ones are Base64 strings.",
    ),
    (
        "orgs/list-attestations-bulk 200 default",
        "The map from digests to attestations is wrapped into a list of one map.",
    ),
    ("projects/list-for-org 200 default", "A project stands where a list of them is returned."),
    ("projects/list-for-user 200 default", "A project stands where a list of them is returned."),
    (
        "projects/list-items-for-org 200 default",
        "An item of a project stands where a list of them is returned.",
    ),
    (
        "projects/list-items-for-user 200 default",
        "An item of a project stands where a list of them is returned.",
    ),
    (
        "projects/list-view-items-for-org 200 default",
        "An item of a project stands where a list of them is returned.",
    ),
    (
        "projects/list-view-items-for-user 200 default",
        "An item of a project stands where a list of them is returned.",
    ),
    (
        "repos/list-activities 200 default",
        "Written for an older form of the schema (`pushed_at`, `push_type`, `pusher` for `timestamp`, `activity_type`, `actor`).",
    ),
    (
        "repos/list-custom-deployment-rule-integrations 200 default",
        "The object is torn into a list of its properties: [{\"total_count\": 2}, {...}].",
    ),
    (
        "search/issues-and-pull-requests 200 lexical-fallback",
        "Abridged: an item is the string \"...\".",
    ),
    (
        "users/list-attestations-bulk 200 default",
        "The map from digests to attestations is wrapped into a list of one map.",
    ),
];

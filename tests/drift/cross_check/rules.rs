//! The rules of oasdiff, and the change kinds they correspond to.

use octowire_refresh::drift::ChangeKind;

/// The change kind of a rule of oasdiff, and the reason if it is not breaking here.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) kinds: &'static [ChangeKind],
    /// Why it may be less grave to us.
    pub(super) because: &'static str,
}

pub(super) const NEVER: &str = "";
const UNIONS: &str = "unions end in raw JSON";
const LISTS: &str = "an `Option` or a list stays what it is: it could be absent or `null` before";
const LIMITS: &str = "limits are not checked when decoding";
const SEEN: &[ChangeKind] =
    &[ChangeKind::TypeChanged, ChangeKind::TypeWidened, ChangeKind::TypeNarrowed];
const REMOVED: &[ChangeKind] = &[
    ChangeKind::RequiredPropertyRemoved,
    ChangeKind::PropertyRemoved,
    ChangeKind::TypeChanged,
    ChangeKind::TypeWidened,
    ChangeKind::TypeNarrowed,
    ChangeKind::VariantRemoved,
];

/// Every rule that oasdiff calls an error or a warning between the documents at hand.
pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "api-path-removed-without-deprecation",
        kinds: &[ChangeKind::OperationRemoved, ChangeKind::PathMoved, ChangeKind::MethodChanged],
        because: NEVER,
    },
    Rule {
        name: "api-removed-without-deprecation",
        kinds: &[ChangeKind::OperationRemoved, ChangeKind::MethodChanged],
        because: NEVER,
    },
    Rule {
        name: "new-required-request-property",
        kinds: &[ChangeKind::RequiredPropertyAdded],
        because: NEVER,
    },
    Rule {
        name: "request-body-became-required",
        kinds: &[ChangeKind::RequestBodyBecameRequired],
        because: NEVER,
    },
    Rule {
        name: "request-body-one-of-removed",
        // A variant is paired with the one that is like it, and what differs is named.
        kinds: &[
            ChangeKind::VariantRemoved,
            ChangeKind::TypeNarrowed,
            ChangeKind::PropertyBecameRequired,
            ChangeKind::AdditionalPropertiesForbidden,
        ],
        because: NEVER,
    },
    Rule { name: "request-body-type-changed", kinds: SEEN, because: NEVER },
    Rule {
        name: "request-parameter-default-value-changed",
        kinds: &[ChangeKind::DefaultChanged],
        because: "a call without it does not fail: it is a notice",
    },
    Rule {
        name: "request-parameter-removed",
        kinds: &[ChangeKind::ParameterRemoved],
        because: NEVER,
    },
    Rule {
        name: "request-parameter-type-changed",
        kinds: &[
            ChangeKind::TypeChanged,
            ChangeKind::TypeNarrowed,
            ChangeKind::TypeWidened,
            ChangeKind::FormatChanged,
        ],
        because: "all integers are `i64`, and all formats but times are text",
    },
    Rule {
        name: "request-property-became-required",
        kinds: &[ChangeKind::PropertyBecameRequired],
        because: NEVER,
    },
    Rule {
        name: "request-property-enum-value-removed",
        kinds: &[ChangeKind::EnumValueRemoved],
        because: NEVER,
    },
    Rule {
        name: "request-property-max-length-set",
        kinds: &[ChangeKind::BoundTightened],
        because: NEVER,
    },
    Rule {
        name: "request-property-min-items-increased",
        kinds: &[ChangeKind::BoundTightened],
        because: NEVER,
    },
    Rule {
        name: "request-property-min-length-increased",
        kinds: &[ChangeKind::BoundTightened],
        because: NEVER,
    },
    Rule {
        name: "request-property-pattern-changed",
        kinds: &[ChangeKind::PatternChanged],
        because: NEVER,
    },
    Rule {
        name: "request-property-removed",
        kinds: &[ChangeKind::PropertyRemoved],
        because: NEVER,
    },
    Rule {
        name: "request-property-type-changed",
        kinds: SEEN,
        // Where the variant takes less than before, that is another change, which is breaking.
        because: "a union that has the old type as a variant takes what programs send",
    },
    Rule {
        name: "response-body-became-nullable",
        kinds: &[ChangeKind::BecameNullable],
        because: NEVER,
    },
    Rule {
        name: "response-body-one-of-added",
        kinds: &[ChangeKind::VariantAdded, ChangeKind::TypeWidened],
        because: UNIONS,
    },
    Rule { name: "response-body-type-changed", kinds: SEEN, because: NEVER },
    Rule {
        name: "response-media-type-removed",
        kinds: &[ChangeKind::MediaTypeRemoved],
        because: NEVER,
    },
    Rule {
        name: "response-optional-property-removed",
        kinds: REMOVED,
        because: "it is read as absent",
    },
    Rule {
        name: "response-property-became-nullable",
        kinds: &[ChangeKind::BecameNullable],
        because: LISTS,
    },
    Rule {
        name: "response-property-became-optional",
        kinds: &[ChangeKind::PropertyBecameOptional],
        because: LISTS,
    },
    Rule {
        name: "response-property-enum-value-added",
        kinds: &[ChangeKind::EnumValueAdded, ChangeKind::EnumIntroduced],
        because: "enums preserve unknown values",
    },
    Rule { name: "response-property-list-of-types-widened", kinds: SEEN, because: NEVER },
    Rule {
        name: "response-property-max-length-increased",
        kinds: &[ChangeKind::BoundLoosened],
        because: LIMITS,
    },
    Rule {
        name: "response-property-max-length-unset",
        kinds: &[ChangeKind::BoundLoosened],
        because: LIMITS,
    },
    Rule {
        name: "response-property-one-of-added",
        kinds: &[ChangeKind::VariantAdded, ChangeKind::TypeWidened],
        because: UNIONS,
    },
    Rule {
        name: "response-property-type-changed",
        kinds: &[
            ChangeKind::TypeChanged,
            ChangeKind::TypeWidened,
            ChangeKind::TypeNarrowed,
            ChangeKind::FormatChanged,
        ],
        because: "all integers are `i64`, and all formats but times are text",
    },
    Rule {
        name: "response-required-property-removed",
        kinds: REMOVED,
        because: "a list is empty without it",
    },
];

/// Findings of oasdiff that are no change or another change here: rule, message and reason.
pub(super) const OTHERWISE: &[(&str, &str, &str)] = &[
    ("", "budget_type", "an enum of two strings is a union of two enums of one string"),
    ("", "-access-restrictions", "a union of one variant is that variant"),
    (
        "request-body-one-of-removed",
        "codespaces/create-for-authenticated-user",
        "both variants are there as before, and only descriptions changed",
    ),
    ("", "`undefined`", "`null` in an enum is `nullable`, which it was and is"),
    (
        "response-property-became-optional",
        "repos/get-content: ",
        "it was in `required` without being a property, and is reported as added",
    ),
    ("response-body-type-changed", "for status `4", ERRORS),
    ("response-media-type-removed", "status `4", ERRORS),
];
const ERRORS: &str = "errors are read in the same way for every operation: it is a notice";

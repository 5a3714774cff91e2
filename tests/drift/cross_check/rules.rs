//! The rules of oasdiff, and the change kinds they correspond to.

use octowire_refresh::drift::Kind;

/// The change kind of a rule of oasdiff, and the reason if it is not breaking here.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) kinds: &'static [Kind],
    /// Why it may be less grave to us.
    pub(super) because: &'static str,
}

pub(super) const NEVER: &str = "";
const UNIONS: &str = "unions end in raw JSON";
const LISTS: &str = "an `Option` or a list stays what it is: it could be absent or `null` before";
const LIMITS: &str = "limits are not checked when decoding";
const SEEN: &[Kind] = &[Kind::TypeChanged, Kind::TypeWidened, Kind::TypeNarrowed];
const REMOVED: &[Kind] = &[
    Kind::RequiredPropertyRemoved,
    Kind::PropertyRemoved,
    Kind::TypeChanged,
    Kind::TypeWidened,
    Kind::TypeNarrowed,
    Kind::VariantRemoved,
];

/// Every rule that oasdiff calls an error or a warning between the documents at hand.
pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "api-path-removed-without-deprecation",
        kinds: &[Kind::OperationRemoved, Kind::PathMoved, Kind::MethodChanged],
        because: NEVER,
    },
    Rule {
        name: "api-removed-without-deprecation",
        kinds: &[Kind::OperationRemoved, Kind::MethodChanged],
        because: NEVER,
    },
    Rule {
        name: "new-required-request-property",
        kinds: &[Kind::RequiredPropertyAdded],
        because: NEVER,
    },
    Rule {
        name: "request-body-became-required",
        kinds: &[Kind::RequestBodyBecameRequired],
        because: NEVER,
    },
    Rule {
        name: "request-body-one-of-removed",
        // A variant is paired with the one that is like it, and what differs is named.
        kinds: &[
            Kind::VariantRemoved,
            Kind::TypeNarrowed,
            Kind::PropertyBecameRequired,
            Kind::AdditionalPropertiesForbidden,
        ],
        because: NEVER,
    },
    Rule { name: "request-body-type-changed", kinds: SEEN, because: NEVER },
    Rule {
        name: "request-parameter-default-value-changed",
        kinds: &[Kind::DefaultChanged],
        because: "a call without it does not fail: it is a notice",
    },
    Rule { name: "request-parameter-removed", kinds: &[Kind::ParameterRemoved], because: NEVER },
    Rule {
        name: "request-parameter-type-changed",
        kinds: &[Kind::TypeChanged, Kind::TypeNarrowed, Kind::TypeWidened, Kind::FormatChanged],
        because: "all integers are `i64`, and all formats but times are text",
    },
    Rule {
        name: "request-property-became-required",
        kinds: &[Kind::PropertyBecameRequired],
        because: NEVER,
    },
    Rule {
        name: "request-property-enum-value-removed",
        kinds: &[Kind::EnumValueRemoved],
        because: NEVER,
    },
    Rule {
        name: "request-property-max-length-set",
        kinds: &[Kind::BoundTightened],
        because: NEVER,
    },
    Rule {
        name: "request-property-min-items-increased",
        kinds: &[Kind::BoundTightened],
        because: NEVER,
    },
    Rule {
        name: "request-property-min-length-increased",
        kinds: &[Kind::BoundTightened],
        because: NEVER,
    },
    Rule {
        name: "request-property-pattern-changed",
        kinds: &[Kind::PatternChanged],
        because: NEVER,
    },
    Rule { name: "request-property-removed", kinds: &[Kind::PropertyRemoved], because: NEVER },
    Rule {
        name: "request-property-type-changed",
        kinds: SEEN,
        // Where the variant takes less than before, that is another change, which is breaking.
        because: "a union that has the old type as a variant takes what programs send",
    },
    Rule { name: "response-body-became-nullable", kinds: &[Kind::BecameNullable], because: NEVER },
    Rule {
        name: "response-body-one-of-added",
        kinds: &[Kind::VariantAdded, Kind::TypeWidened],
        because: UNIONS,
    },
    Rule { name: "response-body-type-changed", kinds: SEEN, because: NEVER },
    Rule { name: "response-media-type-removed", kinds: &[Kind::MediaTypeRemoved], because: NEVER },
    Rule {
        name: "response-optional-property-removed",
        kinds: REMOVED,
        because: "it is read as absent",
    },
    Rule {
        name: "response-property-became-nullable",
        kinds: &[Kind::BecameNullable],
        because: LISTS,
    },
    Rule {
        name: "response-property-became-optional",
        kinds: &[Kind::PropertyBecameOptional],
        because: LISTS,
    },
    Rule {
        name: "response-property-enum-value-added",
        kinds: &[Kind::EnumValueAdded, Kind::EnumIntroduced],
        because: "enums preserve unknown values",
    },
    Rule { name: "response-property-list-of-types-widened", kinds: SEEN, because: NEVER },
    Rule {
        name: "response-property-max-length-increased",
        kinds: &[Kind::BoundLoosened],
        because: LIMITS,
    },
    Rule {
        name: "response-property-max-length-unset",
        kinds: &[Kind::BoundLoosened],
        because: LIMITS,
    },
    Rule {
        name: "response-property-one-of-added",
        kinds: &[Kind::VariantAdded, Kind::TypeWidened],
        because: UNIONS,
    },
    Rule {
        name: "response-property-type-changed",
        kinds: &[Kind::TypeChanged, Kind::TypeWidened, Kind::TypeNarrowed, Kind::FormatChanged],
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

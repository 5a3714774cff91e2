//! Ratings of changes in requests.

use super::super::change::{Kind, SemverBump, Severity};
use super::{ChangeFacts, PLAIN, UNKNOWN, Verdict};

/// Changes of requests.
pub(super) fn sent(kind: Kind, facts: ChangeFacts) -> Verdict {
    use SemverBump::{Major, Minor, None, Patch};
    use Severity::{Breaking, Compatible, Notice};
    let retyped = if facts.retyped { Major } else { None };
    match kind {
        Kind::ParameterAdded => (Compatible, Minor, "programs do not send it, and do not need to"),
        Kind::RequiredParameterAdded => (Breaking, Major, "programs do not send it"),
        Kind::ParameterRemoved => (
            Breaking,
            Major,
            "programs send it, which is ignored or rejected; its setter is removed",
        ),
        Kind::ParameterRenamed => {
            (Compatible, Major, "the URL is unchanged, but setters are named after parameters")
        }
        Kind::ParameterBecameRequired => (Breaking, Major, "programs that omit it are rejected"),
        Kind::ParameterBecameOptional => (Compatible, Minor, "programs send it as before"),
        Kind::ParameterEncodingChanged => {
            (Breaking, Patch, "programs write it as before, which might be misinterpreted")
        }
        Kind::RequestBodyAdded => (Compatible, Minor, "programs send none, and do not need to"),
        Kind::RequiredRequestBodyAdded => (Breaking, Major, "programs send none"),
        Kind::RequestBodyRemoved => (
            Breaking,
            Major,
            "programs send one, which is ignored or rejected; its setters are removed",
        ),
        Kind::RequestBodyBecameRequired => (Breaking, Patch, "programs that omit it are rejected"),
        Kind::RequestBodyBecameOptional => (Compatible, Patch, "programs send it as before"),
        Kind::MediaTypeAdded => (Compatible, retyped, "programs send the others as before"),
        Kind::MediaTypeRemoved => (Breaking, retyped, "programs that send it are rejected"),
        Kind::PropertyAdded => (Compatible, Minor, "programs do not send it, and do not need to"),
        Kind::RequiredPropertyAdded => (Breaking, Major, "programs do not send it"),
        Kind::PropertyRemoved | Kind::RequiredPropertyRemoved => (
            Breaking,
            Major,
            "programs send it, which is ignored or rejected; its setter is removed",
        ),
        Kind::PropertyBecameRequired if facts.nameless => {
            (Breaking, None, "programs that omit it are rejected; there is no Rust field for it")
        }
        Kind::PropertyBecameOptional if facts.nameless => {
            (Compatible, None, "programs do not need to send it, and there is no Rust field for it")
        }
        Kind::PropertyBecameRequired => (Breaking, Major, "programs that omit it are rejected"),
        Kind::PropertyBecameOptional if facts.setter => {
            (Compatible, Minor, "programs send it as before, and do not need to")
        }
        Kind::PropertyBecameOptional => {
            (Compatible, Major, "programs send it as before; `new(…)` no longer accepts it")
        }
        Kind::BecameNullable if facts.setter => {
            (Compatible, Minor, "programs send no `null`, and do not need to")
        }
        Kind::BecameNullable => (
            Compatible,
            Major,
            "programs send no `null`, and do not need to; `T` becomes `Option<T>`",
        ),
        Kind::BecameNotNullable => {
            (Breaking, Major, "programs that send `null` are rejected; `Option<T>` becomes `T`")
        }
        Kind::TypeChanged => (Breaking, Major, "programs send the old type, which is rejected"),
        Kind::TypeWidened if facts.union_beside_properties => {
            (Compatible, None, "the values that programs send are still accepted")
        }
        Kind::TypeNarrowed if facts.harmless => {
            (Compatible, None, "programs already had to send values that it allows")
        }
        Kind::TypeNarrowed if facts.union_beside_properties => (
            Breaking,
            None,
            "some values that programs send are rejected; the Rust type does not reflect it",
        ),
        Kind::TypeWidened => (
            Compatible,
            Major,
            "the values that programs send are still accepted, but the Rust type changes",
        ),
        Kind::TypeNarrowed => (
            Breaking,
            Major,
            "some values that programs send are rejected, and the Rust type changes",
        ),
        Kind::FormatChanged if facts.retyped => {
            (Breaking, Major, "programs write it in the old format, and the Rust type changes")
        }
        Kind::FormatChanged if facts.harmless => {
            (Compatible, None, "the Rust type is unchanged, and no values are rejected")
        }
        Kind::FormatChanged => (Notice, None, "the Rust type is unchanged; values might differ"),
        Kind::EnumValueAdded if !facts.retyped => (Compatible, None, PLAIN),
        Kind::EnumDropped if !facts.retyped => (Compatible, None, PLAIN),
        Kind::EnumValueRemoved | Kind::EnumIntroduced if !facts.retyped => (Breaking, None, PLAIN),
        Kind::EnumValueAdded => (Compatible, Minor, "programs do not send it, and do not need to"),
        Kind::EnumValueRemoved => {
            (Breaking, Major, "programs that send it are rejected, and the variant is removed")
        }
        Kind::EnumIntroduced => {
            (Breaking, Major, "other values are rejected, and the type becomes an enum")
        }
        Kind::EnumDropped => {
            (Compatible, Major, "the values are still accepted, but the enum becomes a plain type")
        }
        Kind::DefaultChanged => (Notice, Patch, "programs that omit it get another default"),
        Kind::BoundTightened => {
            (Breaking, None, "some values are rejected; limits are not in the Rust types")
        }
        Kind::BoundLoosened => {
            (Compatible, None, "more values are accepted; limits are not in the Rust types")
        }
        Kind::PatternChanged => {
            (Breaking, None, "some values might be rejected; limits are not in the Rust types")
        }
        Kind::AdditionalPropertiesForbidden => {
            (Breaking, None, "additional properties are rejected")
        }
        Kind::AdditionalPropertiesAllowed => (Compatible, None, "more values are accepted"),
        Kind::VariantAdded => (Compatible, Minor, "programs do not send it, and do not need to"),
        Kind::VariantRemoved => {
            (Breaking, Major, "programs that send it are rejected, and the variant is removed")
        }
        Kind::DiscriminatorChanged => {
            (Notice, None, "variants are serialized as before, without the discriminator")
        }
        Kind::AccessChanged => {
            (Notice, Patch, "GitHub might now ignore it, or no longer ignore it")
        }
        _ => (Notice, Patch, UNKNOWN),
    }
}

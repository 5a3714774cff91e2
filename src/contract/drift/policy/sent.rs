//! Ratings of changes in requests.

use super::super::change::{ChangeKind, SemverBump, Severity};
use super::{ChangeFacts, PLAIN, UNKNOWN, Verdict};

/// Changes of requests.
pub(super) fn sent(kind: ChangeKind, facts: ChangeFacts) -> Verdict {
    use SemverBump::{Major, Minor, None, Patch};
    use Severity::{Breaking, Compatible, Notice};
    let retyped = if facts.retyped { Major } else { None };
    match kind {
        ChangeKind::ParameterAdded => {
            (Compatible, Minor, "programs do not send it, and do not need to")
        }
        ChangeKind::RequiredParameterAdded => (Breaking, Major, "programs do not send it"),
        ChangeKind::ParameterRemoved => (
            Breaking,
            Major,
            "programs send it, which is ignored or rejected; its setter is removed",
        ),
        ChangeKind::ParameterRenamed => {
            (Compatible, Major, "the URL is unchanged, but setters are named after parameters")
        }
        ChangeKind::ParameterBecameRequired => {
            (Breaking, Major, "programs that omit it are rejected")
        }
        ChangeKind::ParameterBecameOptional => (Compatible, Minor, "programs send it as before"),
        ChangeKind::ParameterEncodingChanged => {
            (Breaking, Patch, "programs write it as before, which might be misinterpreted")
        }
        ChangeKind::RequestBodyAdded => {
            (Compatible, Minor, "programs send none, and do not need to")
        }
        ChangeKind::RequiredRequestBodyAdded => (Breaking, Major, "programs send none"),
        ChangeKind::RequestBodyRemoved => (
            Breaking,
            Major,
            "programs send one, which is ignored or rejected; its setters are removed",
        ),
        ChangeKind::RequestBodyBecameRequired => {
            (Breaking, Patch, "programs that omit it are rejected")
        }
        ChangeKind::RequestBodyBecameOptional => (Compatible, Patch, "programs send it as before"),
        ChangeKind::MediaTypeAdded => (Compatible, retyped, "programs send the others as before"),
        ChangeKind::MediaTypeRemoved => (Breaking, retyped, "programs that send it are rejected"),
        ChangeKind::PropertyAdded => {
            (Compatible, Minor, "programs do not send it, and do not need to")
        }
        ChangeKind::RequiredPropertyAdded => (Breaking, Major, "programs do not send it"),
        ChangeKind::PropertyRemoved | ChangeKind::RequiredPropertyRemoved => (
            Breaking,
            Major,
            "programs send it, which is ignored or rejected; its setter is removed",
        ),
        ChangeKind::PropertyBecameRequired if facts.nameless => {
            (Breaking, None, "programs that omit it are rejected; there is no Rust field for it")
        }
        ChangeKind::PropertyBecameOptional if facts.nameless => {
            (Compatible, None, "programs do not need to send it, and there is no Rust field for it")
        }
        ChangeKind::PropertyBecameRequired => {
            (Breaking, Major, "programs that omit it are rejected")
        }
        ChangeKind::PropertyBecameOptional if facts.setter => {
            (Compatible, Minor, "programs send it as before, and do not need to")
        }
        ChangeKind::PropertyBecameOptional => {
            (Compatible, Major, "programs send it as before; `new(…)` no longer accepts it")
        }
        ChangeKind::BecameNullable if facts.setter => {
            (Compatible, Minor, "programs send no `null`, and do not need to")
        }
        ChangeKind::BecameNullable => (
            Compatible,
            Major,
            "programs send no `null`, and do not need to; `T` becomes `Option<T>`",
        ),
        ChangeKind::BecameNotNullable => {
            (Breaking, Major, "programs that send `null` are rejected; `Option<T>` becomes `T`")
        }
        ChangeKind::TypeChanged => {
            (Breaking, Major, "programs send the old type, which is rejected")
        }
        ChangeKind::TypeWidened if facts.union_beside_properties => {
            (Compatible, None, "the values that programs send are still accepted")
        }
        ChangeKind::TypeNarrowed if facts.harmless => {
            (Compatible, None, "programs already had to send values that it allows")
        }
        ChangeKind::TypeNarrowed if facts.union_beside_properties => (
            Breaking,
            None,
            "some values that programs send are rejected; the Rust type does not reflect it",
        ),
        ChangeKind::TypeWidened => (
            Compatible,
            Major,
            "the values that programs send are still accepted, but the Rust type changes",
        ),
        ChangeKind::TypeNarrowed => (
            Breaking,
            Major,
            "some values that programs send are rejected, and the Rust type changes",
        ),
        ChangeKind::FormatChanged if facts.retyped => {
            (Breaking, Major, "programs write it in the old format, and the Rust type changes")
        }
        ChangeKind::FormatChanged if facts.harmless => {
            (Compatible, None, "the Rust type is unchanged, and no values are rejected")
        }
        ChangeKind::FormatChanged => {
            (Notice, None, "the Rust type is unchanged; values might differ")
        }
        ChangeKind::EnumValueAdded if !facts.retyped => (Compatible, None, PLAIN),
        ChangeKind::EnumDropped if !facts.retyped => (Compatible, None, PLAIN),
        ChangeKind::EnumValueRemoved | ChangeKind::EnumIntroduced if !facts.retyped => {
            (Breaking, None, PLAIN)
        }
        ChangeKind::EnumValueAdded => {
            (Compatible, Minor, "programs do not send it, and do not need to")
        }
        ChangeKind::EnumValueRemoved => {
            (Breaking, Major, "programs that send it are rejected, and the variant is removed")
        }
        ChangeKind::EnumIntroduced => {
            (Breaking, Major, "other values are rejected, and the type becomes an enum")
        }
        ChangeKind::EnumDropped => {
            (Compatible, Major, "the values are still accepted, but the enum becomes a plain type")
        }
        ChangeKind::DefaultChanged => (Notice, Patch, "programs that omit it get another default"),
        ChangeKind::BoundTightened => {
            (Breaking, None, "some values are rejected; limits are not in the Rust types")
        }
        ChangeKind::BoundLoosened => {
            (Compatible, None, "more values are accepted; limits are not in the Rust types")
        }
        ChangeKind::PatternChanged => {
            (Breaking, None, "some values might be rejected; limits are not in the Rust types")
        }
        ChangeKind::AdditionalPropertiesForbidden => {
            (Breaking, None, "additional properties are rejected")
        }
        ChangeKind::AdditionalPropertiesAllowed => (Compatible, None, "more values are accepted"),
        ChangeKind::VariantAdded => {
            (Compatible, Minor, "programs do not send it, and do not need to")
        }
        ChangeKind::VariantRemoved => {
            (Breaking, Major, "programs that send it are rejected, and the variant is removed")
        }
        ChangeKind::DiscriminatorChanged => {
            (Notice, None, "variants are serialized as before, without the discriminator")
        }
        ChangeKind::AccessChanged => {
            (Notice, Patch, "GitHub might now ignore it, or no longer ignore it")
        }
        _ => (Notice, Patch, UNKNOWN),
    }
}

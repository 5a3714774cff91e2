//! Ratings of changes in responses and deliveries.

use super::super::change::{ChangeKind, SemverBump, Severity};
use super::{ChangeFacts, PLAIN, UNKNOWN, Verdict};

/// Changes of responses and deliveries.
pub(super) fn read(kind: ChangeKind, facts: ChangeFacts) -> Verdict {
    use SemverBump::{Major, Minor, None, Patch};
    use Severity::{Breaking, Compatible, Notice};
    let retyped = if facts.retyped { Major } else { None };
    match kind {
        ChangeKind::SuccessStatusAdded if facts.retyped && facts.harmless => {
            (Compatible, Major, "programs read no body, but the response type changes")
        }
        ChangeKind::SuccessStatusAdded if facts.retyped => (
            Breaking,
            Major,
            "programs do not expect its body or the lack of one, and the response type changes",
        ),
        ChangeKind::SuccessStatusAdded => {
            (Compatible, None, "every 2xx is a success, and it has the same body as another one")
        }
        ChangeKind::SuccessStatusRemoved if facts.no_success_left => {
            (Breaking, Major, "no response is a success, so calls fail")
        }
        ChangeKind::SuccessStatusRemoved => {
            (Compatible, retyped, "every 2xx is a success, so programs decode the others as before")
        }
        ChangeKind::MediaTypeAdded => {
            (Compatible, retyped, "programs request the media type that they know")
        }
        ChangeKind::MediaTypeRemoved => {
            (Breaking, retyped, "programs that request it get another media type or are rejected")
        }
        ChangeKind::HeaderAdded => (Compatible, None, "programs do not read it"),
        ChangeKind::HeaderRemoved => (Notice, None, "programs that look for it do not find it"),
        ChangeKind::ParameterAdded
        | ChangeKind::RequiredParameterAdded
        | ChangeKind::ParameterRemoved => {
            (Compatible, None, "the library itself reads the headers that it needs")
        }
        ChangeKind::RequestBodyAdded | ChangeKind::RequiredRequestBodyAdded => {
            (Compatible, Major, "programs do not read a payload, but its type changes")
        }
        ChangeKind::RequestBodyRemoved => (Breaking, Major, "deliveries no longer have a payload"),
        ChangeKind::PropertyAdded | ChangeKind::RequiredPropertyAdded => {
            (Compatible, Minor, "programs ignore it, and it becomes a new field")
        }
        ChangeKind::PropertyRemoved => {
            (Compatible, Major, "programs read it as absent, but the field is removed")
        }
        ChangeKind::RequiredPropertyRemoved if facts.list => {
            (Compatible, Major, "programs read an empty list, but the field is removed")
        }
        ChangeKind::RequiredPropertyRemoved if facts.optional => {
            (Compatible, Major, "programs read it as `null`, but the field is removed")
        }
        ChangeKind::RequiredPropertyRemoved => {
            (Breaking, Major, "programs fail to decode values without it, and the field is removed")
        }
        ChangeKind::PropertyBecameRequired | ChangeKind::PropertyBecameOptional
            if facts.nameless =>
        {
            (Compatible, None, "there is no Rust field for it")
        }
        ChangeKind::PropertyBecameRequired | ChangeKind::BecameNotNullable if facts.list => {
            (Compatible, None, "a list is empty where it is absent or `null`, so nothing changes")
        }
        ChangeKind::PropertyBecameRequired | ChangeKind::BecameNotNullable if facts.optional => {
            (Compatible, None, "it is an `Option` as before")
        }
        ChangeKind::PropertyBecameRequired | ChangeKind::BecameNotNullable => {
            (Compatible, Major, "programs read it as before, but `Option<T>` becomes `T`")
        }
        ChangeKind::PropertyBecameOptional | ChangeKind::BecameNullable if facts.list => {
            (Compatible, None, "a list is empty where it is absent or `null`, so nothing changes")
        }
        ChangeKind::PropertyBecameOptional | ChangeKind::BecameNullable if facts.optional => {
            (Compatible, None, "it is an `Option` as before")
        }
        ChangeKind::PropertyBecameOptional => (
            Breaking,
            Major,
            "programs fail to decode values without it, and `T` becomes `Option<T>`",
        ),
        ChangeKind::BecameNullable => {
            (Breaking, Major, "programs fail to decode `null`, and `T` becomes `Option<T>`")
        }
        ChangeKind::TypeChanged => (Breaking, Major, "programs fail to decode the new type"),
        ChangeKind::TypeWidened | ChangeKind::TypeNarrowed if facts.union_beside_properties => {
            (Compatible, None, "programs decode all variants as one type")
        }
        ChangeKind::TypeWidened => {
            (Breaking, Major, "programs fail to decode values that the old type did not allow")
        }
        ChangeKind::TypeNarrowed => {
            (Compatible, Major, "programs read it as before, but the Rust type changes")
        }
        ChangeKind::FormatChanged if facts.unreadable => {
            (Breaking, Major, "programs fail to decode other formats, and the Rust type changes")
        }
        ChangeKind::FormatChanged if facts.retyped => {
            (Compatible, Major, "programs read it as text as before, but the Rust type changes")
        }
        ChangeKind::FormatChanged => (Compatible, None, "the Rust type is unchanged"),
        ChangeKind::EnumValueAdded
        | ChangeKind::EnumValueRemoved
        | ChangeKind::EnumIntroduced
        | ChangeKind::EnumDropped
            if !facts.retyped =>
        {
            (Compatible, None, PLAIN)
        }
        ChangeKind::EnumValueAdded => {
            (Compatible, Minor, "enums preserve unknown values; it becomes a variant")
        }
        ChangeKind::EnumValueRemoved => {
            (Compatible, Major, "it is no longer sent, and its variant is removed")
        }
        ChangeKind::EnumIntroduced => {
            (Compatible, Major, "programs read it as before, but the type becomes an enum")
        }
        ChangeKind::EnumDropped => {
            (Compatible, Major, "enums preserve unknown values, but the type becomes a plain type")
        }
        ChangeKind::DefaultChanged => (Compatible, None, "decoding does not depend on it"),
        ChangeKind::BoundTightened | ChangeKind::BoundLoosened | ChangeKind::PatternChanged => {
            (Compatible, None, "limits are not checked when decoding")
        }
        ChangeKind::AdditionalPropertiesForbidden | ChangeKind::AdditionalPropertiesAllowed => {
            (Compatible, None, "additional properties are ignored")
        }
        ChangeKind::VariantAdded => {
            (Compatible, Minor, "unions preserve unknown values as JSON; it becomes a variant")
        }
        ChangeKind::VariantRemoved => {
            (Compatible, Major, "it is no longer sent, and its variant is removed")
        }
        ChangeKind::DiscriminatorChanged => {
            (Compatible, None, "variants are chosen by their content, without the discriminator")
        }
        ChangeKind::AccessChanged if facts.hidden => {
            (Breaking, None, "it is only accepted and no longer sent")
        }
        ChangeKind::AccessChanged => (Compatible, None, "it is read as before"),
        _ => (Notice, Patch, UNKNOWN),
    }
}

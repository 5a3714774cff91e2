//! Ratings of changes in responses and deliveries.

use super::super::change::{Kind, SemverBump, Severity};
use super::{ChangeFacts, PLAIN, UNKNOWN, Verdict};

/// Changes of responses and deliveries.
pub(super) fn read(kind: Kind, facts: ChangeFacts) -> Verdict {
    use SemverBump::{Major, Minor, None, Patch};
    use Severity::{Breaking, Compatible, Notice};
    let retyped = if facts.retyped { Major } else { None };
    match kind {
        Kind::SuccessStatusAdded if facts.retyped && facts.harmless => {
            (Compatible, Major, "programs read no body, but the response type changes")
        }
        Kind::SuccessStatusAdded if facts.retyped => (
            Breaking,
            Major,
            "programs do not expect its body or the lack of one, and the response type changes",
        ),
        Kind::SuccessStatusAdded => {
            (Compatible, None, "every 2xx is a success, and it has the same body as another one")
        }
        Kind::SuccessStatusRemoved if facts.no_success_left => {
            (Breaking, Major, "no response is a success, so calls fail")
        }
        Kind::SuccessStatusRemoved => {
            (Compatible, retyped, "every 2xx is a success, so programs decode the others as before")
        }
        Kind::MediaTypeAdded => {
            (Compatible, retyped, "programs request the media type that they know")
        }
        Kind::MediaTypeRemoved => {
            (Breaking, retyped, "programs that request it get another media type or are rejected")
        }
        Kind::HeaderAdded => (Compatible, None, "programs do not read it"),
        Kind::HeaderRemoved => (Notice, None, "programs that look for it do not find it"),
        Kind::ParameterAdded | Kind::RequiredParameterAdded | Kind::ParameterRemoved => {
            (Compatible, None, "the library itself reads the headers that it needs")
        }
        Kind::RequestBodyAdded | Kind::RequiredRequestBodyAdded => {
            (Compatible, Major, "programs do not read a payload, but its type changes")
        }
        Kind::RequestBodyRemoved => (Breaking, Major, "deliveries no longer have a payload"),
        Kind::PropertyAdded | Kind::RequiredPropertyAdded => {
            (Compatible, Minor, "programs ignore it, and it becomes a new field")
        }
        Kind::PropertyRemoved => {
            (Compatible, Major, "programs read it as absent, but the field is removed")
        }
        Kind::RequiredPropertyRemoved if facts.list => {
            (Compatible, Major, "programs read an empty list, but the field is removed")
        }
        Kind::RequiredPropertyRemoved if facts.optional => {
            (Compatible, Major, "programs read it as `null`, but the field is removed")
        }
        Kind::RequiredPropertyRemoved => {
            (Breaking, Major, "programs fail to decode values without it, and the field is removed")
        }
        Kind::PropertyBecameRequired | Kind::PropertyBecameOptional if facts.nameless => {
            (Compatible, None, "there is no Rust field for it")
        }
        Kind::PropertyBecameRequired | Kind::BecameNotNullable if facts.list => {
            (Compatible, None, "a list is empty where it is absent or `null`, so nothing changes")
        }
        Kind::PropertyBecameRequired | Kind::BecameNotNullable if facts.optional => {
            (Compatible, None, "it is an `Option` as before")
        }
        Kind::PropertyBecameRequired | Kind::BecameNotNullable => {
            (Compatible, Major, "programs read it as before, but `Option<T>` becomes `T`")
        }
        Kind::PropertyBecameOptional | Kind::BecameNullable if facts.list => {
            (Compatible, None, "a list is empty where it is absent or `null`, so nothing changes")
        }
        Kind::PropertyBecameOptional | Kind::BecameNullable if facts.optional => {
            (Compatible, None, "it is an `Option` as before")
        }
        Kind::PropertyBecameOptional => (
            Breaking,
            Major,
            "programs fail to decode values without it, and `T` becomes `Option<T>`",
        ),
        Kind::BecameNullable => {
            (Breaking, Major, "programs fail to decode `null`, and `T` becomes `Option<T>`")
        }
        Kind::TypeChanged => (Breaking, Major, "programs fail to decode the new type"),
        Kind::TypeWidened | Kind::TypeNarrowed if facts.union_beside_properties => {
            (Compatible, None, "programs decode all variants as one type")
        }
        Kind::TypeWidened => {
            (Breaking, Major, "programs fail to decode values that the old type did not allow")
        }
        Kind::TypeNarrowed => {
            (Compatible, Major, "programs read it as before, but the Rust type changes")
        }
        Kind::FormatChanged if facts.unreadable => {
            (Breaking, Major, "programs fail to decode other formats, and the Rust type changes")
        }
        Kind::FormatChanged if facts.retyped => {
            (Compatible, Major, "programs read it as text as before, but the Rust type changes")
        }
        Kind::FormatChanged => (Compatible, None, "the Rust type is unchanged"),
        Kind::EnumValueAdded
        | Kind::EnumValueRemoved
        | Kind::EnumIntroduced
        | Kind::EnumDropped
            if !facts.retyped =>
        {
            (Compatible, None, PLAIN)
        }
        Kind::EnumValueAdded => {
            (Compatible, Minor, "enums preserve unknown values; it becomes a variant")
        }
        Kind::EnumValueRemoved => {
            (Compatible, Major, "it is no longer sent, and its variant is removed")
        }
        Kind::EnumIntroduced => {
            (Compatible, Major, "programs read it as before, but the type becomes an enum")
        }
        Kind::EnumDropped => {
            (Compatible, Major, "enums preserve unknown values, but the type becomes a plain type")
        }
        Kind::DefaultChanged => (Compatible, None, "decoding does not depend on it"),
        Kind::BoundTightened | Kind::BoundLoosened | Kind::PatternChanged => {
            (Compatible, None, "limits are not checked when decoding")
        }
        Kind::AdditionalPropertiesForbidden | Kind::AdditionalPropertiesAllowed => {
            (Compatible, None, "additional properties are ignored")
        }
        Kind::VariantAdded => {
            (Compatible, Minor, "unions preserve unknown values as JSON; it becomes a variant")
        }
        Kind::VariantRemoved => {
            (Compatible, Major, "it is no longer sent, and its variant is removed")
        }
        Kind::DiscriminatorChanged => {
            (Compatible, None, "variants are chosen by their content, without the discriminator")
        }
        Kind::AccessChanged if facts.hidden => {
            (Breaking, None, "it is only accepted and no longer sent")
        }
        Kind::AccessChanged => (Compatible, None, "it is read as before"),
        _ => (Notice, Patch, UNKNOWN),
    }
}

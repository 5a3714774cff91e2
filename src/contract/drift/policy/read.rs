//! What changes of what is read mean.

use super::super::change::{Bump, Kind, Severity};
use super::{Facts, PLAIN, UNKNOWN, Verdict};

/// Of what is read.
pub(super) fn read(kind: Kind, facts: Facts) -> Verdict {
    use Bump::{Major, Minor, None, Patch};
    use Severity::{Breaking, Compatible, Notice};
    let retyped = if facts.retyped { Major } else { None };
    match kind {
        Kind::SuccessStatusAdded if facts.retyped && facts.harmless => {
            (Compatible, Major, "programs read no body, but the type of the answer changes")
        }
        Kind::SuccessStatusAdded if facts.retyped => (
            Breaking,
            Major,
            "programs do not expect its body or the lack of one, and the type of the answer \
             changes",
        ),
        Kind::SuccessStatusAdded => {
            (Compatible, None, "every 2xx is a success, and it has the same body as another one")
        }
        Kind::SuccessStatusRemoved if facts.last => {
            (Breaking, Major, "no answer is a success any longer, so calls fail")
        }
        Kind::SuccessStatusRemoved => {
            (Compatible, retyped, "every 2xx is a success, so programs read the others as before")
        }
        Kind::MediaTypeAdded => (Compatible, retyped, "programs ask for the one that they know"),
        Kind::MediaTypeRemoved => {
            (Breaking, retyped, "programs that ask for it get something else or are refused")
        }
        Kind::HeaderAdded => (Compatible, None, "programs do not know it"),
        Kind::HeaderRemoved => (Notice, None, "programs that look for it do not find it"),
        Kind::ParameterAdded | Kind::RequiredParameterAdded | Kind::ParameterRemoved => {
            (Compatible, None, "the library reads the headers that it needs by itself")
        }
        Kind::RequestBodyAdded | Kind::RequiredRequestBodyAdded => {
            (Compatible, Major, "programs do not look at a payload, but its type changes")
        }
        Kind::RequestBodyRemoved => (Breaking, Major, "deliveries have no payload any longer"),
        Kind::PropertyAdded | Kind::RequiredPropertyAdded => {
            (Compatible, Minor, "programs ignore it, and it becomes one more field")
        }
        Kind::PropertyRemoved => {
            (Compatible, Major, "programs read it as absent, but the field goes")
        }
        Kind::RequiredPropertyRemoved if facts.list => {
            (Compatible, Major, "programs read an empty list, but the field goes")
        }
        Kind::RequiredPropertyRemoved if facts.optional => {
            (Compatible, Major, "programs read it as `null`, but the field goes")
        }
        Kind::RequiredPropertyRemoved => {
            (Breaking, Major, "programs fail to read what does not have it, and the field goes")
        }
        Kind::PropertyBecameRequired | Kind::PropertyBecameOptional if facts.nameless => {
            (Compatible, None, "Rust has no field of it")
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
            "programs fail to read what does not have it, and `T` becomes `Option<T>`",
        ),
        Kind::BecameNullable => {
            (Breaking, Major, "programs fail to read `null`, and `T` becomes `Option<T>`")
        }
        Kind::TypeChanged => (Breaking, Major, "programs fail to read the new type"),
        Kind::TypeWidened | Kind::TypeNarrowed if facts.beside => {
            (Compatible, None, "programs read all of it as one, whatever belongs together")
        }
        Kind::TypeWidened => {
            (Breaking, Major, "programs fail to read what the old type did not have")
        }
        Kind::TypeNarrowed => {
            (Compatible, Major, "programs read it as before, but the Rust type changes")
        }
        Kind::FormatChanged if facts.unreadable => {
            (Breaking, Major, "programs fail to read other formats, and the Rust type changes")
        }
        Kind::FormatChanged if facts.retyped => {
            (Compatible, Major, "programs read it as text as before, but the Rust type changes")
        }
        Kind::FormatChanged => (Compatible, None, "the Rust type is the same"),
        Kind::EnumValueAdded
        | Kind::EnumValueRemoved
        | Kind::EnumIntroduced
        | Kind::EnumDropped
            if !facts.retyped =>
        {
            (Compatible, None, PLAIN)
        }
        Kind::EnumValueAdded => {
            (Compatible, Minor, "enums keep values that they do not know; it becomes a variant")
        }
        Kind::EnumValueRemoved => (Compatible, Major, "it does not come any longer; it goes"),
        Kind::EnumIntroduced => {
            (Compatible, Major, "programs read it as before, but the type becomes an enum")
        }
        Kind::EnumDropped => (
            Compatible,
            Major,
            "enums keep values that they do not know, but the type becomes a plain one",
        ),
        Kind::DefaultChanged => (Compatible, None, "what is read does not depend on it"),
        Kind::BoundTightened | Kind::BoundLoosened | Kind::PatternChanged => {
            (Compatible, None, "limits are not checked when reading")
        }
        Kind::AdditionalPropertiesForbidden | Kind::AdditionalPropertiesAllowed => {
            (Compatible, None, "properties that are not named are ignored")
        }
        Kind::VariantAdded => {
            (Compatible, Minor, "unions keep what they do not know as JSON; it becomes a variant")
        }
        Kind::VariantRemoved => (Compatible, Major, "it does not come any longer; it goes"),
        Kind::DiscriminatorChanged => {
            (Compatible, None, "variants are read by what fits, without regard to it")
        }
        Kind::AccessChanged if facts.hidden => {
            (Breaking, None, "it is only taken and does not come any longer")
        }
        Kind::AccessChanged => (Compatible, None, "it is read as before"),
        _ => (Notice, Patch, UNKNOWN),
    }
}

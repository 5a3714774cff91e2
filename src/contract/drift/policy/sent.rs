//! What changes of what is sent mean.

use super::super::change::{Bump, Kind, Severity};
use super::{Facts, PLAIN, UNKNOWN, Verdict};

/// Of what is sent.
pub(super) fn sent(kind: Kind, facts: Facts) -> Verdict {
    use Bump::{Major, Minor, None, Patch};
    use Severity::{Breaking, Compatible, Notice};
    let retyped = if facts.retyped { Major } else { None };
    match kind {
        Kind::ParameterAdded => (Compatible, Minor, "programs do not send it, and need not"),
        Kind::RequiredParameterAdded => (Breaking, Major, "programs do not send it"),
        Kind::ParameterRemoved => {
            (Breaking, Major, "programs send it, which is ignored or refused; its setter goes")
        }
        Kind::ParameterRenamed => {
            (Compatible, Major, "the address is the same, but setters are named after parameters")
        }
        Kind::ParameterBecameRequired => {
            (Breaking, Major, "programs that leave it out are refused")
        }
        Kind::ParameterBecameOptional => (Compatible, Minor, "programs send it as before"),
        Kind::ParameterEncodingChanged => {
            (Breaking, Patch, "programs write it as before, which may be misunderstood")
        }
        Kind::RequestBodyAdded => (Compatible, Minor, "programs send none, and need not"),
        Kind::RequiredRequestBodyAdded => (Breaking, Major, "programs send none"),
        Kind::RequestBodyRemoved => {
            (Breaking, Major, "programs send one, which is ignored or refused; its setters go")
        }
        Kind::RequestBodyBecameRequired => {
            (Breaking, Patch, "programs that leave it out are refused")
        }
        Kind::RequestBodyBecameOptional => (Compatible, Patch, "programs send it as before"),
        Kind::MediaTypeAdded => (Compatible, retyped, "programs send the others as before"),
        Kind::MediaTypeRemoved => (Breaking, retyped, "programs that send it are refused"),
        Kind::PropertyAdded => (Compatible, Minor, "programs do not send it, and need not"),
        Kind::RequiredPropertyAdded => (Breaking, Major, "programs do not send it"),
        Kind::PropertyRemoved | Kind::RequiredPropertyRemoved => {
            (Breaking, Major, "programs send it, which is ignored or refused; its setter goes")
        }
        Kind::PropertyBecameRequired if facts.nameless => {
            (Breaking, None, "programs that leave it out are refused; Rust has no field of it")
        }
        Kind::PropertyBecameOptional if facts.nameless => {
            (Compatible, None, "programs need not send it, and Rust has no field of it")
        }
        Kind::PropertyBecameRequired => (Breaking, Major, "programs that leave it out are refused"),
        Kind::PropertyBecameOptional if facts.setter => {
            (Compatible, Minor, "programs send it as before, and need not")
        }
        Kind::PropertyBecameOptional => {
            (Compatible, Major, "programs send it as before; `new(…)` does not take it any longer")
        }
        Kind::BecameNullable if facts.setter => {
            (Compatible, Minor, "programs send no `null`, and need not")
        }
        Kind::BecameNullable => {
            (Compatible, Major, "programs send no `null`, and need not; `T` becomes `Option<T>`")
        }
        Kind::BecameNotNullable => {
            (Breaking, Major, "programs that send `null` are refused; `Option<T>` becomes `T`")
        }
        Kind::TypeChanged => (Breaking, Major, "programs send the old type, which is refused"),
        Kind::TypeWidened if facts.beside => {
            (Compatible, None, "what programs send is still taken")
        }
        Kind::TypeNarrowed if facts.harmless => {
            (Compatible, None, "programs send what it asks for, since they had to before")
        }
        Kind::TypeNarrowed if facts.beside => {
            (Breaking, None, "some of what programs send is refused; Rust does not know of it")
        }
        Kind::TypeWidened => {
            (Compatible, Major, "what programs send is still taken, but the Rust type changes")
        }
        Kind::TypeNarrowed => {
            (Breaking, Major, "some of what programs send is refused, and the Rust type changes")
        }
        Kind::FormatChanged if facts.retyped => {
            (Breaking, Major, "programs write it in the old format, and the Rust type changes")
        }
        Kind::FormatChanged if facts.harmless => {
            (Compatible, None, "the Rust type is the same, and no less is taken")
        }
        Kind::FormatChanged => (Notice, None, "the Rust type is the same; values may not be"),
        Kind::EnumValueAdded if !facts.retyped => (Compatible, None, PLAIN),
        Kind::EnumDropped if !facts.retyped => (Compatible, None, PLAIN),
        Kind::EnumValueRemoved | Kind::EnumIntroduced if !facts.retyped => (Breaking, None, PLAIN),
        Kind::EnumValueAdded => (Compatible, Minor, "programs do not send it, and need not"),
        Kind::EnumValueRemoved => {
            (Breaking, Major, "programs that send it are refused, and the variant goes")
        }
        Kind::EnumIntroduced => {
            (Breaking, Major, "other values are refused, and the type becomes an enum")
        }
        Kind::EnumDropped => {
            (Compatible, Major, "the values are still taken, but the enum becomes a plain type")
        }
        Kind::DefaultChanged => {
            (Notice, Patch, "programs that leave it out get something else than before")
        }
        Kind::BoundTightened => {
            (Breaking, None, "some values are refused; limits are not in the Rust types")
        }
        Kind::BoundLoosened => {
            (Compatible, None, "more values are taken; limits are not in the Rust types")
        }
        Kind::PatternChanged => {
            (Breaking, None, "some values may be refused; limits are not in the Rust types")
        }
        Kind::AdditionalPropertiesForbidden => {
            (Breaking, None, "properties that are not named are refused")
        }
        Kind::AdditionalPropertiesAllowed => (Compatible, None, "more is taken than before"),
        Kind::VariantAdded => (Compatible, Minor, "programs do not send it, and need not"),
        Kind::VariantRemoved => {
            (Breaking, Major, "programs that send it are refused, and the variant goes")
        }
        Kind::DiscriminatorChanged => {
            (Notice, None, "variants are written as before, without regard to it")
        }
        Kind::AccessChanged => (Notice, Patch, "whether GitHub heeds it when it is sent changes"),
        _ => (Notice, Patch, UNKNOWN),
    }
}

//! What each change means: the only place where that is decided.
//!
//! What is *sent* is exact, so whatever GitHub takes away or asks for in addition breaks programs.
//! What is *read* is read tolerantly: what is unknown is ignored or kept as it is, and a list that
//! is absent or `null` is empty. The table is in the documentation of [`super`].

use super::change::{Bump, Direction, Kind, Severity};

/// What is known of the place of a change beside its kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// It could be absent or `null` already, or still can be: Rust has an `Option` on both sides.
    pub(super) optional: bool,
    /// It is a list or a map, which is empty where it is absent or `null`.
    pub(super) list: bool,
    /// It is a property of the body itself, which the call has a setter for.
    pub(super) setter: bool,
    /// The Rust type is another one.
    pub(super) retyped: bool,
    /// Values of the new format are not read as the old one.
    pub(super) unreadable: bool,
    /// What there was before still fits: into the new format, into what is asked for in addition,
    /// or since nothing was read.
    pub(super) harmless: bool,
    /// A union beside properties: Rust has all of them in one struct, whatever belongs together.
    pub(super) beside: bool,
}

/// What a change does to programs, which version it asks for, and why.
pub(super) type Verdict = (Severity, Bump, &'static str);

/// What the change means.
pub(super) fn judge(kind: Kind, direction: Direction, facts: Facts) -> Verdict {
    let unknown = (Severity::Notice, Bump::Patch, UNKNOWN);
    match direction {
        Direction::Operation => whole(kind).or_else(|| common(kind)).unwrap_or(unknown),
        Direction::Webhook => {
            common(kind).or_else(|| whole(kind)).unwrap_or_else(|| read(kind, facts))
        }
        Direction::Request => common(kind).unwrap_or_else(|| sent(kind, facts)),
        Direction::Response => common(kind).unwrap_or_else(|| read(kind, facts)),
        Direction::Error => common(kind).unwrap_or_else(|| refused(kind)),
    }
}

const ANNOUNCED: &str = "the version of the API that programs ask for is the same as before; they \
                         are concerned once they ask for that one";
const PLAIN: &str = "only strings become enums in Rust; other values are plain numbers or booleans";
const UNKNOWN: &str = "nothing is known of what this does, so somebody should have a look";

/// Of an operation or a webhook as a whole.
fn whole(kind: Kind) -> Option<Verdict> {
    use Bump::{Major, Minor, None, Patch};
    use Severity::{Breaking, Compatible, Documentation, Notice};
    Some(match kind {
        Kind::OperationAdded => {
            (Compatible, Minor, "nobody calls it yet, and it becomes one more method")
        }
        Kind::OperationRemoved => {
            (Breaking, Major, "calls are answered with 404, and its method goes")
        }
        Kind::OperationRenamed => (
            Compatible,
            Major,
            "the request is the same as before, but the method is named after the id",
        ),
        Kind::PathMoved => {
            (Breaking, Patch, "programs call the old path; the method is the same as before")
        }
        Kind::MethodChanged => {
            (Breaking, Patch, "programs call with the old method; the Rust method is the same")
        }
        Kind::TagChanged => (
            Compatible,
            Major,
            "the request is the same as before, but the tag is the module and the Cargo feature",
        ),
        Kind::ServerChanged => {
            (Breaking, Patch, "programs call the old server; the methods are the same as before")
        }
        Kind::SecurityChanged => {
            (Breaking, None, "how programs sign in may not be taken any longer")
        }
        Kind::AppsAllowed => {
            (Compatible, None, "it works as before, and with the tokens of GitHub Apps as well")
        }
        Kind::AppsRefused => (Breaking, None, "calls with the tokens of GitHub Apps are refused"),
        Kind::CloudOnlyChanged => {
            (Notice, None, "where it can be called changes, which concerns GitHub Enterprise")
        }
        Kind::TriggersNotificationChanged => (
            Compatible,
            Patch,
            "the library paces the calls that notify people, and does so differently once it is \
             generated again",
        ),
        Kind::AnnotationChanged => (Documentation, None, "it only sorts the documentation"),
        Kind::Deprecated => {
            (Notice, Minor, "it still works, and whoever compiles a call of it is warned")
        }
        Kind::WebhookAdded => (Compatible, Minor, "it is read as an unknown event until then"),
        Kind::WebhookRemoved => (Breaking, Major, "it is not delivered any longer"),
        Kind::WebhookRenamed => {
            (Compatible, Major, "deliveries are the same, but its type is named after the key")
        }
        Kind::WebhookTypeAdded => (Compatible, None, "more hooks can have it"),
        Kind::WebhookTypeRemoved => (Breaking, None, "hooks of this sort do not get it any longer"),
        _ => return Option::None,
    })
}

/// What means the same wherever it happens.
fn common(kind: Kind) -> Option<Verdict> {
    use Bump::{None, Patch};
    use Severity::{Compatible, Documentation, Notice};
    Some(match kind {
        Kind::Deprecated => (Notice, Patch, "it still works, but will not for ever"),
        Kind::Undeprecated => (Compatible, Patch, "it works as before, and is meant to stay"),
        Kind::RemovalDateChanged => {
            (Notice, Patch, "there is less or more time left until calls are refused")
        }
        Kind::BreakingChangeAnnounced | Kind::BreakingChangeAltered => (Notice, None, ANNOUNCED),
        Kind::BreakingChangeWithdrawn => {
            (Compatible, None, "what programs were to expect is not announced any longer")
        }
        Kind::DocumentationChanged => (Documentation, Patch, "only words changed"),
        _ => return Option::None,
    })
}

/// Of what is sent.
fn sent(kind: Kind, facts: Facts) -> Verdict {
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
            (Compatible, Patch, "the address is the same, and arguments are given by position")
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
            (Compatible, None, "the Rust type is the same, and so are its values")
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

/// Of what is read.
fn read(kind: Kind, facts: Facts) -> Verdict {
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
        Kind::AccessChanged => (Compatible, None, "it is read as before"),
        _ => (Notice, Patch, UNKNOWN),
    }
}

/// Of what GitHub answers instead of a success, which the library reads in the same way for every
/// operation: no type is generated from it.
fn refused(kind: Kind) -> Verdict {
    use Severity::{Compatible, Notice};
    match kind {
        Kind::RequiredPropertyRemoved
        | Kind::PropertyRemoved
        | Kind::TypeChanged
        | Kind::TypeWidened
        | Kind::MediaTypeRemoved
        | Kind::HeaderRemoved => (
            Notice,
            Bump::None,
            "errors are read tolerantly and have no types of their own, but programs may look \
             into them",
        ),
        _ => (
            Compatible,
            Bump::None,
            "errors and redirects are read in the same way for every operation",
        ),
    }
}

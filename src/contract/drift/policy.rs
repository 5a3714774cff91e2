//! What each change means: the only place where that is decided.
//!
//! What is *sent* is exact, so whatever GitHub takes away or asks for in addition breaks programs.
//! What is *read* is read tolerantly: what is unknown is ignored or kept as it is, and a list that
//! is absent or `null` is empty. The table is in the documentation of [`super`].

#[path = "policy/read.rs"]
mod read;
#[path = "policy/sent.rs"]
mod sent;
#[cfg(test)]
#[path = "policy/table.rs"]
mod table;

use super::change::{Bump, Direction, Kind, Severity};
use read::read;
use sent::sent;

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
    /// A name in `required` that no property has, so that Rust has no field of it.
    pub(super) nameless: bool,
    /// No success is left.
    pub(super) last: bool,
    /// It does not come any longer, although the document still has it.
    pub(super) hidden: bool,
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
        Kind::WebhookEventChanged => (
            Breaking,
            Major,
            "deliveries name the new event, which programs do not know them by, and the type and \
             the Cargo feature are named after it",
        ),
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

//! The ratings of all changes, decided in this place only.
//!
//! *Sending* is exact, so anything that GitHub removes or newly requires breaks programs. *Reading* is tolerant:
//! unknown parts are ignored or kept, and a list that is absent or `null` is empty. The table is in the
//! documentation of [`super`].

#[path = "policy/read.rs"]
mod read;
#[path = "policy/sent.rs"]
mod sent;
#[cfg(test)]
#[path = "policy/table.rs"]
mod table;

use super::change::{ChangeKind, Direction, SemverBump, Severity};
use read::read;
use sent::sent;

/// The facts about the location of a change, beside its kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ChangeFacts {
    /// It could be absent or `null` before, or still can be: Rust has an `Option` on both sides.
    pub(super) optional: bool,
    /// It is a list or a map, which is empty if it is absent or `null`.
    pub(super) list: bool,
    /// It is a property of the body itself, for which the call has a setter.
    pub(super) setter: bool,
    /// The Rust type differs.
    pub(super) retyped: bool,
    /// Values of the new format are not read as the old one.
    pub(super) unreadable: bool,
    /// All old values remain valid: in the new format, with the new requirement, or because nothing was read
    /// before.
    pub(super) harmless: bool,
    /// A union beside properties: Rust has all of them in one struct.
    pub(super) union_beside_properties: bool,
    /// A name in `required` that no property has, so that Rust has no field for it.
    pub(super) nameless: bool,
    /// No success status is left.
    pub(super) no_success_left: bool,
    /// It no longer occurs, although the description still has it.
    pub(super) hidden: bool,
}

/// The effect of a change on programs, the required version bump, and the reason.
pub(super) type Verdict = (Severity, SemverBump, &'static str);

/// Rates the change.
pub(super) fn judge(kind: ChangeKind, direction: Direction, facts: ChangeFacts) -> Verdict {
    let unknown = (Severity::Notice, SemverBump::Patch, UNKNOWN);
    match direction {
        Direction::Operation => whole(kind).or_else(|| common(kind)).unwrap_or(unknown),
        Direction::Webhook => {
            common(kind).or_else(|| whole(kind)).unwrap_or_else(|| read(kind, facts))
        }
        Direction::Request => common(kind).unwrap_or_else(|| sent(kind, facts)),
        Direction::Response => common(kind).unwrap_or_else(|| read(kind, facts)),
        Direction::Error => common(kind).unwrap_or_else(|| error_response(kind)),
    }
}

const ANNOUNCED: &str = "the version of the API that programs request is unchanged; programs are \
                         affected once they request the announced version";
const PLAIN: &str = "only strings become enums in Rust; other values are plain numbers or booleans";
const UNKNOWN: &str = "the effect of this change is unknown and needs review";

/// Changes of an operation or a webhook as a whole.
fn whole(kind: ChangeKind) -> Option<Verdict> {
    use SemverBump::{Major, Minor, None, Patch};
    use Severity::{Breaking, Compatible, Documentation, Notice};
    Some(match kind {
        ChangeKind::OperationAdded => {
            (Compatible, Minor, "no program calls it yet, and it becomes a new method")
        }
        ChangeKind::OperationRemoved => {
            (Breaking, Major, "calls fail with 404, and its method is removed")
        }
        ChangeKind::OperationRenamed => {
            (Compatible, Major, "the request is unchanged, but the method is named after the id")
        }
        ChangeKind::PathMoved => {
            (Breaking, Patch, "programs call the old path; the method is unchanged")
        }
        ChangeKind::MethodChanged => {
            (Breaking, Patch, "programs call with the old method; the Rust method is unchanged")
        }
        ChangeKind::TagChanged => (
            Compatible,
            Major,
            "the request is unchanged, but the tag names the module and the Cargo feature",
        ),
        ChangeKind::ServerChanged => {
            (Breaking, Patch, "programs call the old server; the methods are unchanged")
        }
        ChangeKind::SecurityChanged => {
            (Breaking, None, "the authentication method of programs might no longer be accepted")
        }
        ChangeKind::AppsAllowed => {
            (Compatible, None, "it works as before, and also accepts tokens of GitHub Apps")
        }
        ChangeKind::AppsRejected => {
            (Breaking, None, "calls with the tokens of GitHub Apps are rejected")
        }
        ChangeKind::CloudOnlyChanged => {
            (Notice, None, "its availability changes, which affects GitHub Enterprise")
        }
        ChangeKind::TriggersNotificationChanged => (
            Compatible,
            Patch,
            "the library paces calls that trigger notifications; regenerating it changes the pacing",
        ),
        ChangeKind::AnnotationChanged => (Documentation, None, "it only sorts the documentation"),
        ChangeKind::Deprecated => {
            (Notice, Minor, "it still works, and compiling a call of it gives a warning")
        }
        ChangeKind::WebhookAdded => {
            (Compatible, Minor, "it is read as an unknown event until then")
        }
        ChangeKind::WebhookRemoved => (Breaking, Major, "it is no longer delivered"),
        ChangeKind::WebhookRenamed => {
            (Compatible, Major, "deliveries are unchanged, but its type is named after the key")
        }
        ChangeKind::WebhookEventChanged => (
            Breaking,
            Major,
            "deliveries name the new event, which programs do not expect, and the type and the \
             Cargo feature are named after it",
        ),
        ChangeKind::WebhookTypeAdded => (Compatible, None, "more hooks can receive it"),
        ChangeKind::WebhookTypeRemoved => {
            (Breaking, None, "hooks of this type no longer receive it")
        }
        _ => return Option::None,
    })
}

/// Changes with the same effect everywhere.
fn common(kind: ChangeKind) -> Option<Verdict> {
    use SemverBump::{None, Patch};
    use Severity::{Compatible, Documentation, Notice};
    Some(match kind {
        ChangeKind::Deprecated => (Notice, Patch, "it still works, but is to be removed"),
        ChangeKind::Undeprecated => {
            (Compatible, Patch, "it works as before, and its removal is withdrawn")
        }
        ChangeKind::RemovalDateChanged => {
            (Notice, Patch, "the time until calls are rejected changes")
        }
        ChangeKind::BreakingChangeAnnounced | ChangeKind::BreakingChangeAltered => {
            (Notice, None, ANNOUNCED)
        }
        ChangeKind::BreakingChangeWithdrawn => {
            (Compatible, None, "the announced change is withdrawn")
        }
        ChangeKind::DocumentationChanged => (Documentation, Patch, "only words changed"),
        _ => return Option::None,
    })
}

/// Changes of error responses, which the library reads in the same way for every operation: no type is
/// generated from them.
fn error_response(kind: ChangeKind) -> Verdict {
    use Severity::{Compatible, Notice};
    match kind {
        ChangeKind::RequiredPropertyRemoved
        | ChangeKind::PropertyRemoved
        | ChangeKind::TypeChanged
        | ChangeKind::TypeWidened
        | ChangeKind::MediaTypeRemoved
        | ChangeKind::HeaderRemoved => (
            Notice,
            SemverBump::None,
            "errors are decoded leniently and have no generated types, but programs might inspect \
             them",
        ),
        _ => (
            Compatible,
            SemverBump::None,
            "errors and redirects are decoded in the same way for every operation",
        ),
    }
}

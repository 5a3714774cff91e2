//! The events that GitHub delivers, typed.
//!
//! [`Event`] and what it is made of is generated from the `x-webhooks` of GitHub's document: a
//! variant for each event whose feature is on (`webhook-issues`, `webhook-pull-request`, …;
//! `webhooks` is all), and in it one for each action, with the payload's own type.

use std::fmt;

use serde_json::Value;

use crate::error::{Error, Result};

pub(crate) mod generated;
pub(crate) mod read;

pub use crate::api::events::*;

/// Who does something, or an organization: the name and the id.
///
/// More of it is in the payload's own type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AccountRef<'a> {
    /// Its id, which stays.
    pub id: i64,
    /// Its name, which may change.
    pub login: &'a str,
}

/// The repository in which something was done: the name and the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RepositoryRef<'a> {
    /// Its id, which stays.
    pub id: i64,
    /// Its owner's name and its own, such as `octocat/hello-world`; both may change.
    pub full_name: &'a str,
}

/// The enterprise in which something was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct EnterpriseRef<'a> {
    /// Its id, which stays.
    pub id: i64,
    /// Its name in addresses.
    pub slug: &'a str,
}

/// A delivery that none of the types fits: its event or action is not known, or GitHub sends
/// another payload than its document says. It is all that came, as JSON; byte for byte it is in
/// [`Delivery::payload`](super::Delivery::payload).
#[derive(Clone, Debug)]
pub struct UnknownEvent {
    event: String,
    payload: Value,
    mismatch: Option<Box<Mismatch>>,
}

/// Where a payload does not fit the type that GitHub's description has for its event and action:
/// [`UnknownEvent::mismatch`].
///
/// Each is logged at the level WARN and counted as `octowire_webhook_undecoded_total`, with event,
/// action and JSON path, and without values of the payload.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Mismatch {
    event: &'static str,
    action: Option<&'static str>,
    expected: &'static str,
    reason: String,
    error: Error,
}

impl<'a> RepositoryRef<'a> {
    /// The owner's name: `octocat` of `octocat/hello-world`.
    #[must_use]
    pub fn owner(&self) -> &'a str {
        self.full_name.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The name without the owner's: `hello-world` of `octocat/hello-world`.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.full_name.split_once('/').map_or(self.full_name, |(_, name)| name)
    }
}

impl UnknownEvent {
    /// The event's name, as `X-GitHub-Event` has it.
    #[must_use]
    pub fn event(&self) -> &str {
        &self.event
    }

    /// What was done, if the payload says.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        self.payload.get("action")?.as_str()
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &Value {
        &self.payload
    }

    /// The payload, to keep.
    #[must_use]
    pub fn into_payload(self) -> Value {
        self.payload
    }

    /// The type that the payload should have fitted, and where it does not. `None` if this build
    /// has no type for the event and action: GitHub's description does not name them, or the
    /// event's feature is off.
    ///
    /// ```
    /// # #[cfg(feature = "webhook-ping")]
    /// # fn main() -> octowire::Result<()> {
    /// use octowire::webhooks::Event;
    ///
    /// let event = Event::read("ping", br#"{ "zen": { "text": "Keep it logically awesome." } }"#)?;
    /// let mismatch = event.unknown().and_then(|unknown| unknown.mismatch()).unwrap();
    /// assert_eq!((mismatch.expected(), mismatch.json_path()), ("WebhookPing", "$.zen"));
    ///
    /// let event = Event::read("newer_than_this", b"{}")?;
    /// assert!(event.unknown().is_some_and(|unknown| unknown.mismatch().is_none()));
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "webhook-ping"))]
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn mismatch(&self) -> Option<&Mismatch> {
        self.mismatch.as_deref()
    }

    /// Why the type does not fit that the document has for this event and action: with the JSON
    /// path at which it does not. `None` if it has none.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.mismatch().map(|mismatch| &mismatch.error)
    }
}

impl Mismatch {
    /// Returns the name of the type in [`types`](crate::types) that the payload does not fit.
    #[must_use]
    pub fn expected(&self) -> &'static str {
        self.expected
    }

    /// Returns the action that the type is for; `None` if the event has no actions.
    #[must_use]
    pub fn action(&self) -> Option<&'static str> {
        self.action
    }

    /// Returns the JSON path of the value that does not fit, such as `$.issue.title`; of the object
    /// if a property is missing, and `$` if the payload has none of several shapes.
    #[must_use]
    pub fn json_path(&self) -> &str {
        self.error.json_path().unwrap_or("$")
    }

    /// Returns why the value does not fit. It can repeat the value.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "payload does not fit {} at {}: {}", self.expected, self.json_path(), self.reason)
    }
}

impl Event {
    /// Reads the payload of an event, by its name in `X-GitHub-Event`.
    ///
    /// An event or an action without a type of its own, or whose type does not fit, is `Unknown`,
    /// with the JSON as it came. If the type does not fit, that is logged and counted, and
    /// [`UnknownEvent::mismatch`] says where.
    ///
    /// ```
    /// use octowire::webhooks::Event;
    ///
    /// # fn main() -> octowire::Result<()> {
    /// let event = Event::read("newer_than_this", br#"{ "action": "made", "sender": { "id": 1, "login": "octocat" } }"#)?;
    /// assert_eq!(event.name(), "newer_than_this");
    /// assert_eq!(event.action(), Some("made"));
    /// assert_eq!(event.sender().map(|sender| sender.login), Some("octocat"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If it is no JSON: of the kind [`Decode`](crate::ErrorKind::Decode).
    pub fn read(name: &str, payload: &[u8]) -> Result<Self> {
        let event = read::read(name, payload)?;
        if let Some(mismatch) = event.unknown().and_then(UnknownEvent::mismatch) {
            read::report(mismatch);
        }
        Ok(event)
    }
}

impl fmt::Display for RepositoryRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.full_name)
    }
}

impl fmt::Display for AccountRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.login)
    }
}

impl fmt::Display for EnterpriseRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug)
    }
}

impl serde::Serialize for UnknownEvent {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.payload.serialize(to)
    }
}

//! Typed webhook events.
//!
//! [`Event`] and its types are generated from the `x-webhooks` of GitHub's OpenAPI description: a variant for each
//! event whose feature is enabled (`webhook-issues`, `webhook-pull-request`, …; `webhooks-full` enables all), and in it one
//! for each action, with its own payload type.

use std::fmt;

use serde_json::Value;

use crate::error::{Error, Result};

pub(crate) mod generated;
pub(crate) mod read;

pub use crate::api::events::*;

/// The user of an event, or an organization: the name and the id.
///
/// The payload's own type contains more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AccountRef<'a> {
    /// The id, which does not change.
    pub id: i64,
    /// The name, which can change.
    pub login: &'a str,
}

/// The repository of an event: the name and the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RepositoryRef<'a> {
    /// The id, which does not change.
    pub id: i64,
    /// The owner's name and its own, such as `octocat/hello-world`; both can change.
    pub full_name: &'a str,
}

/// The enterprise of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct EnterpriseRef<'a> {
    /// The id, which does not change.
    pub id: i64,
    /// The name in URLs.
    pub slug: &'a str,
}

/// A delivery without a matching type: its event or action is unknown, or GitHub sends another payload than its
/// description declares. It contains the whole payload as JSON; [`Delivery::payload`](super::Delivery::payload) has the
/// original bytes.
#[derive(Clone, Debug)]
pub struct UnknownEvent {
    event: String,
    payload: Value,
    mismatch: Option<Box<Mismatch>>,
}

/// The mismatch between a payload and the type of GitHub's description for its event and action:
/// [`UnknownEvent::mismatch`].
///
/// Each mismatch is logged at the level WARN and counted as `octowire_webhook_undecoded_total`, with event, action and
/// JSON path, and without values of the payload.
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
    /// Returns the owner's name: `octocat` of `octocat/hello-world`.
    #[must_use]
    pub fn owner(&self) -> &'a str {
        self.full_name.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// Returns the name without the owner's: `hello-world` of `octocat/hello-world`.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.full_name.split_once('/').map_or(self.full_name, |(_, name)| name)
    }
}

impl UnknownEvent {
    /// Returns the event's name, as in `X-GitHub-Event`.
    #[must_use]
    pub fn event(&self) -> &str {
        &self.event
    }

    /// Returns the action, if the payload contains it.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        self.payload.get("action")?.as_str()
    }

    /// Returns the payload.
    #[must_use]
    pub fn payload(&self) -> &Value {
        &self.payload
    }

    /// Returns the payload by value.
    #[must_use]
    pub fn into_payload(self) -> Value {
        self.payload
    }

    /// Returns the expected type of the payload, and the mismatch. `None` if this build has no type for the event and
    /// action: GitHub's description does not contain them, or the event's feature is disabled.
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

    /// Returns why the payload does not match the type of this event and action, with the JSON path. `None` if there is
    /// no type.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.mismatch().map(|mismatch| &mismatch.error)
    }
}

impl Mismatch {
    /// Returns the name of the type in [`types`](crate::types) that the payload does not match.
    #[must_use]
    pub fn expected(&self) -> &'static str {
        self.expected
    }

    /// Returns the action of the type; `None` if the event has no actions.
    #[must_use]
    pub fn action(&self) -> Option<&'static str> {
        self.action
    }

    /// Returns the JSON path of the value that does not match, such as `$.issue.title`; of the object if a property is
    /// missing, and `$` if the payload matches none of several types.
    #[must_use]
    pub fn json_path(&self) -> &str {
        self.error.json_path().unwrap_or("$")
    }

    /// Returns why the value does not match. It can repeat the value.
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
    /// Parses the payload of an event, by its name in `X-GitHub-Event`.
    ///
    /// An event or an action without a type of its own, or whose type does not match, is `Unknown`, with the original
    /// JSON. If the type does not match, that is logged and counted, and [`UnknownEvent::mismatch`] describes it.
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
    /// If it is not JSON: of the kind [`Decode`](crate::ErrorKind::Decode).
    pub fn read(name: &str, payload: &[u8]) -> Result<Self> {
        let event = read::decode(name, payload)?;
        if let Some(mismatch) = event.unknown().and_then(UnknownEvent::mismatch) {
            read::report_mismatch(mismatch);
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

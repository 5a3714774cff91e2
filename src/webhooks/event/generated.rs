//! The building blocks of generated events.
//!
//! The rules are in one place, so that generated code is little more than a table of names.

#![allow(dead_code, unused_imports, unused_macros, reason = "what is used depends on the events")]

use serde_json::Value;

use super::{AccountRef, EnterpriseRef, RepositoryRef, UnknownEvent};

/// Common accessors of every payload.
pub(crate) trait EventPayload {
    /// Returns whether it matches one of the types in the description.
    fn fits(&self) -> bool {
        true
    }
    fn action(&self) -> Option<&str> {
        None
    }
    fn sender(&self) -> Option<AccountRef<'_>> {
        None
    }
    fn repository(&self) -> Option<RepositoryRef<'_>> {
        None
    }
    fn organization(&self) -> Option<AccountRef<'_>> {
        None
    }
    fn installation(&self) -> Option<i64> {
        None
    }
    fn enterprise(&self) -> Option<EnterpriseRef<'_>> {
        None
    }
}

/// An object with an id and, mostly, a name.
pub(crate) trait EntityRef {
    fn entity(&self) -> Option<(i64, &str)>;
}

/// A property that can be a number.
pub(crate) trait AsInteger {
    fn as_integer(&self) -> Option<i64>;
}

/// A property that can be text.
pub(crate) trait AsText {
    fn as_text(&self) -> Option<&str>;
}

impl<'a> From<(i64, &'a str)> for AccountRef<'a> {
    fn from((id, login): (i64, &'a str)) -> Self {
        Self { id, login }
    }
}

impl<'a> From<(i64, &'a str)> for RepositoryRef<'a> {
    fn from((id, full_name): (i64, &'a str)) -> Self {
        Self { id, full_name }
    }
}

impl<'a> From<(i64, &'a str)> for EnterpriseRef<'a> {
    fn from((id, slug): (i64, &'a str)) -> Self {
        Self { id, slug }
    }
}

impl<T: EntityRef> EntityRef for Option<T> {
    fn entity(&self) -> Option<(i64, &str)> {
        self.as_ref()?.entity()
    }
}

impl<T: EntityRef> EntityRef for Box<T> {
    fn entity(&self) -> Option<(i64, &str)> {
        (**self).entity()
    }
}

impl AsInteger for i64 {
    fn as_integer(&self) -> Option<i64> {
        Some(*self)
    }
}

impl AsInteger for Option<i64> {
    fn as_integer(&self) -> Option<i64> {
        *self
    }
}

impl AsText for String {
    fn as_text(&self) -> Option<&str> {
        Some(self)
    }
}

impl AsText for Option<String> {
    fn as_text(&self) -> Option<&str> {
        self.as_deref()
    }
}

impl EventPayload for UnknownEvent {
    fn action(&self) -> Option<&str> {
        Self::action(self)
    }
    fn sender(&self) -> Option<AccountRef<'_>> {
        entity_ref(self.payload(), "sender", "login").map(Into::into)
    }
    fn repository(&self) -> Option<RepositoryRef<'_>> {
        entity_ref(self.payload(), "repository", "full_name").map(Into::into)
    }
    fn organization(&self) -> Option<AccountRef<'_>> {
        entity_ref(self.payload(), "organization", "login").map(Into::into)
    }
    fn installation(&self) -> Option<i64> {
        self.payload().get("installation")?.get("id")?.as_i64()
    }
    fn enterprise(&self) -> Option<EnterpriseRef<'_>> {
        entity_ref(self.payload(), "enterprise", "slug").map(Into::into)
    }
}

fn entity_ref<'a>(payload: &'a Value, role: &str, label: &str) -> Option<(i64, &'a str)> {
    let value = payload.get(role)?;
    Some((value.get("id")?.as_i64()?, value.get(label)?.as_str()?))
}

/// Implements the type of such an object.
macro_rules! concerned {
    ($of:ident) => {
        impl $crate::webhooks::event::generated::EntityRef for $crate::api::types::$of {
            fn entity(&self) -> Option<(i64, &str)> {
                Some(($crate::webhooks::event::generated::AsInteger::as_integer(&self.id)?, ""))
            }
        }
    };
    ($of:ident, $label:ident) => {
        impl $crate::webhooks::event::generated::EntityRef for $crate::api::types::$of {
            fn entity(&self) -> Option<(i64, &str)> {
                use $crate::webhooks::event::generated::{AsInteger, AsText};
                Some((AsInteger::as_integer(&self.id)?, AsText::as_text(&self.$label)?))
            }
        }
    };
}

/// Implements the traits of a payload that is a record.
macro_rules! payload {
    ($of:ident { $($role:ident: $field:ident),* }) => {
        impl $crate::webhooks::event::generated::EventPayload for $crate::api::types::$of {
            $($crate::webhooks::event::generated::payload_roles!($role $field);)*
        }
    };
}

macro_rules! payload_roles {
    (action $field:ident) => {
        fn action(&self) -> Option<&str> {
            $crate::webhooks::event::generated::AsText::as_text(&self.$field)
        }
    };
    (sender $field:ident) => {
        fn sender(&self) -> Option<$crate::webhooks::AccountRef<'_>> {
            $crate::webhooks::event::generated::EntityRef::entity(&self.$field).map(Into::into)
        }
    };
    (repository $field:ident) => {
        fn repository(&self) -> Option<$crate::webhooks::RepositoryRef<'_>> {
            $crate::webhooks::event::generated::EntityRef::entity(&self.$field).map(Into::into)
        }
    };
    (organization $field:ident) => {
        fn organization(&self) -> Option<$crate::webhooks::AccountRef<'_>> {
            $crate::webhooks::event::generated::EntityRef::entity(&self.$field).map(Into::into)
        }
    };
    (installation $field:ident) => {
        fn installation(&self) -> Option<i64> {
            Some($crate::webhooks::event::generated::EntityRef::entity(&self.$field)?.0)
        }
    };
    (enterprise $field:ident) => {
        fn enterprise(&self) -> Option<$crate::webhooks::EnterpriseRef<'_>> {
            $crate::webhooks::event::generated::EntityRef::entity(&self.$field).map(Into::into)
        }
    };
}

/// Implements the traits of a payload that is one of several records.
macro_rules! payload_union {
    ($of:ident { $($variant:ident),* }) => {
        const _: () = {
            use $crate::webhooks::event::generated::EventPayload;
            use $crate::webhooks::{AccountRef, EnterpriseRef, RepositoryRef};
            impl $crate::api::types::$of {
                fn record(&self) -> Option<&dyn EventPayload> {
                    match self { $(Self::$variant(payload) => Some(payload),)* _ => None }
                }
            }
            impl EventPayload for $crate::api::types::$of {
                fn fits(&self) -> bool { self.record().is_some() }
                fn action(&self) -> Option<&str> { self.record()?.action() }
                fn sender(&self) -> Option<AccountRef<'_>> { self.record()?.sender() }
                fn repository(&self) -> Option<RepositoryRef<'_>> { self.record()?.repository() }
                fn organization(&self) -> Option<AccountRef<'_>> { self.record()?.organization() }
                fn installation(&self) -> Option<i64> { self.record()?.installation() }
                fn enterprise(&self) -> Option<EnterpriseRef<'_>> { self.record()?.enterprise() }
            }
        };
    };
}

/// The accessors of every event.
macro_rules! event_accessors {
    () => {
        /// Returns the user of the event: GitHub's `sender`.
        #[must_use]
        pub fn sender(&self) -> Option<$crate::webhooks::AccountRef<'_>> {
            self.payload().sender()
        }

        /// Returns the repository of the event, if there is one.
        #[must_use]
        pub fn repository(&self) -> Option<$crate::webhooks::RepositoryRef<'_>> {
            self.payload().repository()
        }

        /// Returns the organization that the webhook is for or that owns the repository, if there is one.
        #[must_use]
        pub fn organization(&self) -> Option<$crate::webhooks::AccountRef<'_>> {
            self.payload().organization()
        }

        /// Returns the id of the App's installation that the delivery is for, if it is an App's webhook;
        /// [`Client::installation`](crate::Client::installation) and
        /// [`Installation::id`](crate::policy::auth::Installation::id) accept it as it is.
        #[must_use]
        pub fn installation(&self) -> Option<i64> {
            self.payload().installation()
        }

        /// Returns the enterprise that owns the organization, if there is one.
        #[must_use]
        pub fn enterprise(&self) -> Option<$crate::webhooks::EnterpriseRef<'_>> {
            self.payload().enterprise()
        }
    };
}

/// Implements an event that has actions.
macro_rules! actions {
    ($(#[$meta:meta])* $name:ident = $event:literal {
        $($(#[$about:meta])* $variant:ident = $action:literal: $of:ident,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$about])* $variant(Box<$crate::api::types::$of>),)*
            /// An action that is not in the description, or a payload that does not match it.
            Unknown($crate::webhooks::UnknownEvent),
        }
        impl $name {
            /// The event's name, as in `X-GitHub-Event`.
            pub const NAME: &'static str = $event;

            /// Returns the action, from the payload's `action`.
            #[must_use]
            pub fn action(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $action,)*
                    Self::Unknown(unknown) => unknown.action().unwrap_or_default(),
                }
            }

            $crate::webhooks::event::generated::event_accessors!();

            fn payload(&self) -> &dyn $crate::webhooks::event::generated::EventPayload {
                match self { $(Self::$variant(payload) => &**payload,)* Self::Unknown(unknown) => unknown }
            }

            pub(crate) fn read(action: &str, payload: &$crate::webhooks::event::generated::PayloadSource<'_>) -> $crate::webhooks::event::generated::DecodeOutcome<Self> {
                match action { $($action => payload.read(stringify!($of), Some($action)).map(Self::$variant),)* _ => $crate::webhooks::event::generated::DecodeOutcome::Unknown }
            }
        }
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, to: S) -> ::core::result::Result<S::Ok, S::Error> {
                match self {
                    $(Self::$variant(payload) => payload.serialize(to),)*
                    Self::Unknown(unknown) => unknown.serialize(to),
                }
            }
        }
    };
}

/// Implements the enum of events.
macro_rules! events {
    ($($(#[$about:meta])* $kind:ident $variant:ident = $event:literal: $of:ident;)*) => {
        /// A webhook event from GitHub.
        ///
        /// It has the events whose features are enabled; all others, and future ones, are [`Unknown`](Self::Unknown)
        /// and lose no data.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        #[allow(clippy::large_enum_variant, reason = "the larger ones are the rare ones")]
        pub enum Event {
            $($(#[$about])* $variant($crate::webhooks::event::generated::payload_field!($kind $of)),)*
            /// An event whose feature is disabled, that is not in the description, or whose payload does not match it.
            Unknown($crate::webhooks::UnknownEvent),
        }
        impl Event {
            /// The names of the events that have a type in this build.
            pub const KNOWN: &'static [&'static str] = &[$($event,)*];

            /// Returns the event's name, as in `X-GitHub-Event`.
            #[must_use]
            pub fn name(&self) -> &str {
                match self { $(Self::$variant(_) => $event,)* Self::Unknown(unknown) => unknown.event() }
            }

            /// Returns the action, from the payload's `action`, if it has one.
            #[must_use]
            pub fn action(&self) -> Option<&str> {
                match self {
                    $(Self::$variant(event) => $crate::webhooks::event::generated::action_of!($kind event),)*
                    Self::Unknown(unknown) => unknown.action(),
                }
            }

            /// Returns whether the payload is the original JSON, since no type matches it.
            #[must_use]
            pub fn is_unknown(&self) -> bool {
                self.unknown().is_some()
            }

            /// Returns the original JSON, if no type matches it.
            ///
            /// Its [`mismatch`](crate::webhooks::UnknownEvent::mismatch) distinguishes a payload that does not match
            /// its type from an event or an action without a type in this build.
            #[must_use]
            pub fn unknown(&self) -> Option<&$crate::webhooks::UnknownEvent> {
                match self {
                    $(Self::$variant(_event) => $crate::webhooks::event::generated::unknown_of!($kind $of _event),)*
                    Self::Unknown(unknown) => Some(unknown),
                }
            }

            $crate::webhooks::event::generated::event_accessors!();

            fn payload(&self) -> &dyn $crate::webhooks::event::generated::EventPayload {
                match self {
                    $(Self::$variant(event) => $crate::webhooks::event::generated::payload_of!($kind event),)*
                    Self::Unknown(unknown) => unknown,
                }
            }

            /// Parses a payload by its event and its action.
            pub(crate) fn read_known(event: &str, _payload: &$crate::webhooks::event::generated::PayloadSource<'_>) -> $crate::webhooks::event::generated::DecodeOutcome<Self> {
                match event {
                    $($event => $crate::webhooks::event::generated::read!($kind $of _payload).map(Self::$variant),)*
                    _ => $crate::webhooks::event::generated::DecodeOutcome::Unknown,
                }
            }

            /// Puts a payload without a matching type into the variant of its event's name.
            pub(crate) fn from_unknown(unknown: $crate::webhooks::UnknownEvent) -> Self {
                match unknown.event() {
                    $($event => $crate::webhooks::event::generated::wrap_unknown!($kind $variant $of unknown),)*
                    _ => Self::Unknown(unknown),
                }
            }
        }
        impl ::serde::Serialize for Event {
            fn serialize<S: ::serde::Serializer>(&self, to: S) -> ::core::result::Result<S::Ok, S::Error> {
                match self {
                    $(Self::$variant(event) => event.serialize(to),)*
                    Self::Unknown(unknown) => unknown.serialize(to),
                }
            }
        }
    };
}

macro_rules! payload_field {
    (payload $of:ident) => { Box<$crate::api::types::$of> };
    (actions $of:ident) => { $of };
}

macro_rules! action_of {
    (payload $event:ident) => {
        $crate::webhooks::event::generated::EventPayload::action(&**$event)
    };
    (actions $event:ident) => {
        Some($event.action()).filter(|action| !action.is_empty())
    };
}

macro_rules! unknown_of {
    (payload $of:ident $event:ident) => {
        None
    };
    (actions $of:ident $event:ident) => {
        match $event {
            $of::Unknown(unknown) => Some(unknown),
            _ => None,
        }
    };
}

macro_rules! payload_of {
    (payload $event:ident) => {
        &**$event
    };
    (actions $event:ident) => {
        $event.payload()
    };
}

macro_rules! read {
    (payload $of:ident $payload:ident) => {
        $payload.read::<$crate::api::types::$of>(stringify!($of), None)
    };
    (actions $of:ident $payload:ident) => {
        match $payload.action() {
            Some(action) => $of::read(&action, $payload),
            None => $payload.without_action(stringify!($of)),
        }
    };
}

macro_rules! wrap_unknown {
    (payload $variant:ident $of:ident $unknown:ident) => {
        Self::Unknown($unknown)
    };
    (actions $variant:ident $of:ident $unknown:ident) => {
        Self::$variant($of::Unknown($unknown))
    };
}

pub(crate) use super::read::{DecodeOutcome, PayloadSource};
pub(crate) use {
    action_of, actions, concerned, event_accessors, events, payload, payload_field, payload_of,
    payload_roles, payload_union, read, unknown_of, wrap_unknown,
};

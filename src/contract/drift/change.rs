//! What a change is made of.

use std::fmt;

use serde::Serialize;

/// One change: what changed, where, whom it concerns and what it does to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// What happened.
    pub kind: Kind,
    /// What it does to programs that already run.
    pub severity: Severity,
    /// What it asks of this crate's version number.
    pub bump: Bump,
    /// Whether it concerns what is sent, what is read or the operation as a whole.
    pub direction: Direction,
    /// Where it stands: in an operation, in a webhook, or in a component that they share.
    pub place: Place,
    /// The place in the document, as an RFC 6901 pointer: in the new one, or in the old one if it
    /// is not in the new one.
    pub pointer: String,
    /// The same for people: `response 200 application/json › labels[] › color`. Empty if it is the
    /// operation itself.
    pub path: String,
    /// What changed, from what to what.
    pub message: String,
    /// Why it has this severity and asks for this bump.
    pub why: &'static str,
    /// The day on which GitHub means to remove it, as the new document says: `2026-08-28`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removal_date: Option<String>,
    /// The ids of the operations that it reaches, sorted.
    pub operations: Vec<String>,
    /// The keys of the webhooks that it reaches, sorted.
    pub webhooks: Vec<String>,
}

/// What a change does to programs that run with this library, built from the old document, while
/// GitHub answers as the new one says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Severity {
    /// Nothing: only words changed.
    Documentation,
    /// Nothing: they go on as before.
    Compatible,
    /// Nothing yet, or nothing that fails: somebody should have a look.
    Notice,
    /// Calls fail, answers are not read any longer, or something else happens than before.
    Breaking,
}

/// The version that this crate needs when it is generated again from the new document, for what
/// the change does to the Rust interface alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Bump {
    /// None: the generated code is the same.
    None,
    /// A patch: the interface is the same.
    Patch,
    /// A minor version: the interface grows.
    Minor,
    /// A major version (a minor one before 1.0): code that uses the interface may not compile.
    Major,
}

/// What a change concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Direction {
    /// The operation as a whole: that it exists, where it is, who may call it.
    Operation,
    /// What is sent: parameters and bodies.
    Request,
    /// What GitHub answers when a call succeeds, which is read.
    Response,
    /// What GitHub answers when it does not, which the library reads alike for every operation.
    Error,
    /// What GitHub delivers to a webhook, which is read; and the webhook as a whole.
    Webhook,
}

/// What owns a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Place {
    /// An operation, by its id.
    Operation(String),
    /// A webhook, by its key.
    Webhook(String),
    /// A component, by its name; `parameters/owner` if it is not a schema.
    Component(String),
    /// What the document says for all operations at once, such as the server.
    Document,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal,)+) => {
        /// What happened. What each means for programs and for this crate is in the
        /// [table](super#what-each-kind-means).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "kebab-case")]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl Kind {
            /// Every kind there is.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// Its name, as it is serialized: `property-removed`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }
        }
    };
}

kinds! {
    /// An operation that there was not.
    OperationAdded = "operation-added",
    /// An operation that is gone.
    OperationRemoved = "operation-removed",
    /// Another operation id with the same method and path.
    OperationRenamed = "operation-renamed",
    /// The same operation id at another path, or with its parameters in another order.
    PathMoved = "path-moved",
    /// The same operation id with another method.
    MethodChanged = "method-changed",
    /// Another first tag, which is the module and the Cargo feature.
    TagChanged = "tag-changed",
    /// Another server.
    ServerChanged = "server-changed",
    /// Other ways of signing in (`security`).
    SecurityChanged = "security-changed",
    /// GitHub Apps may call it now.
    AppsAllowed = "apps-allowed",
    /// GitHub Apps may not call it any longer.
    AppsRefused = "apps-refused",
    /// It is on GitHub's cloud only, now or not any longer.
    CloudOnlyChanged = "cloud-only-changed",
    /// It notifies people, now or not any longer, which the library paces calls by.
    TriggersNotificationChanged = "triggers-notification-changed",
    /// Something else in `x-github`, such as the category.
    AnnotationChanged = "annotation-changed",
    /// Deprecated: an operation, a webhook, a parameter or a property.
    Deprecated = "deprecated",
    /// Not deprecated any longer.
    Undeprecated = "undeprecated",
    /// Another day of deprecation or removal.
    RemovalDateChanged = "removal-date-changed",
    /// A change that a later version of the API makes, which was not announced before.
    BreakingChangeAnnounced = "breaking-change-announced",
    /// An announced change that says something else now.
    BreakingChangeAltered = "breaking-change-altered",
    /// An announced change that is not announced any longer.
    BreakingChangeWithdrawn = "breaking-change-withdrawn",
    /// A webhook that there was not.
    WebhookAdded = "webhook-added",
    /// A webhook that is gone.
    WebhookRemoved = "webhook-removed",
    /// Another key for the same webhook.
    WebhookRenamed = "webhook-renamed",
    /// Another event (`x-github.subcategory`), which the type and the Cargo feature are named after.
    WebhookEventChanged = "webhook-event-changed",
    /// It is delivered to one more sort of hook, such as an organization's.
    WebhookTypeAdded = "webhook-type-added",
    /// It is not delivered to this sort of hook any longer.
    WebhookTypeRemoved = "webhook-type-removed",
    /// A parameter that may be left out.
    ParameterAdded = "parameter-added",
    /// A parameter that must be given.
    RequiredParameterAdded = "required-parameter-added",
    /// A parameter that is gone.
    ParameterRemoved = "parameter-removed",
    /// A path parameter with another name in the same place.
    ParameterRenamed = "parameter-renamed",
    /// A parameter that could be left out.
    ParameterBecameRequired = "parameter-became-required",
    /// A parameter that may be left out now.
    ParameterBecameOptional = "parameter-became-optional",
    /// A parameter that is written in another way (`style`, `explode`, `x-multi-segment`).
    ParameterEncodingChanged = "parameter-encoding-changed",
    /// A body that may be left out.
    RequestBodyAdded = "request-body-added",
    /// A body that must be sent.
    RequiredRequestBodyAdded = "required-request-body-added",
    /// No body is taken any longer.
    RequestBodyRemoved = "request-body-removed",
    /// A body that could be left out.
    RequestBodyBecameRequired = "request-body-became-required",
    /// A body that may be left out now.
    RequestBodyBecameOptional = "request-body-became-optional",
    /// One more media type.
    MediaTypeAdded = "media-type-added",
    /// One media type less.
    MediaTypeRemoved = "media-type-removed",
    /// One more way of success (2xx).
    SuccessStatusAdded = "success-status-added",
    /// One way of success less.
    SuccessStatusRemoved = "success-status-removed",
    /// One more status that is no success.
    StatusAdded = "status-added",
    /// One status less that is no success.
    StatusRemoved = "status-removed",
    /// One more header of a response.
    HeaderAdded = "header-added",
    /// One header of a response less.
    HeaderRemoved = "header-removed",
    /// A property that may be absent.
    PropertyAdded = "property-added",
    /// A property that must be there.
    RequiredPropertyAdded = "required-property-added",
    /// A property that could be absent is gone.
    PropertyRemoved = "property-removed",
    /// A property that had to be there is gone.
    RequiredPropertyRemoved = "required-property-removed",
    /// A property that could be absent.
    PropertyBecameRequired = "property-became-required",
    /// A property that may be absent now.
    PropertyBecameOptional = "property-became-optional",
    /// `null` is one of the values now.
    BecameNullable = "became-nullable",
    /// `null` is none of the values any longer.
    BecameNotNullable = "became-not-nullable",
    /// Another type, which has nothing of the old one.
    TypeChanged = "type-changed",
    /// A type that has all values of the old one, and others.
    TypeWidened = "type-widened",
    /// A type that has some of the values of the old one.
    TypeNarrowed = "type-narrowed",
    /// Another `format`.
    FormatChanged = "format-changed",
    /// One more value.
    EnumValueAdded = "enum-value-added",
    /// One value less.
    EnumValueRemoved = "enum-value-removed",
    /// Only certain values, where there was any.
    EnumIntroduced = "enum-introduced",
    /// Any value, where there were only certain ones.
    EnumDropped = "enum-dropped",
    /// Another default.
    DefaultChanged = "default-changed",
    /// A limit that leaves less.
    BoundTightened = "bound-tightened",
    /// A limit that leaves more.
    BoundLoosened = "bound-loosened",
    /// Another `pattern`.
    PatternChanged = "pattern-changed",
    /// Properties that are not named may not be there any longer.
    AdditionalPropertiesForbidden = "additional-properties-forbidden",
    /// Properties that are not named may be there.
    AdditionalPropertiesAllowed = "additional-properties-allowed",
    /// One more variant of a union.
    VariantAdded = "variant-added",
    /// One variant of a union less.
    VariantRemoved = "variant-removed",
    /// What tells the variants of a union apart.
    DiscriminatorChanged = "discriminator-changed",
    /// `readOnly` or `writeOnly`.
    AccessChanged = "access-changed",
    /// Descriptions, titles, examples or links; how many is in the message.
    DocumentationChanged = "documentation-changed",
}

impl Severity {
    /// Its name, as it is serialized: `breaking`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Documentation => "documentation",
            Self::Compatible => "compatible",
            Self::Notice => "notice",
            Self::Breaking => "breaking",
        }
    }
}

impl Bump {
    /// Its name, as it is serialized: `major`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        }
    }
}

impl Direction {
    /// Its name, as it is serialized: `response`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operation => "operation",
            Self::Request => "request",
            Self::Response => "response",
            Self::Error => "error",
            Self::Webhook => "webhook",
        }
    }
}

impl Place {
    /// The id, key or name; empty for the whole document.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Operation(name) | Self::Webhook(name) | Self::Component(name) => name,
            Self::Document => "",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Bump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation(id) => write!(f, "operation {id}"),
            Self::Webhook(key) => write!(f, "webhook {key}"),
            Self::Component(name) => write!(f, "component {name}"),
            Self::Document => f.write_str("document"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.severity, self.place, self.kind)?;
        if !self.path.is_empty() {
            write!(f, " at {}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}

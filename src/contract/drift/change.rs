//! A change and its parts.

use std::fmt;

use serde::Serialize;

/// One change: its kind, its location, the affected operations and webhooks, and its effects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// The kind of the change.
    pub kind: ChangeKind,
    /// The effect on programs that already run.
    pub severity: Severity,
    /// The effect on this crate's version number.
    pub bump: SemverBump,
    /// Whether it concerns requests, responses or the operation as a whole.
    pub direction: Direction,
    /// Its owner: an operation, a webhook, or a shared component.
    pub owner: ChangeOwner,
    /// The location in the description, as an RFC 6901 pointer: in the new one, or in the old one if the new
    /// one does not have it.
    pub pointer: String,
    /// The location in readable form: `response 200 application/json › labels[] › color`. Empty for the
    /// operation itself.
    pub path: String,
    /// The change, with the old and the new state.
    pub message: String,
    /// The reason for the severity and the bump.
    pub why: &'static str,
    /// The day of removal that the new description announces: `2026-08-28`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removal_date: Option<String>,
    /// The ids of the affected operations, sorted.
    pub operations: Vec<String>,
    /// The keys of the affected webhooks, sorted.
    pub webhooks: Vec<String>,
}

/// The effect of a change on programs that run with this library, built from the old description, while
/// GitHub responds as the new one says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Severity {
    /// No effect: only texts changed.
    Documentation,
    /// No effect: programs continue as before.
    Compatible,
    /// No failure yet, but a developer should look at it.
    Notice,
    /// Calls fail, responses no longer decode, or the behavior differs.
    Breaking,
}

/// The version bump that the change requires when the crate is generated again from the new description, for
/// the Rust interface alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SemverBump {
    /// None: the generated code is the same.
    None,
    /// A patch: the interface is the same.
    Patch,
    /// A minor version: the interface grows.
    Minor,
    /// A major version (a minor one before 1.0): code that uses the interface might not compile.
    Major,
}

/// The part of an operation that a change concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Direction {
    /// The operation as a whole: its existence, its path, its permitted callers.
    Operation,
    /// Requests: parameters and bodies.
    Request,
    /// Responses of successful calls.
    Response,
    /// Error responses, which the library reads alike for every operation.
    Error,
    /// Webhook deliveries, and the webhook as a whole.
    Webhook,
}

/// The owner of a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ChangeOwner {
    /// An operation, by its id.
    Operation(String),
    /// A webhook, by its key.
    Webhook(String),
    /// A component, by its name; `parameters/owner` if it is not a schema.
    Component(String),
    /// A part that applies to all operations at once, such as the server.
    Description,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal,)+) => {
        /// The kind of a change. The [table](super#what-each-kind-means) has the effects of each kind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "kebab-case")]
        #[non_exhaustive]
        pub enum ChangeKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl ChangeKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// Returns the name, as it is serialized: `property-removed`.
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
    /// The operation is new.
    OperationAdded = "operation-added",
    /// The operation was removed.
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
    /// Other authentication methods (`security`).
    SecurityChanged = "security-changed",
    /// GitHub Apps can call it now.
    AppsAllowed = "apps-allowed",
    /// GitHub Apps can no longer call it.
    AppsRejected = "apps-rejected",
    /// It became available on GitHub's cloud only, or is no longer restricted to it.
    CloudOnlyChanged = "cloud-only-changed",
    /// It started or stopped to notify users, which affects the library's pacing of calls.
    TriggersNotificationChanged = "triggers-notification-changed",
    /// Another entry of `x-github`, such as the category.
    AnnotationChanged = "annotation-changed",
    /// Deprecated: an operation, a webhook, a parameter or a property.
    Deprecated = "deprecated",
    /// No longer deprecated.
    Undeprecated = "undeprecated",
    /// Another day of deprecation or removal.
    RemovalDateChanged = "removal-date-changed",
    /// A newly announced change of a later API version.
    BreakingChangeAnnounced = "breaking-change-announced",
    /// An announced change with another content.
    BreakingChangeAltered = "breaking-change-altered",
    /// An announcement was withdrawn.
    BreakingChangeWithdrawn = "breaking-change-withdrawn",
    /// The webhook is new.
    WebhookAdded = "webhook-added",
    /// The webhook was removed.
    WebhookRemoved = "webhook-removed",
    /// Another key for the same webhook.
    WebhookRenamed = "webhook-renamed",
    /// Another event (`x-github.subcategory`), which determines the names of the type and the Cargo feature.
    WebhookEventChanged = "webhook-event-changed",
    /// One more kind of hook, such as an organization's, receives it.
    WebhookTypeAdded = "webhook-type-added",
    /// This kind of hook no longer receives it.
    WebhookTypeRemoved = "webhook-type-removed",
    /// A new optional parameter.
    ParameterAdded = "parameter-added",
    /// A new required parameter.
    RequiredParameterAdded = "required-parameter-added",
    /// The parameter was removed.
    ParameterRemoved = "parameter-removed",
    /// A path parameter with another name in the same place.
    ParameterRenamed = "parameter-renamed",
    /// An optional parameter became required.
    ParameterBecameRequired = "parameter-became-required",
    /// A required parameter became optional.
    ParameterBecameOptional = "parameter-became-optional",
    /// Another encoding of a parameter (`style`, `explode`, `x-multi-segment`).
    ParameterEncodingChanged = "parameter-encoding-changed",
    /// A new optional body.
    RequestBodyAdded = "request-body-added",
    /// A new required body.
    RequiredRequestBodyAdded = "required-request-body-added",
    /// The operation no longer takes a body.
    RequestBodyRemoved = "request-body-removed",
    /// An optional body became required.
    RequestBodyBecameRequired = "request-body-became-required",
    /// A required body became optional.
    RequestBodyBecameOptional = "request-body-became-optional",
    /// A media type was added.
    MediaTypeAdded = "media-type-added",
    /// A media type was removed.
    MediaTypeRemoved = "media-type-removed",
    /// A success status (2xx) was added.
    SuccessStatusAdded = "success-status-added",
    /// A success status was removed.
    SuccessStatusRemoved = "success-status-removed",
    /// A status that is not a success was added.
    StatusAdded = "status-added",
    /// A status that is not a success was removed.
    StatusRemoved = "status-removed",
    /// A response header was added.
    HeaderAdded = "header-added",
    /// A response header was removed.
    HeaderRemoved = "header-removed",
    /// A new optional property.
    PropertyAdded = "property-added",
    /// A new required property.
    RequiredPropertyAdded = "required-property-added",
    /// An optional property was removed.
    PropertyRemoved = "property-removed",
    /// A required property was removed.
    RequiredPropertyRemoved = "required-property-removed",
    /// An optional property became required.
    PropertyBecameRequired = "property-became-required",
    /// A required property became optional.
    PropertyBecameOptional = "property-became-optional",
    /// `null` became an allowed value.
    BecameNullable = "became-nullable",
    /// `null` is no longer an allowed value.
    BecameNotNullable = "became-not-nullable",
    /// Another type that shares no values with the old one.
    TypeChanged = "type-changed",
    /// A type with all values of the old one, and others.
    TypeWidened = "type-widened",
    /// A type with some of the values of the old one.
    TypeNarrowed = "type-narrowed",
    /// Another `format`.
    FormatChanged = "format-changed",
    /// An enum value was added.
    EnumValueAdded = "enum-value-added",
    /// An enum value was removed.
    EnumValueRemoved = "enum-value-removed",
    /// An enum replaces an unrestricted type.
    EnumIntroduced = "enum-introduced",
    /// An unrestricted type replaces an enum.
    EnumDropped = "enum-dropped",
    /// Another default.
    DefaultChanged = "default-changed",
    /// A bound became tighter.
    BoundTightened = "bound-tightened",
    /// A bound became looser.
    BoundLoosened = "bound-loosened",
    /// Another `pattern`.
    PatternChanged = "pattern-changed",
    /// Unnamed properties are no longer allowed.
    AdditionalPropertiesForbidden = "additional-properties-forbidden",
    /// Unnamed properties became allowed.
    AdditionalPropertiesAllowed = "additional-properties-allowed",
    /// A variant was added to a union.
    VariantAdded = "variant-added",
    /// A variant was removed from a union.
    VariantRemoved = "variant-removed",
    /// Another discriminator of a union.
    DiscriminatorChanged = "discriminator-changed",
    /// `readOnly` or `writeOnly`.
    AccessChanged = "access-changed",
    /// Descriptions, titles, examples or links; the message has their number.
    DocumentationChanged = "documentation-changed",
}

impl Severity {
    /// Returns the name, as it is serialized: `breaking`.
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

impl SemverBump {
    /// Returns the name, as it is serialized: `major`.
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
    /// Returns the name, as it is serialized: `response`.
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

impl ChangeOwner {
    /// Returns the id, key or name; empty for the whole description.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Operation(name) | Self::Webhook(name) | Self::Component(name) => name,
            Self::Description => "",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for SemverBump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ChangeOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation(id) => write!(f, "operation {id}"),
            Self::Webhook(key) => write!(f, "webhook {key}"),
            Self::Component(name) => write!(f, "component {name}"),
            Self::Description => f.write_str("document"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.severity, self.owner, self.kind)?;
        if !self.path.is_empty() {
            write!(f, " at {}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}

//! Metadata of a webhook's payload beside its type: the fields of the affected resources.

use std::collections::{BTreeMap, BTreeSet};

use super::STAGE;
use crate::document;
use crate::error::{Error, Result};
use crate::model::{Definition, Field, Kind, Type, Variant, resolved};
use crate::webhooks::{WEBHOOKS, Webhook};

/// A webhook with its payload's type.
pub struct Payload {
    /// The webhook.
    pub webhook: Webhook,
    /// The name of its type, and the target if this is an alias.
    pub name: String,
    /// The name of the definition.
    pub resolved: String,
    /// The shape of the definition.
    pub shape: PayloadShape,
}

/// The kind of a payload's type.
pub enum PayloadShape {
    /// A record.
    Record(PayloadRoles),
    /// One of several records, by variant and by name; other alternatives are not shapes.
    Union(Vec<(String, String, PayloadRoles)>),
    /// Neither: it has no known fields.
    Other,
}

/// The information about the delivery in a record, and its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadRoles {
    /// The affected resource.
    pub roles: Vec<(Role, String)>,
    /// The action, if it is a text of any kind.
    pub action: Option<String>,
}

/// The relation of a resource to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    Sender,
    Repository,
    Organization,
    Installation,
    Enterprise,
}

impl Role {
    pub const ALL: [Self; 5] =
        [Self::Sender, Self::Repository, Self::Organization, Self::Installation, Self::Enterprise];

    /// The property of the payload, and the accessor.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Repository => "repository",
            Self::Organization => "organization",
            Self::Installation => "installation",
            Self::Enterprise => "enterprise",
        }
    }

    /// The property with its name beside its `id`, if there is one.
    pub fn label(self) -> Option<&'static str> {
        match self {
            Self::Sender | Self::Organization => Some("login"),
            Self::Repository => Some("full_name"),
            Self::Enterprise => Some("slug"),
            Self::Installation => None,
        }
    }
}

/// The type of a resource that payloads concern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntityType {
    /// The name of the type.
    pub ty: String,
    /// The property with the name of the resource, see [`Role::label`].
    pub label: Option<&'static str>,
}

/// The payload of a webhook, whose type is `output`.
pub fn payload(
    webhook: Webhook,
    output: Option<&Type>,
    types: &mut BTreeMap<String, Definition>,
) -> Result<Payload> {
    let Some(Type::Named(name)) = output.map(|of| of.unwrapped().unboxed()) else {
        let at = document::pointer(&[WEBHOOKS, &webhook.key]);
        return Err(Error::new(STAGE, at, "the payload is not an object"));
    };
    if let Some(definition) = types.get_mut(name) {
        describe(definition, &webhook);
    }
    let resolved = resolved(name, types).map_or(name.as_str(), |(name, _)| name).to_owned();
    Ok(Payload { webhook, name: name.clone(), resolved, shape: shape(name, types) })
}

/// The types of the resources that the payloads concern.
pub fn concerned(
    payloads: &[Payload],
    types: &BTreeMap<String, Definition>,
) -> BTreeSet<EntityType> {
    let mut concerned = BTreeSet::new();
    let mut add = |name: &str, described: &PayloadRoles| {
        for field in fields(name, types).into_iter().flatten() {
            for (role, _) in described.roles.iter().filter(|(_, ident)| *ident == field.ident) {
                if let Some((of, _)) = record(&field.ty, types) {
                    concerned.insert(EntityType { ty: of.to_owned(), label: role.label() });
                }
            }
        }
    };
    for payload in payloads {
        match &payload.shape {
            PayloadShape::Record(roles) => add(&payload.name, roles),
            PayloadShape::Union(variants) => {
                variants.iter().for_each(|(_, name, roles)| add(name, roles))
            }
            PayloadShape::Other => {}
        }
    }
    concerned
}

/// Documents the deliveries of a payload's type.
fn describe(definition: &mut Definition, webhook: &Webhook) {
    let action = match webhook.actions.as_slice() {
        [] => String::new(),
        actions => format!(" with the action `{}`", actions.join("`, `")),
    };
    let first = format!("The payload of the event `{}`{action}.", webhook.event);
    definition.doc = [first.as_str(), &webhook.description, &definition.doc].join("\n\n");
}

fn shape(name: &str, types: &BTreeMap<String, Definition>) -> PayloadShape {
    if let Some(fields) = fields(name, types) {
        return PayloadShape::Record(payload_roles(fields, types));
    }
    let Some((_, Kind::Union(variants))) = resolved(name, types) else {
        return PayloadShape::Other;
    };
    let of = |variant: &Variant| {
        let (name, fields) = record(&variant.ty, types)?;
        Some((variant.ident.clone(), name.to_owned(), payload_roles(fields, types)))
    };
    PayloadShape::Union(variants.iter().filter_map(of).collect())
}

fn payload_roles(fields: &[Field], types: &BTreeMap<String, Definition>) -> PayloadRoles {
    let called = |name: &str| fields.iter().find(|field| field.name == name);
    let role = |role: Role| {
        let field = called(role.name())?;
        let (_, of) = record(&field.ty, types)?;
        let has = |name: &str, what: &str| {
            let is = |field: &Field| *field.ty.unwrapped() == Type::path(what);
            of.iter().any(|field| field.ident == name && is(field))
        };
        let named = role.label().is_none_or(|label| has(label, "String"));
        (has("id", "i64") && named).then(|| (role, field.ident.clone()))
    };
    let action = called("action").filter(|field| *field.ty.unwrapped() == Type::path("String"));
    PayloadRoles {
        roles: Role::ALL.into_iter().filter_map(role).collect(),
        action: action.map(|field| field.ident.clone()),
    }
}

fn fields<'a>(name: &str, types: &'a BTreeMap<String, Definition>) -> Option<&'a [Field]> {
    match resolved(name, types)? {
        (_, Kind::Struct(fields)) => Some(fields),
        _ => None,
    }
}

/// A record by the name of its definition, with its fields.
fn record<'a>(
    of: &'a Type,
    types: &'a BTreeMap<String, Definition>,
) -> Option<(&'a str, &'a [Field])> {
    let Type::Named(name) = of.unwrapped().unboxed() else { return None };
    match resolved(name, types)? {
        (name, Kind::Struct(fields)) => Some((name, fields)),
        _ => None,
    }
}

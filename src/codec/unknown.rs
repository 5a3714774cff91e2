//! Properties of responses that the OpenAPI description does not name.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde_json::Value;

use super::union::UNION;

/// A response type that keeps properties that the OpenAPI description does not name.
///
/// GitHub adds properties to responses before it describes them, and Enterprise Server has its own. They are
/// kept as they were sent, and are written when the type is serialized.
///
/// ```
/// use octowire::UnknownProperties;
///
/// # fn main() -> Result<(), serde_json::Error> {
/// let user: octowire::types::SimpleUser = serde_json::from_str(
///     // The properties that the description names are left out here.
///     # r#"{"login":"octocat","id":1,"node_id":"","avatar_url":"https://a","gravatar_id":"","url":"https://a","html_url":"https://a","followers_url":"","following_url":"","gists_url":"","starred_url":"","subscriptions_url":"","organizations_url":"","repos_url":"","events_url":"","received_events_url":"","type":"User","site_admin":false,"hovercard":{"seen":3}}"#,
///     # /*
///     r#"{ "login": "octocat", …, "hovercard": { "seen": 3 } }"#,
///     # */
/// )?;
/// assert_eq!(user.unknown_properties()["hovercard"]["seen"], 3);
/// assert_eq!(serde_json::to_value(&user)?["hovercard"]["seen"], 3);
/// # Ok(())
/// # }
/// ```
pub trait UnknownProperties {
    /// Returns the properties that the OpenAPI description does not name, by name. Their number is bounded by
    /// the size of the response, [`max_body_bytes`](crate::ClientBuilder::max_body_bytes).
    fn unknown_properties(&self) -> &BTreeMap<String, Value>;
}

/// The unknown properties of a record: usually none, so it is one pointer.
#[derive(Clone, Default)]
#[allow(clippy::box_collection, reason = "a map is three times as large as a box, in every record")]
pub(crate) struct UnknownFields(Option<Box<BTreeMap<String, Value>>>);

static NO_PROPERTIES: BTreeMap<String, Value> = BTreeMap::new();

impl UnknownFields {
    pub(crate) fn properties(&self) -> &BTreeMap<String, Value> {
        self.0.as_deref().unwrap_or(&NO_PROPERTIES)
    }

    /// Reads the value of a property.
    pub(crate) fn read<'de, A: MapAccess<'de>>(
        &mut self,
        name: String,
        from: &mut A,
    ) -> Result<(), A::Error> {
        let value = from.next_value()?;
        self.0.get_or_insert_default().insert(name, value);
        Ok(())
    }

    /// Writes all properties.
    pub(crate) fn write<M: SerializeMap>(&self, to: &mut M) -> Result<(), M::Error> {
        self.properties().iter().try_for_each(|(name, value)| to.serialize_entry(name, value))
    }
}

impl fmt::Debug for UnknownFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.properties().fmt(f)
    }
}

/// An empty body. It deserializes as `null` for types that allow it: an `Option`, `()` or a [`Value`]. It
/// does not for a [`Union`](super::union::Union), which would keep it as a raw value.
pub(crate) struct EmptyBody;

impl<'de> Deserializer<'de> for EmptyBody {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match name {
            UNION => Err(Self::Error::custom("empty response body")),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

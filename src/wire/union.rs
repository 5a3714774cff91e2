//! Unions: one of several types, of which JSON does not say which.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

/// The properties that a variant names, or none if it is not a record.
macro_rules! rank {
    () => {
        None
    };
    ($fields:expr) => {
        Some($fields)
    };
}
pub(crate) use rank;

/// Finds the variant that fits a value best: the one that reads it and knows
/// most of its properties; of equals, the first.
pub(crate) struct Choice<U> {
    value: Value,
    best: Option<(usize, U)>,
}

impl<U> Choice<U> {
    pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self { value: Value::deserialize(from)?, best: None })
    }

    /// Offers a variant. `fields` are the properties it names; `tags` are
    /// properties whose values tell it from its siblings.
    pub(crate) fn offer<T: DeserializeOwned>(
        &mut self,
        fields: Option<&[&str]>,
        tags: &[(&str, &[&str])],
        wrap: fn(T) -> U,
    ) {
        let misfit = misfit(&self.value, fields, tags);
        if self.best.as_ref().is_some_and(|(best, _)| *best <= misfit) {
            return;
        }
        if let Ok(value) = T::deserialize(&self.value) {
            self.best = Some((misfit, wrap(value)));
        }
    }

    /// The best variant, or the value if none fits.
    pub(crate) fn taken(self) -> Result<U, Value> {
        self.best.map(|(_, union)| union).ok_or(self.value)
    }
}

/// How badly a value fits a record: one for each property that the record does
/// not name, and more than all of these for a tag of another variant.
fn misfit(value: &Value, fields: Option<&[&str]>, tags: &[(&str, &[&str])]) -> usize {
    let (Some(object), Some(fields)) = (value.as_object(), fields) else { return 0 };
    let unknown = object.keys().filter(|key| !fields.contains(&key.as_str())).count();
    let wrong = tags
        .iter()
        .filter(|(key, values)| {
            object.get(*key).and_then(Value::as_str).is_some_and(|tag| !values.contains(&tag))
        })
        .count();
    unknown + wrong * 1_000
}

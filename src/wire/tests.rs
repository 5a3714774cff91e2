//! The rules of reading, on types as the generator writes them.

#![allow(unreachable_pub, reason = "the macros write what is public in generated code")]

use proptest::prelude::*;
use serde::de::{IgnoredAny, MapAccess};
use serde::ser::SerializeMap;
use serde_json::{Value, json};

use super::{Fields, Record, entry, list, optional, value};
use crate::wire;

#[derive(Clone, Debug, Default)]
pub struct Label {
    id: i64,
    name: Option<String>,
    colors: Vec<Color>,
}

wire::read_records! { Label Extended }

impl Fields for Label {
    fn write<M: SerializeMap>(&self, to: &mut M) -> Result<(), M::Error> {
        entry(to, "id", &self.id)?;
        optional(to, "name", &self.name)?;
        entry(to, "colors", &self.colors)
    }
}

impl Record for Label {
    const FIELDS: &'static [&'static str] = &["id", "name", "colors"];
    const REQUIRED: &'static [u16] = &[0];

    fn read<'de, A: MapAccess<'de>>(&mut self, index: usize, from: &mut A) -> Result<(), A::Error> {
        match index {
            0 => value(from, &mut self.id),
            1 => value(from, &mut self.name),
            2 => list(from, &mut self.colors),
            _ => from.next_value::<IgnoredAny>().map(drop),
        }
    }
}

/// A record that keeps properties which it does not name.
#[derive(Clone, Debug, Default)]
pub struct Extended {
    id: i64,
    extra: std::collections::BTreeMap<String, Value>,
}

impl Fields for Extended {
    fn write<M: SerializeMap>(&self, to: &mut M) -> Result<(), M::Error> {
        entry(to, "id", &self.id)?;
        self.extra.iter().try_for_each(|(name, value)| to.serialize_entry(name, value))
    }
}

impl Record for Extended {
    const FIELDS: &'static [&'static str] = &["id"];
    const REQUIRED: &'static [u16] = &[0];
    const REST: bool = true;

    fn read<'de, A: MapAccess<'de>>(&mut self, index: usize, from: &mut A) -> Result<(), A::Error> {
        match index {
            0 => value(from, &mut self.id),
            _ => from.next_value::<IgnoredAny>().map(drop),
        }
    }

    fn read_rest<'de, A: MapAccess<'de>>(
        &mut self,
        name: String,
        from: &mut A,
    ) -> Result<(), A::Error> {
        self.extra.insert(name, from.next_value()?);
        Ok(())
    }
}

wire::open_enum! {
    /// A color that is read.
    Color { Red = "red", Plus1 = "+1", }
}

wire::closed_enum! {
    /// A state that is sent.
    State { Open = "open", Closed = "closed", }
}

wire::read_union! {
    /// A user or a team.
    Owner {
        Label(Box<Label>) fields <Label as wire::Record>::FIELDS, ["name": &["label"]];
        Extended(Extended) fields <Extended as wire::Record>::FIELDS,;
        String(String),;
    }
}

wire::sent_union! {
    /// A number or a name.
    Either { Integer(i64), String(String), }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

#[test]
fn unknown_properties_are_skipped_and_absent_ones_are_nothing() {
    let label: Label = read(json!({ "url": { "deep": [1] }, "id": 7 }));
    assert_eq!((label.id, label.name, label.colors.len()), (7, None, 0));
}

#[test]
fn a_list_that_is_null_is_empty() {
    let label: Label = read(json!({ "id": 7, "colors": null, "name": null }));
    assert!(label.colors.is_empty() && label.name.is_none());
}

#[test]
fn a_required_property_that_is_missing_is_named() {
    let error = serde_json::from_str::<Label>(r#"{"name": "bug"}"#).unwrap_err();
    assert!(error.to_string().contains("missing field `id`"), "{error}");
}

#[test]
fn properties_without_a_field_are_kept_where_the_document_allows_them() {
    let original = json!({ "id": 7, "custom": [1, 2], "other": "x" });
    let record: Extended = read(original.clone());
    assert_eq!(record.extra.len(), 2);
    assert_eq!(serde_json::to_value(&record).unwrap(), original);
}

#[test]
fn a_value_that_an_enum_does_not_name_is_kept() {
    let colors: Vec<Color> = read(json!(["red", "+1", "ultraviolet"]));
    assert_eq!(colors, [Color::Red, Color::Plus1, Color::Unknown("ultraviolet".to_owned())]);
    assert_eq!(serde_json::to_value(&colors).unwrap(), json!(["red", "+1", "ultraviolet"]));
    assert_eq!(Color::from("red"), Color::Red);
}

#[test]
fn a_value_that_is_sent_must_be_one_that_github_takes() {
    assert_eq!(State::try_from("open").unwrap(), State::Open);
    let error = State::try_from("opened").unwrap_err().to_string();
    assert_eq!(error, "`opened` is none of `open`, `closed`");
    assert_eq!(State::KNOWN, [State::Open, State::Closed]);
    assert_eq!(State::Closed.to_string(), "closed");
}

#[test]
fn a_value_that_the_document_does_not_name_is_sent_by_name_only() {
    let archived = State::Other("archived".to_owned());
    assert_eq!((archived.as_str(), archived.to_string().as_str()), ("archived", "archived"));
    assert_eq!(
        serde_json::to_value([archived.clone(), State::Open]).unwrap(),
        json!(["archived", "open"])
    );
    assert!(State::try_from("archived").is_err() && "archived".parse::<State>().is_err());
    assert!(!State::KNOWN.contains(&archived));
}

#[test]
fn a_union_takes_the_variant_that_names_most_of_the_properties() {
    let label: Owner = read(json!({ "id": 1, "name": "label" }));
    assert!(matches!(label, Owner::Label(_)), "{label:?}");
    let tagged: Owner = read(json!({ "id": 1, "name": "something else" }));
    assert!(matches!(tagged, Owner::Extended(_)), "{tagged:?}");
    let text: Owner = read(json!("octocat"));
    assert!(matches!(text, Owner::String(_)), "{text:?}");
}

#[test]
fn a_union_that_nothing_fits_keeps_the_json() {
    let original = json!([{ "id": "not a number" }]);
    let other: Owner = read(original.clone());
    assert!(matches!(other, Owner::Other(_)));
    assert_eq!(serde_json::to_value(&other).unwrap(), original);
}

#[test]
fn a_union_that_is_sent_is_written_as_its_variant() {
    let both = [Either::Integer(1), Either::String("one".to_owned())];
    assert_eq!(serde_json::to_value(both).unwrap(), json!([1, "one"]));
}

proptest! {
    #[test]
    fn the_order_of_properties_does_not_matter(
        order in Just(vec![
            ("id", json!(7)),
            ("name", json!("bug")),
            ("colors", json!(["red"])),
            ("unknown", json!({ "a": 1 })),
            ("also_unknown", json!(null)),
        ]).prop_shuffle()
    ) {
        let body: Vec<String> =
            order.iter().map(|(name, value)| format!("{name:?}: {value}")).collect();
        let label: Label = serde_json::from_str(&format!("{{ {} }}", body.join(", "))).unwrap();
        prop_assert_eq!(label.id, 7);
        prop_assert_eq!(label.name.as_deref(), Some("bug"));
        prop_assert_eq!(label.colors, [Color::Red]);
    }
}

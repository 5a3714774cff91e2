//! The decoding rules, on types as codegen writes them.

#![allow(unreachable_pub, reason = "the macros write what is public in generated code")]

use proptest::prelude::*;
use serde::de::{Deserialize, IgnoredAny, MapAccess};
use serde::ser::SerializeMap;
use serde_json::{Value, json};

use super::{ReadRecord, WriteRecord, read_list, read_value, write_field, write_optional_field};
use crate::codec::{self, UnknownProperties};

/// [`ReadRecord::read_catch_all`] as generated records have it.
macro_rules! keep_unknown_properties {
    () => {
        fn read_catch_all<'de, A: MapAccess<'de>>(
            &mut self,
            name: String,
            from: &mut A,
        ) -> Result<(), A::Error> {
            self.unknown_properties.read(name, from)
        }
    };
}

#[derive(Clone, Debug, Default)]
pub struct Label {
    id: i64,
    name: Option<String>,
    colors: Vec<Color>,
    unknown_properties: codec::UnknownFields,
}

codec::impl_read! { Label Loose Event }
codec::impl_read_with_catch_all! { Extended }

impl WriteRecord for Label {
    fn write<M: SerializeMap>(&self, to: &mut M) -> Result<(), M::Error> {
        write_field(to, "id", &self.id)?;
        write_optional_field(to, "name", &self.name)?;
        write_field(to, "colors", &self.colors)?;
        self.unknown_properties.write(to)
    }
}

impl ReadRecord for Label {
    const FIELDS: &'static [&'static str] = &["id", "name", "colors"];
    const REQUIRED: &'static [u16] = &[0];

    fn read<'de, A: MapAccess<'de>>(&mut self, index: usize, from: &mut A) -> Result<(), A::Error> {
        match index {
            0 => read_value(from, &mut self.id),
            1 => read_value(from, &mut self.name),
            2 => read_list(from, &mut self.colors),
            _ => from.next_value::<IgnoredAny>().map(drop),
        }
    }

    keep_unknown_properties! {}
}

/// A record that requires nothing.
#[derive(Clone, Debug, Default)]
pub struct Loose {
    kind: Option<String>,
    note: Option<String>,
    unknown_properties: codec::UnknownFields,
}

impl WriteRecord for Loose {
    fn write<M: SerializeMap>(&self, to: &mut M) -> Result<(), M::Error> {
        write_optional_field(to, "kind", &self.kind)?;
        write_optional_field(to, "note", &self.note)?;
        self.unknown_properties.write(to)
    }
}

impl ReadRecord for Loose {
    const FIELDS: &'static [&'static str] = &["kind", "note"];
    const REQUIRED: &'static [u16] = &[];

    fn read<'de, A: MapAccess<'de>>(&mut self, index: usize, from: &mut A) -> Result<(), A::Error> {
        match index {
            0 => read_value(from, &mut self.kind),
            1 => read_value(from, &mut self.note),
            _ => from.next_value::<IgnoredAny>().map(drop),
        }
    }

    keep_unknown_properties! {}
}

/// A record with a union that another property decides.
#[derive(Clone, Debug, Default)]
pub struct Event {
    payload: Owner,
    of: Option<String>,
    unknown_properties: codec::UnknownFields,
}

impl WriteRecord for Event {
    fn write<M: SerializeMap>(&self, to: &mut M) -> Result<(), M::Error> {
        write_field(to, "payload", &self.payload)?;
        write_optional_field(to, "type", &self.of)?;
        self.unknown_properties.write(to)
    }
}

impl ReadRecord for Event {
    const FIELDS: &'static [&'static str] = &["payload", "type"];
    const REQUIRED: &'static [u16] = &[0];

    fn read<'de, A: MapAccess<'de>>(&mut self, index: usize, from: &mut A) -> Result<(), A::Error> {
        match index {
            0 => codec::undecided(from, &mut self.payload),
            1 => read_value(from, &mut self.of),
            _ => from.next_value::<IgnoredAny>().map(drop),
        }
    }

    keep_unknown_properties! {}

    fn finish(&mut self) {
        let of = codec::Discriminant::constant(&self.of);
        codec::DecideVariant::decide(&mut self.payload, of, &[("LabelEvent", 0), ("TextEvent", 4)]);
    }
}

/// A record that keeps properties which it does not name.
#[derive(Clone, Debug, Default)]
pub struct Extended {
    id: i64,
    extra: std::collections::BTreeMap<String, Value>,
}

impl WriteRecord for Extended {
    fn write<M: SerializeMap>(&self, to: &mut M) -> Result<(), M::Error> {
        write_field(to, "id", &self.id)?;
        self.extra.iter().try_for_each(|(name, value)| to.serialize_entry(name, value))
    }
}

impl ReadRecord for Extended {
    const FIELDS: &'static [&'static str] = &["id"];
    const REQUIRED: &'static [u16] = &[0];

    fn read<'de, A: MapAccess<'de>>(&mut self, index: usize, from: &mut A) -> Result<(), A::Error> {
        match index {
            0 => read_value(from, &mut self.id),
            _ => from.next_value::<IgnoredAny>().map(drop),
        }
    }

    fn read_catch_all<'de, A: MapAccess<'de>>(
        &mut self,
        name: String,
        from: &mut A,
    ) -> Result<(), A::Error> {
        self.extra.insert(name, from.next_value()?);
        Ok(())
    }
}

codec::open_enum! {
    /// A color that is read.
    Color { Red = "red", Plus1 = "+1", }
}

codec::closed_enum! {
    /// A state that is sent.
    State { Open = "open", Closed = "closed", }
}

codec::read_union! {
    /// A user or a team.
    Owner {
        Label(Box<Label>) Record { Label; 0; "kind": &["label"] };
        Extended(Extended) [as_extended into_extended &Extended] Record { Extended; 0; };
        Loose(Loose) [as_loose into_loose &Loose] Record { Loose; ; "kind": &["loose", "looser"] };
        Map(std::collections::BTreeMap<String, Value>) Map;
        String(String) [as_string into_string &str] String;
        Integer(i64) [as_integer into_integer i64 = *] Integer;
        Number(f64) Number;
        Array(Vec<Color>) [as_array into_array &[Color]] Array;
    }
}

codec::sent_union! {
    /// A number or a name.
    Either { Integer(i64), String(String), }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

#[test]
fn unknown_properties_are_kept_and_absent_ones_are_nothing() {
    let original = json!({ "url": { "deep": [1] }, "id": 7, "note": null });
    let label: Label = read(original.clone());
    assert_eq!((label.id, &label.name, label.colors.len()), (7, &None, 0));
    assert_eq!(label.unknown_properties()["url"], original["url"]);
    let again = serde_json::to_value(&label).unwrap();
    assert_eq!(again, json!({ "url": { "deep": [1] }, "id": 7, "note": null, "colors": [] }));
    let plain: Label = read(json!({ "id": 7 }));
    assert!(plain.unknown_properties().is_empty());
}

#[test]
fn an_item_of_a_list_that_is_null_is_left_out() {
    let label: Label = read(json!({ "id": 7, "colors": ["red", null, "+1"] }));
    assert_eq!(label.colors, [Color::Red, Color::Plus1]);
}

#[test]
fn an_empty_body_decodes_to_none_only_if_the_type_allows_it() {
    assert_eq!(Option::<Label>::deserialize(codec::EmptyBody).unwrap().map(|label| label.id), None);
    assert_eq!(Value::deserialize(codec::EmptyBody).unwrap(), Value::Null);
    <()>::deserialize(codec::EmptyBody).unwrap();
    assert!(Option::<Owner>::deserialize(codec::EmptyBody).unwrap().is_none());
    for error in [
        Owner::deserialize(codec::EmptyBody).map(drop).unwrap_err(),
        Label::deserialize(codec::EmptyBody).map(drop).unwrap_err(),
        Vec::<Label>::deserialize(codec::EmptyBody).map(drop).unwrap_err(),
        String::deserialize(codec::EmptyBody).map(drop).unwrap_err(),
    ] {
        assert!(!error.to_string().is_empty());
    }
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
fn properties_without_a_field_are_kept_where_the_description_allows_them() {
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
    assert_eq!(error, "`opened` is not one of `open`, `closed`");
    assert_eq!(State::KNOWN, [State::Open, State::Closed]);
    assert_eq!(State::Closed.to_string(), "closed");
}

#[test]
fn an_enum_and_text_are_compared_in_both_directions() {
    let (red, text, blue) = (Color::Red, String::from("red"), String::from("blue"));
    let (by_ref, text_by_ref) = (&red, &text);
    for equal in [red == "red", red == *"red", red == text, red == text_by_ref, by_ref == "red"] {
        assert!(equal);
    }
    for equal in ["red" == red, *"red" == red, text == red, State::Open == "open"] {
        assert!(equal);
    }
    assert!(red == std::borrow::Cow::Borrowed("red"));
    for equal in [red == "Red", "blue" == red, red == blue, "closed" == State::Open] {
        assert!(!equal);
    }
    let colors = [Color::Plus1, Color::from("blue")];
    assert!(colors.iter().any(|color| color == "blue"));
    assert_eq!(colors, ["+1", "blue"]);
}

#[test]
fn enums_are_equal_if_their_texts_are() {
    use std::collections::HashSet;

    let unknown = Color::Unknown("red".to_owned());
    assert_eq!(unknown, Color::Red);
    assert_ne!(Color::Unknown("blue".to_owned()), Color::Red);
    let colors = HashSet::from([unknown, Color::Red, Color::Plus1]);
    assert_eq!(colors.len(), 2);
    assert_eq!(State::Other("open".to_owned()), State::Open);
}

#[test]
fn records_and_unions_are_equal_if_their_json_is() {
    let label = read::<Label>;
    let original = json!({ "id": 7, "name": "bug", "colors": ["red"], "new": { "a": 1 } });
    assert_eq!(label(original.clone()), label(original.clone()));
    // Absent lists are empty, and the order of properties has no meaning.
    assert_eq!(label(json!({ "id": 7 })), label(json!({ "colors": [], "name": null, "id": 7 })));
    for (property, value) in
        [("id", json!(8)), ("name", json!(null)), ("colors", json!([])), ("new", json!({}))]
    {
        let mut other = original.clone();
        other[property] = value;
        assert_ne!(label(original.clone()), label(other), "{property}");
    }
    assert_eq!(Some(vec![label(original.clone())]), Some(vec![label(original.clone())]));
    assert_eq!(read::<Owner>(original.clone()), read::<Owner>(original));
    assert_ne!(read::<Owner>(json!("octocat")), read::<Owner>(json!(7)));
    assert_eq!(Either::Integer(1), Either::Integer(1));
    assert_ne!(Either::Integer(1), Either::String("1".to_owned()));
}

#[test]
fn a_union_returns_the_value_of_a_variant() {
    let text: Owner = read(json!("octocat"));
    let by_ref: Option<&str> = text.as_string();
    assert_eq!(by_ref, Some("octocat"));
    assert!(text.as_loose().is_none());
    assert_eq!(text.into_string(), Ok("octocat".to_owned()));
    let number: Owner = read(json!(7));
    let copied: Option<i64> = number.as_integer();
    assert_eq!(copied, Some(7));
    let list: Owner = read(json!(["red", "+1"]));
    let items: Option<&[Color]> = list.as_array();
    assert_eq!(items, Some(&[Color::Red, Color::Plus1][..]));
    let loose: Owner = read(json!({ "kind": "loose" }));
    assert_eq!(loose.as_loose().and_then(|loose| loose.kind.as_deref()), Some("loose"));
    assert!(loose.as_extended().is_none() && loose.as_string().is_none());
}

#[test]
fn a_union_that_is_another_variant_is_returned_as_the_error() {
    let original = json!({ "kind": "loose", "note": "kept", "unknown": [1] });
    let union = read::<Owner>(original.clone()).into_extended().unwrap_err();
    let union = union.into_string().unwrap_err();
    assert_eq!(serde_json::to_value(union.into_loose().unwrap()).unwrap(), original);
    // Raw JSON is returned as well.
    let raw = read::<Owner>(json!(true)).into_loose().unwrap_err();
    assert_eq!(raw, read::<Owner>(json!(true)));
}

/// A request record with properties that can be invalid.
#[derive(Clone, Default)]
struct Search {
    text: String,
    state: Option<State>,
    page: Option<i64>,
    invalid_values: codec::InvalidValues,
}

impl Search {
    fn new(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    fn state(mut self, value: &str) -> Self {
        self.state = self.invalid_values.check("state", State::try_from(value));
        self
    }

    fn page(mut self, value: &str) -> Self {
        self.page = self.invalid_values.check("page", value.parse::<i64>());
        self
    }
}

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.invalid_values.debug(
            f.debug_struct("Search")
                .field("text", &self.text)
                .field("state", &self.state)
                .field("page", &self.page),
        )
    }
}

impl WriteRecord for Search {
    fn write<M: SerializeMap>(&self, to: &mut M) -> Result<(), M::Error> {
        write_field(to, "text", &self.text)?;
        write_optional_field(to, "state", &self.state)?;
        write_optional_field(to, "page", &self.page)?;
        self.invalid_values.report()
    }
}

codec::impl_write! { Search }

/// Why a record cannot be serialized.
fn reason(search: &Search) -> String {
    serde_json::to_vec(search).unwrap_err().to_string()
}

#[test]
fn a_request_record_with_an_invalid_value_cannot_be_serialized() {
    let valid = Search::new("t").state("open").page("7");
    let json = json!({ "text": "t", "state": "open", "page": 7 });
    assert_eq!(serde_json::to_value(&valid).unwrap(), json);
    assert_eq!(valid, valid.clone());
    // The first invalid value is the reason.
    let invalid = Search::new("t").state("opened").page("seven");
    assert_eq!(reason(&invalid), "state: `opened` is not one of `open`, `closed`");
    assert_ne!(invalid, valid);
    let placeholder: State = codec::NamedStrings::placeholder();
    assert_eq!(placeholder, "");
}

#[test]
fn a_valid_value_replaces_an_invalid_one_of_the_same_property() {
    let invalid = Search::new("t").state("shut").page("seven");
    let corrected = invalid.clone().state("open");
    // The other property is still invalid.
    assert!(reason(&corrected).starts_with("page: "), "{}", reason(&corrected));
    let corrected = corrected.page("7");
    assert_eq!(serde_json::to_value(&corrected).unwrap()["state"], "open");
    assert_eq!(corrected, Search::new("t").state("open").page("7"));
    // Another invalid value replaces the reason.
    let again = Search::new("t").state("shut").state("opened");
    assert_eq!(reason(&again), "state: `opened` is not one of `open`, `closed`");
    assert!(serde_json::to_value(again.state("closed")).is_ok());
}

#[test]
fn a_request_record_with_an_invalid_value_equals_its_clone() {
    let invalid = Search::new("t").state("shut");
    assert_eq!(invalid, invalid.clone());
    assert_eq!(invalid, Search::new("t").state("shut"));
    for other in [
        Search::new("t"),
        Search::new("t").state("closed"),
        Search::new("t").state("opened"),
        Search::new("u").state("shut"),
        Search::new("t").state("shut").page("7"),
        Search::new("t").state("shut").page("seven"),
    ] {
        assert_ne!(invalid, other);
        assert_ne!(other, invalid);
    }
}

#[test]
fn the_debug_output_of_a_request_record_has_its_invalid_values_only_if_there_are_any() {
    let shown = format!("{:?}", Search::new("t").page("7"));
    assert_eq!(shown, r#"Search { text: "t", state: None, page: Some(7) }"#);
    let shown = format!("{:?}", Search::new("t").state("shut"));
    let expected = r#"Search { text: "t", state: None, page: None, invalid_values: [("state", "`shut` is not one of `open`, `closed`")] }"#;
    assert_eq!(shown, expected);
}

/// The name of the variant that a value is read as.
fn variant(value: Value) -> String {
    let owner: Owner = read(value);
    let shown = format!("{owner:?}");
    shown.split('(').next().unwrap_or_default().to_owned()
}

#[test]
fn a_constant_decides_the_variant() {
    for (value, expected) in [
        (json!({ "id": 1, "kind": "label", "note": "of the other" }), "Label"),
        (json!({ "kind": "loose" }), "Loose"),
        (json!({ "id": 1, "kind": "looser", "name": "of the other" }), "Loose"),
        // The value of the constant's variant does not decode, so the value is no other record.
        (json!({ "kind": "label" }), "Map"),
        (json!({ "kind": "loose", "note": 7 }), "Map"),
        // Nothing has this constant, so that it is of a variant that has none.
        (json!({ "id": 1, "kind": "exploded" }), "Extended"),
        (json!({ "kind": "exploded" }), "Map"),
    ] {
        assert_eq!(variant(value.clone()), expected, "{value}");
    }
}

#[test]
fn a_variant_without_a_constant_needs_its_required_fields() {
    for (value, expected) in [
        (json!({ "id": 1, "name": "bug" }), "Label"),
        (json!({ "id": 1 }), "Label"),
        (json!({ "id": "one" }), "Map"),
        (json!({ "note": "nothing is required" }), "Loose"),
        (json!({ "name": "of a label, which has an id" }), "Map"),
        (json!({ "something": "else" }), "Map"),
        (json!({}), "Map"),
        (json!("octocat"), "String"),
        (json!(7), "Integer"),
        (json!(7.5), "Number"),
        // It would be another number as a float.
        (json!(u64::MAX), "Other"),
        (json!(true), "Other"),
        (json!(null), "Other"),
        (json!([1]), "Other"),
    ] {
        assert_eq!(variant(value.clone()), expected, "{value}");
    }
}

#[test]
fn another_property_decides_wherever_it_stands() {
    let payload = json!({ "id": 1, "name": "bug" });
    for (body, expected) in [
        (json!({ "type": "LabelEvent", "payload": payload }), "Label"),
        (json!({ "payload": payload, "type": "LabelEvent" }), "Label"),
        (json!({ "payload": payload }), "Label"),
        // It does not fit the value of the other property, or no variant has that constant.
        (json!({ "type": "TextEvent", "payload": payload }), "Other"),
        (json!({ "type": "NewEvent", "payload": payload }), "Other"),
        (json!({ "type": "TextEvent", "payload": "text" }), "String"),
    ] {
        let event: Event = serde_json::from_str(&body.to_string()).unwrap();
        let shown = format!("{:?}", event.payload);
        assert!(shown.starts_with(expected), "{body}: {shown}");
        assert_eq!(serde_json::to_value(&event).unwrap()["payload"]["id"], body["payload"]["id"]);
    }
}

#[test]
fn a_value_that_the_description_does_not_name_is_sent_by_name_only() {
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
fn a_union_without_a_matching_variant_keeps_the_json() {
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

/// Any JSON, with the names and the constants of [`Owner`]'s variants among others.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof!["label", "loose", "looser", "exploded", "[a-z]{0,3}"].prop_map(Value::from),
    ];
    let name = prop_oneof!["id", "name", "kind", "note", "colors", "[a-z]{1,3}"];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Whether all of `before` is in `after`; `null` and nothing are the same.
fn is_kept(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => before.iter().all(|(name, value)| {
            after.get(name).map_or(value.is_null(), |after| is_kept(value, after))
        }),
        (Value::Null, Value::Array(after)) => after.is_empty(),
        (Value::Array(before), Value::Array(after)) if before.len() != after.len() => {
            let given = before.iter().filter(|value| !value.is_null());
            given.clone().count() == after.len() && given.zip(after).all(|(a, b)| is_kept(a, b))
        }
        (Value::Array(before), Value::Array(after)) => {
            before.iter().zip(after).all(|(a, b)| is_kept(a, b))
        }
        (before, after) => before == after,
    }
}

proptest! {
    #[test]
    fn a_union_loses_nothing(value in any_value()) {
        let owner: Owner = read(value.clone());
        let again = serde_json::to_value(&owner).unwrap();
        prop_assert!(is_kept(&value, &again), "{value} {owner:?} {again}");
    }

    #[test]
    fn unknown_properties_do_not_change_the_variant(
        value in any_value(),
        added in prop::collection::btree_map("x_[a-z]{1,4}", any_value(), 1..4),
    ) {
        let before = variant(value.clone());
        let mut more = value;
        if let Some(object) = more.as_object_mut().filter(|object| !object.is_empty()) {
            object.extend(added);
            prop_assert_eq!(variant(more), before);
        }
    }

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

//! Stage 7: equal types become one.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::names;
use octowire_codegen::dedup_types::dedup;
use octowire_codegen::hints::DocumentedValues;
use octowire_codegen::model::{Definition, EnumValue, Field, Kind, Type, Variant};

type Types = BTreeMap<String, Definition>;

fn types(kinds: impl IntoIterator<Item = (&'static str, Kind)>) -> Types {
    let definition = |(name, kind): (&str, Kind)| {
        (name.to_owned(), Definition { doc: format!("About {name}."), kind })
    };
    kinds.into_iter().map(definition).collect()
}

fn values(values: &[&str]) -> Kind {
    let value = |name: &&str| EnumValue { ident: name.to_uppercase(), name: (*name).to_owned() };
    Kind::Enum(values.iter().map(value).collect())
}

fn record(fields: &[(&str, Type)]) -> Kind {
    let field = |(order, (name, of)): (usize, &(&str, Type))| Field {
        doc: String::new(),
        ident: (*name).to_owned(),
        name: (*name).to_owned(),
        ty: of.clone(),
        required: true,
        nullable: false,
        catch_all: false,
        order,
        discriminator: None,
        values: DocumentedValues::default(),
    };
    Kind::Struct(fields.iter().enumerate().map(field).collect())
}

fn named(name: &str) -> Type {
    Type::Named(name.to_owned())
}

fn alias(name: &str) -> Kind {
    Kind::Alias(named(name))
}

fn folded(mut types: Types, read: BTreeSet<String>) -> Types {
    dedup(&mut types, &read);
    types
}

fn all_read(types: Types) -> Types {
    let read = types.keys().cloned().collect();
    folded(types, read)
}

#[test]
fn an_equal_enum_becomes_an_alias_of_the_shortest_name() {
    let done = all_read(types([
        ("IssueState", values(&["open", "closed"])),
        ("State", values(&["open", "closed"])),
        ("Milestone", values(&["open", "closed"])),
    ]));
    assert_eq!(done["State"].kind, values(&["open", "closed"]));
    assert_eq!(done["IssueState"].kind, alias("State"));
    assert_eq!(done["Milestone"].kind, alias("State"));
}

#[test]
fn every_name_and_its_documentation_stay() {
    let before = types([("A", values(&["x"])), ("B", values(&["x"])), ("C", values(&["y"]))]);
    let done = all_read(before.clone());
    assert!(before.keys().eq(done.keys()));
    assert!(before.iter().all(|(name, definition)| done[name].doc == definition.doc));
}

#[test]
fn of_names_of_equal_length_the_first_is_kept() {
    let done = all_read(types([("B", values(&["x"])), ("A", values(&["x"]))]));
    assert_eq!((&done["A"].kind, &done["B"].kind), (&values(&["x"]), &alias("A")));
}

#[test]
fn types_that_hold_equal_types_are_equal() {
    let done = all_read(types([
        ("A", record(&[("s", Type::Vec(Box::new(named("AState"))))])),
        ("AState", values(&["x"])),
        ("Bb", record(&[("s", Type::Vec(Box::new(named("BbState"))))])),
        ("BbState", values(&["x"])),
        ("Ccc", record(&[("a", named("Bb"))])),
        ("Dddd", record(&[("a", named("A"))])),
    ]));
    assert_eq!(done["BbState"].kind, alias("AState"));
    assert_eq!(done["Bb"].kind, alias("A"));
    assert_eq!(done["Dddd"].kind, alias("Ccc"));
}

#[test]
fn unions_fold_as_well() {
    let union = |of: &str| {
        Kind::Union(vec![Variant { ident: "V".to_owned(), ty: Type::Boxed(Box::new(named(of))) }])
    };
    let done = all_read(types([
        ("U", union("E")),
        ("Uu", union("Ee")),
        ("E", values(&["x"])),
        ("Ee", values(&["x"])),
    ]));
    assert_eq!(done["Uu"].kind, alias("U"));
}

#[test]
fn no_alias_leads_to_an_alias() {
    // `Zz` is folded into `Yy` only once `Yy`'s and its own parts are equal,
    // while `Yy` itself is equal to `X` from the start.
    let done = all_read(types([
        ("X", record(&[("e", named("E"))])),
        ("Yy", record(&[("e", named("Ee"))])),
        ("Zzz", record(&[("e", named("Ee"))])),
        ("E", values(&["x"])),
        ("Ee", values(&["x"])),
    ]));
    for definition in done.values() {
        if let Kind::Alias(Type::Named(name)) = &definition.kind {
            assert!(!matches!(done[name].kind, Kind::Alias(_)), "{name}");
        }
    }
    assert_eq!((&done["Yy"].kind, &done["Zzz"].kind), (&alias("X"), &alias("X")));
}

#[test]
fn response_and_request_schemas_are_not_folded_together() {
    let given = types([("A", values(&["x"])), ("B", values(&["x"])), ("C", values(&["x"]))]);
    let done = folded(given, names(&["B"]));
    assert_eq!(done["B"].kind, values(&["x"]));
    assert_eq!(done["C"].kind, alias("A"));
}

#[test]
fn types_that_differ_only_in_documentation_are_folded() {
    let one = |change: fn(&mut Field)| {
        let mut kind = record(&[("a", Type::path("i64"))]);
        if let Kind::Struct(fields) = &mut kind {
            change(&mut fields[0]);
        }
        kind
    };
    let done = all_read(types([
        ("A", one(|_| ())),
        ("Documented", one(|field| field.doc = "Words.".to_owned())),
        ("Renamed", one(|field| field.name = "b".to_owned())),
        ("Optional", one(|field| field.required = false)),
        ("Nullable", one(|field| field.nullable = true)),
        ("Other", one(|field| field.ty = Type::path("String"))),
    ]));
    assert_eq!(done["Documented"].kind, alias("A"));
    for name in ["Renamed", "Optional", "Nullable", "Other"] {
        assert!(matches!(done[name].kind, Kind::Struct(_)), "{name}");
    }
}

#[test]
fn values_in_another_order_are_another_enum() {
    let done = all_read(types([("A", values(&["x", "y"])), ("B", values(&["y", "x"]))]));
    assert_eq!(done["B"].kind, values(&["y", "x"]));
}

#[test]
fn aliases_are_not_folded() {
    let done = all_read(types([("A", alias("B")), ("B", values(&["x"])), ("C", alias("B"))]));
    assert_eq!((&done["A"].kind, &done["C"].kind), (&alias("B"), &alias("B")));
}

#[test]
fn types_that_hold_themselves_stay_as_they_are() {
    let node = |name: &str| record(&[("next", Type::Boxed(Box::new(named(name))))]);
    let done = all_read(types([("A", node("A")), ("B", node("B"))]));
    assert_eq!((&done["A"].kind, &done["B"].kind), (&node("A"), &node("B")));
}

#[test]
fn folding_twice_changes_nothing_more() {
    let given = types([
        ("A", record(&[("s", named("AState"))])),
        ("AState", values(&["x"])),
        ("Bb", record(&[("s", named("BbState"))])),
        ("BbState", values(&["x"])),
    ]);
    let once = all_read(given);
    assert_eq!(all_read(once.clone()), once);
}

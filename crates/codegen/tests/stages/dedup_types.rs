//! Stage 7: equal types become one.

use std::collections::{BTreeMap, BTreeSet};
use std::slice::from_ref;

use crate::support::names;
use octowire_codegen::dedup_types::dedup;
use octowire_codegen::hints::DocumentedValues;
use octowire_codegen::model::{Definition, EnumValue, Field, Kind, Type, Variant};
use octowire_codegen::type_names::TypeName;

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

fn folded(types: Types, read: BTreeSet<String>) -> Types {
    named_as(types, read, &[]).0
}

/// Folds the types with the names of an overlay; returns the names of the response types as well.
fn named_as(
    mut types: Types,
    mut read: BTreeSet<String>,
    names: &[TypeName],
) -> (Types, BTreeSet<String>) {
    dedup(&mut types, &mut read, names);
    (types, read)
}

/// A name for the enums of responses with these values.
fn name_of_values(name: &str, values: &[&str]) -> TypeName {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    TypeName { name: name.to_owned(), values, request: false, of: Vec::new() }
}

/// A name for the types that are equal to another one.
fn name_of_type(name: &str, of: &str) -> TypeName {
    name_of_types(name, &[of])
}

/// A name for the types that are equal to these, of which a build has some.
fn name_of_types(name: &str, of: &[&str]) -> TypeName {
    let of = of.iter().map(|of| (*of).to_owned()).collect();
    TypeName { name: name.to_owned(), values: Vec::new(), request: false, of }
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

#[test]
fn the_overlay_names_all_enums_with_the_same_values() {
    let given = types([
        ("CampaignState", values(&["closed", "open"])),
        ("PullState", values(&["open", "closed"])),
        ("Pull", record(&[("state", named("PullState"))])),
        ("Campaign", record(&[("state", named("CampaignState"))])),
        ("PullStateInput", values(&["open", "closed"])),
        ("Longer", values(&["open", "closed", "merged"])),
    ]);
    let read = names(&["CampaignState", "PullState", "Pull", "Campaign", "Longer"]);
    let entry = name_of_values("IssueState", &["open", "closed"]);
    let (done, read) = named_as(given.clone(), read, from_ref(&entry));
    // The order is that of the overlay, whichever of the types a build has.
    assert_eq!(done["IssueState"].kind, values(&["open", "closed"]));
    assert!(read.contains("IssueState"));
    for name in ["CampaignState", "PullState"] {
        assert_eq!(done[name].kind, alias("IssueState"), "{name}");
    }
    // So records that differed only in these are equal.
    assert_eq!((&done["Pull"].kind, &done["Campaign"].kind), (&given["Pull"].kind, &alias("Pull")));
    assert_eq!(done["PullStateInput"].kind, given["PullStateInput"].kind);
    assert_eq!(done["Longer"].kind, given["Longer"].kind);
    // A request has a name of its own.
    let request = TypeName { name: "IssueStateInput".to_owned(), request: true, ..entry };
    let (done, read) = named_as(given, names(&[]), &[request]);
    assert_eq!(done["PullStateInput"].kind, alias("IssueStateInput"));
    assert!(!read.contains("IssueStateInput"));
}

#[test]
fn the_overlay_names_a_type_by_one_of_its_equals() {
    let owner = || record(&[("id", Type::path("i64"))]);
    let given = types([
        ("Aaa", owner()),
        ("Bbbb", owner()),
        ("Ccccc", record(&[("owner", named("Bbbb"))])),
        ("Dddddd", record(&[("owner", named("Aaa"))])),
    ]);
    // A new name, and the name of one of the types.
    for name in ["Owner", "Bbbb"] {
        for of in ["Aaa", "Bbbb"] {
            let (done, read) =
                named_as(given.clone(), names(&["Aaa", "Bbbb"]), &[name_of_type(name, of)]);
            assert_eq!(done[name].kind, owner(), "{name} of {of}");
            assert!(read.contains(name));
            let others = ["Aaa", "Bbbb"].into_iter().filter(|other| *other != name);
            others.for_each(|other| assert_eq!(done[other].kind, alias(name), "{other}"));
            assert_eq!(done["Dddddd"].kind, alias("Ccccc"));
        }
    }
    // A build without the type does not have its name.
    let (done, _) = named_as(given.clone(), names(&[]), &[name_of_type("Owner", "Eeeee")]);
    assert!(!done.contains_key("Owner"));
}

#[test]
fn a_build_with_any_of_the_equal_types_has_the_name_of_the_overlay() {
    let owner = || record(&[("id", Type::path("i64"))]);
    let entry = name_of_types("Owner", &["Aaa", "Bbbb", "Ccccc"]);
    for present in [&["Aaa"][..], &["Bbbb"], &["Ccccc", "Bbbb"], &["Aaa", "Bbbb", "Ccccc"]] {
        let given = types(present.iter().map(|name| (*name, owner())));
        let (done, read) = named_as(given, names(present), from_ref(&entry));
        assert_eq!(done["Owner"].kind, owner(), "{present:?}");
        assert!(read.contains("Owner"));
        for name in present {
            assert_eq!(done[*name].kind, alias("Owner"), "{present:?}");
        }
    }
}

#[test]
fn a_type_that_nothing_equals_has_the_name_of_the_overlay_as_well() {
    let given = types([("A", values(&["x"])), ("B", record(&[("a", named("A"))]))]);
    let entries = [name_of_values("X", &["x"]), name_of_type("Record", "B")];
    let (done, _) = named_as(given, names(&["A", "B"]), &entries);
    assert_eq!((&done["A"].kind, &done["B"].kind), (&alias("X"), &alias("Record")));
}

#[test]
fn a_name_of_the_overlay_that_another_type_has_is_not_used() {
    let given = types([("A", values(&["x"])), ("B", values(&["x"])), ("C", record(&[]))]);
    let read = || names(&["A", "B", "C"]);
    let unnamed = folded(given.clone(), read());
    for entry in [name_of_values("C", &["x"]), name_of_type("A", "C"), name_of_type("C", "A")] {
        let (done, _) = named_as(given.clone(), read(), from_ref(&entry));
        assert_eq!(done, unnamed, "{entry:?}");
    }
}

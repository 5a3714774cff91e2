//! Part of stage `lower`: structurally equal types become one.
//!
//! GitHub's description contains the same inline enum or object hundreds of times. One definition stays, and
//! every other name becomes an alias of it. So the names of a type depend neither on the enabled features nor
//! on types that happen to be equal in one version of the description. This is why the stage works on the
//! generated types instead of the description.
//!
//! The overlay names the definitions that many places share ([`type_names`](crate::type_names)). Such a name
//! is one more name of the type: an alias of it, or a new one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::hints::DocumentedValues;
use crate::model::{Definition, Kind, Type};
use crate::type_names::TypeName;

/// The earlier name under which a folded type's definition is found.
type Folded = BTreeMap<String, String>;

/// Turns every repeated definition into an alias of the first, innermost types first, until no more are
/// equal. `read` distinguishes tolerant types from exact ones, which are never folded into one another.
///
/// The overlay's `names` are those of definitions; new ones are added to `read`. An entry has no effect if the
/// description has no such type, or has another one with its name.
pub fn dedup(
    types: &mut BTreeMap<String, Definition>,
    read: &mut BTreeSet<String>,
    names: &[TypeName],
) {
    let mut folded = Folded::new();
    for entry in names {
        name_enums(types, read, entry, &mut folded);
    }
    loop {
        let before = folded.len();
        repeated(types, read, &mut folded);
        if folded.len() == before {
            break;
        }
    }
    for entry in names {
        name_equal(types, read, entry, &mut folded);
    }
    for (name, first) in folded {
        if let Some(definition) = types.get_mut(&name) {
            definition.kind = Kind::Alias(Type::Named(first));
        }
    }
}

/// Folds all enums with the values of an entry into one definition with its name.
fn name_enums(
    types: &mut BTreeMap<String, Definition>,
    read: &mut BTreeSet<String>,
    entry: &TypeName,
    folded: &mut Folded,
) {
    let name = &entry.name;
    let mut equal = BTreeMap::new();
    for (other, definition) in types.iter() {
        if let Some(values) = entry.matching(&definition.kind, read.contains(other)) {
            equal.insert(other.clone(), values);
        }
    }
    let Some((_, values)) = equal.first_key_value() else { return };
    let kind = Kind::Enum(values.clone());
    let doc = match types.get(name) {
        Some(_) if !equal.contains_key(name) => return,
        Some(definition) => definition.doc.clone(),
        None => String::new(),
    };
    types.insert(name.clone(), Definition { doc, kind });
    if !entry.request {
        read.insert(name.clone());
    }
    let others = equal.into_keys().filter(|other| other != name);
    folded.extend(others.map(|other| (other, name.clone())));
}

/// Makes the name of an entry that of the definition which the entry describes by its names. Of these, the first that
/// the build has decides.
fn name_equal(
    types: &mut BTreeMap<String, Definition>,
    read: &mut BTreeSet<String>,
    entry: &TypeName,
    folded: &mut Folded,
) {
    let name = &entry.name;
    let Some(of) = entry.of.iter().find(|of| types.contains_key(*of)) else { return };
    let first = folded.get(of).unwrap_or(of).clone();
    let Some(Definition { doc, kind }) = types.get(&first).cloned() else { return };
    if matches!(kind, Kind::Alias(_)) || first == *name {
        return;
    }
    let doc = match types.get(name) {
        Some(_) if folded.get(name) != Some(&first) => return,
        Some(own) => own.doc.clone(),
        None => doc,
    };
    types.insert(name.clone(), Definition { doc, kind });
    if read.contains(&first) {
        read.insert(name.clone());
    }
    folded.remove(name);
    for target in folded.values_mut().filter(|target| **target == first) {
        target.clone_from(name);
    }
    folded.insert(first, name.clone());
}

/// Finds definitions that are equal after the names in them are replaced according to `folded`, and adds
/// them.
fn repeated(types: &BTreeMap<String, Definition>, read: &BTreeSet<String>, folded: &mut Folded) {
    let mut seen: HashMap<(bool, Kind), &str> = HashMap::new();
    // The shortest name is the most general one.
    let mut rest: Vec<(&String, &Definition)> =
        types.iter().filter(|(name, _)| !folded.contains_key(*name)).collect();
    rest.sort_by_key(|(name, _)| (name.len(), *name));
    let mut found = Vec::new();
    for (name, definition) in rest {
        if matches!(definition.kind, Kind::Alias(_)) {
            continue;
        }
        let mut definition = definition.clone();
        definition.parts_mut().into_iter().for_each(|part| rename(folded, part));
        match seen.get(&(read.contains(name), without_docs(definition.kind.clone()))) {
            Some(first) => found.push((name.clone(), (*first).to_owned())),
            None => {
                seen.insert((read.contains(name), without_docs(definition.kind)), name);
            }
        }
    }
    // Types that were folded into a type that is now folded follow it.
    let newly: Folded = found.into_iter().collect();
    for first in folded.values_mut() {
        if let Some(earlier) = newly.get(first) {
            first.clone_from(earlier);
        }
    }
    folded.extend(newly);
}

fn without_docs(mut kind: Kind) -> Kind {
    if let Kind::Struct(fields) = &mut kind {
        for field in fields {
            field.doc.clear();
            field.values = DocumentedValues::default();
        }
    }
    kind
}

fn rename(folded: &Folded, of: &mut Type) {
    match of {
        Type::Named(name) => {
            if let Some(first) = folded.get(name) {
                name.clone_from(first);
            }
        }
        Type::Path(_) => {}
        Type::Option(of) | Type::Vec(of) | Type::Map(of) | Type::Boxed(of) => rename(folded, of),
    }
}

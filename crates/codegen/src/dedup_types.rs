//! Part of stage `lower`: structurally equal types become one.
//!
//! GitHub's description contains the same inline enum or object hundreds of times. One definition stays, and
//! every other name becomes an alias of it. So the names of a type depend neither on the enabled features nor
//! on types that happen to be equal in one version of the description. This is why the stage works on the
//! generated types instead of the description.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::hints::DocumentedValues;
use crate::model::{Definition, Kind, Type};

/// The earlier name under which a folded type's definition is found.
type Folded = BTreeMap<String, String>;

/// Turns every repeated definition into an alias of the first, innermost types first, until no more are
/// equal. `read` distinguishes tolerant types from exact ones, which are never folded into one another.
pub fn dedup(types: &mut BTreeMap<String, Definition>, read: &BTreeSet<String>) {
    let mut folded = Folded::new();
    loop {
        let before = folded.len();
        repeated(types, read, &mut folded);
        if folded.len() == before {
            break;
        }
    }
    for (name, first) in folded {
        if let Some(definition) = types.get_mut(&name) {
            definition.kind = Kind::Alias(Type::Named(first));
        }
    }
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

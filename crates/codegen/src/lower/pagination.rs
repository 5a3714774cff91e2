//! The list that the pages of an operation consist of.

use std::collections::BTreeMap;

use crate::model::{Definition, Field, Kind, Signature, Type};
use crate::names::squashed;
use crate::operations::{Operation, Output};

/// The content of `stream()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pagination {
    /// The operation has no pages.
    None,
    /// Pages whose list the description does not name.
    Pages,
    /// The page is a list, or has one in a field.
    List {
        /// The type of an item.
        item: Type,
        /// The field with the list; `None` if the page is the list.
        field: Option<ListField>,
        /// Whether there might be no page at all.
        optional: bool,
    },
}

/// The field of a page that contains its list, and the fields beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListField {
    /// The Rust identifier.
    pub ident: String,
    /// The name in JSON.
    pub name: String,
    /// The field with the number of items of all pages: the number `total_count`.
    pub total: Option<String>,
    /// The field that states whether results are missing: the boolean `incomplete_results`.
    pub incomplete_results: Option<String>,
}

pub(super) fn pagination(
    operation: &Operation,
    signature: &Signature,
    types: &BTreeMap<String, Definition>,
) -> Pagination {
    let pages = operation.parameters.iter().any(|parameter| {
        parameter.location == "query"
            && matches!(
                parameter.name.as_str(),
                "page" | "per_page" | "cursor" | "after" | "before"
            )
    });
    let is_json = matches!(operation.output, Output::Json { .. });
    let Some(output) = signature.output.as_ref().filter(|_| pages && is_json) else {
        return Pagination::None;
    };
    let optional = matches!(output, Type::Option(_));
    let list = |item: &Type, field: Option<ListField>| Pagination::List {
        item: item.clone(),
        field,
        optional,
    };
    let fields = match resolve(output.unwrapped(), types) {
        ResolvedType::List(item) => return list(item, None),
        ResolvedType::Fields(fields) => fields,
        ResolvedType::Other => return Pagination::Pages,
    };
    let lists: Vec<(&Field, &Type)> = fields
        .iter()
        .filter_map(|field| match &field.ty {
            Type::Vec(of) => Some((field, &**of)),
            _ => None,
        })
        .collect();
    let beside = |name: &str, paths: &[&str]| {
        let field = fields.iter().find(|field| field.name == name)?;
        let fits = matches!(field.ty.unwrapped(), Type::Path(path) if paths.contains(&&**path));
        fits.then(|| field.ident.clone())
    };
    let in_field = |field: &Field| ListField {
        ident: field.ident.clone(),
        name: field.name.clone(),
        total: beside("total_count", &["i64", "f64"]),
        incomplete_results: beside("incomplete_results", &["bool"]),
    };
    // The list that the overlay names, or the only one; of several, the one after which the path is named.
    let last = operation.path.rsplit('/').find(|segment| !segment.starts_with('{'));
    let wanted = operation.items.as_deref().or(last).map(squashed).unwrap_or_default();
    let is_wanted = |field: &Field| field.ident == "items" || squashed(&field.ident) == wanted;
    match (lists.iter().find(|(field, _)| is_wanted(field)), lists.as_slice()) {
        (Some((field, item)), _) | (None, [(field, item)]) => list(item, Some(in_field(field))),
        _ => Pagination::Pages,
    }
}

enum ResolvedType<'a> {
    List(&'a Type),
    Fields(&'a [Field]),
    Other,
}

fn resolve<'a>(of: &'a Type, types: &'a BTreeMap<String, Definition>) -> ResolvedType<'a> {
    match of {
        Type::Vec(of) => ResolvedType::List(of),
        Type::Boxed(of) => resolve(of, types),
        Type::Named(name) => match types.get(name).map(|definition| &definition.kind) {
            Some(Kind::Alias(of)) => resolve(of, types),
            Some(Kind::Struct(fields)) => ResolvedType::Fields(fields),
            _ => ResolvedType::Other,
        },
        _ => ResolvedType::Other,
    }
}

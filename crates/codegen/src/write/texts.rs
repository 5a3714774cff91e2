//! The texts of the generated documentation that the description does not contain: how a call is made, which
//! values a setter takes, and what a type or a field is.
//!
//! An example is a code span. rustdoc compiles each Rust block as a test of its own, which would be one for each
//! operation, and shows a block that it does not compile with a warning.

use std::collections::BTreeMap;

use super::calls::ident_or_empty;
use crate::lower::{ApiModel, Body, CallModel, Pagination};
use crate::model::{Definition, Field, Kind, Type, resolved};
use crate::names::{pascal, snake};
use crate::operations::MissingBody;

/// Maximum number of values or properties that a text lists.
const MAX_LISTED: usize = 12;

/// The shortest call: `github.issues().get().owner(owner).repo(repo).issue_number(issue_number).send().await?`
pub(super) fn example(call: &CallModel) -> String {
    let operation = &call.operation;
    let mut text = format!("github{}", path(call));
    let mut set =
        |setter: &str| text.push_str(&format!(".{setter}({})", setter.trim_end_matches('_')));
    for (parameter, model) in operation.parameters.iter().zip(&call.parameters) {
        if parameter.required {
            set(&model.ident);
        }
    }
    let needs_body = operation.missing_body == MissingBody::Reject;
    match &call.body {
        Body::Json { properties, .. } => {
            let required = properties.iter().filter(|property| property.required);
            let mut required = required.peekable();
            if required.peek().is_none() && needs_body {
                set("json");
            }
            required.for_each(|property| set(&property.ident));
        }
        Body::Text | Body::Octets if needs_body => set("body"),
        Body::Other if needs_body => text.push_str(".body(content_type, body)"),
        _ => {}
    }
    text.push_str(match call.paging {
        Pagination::List { .. } => ".stream()",
        Pagination::None | Pagination::Pages => ".send().await?",
    });
    text
}

/// The call path: `.issues().list_for_repo()`.
pub(super) fn path(call: &CallModel) -> String {
    let operation = &call.operation;
    let (scope, name) = (snake(operation.scope()), snake(operation.name()));
    format!(".{}().{}()", ident_or_empty(scope), ident_or_empty(name))
}

/// The documentation of a setter: whether its value is required, the description, the allowed values and the
/// default.
pub(super) fn setter(
    api: &ApiModel,
    required: bool,
    description: &str,
    of: &Type,
    default: Option<&str>,
) -> String {
    let description = description.trim();
    let mut facts = Vec::new();
    let has = |value: &str| description.contains(&format!("`{value}`"));
    let values = enum_values(api, of);
    if !values.is_empty() && !values.iter().all(|value| has(value)) {
        facts.push(format!("One of {}.", listed(&values)));
    }
    if let Some(default) = default
        && !description.to_ascii_lowercase().contains("default")
    {
        facts.push(format!("Default: {}.", code(default)));
    }
    let need = if required { "Required. " } else { "" };
    let facts = facts.join(" ");
    if facts.is_empty() {
        format!("{need}{description}")
    } else if description.contains('\n') {
        // The last line can be that of a list or of an example.
        format!("{need}{facts} {description}")
    } else {
        let last = description.trim_end_matches(['"', ')', '*', '_']);
        let end = if last.ends_with(['.', '!', '?', ':']) { "" } else { "." };
        format!("{need}{description}{end} {facts}")
    }
}

/// The strings that a type consists of, or its items; empty for any other type.
fn enum_values<'a>(api: &'a ApiModel, of: &Type) -> Vec<&'a str> {
    match of {
        Type::Option(of) | Type::Vec(of) | Type::Boxed(of) => enum_values(api, of),
        Type::Named(name) => match resolved(name, &api.types) {
            Some((_, Kind::Enum(values))) => {
                values.iter().map(|value| value.name.as_str()).collect()
            }
            _ => Vec::new(),
        },
        Type::Path(_) | Type::Map(_) => Vec::new(),
    }
}

/// A value as code. Text with a backtick or a line break is left out by its caller.
fn code(value: &str) -> String {
    format!("`{value}`")
}

/// `a`, `b` and 3 more.
fn listed(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(MAX_LISTED).map(|name| code(name)).collect();
    match names.len().saturating_sub(MAX_LISTED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A field without a description.
pub(super) fn field(field: &Field) -> String {
    let absent = match (field.required, field.nullable, &field.ty) {
        (true, true, Type::Option(_)) => ", or `None` if it is `null`",
        (false, _, Type::Option(_)) => ", or `None` if it is absent",
        _ => "",
    };
    match &field.values.example {
        Some(example) => {
            format!("The property `{}`, such as {}{absent}.", field.name, code(example))
        }
        None => format!("The property `{}`{absent}.", field.name),
    }
}

/// Where each type is used, for those without a description.
pub(super) struct Uses<'a>(BTreeMap<&'a str, String>);

impl<'a> Uses<'a> {
    pub(super) fn of(api: &'a ApiModel) -> Self {
        let mut uses = BTreeMap::new();
        // A component is named by the description, and any number of places can use it. An inline schema is
        // named after its place.
        let mut add = |of: &'a Type, place: &str, named: &dyn Fn(&str) -> String| {
            let (name, part) = innermost(of);
            if let Some(name) = name.filter(|name| name.starts_with(place) && *name != place) {
                uses.entry(name).or_insert_with(|| named(part));
            }
        };
        for call in &api.calls {
            let id = &call.operation.id;
            let place = ident_or_empty(pascal(id));
            if let Body::Json { ty, .. } = &call.body {
                add(ty, &place, &|part| format!("{part} body of `{id}`"));
            }
            if let Some(output) = &call.output {
                add(output, &place, &|part| format!("{part} response of `{id}`"));
            }
            for (parameter, model) in call.operation.parameters.iter().zip(&call.parameters) {
                add(&model.ty, &place, &|part| {
                    format!("{part} parameter `{}` of `{id}`", parameter.name)
                });
            }
        }
        for (name, definition) in &api.types {
            for (of, part_of) in parts(definition) {
                add(of, name, &|part| format!("{part} {part_of} of `{name}`"));
            }
        }
        Self(uses)
    }

    /// Describes a type: where it is used, and what it consists of.
    pub(super) fn describe(&self, name: &str, kind: &Kind) -> String {
        let shape = shape(kind);
        match self.0.get(name) {
            Some(place) => format!("The {}: {shape}.", place.trim_start()),
            None => {
                let mut letters = shape.chars();
                let first = letters.next().map(|first| first.to_ascii_uppercase());
                format!("{}{}.", first.into_iter().collect::<String>(), letters.as_str())
            }
        }
    }
}

/// The types of a definition, each with its name in it.
fn parts(definition: &Definition) -> Vec<(&Type, String)> {
    match &definition.kind {
        Kind::Struct(fields) => {
            fields.iter().map(|field| (&field.ty, format!("property `{}`", field.name))).collect()
        }
        Kind::Union(variants) => variants
            .iter()
            .map(|variant| (&variant.ty, format!("variant `{}`", variant.ident)))
            .collect(),
        Kind::Enum(_) | Kind::Alias(_) => Vec::new(),
    }
}

/// The generated type in a type, and the part of the value that it is.
fn innermost(of: &Type) -> (Option<&str>, &'static str) {
    match of {
        Type::Named(name) => (Some(name), ""),
        Type::Path(_) => (None, ""),
        Type::Option(of) | Type::Boxed(of) => innermost(of),
        Type::Vec(of) => (innermost(of).0, "items of the"),
        Type::Map(of) => (innermost(of).0, "values of the"),
    }
}

fn shape(kind: &Kind) -> String {
    match kind {
        Kind::Enum(values) => {
            let values: Vec<&str> = values.iter().map(|value| value.name.as_str()).collect();
            format!("one of {}", listed(&values))
        }
        Kind::Struct(fields) => {
            let named = fields.iter().filter(|field| !field.catch_all);
            let names: Vec<&str> = named.map(|field| field.name.as_str()).collect();
            if names.is_empty() {
                "an object".to_owned()
            } else {
                format!("an object with {}", listed(&names))
            }
        }
        Kind::Union(variants) => {
            let names: Vec<&str> = variants.iter().map(|variant| variant.ident.as_str()).collect();
            format!("a value of one of the types {}", listed(&names))
        }
        Kind::Alias(Type::Named(name)) => format!("the same as `{name}`"),
        Kind::Alias(Type::Vec(_)) => "a list".to_owned(),
        Kind::Alias(_) => "a value".to_owned(),
    }
}

/// The page of GitHub's documentation about all of these operations: the common part of their URLs.
pub(super) fn common_page<'a>(mut urls: impl Iterator<Item = &'a str>) -> String {
    let page = |url: &'a str| url.split(['#', '?']).next().unwrap_or_default();
    let Some(first) = urls.next() else { return String::new() };
    let mut common: Vec<&str> = page(first).split('/').collect();
    for url in urls {
        let same = common.iter().zip(page(url).split('/')).take_while(|(a, b)| **a == *b).count();
        common.truncate(same);
    }
    common.join("/")
}

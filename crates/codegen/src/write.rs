//! Stage `write`: the model of the API as Rust source.
//!
//! The output is one module `types`, one module of call builders for each scope (`issues`, `repos`, …) with a
//! handle, one module of handles for each entity (`repo`, `org`, …), the operation table; and, separately, the
//! events of webhooks.

mod calls;
mod docs;
mod entity_handles;
mod events;
mod files;
mod operation_table;
mod records;
mod setters;
mod sizes;
mod texts;
mod types;
mod union_samples;
mod unions;

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::error::{Error, Result};
use crate::lower::ApiModel;
use crate::model::{Kind, Type, resolved};
use crate::operations::Output;
use crate::reserved_scopes::ReservedScopes;

const STAGE: &str = "write";

/// Maximum number of properties of a record; `src/codec/record.rs` relies on it.
const MAX_FIELDS: usize = 255;

/// Writes everything but the events. `document` names the description, and `reserved` the names that no scope
/// can have.
pub fn write(
    api: &ApiModel,
    document: &str,
    version: &str,
    reserved: &ReservedScopes,
) -> Result<String> {
    calls::check(api, reserved)?;
    types::check(api)?;
    let mut out = String::with_capacity(1 << 22);
    // Writing to a string cannot fail, so neither can any of the stages below.
    let result = types::write(&mut out, api).and_then(|()| calls::write(&mut out, api));
    result.map_err(|e| Error::new(STAGE, "", e))?;
    let table = writeln!(
        out,
        "/// The name of the OpenAPI description from which this build was generated.\n\
         pub const OPENAPI_DESCRIPTION: &str = {document:?};\n\
         /// The version of the OpenAPI description from which this build was generated.\n\
         pub const OPENAPI_VERSION: &str = {version:?};"
    );
    table.map_err(|e| Error::new(STAGE, "", e))?;
    too_large(api)?;
    Ok(out)
}

/// Writes the events of webhooks, which the feature `webhooks` includes.
pub fn events(api: &ApiModel) -> Result<String> {
    events::write(&api.payloads, &api.concerned)
}

/// Writes the table with which the tests decode each operation's examples into its type. Only the tests
/// compile it.
pub fn decoders(api: &ApiModel) -> String {
    let mut types: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for call in &api.calls {
        if let (Output::Json { .. }, Some(of)) = (call.operation.output, &call.output) {
            types.entry(render_type(of, "octowire::types::")).or_default().push(&call.operation.id);
        }
    }
    let arms: String = types
        .iter()
        .map(|(of, operations)| {
            let operations: Vec<String> = operations.iter().map(|id| format!("{id:?}")).collect();
            format!("{} => round_trip::<{of}>(body),\n", operations.join(" | "))
        })
        .collect();
    format!("match operation {{\n{arms}_ => return None,\n}}\n")
}

/// Writes the unions in responses, with samples of their variants, with which the tests check the choice
/// between them. Only the tests compile it.
pub fn unions(api: &ApiModel) -> String {
    union_samples::write(api)
}

fn too_large(api: &ApiModel) -> Result<()> {
    for (name, definition) in &api.types {
        if let Kind::Struct(fields) = &definition.kind
            && fields.len() > MAX_FIELDS
        {
            let message = format!("{name} has {} properties, more than {MAX_FIELDS}", fields.len());
            return Err(Error::new(STAGE, "", message));
        }
    }
    Ok(())
}

/// The path of the type of any JSON.
const JSON: &str = "::serde_json::Value";

/// Returns whether this is any JSON.
fn is_json(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path == JSON)
}

/// Returns whether this is an object with any properties.
fn is_object(of: &Type) -> bool {
    matches!(of, Type::Map(of) if is_json(of))
}

/// Returns whether this is an enum of strings.
fn is_enum(api: &ApiModel, of: &Type) -> bool {
    let Type::Named(name) = of else { return false };
    matches!(resolved(name, &api.types), Some((_, Kind::Enum(_))))
}

/// Returns whether this is a time, which is sent in GitHub's notation.
fn is_time(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path.starts_with("::chrono::DateTime"))
}

/// Returns whether this is a date without a time.
fn is_date(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path == "::chrono::NaiveDate" || path == "::chrono::naive::NaiveDate")
}

fn is_integer(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path == "i64")
}

/// Returns whether the type is `Copy`.
fn is_copied(of: &Type) -> bool {
    let is_simple =
        matches!(of, Type::Path(path) if ["i64", "f64", "bool"].contains(&path.as_str()));
    is_simple || is_time(of) || is_date(of)
}

fn is_text(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path == "String")
}

/// An optional text, in Rust source.
fn option(text: Option<&String>) -> String {
    match text {
        Some(text) => format!("::core::option::Option::Some({text:?})"),
        None => "::core::option::Option::None".to_owned(),
    }
}

/// A type in source form; `types` is the path of the module of generated types. Types of the standard library
/// have their full path, since operations and components can have the same names.
fn render_type(of: &Type, types: &str) -> String {
    match of {
        Type::Named(name) => format!("{types}{name}"),
        Type::Path(path) if path == "String" => "::std::string::String".to_owned(),
        Type::Path(path) => path.clone(),
        Type::Option(of) => format!("::core::option::Option<{}>", render_type(of, types)),
        Type::Vec(of) => format!("::std::vec::Vec<{}>", render_type(of, types)),
        Type::Map(of) => {
            format!(
                "::std::collections::BTreeMap<::std::string::String, {}>",
                render_type(of, types)
            )
        }
        Type::Boxed(of) => format!("::std::boxed::Box<{}>", render_type(of, types)),
    }
}

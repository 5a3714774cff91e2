//! Stage 10, write: the refined model as Rust source.
//!
//! The output is one module `types`, one module of call builders for each scope (`issues`, `repos`, …) with a
//! handle, the operation table; and, separately, the events of webhooks.

mod calls;
mod docs;
mod events;
mod types;
mod unions;

use std::collections::BTreeMap;
use std::fmt::Write;

use super::error::{Error, Result};
use super::model::Type;
use super::operations::Output;
use super::refine::ApiModel;

const STAGE: &str = "write";

/// Maximum number of properties of a record; `src/codec/record.rs` relies on it.
const MAX_FIELDS: usize = 256;

/// Writes everything. `document` names the source document.
pub fn write(refined: &ApiModel, document: &str, version: &str) -> Result<String> {
    calls::check(refined)?;
    types::check(refined)?;
    let mut out = String::with_capacity(1 << 22);
    // Writing to a string cannot fail, so neither can any of the stages below.
    let result = types::write(&mut out, refined).and_then(|()| calls::write(&mut out, refined));
    result.map_err(|e| Error::new(STAGE, "", e))?;
    let table = writeln!(
        out,
        "/// The document that this build was made from.\n\
         pub const DOCUMENT: &str = {document:?};\n\
         /// The version of the document that this build was made from.\n\
         pub const DOCUMENT_VERSION: &str = {version:?};"
    );
    table.map_err(|e| Error::new(STAGE, "", e))?;
    too_large(refined)?;
    Ok(out)
}

/// Writes the events of webhooks, which the feature `webhooks-core` includes.
pub fn events(refined: &ApiModel) -> Result<String> {
    events::write(&refined.payloads, &refined.concerned)
}

/// Writes the table with which the tests decode each operation's examples into its type. Only the tests
/// compile it.
pub fn decoders(refined: &ApiModel) -> String {
    let mut types: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for call in &refined.calls {
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
pub fn unions(refined: &ApiModel) -> String {
    unions::write(refined)
}

fn too_large(refined: &ApiModel) -> Result<()> {
    for (name, definition) in &refined.types {
        if let super::model::Kind::Struct(fields) = &definition.kind
            && fields.len() > MAX_FIELDS
        {
            let message = format!("{name} has {} properties, more than {MAX_FIELDS}", fields.len());
            return Err(Error::new(STAGE, "", message));
        }
    }
    Ok(())
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

fn is_text(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path == "String")
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

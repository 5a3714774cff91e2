//! Stage 10, write: the refined model as Rust source.
//!
//! One module `types`, one module of call builders for each scope (`issues`,
//! `repos`, …) with a handle to start from, and the operation table; and, apart from these, the
//! events of webhooks.

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
use super::refine::Refined;

const STAGE: &str = "write";

/// The most properties that a record may have; `src/wire/record.rs` relies on it.
const MAX_FIELDS: usize = 256;

/// Writes everything. `document` names the document it was made from.
pub fn write(refined: &Refined, document: &str, version: &str) -> Result<String> {
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
pub fn events(refined: &Refined) -> Result<String> {
    events::write(&refined.payloads, &refined.concerned)
}

/// Writes the table by which the tests decode each operation's examples into
/// its type. It is compiled by no one but them.
pub fn decoders(refined: &Refined) -> String {
    let mut types: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for call in &refined.calls {
        if let (Output::Json { .. }, Some(of)) = (call.operation.output, &call.output) {
            types.entry(shown(of, "octowire::types::")).or_default().push(&call.operation.id);
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

/// Writes the unions that are read, with samples of their variants, by which the tests hold the choice
/// between them. It is compiled by no one but them.
pub fn unions(refined: &Refined) -> String {
    unions::write(refined)
}

fn too_large(refined: &Refined) -> Result<()> {
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

/// Whether this is a time, which is sent as GitHub writes times.
fn is_time(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path.starts_with("::chrono::DateTime"))
}

/// Whether this is a date without a time.
fn is_date(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path == "::chrono::NaiveDate" || path == "::chrono::naive::NaiveDate")
}

fn is_integer(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path == "i64")
}

fn is_text(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path == "String")
}

/// A type as it is written; `types` leads to the module of generated types.
/// Rust's own are written by their whole path, since operations and components
/// may be called as they are.
fn shown(of: &Type, types: &str) -> String {
    match of {
        Type::Named(name) => format!("{types}{name}"),
        Type::Path(path) if path == "String" => "::std::string::String".to_owned(),
        Type::Path(path) => path.clone(),
        Type::Option(of) => format!("::core::option::Option<{}>", shown(of, types)),
        Type::Vec(of) => format!("::std::vec::Vec<{}>", shown(of, types)),
        Type::Map(of) => {
            format!("::std::collections::BTreeMap<::std::string::String, {}>", shown(of, types))
        }
        Type::Boxed(of) => format!("::std::boxed::Box<{}>", shown(of, types)),
    }
}

//! The operation table: what the library knows about each operation at run time.

use std::fmt::{self, Write};

use super::calls::ident_or_empty;
use crate::lower::{Body, CallModel, ParameterModel, Property};
use crate::names::pascal;
use crate::operations::{Operation, Output, Parameter};

pub(super) fn write(out: &mut String, calls: &[&CallModel]) -> fmt::Result {
    writeln!(
        out,
        "/// Every operation of this build, sorted by id.\n\
         pub static OPERATIONS: &[crate::Operation] = &["
    )?;
    for call in calls {
        row(out, call)?;
    }
    writeln!(out, "];")
}

fn row(out: &mut String, call: &CallModel) -> fmt::Result {
    let operation = &call.operation;
    let mut parameters = String::new();
    for (parameter, ParameterModel { ident, .. }) in
        operation.parameters.iter().zip(&call.parameters)
    {
        let Parameter { location, required, allows_slash: multi_segment, .. } = parameter;
        let name = wire_name(parameter);
        let location = ident_or_empty(pascal(location));
        write!(
            parameters,
            "crate::OperationParameter {{ name: {name:?}, setter: {ident:?}, location: crate::ParameterLocation::{location}, \
             required: {required}, allows_slash: {multi_segment} }}, "
        )?;
    }
    if let Body::Json { properties, .. } = &call.body {
        for Property { ident, name, required, .. } in properties {
            write!(
                parameters,
                "crate::OperationParameter {{ name: {name:?}, setter: {ident:?}, location: crate::ParameterLocation::Body, \
                 required: {required}, allows_slash: false }}, "
            )?;
        }
    }
    let accept = match operation.output {
        Output::Bytes => "*/*",
        Output::Json { .. } | Output::Empty => "application/vnd.github+json",
    };
    let Operation { id, tag, path, server, statuses, documentation_url, deprecated, .. } =
        operation;
    let Operation { rate_limit, creates_content, .. } = operation;
    let no_body = operation.missing_body;
    writeln!(
        out,
        "crate::Operation {{ id: {id:?}, tag: {tag:?}, method: ::http::Method::{}, path: {path:?}, \
         server: {server:?}, accept: {accept:?}, parameters: &[{parameters}], \
         statuses: &{statuses:?}, \
         missing_body: crate::MissingBody::{no_body:?}, \
         rate_limit: {rate_limit:?}, creates_content: {creates_content}, \
         documentation_url: {documentation_url:?}, deprecated: {deprecated} }},",
        operation.method.to_uppercase(),
    )
}

/// The name under which a parameter is sent.
pub(super) fn wire_name(parameter: &Parameter) -> String {
    let brackets = if parameter.brackets { "[]" } else { "" };
    format!("{}{brackets}", parameter.name)
}

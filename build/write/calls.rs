//! The generated calls: a builder for each operation, a handle for each scope, and the operation table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use super::docs::{doc, summary};
use super::{STAGE, is_date, is_integer, is_text, is_time, render_type};
use crate::build::document;
use crate::build::error::{Error, Result};
use crate::build::model::Type;
use crate::build::names::{pascal, snake};
use crate::build::operations::{Operation, Output, Parameter, Text, is_id};
use crate::build::refine::{
    ApiModel, Body, CallModel, ListField, Pagination, ParameterModel, Property,
};

const LINTS: &str = "#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, \
    rustdoc::invalid_html_tags)]\n#[allow(clippy::all, clippy::pedantic, deprecated)]\n";

pub fn write(out: &mut String, refined: &ApiModel) -> fmt::Result {
    let mut calls: Vec<&CallModel> = refined.calls.iter().collect();
    calls.sort_by(|a, b| a.operation.id.cmp(&b.operation.id));
    let mut scopes: BTreeMap<&str, Vec<(usize, &CallModel)>> = BTreeMap::new();
    for (index, call) in calls.iter().enumerate() {
        scopes.entry(call.operation.scope()).or_default().push((index, call));
    }
    for (scope, calls) in &scopes {
        module(out, scope, calls)?;
        handle(out, scope, calls)?;
    }
    table(out, &calls)
}

fn module(out: &mut String, scope: &str, calls: &[(usize, &CallModel)]) -> fmt::Result {
    writeln!(
        out,
        "/// Calls of [`{}`], one builder for each operation.\n{}{LINTS}pub mod {} {{\n\
         #[allow(unused_imports)] use super::types;",
        ident_or_empty(pascal(scope)),
        feature(calls),
        ident_or_empty(snake(scope)),
    )?;
    for (_, call) in calls {
        builder(out, call)?;
    }
    writeln!(out, "}}")
}

/// Documents the feature that a scope needs.
fn feature(calls: &[(usize, &CallModel)]) -> String {
    let tags: BTreeSet<&str> = calls.iter().map(|(_, call)| call.operation.tag.as_str()).collect();
    let tags: Vec<String> = tags.iter().map(|tag| format!("feature = {tag:?}")).collect();
    format!("#[cfg_attr(docsrs, doc(cfg(any({}))))]\n", tags.join(", "))
}

fn builder(out: &mut String, call: &CallModel) -> fmt::Result {
    let operation = &call.operation;
    let name = ident_or_empty(pascal(operation.name()));
    doc(out, "", &description(operation))?;
    writeln!(
        out,
        "#[derive(Clone, Debug)]\n#[must_use = \"a call does nothing until it is sent\"]\n\
         pub struct {name}(pub(super) crate::Request);\nimpl {name} {{"
    )?;
    for (index, (parameter, argument)) in
        operation.parameters.iter().zip(&call.parameters).enumerate()
    {
        argument_setter(out, index, parameter, argument)?;
    }
    body_setters(out, &call.body)?;
    writeln!(
        out,
        "    /// Adjusts what is not the operation's own: headers, time limits and the like.\n    \
         #[inline] pub fn with(self, adjust: impl ::core::ops::FnOnce(crate::Request) -> crate::Request) -> Self {{ Self(adjust(self.0)) }}\n    \
         /// The call as a request, to be sent for another type or for its bytes.\n    \
         #[inline] pub fn into_request(self) -> crate::Request {{ self.0 }}"
    )?;
    sending(out, call)?;
    writeln!(
        out,
        "}}\n#[cfg(feature = \"testing\")] impl crate::testing::TypedCall for {name} {{ \
         #[inline] fn into_request(self) -> crate::Request {{ self.0 }} }}\n\
         #[cfg(feature = \"testing\")] impl crate::testing::sealed::Sealed for {name} {{}}"
    )
}

fn description(operation: &Operation) -> String {
    format!(
        "{}\n\n{}\n\n`{} {}`, [GitHub's documentation]({})",
        summary(&operation.summary),
        operation.description,
        operation.method.to_uppercase(),
        operation.path,
        operation.documentation_url,
    )
}

fn argument_setter(
    out: &mut String,
    index: usize,
    parameter: &Parameter,
    argument: &ParameterModel,
) -> fmt::Result {
    let need = if parameter.required { "Required. " } else { "" };
    let fallback = format!("The {} parameter `{}`.", parameter.location, parameter.name);
    let text = if parameter.description.is_empty() { &fallback } else { &parameter.description };
    doc(out, "    ", &format!("{need}{text}"))?;
    let name = &wire_name(parameter);
    let ident = &argument.ident;
    match (parameter.location, &argument.ty, parameter.text) {
        ("path", of, _) if is_integer(of) => {
            scalar_setter(out, ident, INTEGER, &format!("set_path_integer({index}, "))
        }
        ("path", of, Text::Mixed) if is_text(of) => {
            scalar_setter(out, ident, TEXT, &format!("set_path_text({index}, "))
        }
        ("path", of, _) => {
            let of = render_type(of, "types::");
            scalar_setter(out, ident, &into(&of), &format!("set_path::<{of}>({index}, "))
        }
        ("query", Type::Vec(of), _) if is_integer(of) => {
            list_setter(out, ident, INTEGER, &format!("set_query_integers({name:?}, "))
        }
        ("query", Type::Vec(of), _) => {
            let of = render_type(of, "types::");
            list_setter(out, ident, &into(&of), &format!("set_query_values::<{of}>({name:?}, "))
        }
        ("query", of, _) if is_integer(of) => {
            scalar_setter(out, ident, INTEGER, &format!("set_query_integer({name:?}, "))
        }
        ("query", of, _) if is_time(of) => {
            scalar_setter(out, ident, TIME, &format!("set_query_time({name:?}, "))
        }
        ("query", of, _) if is_date(of) => {
            scalar_setter(out, ident, DATE, &format!("set_query_date({name:?}, "))
        }
        ("query", of, Text::Mixed) if is_text(of) => {
            scalar_setter(out, ident, TEXT, &format!("set_query_text({name:?}, "))
        }
        ("query", of, Text::List) if is_text(of) => {
            scalar_setter(out, ident, LIST, &format!("set_query_joined({name:?}, "))
        }
        ("query", of, Text::TimeRange) if is_text(of) => {
            scalar_setter(out, ident, TIME_RANGE, &format!("set_query_time_range({name:?}, "))
        }
        ("query", of, _) => {
            let of = render_type(of, "types::");
            scalar_setter(out, ident, &into(&of), &format!("set_query::<{of}>({name:?}, "))
        }
        (_, of, _) => {
            let of = render_type(of, "types::");
            scalar_setter(out, ident, &into(&of), &format!("set_header::<{of}>({name:?}, "))
        }
    }
}

/// The inputs of setters for types with several forms at GitHub or in Rust.
const INTEGER: &str = "crate::IntoInteger";
const TEXT: &str = "crate::IntoText";
const LIST: &str = "crate::IntoList";
const TIME: &str = "crate::IntoTimestamp";
const DATE: &str = "crate::IntoDate";
const TIME_RANGE: &str = "crate::IntoTimeRange";

/// The inputs of setters of other types.
fn into(of: &str) -> String {
    format!("::core::convert::TryInto<{of}, Error: ::core::fmt::Display>")
}

/// The name under which a parameter is sent.
fn wire_name(parameter: &Parameter) -> String {
    let brackets = if parameter.brackets { "[]" } else { "" };
    format!("{}{brackets}", parameter.name)
}

fn body_setters(out: &mut String, body: &Body) -> fmt::Result {
    match body {
        Body::None => Ok(()),
        Body::Text => writeln!(
            out,
            "    /// The body: text.\n    #[inline] pub fn body(mut self, body: impl ::core::convert::Into<::std::string::String>) -> Self \
             {{ self.0.draft_mut().set_body(\"text/plain\", crate::Body::from(body.into())); self }}"
        ),
        Body::Octets => writeln!(
            out,
            "    /// The body: bytes, or a stream of them.\n    \
             #[inline] pub fn body(mut self, body: impl ::core::convert::Into<crate::Body>) -> Self \
             {{ self.0.draft_mut().set_body(\"application/octet-stream\", body.into()); self }}"
        ),
        Body::Other => writeln!(
            out,
            "    /// The body and its media type, with the boundary if it is `multipart/form-data`.\n    \
             #[inline] pub fn body(self, content_type: impl ::core::convert::TryInto<::http::HeaderValue, Error: ::core::fmt::Display>, \
             body: impl ::core::convert::Into<crate::Body>) -> Self {{ Self(self.0.body(content_type, body)) }}"
        ),
        Body::Json { ty: of, properties } => {
            for property in properties {
                property_setter(out, property)?;
            }
            writeln!(
                out,
                "    /// The whole body at once, instead of property by property.\n    \
                 #[inline] pub fn json(mut self, body: impl ::core::convert::Into<{}>) -> Self \
                 {{ self.0.draft_mut().set_json(&body.into()); self }}",
                render_type(of, "types::")
            )
        }
    }
}

fn property_setter(out: &mut String, property: &Property) -> fmt::Result {
    let Property { ident, name, ty: of, .. } = property;
    let need = if property.required { "Required. " } else { "" };
    let fallback = format!("The property `{name}` of the body.");
    let text = if property.doc.is_empty() { &fallback } else { &property.doc };
    doc(out, "    ", &format!("{need}{text}"))?;
    match of {
        Type::Vec(of) if is_integer(of) => {
            list_setter(out, ident, INTEGER, &format!("set_field_integers({name:?}, "))?;
        }
        Type::Vec(of) => {
            let of = render_type(of, "types::");
            list_setter(out, ident, &into(&of), &format!("set_field_values::<{of}>({name:?}, "))?;
        }
        of if is_integer(of) => {
            scalar_setter(out, ident, INTEGER, &format!("set_field_integer({name:?}, "))?;
        }
        of if is_time(of) => {
            scalar_setter(out, ident, TIME, &format!("set_field_time({name:?}, "))?
        }
        of if is_date(of) => {
            scalar_setter(out, ident, DATE, &format!("set_field_date({name:?}, "))?
        }
        of if is_text(of) && is_id(name) => {
            scalar_setter(out, ident, TEXT, &format!("set_field_text({name:?}, "))?;
        }
        of => {
            let of = render_type(of, "types::");
            scalar_setter(out, ident, &into(&of), &format!("set_field::<{of}>({name:?}, "))?;
        }
    }
    if property.nullable {
        let clear = &property.clear;
        writeln!(
            out,
            "    /// Sends `null` as [`{ident}`](Self::{ident}).\n    \
             #[inline] pub fn {clear}(mut self) -> Self {{ self.0.draft_mut().set_null({name:?}); self }}"
        )?;
    }
    Ok(())
}

/// A setter of one value, which accepts any `Into`.
fn scalar_setter(out: &mut String, ident: &str, from: &str, set: &str) -> fmt::Result {
    writeln!(
        out,
        "    #[inline] pub fn {ident}(mut self, value: impl {from}) -> Self {{ self.0.draft_mut().{set}value); self }}"
    )
}

/// A setter of a list, whose items accept any `Into`.
fn list_setter(out: &mut String, ident: &str, from: &str, set: &str) -> fmt::Result {
    writeln!(
        out,
        "    #[inline] pub fn {ident}(mut self, values: impl ::core::iter::IntoIterator<Item: {from}>) \
         -> Self {{ self.0.draft_mut().{set}values); self }}"
    )
}

fn sending(out: &mut String, call: &CallModel) -> fmt::Result {
    let response = match (&call.operation.output, &call.output) {
        (Output::Empty, _) => {
            return writeln!(
                out,
                "    /// Sends the call. What it answers is its status.\n    \
                 #[inline] pub fn send(self) -> crate::ResponseFuture<()> {{ self.0.send_empty() }}"
            );
        }
        (Output::Bytes, _) | (_, None) => {
            return writeln!(
                out,
                "    /// Sends the call. What it answers are bytes, which stream in as they are read.\n    \
                 #[inline] pub fn send(self) -> crate::ResponseFuture<crate::ByteStream> {{ self.0.send_stream() }}"
            );
        }
        (Output::Json { .. }, Some(of)) => render_type(of, "types::"),
    };
    writeln!(
        out,
        "    /// Sends the call.\n    \
         #[inline] pub fn send(self) -> crate::ResponseFuture<{response}> {{ self.0.send() }}"
    )?;
    if call.paging != Pagination::None {
        writeln!(
            out,
            "    /// The pages of the answer, as `Link` headers lead from one to the next.\n    \
             #[inline] pub fn pages(self) -> crate::Pages<{response}> {{ self.0.pages() }}"
        )?;
    }
    let Pagination::List { item, field, optional } = &call.paging else { return Ok(()) };
    let name = field.as_ref().map(|field| &field.name);
    let listed = match (field, optional) {
        (None, false) => "crate::client::pagination::Listed::items(page)".to_owned(),
        (None, true) => {
            "crate::client::pagination::Listed::items(page.unwrap_or_default())".to_owned()
        }
        (Some(field), false) => listed(field),
        (Some(field), true) => {
            format!("page.map(|page| {}).unwrap_or_default()", listed(field))
        }
    };
    writeln!(
        out,
        "    /// What all pages list, item by item.\n    \
         #[inline] pub fn stream(self) -> crate::Items<{item}> {{ self.0.list({}, |page: {response}| {listed}) }}",
        option(name),
        item = render_type(item, "types::")
    )
}

/// The metadata of a page with the list in a field.
fn listed(field: &ListField) -> String {
    let total = field.total.as_ref();
    let total =
        total.map(|total| format!("crate::client::pagination::TotalCount::total(page.{total})"));
    let missing = field.incomplete_results.as_ref().map(|missing| format!("page.{missing}.into()"));
    let none = || "::core::option::Option::None".to_owned();
    format!(
        "crate::client::pagination::Listed {{ items: page.{}, total: {}, incomplete_results: {} }}",
        field.ident,
        total.unwrap_or_else(none),
        missing.unwrap_or_else(none),
    )
}

/// An optional text, in Rust source.
fn option(text: Option<&String>) -> String {
    match text {
        Some(text) => format!("::core::option::Option::Some({text:?})"),
        None => "::core::option::Option::None".to_owned(),
    }
}

fn handle(out: &mut String, scope: &str, calls: &[(usize, &CallModel)]) -> fmt::Result {
    let (name, module) = (ident_or_empty(pascal(scope)), ident_or_empty(snake(scope)));
    let article = calls.first().map_or("", |(_, call)| call.operation.documentation_url.as_str());
    let article = article.split('#').next().unwrap_or_default();
    let feature = feature(calls);
    doc(out, "", &format!("The operations `{}/…`; see {article}", scope.escape_debug()))?;
    writeln!(
        out,
        "{feature}#[derive(Clone, Copy, Debug)]\npub struct {name}<'a>(&'a crate::Client);\n\
         impl crate::Client {{\n    /// The operations of [`{name}`].\n    {feature}    \
         #[inline] #[must_use] pub fn {module}(&self) -> {name}<'_> {{ {name}(self) }}\n}}\n\
         {LINTS}impl {name}<'_> {{"
    )?;
    for (index, call) in calls {
        let builder = ident_or_empty(pascal(call.operation.name()));
        doc(out, "    ", &summary(&call.operation.summary))?;
        doc(out, "    ", &format!("`{}`", call.operation.id))?;
        if call.operation.deprecated {
            let url = &call.operation.documentation_url;
            let note = format!("GitHub will remove this operation, see {url}");
            writeln!(out, "    #[deprecated = {note:?}]")?;
        }
        writeln!(
            out,
            "    #[inline] pub fn {}(&self) -> {module}::{builder} {{ \
             {module}::{builder}(crate::Request::operation(self.0, &OPERATIONS[{index}])) }}",
            ident_or_empty(snake(call.operation.name())),
        )?;
    }
    writeln!(out, "}}")
}

/// A name that [`check`] has validated.
fn ident_or_empty(ident: Option<String>) -> String {
    ident.unwrap_or_default()
}

/// Checks that every scope and operation has a distinct name in Rust.
pub fn check(refined: &ApiModel) -> Result<()> {
    let mut taken: BTreeSet<(String, String)> = BTreeSet::new();
    let mut scopes: BTreeMap<String, &str> = BTreeMap::new();
    for call in &refined.calls {
        let operation = &call.operation;
        let at = || document::pointer(&["paths", &operation.path, &operation.method]);
        let fail = |message: String| Err(Error::new(STAGE, at(), message));
        let (Some(scope), Some(name)) = (snake(operation.scope()), pascal(operation.name())) else {
            return fail(format!("`{}` cannot be converted to a Rust identifier", operation.id));
        };
        // The module of types, and the client's own methods.
        if ["types", "builder", "request", "graphql", "new", "clone"].contains(&scope.as_str()) {
            return fail(format!("a scope cannot be called `{scope}`"));
        }
        if *scopes.entry(scope.clone()).or_insert(operation.scope()) != operation.scope() {
            return fail(format!("two scopes map to `{scope}`"));
        }
        if !taken.insert((scope, name.to_ascii_lowercase())) {
            return fail(format!("the name of operation `{}` is already in use", operation.id));
        }
    }
    Ok(())
}

fn table(out: &mut String, calls: &[&CallModel]) -> fmt::Result {
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

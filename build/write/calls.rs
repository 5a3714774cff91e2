//! The generated calls: a builder for each operation, a handle for each
//! scope, and the operation table.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::docs::{doc, summary};
use super::{pascal, shown};
use crate::build::model::Type;
use crate::build::operations::{Operation, Output, Parameter};
use crate::build::refine::{Argument, Body, Call, Paging, Property, Refined, plain};

const LINTS: &str = "#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, \
    rustdoc::invalid_html_tags)]\n#[allow(clippy::all, clippy::pedantic, deprecated)]\n";

pub fn write(out: &mut String, refined: &Refined) -> fmt::Result {
    let mut calls: Vec<&Call> = refined.calls.iter().collect();
    calls.sort_by(|a, b| a.operation.id.cmp(&b.operation.id));
    let mut scopes: BTreeMap<&str, Vec<(usize, &Call)>> = BTreeMap::new();
    for (index, call) in calls.iter().enumerate() {
        scopes.entry(call.operation.scope()).or_default().push((index, call));
    }
    for (scope, calls) in &scopes {
        module(out, scope, calls)?;
        handle(out, scope, calls)?;
    }
    table(out, &calls)
}

fn module(out: &mut String, scope: &str, calls: &[(usize, &Call)]) -> fmt::Result {
    writeln!(
        out,
        "/// Calls of [`{}`], one builder for each operation.\n{LINTS}pub mod {} {{\n\
         #[allow(unused_imports)] use super::types;\n\
         #[allow(unused_imports)] use crate::{{Body, ByteStream, IdOrName, Items, Pages, Request, ResponseFuture}};\n\
         #[allow(unused_imports)] use ::core::{{convert::TryInto, fmt::Display}};",
        pascal(scope),
        plain(scope),
    )?;
    for (_, call) in calls {
        builder(out, call)?;
    }
    writeln!(out, "}}")
}

fn builder(out: &mut String, call: &Call) -> fmt::Result {
    let operation = &call.operation;
    let name = pascal(operation.name());
    doc(out, "", &description(operation))?;
    writeln!(
        out,
        "#[derive(Clone, Debug)]\n#[must_use = \"a call does nothing until it is sent\"]\n\
         pub struct {name}(pub(super) Request);\nimpl {name} {{"
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
         #[inline] pub fn with(self, adjust: impl FnOnce(Request) -> Request) -> Self {{ Self(adjust(self.0)) }}\n    \
         /// The call as a request, to be sent for another type or for its bytes.\n    \
         #[inline] pub fn into_request(self) -> Request {{ self.0 }}"
    )?;
    sending(out, call)?;
    writeln!(out, "}}")
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
    argument: &Argument,
) -> fmt::Result {
    let need = if parameter.required { "Required. " } else { "" };
    let fallback = format!("The {} parameter `{}`.", parameter.location, parameter.name);
    let text = if parameter.description.is_empty() { &fallback } else { &parameter.description };
    doc(out, "    ", &format!("{need}{text}"))?;
    let name = &parameter.name;
    let ident = &argument.ident;
    match (parameter.location, &argument.of) {
        ("path", of) => {
            one(out, ident, of, &format!("set_path::<{}>({index}, ", shown(of, "types::")))
        }
        ("query", Type::Vec(of)) => {
            many(out, ident, of, &format!("set_query_each::<{}>({name:?}, ", shown(of, "types::")))
        }
        ("query", Type::Path(path)) if path.starts_with("::chrono::DateTime") => {
            one(out, ident, &argument.of, &format!("set_query_time({name:?}, "))
        }
        ("query", of) => {
            one(out, ident, of, &format!("set_query::<{}>({name:?}, ", shown(of, "types::")))
        }
        (_, of) => {
            one(out, ident, of, &format!("set_header::<{}>({name:?}, ", shown(of, "types::")))
        }
    }
}

fn body_setters(out: &mut String, body: &Body) -> fmt::Result {
    match body {
        Body::None => Ok(()),
        Body::Text => writeln!(
            out,
            "    /// The body: text.\n    #[inline] pub fn body(mut self, body: impl Into<String>) -> Self \
             {{ self.0.set_body(\"text/plain\", Body::from(body.into())); self }}"
        ),
        Body::Octets => writeln!(
            out,
            "    /// The body: bytes, or a stream of them.\n    \
             #[inline] pub fn body(mut self, body: impl Into<Body>) -> Self \
             {{ self.0.set_body(\"application/octet-stream\", body.into()); self }}"
        ),
        Body::Json { of, properties } => {
            for property in properties {
                property_setter(out, property)?;
            }
            writeln!(
                out,
                "    /// The whole body at once, instead of property by property.\n    \
                 #[inline] pub fn json(mut self, body: impl Into<{}>) -> Self \
                 {{ self.0.set_json(&body.into()); self }}",
                shown(of, "types::")
            )
        }
    }
}

fn property_setter(out: &mut String, property: &Property) -> fmt::Result {
    let Property { ident, name, of, .. } = property;
    let need = if property.required { "Required. " } else { "" };
    let fallback = format!("The property `{name}` of the body.");
    let text = if property.doc.is_empty() { &fallback } else { &property.doc };
    doc(out, "    ", &format!("{need}{text}"))?;
    match of {
        Type::Vec(of) => {
            many(
                out,
                ident,
                of,
                &format!("set_field_each::<{}>({name:?}, ", shown(of, "types::")),
            )?;
        }
        of => one(out, ident, of, &format!("set_field::<{}>({name:?}, ", shown(of, "types::")))?,
    }
    if property.nullable {
        let clear = format!("clear_{}", ident.trim_end_matches('_'));
        writeln!(
            out,
            "    /// Sends `null` as [`{ident}`](Self::{ident}).\n    \
             #[inline] pub fn {clear}(mut self) -> Self {{ self.0.set_null({name:?}); self }}"
        )?;
    }
    Ok(())
}

fn one(out: &mut String, ident: &str, of: &Type, set: &str) -> fmt::Result {
    writeln!(
        out,
        "    #[inline] pub fn {ident}(mut self, value: impl TryInto<{}, Error: Display>) -> Self \
         {{ self.0.{set}value); self }}",
        shown(of, "types::")
    )
}

fn many(out: &mut String, ident: &str, of: &Type, set: &str) -> fmt::Result {
    writeln!(
        out,
        "    #[inline] pub fn {ident}(mut self, values: impl IntoIterator<Item: TryInto<{}, Error: Display>>) \
         -> Self {{ self.0.{set}values); self }}",
        shown(of, "types::")
    )
}

fn sending(out: &mut String, call: &Call) -> fmt::Result {
    let answer = match (&call.operation.output, &call.output) {
        (Output::Empty, _) => {
            return writeln!(
                out,
                "    /// Sends the call. What it answers is its status.\n    \
                 #[inline] pub fn send(self) -> ResponseFuture<()> {{ self.0.send_empty() }}"
            );
        }
        (Output::Bytes, _) | (_, None) => {
            return writeln!(
                out,
                "    /// Sends the call. What it answers are bytes, which stream in as they are read.\n    \
                 #[inline] pub fn send(self) -> ResponseFuture<ByteStream> {{ self.0.send_stream() }}"
            );
        }
        (Output::Json { .. }, Some(of)) => shown(of, "types::"),
    };
    writeln!(
        out,
        "    /// Sends the call.\n    \
         #[inline] pub fn send(self) -> ResponseFuture<{answer}> {{ self.0.send() }}"
    )?;
    if call.paging != Paging::None {
        writeln!(
            out,
            "    /// The pages of the answer, as `Link` headers lead from one to the next.\n    \
             #[inline] pub fn pages(self) -> Pages<{answer}> {{ self.0.pages() }}"
        )?;
    }
    let Paging::List { item, field, optional } = &call.paging else { return Ok(()) };
    let list = match (field, optional) {
        (None, false) => "page".to_owned(),
        (None, true) => "page.unwrap_or_default()".to_owned(),
        (Some(field), false) => format!("page.{field}"),
        (Some(field), true) => format!("page.map(|page| page.{field}).unwrap_or_default()"),
    };
    writeln!(
        out,
        "    /// What all pages list, item by item.\n    \
         #[inline] pub fn stream(self) -> Items<{item}> {{ self.0.items(|page: {answer}| {list}) }}",
        item = shown(item, "types::")
    )
}

fn handle(out: &mut String, scope: &str, calls: &[(usize, &Call)]) -> fmt::Result {
    let (name, module) = (pascal(scope), plain(scope));
    let article = calls.first().map_or("", |(_, call)| call.operation.documentation_url.as_str());
    let article = article.split('#').next().unwrap_or_default();
    writeln!(
        out,
        "/// The operations `{scope}/…`; see [GitHub's documentation](<{article}>).\n\
         #[derive(Clone, Copy, Debug)]\npub struct {name}<'a>(&'a crate::Client);\n\
         impl crate::Client {{\n    /// The operations `{scope}/…`.\n    \
         #[inline] #[must_use] pub fn {module}(&self) -> {name}<'_> {{ {name}(self) }}\n}}\n\
         {LINTS}impl {name}<'_> {{"
    )?;
    for (index, call) in calls {
        let builder = pascal(call.operation.name());
        doc(out, "    ", &summary(&call.operation.summary))?;
        doc(out, "    ", &format!("\u{200B}\n`{}`", call.operation.id).replace('\u{200B}', ""))?;
        if call.operation.deprecated {
            let url = &call.operation.documentation_url;
            writeln!(out, "    #[deprecated = \"GitHub will remove this operation, see {url}\"]")?;
        }
        writeln!(
            out,
            "    #[inline] pub fn {}(&self) -> {module}::{builder} {{ \
             {module}::{builder}(crate::Request::operation(self.0, &OPERATIONS[{index}])) }}",
            method(call.operation.name()),
        )?;
    }
    writeln!(out, "}}")
}

fn method(name: &str) -> String {
    let ident = plain(name);
    if syn::parse_str::<syn::Ident>(&ident).is_ok() { ident } else { format!("{ident}_") }
}

fn table(out: &mut String, calls: &[&Call]) -> fmt::Result {
    writeln!(
        out,
        "/// Every operation of this build, sorted by id.\n\
         pub static OPERATIONS: [crate::Operation; {}] = [",
        calls.len()
    )?;
    for call in calls {
        row(out, call)?;
    }
    writeln!(out, "];")
}

fn row(out: &mut String, call: &Call) -> fmt::Result {
    let operation = &call.operation;
    let mut parameters = String::new();
    for parameter in &operation.parameters {
        let Parameter { name, location, required, multi_segment, .. } = parameter;
        let location = pascal(location);
        write!(
            parameters,
            "crate::Parameter {{ name: {name:?}, location: crate::Location::{location}, \
             required: {required}, multi_segment: {multi_segment} }}, "
        )?;
    }
    if let Body::Json { properties, .. } = &call.body {
        for Property { name, required, .. } in properties {
            write!(
                parameters,
                "crate::Parameter {{ name: {name:?}, location: crate::Location::Body, \
                 required: {required}, multi_segment: false }}, "
            )?;
        }
    }
    let accept = match operation.output {
        Output::Bytes => "*/*",
        Output::Json { .. } | Output::Empty => "application/vnd.github+json",
    };
    let Operation { id, tag, path, server, statuses, documentation_url, deprecated, .. } =
        operation;
    writeln!(
        out,
        "crate::Operation {{ id: {id:?}, tag: {tag:?}, method: ::http::Method::{}, path: {path:?}, \
         server: {server:?}, accept: {accept:?}, parameters: &[{parameters}], statuses: &{statuses:?}, \
         documentation_url: {documentation_url:?}, deprecated: {deprecated} }},",
        operation.method.to_uppercase(),
    )
}

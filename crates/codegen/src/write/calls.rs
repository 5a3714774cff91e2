//! The generated calls: a builder for each operation, a handle for each scope, those of the entities, and the
//! operation table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use super::docs::{doc, summary};
use super::setters::{body_setters, parameter_setter};
use super::{STAGE, entity_handles, operation_table, option, render_type, texts};
use crate::error::{Error, Result};
use crate::lower::{ApiModel, CallModel, ListField, Pagination};
use crate::names::{pascal, snake};
use crate::operations::Output;
use crate::reserved_scopes::ReservedScopes;

/// The attributes of generated modules and blocks.
pub(super) const LINTS: &str = "#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, \
    rustdoc::invalid_html_tags)]\n#[allow(clippy::all, clippy::pedantic, deprecated)]\n";

/// The calls of each scope, each with its position in the operation table.
pub(super) type ScopeCalls<'a> = BTreeMap<&'a str, Vec<(usize, &'a CallModel)>>;

pub fn write(out: &mut String, api: &ApiModel) -> fmt::Result {
    let mut calls: Vec<&CallModel> = api.calls.iter().collect();
    calls.sort_by(|a, b| a.operation.id.cmp(&b.operation.id));
    let mut scopes = ScopeCalls::new();
    for (index, call) in calls.iter().enumerate() {
        scopes.entry(call.operation.scope()).or_default().push((index, call));
    }
    for (scope, calls) in &scopes {
        module(out, api, scope, calls)?;
        handle(out, scope, calls)?;
    }
    entity_handles::write(out, &scopes)?;
    operation_table::write(out, &calls)
}

fn module(
    out: &mut String,
    api: &ApiModel,
    scope: &str,
    calls: &[(usize, &CallModel)],
) -> fmt::Result {
    writeln!(
        out,
        "/// Calls of [`{}`], one builder for each operation.\n{}\n{LINTS}pub mod {} {{\n\
         #[allow(unused_imports)] use super::types;",
        ident_or_empty(pascal(scope)),
        feature(calls),
        ident_or_empty(snake(scope)),
    )?;
    for (_, call) in calls {
        builder(out, api, call)?;
    }
    writeln!(out, "}}")
}

/// The attribute that documents the features of these calls.
pub(super) fn feature(calls: &[(usize, &CallModel)]) -> String {
    let tags: BTreeSet<&str> = calls.iter().map(|(_, call)| call.operation.tag.as_str()).collect();
    let tags: Vec<String> = tags.iter().map(|tag| format!("feature = {tag:?}")).collect();
    format!("#[cfg_attr(docsrs, doc(cfg(any({}))))]", tags.join(", "))
}

fn builder(out: &mut String, api: &ApiModel, call: &CallModel) -> fmt::Result {
    let operation = &call.operation;
    let name = ident_or_empty(pascal(operation.name()));
    doc(out, "", &description(call))?;
    writeln!(
        out,
        "#[derive(Clone, Debug)]\n#[must_use = \"a call does nothing until it is sent\"]\n\
         pub struct {name}(pub(super) crate::Request);\nimpl {name} {{"
    )?;
    for (index, (parameter, argument)) in
        operation.parameters.iter().zip(&call.parameters).enumerate()
    {
        parameter_setter(out, api, index, parameter, argument)?;
    }
    body_setters(out, api, &call.body)?;
    writeln!(
        out,
        "    /// Adjusts the request: its headers, timeouts and other settings that no operation defines.\n    \
         #[inline] pub fn with(self, adjust: impl ::core::ops::FnOnce(crate::Request) -> crate::Request) -> Self {{ Self(adjust(self.0)) }}\n    \
         /// Converts the call into a request, to read the response as another type or as bytes.\n    \
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

fn description(call: &CallModel) -> String {
    let operation = &call.operation;
    format!(
        "{}\n\n{}\n\n`{} {}`, [GitHub's documentation]({})\n\nExample: `{}`",
        summary(&operation.summary),
        operation.description,
        operation.method.to_uppercase(),
        operation.path,
        operation.documentation_url,
        texts::example(call),
    )
}

fn sending(out: &mut String, call: &CallModel) -> fmt::Result {
    let response = match (&call.operation.output, &call.output) {
        (Output::Empty, _) => {
            return writeln!(
                out,
                "    /// Sends the call. The response is its status.\n    \
                 #[inline] pub fn send(self) -> crate::ResponseFuture<()> {{ self.0.send_empty() }}"
            );
        }
        (Output::Bytes, _) | (_, None) => {
            return writeln!(
                out,
                "    /// Sends the call. The response is a stream of bytes.\n    \
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
    if let Some(media_type) = &call.operation.stream_media_type {
        writeln!(
            out,
            "    /// Sends the call with the media type `{}`. The response is a stream of bytes.\n    \
             #[inline] pub fn send_stream(self) -> crate::ResponseFuture<crate::ByteStream> \
             {{ self.0.accept({media_type:?}).send_stream() }}",
            media_type.escape_debug()
        )?;
    }
    if call.paging != Pagination::None {
        writeln!(
            out,
            "    /// The pages of the response, in the order of their `Link` headers.\n    \
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
        "    /// The items of all pages.\n    \
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

fn handle(out: &mut String, scope: &str, calls: &[(usize, &CallModel)]) -> fmt::Result {
    let (name, module) = (ident_or_empty(pascal(scope)), ident_or_empty(snake(scope)));
    let urls = calls.iter().map(|(_, call)| call.operation.documentation_url.as_str());
    let page = texts::common_page(urls);
    let feature = feature(calls);
    let mut paths = vec![format!("`github.{module}()`")];
    paths.extend(entity_handles::paths(scope, calls));
    let paths = paths.join(" or ");
    doc(
        out,
        "",
        &format!(
            "The operations `{}/…`, called by {paths}. [GitHub's documentation]({page})",
            scope.escape_debug()
        ),
    )?;
    writeln!(
        out,
        "{feature}\n#[derive(Clone, Copy, Debug)]\npub struct {name}<'a>(&'a crate::Client);\n\
         impl crate::Client {{\n    /// The operations of [`{name}`].\n    {feature}\n    \
         #[inline] #[must_use] pub fn {module}(&self) -> {name}<'_> {{ {name}(self) }}\n}}\n\
         {LINTS}impl {name}<'_> {{"
    )?;
    for (index, call) in calls {
        method(out, call, &format!("crate::Request::operation(self.0, &OPERATIONS[{index}])"))?;
    }
    writeln!(out, "}}")
}

/// Writes the method of a handle that creates a call. `request` is the expression of its request.
pub(super) fn method(out: &mut String, call: &CallModel, request: &str) -> fmt::Result {
    let operation = &call.operation;
    let module = ident_or_empty(snake(operation.scope()));
    let builder = ident_or_empty(pascal(operation.name()));
    // The operation's documentation is at its builder.
    let text = summary(&operation.summary);
    doc(out, "    ", &format!("{text} `{}`", operation.id))?;
    if operation.deprecated {
        let url = &operation.documentation_url;
        let note = format!("GitHub will remove this operation, see {url}");
        writeln!(out, "    #[deprecated = {note:?}]")?;
    }
    writeln!(
        out,
        "    #[inline] pub fn {}(&self) -> {module}::{builder} {{ {module}::{builder}({request}) }}",
        ident_or_empty(snake(operation.name())),
    )
}

/// A name that [`check`] has validated.
pub(super) fn ident_or_empty(ident: Option<String>) -> String {
    ident.unwrap_or_default()
}

/// Checks that every scope and operation has a distinct name in Rust.
pub fn check(api: &ApiModel, reserved: &ReservedScopes) -> Result<()> {
    let mut taken: BTreeSet<(String, String)> = BTreeSet::new();
    let mut scopes: BTreeMap<String, &str> = BTreeMap::new();
    for call in &api.calls {
        let operation = &call.operation;
        let fail = |message: String| Err(Error::new(STAGE, operation.pointer(), message));
        let (Some(scope), Some(name)) = (snake(operation.scope()), pascal(operation.name())) else {
            return fail(format!("`{}` cannot be converted to a Rust identifier", operation.id));
        };
        if let Some(owner) = reserved.owner(&scope) {
            return fail(format!(
                "the scope `{}` cannot be called `{scope}`, which is the name of {owner}: change the \
                 operation ids with overlay actions, or rename the method",
                operation.scope()
            ));
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

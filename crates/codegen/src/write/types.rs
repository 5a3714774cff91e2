//! The generated types.

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::docs::doc;
use super::records::{self, rest_of};
use super::sizes::Sizes;
use super::texts::Uses;
use super::{STAGE, files, render_type, unions};
use crate::error::{Error, Result};
use crate::hints::Discriminator;
use crate::lower::ApiModel;
use crate::model::{EnumValue, Kind};

pub fn write(out: &mut String, api: &ApiModel) -> fmt::Result {
    writeln!(
        out,
        "/// The types of requests and responses, named as in GitHub's OpenAPI description.\n///\n\
         /// `==` compares records and unions by their JSON, in which `NaN` is `null`, and enums by their text, also with text:\n\
         /// `state == \"open\"`. A record of a request with an invalid value, which has no JSON, equals only a record with the\n\
         /// same values and the same reasons. It keeps a reason until the setter of the same property receives a valid value: an\n\
         /// assignment to the field does not remove the reason.\n\
         #[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]\n\
         #[allow(clippy::all, clippy::pedantic, deprecated)]\n\
         pub mod types {{\n\
         #[allow(unused_imports)] use crate::codec;"
    )?;
    let (mut read, mut with_rest) = (Vec::new(), Vec::new());
    let mut sent = Vec::new();
    let mut sizes = Sizes::new(api);
    let uses = Uses::of(api);
    for (name, definition) in &api.types {
        let is_read = api.read.contains(name);
        let mut comment = String::new();
        if definition.doc.is_empty() {
            doc(&mut comment, "", &uses.describe(name, &definition.kind))?;
        } else {
            doc(&mut comment, "", &definition.doc)?;
        }
        match &definition.kind {
            Kind::Alias(of) => {
                writeln!(out, "{comment}pub type {name} = {};", render_type(of, ""))?;
            }
            Kind::Enum(values) => string_enum(out, name, &comment, values, is_read)?,
            Kind::Union(variants) => {
                unions::write(out, api, name, &comment, variants, is_read)?;
                if is_read {
                    files::union(out, api, name, variants)?;
                }
            }
            Kind::Struct(fields) => {
                out.push_str(&comment);
                let fields = if is_read {
                    sizes.boxed(fields)
                } else {
                    fields.iter().map(Cow::Borrowed).collect()
                };
                records::write(out, api, name, &fields, is_read)?;
                if is_read {
                    files::record(out, name, &fields)?;
                }
                match (is_read, rest_of(&fields)) {
                    (true, None) => read.push(name.as_str()),
                    (true, Some(_)) => with_rest.push(name.as_str()),
                    (false, _) => sent.push(name.as_str()),
                }
            }
        }
    }
    writeln!(out, "codec::impl_read! {{ {} }}", read.join(" "))?;
    writeln!(out, "codec::impl_read_with_catch_all! {{ {} }}", with_rest.join(" "))?;
    writeln!(out, "codec::impl_write! {{ {} }}", sent.join(" "))?;
    writeln!(out, "}}")
}

/// Rejects a discriminator without effect: otherwise the build would continue, and every value would be raw
/// JSON.
pub fn check(api: &ApiModel) -> Result<()> {
    let read = api.types.iter().filter(|(name, _)| api.read.contains(*name));
    for (name, definition) in read {
        let Kind::Struct(fields) = &definition.kind else { continue };
        for field in fields {
            let Some(Discriminator { property, variants }) = &field.discriminator else { continue };
            let undefined = variants
                .iter()
                .find(|(_, target)| unions::variant_index(api, &field.ty, target).is_none());
            let message = if let Some((constant, target)) = undefined {
                format!("`{constant}` maps to `{target}`, which is not a variant")
            } else if fields.iter().any(|other| other.name == *property) {
                continue;
            } else {
                format!("the discriminator `{property}` is missing")
            };
            return Err(Error::new(STAGE, "", format!("{name}.{}: {message}", field.ident)));
        }
    }
    Ok(())
}

/// Writes an enum, whose doc comment is `comment`. The macro takes it inside of its braces.
fn string_enum(
    out: &mut String,
    name: &str,
    comment: &str,
    values: &[EnumValue],
    is_read: bool,
) -> fmt::Result {
    let kind = if is_read { "open_enum" } else { "closed_enum" };
    writeln!(out, "codec::{kind}! {{\n{comment}{name} {{")?;
    // The enum has a variant with this name for unknown values.
    let reserved = if is_read { "Unknown" } else { "Other" };
    for EnumValue { ident, name } in values {
        let ident = if ident == reserved { renamed(ident, values) } else { ident.clone() };
        writeln!(out, "    {ident} = {name:?},")?;
    }
    writeln!(out, "}}\n}}")
}

/// `OtherValue` for `Other`, or longer if another value has that name.
fn renamed(ident: &str, values: &[EnumValue]) -> String {
    let mut renamed = format!("{ident}Value");
    while values.iter().any(|value| value.ident == renamed) {
        renamed.push_str("Value");
    }
    renamed
}

//! The unions in responses, with a sample for each variant, for the tests. Only the tests compile it.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::{is_time, render_type};
use crate::lower::ApiModel;
use crate::model::{Field, Kind, Type, resolved};

/// Maximum nesting of a sample; deeper parts are left empty.
const MAX_DEPTH: usize = 24;

/// A slice of unions: name, reader, and variants with two samples, the second with all optional properties.
pub fn write(api: &ApiModel) -> String {
    let mut out = "&[\n".to_owned();
    let unions = api.types.iter().filter(|(name, _)| api.read.contains(*name));
    for (name, definition) in unions {
        let Kind::Union(variants) = &definition.kind else { continue };
        let of = render_type(&Type::Named(name.clone()), "octowire::types::");
        // Writing to a string cannot fail.
        let _ = writeln!(out, "({name:?}, read::<{of}> as Reader, &[");
        for variant in variants {
            let least = sample(api, &variant.ty, false, 0);
            let most = sample(api, &variant.ty, true, 0);
            let (least, most) = (least.to_string(), most.to_string());
            let _ = writeln!(out, "    ({:?}, {least:?}, {most:?}),", variant.ident);
        }
        out.push_str("]),\n");
    }
    out.push_str("]\n");
    out
}

/// A value of a type. `optional`: it has the optional properties; its parts never have them.
fn sample(api: &ApiModel, of: &Type, optional: bool, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    match of {
        Type::Option(_) => Value::Null,
        Type::Vec(_) => json!([]),
        Type::Map(_) => json!({}),
        Type::Boxed(of) => sample(api, of, optional, depth + 1),
        Type::Path(path) => match path.as_str() {
            "i64" => json!(7),
            "f64" => json!(7.5),
            "bool" => json!(true),
            "::chrono::NaiveDate" => json!("2020-02-29"),
            _ if is_time(of) => json!("2020-02-29T12:00:00Z"),
            "::serde_json::Value" => json!({ "anything": 7 }),
            _ => json!("text"),
        },
        Type::Named(name) => match resolved(name, &api.types).map(|(_, kind)| kind) {
            Some(Kind::Enum(values)) => json!(values.first().map(|value| &value.name)),
            Some(Kind::Alias(of)) => sample(api, of, optional, depth + 1),
            Some(Kind::Union(variants)) => variants
                .first()
                .map_or(Value::Null, |first| sample(api, &first.ty, false, depth + 1)),
            Some(Kind::Struct(fields)) => record(api, fields, optional, depth),
            None => Value::Null,
        },
    }
}

fn record(api: &ApiModel, fields: &[Field], optional: bool, depth: usize) -> Value {
    let mut record = Map::new();
    for field in fields.iter().filter(|field| !field.catch_all) {
        let value = match &field.ty {
            // A required property is present, if only as `null`.
            Type::Option(_) if field.required && !optional => Value::Null,
            Type::Option(of) if optional => sample(api, of, false, depth + 1),
            _ if !field.required && !optional => continue,
            of => sample(api, of, false, depth + 1),
        };
        record.insert(field.name.clone(), value);
    }
    Value::Object(record)
}

//! The call of an operation: its parameters and its body, each with a setter.

use std::collections::{BTreeMap, BTreeSet};

use super::pagination::pagination;
use super::{Body, CallModel, ParameterModel, STAGE, bodies};
use crate::error::{Error, Result};
use crate::model::{Definition, Signature, Type};
use crate::names::{self, squashed};
use crate::operations::{Input, Operation};

/// Names that setters must not have.
const RESERVED: [&str; 8] =
    ["send", "send_stream", "stream", "pages", "json", "with", "into_request", "new"];

pub(super) fn call(
    operation: Operation,
    signature: &Signature,
    types: &mut BTreeMap<String, Definition>,
) -> Result<CallModel> {
    let named = |name: &str| {
        let found =
            signature.parameters.iter().find(|(ident, _)| squashed(ident) == squashed(name));
        found.map(|(_, of)| of)
    };
    let mut setters = SetterNames::new(&operation);
    let mut parameters = Vec::new();
    for parameter in &operation.parameters {
        let of = named(&parameter.name).map_or(Type::path("String"), |of| of.unwrapped().clone());
        parameters.push(ParameterModel { ident: setters.name(&parameter.name, "_")?, ty: of });
    }
    let body = match operation.input {
        Input::None => Body::None,
        Input::Text => Body::Text,
        Input::OctetStream => Body::Octets,
        Input::Other => Body::Other,
        Input::Json => {
            let of = named("body").map_or(Type::path("::serde_json::Value"), |of| of.clone());
            let mut properties = bodies::properties(&of, types);
            for property in &mut properties {
                property.ident = setters.name(&property.name, "body_")?;
                if property.nullable {
                    property.clear = setters.name(&format!("clear_{}", property.name), "_")?;
                }
            }
            bodies::find_base64(&mut properties);
            for property in &mut properties {
                if let Some(base64) = &mut property.base64 {
                    base64.ident = setters.name(&format!("{}_bytes", property.name), "_")?;
                }
            }
            Body::Json { ty: of, properties }
        }
    };
    let paging = pagination(&operation, signature, types);
    Ok(CallModel { operation, parameters, body, output: signature.output.clone(), paging })
}

/// The names of a call's methods, which are unique.
struct SetterNames {
    used_names: BTreeSet<String>,
    pointer: String,
}

impl SetterNames {
    fn new(operation: &Operation) -> Self {
        Self { used_names: RESERVED.map(str::to_owned).into(), pointer: operation.pointer() }
    }

    /// A setter for the property `name`. If the name is taken, `disambiguator` is put before it, or behind it
    /// if it is a `_`.
    fn name(&mut self, name: &str, disambiguator: &str) -> Result<String> {
        let Some(mut ident) = names::snake(name) else {
            let message = format!("the name `{name}` cannot be converted to a Rust identifier");
            return Err(Error::new(STAGE, &self.pointer, message));
        };
        while self.used_names.contains(&ident) {
            ident = if disambiguator == "_" {
                format!("{ident}_")
            } else {
                format!("{disambiguator}{ident}")
            };
        }
        self.used_names.insert(ident.clone());
        Ok(ident)
    }
}

//! The parameters of a call, for a mock that matches calls.

use serde_json::Value;

use super::{RequestBody, RequestDraft, Target};

/// The parameters and properties of a call; all others match any value.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestMatcher {
    pub(crate) path: Vec<(String, String)>,
    pub(crate) query: Vec<(String, String)>,
    body: Vec<(String, Value)>,
}

impl RequestDraft {
    /// Returns the operation's id and the parameters.
    ///
    /// # Errors
    /// If a value is invalid, or if there is no operation.
    pub(crate) fn matcher(&self) -> Result<(&'static str, RequestMatcher), String> {
        if let Some(reason) = &self.rejected {
            return Err(format!("{}: {reason}", self.name));
        }
        let operation = self.operation.ok_or("a request by URL or path has no operation")?;
        let mut wanted = RequestMatcher::default();
        if let Target::Template(values) = &self.target {
            for (index, value) in values.iter().enumerate() {
                if let (Some(parameter), Some(value)) = (operation.path_parameter(index), value) {
                    wanted.path.push((parameter.name.to_owned(), value.to_text()));
                }
            }
        }
        let query = self.query.iter();
        wanted.query = query.map(|(name, value)| (name.to_string(), value.clone())).collect();
        match &self.body {
            RequestBody::Fields(fields) => {
                for (name, value) in fields {
                    let value = serde_json::from_slice(value).map_err(|error| error.to_string())?;
                    wanted.body.push((name.to_string(), value));
                }
            }
            RequestBody::Json(body) => {
                let body = serde_json::from_slice(body).map_err(|error| error.to_string())?;
                match body {
                    Value::Object(fields) => wanted.body.extend(fields),
                    // A body that is not an object has to match as a whole.
                    other => wanted.body.push((String::new(), other)),
                }
            }
            RequestBody::Empty | RequestBody::Raw(..) => {}
        }
        Ok((operation.id, wanted))
    }
}

impl RequestMatcher {
    /// Returns the differences between a body and the expected properties.
    pub(crate) fn body_differences(&self, body: &[u8]) -> Vec<String> {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let wanted = self.body.iter().filter_map(|(name, value)| {
            let is = match name.as_str() {
                "" => &body,
                name => body.get(name).unwrap_or(&Value::Null),
            };
            let given = name.is_empty() || body.get(name).is_some();
            (is != value || !given).then(|| match name.as_str() {
                "" => format!("the body is {is}, not {value}"),
                name => format!("{name} is {is}, not {value}"),
            })
        });
        wanted.collect()
    }
}

//! The examples of GitHub's description, and the properties that its schemas name.
#![allow(dead_code, reason = "each test binary that has it takes a part")]

use serde_json::Value;

/// The vendored document.
pub struct Document(Value);

/// A response example.
pub struct Example {
    pub operation: String,
    pub status: String,
    pub key: String,
    pub body: Value,
    schema: Value,
}

impl Example {
    /// `issues/get 200 default`
    pub fn name(&self) -> String {
        format!("{} {} {}", self.operation, self.status, self.key)
    }
}

impl Document {
    pub fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/api.github.com.json");
        Self(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    /// Every example of a JSON success response.
    pub fn examples(&self) -> Vec<Example> {
        let mut examples = Vec::new();
        for item in self.0["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                let Some(responses) = operation["responses"].as_object() else { continue };
                for (status, response) in
                    responses.iter().filter(|(status, _)| status.starts_with('2'))
                {
                    let media = &self.resolve(response)["content"]["application/json"];
                    if media.is_null() {
                        continue;
                    }
                    let mut push = |key: &str, body: &Value| {
                        examples.push(Example {
                            operation: operation["operationId"].as_str().unwrap().to_owned(),
                            status: status.clone(),
                            key: key.to_owned(),
                            body: self.inlined(body),
                            schema: media["schema"].clone(),
                        });
                    };
                    if let Some(example) = media.get("example") {
                        push("example", example);
                    }
                    for (key, example) in media["examples"].as_object().into_iter().flatten() {
                        if let Some(value) = self.resolve(example).get("value") {
                            push(key, value);
                        }
                    }
                }
            }
        }
        examples
    }

    /// An example of a webhook's payload, which are published beside the document; `None` if it has
    /// no such webhook.
    pub fn webhook(&self, event: &str, key: &str, body: &Value) -> Option<Example> {
        let action = body["action"].as_str();
        let of_event = |item: &Value| {
            item["post"]["x-github"]["subcategory"].as_str().map(|name| name.replace('-', "_"))
        };
        let mut webhooks = self.0["x-webhooks"].as_object().unwrap().values();
        let schema = webhooks.find_map(|item| {
            if of_event(item)? != event {
                return None;
            }
            let schema = &item["post"]["requestBody"]["content"]["application/json"]["schema"];
            let resolved = self.resolve(schema);
            let first = resolved["oneOf"].get(0).map_or(resolved, |variant| self.resolve(variant));
            match first["properties"]["action"]["enum"].as_array() {
                Some(values) => {
                    values.iter().any(|value| value.as_str() == action).then_some(schema)
                }
                None => Some(schema),
            }
        })?;
        Some(Example {
            operation: event.to_owned(),
            status: action.unwrap_or_default().to_owned(),
            key: key.to_owned(),
            body: body.clone(),
            schema: schema.clone(),
        })
    }

    /// Whether the schema of the example names the property at this path.
    pub fn names(&self, example: &Example, path: &str) -> bool {
        let steps: Vec<&str> = path
            .trim_start_matches('$')
            .split(['.', '['])
            .filter(|step| !step.is_empty())
            .collect();
        self.leads(&example.schema, &example.body, &steps)
    }

    /// Follows the path through every schema that may describe it, as long as
    /// the schema is one that the value fits by its required properties.
    fn leads(&self, schema: &Value, value: &Value, steps: &[&str]) -> bool {
        let schema = self.resolve(schema);
        let Some((step, rest)) = steps.split_first() else { return true };
        let parts = |key: &str| schema[key].as_array().into_iter().flatten();
        if parts("allOf").any(|part| self.leads(part, value, steps)) {
            return true;
        }
        let variants = parts("oneOf").chain(parts("anyOf"));
        if variants.filter(|part| self.fits(part, value)).any(|part| self.leads(part, value, steps))
        {
            return true;
        }
        match step.strip_suffix(']') {
            Some(index) => {
                let item = index.parse().ok().and_then(|index: usize| value.get(index));
                item.is_some_and(|item| self.leads(&schema["items"], item, rest))
            }
            None => match (schema["properties"].get(step), value.get(step)) {
                (Some(property), Some(value)) => self.leads(property, value, rest),
                _ => false,
            },
        }
    }

    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let schema = self.resolve(schema);
        let required = schema["required"].as_array().into_iter().flatten();
        required.filter_map(Value::as_str).all(|name| value.get(name).is_some())
    }

    /// The value with the examples that it refers to; GitHub writes `$ref`s
    /// within examples, too.
    fn inlined(&self, value: &Value) -> Value {
        if value.get("$ref").is_some() {
            return self.inlined(&self.resolve(value)["value"]);
        }
        match value {
            Value::Array(items) => items.iter().map(|item| self.inlined(item)).collect(),
            Value::Object(map) => {
                map.iter().map(|(name, value)| (name.clone(), self.inlined(value))).collect()
            }
            other => other.clone(),
        }
    }

    fn resolve<'a>(&'a self, mut value: &'a Value) -> &'a Value {
        while let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            value = self.0.pointer(reference.trim_start_matches('#')).unwrap();
        }
        value
    }
}

//! The published payloads of webhooks, as evidence: the description has no examples of them.

use std::{fs, io::Read, path::Path};

use serde_json::Value;

use crate::problem::{Problem, Result};

/// A payload.
pub struct Payload {
    /// `issues`
    pub event: String,
    /// The event, the action and the index among the event's: `issues opened 0`.
    pub name: String,
    pub body: Value,
}

const FILE: &str = "tests/webhooks/examples/api.github.com.json.gz";

/// Reads the payloads of the tests; returns none if the folder has no tests.
pub fn read(root: &Path) -> Result<Vec<Payload>> {
    let path = root.join(FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let packed = fs::read(&path).map_err(|e| Problem::at(&path, "read", &e))?;
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice())
        .read_to_end(&mut bytes)
        .map_err(|e| Problem::at(&path, "unpack", &e))?;
    let events: Vec<Value> = serde_json::from_slice(&bytes)
        .map_err(|e| Problem::failed(format!("{}: {e}", path.display())))?;
    let mut payloads = Vec::new();
    for event in &events {
        let name = event["name"].as_str().unwrap_or_default();
        for (index, body) in event["examples"].as_array().into_iter().flatten().enumerate() {
            payloads.push(Payload {
                event: name.to_owned(),
                name: format!("{name} {} {index}", body["action"].as_str().unwrap_or("-")),
                body: body.clone(),
            });
        }
    }
    Ok(payloads)
}

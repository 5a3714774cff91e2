//! The payloads, as `@octokit/webhooks-examples` has them.

use std::io::Read;
use std::sync::LazyLock;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// A payload with the name of its event.
pub struct Payload {
    pub event: String,
    /// The event, the action and the place among the event's examples.
    pub name: String,
    pub body: Value,
    pub bytes: Vec<u8>,
}

pub fn payloads() -> &'static [Payload] {
    static PAYLOADS: LazyLock<Vec<Payload>> = LazyLock::new(read);
    &PAYLOADS
}

fn read() -> Vec<Payload> {
    let events: Vec<Value> = serde_json::from_slice(&published()).unwrap();
    let mut payloads = Vec::new();
    for event in &events {
        let name = event["name"].as_str().unwrap();
        for (index, body) in event["examples"].as_array().unwrap().iter().enumerate() {
            payloads.push(Payload {
                event: name.to_owned(),
                name: format!("{name} {} {index}", body["action"].as_str().unwrap_or("-")),
                bytes: serde_json::to_vec(body).unwrap(),
                body: body.clone(),
            });
        }
    }
    payloads
}

fn published() -> Vec<u8> {
    let packed = include_bytes!("examples/api.github.com.json.gz");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn the_vendored_payloads_match_the_published_ones() {
    let digest: String =
        Sha256::digest(published()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(include_str!("examples/upstream.toml").contains(&format!("sha256 = \"{digest}\"")));
}

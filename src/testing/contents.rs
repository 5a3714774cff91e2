//! Answers that an example can not give: a file that can be decoded, under the path that was asked
//! for, and a token that is not a decade old.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::limits::Limits;
use crate::contract::Matched;
use crate::names;

const README: &str = "\
# hello-world

My first repository on GitHub!

It holds a README and a few issues, and it has been forked more often than it was read.
";

/// GitHub breaks base64 after so many characters; clients have to take the breaks out.
const BASE64_LINE: usize = 60;

/// How long an installation's token lives.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// The answer of such an operation.
pub(super) fn answer(matched: &Matched<'_>, limits: &Limits, example: &Value) -> Option<Value> {
    match matched.operation.id() {
        "repos/get-content" => Some(file(example, matched.path_parameter("path")?)),
        "repos/get-readme" => Some(file(example, "README.md")),
        "apps/create-installation-access-token" => Some(token(example)),
        "rate-limit/get" => Some(limits.overview(example.clone())),
        _ => None,
    }
}

/// The example file under the path that was asked for.
fn file(example: &Value, path: &str) -> Value {
    let mut lines = String::new();
    for (position, character) in STANDARD.encode(README).chars().enumerate() {
        if position > 0 && position % BASE64_LINE == 0 {
            lines.push('\n');
        }
        lines.push(character);
    }
    lines.push('\n');

    let mut file = example.clone();
    file["path"] = json!(path);
    file["name"] = json!(path.rsplit('/').next());
    file["size"] = json!(README.len());
    file["encoding"] = json!("base64");
    file["content"] = json!(lines);
    file
}

fn token(example: &Value) -> Value {
    let expires_at = DateTime::<Utc>::from(SystemTime::now() + TOKEN_LIFETIME);
    let mut token = example.clone();
    token["token"] = json!(format!("ghs_mock{}", names::unique()));
    token["expires_at"] = json!(expires_at.to_rfc3339_opts(SecondsFormat::Secs, true));
    token
}

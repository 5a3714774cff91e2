//! Responses that an example cannot provide: a decodable file at the requested path, a token that has not
//! expired, and the current limits.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::auth::MockAuth;
use super::clock::Clock;
use super::limits::Limits;
use super::received::RecordedRequest;
use super::wire_response::WireResponse;
use crate::contract::MatchedRequest;

const README: &str = "\
# hello-world

My first repository on GitHub!

It holds a README and a few issues, and it has been forked more often than it was read.
";

/// The README as GitHub renders it.
const README_HTML: &str = "<h1>hello-world</h1>\n<p>My first repository on GitHub!</p>\n";

/// Line length of GitHub's base64; clients have to remove the line breaks.
const BASE64_LINE: usize = 60;

const DIFF: &str = "\
diff --git a/README.md b/README.md
--- a/README.md
+++ b/README.md
@@ -1 +1 @@
-# hello
+# hello-world
";

/// The parts of such responses.
pub(super) struct DynamicContext<'a> {
    pub(super) limits: &'a Limits,
    pub(super) access: &'a MockAuth,
    pub(super) clock: &'a Clock,
}

/// The response of such an operation.
pub(super) fn dynamic_response(
    request: &RecordedRequest,
    matched: &MatchedRequest<'_>,
    from: &DynamicContext<'_>,
    example: &Value,
) -> Option<Value> {
    match matched.operation.id() {
        "repos/get-content" => Some(example_file(example, matched.path_parameter("path")?)),
        "repos/get-readme" => Some(example_file(example, "README.md")),
        "apps/create-installation-access-token" => {
            let (value, expires_at) = from.access.issue_token(from.clock);
            let mut token = example.clone();
            token["token"] = json!(value);
            token["expires_at"] = json!(expires_at);
            Some(token)
        }
        "rate-limit/get" => Some(from.limits.overview(request, example.clone())),
        _ => None,
    }
}

/// The response for one of GitHub's [media
/// types](https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api#media-types)
/// that is not JSON: files as they are, and changes as text. An asset is behind a redirect.
pub(super) fn alternate_media_type(
    request: &RecordedRequest,
    matched: &MatchedRequest<'_>,
) -> Option<WireResponse> {
    let accept = request.header("accept")?.to_ascii_lowercase();
    let asked = |name: &str| {
        accept.strip_prefix("application/vnd.github.").is_some_and(|rest| {
            let rest = rest.strip_prefix("v3.").unwrap_or(rest);
            rest.split(['+', ';']).next() == Some(name)
        })
    };
    let text = |name: &str, text| {
        Some(WireResponse::text(200, &format!("application/vnd.github.{name}"), text))
    };
    match matched.operation.id() {
        "repos/get-content" | "repos/get-readme" | "git/get-blob" if asked("raw") => {
            text("raw+json", README)
        }
        "repos/get-content" | "repos/get-readme" if asked("html") => text("html", README_HTML),
        "repos/get-release-asset" if accept == "application/octet-stream" => {
            Some(WireResponse::redirect(302, request, "archive.zip"))
        }
        "pulls/get" | "repos/get-commit" | "repos/compare-commits-with-basehead" => {
            match (asked("diff"), asked("patch")) {
                (true, _) => text("diff", DIFF),
                (_, true) => text("patch", DIFF),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The example file at the requested path.
fn example_file(example: &Value, path: &str) -> Value {
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

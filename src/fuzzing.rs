//! Entry points for fuzzers: one function for each parser of untrusted bytes. Not part of the public interface.
//!
//! Each function accepts any bytes, returns without a panic, and asserts the invariants of all inputs. The targets in
//! `fuzz/` call them in a loop; a test replays `fuzz/corpus/`. They are built for tests and with the feature `__fuzz`.
#![allow(clippy::expect_used, clippy::panic, reason = "a fuzz target fails by a panic")]
#![allow(clippy::missing_panics_doc, reason = "a panic is a finding")]

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::endpoints::GITHUB;
use crate::error::OperationName;
use crate::policy::cache::CacheStatus;
use crate::response::{RawBody, RawResponse};
use crate::{codec::json_path, sanitize, types};

/// Errors are short lines, however large the response is.
const MAX_MESSAGE: usize = 16 * 1024;

/// A function of this module, by the name of its target.
pub type Target = (&'static str, fn(&[u8]));

/// All targets that are built.
pub const TARGETS: &[Target] = &[
    ("cache_control", crate::policy::cache::fuzzing::cache_control),
    ("cache_entry", crate::policy::cache::fuzzing::cache_entry),
    ("error_body", error_body),
    ("json_path", locate),
    ("ledger", crate::store::fuzzing::ledger),
    ("link", crate::client::pagination::fuzzing::link),
    ("oauth_response", crate::policy::auth::fuzzing::oauth_response),
    ("rate_limit", rate_limit),
    ("sanitize", sanitize),
    ("stored_value", crate::store::fuzzing::stored_value),
    ("union", union),
    #[cfg(feature = "contract")]
    ("path_matcher", path_matcher),
    #[cfg(feature = "encrypted-token-store")]
    ("token_file", crate::policy::auth::fuzzing::token_file),
    #[cfg(feature = "webhooks")]
    ("envelope", crate::webhooks::fuzzing::envelope),
    #[cfg(feature = "webhooks")]
    ("signature", crate::webhooks::fuzzing::signature),
    #[cfg(feature = "webhooks")]
    ("webhook_payload", crate::webhooks::fuzzing::webhook_payload),
    #[cfg(feature = "webhooks-journal")]
    ("journal_record", crate::webhooks::fuzzing::journal_record),
];

/// Runs a target on an input. An unknown name is an error of the caller.
pub fn run(name: &str, input: &[u8]) {
    match TARGETS.iter().find(|(known, _)| *known == name) {
        Some((_, target)) => target(input),
        None => panic!("there is no fuzz target {name}"),
    }
}

/// Parses headers: each line is the letter of a name, from `a`, and the value.
pub(crate) fn headers(input: &[u8], names: &[HeaderName]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // A server's headers are bounded as well: hyper reads 100.
    for line in input.split(|byte| *byte == b'\n').take(100) {
        let Some((letter, value)) = line.split_first() else { continue };
        let name = names.get(usize::from(letter.wrapping_sub(b'a')));
        if let (Some(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// Splits an input at its first line break.
pub(crate) fn first_line(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    (&input[..end], input.get(end + 1..).unwrap_or_default())
}

/// Parses rate-limit headers, `Retry-After` and `Date`.
pub fn rate_limit(input: &[u8]) {
    let names = [
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "x-ratelimit-used",
        "x-ratelimit-resource",
        "retry-after",
        "date",
    ];
    let headers = headers(input, &names.map(HeaderName::from_static));
    if let Some(limits) = crate::headers::rate_limit::RateLimitHeaders::read(&headers) {
        assert!(limits.ends_in <= Duration::from_secs(2 * 60 * 60), "{:?}", limits.ends_in);
    }
    let _ = crate::RateLimitStatus::from_headers(&headers);
    if let Some(wait) = crate::headers::retry_after::retry_after(&headers) {
        assert!(wait <= Duration::from_secs(24 * 60 * 60), "{wait:?}");
    }
}

/// Parses the body of an error response: the first byte chooses the status, the first line is `Content-Type`.
pub fn error_body(input: &[u8]) {
    let (line, body) = first_line(input);
    let Some((status, rest)) = line.split_first() else { return };
    let status = [400, 401, 403, 404, 422, 429, 500, 503][usize::from(status & 7)];
    let names = ["content-type", "retry-after", "x-github-sso", "x-accepted-github-permissions"];
    let line: Vec<u8> = rest.iter().map(|byte| if *byte == b'|' { b'\n' } else { *byte }).collect();
    let error = crate::Error::from_response(
        &OperationName::Borrowed("issues/get"),
        StatusCode::from_u16(status).unwrap_or_default(),
        headers(&line, &names.map(HeaderName::from_static)),
        body,
        body,
    );
    check_error(&error, body);
}

/// Decodes a response that is a list of unions, and formats its error if it does not decode.
pub fn union(input: &[u8]) {
    let raw = || RawResponse {
        operation: OperationName::Borrowed("issues/list-events-for-timeline"),
        status: StatusCode::OK,
        headers: crate::response::response_headers::ResponseHeaders::default(),
        url: GITHUB.parse().expect("it is a URL"),
        body: RawBody::Bytes(Bytes::copy_from_slice(input)),
        cache_status: CacheStatus::Miss,
        age: None,
        from_external_host: false,
    };
    match raw().json::<Vec<types::TimelineIssueEvents>>() {
        Ok(events) => {
            // A value that was read can be written, and read again as an equal value.
            let written =
                serde_json::to_value(&*events).expect("a decoded value does not serialize");
            let again: Vec<types::TimelineIssueEvents> = serde_json::from_value(written.clone())
                .expect("a serialized value does not decode");
            let again = serde_json::to_value(&again).expect("a decoded value does not serialize");
            assert_eq!(written, again);
        }
        Err(error) => check_error(&error, input),
    }
    if let Err(error) = raw().json::<types::IssueEventForIssue>() {
        check_error(&error, input);
    }
}

fn check_error(error: &crate::Error, body: &[u8]) {
    let shown = error.to_string();
    assert!(shown.len() <= MAX_MESSAGE, "{} bytes of message", shown.len());
    assert!(!shown.contains(['\n', '\r', '\u{1b}', '\0']), "{shown:?}");
    assert_eq!(error.body().map(|body| &body[..]), Some(body));
}

/// Sanitizes a text: the first byte is its maximum length.
pub fn sanitize(input: &[u8]) {
    let Some((max, rest)) = input.split_first() else { return };
    let max = usize::from(*max).max(1);
    let shown = sanitize::bytes(rest, max);
    assert!(shown.chars().count() <= max, "{shown:?}");
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    assert!(!shown.contains(['\u{200e}', '\u{202e}', '\u{2066}', '\u{2028}']), "{shown:?}");
    if let Ok(text) = std::str::from_utf8(rest) {
        assert_eq!(sanitize::text(text, max), shown);
    }
    // A token at the start of a word is redacted whatever precedes it. The input can contain the same text within a
    // word.
    let token = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
    let with_token = [rest, b" ", token.as_bytes()].concat();
    assert!(!sanitize::bytes(&with_token, usize::MAX / 8).ends_with(token));
    assert!(sanitize::body(rest, usize::MAX).len() <= rest.len() * 4 + 64);
}

/// Locates an error in a body: two bytes of a line and a column, and the body.
pub fn locate(input: &[u8]) {
    let Some((place, body)) = input.split_first_chunk::<4>() else { return };
    let [line, column] = [[place[0], place[1]], [place[2], place[3]]].map(u16::from_le_bytes);
    assert!(json_path::locate(body, line.into(), column.into()).starts_with('$'));
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        let path = json_path::locate(body, error.line(), error.column());
        assert!(path.starts_with('$'), "{path}");
    }
}

/// Matches a method, a space and a path against templates of each kind.
#[cfg(feature = "contract")]
pub fn path_matcher(input: &[u8]) {
    use std::sync::OnceLock;

    use crate::contract::ApiDescription;

    const PATHS: [&str; 9] = [
        "/",
        "/repos/{owner}/{repo}",
        "/repos/{owner}/{repo}/releases/latest",
        "/repos/{owner}/{repo}/releases/{release_id}",
        "/repos/{owner}/{repo}/compare/{basehead}",
        "/repos/{owner}/{repo}/compare/{base}...{head}",
        "/repos/{owner}/{repo}/contents/{path}",
        "/repos/{owner}/{repo}/branches/{branch}/protection",
        "/repos/{owner}/{repo}/git/ref/{ref}",
    ];
    static DOCUMENT: OnceLock<ApiDescription> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| {
        let paths = PATHS.iter().map(|path| {
            let names = path.split('{').skip(1).filter_map(|part| part.split('}').next());
            let parameters: Vec<_> = names
                .map(|name| {
                    let multi = ["path", "branch", "ref"].contains(&name);
                    serde_json::json!({
                        "name": name,
                        "in": "path",
                        "required": true,
                        "schema": { "type": "string" },
                        "x-multi-segment": multi,
                    })
                })
                .collect();
            let operation = serde_json::json!({ "operationId": path, "parameters": parameters, "responses": {} });
            ((*path).to_owned(), serde_json::json!({ "get": operation }))
        });
        let paths: serde_json::Map<_, _> = paths.collect();
        let document = serde_json::json!({ "openapi": "3.0.3", "info": { "title": "", "version": "1" }, "paths": paths });
        let document = ApiDescription::from_slice(document.to_string().as_bytes());
        document.expect("the description is valid")
    });
    let Ok(path) = std::str::from_utf8(input) else { return };
    if let Some(operation) = document.operation_at(&http::Method::GET, path) {
        assert!(PATHS.contains(&operation.path()), "{}", operation.path());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn corpus() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
    }

    #[test]
    fn the_corpus_of_each_target_is_replayed() {
        let mut bytes = 0;
        for (name, target) in TARGETS {
            let inputs = fs::read_dir(corpus().join(name));
            let inputs = inputs.unwrap_or_else(|error| panic!("the corpus of {name}: {error}"));
            let mut count = 0;
            for input in inputs {
                let path = input.unwrap().path();
                let input = fs::read(&path).unwrap();
                println!("{}", path.display());
                target(&input);
                count += 1;
                bytes += input.len();
            }
            assert!(count > 0, "{name} has no input");
        }
        assert!(bytes < 300_000, "{bytes} bytes: minimize the corpus");
    }

    #[test]
    fn each_target_has_a_program_and_each_program_a_target() {
        let manifest = fs::read_to_string(corpus().join("../Cargo.toml")).unwrap();
        let programs =
            manifest.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        let mut programs: Vec<_> = programs.filter(|name| !name.starts_with("octowire")).collect();
        // The overlay is part of the build, whose tests replay it.
        let mut targets: Vec<_> =
            TARGETS.iter().map(|(name, _)| *name).chain(["overlay"]).collect();
        programs.sort_unstable();
        targets.sort_unstable();
        assert_eq!(programs, targets);
        for name in programs {
            assert!(corpus().join(format!("../fuzz_targets/{name}.rs")).exists(), "{name}");
        }
    }
}

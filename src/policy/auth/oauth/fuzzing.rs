//! Entry points for fuzzers.
#![allow(clippy::expect_used, clippy::panic, reason = "a fuzz target fails by a panic")]

use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use secrecy::SecretString;

use super::errors::GrantType;
use super::token_endpoint::TokenEndpointResponse;
use crate::fuzzing::{first_line, headers};

const SECRET: &str = "c4n4ry-of-the-fuzzer";

/// Parses a response of a token endpoint: the first byte chooses the status.
pub(crate) fn oauth_response(input: &[u8]) {
    let Some((status, rest)) = input.split_first() else { return };
    let status = [200, 201, 400, 401, 403, 404, 429, 500][usize::from(status & 7)];
    let (line, body) = first_line(rest);
    let reply = || {
        TokenEndpointResponse::read(
            "GitHub",
            "oauth",
            StatusCode::from_u16(status).unwrap_or_default(),
            headers(line, &[CONTENT_TYPE, RETRY_AFTER]),
            body,
            vec![SecretString::from(SECRET)],
        )
    };
    let _ = (reply().code(), reply().is_transient(), reply().retry_after());
    for grant in [GrantType::Code, GrantType::Refresh] {
        if let Err(error) = reply().token(grant) {
            let mut shown = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                shown.push_str(&cause.to_string());
                source = cause.source();
            }
            assert!(!shown.contains(SECRET), "{shown}");
        }
    }
}

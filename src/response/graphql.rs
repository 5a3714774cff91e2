//! The responses of GitHub's GraphQL API.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::codec::from_json;
use crate::error::graphql::{GraphQlError, GraphQlErrors, read_errors, text};
use crate::error::{Error, ErrorKind, Result, indicates_rate_limit, rate_limit_advice};
use crate::response::{RawBody, RawResponse, Response};

#[derive(Deserialize)]
struct GraphQlResponse<T> {
    data: Option<T>,
    #[serde(default, deserialize_with = "read_errors")]
    errors: Vec<GraphQlError>,
    /// A secondary rate limit can have the form of a REST API error, with a 200.
    message: Option<Value>,
}

/// Returns whether the response reports a rate limit, and nothing else.
pub(crate) fn is_rate_limited<U>(raw: &RawResponse<U>) -> bool {
    let RawBody::Bytes(body) = &raw.body else { return false };
    let speaks_of_it = || {
        let words: [&[u8]; 3] = [b"rate_limit", b"rate limit", b"abuse dete"];
        let same = |part: &[u8]| words.iter().any(|word| part.eq_ignore_ascii_case(word));
        body.windows(words[0].len()).any(same)
    };
    if body.len() > MAX_REJECTION_BYTES || !speaks_of_it() {
        return false;
    }
    let Ok(GraphQlResponse { data: None, errors, message }) =
        serde_json::from_slice::<GraphQlResponse<Value>>(body)
    else {
        return false;
    };
    let message = message.and_then(text).unwrap_or_default();
    errors.iter().any(|error| error.is_rate_limit(raw.headers.map()))
        || (errors.is_empty() && indicates_rate_limit(&message, raw.headers.map()))
}

/// GitHub's rejections are a few hundred bytes.
const MAX_REJECTION_BYTES: usize = 16 * 1024;

/// Reads the response once if it has no errors, and a second time to distinguish errors from a type that does not
/// match: GitHub sets the parent of a failed field to null, whether or not `T` allows it.
pub(crate) fn decode<T: DeserializeOwned>(raw: RawResponse) -> Result<Response<T>> {
    let RawBody::Bytes(body) = &raw.body else {
        return raw.decode(|body| from_json(body));
    };
    let response: serde_json::Result<GraphQlResponse<T>> = from_json(body);
    let reason = match response {
        Ok(GraphQlResponse { data: Some(data), errors, .. }) if errors.is_empty() => {
            return raw.decode(|_| Ok(data));
        }
        Ok(_) => serde::de::Error::custom("a response with neither data nor errors"),
        Err(error) => error,
    };
    match serde_json::from_slice(body) {
        Ok(GraphQlResponse::<Value> { data, errors, .. }) if !errors.is_empty() => {
            Err(failed(raw, GraphQlErrors { errors, data }))
        }
        Ok(GraphQlResponse { data: None, message: Some(message), .. }) => {
            let message = text(message).unwrap_or_default();
            let errors = vec![GraphQlError { message, ..GraphQlError::default() }];
            Err(failed(raw, GraphQlErrors { errors, data: None }))
        }
        _ => Err(raw.decode_error(reason)),
    }
}

fn failed(raw: RawResponse, mut errors: GraphQlErrors) -> Error {
    let rate_limited = errors.errors.iter().any(|error| error.is_rate_limit(raw.headers.map()));
    let is_not_found = errors.errors.iter().any(|e| e.kind.as_deref() == Some("NOT_FOUND"));
    // Decisions use the text as it was sent. The data belongs to the program.
    errors.errors.iter_mut().for_each(GraphQlError::redact_secrets);
    let advice = if rate_limited {
        Cow::Owned(rate_limit_advice(raw.headers.map()))
    } else if is_not_found {
        "the token might not have access to it; see Error::graphql for all errors and partial data"
            .into()
    } else {
        "see Error::graphql for all errors and partial data".into()
    };
    let shown: Vec<_> = errors.errors.iter().take(3).map(ToString::to_string).collect();
    let more = match errors.errors.len() {
        0..=3 => String::new(),
        count => format!(", and {} more", count.saturating_sub(3)),
    };
    let message = format!("GitHub returned GraphQL errors: {}{more}", shown.join(", "));
    let error = Error::new(ErrorKind::GraphQl, message)
        .with_operation(&raw.operation)
        .with_advice(advice)
        .with_rate_limited(rate_limited)
        .with_retryable(rate_limited)
        .with_response(raw.status, raw.headers.into_map())
        .with_graphql(errors);
    match raw.body {
        RawBody::Bytes(body) => error.with_body(&body),
        RawBody::Stream(_) => error,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::response::CacheStatus;
    use crate::response::response_headers::ResponseHeaders;
    use crate::sanitize::{self, HIDDEN};

    fn raw(body: &Value) -> RawResponse {
        RawResponse {
            operation: "POST /graphql".into(),
            status: http::StatusCode::OK,
            headers: ResponseHeaders::default(),
            url: "https://api.github.com/graphql".parse().unwrap(),
            body: RawBody::Bytes(body.to_string().into()),
            cache_status: CacheStatus::Bypass,
            age: None,
            from_external_host: false,
        }
    }

    #[test]
    fn an_error_prints_bounded_lines_without_tokens() {
        const TOKEN: &str = "ghs_16C7e42F292c6912E7710c838347Ae17";
        let foreign = format!("a\n\u{202e}{TOKEN} {}", "long ".repeat(300));
        let error = |text: &str| {
            json!({
                "message": text,
                "type": text,
                "path": vec![json!({ (text): [text] }); 40],
                "locations": vec![json!({ "line": 1, "column": 2 }); 5_000],
                "extensions": { (text): text, "list": vec![text; 5] },
            })
        };
        let one = GraphQlError::read(error(&foreign));
        for (shown, max) in
            [(format!("{one:?}"), 9_000), (one.to_string(), 9_000), (format!("{one:#?}"), 20_000)]
        {
            assert!(!shown.contains("ghs_") && shown.contains(HIDDEN), "{shown}");
            assert!(!shown.contains('\u{202e}') && shown.len() < max, "{}: {shown}", shown.len());
        }
        assert!(!format!("{one:?}{one}").contains(char::is_control));
        let body = json!({ "data": null, "errors": vec![error(&foreign); 30] });
        let failed = decode::<Value>(raw(&body)).err().unwrap();
        let shown = format!("{:?}", failed.graphql().unwrap());
        assert!(!shown.contains("ghs_") && shown.len() < 250_000, "{}", shown.len());

        let plain = GraphQlError::read(json!({
            "message": "Could not resolve", "type": "NOT_FOUND", "path": ["user", 0, "name"],
        }));
        assert_eq!(plain.to_string(), "NOT_FOUND: \"Could not resolve\" at user.0.name");
        assert!(format!("{plain:?}").contains("message: \"Could not resolve\""), "{plain:?}");
    }

    #[test]
    fn a_secret_in_a_response_changes_neither_data_nor_classification() {
        let limit = "You have exceeded a sEcOnDaRy RaTe LiMiT of GraphQL";
        for secret in [limit, "gr4phql-s3cret", "60718293544"] {
            sanitize::remember(secret.as_bytes());
        }
        let data = json!({ "id": 60_718_293_544_u64, "gr4phql-s3cret": ["gr4phql-s3cret", limit] });
        let error = json!({
            "message": limit,
            "path": ["gr4phql-s3cret", 60_718_293_544_u64],
            "extensions": { "at": 60_718_293_544_u64, "why": "gr4phql-s3cret" },
        });
        let body = json!({ "data": data, "errors": [error] });
        let failed = decode::<Value>(raw(&body)).err().unwrap();
        let errors = failed.graphql().unwrap();
        assert_eq!(errors.data.as_ref(), Some(&data));
        let GraphQlError { message, path, extensions, .. } = &errors.errors[0];
        assert_eq!((message.as_str(), &path[..]), (HIDDEN, &[json!(HIDDEN), json!(HIDDEN)][..]));
        assert_eq!(extensions, &json!({ "at": HIDDEN, "why": HIDDEN }));
        let kept: Value = serde_json::from_slice(failed.body().unwrap()).unwrap();
        assert_eq!(kept["data"]["id"], HIDDEN);
        let shown = format!("{failed:?} {failed} {errors:?} {:?}", failed.body());
        for secret in [limit, "gr4phql-s3cret", "60718293544"] {
            assert!(!shown.contains(secret), "{shown}");
        }

        for body in [
            json!({ "errors": [{ "message": limit }], "n": 60_718_293_544_u64 }),
            json!({ "message": limit }),
        ] {
            assert!(is_rate_limited(&raw(&body)));
            let failed = decode::<Value>(raw(&body)).err().unwrap();
            assert!(failed.is_rate_limited() && failed.is_retryable(), "{failed}");
        }
        // No errors: the response belongs to the program.
        let body = json!({ "data": data });
        assert_eq!(*decode::<Value>(raw(&body)).unwrap(), data);
    }
}

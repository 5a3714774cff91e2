//! GitHub's GraphQL API, which uses the same request path as the REST API.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use crate::client::Client;
use crate::error::graphql::{GraphQlError, GraphQlErrors, read_errors, text};
use crate::error::{Error, ErrorKind, Result, indicates_rate_limit, rate_limit_advice};
use crate::observability::observer::CallObserver;
use crate::pipeline::{BodyMode, CallOutcome, execute_uncounted, instrument};
use crate::request::Request;
use crate::response::{RawBody, RawResponse, Response, ResponseFuture};

impl Client {
    /// Sends a query or mutation to the
    /// [GraphQL API](https://docs.github.com/en/graphql) and decodes its `data`.
    ///
    /// Pass values as `variables`, an object, never as part of the query text; `()` for none.
    ///
    /// # Errors
    /// A response with `errors` is an error of the kind [`ErrorKind::GraphQl`], even if it contains a part of the data:
    /// [`Error::graphql`] has both. A rate limit is also [reported](Error::is_rate_limited) as such here, whether
    /// GitHub responds with 200, 403 or 429.
    ///
    /// ```no_run
    /// # async fn example(client: octowire::Client) -> octowire::Result<()> {
    /// use serde_json::{Value, json};
    ///
    /// let query = "query($login: String!) { user(login: $login) { name } }";
    /// let variables = json!({ "login": "octocat" });
    /// let data = client.graphql::<Value>(query, variables).await?;
    /// println!("{}", data["user"]["name"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn graphql<T: DeserializeOwned>(
        &self,
        query: impl AsRef<str>,
        variables: impl Serialize,
    ) -> ResponseFuture<T> {
        let url = self.handle().endpoints.graphql().clone();
        let request = Request::url(self, Method::POST, "POST /graphql", url)
            .json(&GraphQlRequest { query: query.as_ref(), variables })
            .graphql(is_mutation(query.as_ref()));
        ResponseFuture::new(execute(request), decode)
    }
}

/// How often a call is sent again after a rejection by a rate limit.
const MAX_RATE_LIMIT_RETRIES: u32 = 8;

/// Runs one call, which is sent again if GitHub rejects it because of a rate limit, which GitHub can report with a 200.
/// Then GitHub has done nothing, and the limits determine when to retry.
async fn execute(request: Request) -> CallOutcome {
    let observed = CallObserver::begin(&request);
    let response = async move {
        let (mut refused, began) = (None, Instant::now());
        for _ in 0..MAX_RATE_LIMIT_RETRIES {
            // The longest wait applies to all attempts together.
            let waited = refused.as_ref().map_or(Duration::ZERO, |_| began.elapsed());
            let again = request.clone().with_waited(waited);
            match (execute_uncounted(again, BodyMode::Buffered).await, refused.take()) {
                (Ok(raw), _) if is_rate_limited(&raw) => refused = Some(raw),
                // GitHub's message is more useful than the reason for not retrying.
                (Err(error), Some(before)) if error.kind() == ErrorKind::RateLimit => {
                    return Ok(before);
                }
                (response, _) => return response,
            }
        }
        match refused {
            Some(raw) => Ok(raw),
            None => execute_uncounted(request, BodyMode::Buffered).await,
        }
    };
    instrument(observed, pin!(response)).await
}

/// Returns whether the response reports a rate limit, and nothing else.
pub(crate) fn is_rate_limited(raw: &RawResponse) -> bool {
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
    errors.iter().any(|error| error.is_rate_limit(&raw.headers))
        || (errors.is_empty() && indicates_rate_limit(&message, &raw.headers))
}

/// GitHub's rejections are a few hundred bytes.
const MAX_REJECTION_BYTES: usize = 16 * 1024;

/// Returns whether a document contains a mutation: an operation is named outside of all braces.
fn is_mutation(document: &str) -> bool {
    let (mut depth, mut word) = (0_u32, String::new());
    let mut characters = document.chars().peekable();
    while let Some(character) = characters.next() {
        if character.is_ascii_alphanumeric() || character == '_' {
            word.push(character);
            continue;
        }
        if depth == 0 && word == "mutation" {
            return true;
        }
        word.clear();
        match character {
            '#' => while characters.next_if(|next| *next != '\n').is_some() {},
            '"' => {
                // Strings occur within braces and parentheses only, except for descriptions.
                let mut escaped = false;
                for next in characters.by_ref() {
                    match next {
                        '"' if !escaped => break,
                        _ => escaped = next == '\\' && !escaped,
                    }
                }
            }
            '{' | '(' => depth = depth.saturating_add(1),
            '}' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    depth == 0 && word == "mutation"
}

#[derive(Serialize)]
struct GraphQlRequest<'a, V> {
    query: &'a str,
    variables: V,
}

#[derive(Deserialize)]
struct GraphQlResponse<T> {
    data: Option<T>,
    #[serde(default, deserialize_with = "read_errors")]
    errors: Vec<GraphQlError>,
    /// A secondary rate limit can have the form of a REST API error, with a 200.
    message: Option<Value>,
}

/// Reads the response once if it has no errors, and a second time to distinguish errors from a type that does not
/// match: GitHub sets the parent of a failed field to null, whether or not `T` allows it.
fn decode<T: DeserializeOwned>(raw: RawResponse) -> Result<Response<T>> {
    let RawBody::Bytes(body) = &raw.body else {
        return raw.decode(|body| serde_json::from_slice(body));
    };
    let response: serde_json::Result<GraphQlResponse<T>> = serde_json::from_slice(body);
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
    let rate_limited = errors.errors.iter().any(|error| error.is_rate_limit(&raw.headers));
    let is_not_found = errors.errors.iter().any(|e| e.kind.as_deref() == Some("NOT_FOUND"));
    // Decisions use the text as it was sent. The data belongs to the program.
    errors.errors.iter_mut().for_each(GraphQlError::redact_secrets);
    let advice = if rate_limited {
        Cow::Owned(rate_limit_advice(&raw.headers))
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
        .with_response(raw.status, Arc::unwrap_or_clone(raw.headers))
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
    use crate::policy::cache::CacheStatus;
    use crate::sanitize::{self, HIDDEN};

    fn raw(body: &Value) -> RawResponse {
        RawResponse {
            operation: "POST /graphql".into(),
            status: http::StatusCode::OK,
            headers: Arc::default(),
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

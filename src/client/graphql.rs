//! GitHub's GraphQL API, which uses the same request path as the REST API.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::pin::pin;
use std::time::Duration;

use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::client::{Client, ResponseFuture};
use crate::error::ErrorKind;
use crate::pipeline::{BodyMode, CallOutcome, execute_uncounted, instrument, observe_call};
use crate::request::Request;
use crate::response::graphql::{decode, is_rate_limited};

impl Client {
    /// Sends a query or mutation to the
    /// [GraphQL API](https://docs.github.com/en/graphql) and decodes its `data`.
    ///
    /// Pass values as `variables`, an object, never as part of the query text; `()` for none.
    ///
    /// # Errors
    /// A response with `errors` is an error of the kind [`ErrorKind::GraphQl`], even if it contains a part of the data:
    /// [`Error::graphql`](crate::Error::graphql) has both. A rate limit is also
    /// [reported](crate::Error::is_rate_limited) as such here, whether GitHub responds with 200, 403 or 429.
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
    let observed = observe_call(&request);
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

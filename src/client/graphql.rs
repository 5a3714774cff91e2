//! GitHub's GraphQL API, which uses the same request path as the REST API.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Client, Request, ResponseFuture};
use crate::pipeline::{BodyMode, execute};
use crate::request::RequestDraft;
use crate::response::graphql::decode;

impl Client {
    /// Sends a query or mutation to the
    /// [GraphQL API](https://docs.github.com/en/graphql) and decodes its `data`.
    ///
    /// Pass values as `variables`, an object, never as part of the query text; `()` for none.
    ///
    /// # Errors
    /// A response with `errors` is an error of the kind [`ErrorKind::GraphQl`](crate::ErrorKind::GraphQl), even if it contains a part of the data:
    /// [`Error::graphql`](crate::Error::graphql) has both. A rate limit is also [reported](crate::Error::is_rate_limited) as such here, whether
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
        let url = self.handle().shared.endpoints.graphql().clone();
        let mut draft = RequestDraft::graphql(url, is_mutation(query.as_ref()));
        draft.set_json(&GraphQlRequest { query: query.as_ref(), variables });
        let call = Request::of(self, draft).into_call();
        ResponseFuture::new(execute(call, BodyMode::Buffered), decode)
    }
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

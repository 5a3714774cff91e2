//! GitHub's GraphQL API, over the same request path as everything else.

use std::fmt;

use http::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::{Reading, call};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Line, Result};
use crate::request::Request;
use crate::response::{Raw, RawBody, Response, ResponseFuture};

impl Client {
    /// Sends a query or mutation to the
    /// [GraphQL API](https://docs.github.com/en/graphql) and decodes its `data`.
    ///
    /// Give values as `variables`, an object, never by writing them into the query; `()` for none.
    ///
    /// # Errors
    /// An answer with `errors` is an error of the kind [`ErrorKind::GraphQl`], even if a part of
    /// the data came with it: [`Error::graphql`] has both.
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
        let url = self.inner().origins.graphql().clone();
        let request = Request::url(self, Method::POST, "POST /graphql", url)
            .json(&Query { query: query.as_ref(), variables });
        ResponseFuture::new(call(request, Reading::Buffered), decode)
    }
}

#[derive(Serialize)]
struct Query<'a, V> {
    query: &'a str,
    variables: V,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: Option<T>,
    #[serde(default)]
    errors: Option<Vec<GraphQlError>>,
}

/// The errors of a GraphQL answer, and the data that came nevertheless.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GraphQlErrors {
    /// What GitHub says went wrong; at least one.
    pub errors: Vec<GraphQlError>,
    /// The part of the data that could be had, as it came.
    pub data: Option<Value>,
}

/// One [error](https://spec.graphql.org/October2021/#sec-Errors) of a GraphQL answer.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct GraphQlError {
    /// What went wrong, in words.
    #[serde(default)]
    pub message: String,
    /// GitHub's kind of error, such as `NOT_FOUND`, `FORBIDDEN` or `RATE_LIMITED`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The field it happened at: names, and indices into lists.
    #[serde(default)]
    pub path: Vec<Value>,
    /// The places in the query that it concerns.
    #[serde(default)]
    pub locations: Vec<GraphQlLocation>,
    /// Anything else that GitHub adds.
    #[serde(default)]
    pub extensions: Value,
}

/// A place in the text of a query; both count from 1.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[non_exhaustive]
pub struct GraphQlLocation {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

impl fmt::Display for GraphQlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = &self.kind {
            write!(f, "{}: ", Line(kind))?;
        }
        write!(f, "\"{}\"", Line(&self.message))?;
        if !self.path.is_empty() {
            f.write_str(" at ")?;
        }
        for (index, step) in self.path.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            match step.as_str() {
                Some(name) => write!(f, "{dot}{}", Line(name))?,
                None => write!(f, "{dot}{step}")?,
            }
        }
        Ok(())
    }
}

/// Reads the answer once if all is well, and once more to tell errors from a type that
/// does not fit: GitHub nulls what a failed field was in, whether or not `T` allows it.
fn decode<T: DeserializeOwned>(raw: Raw) -> Result<Response<T>> {
    let RawBody::Bytes(body) = &raw.body else {
        return raw.decode(|body| serde_json::from_slice(body));
    };
    let answer: serde_json::Result<Answer<T>> = serde_json::from_slice(body);
    let reason = match answer {
        Ok(Answer { data: Some(data), errors: None }) => return raw.decode(|_| Ok(data)),
        Ok(_) => serde::de::Error::custom("an answer with neither data nor errors"),
        Err(error) => error,
    };
    match serde_json::from_slice(body) {
        Ok(Answer::<Value> { data, errors: Some(errors) }) if !errors.is_empty() => {
            Err(failed(raw, GraphQlErrors { errors, data }))
        }
        // An empty list of errors is none.
        Ok(Answer { data: Some(_), .. }) => raw.decode(|body| {
            let answer: Answer<T> = serde_json::from_slice(body)?;
            answer.data.ok_or(reason)
        }),
        _ => Err(raw.undecodable(reason)),
    }
}

fn failed(raw: Raw, errors: GraphQlErrors) -> Error {
    let is = |kind: &str| {
        let mut kinds = errors.errors.iter().map(|error| error.kind.as_deref());
        kinds.any(|found| found == Some(kind))
    };
    let rate_limited = is("RATE_LIMITED") || is("RATE_LIMIT");
    let advice = if rate_limited {
        "a rate limit is reached: see x-ratelimit-reset in Error::headers"
    } else if is("NOT_FOUND") {
        "the token may not be allowed to see it; Error::graphql has all errors and partial data"
    } else {
        "Error::graphql has all errors and the partial data"
    };
    let shown: Vec<_> = errors.errors.iter().take(3).map(ToString::to_string).collect();
    let more = match errors.errors.len() {
        0..=3 => String::new(),
        count => format!(", and {} more", count - 3),
    };
    let message = format!("GitHub answered with errors: {}{more}", shown.join(", "));
    let error = Error::new(ErrorKind::GraphQl, message)
        .with_operation(&raw.operation)
        .with_advice(advice)
        .with_rate_limited(rate_limited)
        .with_retryable(rate_limited)
        .with_answer(raw.status, raw.headers)
        .with_graphql(errors);
    match raw.body {
        RawBody::Bytes(body) => error.with_body(body),
        RawBody::Stream(_) => error,
    }
}

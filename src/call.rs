//! THE REQUEST PATH: one call, from a request to its answer.
//!
//! [`call`] happens once for a call, [`attempt`] once for each time that it is sent. This file is
//! the only one that knows all policies, and their order is the order of the code.

use std::pin::pin;

use tokio::time::sleep;
use tracing::{Instrument, Span, debug, field, info_span};

use crate::attempts::Attempts;
use crate::auth::Passes;
use crate::body::{ByteStream, collect, too_large};
use crate::circuit::{Trial, is_failure};
use crate::deadline::{Limit, within};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{Outcome, Patience, Permit, Told};
use crate::operation::Label;
use crate::ready::Polls;
use crate::redirects::{self, MAX_REDIRECTS};
use crate::request::{Prepared, Request};
use crate::response::{Raw, RawBody, request_id};

/// How the body of the answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Buffered,
    Streamed,
}

impl Reading {
    /// What a call waits for.
    fn awaited(self) -> &'static str {
        match self {
            Self::Buffered => "no complete answer",
            Self::Streamed => "no answer",
        }
    }
}

/// One call, however many attempts it takes.
///
/// Policies stand in this order: observe, cache lookup, coalesce, retry.
pub(crate) async fn call(request: Request, reading: Reading) -> Result<Raw> {
    let operation = request.label().clone();
    let span = info_span!(
        "github",
        operation = &*operation,
        status = field::Empty,
        request_id = field::Empty,
    );
    // Pinned where it is made: what wraps it would copy its two kilobytes otherwise.
    let answer = pin!(async {
        let prepared = request.prepare()?;
        tried(&prepared, &operation, reading).await
    });
    let answer = answer.instrument(span.clone()).await;
    observe(&span, &answer);
    answer.map_err(|error| error.with_operation(&operation))
}

/// Attempts, until one succeeds or nothing else may help.
///
/// Policies stand in this order in each: limits admit, auth signs, the transport sends, limits
/// learn.
async fn tried(prepared: &Prepared, operation: &Label, reading: Reading) -> Result<Raw> {
    prepared.client().inner().retry_budget.earn();
    let limit = &prepared.limit;
    let mut attempts = Attempts::new();
    let mut polls = Polls::of(prepared);
    loop {
        let (mut permit, trial) = match admit(prepared).await {
            Ok(admitted) => admitted,
            Err(error) => return Err(attempts.held_back(error)),
        };
        let passes = pin!(Passes::of(prepared));
        let passes = match within([limit, limit], passes).await {
            Ok(Ok(passes)) => passes,
            Ok(Err(error)) => return Err(attempts.end(error)),
            Err(late) => return Err(attempts.end(timed_out("no token", late))),
        };
        if let Some(permit) = &mut permit {
            permit.sent();
        }
        let answer = attempt(prepared, &passes, operation, reading).await;
        learn(prepared, permit, trial, &answer);
        let pause = match answer {
            Ok(answer) => match polls.as_mut().map(|polls| polls.again(prepared, &answer)) {
                Some(Ok(Some(pause))) => {
                    debug!(?pause, "the answer is not ready");
                    prepared.waited(pause);
                    pause
                }
                Some(Err(error)) => return Err(attempts.end(error)),
                Some(Ok(None)) | None => return Ok(answer),
            },
            Err(error) => {
                let pause = attempts.again(prepared, &passes, error)?;
                debug!(?pause, "another attempt");
                pause
            }
        };
        sleep(pause).await;
    }
}

/// Waits until limits let the call through, unless its server fails all the time.
async fn admit(prepared: &Prepared) -> Result<(Option<Permit>, Option<Trial>)> {
    if prepared.is_elsewhere() {
        return Ok((None, None));
    }
    let circuit = prepared.circuit();
    circuit.check()?;
    let lane = prepared.client().lane();
    let patience = Patience { at_most: prepared.patience() };
    let permit = pin!(lane.admit(prepared.cost(), prepared.priority, patience)).await?;
    prepared.waited(permit.waited);
    Ok((Some(permit), Some(circuit.pass()?)))
}

/// Tells limits and the circuit what came of an attempt.
fn learn(prepared: &Prepared, permit: Option<Permit>, trial: Option<Trial>, answer: &Result<Raw>) {
    let (headers, error) = match answer {
        Ok(answer) => (Some(&answer.headers), None),
        Err(error) => (error.headers(), Some(error)),
    };
    if let Some(trial) = trial {
        // A caller in a hurry says nothing of the server.
        let hurried = error.is_some_and(Error::is_timeout) && prepared.limit.left().is_zero();
        if !hurried {
            trial.end(error.is_some_and(is_failure));
        }
    }
    let Some(permit) = permit else { return };
    let Some(headers) = headers else {
        let never = error.is_some_and(Error::never_reached);
        return permit.end(if never { Outcome::Unsent } else { Outcome::Unanswered });
    };
    let told = Told::read(headers);
    if let Some((operation, told)) = prepared.operation().zip(told) {
        prepared.client().inner().limits.learn(operation, told.resource);
    }
    let limited = error.filter(|error| error.is_rate_limited());
    permit.end(match limited {
        // The primary limit ends when the headers say.
        Some(error) if told.is_none_or(|told| told.remaining > 0) => {
            Outcome::Limited(told, error.retry_after())
        }
        _ => Outcome::Answered(told),
    });
}

/// One attempt: the request with its redirects, and the answer read in time.
async fn attempt(
    prepared: &Prepared,
    passes: &Passes,
    operation: &Label,
    reading: Reading,
) -> Result<Raw> {
    let client = prepared.client().inner();
    let exchange = pin!(async {
        let answer = send(prepared, passes).await?;
        read(answer, prepared, passes, operation, reading).await
    });
    let limit = Limit::new(client.attempt_timeout, prepared.slack.as_ref());
    let answer = match within([&limit, &prepared.limit], exchange).await {
        Ok(answer) => answer,
        Err(late) => Err(timed_out(reading.awaited(), late)),
    };
    debug!(
        method = prepared.method().as_str(),
        path = prepared.template(),
        status = answer_status(&answer),
        request_id = answer_id(&answer),
        failed = answer.as_ref().err().map(field::display),
        "attempt"
    );
    answer
}

/// Sends the request and follows its redirects; only trusted servers get the token.
async fn send(prepared: &Prepared, passes: &Passes) -> Result<reqwest::Response> {
    let client = prepared.client().inner();
    let mut hop = prepared.first_hop();
    for _ in 0..=MAX_REDIRECTS {
        let (method, with_body) = (hop.method.clone(), hop.with_body);
        let request = prepared.request(hop, passes)?;
        let answer = client.http.execute(request).await;
        let answer = answer.map_err(|error| prepared.unsent(error))?;
        if prepared.is_elsewhere() {
            return Ok(answer);
        }
        let heard = (answer.status(), answer.headers());
        match redirects::next(&client.origins, answer.url(), &method, with_body, heard)? {
            Some(next) => hop = next,
            None => return Ok(answer),
        }
    }
    Err(redirects::too_many())
}

/// Reads the answer: a success as it is wanted, anything else as an error.
async fn read(
    mut answer: reqwest::Response,
    prepared: &Prepared,
    passes: &Passes,
    operation: &Label,
    reading: Reading,
) -> Result<Raw> {
    let client = prepared.client().inner();
    let (status, url) = (answer.status(), answer.url().clone());
    let headers = std::mem::take(answer.headers_mut());
    // What another server refuses is read by whoever asked: it may repeat a secret.
    if !status.is_success() && !prepared.is_elsewhere() {
        let limit = client.max_body_bytes.min(MAX_ERROR_BYTES);
        // The status says more than a body that broke off.
        let body = collect(&mut answer, limit).await.unwrap_or_default().0;
        let body = passes.conceal(prepared, body);
        return Err(Error::from_answer(operation, status, headers, body));
    }
    let body = match reading {
        Reading::Streamed => {
            RawBody::Stream(ByteStream::new(answer, operation.clone(), client.attempt_timeout))
        }
        Reading::Buffered => match collect(&mut answer, client.max_body_bytes).await {
            Ok((body, false)) => RawBody::Bytes(body),
            Ok((_, true)) => {
                return Err(too_large(client.max_body_bytes)
                    .with_answer(status, headers)
                    .with_advice("raise max_body_bytes, or read it by send_stream"));
            }
            Err(error) => return Err(error.with_answer(status, headers)),
        },
    };
    Ok(Raw { operation: operation.clone(), status, headers, url, body })
}

/// As much as is read of an error's body; GitHub's are a few hundred bytes.
const MAX_ERROR_BYTES: usize = 1024 * 1024;

fn timed_out(what: &str, late: &Limit) -> Error {
    let message = format!("{what} within {:?}", late.length());
    Error::new(ErrorKind::Timeout, message)
        .with_advice("try again, or allow more by attempt_timeout, call_timeout or timeout")
}

fn answer_status(answer: &Result<Raw>) -> Option<u16> {
    let status = match answer {
        Ok(answer) => Some(answer.status),
        Err(error) => error.status(),
    };
    status.map(|status| status.as_u16())
}

fn answer_id(answer: &Result<Raw>) -> Option<&str> {
    match answer {
        Ok(answer) => request_id(&answer.headers),
        Err(error) => error.request_id(),
    }
}

fn observe(span: &Span, answer: &Result<Raw>) {
    if !span.is_disabled() {
        span.record("status", answer_status(answer));
        span.record("request_id", answer_id(answer));
    }
}

//! The request path: one call, from a request to its response.
//!
//! [`call`] runs once per call, [`attempt`] once for each time that the request is sent. Only this file knows all
//! policies, and their order is the order of the code.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, poll_immediate, select, try_join};
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::{Instant, sleep};
use tracing::{Instrument, debug, field};

use crate::attempts::Attempts;
use crate::auth::{Passes, keep_flights};
use crate::body::{BodyCollector, ByteStream, ResponseBody, too_large};
use crate::cache::CacheStatus;
use crate::cache::plan::Plan;
use crate::cached::{Known, Writing, cached, not_cached};
use crate::circuit::{Trial, is_failure};
use crate::compact;
use crate::deadline::{Limit, within};
use crate::detachable::DetachableCall;
use crate::error::{Error, ErrorKind, Result, SSO};
use crate::graphql;
use crate::limits::{BatchSlot, CallHandle, Outcome, Patience, Permit, Told};
use crate::operation::Label;
use crate::ready::{self, Polls};
use crate::redirects::{self, MAX_REDIRECTS, VisitedHops};
use crate::request::{Prepared, Request};
use crate::response::{Raw, RawBody};
use crate::retry::retry_after;
use crate::sanitize;
use crate::telemetry::observed::{Observed, ObservedAttempt};
use crate::telemetry::usage::{Account, Reserved};
use crate::telemetry::{bodies, meter};

/// How the caller reads the body of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Buffered,
    Streamed,
}

impl Reading {
    /// Returns the part of the response for which a call waits.
    fn awaited(self) -> &'static str {
        match self {
            Self::Buffered => "response body",
            Self::Streamed => "response",
        }
    }
}

/// The result of a call with its trace. The code that decodes the response records the call's outcome.
pub(crate) struct Called {
    pub(crate) answer: Result<Raw>,
    pub(crate) observed: Observed,
}

impl Called {
    /// Decodes the response, and records the call with the resulting outcome. `fault` describes the failure in a value
    /// that decoded in part.
    pub(crate) fn decode<T>(
        self,
        decode: impl FnOnce(Raw) -> Result<T>,
        fault: impl FnOnce(&T) -> Option<Error>,
    ) -> Result<T> {
        let raw = match self.answer {
            Ok(raw) => raw,
            Err(error) => {
                self.observed.fail(&error);
                return Err(error);
            }
        };
        let (status, headers, came) = (raw.status, Arc::clone(&raw.headers), raw.came);
        let decoded = decode(raw);
        let fault = decoded.as_ref().ok().and_then(fault);
        let error = decoded.as_ref().err().or(fault.as_ref());
        self.observed.end_with((status, &headers, came), error);
        decoded
    }

    /// Returns the response of a call that has succeeded.
    pub(crate) fn end(self) -> Result<Raw> {
        self.observed.end(&self.answer);
        self.answer
    }
}

/// Runs one call with all its attempts.
pub(crate) async fn call(request: Request, reading: Reading) -> Called {
    let observed = Observed::begin(&request);
    observe(observed, pin!(answered(request, reading))).await
}

/// Records all work of a call, from its start to its response, in one span.
pub(crate) async fn observe(
    observed: Observed,
    answer: Pin<&mut impl Future<Output = Result<Raw>>>,
) -> Called {
    let answer = answer.instrument(observed.span().clone()).await;
    Called { answer, observed }
}

/// Returns the response to a call.
///
/// The order of the policies: cache lookup, coalescing of identical reads, retries.
pub(crate) async fn answered(request: Request, reading: Reading) -> Result<Raw> {
    let operation = request.label().clone();
    let awaits = ready::awaits(&request);
    // Pinned where it is created: a wrapper would copy its two kilobytes otherwise.
    let answer = pin!(async {
        let again = request.may_be_refreshed().then(|| request.clone());
        let prepared = request.prepare()?;
        let plan = match reading {
            Reading::Buffered => Plan::of(&prepared, &operation),
            Reading::Streamed => None,
        };
        match plan {
            Some(plan) => cached(plan, prepared, &operation, again).await,
            None => {
                if prepared.is_only_if_cached() {
                    return Err(not_cached());
                }
                uncached(prepared, operation.clone(), reading).await
            }
        }
    });
    let answer = answer.await.and_then(|raw| ready::checked(raw, awaits));
    answer.map_err(|error| error.with_operation(&operation))
}

/// Sends a call to GitHub, whatever is stored.
fn uncached(prepared: Prepared, operation: Label, reading: Reading) -> DetachableCall<Result<Raw>> {
    DetachableCall::new(prepared.slack.clone(), |detach| {
        let call = CallHandle::new(detach, BatchSlot::current(), prepared.store_wait.clone());
        keep_flights(Box::pin(async move {
            let mut prepared = prepared;
            let writing = Writing::of(&prepared);
            let answer = tried(&mut prepared, &operation, reading, &call, None).await;
            if let Some(writing) = writing {
                writing.end(&answer).await;
            }
            answer
        }))
    })
}

/// Sends attempts until one succeeds or no retry is possible. They hold permits: `call` is the handle of the
/// [`DetachableCall`] that they are a part of.
///
/// The order of the policies in each attempt: admission, authentication, transport, update of the limits.
pub(crate) async fn tried(
    prepared: &mut Prepared,
    operation: &Label,
    reading: Reading,
    call: &CallHandle,
    mut known: Option<&mut Known<'_>>,
) -> Result<Raw> {
    prepared.client().inner().retry_budget.earn();
    let mut attempts = Attempts::new();
    let mut polls = Polls::of(prepared);
    let (mut sent, mut failed) = (0_u32, false);
    // The time that the call waited for other calls of its batch, which `OnLimit` does not bound.
    let mut parked = Duration::ZERO;
    loop {
        // A request that would be rejected anyway neither waits nor causes a token request.
        if let Some(account) = budgets(prepared) {
            account.check(operation).map_err(|error| attempts.end(error))?;
        }
        let waited = attempts.waited().saturating_add(prepared.waited_before);
        let permitted = {
            let permitted = permitted(prepared, operation, waited.saturating_sub(parked), call);
            let further = async {
                match &known {
                    Some(known) => Ok(known.look_further(prepared).await),
                    None => Ok(None),
                }
            };
            // Both query the store concurrently.
            try_join(pin!(permitted), pin!(further)).await
        };
        let (Permitted { mut permit, trial, passes, reserved }, further) = match permitted {
            Ok(permitted) => permitted,
            Err(Refused::ByLimit(error)) => return Err(attempts.held_back(error)),
            Err(Refused::Otherwise(error)) => return Err(attempts.end(error)),
        };
        if let Some(known) = &mut known {
            known.apply(prepared, further);
        }
        let prepared = &*prepared;
        let waited = permit.as_ref().map_or(Duration::ZERO, |permit| permit.waited);
        parked += permit.as_ref().map_or(Duration::ZERO, |permit| permit.parked);
        attempts.wait(waited);
        let spent = reserved.map(Reserved::sent);
        if let Some(permit) = &mut permit {
            permit.sent();
        }
        let course = Mutex::default();
        if std::mem::take(&mut failed) {
            attempts.last().inspect(|error| meter::retry(error));
        }
        let observed = ObservedAttempt::begin(prepared, operation, sent);
        sent = sent.saturating_add(1);
        let span = observed.span().clone();
        let mut answer =
            attempt(prepared, &passes, operation, reading, &course).instrument(span).await;
        observed.end(&answer);
        let course = course.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Ok(answer) = &mut answer {
            answer.abroad = course.left.is_some();
        }
        learn(prepared, permit, trial, &answer, &course);
        if let Some(spent) = spent {
            let (unsent, confirmed) = for_free(prepared, &answer, &course);
            prepared.account().settle(spent, unsent, confirmed);
        }
        let pause = match answer {
            Ok(answer) => match polls.as_mut().map(|polls| polls.again(prepared, &answer)) {
                Some(Ok(Some(pause))) => {
                    debug!(?pause, "response not ready (202); polling");
                    prepared.waited(pause);
                    meter::waited("not_ready", pause);
                    attempts.wait(pause);
                    pause
                }
                Some(Err(error)) => return Err(attempts.end(error)),
                Some(Ok(None)) | None => return Ok(answer),
            },
            Err(error) => {
                let pause = attempts.again(prepared, &passes, course.is_done(), error)?;
                debug!(?pause, "retrying");
                meter::waited("retry", pause);
                failed = true;
                pause
            }
        };
        sleep(pause).await;
        prepared.store_wait.renew();
    }
}

/// Waits for admission, unless the circuit of the server is open.
async fn admit(
    prepared: &Prepared,
    waited: Duration,
    call: &CallHandle,
) -> Result<(Option<Permit>, Option<Trial>)> {
    if prepared.is_elsewhere() {
        return Ok((None, None));
    }
    let circuit = prepared.circuit();
    circuit.check()?;
    let lane = prepared.lane();
    let patience = Patience { waited, ..Patience::new(prepared.patience()) };
    let permit = pin!(lane.admit(prepared.cost(), prepared.priority, patience, call)).await?;
    prepared.waited(permit.waited);
    let trial = circuit.pass()?;
    if trial.is_probe() {
        // Until the refresh ends, other calls fail: it must not depend on being polled by its caller.
        call.detach();
    }
    Ok((Some(permit), Some(trial)))
}

/// Returns the identity whose budgets a request to GitHub's API counts against, if there are any.
fn budgets(prepared: &Prepared) -> Option<Arc<Account>> {
    let any = !prepared.is_elsewhere() && prepared.client().inner().usage.has_budgets();
    any.then(|| prepared.account())
}

/// The requirements of an attempt before it is sent.
struct Permitted {
    permit: Option<Permit>,
    trial: Option<Trial>,
    passes: Passes,
    /// The units taken from budgets, if there are any.
    reserved: Option<Reserved>,
}

/// The reason for not sending an attempt.
enum Refused {
    ByLimit(Error),
    Otherwise(Error),
}

/// Waits for a permit, a token and the budgets. The permit and the budgets wait for the store concurrently.
async fn permitted(
    prepared: &Prepared,
    operation: &Label,
    waited: Duration,
    call: &CallHandle,
) -> Result<Permitted, Refused> {
    let (asked, limit) = (Instant::now(), &prepared.limit);
    let account = budgets(prepared);
    let mut reserved = None;
    let admitted = {
        let _waiting = meter::InFlight::waiting();
        let mut admission = pin!(admit(prepared, waited, call));
        match (poll_immediate(&mut admission).await, &account) {
            (Some(admitted), _) => admitted,
            (None, Some(account)) if prepared.lane().waits_for_store(&prepared.cost()) => {
                let reservation = pin!(account.reserve(operation, &prepared.store_wait));
                match select(admission, reservation).await {
                    Either::Left((admitted, reservation)) => {
                        if admitted.is_ok() {
                            reserved = Some(reservation.await.map_err(Refused::Otherwise)?);
                        }
                        admitted
                    }
                    Either::Right((taken, admission)) => {
                        reserved = Some(taken.map_err(Refused::Otherwise)?);
                        admission.await
                    }
                }
            }
            (None, _) => admission.await,
        }
    };
    let (permit, trial) = match admitted {
        Ok(admitted) => admitted,
        Err(error) => {
            meter::waited("rate_limit", asked.elapsed());
            return Err(Refused::ByLimit(error));
        }
    };
    meter::waited("rate_limit", permit.as_ref().map_or(Duration::ZERO, |permit| permit.waited));
    let passes = match within([limit, limit], pin!(Passes::of(prepared))).await {
        Ok(passes) => passes.map_err(Refused::Otherwise)?,
        Err(late) => return Err(Refused::Otherwise(timed_out("token acquisition", late))),
    };
    // A permit can take so long that another window of a budget has begun.
    reserved = reserved.filter(Reserved::is_current);
    if let (Some(account), None) = (&account, &reserved) {
        let reservation = pin!(account.reserve(operation, &prepared.store_wait));
        reserved = match within([limit, limit], reservation).await {
            Ok(taken) => Some(taken.map_err(Refused::Otherwise)?),
            Err(late) => return Err(Refused::Otherwise(timed_out("budget check", late))),
        };
    }
    Ok(Permitted { permit, trial, passes, reserved })
}

/// Returns whether an attempt did not reach GitHub, and whether GitHub confirmed the stored response of an
/// authenticated request.
fn for_free(prepared: &Prepared, answer: &Result<Raw>, course: &Course) -> (bool, bool) {
    let unsent = answer.as_ref().is_err_and(Error::never_reached) && !course.answered;
    let confirmed = |raw: &Raw| raw.status == StatusCode::NOT_MODIFIED && !raw.abroad;
    (unsent, answer.as_ref().is_ok_and(confirmed) && prepared.is_authorized())
}

/// The outcome of an attempt.
#[derive(Debug, Default)]
struct Course {
    /// GitHub responded, possibly with a redirect only.
    answered: bool,
    /// GitHub performed the request, and responded with 303 and the URL of the result.
    seen_other: bool,
    /// GitHub's headers of a redirect to another server, whose own response says nothing about GitHub.
    left: Option<HeaderMap>,
}

impl Course {
    /// Returns whether GitHub has performed the request, so that a retry would repeat it.
    fn is_done(&self) -> bool {
        self.seen_other
    }
}

/// Reports the outcome of an attempt to the limits and the circuit breaker.
fn learn(
    prepared: &Prepared,
    permit: Option<Permit>,
    trial: Option<Trial>,
    answer: &Result<Raw>,
    course: &Course,
) {
    let (headers, error) = match (answer, &course.left) {
        (_, Some(headers)) => (Some(headers), None),
        (Ok(answer), _) => (Some(&*answer.headers), None),
        (Err(error), _) => (error.headers(), Some(error)),
    };
    if let Some(trial) = trial {
        // A timeout that the caller set says nothing about the server.
        let hurried = error.is_some_and(Error::is_timeout) && prepared.is_hurried();
        if !hurried {
            trial.end(error.is_some_and(is_failure));
        }
    }
    let Some(permit) = permit else { return };
    let Some(headers) = headers else {
        let never = error.is_some_and(Error::never_reached) && !course.answered;
        return permit.end(if never { Outcome::Unsent } else { Outcome::Unanswered });
    };
    let told = Told::read(headers);
    if let Some(told) = told {
        prepared.learn_resource(told.resource);
    }
    let refused = match (answer, error) {
        // GraphQL reports it with a success status.
        (Ok(answer), _) => prepared.is_graphql() && graphql::is_refused(answer),
        (_, error) => error.is_some_and(Error::is_rate_limited),
    };
    let secondary = refused && {
        // GitHub's order: `Retry-After`, then the primary limit, which ends as the headers say.
        headers.contains_key(RETRY_AFTER)
            || error.is_some_and(|error| error.refusal().is_secondary)
            || told.is_none_or(|told| told.remaining > 0)
    };
    if let Some(told) = &told {
        meter::told(prepared.identity_label(), told);
    }
    if refused {
        meter::limited(secondary, told);
    }
    permit.end(match (secondary, told) {
        (true, told) => Outcome::Limited(told, retry_after(headers)),
        // Another server's response does not mean that GitHub has no limit.
        (false, None) if course.left.is_some() => Outcome::Unanswered,
        (false, told) => Outcome::Answered(told),
    });
}

/// Sends one attempt: the request with its redirects, and the response, read within the time limit.
async fn attempt(
    prepared: &Prepared,
    passes: &Passes,
    operation: &Label,
    reading: Reading,
    course: &Mutex<Course>,
) -> Result<Raw> {
    let client = prepared.client().inner();
    let limit = &Limit::new(client.attempt_timeout, prepared.slack.as_ref());
    let exchange = pin!(async {
        let mut answer = send(prepared, passes, course).await?;
        if course.lock().unwrap_or_else(PoisonError::into_inner).left.is_some() {
            // An error asks the user to authorize the token at this URL: only GitHub is trusted to name it.
            answer.headers_mut().remove(SSO);
        }
        read(answer, prepared, passes, operation, reading, limit).await
    });
    bodies::request(prepared);
    let answer = match within([limit, &prepared.limit], exchange).await {
        Ok(answer) => answer,
        Err(late) => Err(timed_out(reading.awaited(), late)),
    };
    let (status, error) = match &answer {
        Ok(answer) => (Some(answer.status), None),
        Err(error) => (error.status(), Some(error)),
    };
    debug!(
        status = status.map(|status| status.as_u16()),
        failed = error.map(field::display),
        "attempt"
    );
    answer
}

/// Sends the request and follows its redirects; only trusted servers receive the token.
async fn send(
    prepared: &Prepared,
    passes: &Passes,
    course: &Mutex<Course>,
) -> Result<reqwest::Response> {
    let client = prepared.client().inner();
    let course = || course.lock().unwrap_or_else(PoisonError::into_inner);
    let mut hop = prepared.first_hop();
    let mut visited = VisitedHops::new(client.http_client_is_given());
    for _ in 0..=MAX_REDIRECTS {
        visited.enter(&hop)?;
        let (method, with_body) = (hop.method.clone(), hop.with_body);
        // GitHub redirects the operations of a renamed repository.
        let trusted = hop.trusted;
        let is_documented = |name: &str| trusted && prepared.sends_documented(name);
        let mut request = prepared.request(hop, passes)?;
        sanitize::sent(&mut request, is_documented);
        let answer = client.execute(request).await;
        let mut answer = answer.map_err(|error| match course().answered {
            // The request itself had this effect.
            true => prepared.unsent(error).with_reached(),
            false => prepared.unsent(error),
        })?;
        sanitize::received(answer.headers_mut());
        visited.responded(answer.headers());
        if prepared.is_elsewhere() {
            return Ok(answer);
        }
        let heard = (answer.status(), answer.headers());
        let next = redirects::next(&client.origins, answer.url(), &method, with_body, heard)?;
        let mut course = course();
        course.answered = true;
        match next {
            Some(next) => {
                course.seen_other |= next.method != method;
                if !next.trusted && course.left.is_none() {
                    course.left = Some(answer.headers().clone());
                }
                hop = next;
            }
            None => return Ok(answer),
        }
    }
    Err(redirects::too_many())
}

/// Reads the response: a success in the form that the caller requested, anything else as an error. `limit` is the time
/// limit of the attempt.
async fn read(
    response: reqwest::Response,
    prepared: &Prepared,
    passes: &Passes,
    operation: &Label,
    reading: Reading,
    limit: &Limit,
) -> Result<Raw> {
    let client = prepared.client().inner();
    let (status, url) = (response.status(), response.url().clone());
    let (headers, mut body) = ResponseBody::new(response, *prepared.method() == Method::HEAD);
    let headers = compact::headers(headers);
    let is_current = status == StatusCode::NOT_MODIFIED && prepared.conditional.is_some();
    let body = if !status.is_success() && !is_current {
        let (body, is_whole) = read_of_error(&mut body, prepared, limit).await;
        #[cfg(feature = "contract")]
        if is_whole {
            prepared.show(&url, status, &headers, &body);
        }
        let mut shown = body.clone();
        if !is_whole {
            shown = passes.without_cut_token(prepared, shown);
            if !prepared.is_elsewhere() {
                shown = sanitize::without_last_run(shown);
            }
        }
        bodies::answer(prepared, status, &shown);
        if !prepared.is_elsewhere() {
            return Err(Error::from_answer(operation, status, headers, &body, &shown));
        }
        // The caller sees another server's error body: it can repeat a secret.
        RawBody::Bytes(shown)
    } else if reading == Reading::Streamed {
        RawBody::Stream(ByteStream::new(body, operation.clone(), client.attempt_timeout))
    } else {
        let mut collector = BodyCollector::new(client.max_body_bytes);
        match collector.read(&mut body).await {
            Ok(false) => {
                let body = collector.finish();
                #[cfg(feature = "contract")]
                prepared.show(&url, status, &headers, &body);
                bodies::answer(prepared, status, &body);
                RawBody::Bytes(body)
            }
            Ok(true) => {
                return Err(too_large(client.max_body_bytes)
                    .with_answer(status, headers)
                    .with_advice("raise max_body_bytes, or read the body with send_stream"));
            }
            Err(error) => return Err(error.with_answer(status, headers)),
        }
    };
    let (operation, headers, came) = (operation.clone(), Arc::new(headers), CacheStatus::Bypass);
    Ok(Raw { operation, status, headers, url, body, came, age: None, abroad: false })
}

/// Reads as much of an error's body as arrives in time, and returns whether that is the whole body. The status is
/// already known, and is more useful than a body that stalls or breaks off.
async fn read_of_error(
    body: &mut ResponseBody,
    prepared: &Prepared,
    limit: &Limit,
) -> (Bytes, bool) {
    // Half of the remaining time, so that the wait ends before the attempt does.
    let half = limit.left().min(prepared.limit.left()) / 2;
    let limit = prepared.client().inner().max_body_bytes.min(MAX_ERROR_BYTES);
    let mut collector = BodyCollector::new(limit);
    let is_whole = collector.read_within(body, half.min(MAX_ERROR_BODY_WAIT)).await;
    (collector.finish(), is_whole)
}

/// Maximum length of an error's body that is read; GitHub's are a few hundred bytes.
const MAX_ERROR_BYTES: usize = 1024 * 1024;
/// Maximum wait for an error's body; GitHub's arrive with the status.
const MAX_ERROR_BODY_WAIT: Duration = Duration::from_secs(3);

fn timed_out(what: &str, late: &Limit) -> Error {
    let message = format!("{what} timed out after {:?}", late.length());
    Error::new(ErrorKind::Timeout, message)
        .with_advice("try again, or increase attempt_timeout, call_timeout or timeout")
}

#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod tests;

//! The request path: one call, from a request to its response.
//!
//! [`execute`] runs once per call, [`run_attempt`] once for each time that the request is sent. Only this file knows all
//! policies, and their order is the order of the code.

#[cfg(feature = "__bench")]
pub(crate) mod bench;
mod cached;
pub(crate) mod coalesce;
mod retry_state;
#[cfg(feature = "contract")]
mod validate;

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, poll_immediate, select, try_join};
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::{Instant, sleep};
use tracing::{Instrument, debug, field};

use self::cached::{KnownEntries, WriteInvalidation, fetch, not_cached_error};
use self::retry_state::RetryState;
use crate::body::{BodyCollector, ByteStream, ResponseBody, too_large};
use crate::client::graphql;
use crate::error::{Error, ErrorKind, OperationName, Result, SSO};
use crate::headers::rate_limit::RateLimitHeaders;
use crate::headers::retry_after::retry_after;
use crate::observability::observer::{AttemptObserver, CallObserver};
use crate::policy::auth::{RequestCredentials, with_refresh_stack};
use crate::policy::cache::CacheStatus;
use crate::policy::cache::lookup::CacheLookup;
use crate::policy::circuit_breaker::CircuitPermit;
use crate::policy::rate_limit::{AttemptOutcome, BatchSlot, CallHandle, Permit, WaitBudget};
use crate::policy::usage::{BudgetReservations, IdentityUsageState};
use crate::request::{Prepared, Request};
use crate::response::accepted::{self, AcceptedPoller};
use crate::response::{RawBody, RawResponse};
use crate::runtime::detachable::DetachableCall;
use crate::sanitize;
use crate::time::deadline::{Deadline, with_deadline};
use crate::transport::redirect::{self, MAX_REDIRECTS, VisitedHops};
use crate::util::compact;
use crate::{meter, observability::body_log};

/// How the caller reads the body of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyMode {
    Buffered,
    Streamed,
}

impl BodyMode {
    /// Returns the part of the response for which a call waits.
    fn awaited_part(self) -> &'static str {
        match self {
            Self::Buffered => "response body",
            Self::Streamed => "response",
        }
    }
}

/// The result of a call with its trace. The code that decodes the response records the call's outcome.
pub(crate) struct CallOutcome {
    pub(crate) result: Result<RawResponse>,
    pub(crate) observer: CallObserver,
}

impl CallOutcome {
    /// Decodes the response, and records the call with the resulting outcome. `fault` describes the failure in a value
    /// that decoded in part.
    pub(crate) fn decode<T>(
        self,
        decode: impl FnOnce(RawResponse) -> Result<T>,
        fault: impl FnOnce(&T) -> Option<Error>,
    ) -> Result<T> {
        let raw = match self.result {
            Ok(raw) => raw,
            Err(error) => {
                self.observer.fail(&error);
                return Err(error);
            }
        };
        let (status, headers, came) = (raw.status, Arc::clone(&raw.headers), raw.cache_status);
        let decoded = decode(raw);
        let fault = decoded.as_ref().ok().and_then(fault);
        let error = decoded.as_ref().err().or(fault.as_ref());
        self.observer.end_decoded((status, &headers, came), error);
        decoded
    }
}

/// Runs one call with all its attempts.
pub(crate) async fn execute(request: Request, reading: BodyMode) -> CallOutcome {
    let observed = CallObserver::begin(&request);
    instrument(observed, pin!(execute_uncounted(request, reading))).await
}

/// Records all work of a call, from its start to its response, in one span.
pub(crate) async fn instrument(
    observed: CallObserver,
    response: Pin<&mut impl Future<Output = Result<RawResponse>>>,
) -> CallOutcome {
    let response = response.instrument(observed.span().clone()).await;
    CallOutcome { result: response, observer: observed }
}

/// Returns the response to a call.
///
/// The order of the policies: cache lookup, coalescing of identical reads, retries.
pub(crate) async fn execute_uncounted(request: Request, reading: BodyMode) -> Result<RawResponse> {
    let operation = request.label().clone();
    let awaits = accepted::is_not_ready_status(&request);
    // Pinned where it is created: a wrapper would copy its two kilobytes otherwise.
    let response = pin!(async {
        let again = request.may_be_refreshed().then(|| request.clone());
        let prepared = request.prepare()?;
        let plan = match reading {
            BodyMode::Buffered => CacheLookup::for_request(&prepared, &operation),
            BodyMode::Streamed => None,
        };
        match plan {
            Some(plan) => fetch(plan, prepared, &operation, again).await,
            None => {
                if prepared.is_only_if_cached() {
                    return Err(not_cached_error());
                }
                execute_uncached(prepared, operation.clone(), reading).await
            }
        }
    });
    let response = response.await.and_then(|raw| accepted::require_result(raw, awaits));
    response.map_err(|error| error.with_operation(&operation))
}

/// Sends a call to GitHub, whatever is stored.
fn execute_uncached(
    prepared: Prepared,
    operation: OperationName,
    reading: BodyMode,
) -> DetachableCall<Result<RawResponse>> {
    DetachableCall::new(prepared.extension.clone(), |detach| {
        let call = CallHandle::new(detach, BatchSlot::current(), prepared.store_wait.clone());
        with_refresh_stack(Box::pin(async move {
            let mut prepared = prepared;
            let writing = WriteInvalidation::for_request(&prepared);
            let response = run_attempts(&mut prepared, &operation, reading, &call, None).await;
            if let Some(writing) = writing {
                writing.finish(&response).await;
            }
            response
        }))
    })
}

/// Sends attempts until one succeeds or no retry is possible. They hold permits: `execute` is the handle of the
/// [`DetachableCall`] that they are a part of.
///
/// The order of the policies in each attempt: admission, authentication, transport, update of the limits.
pub(crate) async fn run_attempts(
    prepared: &mut Prepared,
    operation: &OperationName,
    reading: BodyMode,
    call: &CallHandle,
    mut known: Option<&mut KnownEntries<'_>>,
) -> Result<RawResponse> {
    prepared.client().handle().retry_budget.deposit();
    let mut attempts = RetryState::new();
    let mut polls = AcceptedPoller::for_deadline(prepared);
    let (mut sent, mut failed) = (0_u32, false);
    // The time that the call waited for other calls of its batch, which `OnLimit` does not bound.
    let mut parked = Duration::ZERO;
    loop {
        // A request that would be rejected anyway neither waits nor causes a token request.
        if let Some(account) = usage_account(prepared) {
            account.check(operation).map_err(|error| attempts.with_history(error))?;
        }
        let waited = attempts.waited().saturating_add(prepared.already_waited);
        let permitted = {
            let permitted =
                prepare_attempt(prepared, operation, waited.saturating_sub(parked), call);
            let further = async {
                match &known {
                    Some(known) => Ok(known.load_shared(prepared).await),
                    None => Ok(None),
                }
            };
            // Both query the store concurrently.
            try_join(pin!(permitted), pin!(further)).await
        };
        let (AttemptPermits { mut permit, circuit: trial, credentials, reserved }, further) =
            match permitted {
                Ok(permitted) => permitted,
                Err(AttemptRejection::RateLimit(error)) => {
                    return Err(attempts.fail_admission(error));
                }
                Err(AttemptRejection::Other(error)) => return Err(attempts.with_history(error)),
            };
        if let Some(known) = &mut known {
            known.apply(prepared, further);
        }
        let prepared = &*prepared;
        let waited = permit.as_ref().map_or(Duration::ZERO, |permit| permit.waited);
        parked += permit.as_ref().map_or(Duration::ZERO, |permit| permit.parked);
        attempts.add_wait(waited);
        let spent = reserved.map(BudgetReservations::sent);
        if let Some(permit) = &mut permit {
            permit.mark_sent();
        }
        let course = Mutex::default();
        if std::mem::take(&mut failed) {
            attempts.last_error().inspect(|error| meter::retry(error));
        }
        let observed = AttemptObserver::begin(prepared, operation, sent);
        sent = sent.saturating_add(1);
        let span = observed.span().clone();
        let mut response =
            run_attempt(prepared, &credentials, operation, reading, &course).instrument(span).await;
        observed.end(&response);
        let course = course.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Ok(response) = &mut response {
            response.from_external_host = course.external_headers.is_some();
        }
        record_outcome(prepared, permit, trial, &response, &course);
        if let Some(spent) = spent {
            let (unsent, confirmed) = is_uncounted(prepared, &response, &course);
            prepared.usage_account().settle(spent, unsent, confirmed);
        }
        let pause = match response {
            Ok(response) => {
                match polls.as_mut().map(|polls| polls.next_poll(prepared, &response)) {
                    Some(Ok(Some(pause))) => {
                        debug!(?pause, "response not ready (202); polling");
                        prepared.extend_for_wait(pause);
                        meter::wait_recorded("not_ready", pause);
                        attempts.add_wait(pause);
                        pause
                    }
                    Some(Err(error)) => return Err(attempts.with_history(error)),
                    Some(Ok(None)) | None => return Ok(response),
                }
            }
            Err(error) => {
                let pause = attempts.next_retry(
                    prepared,
                    &credentials,
                    course.request_completed(),
                    error,
                )?;
                debug!(?pause, "retrying");
                meter::wait_recorded("retry", pause);
                failed = true;
                pause
            }
        };
        sleep(pause).await;
        prepared.store_wait.reset();
    }
}

/// Waits for admission, unless the circuit of the server is open.
async fn acquire_permits(
    prepared: &Prepared,
    waited: Duration,
    call: &CallHandle,
) -> Result<(Option<Permit>, Option<CircuitPermit>)> {
    if prepared.is_external() {
        return Ok((None, None));
    }
    let circuit = prepared.circuit();
    circuit.check()?;
    let queue = prepared.admission_queue();
    let patience = WaitBudget { spent: waited, ..WaitBudget::new(prepared.max_wait()) };
    let permit = pin!(queue.admit(prepared.cost(), prepared.priority, patience, call)).await?;
    prepared.extend_for_wait(permit.waited);
    let trial = circuit.acquire()?;
    if trial.is_probe() {
        // Until the refresh ends, other calls fail: it must not depend on being polled by its caller.
        call.detach();
    }
    Ok((Some(permit), Some(trial)))
}

/// Returns the identity whose budgets a request to GitHub's API counts against, if there are any.
fn usage_account(prepared: &Prepared) -> Option<Arc<IdentityUsageState>> {
    let any = !prepared.is_external() && prepared.client().handle().usage.has_budgets();
    any.then(|| prepared.usage_account())
}

/// The requirements of an attempt before it is sent.
struct AttemptPermits {
    permit: Option<Permit>,
    circuit: Option<CircuitPermit>,
    credentials: RequestCredentials,
    /// The units taken from budgets, if there are any.
    reserved: Option<BudgetReservations>,
}

/// The reason for not sending an attempt.
enum AttemptRejection {
    RateLimit(Error),
    Other(Error),
}

/// Waits for a permit, a token and the budgets. The permit and the budgets wait for the store concurrently.
async fn prepare_attempt(
    prepared: &Prepared,
    operation: &OperationName,
    waited: Duration,
    call: &CallHandle,
) -> Result<AttemptPermits, AttemptRejection> {
    let (asked, limit) = (Instant::now(), &prepared.timeout);
    let account = usage_account(prepared);
    let mut reserved = None;
    let admitted = {
        let _waiting = meter::InFlight::waiting();
        let mut admission = pin!(acquire_permits(prepared, waited, call));
        match (poll_immediate(&mut admission).await, &account) {
            (Some(admitted), _) => admitted,
            (None, Some(account))
                if prepared.admission_queue().is_waiting_for_store(&prepared.cost()) =>
            {
                let reservation = pin!(account.reserve(operation, &prepared.store_wait));
                match select(admission, reservation).await {
                    Either::Left((admitted, reservation)) => {
                        if admitted.is_ok() {
                            reserved = Some(reservation.await.map_err(AttemptRejection::Other)?);
                        }
                        admitted
                    }
                    Either::Right((taken, admission)) => {
                        reserved = Some(taken.map_err(AttemptRejection::Other)?);
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
            meter::wait_recorded("rate_limit", asked.elapsed());
            return Err(AttemptRejection::RateLimit(error));
        }
    };
    meter::wait_recorded(
        "rate_limit",
        permit.as_ref().map_or(Duration::ZERO, |permit| permit.waited),
    );
    let credentials = match with_deadline([limit, limit], pin!(resolve_credentials(prepared))).await
    {
        Ok(credentials) => credentials.map_err(AttemptRejection::Other)?,
        Err(late) => return Err(AttemptRejection::Other(timed_out("token acquisition", late))),
    };
    // A permit can take so long that another window of a budget has begun.
    reserved = reserved.filter(BudgetReservations::is_current);
    if let (Some(account), None) = (&account, &reserved) {
        let reservation = pin!(account.reserve(operation, &prepared.store_wait));
        reserved = match with_deadline([limit, limit], reservation).await {
            Ok(taken) => Some(taken.map_err(AttemptRejection::Other)?),
            Err(late) => return Err(AttemptRejection::Other(timed_out("budget check", late))),
        };
    }
    Ok(AttemptPermits { permit, circuit: trial, credentials, reserved })
}

async fn resolve_credentials(prepared: &Prepared) -> Result<RequestCredentials> {
    let (client, handle) = (prepared.client(), prepared.client().handle());
    let gateway = handle.gateway.as_ref().filter(|_| handle.uses_gateway);
    RequestCredentials::resolve(&prepared.attempt(), &handle.identity, gateway, client).await
}

/// Returns whether an attempt did not reach GitHub, and whether GitHub confirmed the stored response of an
/// authenticated request.
fn is_uncounted(
    prepared: &Prepared,
    response: &Result<RawResponse>,
    course: &RedirectTrace,
) -> (bool, bool) {
    let unsent = response.as_ref().is_err_and(Error::is_not_sent) && !course.has_response;
    let confirmed =
        |raw: &RawResponse| raw.status == StatusCode::NOT_MODIFIED && !raw.from_external_host;
    (unsent, response.as_ref().is_ok_and(confirmed) && prepared.is_authorized())
}

/// The outcome of an attempt.
#[derive(Debug, Default)]
struct RedirectTrace {
    /// GitHub responded, possibly with a redirect only.
    has_response: bool,
    /// GitHub performed the request, and responded with 303 and the URL of the result.
    method_changed: bool,
    /// GitHub's headers of a redirect to another server, whose own response says nothing about GitHub.
    external_headers: Option<HeaderMap>,
}

impl RedirectTrace {
    /// Returns whether GitHub has performed the request, so that a retry would repeat it.
    fn request_completed(&self) -> bool {
        self.method_changed
    }
}

/// Reports the outcome of an attempt to the limits and the circuit breaker.
fn record_outcome(
    prepared: &Prepared,
    permit: Option<Permit>,
    trial: Option<CircuitPermit>,
    response: &Result<RawResponse>,
    course: &RedirectTrace,
) {
    let (headers, error) = match (response, &course.external_headers) {
        (_, Some(headers)) => (Some(headers), None),
        (Ok(response), _) => (Some(&*response.headers), None),
        (Err(error), _) => (error.headers(), Some(error)),
    };
    if let Some(trial) = trial {
        // A timeout that the caller set says nothing about the server.
        let hurried = error.is_some_and(Error::is_timeout) && prepared.caller_deadline_expired();
        if !hurried {
            trial.record(error.is_some_and(|error| error.class().counts_against_circuit()));
        }
    }
    let Some(permit) = permit else { return };
    let Some(headers) = headers else {
        let never = error.is_some_and(Error::is_not_sent) && !course.has_response;
        return permit.end(if never {
            AttemptOutcome::NotSent
        } else {
            AttemptOutcome::NoResponse
        });
    };
    let told = RateLimitHeaders::read(headers);
    if let Some(told) = told {
        prepared.record_resource(told.resource);
    }
    let refused = match (response, error) {
        // GraphQL reports it with a success status.
        (Ok(response), _) => prepared.is_graphql() && graphql::is_rate_limited(response),
        (_, error) => error.is_some_and(Error::is_rate_limited),
    };
    let secondary = refused && {
        // GitHub's order: `Retry-After`, then the primary limit, which ends as the headers say.
        headers.contains_key(RETRY_AFTER)
            || error.is_some_and(|error| error.failure_details().is_secondary)
            || told.is_none_or(|told| told.remaining > 0)
    };
    if let Some(told) = &told {
        meter::rate_limit_observed(prepared.identity_label(), told);
    }
    if refused {
        meter::rate_limited(secondary, told);
    }
    permit.end(match (secondary, told) {
        (true, told) => AttemptOutcome::SecondaryLimited(told, retry_after(headers)),
        // Another server's response does not mean that GitHub has no limit.
        (false, None) if course.external_headers.is_some() => AttemptOutcome::NoResponse,
        (false, told) => AttemptOutcome::Response(told),
    });
}

/// Sends one attempt: the request with its redirects, and the response, read within the time limit.
async fn run_attempt(
    prepared: &Prepared,
    credentials: &RequestCredentials,
    operation: &OperationName,
    reading: BodyMode,
    course: &Mutex<RedirectTrace>,
) -> Result<RawResponse> {
    let client = prepared.client().handle();
    let limit = &Deadline::new(client.attempt_timeout, prepared.extension.as_ref());
    let exchange = pin!(async {
        let mut response = send(prepared, credentials, course).await?;
        if course.lock().unwrap_or_else(PoisonError::into_inner).external_headers.is_some() {
            // An error asks the user to authorize the token at this URL: only GitHub is trusted to name it.
            response.headers_mut().remove(SSO);
        }
        read_response(response, prepared, credentials, operation, reading, limit).await
    });
    body_log::log_request(prepared);
    let response = match with_deadline([limit, &prepared.timeout], exchange).await {
        Ok(response) => response,
        Err(late) => Err(timed_out(reading.awaited_part(), late)),
    };
    let (status, error) = match &response {
        Ok(response) => (Some(response.status), None),
        Err(error) => (error.status(), Some(error)),
    };
    debug!(
        status = status.map(|status| status.as_u16()),
        failed = error.map(field::display),
        "attempt"
    );
    response
}

/// Sends the request and follows its redirects; only trusted servers receive the token.
async fn send(
    prepared: &Prepared,
    credentials: &RequestCredentials,
    course: &Mutex<RedirectTrace>,
) -> Result<reqwest::Response> {
    let client = prepared.client().handle();
    let course = || course.lock().unwrap_or_else(PoisonError::into_inner);
    let mut hop = prepared.initial_target();
    let mut visited = VisitedHops::new(client.http_client_is_given());
    for _ in 0..=MAX_REDIRECTS {
        visited.record_request(&hop)?;
        let (method, with_body) = (hop.method.clone(), hop.with_body);
        // GitHub redirects the operations of a renamed repository.
        let trusted = hop.trusted;
        let is_documented = |name: &str| trusted && prepared.sends_documented(name);
        let mut request = prepared.request(hop, credentials)?;
        sanitize::sent(&mut request, is_documented);
        let response = client.execute(request).await;
        let mut response = response.map_err(|error| match course().has_response {
            // The request itself had this effect.
            true => prepared.transport_error(error).with_sent(),
            false => prepared.transport_error(error),
        })?;
        sanitize::received(response.headers_mut());
        visited.record_response(response.headers());
        if prepared.is_external() {
            return Ok(response);
        }
        let reply = (response.status(), response.headers());
        let next = redirect::follow(&client.endpoints, response.url(), &method, with_body, reply)?;
        let mut course = course();
        course.has_response = true;
        match next {
            Some(next) => {
                course.method_changed |= next.method != method;
                if !next.trusted && course.external_headers.is_none() {
                    course.external_headers = Some(response.headers().clone());
                }
                hop = next;
            }
            None => return Ok(response),
        }
    }
    Err(redirect::too_many())
}

/// Reads the response: a success in the form that the caller requested, anything else as an error. `limit` is the time
/// limit of the attempt.
async fn read_response(
    response: reqwest::Response,
    prepared: &Prepared,
    credentials: &RequestCredentials,
    operation: &OperationName,
    reading: BodyMode,
    limit: &Deadline,
) -> Result<RawResponse> {
    let client = prepared.client().handle();
    let (status, url) = (response.status(), response.url().clone());
    let (headers, mut body) = ResponseBody::new(response, *prepared.method() == Method::HEAD);
    let headers = compact::headers(headers);
    let is_current = status == StatusCode::NOT_MODIFIED && prepared.conditional.is_some();
    let body = if !status.is_success() && !is_current {
        let (body, is_whole) = read_error_body(&mut body, prepared, limit).await;
        #[cfg(feature = "contract")]
        if is_whole {
            prepared.validate_response(&url, status, &headers, &body);
        }
        let mut shown = body.clone();
        if !is_whole {
            shown = credentials.redact_cut_token(prepared.request_authorization(), shown);
            if !prepared.is_external() {
                shown = sanitize::without_last_run(shown);
            }
        }
        body_log::log_response(prepared, status, &shown);
        if !prepared.is_external() {
            return Err(Error::from_response(operation, status, headers, &body, &shown));
        }
        // The caller sees another server's error body: it can repeat a secret.
        RawBody::Bytes(shown)
    } else if reading == BodyMode::Streamed {
        RawBody::Stream(ByteStream::new(body, operation.clone(), client.attempt_timeout))
    } else {
        let mut collector = BodyCollector::new(client.max_body_bytes);
        match collector.read(&mut body).await {
            Ok(false) => {
                let body = collector.finish();
                #[cfg(feature = "contract")]
                prepared.validate_response(&url, status, &headers, &body);
                body_log::log_response(prepared, status, &body);
                RawBody::Bytes(body)
            }
            Ok(true) => {
                return Err(too_large(client.max_body_bytes)
                    .with_response(status, headers)
                    .with_advice("raise max_body_bytes, or read the body with send_stream"));
            }
            Err(error) => return Err(error.with_response(status, headers)),
        }
    };
    let (operation, headers, came) = (operation.clone(), Arc::new(headers), CacheStatus::Bypass);
    Ok(RawResponse {
        operation,
        status,
        headers,
        url,
        body,
        cache_status: came,
        age: None,
        from_external_host: false,
    })
}

/// Reads as much of an error's body as arrives in time, and returns whether that is the whole body. The status is
/// already known, and is more useful than a body that stalls or breaks off.
async fn read_error_body(
    body: &mut ResponseBody,
    prepared: &Prepared,
    limit: &Deadline,
) -> (Bytes, bool) {
    // Half of the remaining time, so that the wait ends before the attempt does.
    let half = limit.remaining().min(prepared.timeout.remaining()) / 2;
    let limit = prepared.client().handle().max_body_bytes.min(MAX_ERROR_BYTES);
    let mut collector = BodyCollector::new(limit);
    let is_whole = collector.read_within(body, half.min(ERROR_BODY_TIMEOUT)).await;
    (collector.finish(), is_whole)
}

/// Maximum length of an error's body that is read; GitHub's are a few hundred bytes.
const MAX_ERROR_BYTES: usize = 1024 * 1024;
/// Maximum wait for an error's body; GitHub's arrive with the status.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(3);

fn timed_out(what: &str, late: &Deadline) -> Error {
    let message = format!("{what} timed out after {:?}", late.length());
    Error::new(ErrorKind::Timeout, message)
        .with_advice("try again, or increase attempt_timeout, call_timeout or timeout")
}

#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod tests;

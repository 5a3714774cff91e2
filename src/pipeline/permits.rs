//! The permits of an attempt, by which its outcome is reported to the rate limits, the circuit breaker and the budgets.

use http::StatusCode;
use http::header::RETRY_AFTER;
use tokio::time::Instant;

use super::call::CallContext;
use crate::error::{Error, Result};
use crate::headers::HeaderValues;
use crate::headers::rate_limit::RateLimitHeaders;
use crate::headers::retry_after::retry_after;
use crate::meter;
use crate::policy::circuit_breaker::CircuitPermit;
use crate::policy::rate_limit::{AttemptOutcome, Permit};
use crate::policy::usage::BudgetReservations;
use crate::response::{AttemptResponse, graphql};
use crate::transport::RedirectTrace;

/// What an attempt holds while it is sent. Dropping it returns what the policies gave out.
#[derive(Default)]
pub(super) struct AttemptPermits {
    /// `None` for a target that is not GitHub's API.
    pub(super) rate_limit: Option<Permit>,
    pub(super) circuit: Option<CircuitPermit>,
    /// The units taken from budgets, if there are any.
    pub(super) budgets: Option<BudgetReservations>,
}

impl AttemptPermits {
    /// Records that GitHub can have received the request from now on.
    pub(super) fn mark_sent(&mut self) {
        if let Some(budgets) = &mut self.budgets {
            budgets.mark_sent();
        }
        if let Some(permit) = &mut self.rate_limit {
            permit.mark_sent();
        }
    }

    /// Returns the permits, and reports the outcome of the attempt, which ended at `now`.
    pub(super) fn end(
        self,
        context: &CallContext,
        now: Instant,
        response: &Result<AttemptResponse>,
        trace: &RedirectTrace,
    ) {
        let error = response.as_ref().err().filter(|_| trace.external_headers.is_none());
        if let Some(circuit) = self.circuit {
            // A timeout that the caller set says nothing about the server.
            let hurried = error.is_some_and(Error::is_timeout) && context.caller_deadline_expired();
            if !hurried {
                let failed = error.is_some_and(|error| error.class().counts_against_circuit());
                circuit.record(now, failed);
            }
        }
        if let Some(permit) = self.rate_limit {
            permit.end_at(now, rate_limit_outcome(context, response, trace));
        }
        if let Some(budgets) = self.budgets {
            let unsent = response.as_ref().is_err_and(Error::is_not_sent) && !trace.has_response;
            budgets.settle(unsent, is_confirmation(context, response));
        }
    }
}

/// Returns whether GitHub confirmed the stored response of an authenticated request.
fn is_confirmation(context: &CallContext, response: &Result<AttemptResponse>) -> bool {
    let confirmed =
        |raw: &AttemptResponse| raw.status == StatusCode::NOT_MODIFIED && !raw.from_external_host;
    response.as_ref().is_ok_and(confirmed) && context.is_authenticated()
}

/// Returns what GitHub's headers, or a failure, say about the rate limits.
fn rate_limit_outcome<'a>(
    context: &CallContext,
    response: &'a Result<AttemptResponse>,
    trace: &'a RedirectTrace,
) -> AttemptOutcome<'a> {
    let rejected = || response.as_ref().is_ok_and(|response| is_rate_limited(context, response));
    match (response, &trace.external_headers) {
        (_, Some(headers)) => match reported(context, headers, rejected(), None) {
            // Another server's response does not mean that GitHub has no limit.
            AttemptOutcome::Response(None) => AttemptOutcome::NoResponse,
            outcome => outcome,
        },
        (Ok(response), None) => reported(context, &response.headers, rejected(), None),
        (Err(error), None) => match error.headers() {
            Some(headers) => reported(context, headers, error.is_rate_limited(), Some(error)),
            None if error.is_not_sent() && !trace.has_response => AttemptOutcome::NotSent,
            None => AttemptOutcome::NoResponse,
        },
    }
}

/// Returns what the headers of a response say. `rejected` says that GitHub rejected the request by a rate limit.
fn reported<'a>(
    context: &CallContext,
    headers: &'a impl HeaderValues,
    rejected: bool,
    error: Option<&Error>,
) -> AttemptOutcome<'a> {
    let limit = RateLimitHeaders::read(headers);
    if let Some(limit) = limit {
        context.record_resource(limit.resource);
    }
    let secondary = rejected && {
        // GitHub's order: `Retry-After`, then the primary limit, which ends as the headers say.
        headers.value(&RETRY_AFTER).is_some()
            || error.is_some_and(|error| error.failure_details().is_secondary)
            || limit.is_none_or(|limit| limit.remaining > 0)
    };
    if let Some(limit) = &limit {
        meter::rate_limit_observed(context.identity_label(), limit);
    }
    if rejected {
        meter::rate_limited(secondary, limit.map(|limit| limit.resource));
    }
    match secondary {
        true => AttemptOutcome::SecondaryLimited(limit, retry_after(headers)),
        false => AttemptOutcome::Response(limit),
    }
}

/// Returns whether a response reports a rate limit: GraphQL does so with a success status.
pub(super) fn is_rate_limited(context: &CallContext, response: &AttemptResponse) -> bool {
    context.spec.is_graphql() && graphql::is_rate_limited(response)
}

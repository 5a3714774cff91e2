//! One attempt: the request with its redirects, and the response, read within the time limit.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use tracing::{Instrument, debug, field};

use super::call_context::CallContext;
use super::read::{BodyMode, read_response};
use super::timeout::timed_out;
use super::{interception, observe, outcome};
use crate::error::{Result, SSO};
use crate::policy::auth::RequestCredentials;
use crate::policy::circuit_breaker::CircuitPermit;
use crate::policy::rate_limit::Permit;
use crate::policy::usage::BudgetReservations;
use crate::response::RawResponse;
use crate::time::deadline::{Deadline, with_deadline};
use crate::transport::{self, Exchange, RedirectTrace};

/// An attempt that was admitted.
pub(super) struct Attempt {
    /// `None` for a target that is not GitHub's API, and after the attempt.
    pub(super) permit: Option<Permit>,
    pub(super) circuit: Option<CircuitPermit>,
    pub(super) credentials: RequestCredentials,
    /// The units taken from budgets, if there are any.
    pub(super) reserved: Option<BudgetReservations>,
    trace: Mutex<RedirectTrace>,
}

impl Attempt {
    pub(super) fn new(
        permit: Option<Permit>,
        circuit: Option<CircuitPermit>,
        credentials: RequestCredentials,
        reserved: Option<BudgetReservations>,
    ) -> Self {
        Self { permit, circuit, credentials, reserved, trace: Mutex::default() }
    }

    /// Sends the request, reads the response, and reports the outcome to the policies. `resend_count` is the number of
    /// earlier requests of the call.
    pub(super) async fn run(
        &mut self,
        context: &CallContext,
        mode: BodyMode,
        resend_count: u32,
    ) -> Result<RawResponse> {
        let spent = self.reserved.take().map(BudgetReservations::sent);
        if let Some(permit) = &mut self.permit {
            permit.mark_sent();
        }
        let started_at = interception::attempt_start(context);
        let observer = observe::begin_attempt(context, resend_count);
        let span = observer.span().clone();
        let mut response = self.exchange(context, mode).instrument(span).await;
        observer.end(&response);
        let (permit, circuit) = (self.permit.take(), self.circuit.take());
        let trace = self.trace.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Ok(response) = &mut response {
            response.from_external_host = trace.external_headers.is_some();
        }
        interception::after_attempt(context, started_at, &response);
        outcome::record(context, (permit, circuit, spent), &response, trace);
        response
    }

    /// Returns whether GitHub has performed the request, so that a retry would repeat it.
    pub(super) fn request_completed(&self) -> bool {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).request_completed
    }

    /// Returns whether GitHub can have performed the request, given its outcome.
    pub(super) fn may_have_had_effect(&self, response: &Result<RawResponse>) -> bool {
        let is_rejected = response.as_ref().is_err_and(|error| error.class().had_no_effect());
        !is_rejected || self.request_completed()
    }

    async fn exchange(&self, context: &CallContext, mode: BodyMode) -> Result<RawResponse> {
        let shared = context.shared();
        let limit = &Deadline::new(shared.attempt_timeout, context.options.extension.as_ref());
        let exchange = pin!(async {
            let request = Exchange {
                http: &shared.http,
                endpoints: &shared.endpoints,
                spec: &context.spec,
                upload_error: &context.upload_error,
                trace: &self.trace,
            };
            let outgoing = |target| context.outgoing(target, &self.credentials);
            let mut response = transport::send(request, outgoing).await?;
            self.distrust_external(response.headers_mut());
            read_response(response, context, &self.credentials, mode, limit).await
        });
        if let Some(log) = &shared.body_logging {
            log.log_request(context.spec.json_body());
        }
        let response = match with_deadline([limit, &context.deadline], exchange).await {
            Ok(response) => response,
            Err(late) => Err(timed_out(mode.awaited_part(), late)),
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

    /// Removes a header from another server's response that only GitHub is trusted with: an error asks the user to
    /// authorize the token at this URL.
    fn distrust_external(&self, headers: &mut HeaderMap) {
        let trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        if trace.external_headers.is_some() {
            headers.remove(SSO);
        }
    }
}

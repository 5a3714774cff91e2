//! Admits an attempt: budget, rate limit, circuit breaker and credentials, before anything is sent.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, poll_immediate, select};
use tokio::time::Instant;

use super::attempt::Attempt;
use super::call_context::CallContext;
use super::timeout::timed_out;
use crate::error::{Error, Result};
use crate::meter;
use crate::policy::auth::RequestCredentials;
use crate::policy::circuit_breaker::CircuitPermit;
use crate::policy::rate_limit::{CallHandle, Permit, WaitBudget};
use crate::policy::usage::{BudgetReservations, IdentityUsageState};
use crate::time::deadline::with_deadline;

/// The reason for not sending an attempt.
pub(super) enum AttemptRejection {
    RateLimit(Error),
    Other(Error),
}

/// Waits for a permit, a token and the budgets. `waited` is how long the call has waited for limits before.
pub(super) async fn admit(
    context: &CallContext,
    waited: Duration,
    call: &CallHandle,
) -> Result<Attempt, AttemptRejection> {
    let account = context.budgeted_account();
    if let Some(account) = &account {
        // A request that would be rejected anyway neither waits nor causes a token request.
        account.check(context.name()).map_err(AttemptRejection::Other)?;
    }
    let mut reserved = None;
    let (permit, circuit) =
        acquire_permits(context, waited, call, account.as_ref(), &mut reserved).await?;
    let credentials = resolve_credentials(context).await.map_err(AttemptRejection::Other)?;
    // A permit can take so long that another window of a budget has begun.
    reserved = reserved.filter(BudgetReservations::is_current);
    if let (Some(account), None) = (&account, &reserved) {
        let reservation = Box::pin(reserve(context, account)).await;
        reserved = Some(reservation.map_err(AttemptRejection::Other)?);
    }
    Ok(Attempt::new(permit, circuit, credentials, reserved))
}

/// Waits for the permits. If they wait for the store, the budgets do so at the same time.
async fn acquire_permits(
    context: &CallContext,
    waited: Duration,
    call: &CallHandle,
    account: Option<&Arc<IdentityUsageState>>,
    reserved: &mut Option<BudgetReservations>,
) -> Result<(Option<Permit>, Option<CircuitPermit>), AttemptRejection> {
    let started_at = Instant::now();
    let admitted = {
        let _waiting = meter::InFlight::waiting();
        let mut admission = pin!(acquire(context, waited, call));
        match (poll_immediate(&mut admission).await, account) {
            (Some(admitted), _) => admitted,
            (None, Some(account))
                if context.admission_queue().is_waiting_for_store(&context.cost()) =>
            {
                // In a box, since few calls have a budget and wait for the store.
                let reservation = Box::pin(account.reserve(context.name(), &context.store_wait));
                match select(admission, reservation).await {
                    Either::Left((admitted, reservation)) => {
                        if admitted.is_ok() {
                            *reserved = Some(reservation.await.map_err(AttemptRejection::Other)?);
                        }
                        admitted
                    }
                    Either::Right((taken, admission)) => {
                        *reserved = Some(taken.map_err(AttemptRejection::Other)?);
                        admission.await
                    }
                }
            }
            (None, _) => admission.await,
        }
    };
    let waited = match &admitted {
        Ok((permit, _)) => permit.as_ref().map_or(Duration::ZERO, |permit| permit.waited),
        Err(_) => started_at.elapsed(),
    };
    meter::wait_recorded("rate_limit", waited);
    admitted.map_err(AttemptRejection::RateLimit)
}

/// Waits for a permit of the rate limits, unless the circuit of the server is open.
async fn acquire(
    context: &CallContext,
    waited: Duration,
    call: &CallHandle,
) -> Result<(Option<Permit>, Option<CircuitPermit>)> {
    if context.spec.is_external {
        return Ok((None, None));
    }
    let circuit = context.circuit();
    circuit.check()?;
    let queue = context.admission_queue();
    let budget = WaitBudget { spent: waited, ..WaitBudget::new(context.max_wait()) };
    let priority = context.options.priority;
    let permit = pin!(queue.admit(context.cost(), priority, budget, call)).await?;
    context.extend_for_wait(permit.waited);
    let circuit = circuit.acquire()?;
    if circuit.is_probe() {
        // Until the probe ends, other calls fail: it must not depend on being polled by its caller.
        call.detach();
    }
    Ok((Some(permit), Some(circuit)))
}

async fn resolve_credentials(context: &CallContext) -> Result<RequestCredentials> {
    let (handle, limit) = (&context.handle, &context.deadline);
    let gateway = handle.shared.gateway.as_ref().filter(|_| handle.uses_gateway);
    let attempt = context.attempt();
    let resolved = pin!(RequestCredentials::resolve(&attempt, &handle.identity, gateway, handle));
    match with_deadline([limit, limit], resolved).await {
        Ok(credentials) => credentials,
        Err(late) => Err(timed_out("token acquisition", late)),
    }
}

async fn reserve(
    context: &CallContext,
    account: &Arc<IdentityUsageState>,
) -> Result<BudgetReservations> {
    let limit = &context.deadline;
    let reservation = pin!(account.reserve(context.name(), &context.store_wait));
    match with_deadline([limit, limit], reservation).await {
        Ok(taken) => taken,
        Err(late) => Err(timed_out("budget check", late)),
    }
}

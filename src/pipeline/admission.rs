//! Admits an attempt before anything is sent, in this order: budget check, circuit check, rate limit, circuit permit,
//! credentials, budget reservation.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, poll_immediate, select};
use tokio::time::Instant;

use super::attempt::Attempt;
use super::call::CallContext;
use super::permits::AttemptPermits;
use crate::error::{Error, Result};
use crate::meter;
use crate::policy::auth::RequestCredentials;
use crate::policy::rate_limit::{Admission, CallHandle, Permit, WaitBudget};
use crate::policy::usage::{BudgetReservations, IdentityUsageState};

/// The reason for not sending an attempt.
pub(super) enum AttemptRejection {
    RateLimit(Error),
    Other(Error),
}

/// Waits for the permits of an attempt, and for its credentials. `waited` is how long the call has waited for limits
/// before, and `now` is when the attempt requests admission. As long as nothing waits, no step reads the clock again.
pub(super) async fn admit(
    context: &CallContext,
    waited: Duration,
    call: &CallHandle,
    mut now: Instant,
) -> Result<Attempt, AttemptRejection> {
    let account = context.budgeted_account();
    if let Some(account) = &account {
        // A request that would be rejected anyway neither waits nor causes a token request.
        account.check(context.name()).map_err(AttemptRejection::Other)?;
    }
    let account_ref = account.as_ref();
    let mut permits = acquire_permits(context, waited, call, account_ref, &mut now).await?;
    let credentials = resolve_credentials(context, &mut now).await;
    let credentials = credentials.map_err(AttemptRejection::Other)?;
    // A permit can take so long that another window of a budget has begun.
    permits.budgets = permits.budgets.filter(BudgetReservations::is_current);
    if let (Some(account), None) = (&account, &permits.budgets) {
        let reservation = Box::pin(reserve(context, account)).await;
        permits.budgets = Some(reservation.map_err(AttemptRejection::Other)?);
        now = Instant::now();
    }
    Ok(Attempt::new(permits, credentials, now))
}

/// Waits for the permits, from `now` on, which becomes the end of the wait. If that takes a wait for the store, the
/// budgets are reserved at the same time.
async fn acquire_permits(
    context: &CallContext,
    waited: Duration,
    call: &CallHandle,
    account: Option<&Arc<IdentityUsageState>>,
    now: &mut Instant,
) -> Result<AttemptPermits, AttemptRejection> {
    let started_at = *now;
    let (permits, budgets) = {
        let _waiting = meter::InFlight::waiting();
        match request_permit(context, waited, call, started_at) {
            Ok(None) => (Ok(AttemptPermits::default()), None),
            Ok(Some(Admission::Admitted(permit))) => (enter_circuit(context, call, permit), None),
            Ok(Some(Admission::Waiting(turn))) => {
                let acquired = Box::pin(wait_for_permits(context, call, turn, account)).await?;
                *now = Instant::now();
                acquired
            }
            Err(error) => (Err(error), None),
        }
    };
    let waited = match &permits {
        Ok(permits) => permits.rate_limit.as_ref().map_or(Duration::ZERO, |permit| permit.waited),
        Err(_) => now.saturating_duration_since(started_at),
    };
    meter::wait_recorded("rate_limit", waited);
    let permits = permits.map_err(AttemptRejection::RateLimit)?;
    Ok(AttemptPermits { budgets, ..permits })
}

/// Waits for the permits in the call's turn, and meanwhile reserves its budgets, if both query the store.
async fn wait_for_permits(
    context: &CallContext,
    call: &CallHandle,
    turn: BoxFuture<'_, Result<Permit>>,
    account: Option<&Arc<IdentityUsageState>>,
) -> Result<(Result<AttemptPermits>, Option<BudgetReservations>), AttemptRejection> {
    let is_waiting_for_store = || context.admission_queue().is_waiting_for_store(&context.cost());
    let Some(account) = account.filter(|_| is_waiting_for_store()) else {
        let permit = turn.await;
        return Ok((permit.and_then(|permit| enter_circuit(context, call, permit)), None));
    };
    let reservation = pin!(account.reserve(context.name(), &context.store_wait));
    let (permit, budgets) = match select(turn, reservation).await {
        Either::Left((Ok(permit), reservation)) => (Ok(permit), Some(reservation.await)),
        Either::Left((Err(error), _)) => (Err(error), None),
        Either::Right((Ok(budgets), turn)) => (turn.await, Some(Ok(budgets))),
        Either::Right((Err(error), _)) => return Err(AttemptRejection::Other(error)),
    };
    let budgets = budgets.transpose().map_err(AttemptRejection::Other)?;
    Ok((permit.and_then(|permit| enter_circuit(context, call, permit)), budgets))
}

/// Requests a permit of the rate limits, unless the circuit of the server is open. Returns `None` if they do not concern
/// the call.
fn request_permit<'a>(
    context: &CallContext,
    waited: Duration,
    call: &'a CallHandle,
    now: Instant,
) -> Result<Option<Admission<'a>>> {
    if context.spec.is_external {
        return Ok(None);
    }
    context.circuit().check()?;
    let queue = context.admission_queue();
    let budget = WaitBudget { spent: waited, ..WaitBudget::new(context.max_wait_at(now)) };
    let priority = context.options.priority;
    queue.admit_at(now, context.cost(), priority, budget, call).map(Some)
}

/// Adds the circuit's permit to that of the rate limits.
fn enter_circuit(
    context: &CallContext,
    call: &CallHandle,
    permit: Permit,
) -> Result<AttemptPermits> {
    context.extend_for_wait(permit.waited);
    let circuit = context.circuit().acquire()?;
    if circuit.is_probe() {
        // Until the probe ends, other calls fail: it must not depend on being polled by its caller.
        call.detach();
    }
    Ok(AttemptPermits { rate_limit: Some(permit), circuit: Some(circuit), budgets: None })
}

/// Returns the credentials of the call. After a wait for them, `now` is its end.
async fn resolve_credentials(
    context: &CallContext,
    now: &mut Instant,
) -> Result<RequestCredentials> {
    if context.spec.is_external {
        return Ok(RequestCredentials::default());
    }
    let handle = &context.handle;
    let has_own = context.spec.request_authorization().is_some();
    let mut resolved =
        pin!(RequestCredentials::resolve(&handle.identity, handle.gateway(), handle, has_own));
    // A token that needs no refresh is there at once, and takes no timer.
    if let Some(resolved) = poll_immediate(resolved.as_mut()).await {
        return resolved;
    }
    let resolved = Box::pin(context.within_deadline("token acquisition", resolved)).await;
    *now = Instant::now();
    resolved?
}

async fn reserve(
    context: &CallContext,
    account: &Arc<IdentityUsageState>,
) -> Result<BudgetReservations> {
    let reservation = pin!(account.reserve(context.name(), &context.store_wait));
    context.within_deadline("budget check", reservation).await?
}

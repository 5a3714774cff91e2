//! The handling of a claimed delivery until it succeeds or has failed finally.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{Either, poll_immediate, select};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{Instrument, Span, debug, error, info_span, warn};

use super::capacity::CapacityPermit;
use super::handler::{HandlerError, error_chain};
use super::{Lifecycle, ReceiveOutcome, Shared};
use crate::meter;
use crate::sanitize;
use crate::webhooks::deduplicator::{Claim, ClaimOutcome};
use crate::webhooks::delivery::Delivery;
use crate::webhooks::rejection::RejectionReason;

/// How often a claim is renewed during its TTL.
const RENEWALS_PER_CLAIM: u32 = 3;
/// The total number of attempts to write to the store.
const PERSIST_ATTEMPTS: u32 = 3;
/// The time between the end of an attempt and the end of the request.
const RESPONSE_MARGIN: Duration = Duration::from_millis(200);
/// The delay between attempts during shutdown without a journal.
const SHUTDOWN_BACKOFF: Duration = Duration::from_secs(1);
const PERSIST_RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// The result of handling a delivery.
enum HandlingResult {
    Handled,
    Failed(HandlerError),
    /// The receiver was shut down before.
    Interrupted,
    /// Another receiver has handled it, or holds the claim.
    ClaimedByAnother(ClaimOutcome),
}

/// Handles a delivery that was claimed before this call, with all attempts.
pub(super) fn handle(
    shared: Arc<Shared>,
    delivery: Delivery,
    claim: Claim,
    mut permit: CapacityPermit,
) -> impl Future<Output = ()> + Send {
    let claimed_at = Instant::now();
    async move {
        let span = span(&delivery);
        // The task can start late: nothing renews the claim before.
        let has_expired = claimed_at.elapsed() >= shared.deduplicator.effective_claim_ttl();
        let lost = AtomicBool::new(has_expired);
        let attempts = attempts(&shared, &delivery, &claim, &lost, &mut permit);
        let work = with_claim_renewal(&shared, &claim, &lost, attempts);
        let end = until_shutdown(&shared, work).instrument(span.clone()).await;
        record_result(&shared, &delivery, claim, end).instrument(span).await;
        drop(permit);
    }
}

/// Handles a delivery in one attempt, which ends at this deadline.
pub(super) async fn handle_once(
    shared: &Arc<Shared>,
    delivery: Delivery,
    claim: Claim,
    permit: CapacityPermit,
    by: Instant,
) -> Result<ReceiveOutcome, RejectionReason> {
    let span = span(&delivery);
    // An outcome at the last moment still has to be sent.
    let by = by.checked_sub(RESPONSE_MARGIN).unwrap_or(by);
    let once = async {
        // A delivery whose handling could not start in time was not handled.
        let Ok(_turn) = timeout_at(by, shared.capacity.acquire_worker()).await else {
            return HandlingResult::Interrupted;
        };
        let within = by.saturating_duration_since(Instant::now());
        if within.is_zero() {
            return HandlingResult::Interrupted;
        }
        match attempt(shared, &delivery, 1, within).await {
            Ok(()) => HandlingResult::Handled,
            Err(failure) => HandlingResult::Failed(failure),
        }
    };
    let lost = AtomicBool::new(false);
    let work = with_claim_renewal(shared, &claim, &lost, once);
    let end = until_shutdown(shared, work).instrument(span.clone()).await;
    let response = match end {
        HandlingResult::Handled => Ok(ReceiveOutcome::Handled),
        HandlingResult::Failed(_) => Err(RejectionReason::Failed),
        HandlingResult::Interrupted | HandlingResult::ClaimedByAnother(_) => {
            Err(RejectionReason::Busy)
        }
    };
    record_result(shared, &delivery, claim, end).instrument(span).await;
    drop(permit);
    response
}

/// Releases a delivery that is not handled here.
pub(super) async fn hand_back(shared: &Shared, delivery: &Delivery, claim: Claim) {
    // With a journal it stays claimed for the next receiver that opens it.
    if !shared.journal.hand_back(delivery) {
        release(claim).await;
    }
}

/// Maximum length of a delivery's names in its span, in characters.
const MAX_NAME_CHARS: usize = 200;

fn span(delivery: &Delivery) -> Span {
    info_span!(
        "webhook.delivery",
        event = &*sanitize::text(delivery.event_name(), MAX_NAME_CHARS),
        delivery = &*sanitize::text(delivery.id(), MAX_NAME_CHARS),
        hook = delivery.hook_id(),
        replayed = delivery.is_replayed(),
    )
}

/// Cancels work when the receiver shuts down.
async fn until_shutdown(
    shared: &Shared,
    work: impl Future<Output = HandlingResult>,
) -> HandlingResult {
    let mut work = pin!(work);
    // No work starts after the end.
    if shared.has_ended() {
        return HandlingResult::Interrupted;
    }
    // Work that is ready at once needs no subscription.
    if let Some(end) = poll_immediate(work.as_mut()).await {
        return end;
    }
    let mut phase = shared.phase.subscribe();
    let ended = pin!(phase.wait_for(|phase| *phase == Lifecycle::Ended));
    match select(ended, work).await {
        Either::Left(_) => HandlingResult::Interrupted,
        Either::Right((end, _)) => end,
    }
}

/// Renews a claim during some work, and reports if it is lost.
async fn with_claim_renewal<T>(
    shared: &Shared,
    claim: &Claim,
    lost: &AtomicBool,
    work: impl Future<Output = T>,
) -> T {
    let renewing = async {
        loop {
            sleep(shared.deduplicator.effective_claim_ttl() / RENEWALS_PER_CLAIM).await;
            match claim.renew().await {
                Ok(is_held) => lost.store(!is_held, Ordering::Relaxed),
                Err(error) => warn!(%error, "claim renewal failed"),
            }
        }
    };
    match select(pin!(work), pin!(renewing)).await {
        Either::Left((result, _)) => result,
        Either::Right((never, _)) => never,
    }
}

async fn attempts(
    shared: &Shared,
    delivery: &Delivery,
    claim: &Claim,
    lost: &AtomicBool,
    permit: &mut CapacityPermit,
) -> HandlingResult {
    let how = &shared.handler.config;
    let mut number = 1;
    loop {
        let turn = shared.capacity.acquire_worker().await;
        // After a stall of longer than the TTL of a claim, this process might not be the only one with the delivery.
        if lost.load(Ordering::Relaxed) {
            match shared.deduplicator.reclaim(claim).await {
                Ok(ClaimOutcome::Claimed(_)) => lost.store(false, Ordering::Relaxed),
                Ok(outcome) => return HandlingResult::ClaimedByAnother(outcome),
                Err(error) => warn!(%error, "claim check failed"),
            }
        }
        let Err(failure) = attempt(shared, delivery, number, how.timeout).await else {
            return HandlingResult::Handled;
        };
        drop(turn);
        let pause = if failure.is_permanent { None } else { how.retry.pause(number) };
        let Some(pause) = pause else { return HandlingResult::Failed(failure) };
        let error = error_chain(&*failure.error);
        warn!(attempt = number, %error, ?pause, "delivery handling failed; retrying");
        shared.capacity.move_to_retries(permit);
        if !sleep_unless_closed(shared, pause).await {
            // With a journal, the next start handles it; without one, this is the last chance.
            if shared.journal.is_enabled() {
                permit.hand_back();
                return HandlingResult::Interrupted;
            }
            sleep(pause.min(SHUTDOWN_BACKOFF)).await;
        }
        number = number.saturating_add(1);
    }
}

/// Waits for this long. Returns whether the receiver stayed open.
async fn sleep_unless_closed(shared: &Shared, pause: Duration) -> bool {
    let mut phase = shared.phase.subscribe();
    let closed = phase.wait_for(|phase| *phase != Lifecycle::Open);
    timeout(pause, closed).await.is_err()
}

async fn attempt(
    shared: &Shared,
    delivery: &Delivery,
    number: u32,
    within: Duration,
) -> Result<(), HandlerError> {
    let began = Instant::now();
    let delivered = delivery.with_attempt(number, shared.stats.undecoded_counter());
    let result = shared.handler.attempt(delivered, within).await;
    meter::delivery_handled(delivery.event_label(), began.elapsed());
    if result.is_err() {
        shared.stats.record_failed_attempt(delivery.event_label());
    }
    result
}

/// Records the outcome of a delivery.
async fn record_result(
    shared: &Arc<Shared>,
    delivery: &Delivery,
    claim: Claim,
    end: HandlingResult,
) {
    match end {
        HandlingResult::Handled => {
            debug!("delivery handled");
            // First in the shared store, then in the journal of this process.
            if let Err(error) = with_retries(|| claim.mark_done()).await {
                warn!(%error, "delivery handled, but not marked as done; it might be accepted again");
            }
            complete(shared, delivery).await;
            shared.stats.record_handled(delivery.event_label());
        }
        HandlingResult::ClaimedByAnother(ClaimOutcome::Done) => complete(shared, delivery).await,
        HandlingResult::ClaimedByAnother(_) => {
            warn!("delivery skipped: claimed by another process");
            schedule_replay(shared, delivery);
        }
        HandlingResult::Failed(failure) => {
            let reason = error_chain(&*failure.error);
            error!(error = %reason, "delivery handling failed; giving up");
            if let Err(error) = shared.journal.fail(&delivery.key(), &reason).await {
                // The journal keeps it for the lifetime of the process.
                warn!(%error, "delivery failed, but not recorded yet; recording is retried");
            }
            release(claim).await;
            shared.stats.record_failed(delivery.event_label());
        }
        HandlingResult::Interrupted => {
            warn!("delivery not handled: receiver is shutting down or overloaded");
            hand_back(shared, delivery, claim).await;
        }
    }
}

/// Checks it again, if there is a journal that has it.
#[cfg_attr(not(feature = "webhooks-journal"), allow(unused_variables, reason = "there is none"))]
fn schedule_replay(shared: &Arc<Shared>, delivery: &Delivery) {
    #[cfg(feature = "webhooks-journal")]
    super::replay::schedule_replay(shared, delivery.key());
}

async fn complete(shared: &Shared, delivery: &Delivery) {
    if !shared.journal.is_enabled() {
        return;
    }
    if let Err(error) = shared.journal.complete(&delivery.key()).await {
        // The journal keeps it for the lifetime of the process.
        warn!(%error, "delivery handled, but not recorded yet; recording is retried");
    }
}

/// Writes to the store, with a useful number of attempts: a connection that was cut is replaced. The journal records
/// outcomes by itself as soon as it can.
async fn with_retries<F>(note: impl Fn() -> F) -> crate::error::Result<()>
where
    F: Future<Output = crate::error::Result<()>>,
{
    let mut result = note().await;
    for _ in 1..PERSIST_ATTEMPTS {
        if result.is_ok() {
            break;
        }
        sleep(PERSIST_RETRY_INTERVAL).await;
        result = note().await;
    }
    result
}

async fn release(claim: Claim) {
    if let Err(error) = claim.release().await {
        warn!(%error, "claim release failed; the claim expires on its own");
    }
}

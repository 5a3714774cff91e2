//! Handles a claimed delivery until it succeeds or has failed finally.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{Instrument, Span, debug, error, info_span, warn};

use super::handler::{Failure, in_one_line};
use super::rooms::Room;
use super::{Phase, Receipt, Shared};
use crate::sanitize;
use crate::telemetry::meter;
use crate::webhooks::delivery::Delivery;
use crate::webhooks::once::{Claim, Taken};
use crate::webhooks::refusal::Refusal;

/// How often a claim is renewed during its TTL.
const RENEWALS: u32 = 3;
/// The total number of attempts to write to the store.
const NOTES: u32 = 3;
/// The time between the end of an attempt and the end of the request.
const TO_ANSWER: Duration = Duration::from_millis(200);
/// The delay between attempts during shutdown without a journal.
const LAST_PAUSE: Duration = Duration::from_secs(1);
const BETWEEN_NOTES: Duration = Duration::from_millis(200);

/// The outcome.
enum End {
    Handled,
    Failed(Failure),
    /// The receiver was shut down before.
    Left,
    /// Another receiver has handled it, or holds the claim.
    Elsewhere(Taken),
}

/// Handles a delivery, with all attempts.
pub(super) async fn handle(shared: &Arc<Shared>, delivery: Delivery, claim: Claim, mut room: Room) {
    let span = span(&delivery);
    let lost = AtomicBool::new(false);
    let attempts = attempts(shared, &delivery, &claim, &lost, &mut room);
    let work = renewing(shared, &claim, &lost, attempts);
    let end = unless_ended(shared, work).instrument(span.clone()).await;
    finish(shared, &delivery, claim, end).instrument(span).await;
    drop(room);
}

/// Handles a delivery in one attempt, which ends at this deadline.
pub(super) async fn handle_once(
    shared: &Arc<Shared>,
    delivery: Delivery,
    claim: Claim,
    room: Room,
    by: Instant,
) -> Result<Receipt, Refusal> {
    let span = span(&delivery);
    // An outcome at the last moment still has to be sent.
    let by = by.checked_sub(TO_ANSWER).unwrap_or(by);
    let once = async {
        // The handling of a delivery that could not start in time has not begun.
        let Ok(_turn) = timeout_at(by, shared.rooms.turn()).await else { return End::Left };
        let within = by.saturating_duration_since(Instant::now());
        if within.is_zero() {
            return End::Left;
        }
        match attempt(shared, &delivery, 1, within).await {
            Ok(()) => End::Handled,
            Err(failure) => End::Failed(failure),
        }
    };
    let lost = AtomicBool::new(false);
    let work = renewing(shared, &claim, &lost, once);
    let end = unless_ended(shared, work).instrument(span.clone()).await;
    let answer = match end {
        End::Handled => Ok(Receipt::Handled),
        End::Failed(_) => Err(Refusal::Failed),
        End::Left | End::Elsewhere(_) => Err(Refusal::Busy),
    };
    finish(shared, &delivery, claim, end).instrument(span).await;
    drop(room);
    answer
}

/// Releases a delivery that is not handled here.
pub(super) async fn leave(shared: &Shared, delivery: &Delivery, claim: Claim) {
    // With a journal it stays claimed for the next receiver that opens it.
    if !shared.inbox.leave(delivery) {
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
        resumed = delivery.is_resumed(),
    )
}

/// Cancels work when the receiver shuts down.
async fn unless_ended(shared: &Shared, work: impl Future<Output = End>) -> End {
    let mut phase = shared.phase.subscribe();
    // Polled first, so that no work starts after it.
    let ended = pin!(phase.wait_for(|phase| *phase == Phase::Ended));
    match select(ended, pin!(work)).await {
        Either::Left(_) => End::Left,
        Either::Right((end, _)) => end,
    }
}

/// Renews a claim during some work, and reports if it is lost.
async fn renewing<T>(
    shared: &Shared,
    claim: &Claim,
    lost: &AtomicBool,
    work: impl Future<Output = T>,
) -> T {
    let renewing = async {
        loop {
            sleep(shared.once.lasts() / RENEWALS).await;
            match claim.renew().await {
                Ok(still) => lost.store(!still, Ordering::Relaxed),
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
    room: &mut Room,
) -> End {
    let how = &shared.handler.how;
    let mut number = 1;
    loop {
        let turn = shared.rooms.turn().await;
        // After a stall of longer than the TTL of a claim, this process might not be the only one with the delivery.
        if lost.load(Ordering::Relaxed) {
            match shared.once.retake(claim).await {
                Ok(Taken::Claimed(_)) => lost.store(false, Ordering::Relaxed),
                Ok(elsewhere) => return End::Elsewhere(elsewhere),
                Err(error) => warn!(%error, "claim check failed"),
            }
        }
        let Err(failure) = attempt(shared, delivery, number, how.within).await else {
            return End::Handled;
        };
        drop(turn);
        let pause = if failure.last { None } else { how.retry.pause(number) };
        let Some(pause) = pause else { return End::Failed(failure) };
        let error = in_one_line(&*failure.error);
        warn!(attempt = number, %error, ?pause, "delivery handling failed; retrying");
        shared.rooms.set_aside(room);
        if !rested(shared, pause).await {
            // With a journal, the next start handles it; without one, this is the last chance.
            if shared.inbox.is_there() {
                room.leave();
                return End::Left;
            }
            sleep(pause.min(LAST_PAUSE)).await;
        }
        number = number.saturating_add(1);
    }
}

/// Waits for this long. Returns whether the receiver stayed open.
async fn rested(shared: &Shared, pause: Duration) -> bool {
    let mut phase = shared.phase.subscribe();
    let closed = phase.wait_for(|phase| *phase != Phase::Open);
    timeout(pause, closed).await.is_err()
}

async fn attempt(
    shared: &Shared,
    delivery: &Delivery,
    number: u32,
    within: Duration,
) -> Result<(), Failure> {
    let began = Instant::now();
    let delivered = delivery.attempted(number, shared.counts.undecoded());
    let result = shared.handler.attempt(delivered, within).await;
    meter::handled(delivery.event_name(), began.elapsed());
    if result.is_err() {
        shared.counts.failed_attempt(delivery.event_name());
    }
    result
}

/// Records the outcome of a delivery.
async fn finish(shared: &Arc<Shared>, delivery: &Delivery, claim: Claim, end: End) {
    let key = delivery.key();
    match end {
        End::Handled => {
            debug!("delivery handled");
            // First in the shared store, then in the journal of this process.
            if let Err(error) = noted(|| claim.note_done()).await {
                warn!(%error, "delivery handled, but not marked as done; it might be accepted again");
            }
            done(shared, &key).await;
            shared.counts.handled(delivery.event_name());
        }
        End::Elsewhere(Taken::Done) => done(shared, &key).await,
        End::Elsewhere(_) => {
            warn!("delivery skipped: claimed by another process");
            take_up_later(shared, key);
        }
        End::Failed(failure) => {
            let reason = in_one_line(&*failure.error);
            error!(error = %reason, "delivery handling failed; giving up");
            if let Err(error) = shared.inbox.failed(&key, &reason).await {
                // The journal keeps it for the lifetime of the process.
                warn!(%error, "delivery failed, but not recorded yet; recording is retried");
            }
            release(claim).await;
            shared.counts.failed(delivery.event_name());
        }
        End::Left => {
            warn!("delivery not handled: receiver is shutting down or overloaded");
            leave(shared, delivery, claim).await;
        }
    }
}

/// Checks it again, if there is a journal that has it.
#[cfg_attr(not(feature = "webhooks-journal"), allow(unused_variables, reason = "there is none"))]
fn take_up_later(shared: &Arc<Shared>, key: String) {
    #[cfg(feature = "webhooks-journal")]
    super::resume::take_up_later(shared, key);
}

async fn done(shared: &Shared, key: &str) {
    if let Err(error) = shared.inbox.done(key).await {
        // The journal keeps it for the lifetime of the process.
        warn!(%error, "delivery handled, but not recorded yet; recording is retried");
    }
}

/// Writes to the store, with a useful number of attempts: a connection that was cut is replaced. The journal records
/// outcomes by itself as soon as it can.
async fn noted<F>(note: impl Fn() -> F) -> crate::Result<()>
where
    F: Future<Output = crate::Result<()>>,
{
    let mut result = note().await;
    for _ in 1..NOTES {
        if result.is_ok() {
            break;
        }
        sleep(BETWEEN_NOTES).await;
        result = note().await;
    }
    result
}

async fn release(claim: Claim) {
    if let Err(error) = claim.failed().await {
        warn!(%error, "claim release failed; the claim expires on its own");
    }
}

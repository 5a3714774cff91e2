//! From a claim to a delivery that is handled, or has failed to the end.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep};
use tracing::{Instrument, Span, debug, error, info_span, warn};

use super::handler::{Failure, in_one_line};
use super::intake::Room;
use super::{Phase, Shared};
use crate::retry::Retries;
use crate::webhooks::delivery::Delivery;
use crate::webhooks::once::Claim;

/// A claim is renewed so many times in the time that it lasts.
const RENEWALS: u32 = 3;

/// Handles a delivery, as often as it takes.
pub(super) async fn handle(shared: &Shared, delivery: Delivery, claim: Claim, room: Room) {
    let span = span(&delivery);
    let result = unless_ended(shared, renewing(shared, &claim, attempts(shared, &delivery)));
    let result = result.instrument(span.clone()).await;
    finish(shared, &delivery, claim, result).instrument(span).await;
    drop(room);
}

/// Handles a delivery in one attempt, and says whether it is.
pub(super) async fn handle_once(
    shared: &Shared,
    delivery: Delivery,
    claim: Claim,
    room: Room,
) -> bool {
    let span = span(&delivery);
    let once = async {
        let _turn = shared.rooms.turn().await;
        attempt(shared, &delivery, 1).await
    };
    let result = unless_ended(shared, once).instrument(span.clone()).await;
    let handled = matches!(result, Some(Ok(())));
    finish(shared, &delivery, claim, result).instrument(span).await;
    drop(room);
    handled
}

fn span(delivery: &Delivery) -> Span {
    info_span!(
        "webhook.delivery",
        event = delivery.event_name(),
        delivery = delivery.id(),
        hook = delivery.hook_id(),
        resumed = delivery.is_resumed(),
    )
}

/// Ends what goes on when the receiver does.
async fn unless_ended<T>(shared: &Shared, work: impl Future<Output = T>) -> Option<T> {
    let mut phase = shared.phase.subscribe();
    let ended = pin!(phase.wait_for(|phase| *phase == Phase::Ended));
    match select(pin!(work), ended).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(_) => None,
    }
}

/// Keeps a claim while something goes on.
async fn renewing<T>(shared: &Shared, claim: &Claim, work: impl Future<Output = T>) -> T {
    let renewing = async {
        loop {
            sleep(shared.once.lasts() / RENEWALS).await;
            match claim.renew().await {
                Ok(true) => {}
                Ok(false) => warn!("the claim of a delivery is lost: others may handle it as well"),
                Err(error) => warn!(%error, "the claim of a delivery can not be renewed"),
            }
        }
    };
    match select(pin!(work), pin!(renewing)).await {
        Either::Left((result, _)) => result,
        Either::Right((never, _)) => never,
    }
}

async fn attempts(shared: &Shared, delivery: &Delivery) -> Result<(), Failure> {
    let began = Instant::now();
    let mut retries: Option<Retries> = None;
    let mut number = 1;
    loop {
        let turn = shared.rooms.turn().await;
        let Err(failure) = attempt(shared, delivery, number).await else { return Ok(()) };
        drop(turn);
        // Most need none.
        let retries = retries.get_or_insert_with(|| Retries::new(shared.handler.how.retry.clone()));
        let pause = if failure.last { None } else { retries.next_pause(began.elapsed()) };
        let Some(pause) = pause else { return Err(failure) };
        let error = in_one_line(&*failure.error);
        warn!(attempt = number, %error, ?pause, "a delivery was not handled, and is tried again");
        sleep(pause).await;
        number = number.saturating_add(1);
    }
}

async fn attempt(shared: &Shared, delivery: &Delivery, number: u32) -> Result<(), Failure> {
    let result = shared.handler.attempt(delivery.attempted(number)).await;
    if result.is_err() {
        shared.counts.failed_attempt();
    }
    result
}

/// Notes what became of a delivery; `None` if it was ended.
async fn finish(
    shared: &Shared,
    delivery: &Delivery,
    claim: Claim,
    result: Option<Result<(), Failure>>,
) {
    let id = delivery.id();
    match result {
        Some(Ok(())) => {
            debug!("a delivery is handled");
            // First where all look, then where this process would begin anew.
            if let Err(error) = done(claim).await {
                warn!(%error, "a delivery is handled, and may be accepted again");
            }
            if let Err(error) = shared.inbox.done(id).await {
                warn!(%error, "a delivery is handled, and may be handled again after the next start");
            }
            shared.counts.handled();
        }
        Some(Err(failure)) => {
            let reason = in_one_line(&*failure.error);
            error!(error = %reason, "a delivery was not handled, and is given up");
            if let Err(error) = shared.inbox.failed(id, &reason).await {
                warn!(%error, "a delivery that failed will be handled again after the next start");
            }
            release(claim).await;
            shared.counts.failed();
        }
        // The claim stays for who goes on with it, if anybody will.
        None if shared.inbox.is_there() => {}
        None => {
            warn!("a delivery is left unhandled, since the receiver ends");
            release(claim).await;
        }
    }
}

/// Says that a delivery is handled, twice if it has to be: a store that lost a connection has another.
async fn done(claim: Claim) -> crate::Result<()> {
    match claim.note_done().await {
        Ok(()) => Ok(()),
        Err(_) => {
            sleep(Duration::from_millis(100)).await;
            claim.done().await
        }
    }
}

async fn release(claim: Claim) {
    if let Err(error) = claim.failed().await {
        warn!(%error, "the claim of a delivery ends with its time only");
    }
}

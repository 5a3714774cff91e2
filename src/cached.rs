//! How a read goes by the cache: what is stored, then what is under way, then GitHub.

use std::sync::Arc;

use http::StatusCode;
use tracing::debug;

use crate::cache::CachePolicy;
use crate::cache::CacheStatus;
use crate::cache::clock;
use crate::cache::conditional::Conditional;
use crate::cache::found::{Found, Landed};
use crate::cache::log::{Mark, What};
use crate::cache::plan::{Base, Exchange, Plan, Use};
use crate::cache::rules::Times;
use crate::call::{Reading, tried};
use crate::deadline::within;
use crate::error::{Error, ErrorKind, Result};
use crate::operation::Label;
use crate::request::{Prepared, Request};
use crate::response::Raw;

/// Reads. `again` is the same call, for when it has to be made behind this one's back.
pub(crate) async fn cached(
    plan: Plan,
    mut prepared: Prepared,
    operation: &Label,
    again: Option<Request>,
) -> Result<Raw> {
    let number = plan.cache.log.number().await;
    // Of what is stored, nothing is known without the log.
    let base = if number.is_some() { plan.own(&prepared).await } else { Base::Nothing };
    if let Base::Own(entry, verdict) = &base {
        match plan.use_of(entry, *verdict) {
            Use::Give(came) => return Ok(Found::stored(entry, came).raw(operation)),
            Use::GiveAndAsk => {
                refresh(&plan, again);
                return Ok(Found::stored(entry, CacheStatus::Stale).raw(operation));
            }
            Use::Ask => {}
        }
    }
    if plan.is_only_if_cached() {
        return Err(Error::new(ErrorKind::NotCached, "no answer is stored")
            .with_advice("nothing was sent: allow another CachePolicy than only_if_cached"));
    }
    let flight = plan.cache.flights.join(plan.route());
    let turn = match within([&prepared.limit, &prepared.limit], flight.turn()).await {
        Ok(turn) => turn,
        Err(late) => {
            let message = format!("an equal call is not answered within {:?}", late.length());
            return Err(Error::new(ErrorKind::Timeout, message)
                .with_advice("try again, or allow more by call_timeout or timeout"));
        }
    };
    if let Some(landed) = &*turn {
        return landed.clone().map(|found| found.raw(operation));
    }
    let landed = ask(&plan, &mut prepared, base, number, operation).await;
    match &landed {
        // It says something of this caller: the next one asks for itself.
        Err(error) if is_of_the_caller(error) => drop(turn),
        _ => plan.cache.flights.land(&flight, turn, landed.clone()),
    }
    landed.map(|found| found.raw(operation))
}

/// Asks GitHub, with what is stored in mind if something is.
async fn ask(
    plan: &Plan,
    prepared: &mut Prepared,
    base: Base,
    number: Option<u64>,
    operation: &Label,
) -> Landed {
    let base = match base {
        Base::Nothing if number.is_some() => plan.anothers(prepared).await,
        base => base,
    };
    prepared.conditional = Some(plan.conditional(&base));
    let requested = clock::now();
    let answer = tried(prepared, operation, Reading::Buffered).await;
    let times = Times { requested, received: clock::now() };
    let sent = prepared.conditional.as_ref().and_then(Conditional::sent);
    let exchange = Exchange { times, number, sent };
    match answer {
        Ok(raw) if raw.status == StatusCode::NOT_MODIFIED => {
            match plan.confirmed(prepared, &base, raw, exchange).await {
                Some(found) => Ok(found),
                None => Err(Error::new(
                    ErrorKind::Api,
                    "GitHub answered 304 to a request that named nothing it could be about",
                )
                .with_advice("a proxy may be at fault; switch the cache off by Cache::off")),
            }
        }
        Ok(raw) => {
            plan.answered(&raw, prepared, exchange).await;
            Ok(Found {
                status: raw.status,
                body: raw.bytes().clone(),
                headers: raw.headers,
                url: raw.url,
                came: CacheStatus::Miss,
                age: None,
            })
        }
        Err(error) => {
            if let Base::Own(entry, verdict) = &base {
                if plan.outlasts(entry, *verdict, &error) {
                    debug!(%error, "a stored answer stands in for GitHub's");
                    return Ok(Found::stored(entry, CacheStatus::Stale));
                }
                plan.refused(&error).await;
            }
            Err(error)
        }
    }
}

/// Asks again in a task of its own, unless somebody does or too many are asked for already.
fn refresh(plan: &Plan, again: Option<Request>) {
    let Some(again) = again.filter(|_| !plan.cache.flights.is_flying(plan.route())) else { return };
    let Ok(permit) = Arc::clone(&plan.cache.refreshing).try_acquire_owned() else { return };
    let call = again.cache(CachePolicy::revalidate()).send_empty();
    tokio::spawn(async move {
        let _permit = permit;
        if let Err(error) = call.await {
            debug!(%error, "a stored answer was not refreshed");
        }
    });
}

/// Whether an error has to do with who called, and how patient it was.
fn is_of_the_caller(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Timeout | ErrorKind::RateLimit | ErrorKind::QueueFull)
}

/// A write makes doubtful what it may have changed: what it was sent to and all below, and the lists
/// and resources above
/// ([RFC 9111, 4.4](https://www.rfc-editor.org/rfc/rfc9111#section-4.4)).
pub(crate) async fn changed(prepared: &Prepared, answer: &Result<Raw>) {
    let Some(cache) = &prepared.client().inner().cache else { return };
    if prepared.is_read() || answer.as_ref().is_err_and(is_nothing_done) {
        return;
    }
    let path = prepared.path().to_ascii_lowercase();
    let parents = path.match_indices('/').map(|(at, _)| path[..at].to_owned());
    // Its list, and what that belongs to.
    let at: Vec<String> = parents.filter(|parent| !parent.is_empty()).collect();
    let nearest = at.len().saturating_sub(2);
    let what = What::Paths { at: at[nearest..].to_vec(), below: vec![path] };
    cache.log.mark(Mark { forget: false, what }).await;
}

/// Whether a call that failed has changed nothing for certain.
fn is_nothing_done(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Api => error.status().is_some_and(|status| status.is_client_error()),
        ErrorKind::Transport | ErrorKind::Timeout | ErrorKind::Decode => error.never_reached(),
        ErrorKind::BodyTooLarge | ErrorKind::Redirect => false,
        _ => true,
    }
}

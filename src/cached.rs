//! Reads through the cache: first the stored response, then an equal read in flight, then GitHub.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::timeout;
use tracing::debug;

use crate::auth::keep_flights;
use crate::cache::CachePolicy;
use crate::cache::CacheStatus;
use crate::cache::Open;
use crate::cache::conditional::Conditional;
use crate::cache::found::{Found, Landed};
use crate::cache::key::Key;
use crate::cache::log::{Mark, What};
use crate::cache::plan::{Base, Exchange, Plan, Stored, Use};
use crate::cache::rules::Times;
use crate::call::{Reading, tried};
use crate::clock;
use crate::detachable::DetachableCall;
use crate::error::{Error, ErrorKind, Result};
use crate::id_path;
use crate::limits::{BatchSlot, BatchWait, CallHandle};
use crate::operation::Label;
use crate::request::{Changes, Prepared, Request};
use crate::response::Raw;
use crate::store::WaitAllowance;

/// Performs a read through the cache. `again` is the same call, for a refresh in the background.
pub(crate) async fn cached(
    plan: Plan,
    prepared: Prepared,
    operation: &Label,
    again: Option<Request>,
) -> Result<Raw> {
    let plan = Arc::new(plan);
    plan.announce(&prepared);
    let Stored { number, base, anothers } = plan.look_up(&prepared).await;
    if let Base::Own(entry, verdict) = &base {
        match plan.use_of(entry, *verdict) {
            Use::Give(came) => return Ok(Found::stored(entry, came).raw(operation)),
            Use::GiveAndAsk => {
                refresh(&plan, &prepared, again);
                return Ok(Found::stored(entry, CacheStatus::Stale).raw(operation));
            }
            Use::Ask => {}
        }
    }
    if plan.is_only_if_cached() {
        return Err(not_cached());
    }
    let asked = Asked { number, base: base.clone(), anothers };
    let landed = join(&plan, prepared, asked, operation).await;
    match (landed, &base) {
        (Ok(found), _) => Ok(found.raw(operation)),
        // Each caller has its own limit for how long a stored response can replace a failed one.
        (Err(error), Base::Own(entry, verdict)) if plan.outlasts(entry, *verdict, &error) => {
            debug!(%error, "serving stale response after error");
            Ok(Found::stored(entry, CacheStatus::Stale).raw(operation))
        }
        (Err(error), _) => Err(error),
    }
}

/// Returns the error of a call that accepts only a stored response.
pub(crate) fn not_cached() -> Error {
    Error::new(ErrorKind::NotCached, "no cached response")
        .with_advice("nothing was sent: use a CachePolicy other than only_if_cached")
}

/// What the cache found for a read that is sent to GitHub.
#[derive(Clone)]
struct Asked {
    number: Option<u64>,
    base: Base,
    anothers: Option<Key>,
}

/// What a request can be conditional on: the entry of the identity, or else an entry of another identity, which is read
/// while the request waits for its permit.
pub(crate) struct Known<'a> {
    plan: &'a Plan,
    base: Base,
    anothers: Option<Key>,
}

impl Known<'_> {
    /// Reads the entry of another identity, if there can be one.
    pub(crate) async fn look_further(&self, prepared: &Prepared) -> Option<Base> {
        match self.anothers {
            Some(key) => Some(self.plan.anothers(prepared, key).await),
            None => None,
        }
    }

    /// Makes the request conditional on the entry that was found.
    pub(crate) fn apply(&mut self, prepared: &mut Prepared, further: Option<Base>) {
        if let Some(further) = further {
            (self.base, self.anothers) = (further, None);
        }
        prepared.conditional = Some(self.plan.conditional(&self.base));
    }
}

/// Sends the read, shared with all calls that request the same at this time.
async fn join(plan: &Arc<Plan>, prepared: Prepared, asked: Asked, operation: &Label) -> Landed {
    let flights = &plan.cache.flights;
    let route = plan.route(&prepared);
    let mut prepared = Some(prepared);
    loop {
        // Applies if this call joins the read of another one: its timeout includes the read's wait for a rate limit only
        // if the caller set a timeout for this call.
        let patience = prepared.as_ref().and_then(Prepared::strict_limit);
        let own_slot = BatchSlot::current();
        let mut joined = flights.join(route, own_slot.clone(), |flight| {
            let (plan, asked, operation) = (Arc::clone(plan), asked.clone(), operation.clone());
            // The prepared request is available until a call starts the read.
            let (prepared, slot) = (prepared.take(), own_slot.clone());
            Box::pin(async move {
                let Some(mut prepared) = prepared else { return Err(not_cached()) };
                let asked = DetachableCall::new(prepared.slack.clone(), |detach| {
                    let call = CallHandle::new(detach, slot, prepared.store_wait.clone());
                    keep_flights(Box::pin(async move {
                        let landed = ask(&plan, &mut prepared, asked, &operation, &call).await;
                        plan.cache.flights.land(route, flight);
                        landed
                    }))
                });
                asked.await
            })
        });
        let leads = prepared.is_none();
        let _waits = if leads { None } else { follow(own_slot, joined.slot.take()) };
        let landed = flights.landed(route, joined);
        let landed = match patience.filter(|_| !leads) {
            None => landed.await,
            Some(patience) => match timeout(patience, landed).await {
                Ok(landed) => landed,
                Err(_) => {
                    let message = format!(
                        "timed out after {patience:?} waiting for an identical in-flight request"
                    );
                    return Err(Error::new(ErrorKind::Timeout, message)
                        .with_advice("try again, or increase timeout"));
                }
            },
        };
        match landed {
            // The runtime that the read depends on makes no progress.
            None => {}
            Some(landed) if leads => return landed,
            // The error depends on the call that started the read: this call sends its own.
            Some(Err(error)) if is_of_the_caller(&error) => {}
            Some(landed) => return landed,
        }
    }
}

/// Waits for a read that another call sends. The batch of this call can start a further call meanwhile. If the read
/// belongs to another batch, this call does not wait for that batch.
fn follow(own: Option<BatchSlot>, of_read: Option<BatchSlot>) -> Option<BatchWait> {
    if let Some(of_read) = of_read
        && own.as_ref().is_none_or(|own| !own.is_beside(&of_read))
    {
        of_read.leave();
    }
    let (wait, free) = own?.wait();
    free.offer();
    Some(wait)
}

/// Sends the request, conditional on the stored entry if there is one.
async fn ask(
    plan: &Plan,
    prepared: &mut Prepared,
    asked: Asked,
    operation: &Label,
    call: &CallHandle,
) -> Landed {
    // Marks that were written meanwhile are older than the response.
    let number = asked.number.and_then(|_| plan.cache.log.last());
    let mut known = Known { plan, base: asked.base, anothers: asked.anothers };
    let mut requested = clock::now();
    let mut answer = tried(prepared, operation, Reading::Buffered, call, Some(&mut known)).await;
    let base = known.base;
    let conditional = prepared.conditional.as_ref();
    let refusal = answer
        .as_ref()
        .err()
        .filter(|error| conditional.is_some_and(|conditional| conditional.is_refused(error)));
    if let Some(refused_with) = refusal.map(Error::status) {
        debug!("conditional request rejected; retrying without the condition");
        prepared.conditional = Some(plan.conditional(&Base::Nothing));
        requested = clock::now();
        // The repetition is another attempt, with its own permit and count.
        prepared.store_wait.renew();
        answer = tried(prepared, operation, Reading::Buffered, call, None).await;
        // If the repetition is rejected as well, or has no response, the condition was not the cause.
        let is_of_condition = match &answer {
            Ok(raw) => !raw.abroad,
            Err(error) => {
                let status = error.status().filter(|status| status.is_client_error());
                error.kind() == ErrorKind::Api && status.is_some() && status != refused_with
            }
        };
        if is_of_condition {
            plan.condition_refused();
        }
    }
    let times = Times { requested, received: clock::now() };
    let sent = prepared.conditional.as_ref().and_then(Conditional::sent);
    let exchange = Exchange { times, number, sent };
    match answer {
        Ok(raw) if raw.status == StatusCode::NOT_MODIFIED => {
            // The request to a redirect target was not conditional on the stored entry.
            let confirmed = match raw.abroad {
                true => None,
                false => plan.confirmed(prepared, &base, raw, exchange),
            };
            confirmed.ok_or_else(|| {
                let message = "received 304 Not Modified for an unconditional request";
                Error::new(ErrorKind::Api, message)
                    .with_advice("a proxy might be at fault; disable the cache with Cache::off")
            })
        }
        Ok(raw) => {
            if !raw.abroad {
                plan.answered(&raw, prepared, exchange);
            }
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
            if let Base::Own(..) = &base {
                plan.refused(&error);
            }
            Err(error)
        }
    }
}

/// Revalidates in a separate task, unless an equal revalidation is in flight or too many are.
fn refresh(plan: &Plan, prepared: &Prepared, again: Option<Request>) {
    let is_flying = plan.cache.flights.is_flying(plan.route(prepared));
    let Some(again) = again.filter(|_| !is_flying) else { return };
    let Some(permit) = plan.cache.refresh_permit() else { return };
    let call = again.behind().cache(CachePolicy::trust(Duration::ZERO)).send_empty();
    tokio::spawn(async move {
        let _permit = permit;
        if let Err(error) = call.await {
            debug!(%error, "background revalidation failed");
        }
    });
}

/// Returns whether an error depends on the caller and its deadline.
fn is_of_the_caller(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Timeout | ErrorKind::RateLimit | ErrorKind::QueueFull)
}

/// A write in flight. It makes the entries doubtful that it can have changed, also if no caller waits for its end
/// ([RFC 9111, 4.4](https://www.rfc-editor.org/rfc/rfc9111#section-4.4)).
pub(crate) struct Writing {
    cache: Arc<Open>,
    mark: Option<Mark>,
    allowance: WaitAllowance,
}

impl Writing {
    /// Returns `None` if the call changes nothing that can be stored.
    pub(crate) fn of(prepared: &Prepared) -> Option<Self> {
        let cache = prepared.client().inner().cache.clone()?;
        let what = match prepared.changes() {
            Changes::Nothing => return None,
            Changes::Anything => What::All,
            Changes::Path => {
                let path = prepared.path().to_ascii_lowercase();
                // Entries of the same resources can be stored under their ids.
                let by_id = id_path::counterpart(&path).map(str::to_owned);
                let below = [scope(&path).to_owned()].into_iter().chain(by_id).collect();
                What::Paths { below, at: Vec::new() }
            }
        };
        let allowance = cache.allowance(&prepared.store_wait);
        Some(Self { cache, mark: Some(Mark { forget: false, what }), allowance })
    }

    /// Ends the write. The store takes the mark while the call can still wait for it, so that the mark exists if the
    /// process ends.
    pub(crate) async fn end(mut self, answer: &Result<Raw>) {
        let mark = self.mark.take();
        if let Some(mark) = mark.filter(|_| !answer.as_ref().is_err_and(is_nothing_done)) {
            self.cache.log.note(mark);
            self.cache.log.wait_until_written(&self.allowance).await;
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(mark) = self.mark.take() {
            self.cache.log.note(mark);
        }
    }
}

/// Returns the scope that a write at this path can change: the whole repository, since its resources are in many of its
/// lists, or the organization; otherwise all paths that begin with the same two segments.
fn scope(path: &str) -> &str {
    let names = if path.starts_with("/repos/") { 3 } else { 2 };
    let mut slashes = path.match_indices('/').map(|(at, _)| at).skip(names);
    slashes.next().map_or(path, |end| &path[..end])
}

/// Returns whether a failed call has certainly changed nothing.
fn is_nothing_done(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Api => error.status().is_some_and(|status| status.is_client_error()),
        ErrorKind::Transport | ErrorKind::Timeout | ErrorKind::Decode => error.never_reached(),
        ErrorKind::BodyTooLarge | ErrorKind::Redirect => false,
        _ => true,
    }
}

//! How a read goes by the cache: what is stored, then what is under way, then GitHub.

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

/// Reads. `again` is the same call, for when it has to be made behind this one's back.
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
        // How long a stored answer may stand in is each caller's own.
        (Err(error), Base::Own(entry, verdict)) if plan.outlasts(entry, *verdict, &error) => {
            debug!(%error, "serving stale response after error");
            Ok(Found::stored(entry, CacheStatus::Stale).raw(operation))
        }
        (Err(error), _) => Err(error),
    }
}

/// The error of a call that may be answered by what is stored only.
pub(crate) fn not_cached() -> Error {
    Error::new(ErrorKind::NotCached, "no cached response")
        .with_advice("nothing was sent: use a CachePolicy other than only_if_cached")
}

/// What the cache found for a read that GitHub is asked for.
#[derive(Clone)]
struct Asked {
    number: Option<u64>,
    base: Base,
    anothers: Option<Key>,
}

/// What a request can be conditional on: what is stored for the identity, or else an answer of another
/// one, which is read while the request waits for its permit.
pub(crate) struct Known<'a> {
    plan: &'a Plan,
    base: Base,
    anothers: Option<Key>,
}

impl Known<'_> {
    /// Reads the answer of another identity, if that is what there may be.
    pub(crate) async fn look_further(&self, prepared: &Prepared) -> Option<Base> {
        match self.anothers {
            Some(key) => Some(self.plan.anothers(prepared, key).await),
            None => None,
        }
    }

    /// Makes the request conditional on what is known.
    pub(crate) fn apply(&mut self, prepared: &mut Prepared, further: Option<Base>) {
        if let Some(further) = further {
            (self.base, self.anothers) = (further, None);
        }
        prepared.conditional = Some(self.plan.conditional(&self.base));
    }
}

/// Asks GitHub, together with all who ask the same now.
async fn join(plan: &Arc<Plan>, prepared: Prepared, asked: Asked, operation: &Label) -> Landed {
    let flights = &plan.cache.flights;
    let route = plan.route(&prepared);
    let mut prepared = Some(prepared);
    loop {
        // For who follows. A wait for a limit is not its own, unless it says how long it has.
        let patience = prepared.as_ref().and_then(Prepared::strict_limit);
        let own_slot = BatchSlot::current();
        let mut joined = flights.join(route, own_slot.clone(), |flight| {
            let (plan, asked, operation) = (Arc::clone(plan), asked.clone(), operation.clone());
            // It is there until somebody leads.
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
            // The runtime that it depends on stands still.
            None => {}
            Some(landed) if leads => return landed,
            // It says something of who led: this one asks for itself.
            Some(Err(error)) if is_of_the_caller(&error) => {}
            Some(landed) => return landed,
        }
    }
}

/// Waits for a read that another call sends. Its batch may start a further call meanwhile; and if the
/// read is of another batch, it does not wait for that one.
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

/// Asks GitHub, with what is stored in mind if something is.
async fn ask(
    plan: &Plan,
    prepared: &mut Prepared,
    asked: Asked,
    operation: &Label,
    call: &CallHandle,
) -> Landed {
    // Marks that were written meanwhile are older than the answer.
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
        // It is another attempt, with a permit and a count of its own.
        prepared.store_wait.renew();
        answer = tried(prepared, operation, Reading::Buffered, call, None).await;
        // If this one is refused as well, or is not answered, it was not for the condition.
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
            // Another server was not asked for what is stored.
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

/// Asks again in a task of its own, unless somebody does or too many are asked for already.
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

/// Whether an error has to do with who called, and how patient it was.
fn is_of_the_caller(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Timeout | ErrorKind::RateLimit | ErrorKind::QueueFull)
}

/// A write that is under way. It makes doubtful what it may have changed, also if nobody waits for
/// its end ([RFC 9111, 4.4](https://www.rfc-editor.org/rfc/rfc9111#section-4.4)).
pub(crate) struct Writing {
    cache: Arc<Open>,
    mark: Option<Mark>,
    allowance: WaitAllowance,
}

impl Writing {
    /// `None` for what changes nothing that could be stored.
    pub(crate) fn of(prepared: &Prepared) -> Option<Self> {
        let cache = prepared.client().inner().cache.clone()?;
        let what = match prepared.changes() {
            Changes::Nothing => return None,
            Changes::Anything => What::All,
            Changes::Path => {
                let path = prepared.path().to_ascii_lowercase();
                // The same resources can be stored by their ids.
                let by_id = id_path::counterpart(&path).map(str::to_owned);
                let below = [scope(&path).to_owned()].into_iter().chain(by_id).collect();
                What::Paths { below, at: Vec::new() }
            }
        };
        let allowance = cache.allowance(&prepared.store_wait);
        Some(Self { cache, mark: Some(Mark { forget: false, what }), allowance })
    }

    /// The call has ended. The store takes the mark while the call may still wait for it, so that it is there if
    /// the process ends.
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

/// What a write at this path may change: all of a repository, whose resources are in many of its
/// lists, or of an organization; else what begins with the same two names.
fn scope(path: &str) -> &str {
    let names = if path.starts_with("/repos/") { 3 } else { 2 };
    let mut slashes = path.match_indices('/').map(|(at, _)| at).skip(names);
    slashes.next().map_or(path, |end| &path[..end])
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
